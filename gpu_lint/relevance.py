"""Tells whether a file must be read, run and judged, what is demanded of it, and why.

What *entry point* means is defined here and nowhere else, and so is which files *may be started*,
which is wider: of those the interpreter finds out what they do when they run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_lint.facts.demands import EVERYTHING, Imported, Matter, Standing
from gpu_lint.facts.touch import Touch
from gpu_lint.globs import matches
from gpu_lint.records import record
from gpu_lint.source import read_bytes

if TYPE_CHECKING:
    from gpu_lint.facts.filefacts import FileFacts
    from gpu_lint.policy import Policy
    from gpu_lint.reads import Read
    from gpu_lint.rulebook import Rule
    from gpu_lint.scripts import DeclaredScripts
    from gpu_lint.settings import SettingsFinder

ENTRY_POINT = (
    "a file that is started (a main guard, a console or GUI script, __main__.py, a file that",
    "`entry-points` names, or one that nothing imports and that makes the app of a web server or",
    "works with a GPU) and reaches a GPU framework.",
)
"""What an entry point is, in words, line by line."""
_BY_ITSELF = Touch.SETTINGS | Touch.FORKS | Touch.COMMENTS | Touch.NUMBERING
_BY_OTHERS = Touch.FOREIGN | Touch.HANDED | Touch.PASSED
"""What counts or does not by what stands in other files."""
_ALWAYS = Matter(~Touch.NOTHING, ~Touch.NOTHING)
_WITHOUT_POLICY = Matter(
    Touch.SETTINGS
    | Touch.ENVIRONMENT
    | Touch.DEVICES
    | Touch.HANDED
    | Touch.CHILDREN
    | Touch.FORKS
    | Touch.NUMBERING,
    Touch.FORKS | Touch.NUMBERING,
)
_ASKS = re.compile(
    r"(?:is|has|can|get|list|current|default|memory|device|local|mem)_\w+"
    r"|(?:cuda|nvml|mem)?(?:Device)?[Gg]et[A-Z]\w*"
    r"|device|devices|version|utilization|temperature|power_draw|clock_rate|detect|show_config"
)
"""Names of calls that only ask about GPUs: availability, number, names, properties, memory."""
_RUN_BY_TOOLS = {
    "setup.py": (
        "setuptools",
        re.compile(rb"^[ \t]*(?:from|import)[ \t]+(?:setuptools|distutils|skbuild)\b", re.M),
    ),
    "conf.py": ("Sphinx", re.compile(rb"^(?:extensions|html_theme|master_doc)[ \t]*=", re.M)),
    "hubconf.py": ("torch.hub", re.compile(rb"^dependencies[ \t]*=", re.M)),
}
"""Files that a tool runs for its own purposes, by name, and what they then hold."""
_APPS = (b"Flask", b"FastAPI", b"Starlette", b"Quart", b"Sanic", b"Litestar")
_APP = re.compile(
    rb"^\w+[ \t]*(?::[^=\n]+)?=[ \t]*(?:\w+\.)?(" + b"|".join(_APPS) + rb")\(", re.MULTILINE
)
"""How a module makes the app that a server such as uvicorn or gunicorn finds by its name."""
_APP_MODULES = frozenset(name.decode().lower() for name in _APPS)
_IMPORTED = ("test_", "conftest", "__init__")
"""What the names of files begin with that others import, unseen by the import graph."""
_GUARDED = "it has a main guard"
EACH_FILE = ("all", "gpu-files")
"""Where each file must set the header's variables itself."""


# --- must it be read? --------------------------------------------------------------------------


