"""Which files can matter, told from their bytes: cost must grow with the GPU code alone.

They err to one side only: a file that does something has the touch for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, takewhile

from gpu_lint.facts.devicetext import DeviceText, Ways
from gpu_lint.facts.freezing import GPU_WORDS, found_on_import
from gpu_lint.facts.grantedtext import GRANTED, may_be_granted
from gpu_lint.facts.handedtext import says_device
from gpu_lint.facts.knowledge import Knowledge
from gpu_lint.facts.prose import in_code, without_docstrings, without_long_strings
from gpu_lint.facts.ranktext import RANK_PARTS, asks_training_for_rank, gives_global_rank
from gpu_lint.facts.touch import Touch
from gpu_lint.facts.words import Said, Searched, Vocabulary, Words, words_of

_ENVIRONMENT = (b"environ", b"putenv")
"""What a write to the environment is spelt with, whatever the variable."""
_CHILDREN = (
    b"multiprocessing", b"os.fork", b"subprocess", b"os.system", b"os.exec", b"os.spawn",
    b"os.popen", b"os.posix_spawn", b"runpy", b"concurrent.futures",
)  # fmt: skip
_OF_OS = tuple(word for word in _CHILDREN if word.startswith(b"os."))
_STARTING = frozenset(
    {b"multiprocessing", b"subprocess", b"runpy", b"concurrent"}
    | {b"create_subprocess_exec", b"create_subprocess_shell"}
)
"""Words of which one must be there, unless something of ``os`` is."""
_CHILD_DETAILS = (
    b"fork", b"env=", b"env =", b"env -", b"nproc", b"num_proc", b"num-proc", b"accelerate",
    b"deepspeed", b"execle", b"execlpe", b"execve", b"execvpe", b"spawnle", b"spawnlpe", b"spawnve",
    b"spawnvpe",
)  # fmt: skip
_PROCESS = b"Process"
"""What the name of a class of processes ends with."""
_IMPORT = b"import"
_NVIDIA = b"nvidia"
_EXECUTOR = b"ProcessPoolExecutor"
_WORKERS = (b"num_workers", b"DataLoader(", b"__getitem__")
"""What a file shows that gives a loader workers, and a dataset whose items they take."""
_FORKS = (b"fork", b"multiprocessing", _EXECUTOR, _WORKERS[0])
_COUNTING = ("index", "indices", "device-count")
"""What a call returns that is, or becomes, an index."""
_LEAST_PART = 7
"""Letters that names must share to be searched for together."""
_MOST_MEANT = 100_000
_LINES_OF_PROSE = 2
"""Lines of a string in triple quotes that names no device by itself."""
_LEAST_NAME = 8
"""Letters of a call's name: shorter ones stand for other things, too."""
_ASSIGNED = re.compile(r"(?<!\w)([A-Za-z]\w{11,})=")
"""In a command, a name that is long enough to be that of a variable."""
_PROSE = re.compile(r"\S\s+\S")
_LONG_WORD = re.compile(rb"[A-Za-z][\w-]{11,}")
_WORDS_OF_NAMES = (b"CUDA", b"VISIBLE", b"DEVICE", b"ALLOC", b"PYTORCH", b"ORDER", b"AFFINITY",
                   b"XLA", b"CLIENT", b"FORCE_GPU")  # fmt: skip
_MULTIPROCESSING = re.compile(rb"\bimport\s+(multiprocessing)\b(?:\.\w+)*(?:\s+as\s+(\w+))?")
_FROM_MULTIPROCESSING = re.compile(
    rb"\bfrom\s+multiprocessing(?:\.context)?\s+import\b(?:[^\n]*\bProcess\b|\s*\()"
)
_COMMENTS = (b"gpu-lint", b"gpulint", b"gpu_lint", b"GPU-LINT", b"noqa", b"NOQA", b"NoQA")
_GPU_SPELT = (b"gpu", b"GPU", b"Gpu")
"""A comment that is meant for us says it: it names the tool, or a code."""
_WORD_BEFORE = re.compile(rb"\w+\Z")
_LONGEST_NAME = 40
"""Bytes that a variable's name may have before the part that it is known by."""
_FOR_US = re.compile(rb"#\s*gpu[-_]?lint\b|#[^\r\n]*noqa:[^\r\n]*GPU\d", re.I)


