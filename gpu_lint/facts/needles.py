"""Which files can matter, told from their bytes: cost must grow with the GPU code alone.

A :class:`Touch` says what a file may do. It errs to one side only: a file that does something
has the touch for it, and most files that have it do nothing of the kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Flag, auto
from typing import NamedTuple

from gpu_lint.facts.devicetext import DeviceText
from gpu_lint.facts.knowledge import Knowledge
from gpu_lint.facts.skim import (
    Unskimmable,
    end_before,
    inside,
    line_end,
    line_start,
    long_strings,
)
from gpu_lint.source import Span


class Touch(Flag):
    """What the bytes of a file allow it to do."""

    NOTHING = 0
    SETTINGS = auto()
    """It may write an environment variable that decides about GPUs, misspelt or not."""
    ENVIRONMENT = auto()
    """It may write some environment variable, whose name it may get from elsewhere."""
    DEVICES = auto()
    """It may name a device other than the first, or ask how many there are."""
    CHILDREN = auto()
    """It may start another process, and say something of that one's GPU."""
    FORKS = auto()
    """It may go on in a copy of itself."""
    FREEZES = auto()
    """It may make CUDA read the mask when it is imported."""
    COMMENTS = auto()
    """It may hold a comment that is meant for us."""
    NUMBERING = auto()
    """It may ask for GPUs by another numbering than CUDA's."""
    IMPORTS = auto()
    """It may import something."""
    ANYTHING = auto()
    """It is a file."""

    @classmethod
    def named(cls, names: Iterable[str]) -> Touch:
        """The touches that the rules' TOML names. Raises ``KeyError``."""
        found = cls.NOTHING
        for name in names:
            found |= cls[name.upper()]
        return found


_ENVIRONMENT = (b"environ", b"putenv")
"""What a write to the environment is spelt with, whatever the variable."""
_CHILDREN = (
    b"multiprocessing", b"os.fork", b"subprocess", b"os.system", b"os.exec", b"os.spawn",
    b"os.popen", b"os.posix_spawn", b"runpy", b"concurrent.futures",
)  # fmt: skip
_CHILD_DETAILS = (b"fork", b"Process", b"env=", b"env =", b"nproc", b"num_proc", b"num-proc",
                  b"accelerate")  # fmt: skip
_COUNTING = ("index", "indices", "device-count")
"""What a call returns that is, or becomes, an index."""
_LEAST_NAME = 8
"""Letters of a call's name: shorter ones stand for other things, too."""
_PROSE = re.compile(r"\S\s+\S")
_LONG_WORD = re.compile(rb"[A-Za-z][\w-]{11,}")
_WORDS_OF_NAMES = (b"CUDA", b"VISIBLE", b"DEVICE", b"ALLOC", b"PYTORCH", b"ORDER", b"AFFINITY",
                   b"XLA", b"CLIENT", b"FORCE_GPU")  # fmt: skip
_MULTIPROCESSING = re.compile(rb"\bimport\s+(multiprocessing)\b(?:\.\w+)*(?:\s+as\s+(\w+))?")
_FROM_MULTIPROCESSING = re.compile(
    rb"\bfrom\s+multiprocessing(?:\.context)?\s+import\b(?:[^\n]*\bProcess\b|\s*\()"
)
_HEAD_END = re.compile(rb":\s*(?:#.*)?\Z|\)\s*(?:->.*)?:\s")
_HEAD = re.compile(rb"(?:async\s+)?(def|class)\s+(\w+)")
_CALLED = re.compile(rb"\b(\w+)\s*\(|^@(?:\w+\.)*(\w+)")
_IMPORTING = re.compile(rb"(?:import|from)\b")
_FOR_US = re.compile(rb"#\s*gpu-lint:|#[^\r\n]*noqa:[^\r\n]*GPU\d", re.I)
_GPU_WORDS = (b"cuda", b"CUDA", b"gpu", b"GPU", b"jax", b"jnp", b"cupy", b"numba", b"tensorflow",
              b"tf.")  # fmt: skip