@record
class Wanted:
    """What the rules in force for a file look for."""

    touch: Touch
    by_itself: int
    """What of it counts without a policy: the bits of touches."""
    policy: Policy | None
    demands: bool
    """A policy may demand something of the file, even if nothing stands in it."""
    syntax: bool
    """A syntax error is to be told of any file."""

    @classmethod
    def by(cls, rules: Mapping[str, Rule], policy: Policy | None) -> Wanted:
        """What some rules look for, given the policy."""
        needles: set[str] = set()
        for rule in rules.values():
            if policy is not None or not rule.needs_policy:
                needles |= rule.needles
        demands = policy is not None and "policy" in needles
        touch = Touch.named(needles - {"policy", "read"})
        if touch & Touch.DEVICES:
            touch |= _BY_OTHERS
        return cls(touch, (touch & _BY_ITSELF).value, policy, demands, "read" in needles)

    def decides_alone(self, alone: Touch) -> bool | None:
        """Whether a file shows something that a rule looks for, given what counts in any process;
        None where that depends on all that it shows."""
        policy = self.policy
        if self.demands and policy is not None:
            if alone.value & Touch.IMPORTS.value:
                return True
            if _everywhere(policy.header.required_in) or _everywhere(policy.validation.required_in):
                return True
        if alone.value & self.by_itself:
            return True
        return False if policy is None else None


def _everywhere(required_in: str | tuple[str, ...]) -> bool:
    return required_in == "all" or isinstance(required_in, tuple)


# --- must it be run and judged, and what is demanded of it? ------------------------------------


@record
class Why:
    """What is demanded of a file: each answer with its reason, as a sentence says it."""

    may_be_started: str
    entry_point: str
    gpu_file: str
    read: str
    run: str
    header: str
    validation: str