class Needles:
    """What to look for, made from what is known of frameworks."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self._meant: dict[bytes, bool] = {}
        """Words that were asked for, and whether each was meant to be the name of a variable."""
        self._variables = tuple(name.encode() for name in knowledge.variables)
        apis = [*knowledge.functions.values(), *knowledge.methods.values()]
        self._devices = DeviceText(knowledge.frameworks)
        versioned = {api.framework for api in apis if api.versions}
        modules = (one.modules for one in knowledge.frameworks if one.name in versioned)
        self._versioned = tuple(name.encode() for several in modules for name in several)
        """Frameworks of which some releases write the device that they are given into the mask."""
        names = "|".join(knowledge.variables)
        self._assigning = re.compile(rf"(?:{names})\w*\s*=")
        self._names = re.compile(rb"(?:" + b"|".join(self._variables) + rb")\w*")
        self._others = tuple(name.encode() for name in knowledge.other_names)
        counting = {api.name.rpartition(".")[2] for api in apis if api.returns in _COUNTING}
        self._counting = tuple(n.encode() for n in sorted(counting) if len(n) >= _LEAST_NAME)
        groups = {
            "import": (_IMPORT,),
            "nvidia": (_NVIDIA,),
            "environment": _ENVIRONMENT,
            "calls of os": tuple(word.removeprefix(b"os.") for word in _OF_OS),
            "forks": _FORKS,
            "spelt": _GPU_SPELT,
            "gpu": GPU_WORDS,
            "variables": _shared_parts(self._variables),
            "ranks": RANK_PARTS,
            "granted": (GRANTED,),
            "versions": self._versioned,
            "beside": _shared_parts(knowledge.beside_cuda),
        }
        every = chain(self._devices.parts, *groups.values())
        self._vocabulary = Vocabulary(every)
        self._devices.use(self._vocabulary)
        self._parts = {name: self._vocabulary.parts(*parts) for name, parts in groups.items()}
        self._gpu_words = [(word, self._vocabulary.parts(word)) for word in GPU_WORDS]
        self._doing = (*self._variables, *_ENVIRONMENT, *_CHILDREN, b"Process(", b"Popen(")

    def settings(self, data: bytes, said: Said | None = None) -> Touch:
        """Whether a file may write the environment; ``said`` is what it says, where somebody has
        that at hand."""
        said = said or Searched(data)
        if said.have(self._parts["variables"]):
            for name in self._variables:
                if name in data and in_code(data, name):
                    return Touch.SETTINGS | Touch.ENVIRONMENT
        if not said.have(self._parts["environment"]):
            if b"CUDA" not in data or not any(word in data for word in _CHILDREN):
                return Touch.NOTHING
            misspelt = any(map(self._is_misspelt, set(_LONG_WORD.findall(data))))
            return Touch.SETTINGS | Touch.ENVIRONMENT if misspelt else Touch.NOTHING
        if any(name in data and in_code(data, name) for name in self._others):
            return Touch.SETTINGS | Touch.ENVIRONMENT
        if any(map(self._is_misspelt, set(_LONG_WORD.findall(data)))):
            return Touch.SETTINGS | Touch.ENVIRONMENT
        return Touch.ENVIRONMENT

    def _is_misspelt(self, word: bytes) -> bool:
        """Whether a word was meant to be the name of a variable; files say much the same ones."""
        if word not in self._meant:
            if len(self._meant) > _MOST_MEANT:
                self._meant.clear()
            folded = word.upper()
            parts = sum(part in folded for part in _WORDS_OF_NAMES)
            likely = parts > 1 or (parts == 1 and (b"_" in word or b"-" in word))
            found = likely and self.knowledge.misspelt(word.decode("ascii")) is not None
            self._meant[word] = found
        return self._meant[word]

    def is_variable(self, text: str) -> bool:
        """Whether a text may be the name of a variable that decides about GPUs, or part of it, or
        a command that sets one."""
        if any(self.knowledge.misspelt(name) for name in _ASSIGNED.findall(text)):
            return True
        if _PROSE.search(text):
            return self._assigning.search(text) is not None
        known = (*self.knowledge.variables, *self.knowledge.other_names)
        return any(name in text for name in known) or (
            "environ" not in text and self.knowledge.misspelt(text) is not None
        )

    def alone(self, data: bytes, said: Said | None = None) -> Touch:
        """What a file may do that matters whatever else happens in its process."""
        if not data:
            return Touch.ANYTHING
        said = said or Searched(data)
        found = self.settings(data, said) | Touch.ANYTHING
        if said.have(self._parts["import"]):
            found |= Touch.IMPORTS
        if self._counts_otherwise(data, said) and any(name in data for name in self._counting):
            found |= Touch.NUMBERING
        if said.have(self._parts["ranks"]) and gives_global_rank(data):
            found |= Touch.NUMBERING
        if said.have(self._parts["granted"]) and may_be_granted(data):
            found |= Touch.NUMBERING if self.device_ways(data).itself else Touch.NOTHING
        if said.have(self._parts["versions"]) and any(name in data for name in self._versioned):
            found |= Touch.NUMBERING if self._freezes_before(data) else Touch.NOTHING
        if said.have(self._parts["forks"]):
            found |= Touch.FORKS if _forks(data) else Touch.NOTHING
        if said.have(self._parts["spelt"]) and self.comments(data):
            found |= Touch.COMMENTS
        return found

    def _freezes_before(self, data: bytes) -> bool:
        """Whether a file may use a GPU otherwise than by a framework of several numberings: its
        devices are then no longer what that writes."""
        return b"cuda" in data and self.device_ways(data).itself

    def _counts_otherwise(self, data: bytes, said: Said) -> bool:
        """Whether a file may give an index to what counts the machine's devices."""
        if said.have(self._parts["beside"]):
            if any(name in data for name in self.knowledge.beside_cuda):
                return True
        return (
            said.have(self._parts["nvidia"])
            and b"nvidia-smi" in data
            and any(w in data for w in _CHILDREN)
        )

    def touch(self, data: bytes) -> Touch:
        """Everything that a file may do; what its docstrings say does nothing."""
        code = without_docstrings(data)
        words = Words(code, self._vocabulary)
        found = self.alone(code, words)
        if self._starts(code, words):
            found |= Touch.NEAR
            found |= Touch.CHILDREN if self._says_of_child(code, words) else Touch.NOTHING
        ways = self.device_ways(code, words)
        found |= Touch.DEVICES if ways.itself else Touch.NOTHING
        if words.have(self._parts["ranks"]) and asks_training_for_rank(code):
            found |= Touch.DEVICES
        found |= Touch.HANDED if ways.handed else Touch.NOTHING
        found |= Touch.PASSED if self._devices.passes_on(code, words) else Touch.NOTHING
        found |= Touch.FOREIGN if ways.frameworks else Touch.NOTHING
        gpu: list[bytes] = []
        if words.have(self._parts["gpu"]):
            gpu = [word for word, parts in self._gpu_words if words.have(parts)]
        if gpu:
            found |= found_on_import(self._without_variables(data), gpu)
        return found

    def device_ways(self, data: bytes, words: Words | None = None) -> Ways:
        """How a file may name devices, or ask how many there are."""
        found = self._devices.ways(data, words or Words(data, self._vocabulary))
        if any(found):
            code = without_long_strings(data, _LINES_OF_PROSE)
            found = self._devices.ways(code, Words(code, self._vocabulary))
        return found

    def says_device(self, data: bytes) -> bool:
        """Whether the code of a file holds the name of a device other than the first."""
        return says_device(data) and says_device(
            without_long_strings(without_docstrings(data), _LINES_OF_PROSE)
        )

    def selections(self, data: bytes) -> Iterator[int]:
        """The offsets of the values by which a file selects that come from elsewhere."""
        return self._devices.handed.places(data, words_of(data))

    def keywords_unpacked(self, data: bytes) -> tuple[str, ...]:
        """The keywords that name a device, where a call takes its keywords from a dict."""
        return self._devices.handed.keywords_unpacked(data)

    def comments(self, data: bytes) -> bool:
        """Whether a file may hold a comment that is meant for us."""
        return any(mark in data for mark in _COMMENTS) and _FOR_US.search(data) is not None

    def _starts(self, data: bytes, words: Words) -> bool:
        """Whether a file may start another process."""
        named = _STARTING.intersection(words.each)
        if named == {b"concurrent"} and b"concurrent.futures" not in data:
            named = frozenset()
        return bool(named) or (
            words.have(self._parts["calls of os"])
            and b"os." in data
            and any(call in data for call in _OF_OS)
        )

    def _says_of_child(self, data: bytes, words: Words) -> bool:
        """Whether a file that starts a process may say something of that one's GPU."""
        return any(word in data for word in _CHILD_DETAILS) or (
            _PROCESS in data and any(word.endswith(_PROCESS) for word in words.each)
        )

    def _without_variables(self, data: bytes) -> bytes:
        """A file without the variables that it names: to name one is not to use a GPU."""
        if not any(part in data for part in self._parts["variables"].each):
            return data
        parts: list[bytes] = []
        end = 0
        for match in self._names.finditer(data):
            before = _WORD_BEFORE.search(
                data, max(match.start() - _LONGEST_NAME, end), match.start()
            )
            parts.append(data[end : before.start() if before is not None else match.start()])
            end = match.end()
        return b"".join((*parts, data[end:]))

    def places(self, data: bytes) -> Iterator[int]:
        """The offsets at which a file may set, select, count or start anything."""
        for word in self._doing:
            at = data.find(word)
            while at >= 0:
                yield at
                at = data.find(word, at + 1)
        yield from self.device_places(data)

    def device_places(self, data: bytes) -> Iterator[int]:
        """The offsets at which a file may name devices, or count them."""
        yield from self._devices.places(data, Words(data, self._vocabulary))