class Needles:
    """What to look for, made from what is known of frameworks."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self._variables = tuple(name.encode() for name in knowledge.variables)
        apis = [*knowledge.functions.values(), *knowledge.methods.values()]
        self._devices = DeviceText(apis)
        self._freezes = re.compile(rb"\b(?=tf\.)|" + b"|".join(_GPU_WORDS[:-1]))
        names = "|".join(knowledge.variables)
        self._assigning = re.compile(rf"(?:{names})\w*\s*=")
        self._names = re.compile(rb"(?:" + b"|".join(self._variables) + rb")\w*")
        self._others = tuple(name.encode() for name in knowledge.other_names)
        counting = {api.name.rpartition(".")[2] for api in apis if api.returns in _COUNTING}
        self._counting = tuple(n.encode() for n in sorted(counting) if len(n) >= _LEAST_NAME)
        self._doing = (*self._variables, *_ENVIRONMENT, *_CHILDREN, b"Process(", b"Popen(")

    def settings(self, data: bytes) -> Touch:
        """Whether a file may write the environment."""
        for name in self._variables:
            if name in data and _in_code(data, name):
                return Touch.SETTINGS | Touch.ENVIRONMENT
        if b"environ" not in data and b"putenv" not in data:
            return Touch.NOTHING
        if any(name in data and _in_code(data, name) for name in self._others):
            return Touch.SETTINGS | Touch.ENVIRONMENT
        for word in set(_LONG_WORD.findall(data)):
            folded = word.upper()
            parts = sum(part in folded for part in _WORDS_OF_NAMES)
            if parts > 1 or (parts and (b"_" in word or b"-" in word)):
                if self.knowledge.misspelt(word.decode("ascii")) is not None:
                    return Touch.SETTINGS | Touch.ENVIRONMENT
        return Touch.ENVIRONMENT

    def is_variable(self, text: str) -> bool:
        """Whether a text may be the name of a variable that decides about GPUs, or part of it, or
        a command that sets one."""
        if _PROSE.search(text):
            return self._assigning.search(text) is not None
        known = (*self.knowledge.variables, *self.knowledge.other_names)
        return any(name in text for name in known) or (
            "environ" not in text and self.knowledge.misspelt(text) is not None
        )

    def alone(self, data: bytes) -> Touch:
        """What a file may do that matters whatever else happens in its process."""
        found = self.settings(data) | Touch.ANYTHING
        if b"import" in data:
            found |= Touch.IMPORTS
        if self._counts_otherwise(data) and any(word in data for word in self._counting):
            found |= Touch.NUMBERING
        if b"fork" in data or b"multiprocessing" in data:
            found |= Touch.FORKS if _forks(data) else Touch.NOTHING
        if self.comments(data):
            found |= Touch.COMMENTS
        return found

    def _counts_otherwise(self, data: bytes) -> bool:
        """Whether a file may give an index to what counts the machine's devices."""
        if any(word in data for word in self.knowledge.beside_cuda):
            return True
        return b"nvidia-smi" in data and any(word in data for word in _CHILDREN)

    def touch(self, data: bytes) -> Touch:
        """Everything that a file may do."""
        found = self.alone(data)
        if self.starts_children(data):
            found |= Touch.CHILDREN
        if self._devices.found_in(data) and self._devices.found_in(_without_long_strings(data)):
            found |= Touch.DEVICES
        if self._freezes_on_import(data):
            found |= Touch.FREEZES
        return found

    def comments(self, data: bytes) -> bool:
        """Whether a file may hold a comment that is meant for us."""
        if not any(mark in data for mark in (b"gpu-lint", b"noqa", b"NOQA", b"NoQA")):
            return False
        return _FOR_US.search(data) is not None

    def starts_children(self, data: bytes) -> bool:
        """Whether a file may start a process of which something may be said."""
        return any(word in data for word in _CHILDREN) and any(
            word in data for word in _CHILD_DETAILS
        )

    def _freezes_on_import(self, data: bytes) -> bool:
        """Whether a GPU is mentioned outside of functions, or in one that is called there."""
        if any(name in data for name in self._variables):
            data = self._names.sub(b"", data)  # to name a variable is not to use a GPU
        if not any(word in data for word in _GPU_WORDS):
            return False
        inside: set[bytes] = set()
        called: set[bytes] = set()
        heads: list[_Head] = []
        """The definitions around a line."""
        importing = heading = False
        """The line goes on with an import, with the head of a definition."""
        for line in _without_long_strings(data).splitlines():
            text = line.lstrip()
            if not text or text[:1] in b"#)":
                importing = importing and b")" not in text
                heading = heading and not text.rstrip().endswith(b":")
                continue
            if importing:
                importing = b")" not in text
                continue
            indent = len(line) - len(text)
            while heads and not heading and heads[-1].indent >= indent:
                heads.pop()
            found = None if heading else _HEAD.match(text)
            mentions = self._freezes.search(text) is not None
            if found is not None:
                heads.append(_Head(indent, found.group(1), found.group(2)))
                heading = True
            if heading:
                default = mentions and b"=" in text and self._freezes.search(text, text.find(b"="))
                if default and not any(head.runs_later for head in heads[:-1]):
                    return True
                heading = not _HEAD_END.search(text)
                continue
            in_function = any(head.runs_later for head in heads)
            if _IMPORTING.match(text):
                importing = b"(" in text and b")" not in text
            elif mentions and in_function:
                inside.update(head.name for head in heads)
            elif mentions:
                return True
            if not in_function:
                called.update(word for pair in _CALLED.findall(text) for word in pair)
        return not inside.isdisjoint(called)

    def concerns(self, data: bytes) -> bool:
        """Whether a part of a file by itself may set, select, count or start anything."""
        return next(self._places(data), None) is not None

    def lines(self, data: bytes) -> list[bytes]:
        """The lines of a file that may set, select, count or start anything."""
        found: dict[int, bytes] = {}
        start = end = 0
        for place in self._places(data):
            if not start <= place < end:
                start, end = line_start(data, place), line_end(data, place)
                found[start] = data[start:end]
        return list(found.values())

    def _places(self, data: bytes) -> Iterator[int]:
        for word in self._doing:
            at = data.find(word)
            while at >= 0:
                yield at
                at = data.find(word, at + 1)
        yield from self._devices.places(data)