class Relevance:
    """Answers for the files of one run."""

    def __init__(
        self,
        finder: SettingsFinder,
        reads: Mapping[str, Read],
        scripts: DeclaredScripts,
        *,
        for_people: bool = False,
    ) -> None:
        """``reads`` are the files that are judged; ``scripts`` finds the commands that call
        something in a file. With ``for_people`` every file is run, also where no rule asks."""
        self._finder = finder
        self._reads = reads
        self.scripts = scripts
        self._for_people = for_people
        self._apps: dict[str, str] = {}

    def may_be_started(self, file: str, graph: Imported) -> bool:
        """Whether a file may be the one that a process starts with."""
        return bool(self._started(file, graph))

    def _started(self, file: str, graph: Imported) -> str:
        """Why a file may be the one that a process starts with; empty if it may not."""
        if graph.skimmed(file) is None:
            return ""
        if surely := self._surely_started(file, graph):
            return surely
        name = os.path.basename(file)
        if file in graph.importers or name.startswith(_IMPORTED):
            return ""
        if graph.frameworks(file) or graph.mentions(file) or graph.edges(file):
            return "nothing imports it"
        return ""

    def _surely_started(self, file: str, graph: Imported) -> str:
        """Why a file is started; empty if nothing says so."""
        if (read := self._reads.get(file)) is not None:
            if read.settings.names_entry_point(read.path):
                return "`entry-points` names it"
        for call in self.scripts.calling(file, graph):
            script = call.script
            called = f"its {call.function}()" if call.function else "it"
            place = self.shown(script.declared_in)
            return f"the command `{script.command}` calls {called} ({place})"
        if os.path.basename(file) == "__main__.py":
            return "it is a __main__.py"
        if read is not None and file not in graph.importers:
            if framework := self._server_app(file, read.source.data, graph):
                return f"a server starts the {framework} app that it makes"
        return _GUARDED if graph.has_guard(file) else ""

    def _server_app(self, file: str, data: bytes, graph: Imported) -> str:
        """The framework of the app that a module makes for a web server; empty if it makes none."""
        if file not in self._apps:
            skimmed = graph.skimmed(file)
            roots = {one.module.partition(".")[0] for one in skimmed.imported} if skimmed else set()
            found = None if roots.isdisjoint(_APP_MODULES) else _APP.search(data)
            self._apps[file] = found.group(1).decode() if found is not None else ""
        return self._apps[file]

    def _entry_point(self, file: str, facts: FileFacts, graph: Imported) -> str:
        """Why a file is an entry point; empty if it is none."""
        if not facts.reaches_gpu or self._tool_of(file):
            return ""
        if surely := self._surely_started(file, graph):
            if surely != _GUARDED or not facts.importers:
                return surely
            if _starts_something(facts) and graph.may_use_gpu(file):
                return surely
        if not facts.importers and (works := _work(facts)):
            return f"nothing imports it, and it calls {works}"
        return ""

    def standing(self, file: str, facts: FileFacts, graph: Imported) -> Standing:
        """What a file is, for what is demanded of it."""
        return Standing(
            self._entry_point(file, facts, graph),
            facts.reaches_gpu and not self._tool_of(file),
            self.called(file, graph),
        )

    def called(self, file: str, graph: Imported) -> tuple[str, ...]:
        """The functions of a file that installed commands call; empty for one that is not found."""
        return tuple(dict.fromkeys(call.function for call in self.scripts.calling(file, graph)))

    def _tool_of(self, file: str) -> str:
        """The tool that runs a file for its own purposes; empty for other files, and for those
        that the configuration names."""
        name, read = os.path.basename(file), self._reads.get(file)
        if name not in _RUN_BY_TOOLS or read is None or read.settings.names_entry_point(read.path):
            return ""
        tool, sign = _RUN_BY_TOOLS[name]
        return tool if sign.search(read.source.data) else ""

    def why(
        self, file: str, facts: FileFacts, graph: Imported, is_judged: bool, is_run: bool
    ) -> Why:
        """The answers for one file, given whether rules look into it, and whether it is run for
        them."""
        started, standing = self._started(file, graph), self.standing(file, facts, graph)
        has_policy = self.policy_of(file) is not None
        demands = "a policy is in force for it" if has_policy else "a rule may find something in it"
        return Why(
            may_be_started=f"yes, {started}"
            if started
            else f"no, {self._not_started(file, graph)}",
            entry_point=f"yes, {standing.entry_point}"
            if standing.entry_point
            else f"no, {self._no_entry_point(file, facts, started)}",
            gpu_file=self._reach(file, facts, graph),
            read=f"yes, {demands}" if is_judged else "no, no rule can find anything in it",
            run="yes, it may do something with a GPU or with a variable that decides about GPUs"
            if is_run
            else "no, its text alone tells all that rules ask of it",
            header=self._demanded(file, "header.required-in", standing),
            validation=self._demanded(file, "validation.required-in", standing),
        )

    def _not_started(self, file: str, graph: Imported) -> str:
        """Why a file may not be started."""
        for importer in graph.importers.get(file, ()):
            return f"{self.shown(importer)} imports it, and it has no main guard"
        name = os.path.basename(file)
        if name.startswith(_IMPORTED):
            runner = "a package is" if name.startswith("__init__") else "tests are"
            return f"{runner} imported, and it has no main guard"
        return "it has no main guard, and neither imports nor sets what matters to a GPU"

    def _no_entry_point(self, file: str, facts: FileFacts, started: str) -> str:
        """Why a file is no entry point."""
        if tool := self._tool_of(file):
            return f"{tool} runs it for its own purposes"
        if not facts.reaches_gpu:
            return f"{started}, but it reaches no GPU framework" if started else "it is not started"
        if facts.importers:
            guard = "it has no main guard"
            if started:
                idle = "uses no GPU" if _starts_something(facts) else "starts nothing"
                guard = f"its main guard {idle}"
            return f"{self.shown(facts.importers[0])} imports it, and {guard}"
        return "it has no main guard, and works with no GPU when it is run"

    def _reach(self, file: str, facts: FileFacts, graph: Imported) -> str:
        """Whether and why a file is a GPU file."""
        if tool := self._tool_of(file):
            return f"no, {tool} runs it for its own purposes"
        if way := graph.way_to_framework(file):
            *files, framework = way
            steps = [f"imports {self.shown(other)}, which " for other in files]
            return f"yes, it {''.join(steps)}imports {framework}"
        if facts.selectors:
            return "yes, it selects a device"
        if mentioned := graph.reached_frameworks(file):
            return (
                f"no, {min(mentioned)} is imported only in functions of what it imports, "
                "none of which it names"
            )
        return "no, neither it nor what it imports uses a framework that the rules know"

    def _demanded(self, file: str, key: str, standing: Standing) -> str:
        """Whether and why a file must have a header, or validation."""
        read, policy = self._reads[file], self.policy_of(file)
        if policy is None:
            return "not required, no policy is in force for it"
        is_header = key.startswith("header")
        where = (policy.header if is_header else policy.validation).required_in
        said = where if isinstance(where, str) else ", ".join(where)
        origin = read.settings.flat_for(read.path)[1].get(key, "the default")
        named = (
            matches(list(where), read.settings.relative(read.path))
            if isinstance(where, tuple)
            else standing.falls_under(where)
        )
        told = f"{key} = {said!r} ({origin.replace(os.path.join(self._finder.root, ''), '')})"
        if not named:
            return f"not required, {told}"
        if not is_header and not standing.gpu_file:
            return f"not required, it reaches no GPU; {told}"
        itself = "; the file must set the variables itself" if where in EACH_FILE else ""
        return f"required, {told}{itself * is_header}"

    def shown(self, file: str) -> str:
        """A file, or directory, as messages name it."""
        return os.path.relpath(file, self._finder.root).replace(os.sep, "/")

    # --- of what is asked --------------------------------------------------------------------

    def policy_of(self, file: str) -> Policy | None:
        """The policy in force for a file that is judged."""
        read = self._reads.get(file)
        return read.settings.policy_for(read.path) if read is not None else None

    def policy_at(self, file: str) -> Policy | None:
        """The policy in force for any path."""
        path = Path(file)
        return self._finder.for_file(path).policy_for(path)

    def matter_at_least(self, file: str) -> Matter:
        """What rules will ask of any file: without a policy, only what a set variable decides."""
        return _WITHOUT_POLICY if self.policy_of(file) is None else EVERYTHING

    def matter(self, file: str) -> Matter:
        """What rules will ask of a file: with a policy also whether a validator that it names is
        called."""
        if self._for_people:
            return _ALWAYS
        read, policy = self._reads.get(file), self.policy_of(file)
        if read is None or policy is None:
            return _WITHOUT_POLICY
        validation = policy.validation
        stems = [
            re.split(r"[*?\[]", name)[0] for name in (validation.function, *validation.functions)
        ]
        data = read_bytes(read.path) if read.is_on_disk else read.source.data
        return _ALWAYS if any(stem.encode() in data for stem in stems) else EVERYTHING

    def asks_itself(self, file: str) -> bool:
        """Whether a file must set the header's variables itself, even where another file of its
        process sets them."""
        policy = self.policy_of(file)
        return policy is not None and policy.header.required_in in EACH_FILE

    def may_need_validator(self, file: str, graph: Imported) -> bool:
        """Whether a file must have a validator although no main guard and no use of a GPU makes it
        an entry point."""
        policy = self.policy_of(file)
        if policy is None or policy.validation.required_in == "never":
            return False
        listed = policy.validation.required_in != "entry-points"
        return listed or bool(self._surely_started(file, graph))


def _starts_something(facts: FileFacts) -> bool:
    """Whether a main guard starts something."""
    guard = facts.layout.guard
    return guard is not None and guard.starts


def _work(facts: FileFacts) -> str:
    """The first call at module level that works with a GPU, and does not only ask about it."""
    works = (name for name in facts.module_calls if not _ASKS.fullmatch(name.rpartition(".")[2]))
    return next(works, "")