def _shared_parts(names: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """A few texts of which every name has one: what neighbours end or begin alike."""
    ends = _merged(sorted(name[::-1] for name in names))
    return tuple(_merged(sorted(end[::-1] for end in ends)))


def _merged(texts: list[bytes]) -> list[bytes]:
    """Sorted texts, those replaced by what they begin with that share enough of it."""
    found: list[bytes] = []
    for text in texts:
        pairs = zip(text, found[-1] if found else b"", strict=False)
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        if shared >= _LEAST_PART:
            found[-1] = text[:shared]
        else:
            found.append(text)
    return found


def _forks(data: bytes) -> bool:
    """Whether a file names one of the calls that copy a process, CUDA's state included. Of pools
    and loaders, only where the file names CUDA itself."""
    if b"os.fork" in data or b"import fork" in data or _FROM_MULTIPROCESSING.search(data):
        return True
    names = [match.group(2) or match.group(1) for match in _MULTIPROCESSING.finditer(data)]
    if any(name + b".Process" in data or name + b".context" in data for name in names):
        return True
    pooled = _EXECUTOR in data or any(name + b".Pool(" in data for name in names)
    return b"cuda" in data and (pooled or all(word in data for word in _WORKERS))


def needles_for(knowledge: Knowledge) -> Needles:
    """The needles of some knowledge, made once."""
    found = _MADE.get(id(knowledge))
    if found is None or found.knowledge is not knowledge:
        found = _MADE[id(knowledge)] = Needles(knowledge)
    return found


_MADE: dict[int, Needles] = {}