class _Head(NamedTuple):
    """The first line of a definition."""

    indent: int
    kind: bytes
    name: bytes

    @property
    def runs_later(self) -> bool:
        """What stands in it does not run where it is defined."""
        return self.kind != b"class"


def _without_long_strings(data: bytes) -> bytes:
    """A file without its strings in triple quotes, except those in which there may be code."""
    parts: list[bytes] = []
    end = 0
    try:
        for span in long_strings(data):
            if not any(kind in data[max(span.start - 2, 0) : span.start] for kind in b"fFtT"):
                parts.append(data[end : span.start])
                end = span.end
    except Unskimmable:
        return data
    return b'""'.join((*parts, data[end:])) if parts else data


def _in_code(data: bytes, word: bytes) -> bool:
    """Whether a word stands anywhere but in comments and docstrings."""
    prose: list[Span] | None = None
    at = data.find(word)
    while at >= 0:
        if data[line_start(data, at) : at].lstrip().startswith(b"#"):
            at = data.find(word, line_end(data, at))
            continue
        if prose is None:
            try:
                prose = [span for span in long_strings(data) if _is_docstring(data, span)]
            except Unskimmable:
                return True
        if not inside(at, prose):
            return True
        at = data.find(word, at + 1)
    return False


def _is_docstring(data: bytes, span: Span) -> bool:
    """Whether a string stands by itself behind the head of a definition, or first in a file."""
    before = end_before(data, span.start, b" \t\r\n\frR")
    return not before or data[before - 1 : before] == b":"


def _forks(data: bytes) -> bool:
    """Whether a file names one of the calls that copy a process, CUDA's state included."""
    if b"os.fork" in data or b"import fork" in data or _FROM_MULTIPROCESSING.search(data):
        return True
    names = [match.group(2) or match.group(1) for match in _MULTIPROCESSING.finditer(data)]
    return any(name + b".Process" in data or name + b".context" in data for name in names)


def needles_for(knowledge: Knowledge) -> Needles:
    """The needles of some knowledge, made once."""
    found = _MADE.get(id(knowledge))
    if found is None or found.knowledge is not knowledge:
        found = _MADE[id(knowledge)] = Needles(knowledge)
    return found


_MADE: dict[int, Needles] = {}
