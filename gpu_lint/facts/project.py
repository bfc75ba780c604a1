"""The project: what its files do to their GPU when they import and call one another.

It is made of readings alone, which come from one file each. A file that may be started runs
as the program, with the project's modules run where it imports them. A module that sets no
variable that matters is run once, alone; what importing it does elsewhere follows from that.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property
from itertools import count
from typing import NamedTuple

from gpu_lint.errors import SourceError
from gpu_lint.facts import program as p
from gpu_lint.facts.flow import Flow, join_marks
from gpu_lint.facts.imports import Imports, Located
from gpu_lint.facts.interpreter import Interpreter
from gpu_lint.facts.knowledge import Knowledge
from gpu_lint.facts.limits import deep_recursion
from gpu_lint.facts.model import (
    Certainty,
    CountTest,
    FileFacts,
    Mark,
    Reach,
    Selector,
    Setting,
    Trigger,
    Written,
)
from gpu_lint.facts.needles import Touch, needles_for
from gpu_lint.facts.reach import Reachability
from gpu_lint.facts.reading import Reading
from gpu_lint.facts.recorder import Recorder
from gpu_lint.facts.skim import Skimmed, Unskimmable, skim
from gpu_lint.facts.values import Key, any_of
from gpu_lint.facts.walk import statements
from gpu_lint.facts.world import Class, Function
from gpu_lint.source import Span

_WORTH_A_RUN = Touch.SETTINGS | Touch.DEVICES | Touch.CHILDREN | Touch.FORKS | Touch.FREEZES
_WORD = re.compile(rb"[A-Za-z_]\w*")
_BINDING = re.compile(rb"\s*(?:\w+\.)*(\w+)\s*(?::[^=]+)?=(?!=)")
_ATTRIBUTE = re.compile(rb"\.(\w+)\s*(?::[^=\n]+)?=(?!=)")
_DEEPEST_IMPORT = 60
_MOST_REPEATED = 500
"""Modules of an import cycle that are run again for each way into it; beyond, once is enough."""


class Matter(NamedTuple):
    """Which touches of a file somebody will ask about."""

    under_settings: Touch
    """In a process in which a variable may be set."""
    otherwise: Touch


EVERYTHING = Matter(~Touch.NOTHING, Touch.DEVICES | Touch.CHILDREN | Touch.FORKS | Touch.FREEZES)


class Project:
    """Files that run one another; :meth:`facts` tells what is known of each."""

    def __init__(
        self,
        knowledge: Knowledge,
        read: Callable[[str], Reading | None],
        files: Iterable[str],
        *,
        data: Callable[[str], bytes | None] | None = None,
        imports: Imports | None = None,
        is_entry_point: Callable[[str], bool] = lambda file: False,
        matters: Callable[[str], Matter] = lambda file: EVERYTHING,
    ) -> None:
        """``read`` gives the reading of any file, by its absolute path, or None; ``data`` its
        bytes; ``files`` are those that are known to belong together; ``is_entry_point`` knows
        those that the configuration names; ``matters`` what somebody will ask of each."""
        self.knowledge = knowledge
        self.needles = needles_for(knowledge)
        self.functions: dict[Key, Function] = {}
        self.classes: dict[Key, Class] = {}
        self.files = tuple(files)
        self.imports = imports or Imports(knowledge)
        self._read = read
        self._data = data or self._data_read
        self._configured = is_entry_point
        self._matters = matters
        self._readings: dict[str, Reading | None] = {}
        self._facts: dict[str, FileFacts] = {}
        self._edges: dict[str, dict[str, Span]] = {}
        self._skimmed: dict[str, Skimmed | None] = {}
        self._touches: dict[str, Touch] = {}
        self._reach = Reachability(self.edges)
        self._deciding: tuple[int, int] = (0, 0)
        self._frames = count()
        self._module_frames: dict[str, int] = {}
        self._summaries: dict[str, Flow] = {}
        self._in_progress: list[str] = []
        self._lowest = sys.maxsize
        self._repeated = 0
        self._runs: dict[str, Interpreter] = {}

    def updated(
        self,
        changed: frozenset[str],
        read: Callable[[str], Reading | None],
        data: Callable[[str], bytes | None],
        is_entry_point: Callable[[str], bool],
        matters: Callable[[str], Matter],
    ) -> Project:
        """The project after some files have changed; what does not touch them is kept."""
        other = Project(
            self.knowledge,
            read,
            self.files,
            data=data,
            imports=self.imports,
            is_entry_point=is_entry_point,
            matters=matters,
        )
        other.functions, other.classes = self.functions, self.classes
        other._frames, other._module_frames = self._frames, self._module_frames
        other._readings = {f: r for f, r in self._readings.items() if f not in changed}
        other._edges = {f: e for f, e in self._edges.items() if f not in changed}
        other._skimmed = {f: s for f, s in self._skimmed.items() if f not in changed}
        for file in self._summaries.keys() | self._runs.keys():
            if changed.isdisjoint(self.closure(file)):
                if file in self._summaries:
                    other._summaries[file] = self._summaries[file]
                if file in self._runs:
                    other._runs[file] = self._runs[file]
        return other

    def affected_by(self, changed: frozenset[str]) -> frozenset[str]:
        """The files whose facts may differ when others change."""
        found = {file for file in self.files if not changed.isdisjoint(self.closure(file))}
        for start in self.starts:
            if start in found:
                found |= self.closure(start)
        return frozenset(found)

    # --- the world of a run --------------------------------------------------------------

    def reading(self, file: str) -> Reading | None:
        if file not in self._readings:
            self._readings[file] = self._read(file)
        return self._readings[file]

    def locate(self, importer: str, module: str, level: int) -> tuple[Located, ...]:
        return self.imports.locate(importer, module, level)

    def submodule(self, file: str, name: str) -> str | None:
        return self.imports.submodule(file, name)

    def words_in(self, function: Function) -> frozenset[bytes]:
        return self._text_of(function)[1]

    def is_concerned(self, function: Function) -> bool:
        return self._text_of(function)[0]

    def _text_of(self, function: Function) -> tuple[bool, frozenset[bytes]]:
        """What a function's text says: whether it may do something, and its words."""
        span = function.node.span
        reading = self.reading(function.file)
        assert reading is not None
        if span not in reading.texts:
            text = reading.source.data[span.start : span.end]
            words = frozenset(_WORD.findall(text))
            bound, used = self._names_beside(reading)
            concerned = (
                self.needles.concerns(text)
                or not words.isdisjoint(bound)
                or not used.isdisjoint(_ATTRIBUTE.findall(text))
                or (b"global" in words and not used.isdisjoint(words))
            )
            reading.texts[span] = concerned, words
        return reading.texts[span]

    def _names_beside(self, reading: Reading) -> tuple[frozenset[bytes], frozenset[bytes]]:
        """The names that a file binds, and all that it mentions, on lines that may do
        something."""
        if reading.beside is None:
            lines = reading.source.data.splitlines()
            lines = [line for line in lines if self.needles.concerns(line)]
            bound = frozenset(m.group(1) for line in lines if (m := _BINDING.match(line)))
            used = frozenset(word for line in lines for word in _WORD.findall(line))
            reading.beside = bound, used
        return reading.beside

    def frame_of(self, file: str) -> int:
        if file not in self._module_frames:
            self._module_frames[file] = next(self._frames)
        return self._module_frames[file]

    def new_frame(self) -> int:
        return next(self._frames)

    def decides(self, file: str) -> bool:
        """Whether a file, or what it imports, mentions a variable that decides about GPUs."""
        mask = self._reach.mask(file)
        known, deciding = self._deciding
        for other in self._reach.names(mask & ~known):
            deciding |= self._mentions(other) * self._reach.bit(other)
        self._deciding = known | mask, deciding
        return bool(mask & deciding)

    def _mentions(self, file: str) -> bool:
        data = self._data(file)
        if data is None or not self.needles.settings(data) & Touch.SETTINGS:
            return False
        reading = self.reading(file)
        return reading is not None and reading.decides

    def summary(self, file: str) -> Flow | None:
        if file in self._summaries:
            return self._summaries[file]
        depth = len(self._in_progress)
        reading = self.reading(file)
        if reading is None:
            return None
        if file in self._in_progress or depth >= _DEEPEST_IMPORT:
            met = self._in_progress.index(file) if file in self._in_progress else depth - 1
            self._lowest = min(self._lowest, met)
            return None
        self._in_progress.append(file)
        run = Interpreter(self, file, reading)
        flow = run.run_as_module()
        self._in_progress.pop()
        self.functions.update(run.functions)
        self.classes.update(run.classes)
        whole = self._lowest >= depth
        if whole:
            self._lowest = sys.maxsize
        self._repeated += not whole
        if whole or self._repeated > _MOST_REPEATED:
            self._summaries[file] = flow
        return flow

    # --- the import graph ----------------------------------------------------------------

    def skimmed(self, file: str) -> Skimmed | None:
        """What can be told of a file without reading it properly; None if it cannot be read."""
        if file not in self._skimmed:
            self._skimmed[file] = self._skim(file)
        return self._skimmed[file]

    def _skim(self, file: str) -> Skimmed | None:
        data = self._data(file)
        if data is None:
            return None
        try:
            return skim(data)
        except Unskimmable:
            reading = self.reading(file)
            if reading is None:
                return None
            guard = reading.layout.guard is not None
            return Skimmed(reading.imported, guard)

    def touch(self, file: str) -> Touch:
        """What a file may do by its text."""
        if file not in self._touches:
            data = self._data(file)
            self._touches[file] = Touch.NOTHING if data is None else self.needles.touch(data)
        return self._touches[file]

    def _data_read(self, file: str) -> bytes | None:
        reading = self.reading(file)
        return reading.source.data if reading is not None else None

    def edges(self, file: str) -> dict[str, Span]:
        """The project's files that a file's own imports run, wherever in it they stand, each
        with the first such place."""
        if file not in self._edges:
            skimmed = self.skimmed(file)
            found: dict[str, Span] = {}
            for module, level, name, span in skimmed.imported if skimmed is not None else ():
                located = self.locate(file, module, level)
                for part in located:
                    if not part.is_namespace:
                        found.setdefault(part.file, span)
                if located and name:
                    submodule = self.submodule(located[-1].file, name)
                    if submodule is not None and submodule.endswith(".py"):
                        found.setdefault(submodule, span)
            found.pop(file, None)
            self._edges[file] = found
        return self._edges[file]

    def closure(self, file: str) -> frozenset[str]:
        """A file and everything of the project that it may import, directly or not."""
        return self._reach.closure(file)

    def frameworks(self, file: str) -> frozenset[str]:
        """The frameworks that a file's own imports bring in."""
        skimmed = self.skimmed(file)
        return frozenset(
            framework.name
            for module, _, _, _ in (skimmed.imported if skimmed is not None else ())
            if (framework := self.knowledge.framework_of(module)) is not None
        )

    @cached_property
    def _users(self) -> dict[str, int]:
        """The files that bring each framework in, as bits."""
        everything = 0
        for file in self.files:
            everything |= self._reach.mask(file)
        found: dict[str, int] = {}
        for file in self._reach.names(everything):
            for name in self.frameworks(file):
                found[name] = found.get(name, 0) | self._reach.bit(file)
        return found

    def reached_frameworks(self, file: str) -> frozenset[str]:
        """The frameworks that a file, or what it imports, brings in."""
        mask = self._reach.mask(file)
        return frozenset(name for name, users in self._users.items() if users & mask)

    @cached_property
    def importers(self) -> dict[str, tuple[str, ...]]:
        """The files that import each file."""
        found: dict[str, list[str]] = {}
        for file in self.files:
            for other in self.edges(file):
                found.setdefault(other, []).append(file)
        return {file: tuple(sorted(others)) for file, others in found.items()}

    @cached_property
    def starts(self) -> tuple[str, ...]:
        """The files that are started as programs, as far as can be told."""
        return tuple(file for file in self.files if self.is_start(file))

    def is_start(self, file: str) -> bool:
        """Whether a file is started: by its guard, by name, or because it does something
        with a GPU at module level and nothing imports it."""
        skimmed = self.skimmed(file)
        if skimmed is None:
            return False
        if self._configured(file) or self._has_guard(file, skimmed):
            return True
        name = os.path.basename(file)
        if file in self.importers or name.startswith(("test_", "conftest", "__init__")):
            return False
        return bool(self.frameworks(file)) or self._mentions(file) or bool(self.edges(file))

    def _has_guard(self, file: str, skimmed: Skimmed) -> bool:
        if skimmed.guard is not None:
            return skimmed.guard
        reading = self.reading(file)
        return reading is not None and reading.layout.guard is not None

    # --- facts ---------------------------------------------------------------------------

    def facts(self, file: str) -> FileFacts:
        """Everything that is known of a file.

        Raises :class:`gpu_lint.errors.SourceError` for one that cannot be followed.
        """
        if file not in self._facts:
            self._facts[file] = self._find_facts(file)
        return self._facts[file]

    def _find_facts(self, file: str) -> FileFacts:
        reading = self.reading(file)
        if reading is None:
            raise SourceError("cannot be read")
        if not self._may_do_something(file):
            return FileFacts(
                reading=reading,
                file=file,
                reached_frameworks=self.reached_frameworks(file),
                importers=self.importers.get(file, ()),
            )
        run = self.run(file)
        own = run.recorders[file]
        arrivals = [self.run(start) for start in self._starts_that_matter(file)]
        there = [found for other in arrivals if (found := other.recorders.get(file))]
        is_start = self.is_start(file) or not there
        end = run.imported_end or Flow()
        return FileFacts(
            reading=reading,
            file=file,
            at_first_use=tuple(
                (variable, tuple(sorted(held, key=repr)))
                for variable, held in sorted(own.at_first_use.items())
            ),
            settings=_with_peers(list(own.settings.values()), own, reading.program),
            reached_settings=_with_peers(_reached(own, there, is_start), own, reading.program),
            selectors=_selectors(own, there, is_start),
            count_tests=_count_tests(own, there, is_start),
            calls=tuple(sorted(own.calls.values(), key=lambda call: call.span)),
            module_freeze=_own_freeze(end.frozen, file),
            children=tuple(sorted(own.children.values(), key=lambda child: child.span)),
            reached_frameworks=self.reached_frameworks(file),
            importers=self.importers.get(file, ()),
        )

    def _may_do_something(self, file: str) -> bool:
        """Whether a run of a file can tell more than its text: it, or its process, may set,
        select, count or start something, or use a GPU at module level."""
        touch, matters = self.touch(file), self._matters(file)
        if touch & matters.otherwise:
            return True
        if not touch & matters.under_settings:
            return False
        return self.decides(file) or bool(self._reach.bit(file) & self._bits_under_settings)

    def _starts_that_matter(self, file: str) -> list[str]:
        """The other programs that may run a file, and add to what is known of it.

        Where no variable is set, that is only what they hand to its functions themselves.
        """
        return [s for s in self.starts_reaching(file) if self.decides(s) or self._hands(s, file)]

    def _hands(self, start: str, file: str) -> bool:
        """Whether a file imports another, or gets it from a package that does."""
        return any(
            other == file or (other.endswith("__init__.py") and file in self.edges(other))
            for other in self.edges(start)
        )

    def files_under_settings(self) -> list[str]:
        """The files that run in a process in which a variable may be set."""
        return self._reach.names(self._bits_under_settings)

    @cached_property
    def _bits_under_settings(self) -> int:
        together = 0
        for file in self.files:
            if self.decides(file):
                together |= self._reach.mask(file)
        return together

    def starts_reaching(self, file: str) -> list[str]:
        """The other files that, started as programs, may run a file."""
        bit = self._reach.bit(file)
        return [s for s in self.starts if s != file and self._reach.mask(s) & bit]

    def run(self, file: str) -> Interpreter:
        """The run of a file as the program."""
        if file not in self._runs:
            reading = self.reading(file)
            assert reading is not None
            with deep_recursion():
                run = self._start(file, reading)
                run.run()
                if run.attributes_changed:
                    again = self._start(file, reading)
                    again.adopt_attributes(run)
                    again.run()
                    run = again
            self._runs[file] = run
        return self._runs[file]

    def _start(self, file: str, reading: Reading) -> Interpreter:
        follow = self.is_start(file) and self.decides(file)
        return Interpreter(self, file, reading, follow_imports=follow)


def _own_freeze(mark: Mark, file: str) -> Trigger | None:
    """What froze CUDA, if the file's own module-level code surely did."""
    trigger = mark.trigger
    if mark.certainty is not Certainty.ALWAYS or trigger is None:
        return None
    step = trigger.seen_from(file)
    return trigger if step is not None and (step is trigger or not step.is_import) else None


def _reached(own: Recorder, there: list[Recorder], is_start: bool) -> list[Setting]:
    """The settings of a file, as they are reached from its entry points."""
    result = []
    for key, setting in own.settings.items():
        arrivals = [found for other in there if (found := other.settings.get(key))]
        arrivals = [found for found in arrivals if found.reach is not Reach.UNCALLED]
        ways = [setting, *arrivals] if is_start and setting.reach else arrivals or [setting]
        if len(ways) == 1 and ways[0] is setting:
            result.append(setting)
            continue
        first = ways[0]
        result.append(
            replace(
                first,
                value=None if first.value is None else any_of(w.value for w in ways if w.value),
                reach=max(way.reach for way in ways),
                frozen=_common([way.frozen for way in ways if not way.harmless]),
                allocated=_common([way.allocated for way in ways if not way.harmless]),
                imported=_common([way.imported for way in ways if not way.harmless]),
                imported_here=first.imported_here,
                before=_union(way.before for way in ways),
                undisturbed=all(way.undisturbed for way in ways),
            )
        )
    return result


def _common(marks: list[Mark]) -> Mark:
    """What all ways to a place have in common."""
    if not marks or any(mark.certainty is Certainty.NEVER for mark in marks):
        return Mark()
    result = marks[0]
    for mark in marks[1:]:
        result = join_marks(result, mark)
    return result


def _selectors(own: Recorder, there: list[Recorder], is_start: bool) -> tuple[Selector, ...]:
    """The selectors of a file, under the masks of whoever runs it."""
    found = dict(own.selectors)
    for key in {key for other in there for key in other.selectors}:
        ways = [other.selectors[key] for other in there if key in other.selectors]
        ways = [*ways, own.selectors[key]] if is_start and key in own.selectors else ways
        found[key] = replace(
            ways[0],
            indices=tuple(dict.fromkeys(index for way in ways for index in way.indices)),
            count=max(way.count for way in ways),
            masks=_union(way.masks for way in ways),
            needs=min(way.needs for way in ways),
            complete=all(way.complete for way in ways),
            reach=max(way.reach for way in ways),
            inputs=tuple(dict.fromkeys(value for way in ways for value in way.inputs)),
        )
    return tuple(sorted(found.values(), key=lambda selector: (selector.span, selector.api)))


def _count_tests(own: Recorder, there: list[Recorder], is_start: bool) -> tuple[CountTest, ...]:
    found = dict(own.count_tests)
    for span, test in own.count_tests.items():
        ways = [other.count_tests[span] for other in there if span in other.count_tests]
        if ways:
            masks = _union(way.masks for way in ([*ways, test] if is_start else ways))
            found[span] = replace(test, masks=masks)
    return tuple(sorted(found.values(), key=lambda test: test.span))


def _union(several: Iterable[tuple[Written, ...]]) -> tuple[Written, ...]:
    return tuple(sorted({written for one in several for written in one}, key=repr))


def _with_peers(
    settings: list[Setting], recorder: Recorder, program: p.Program
) -> tuple[Setting, ...]:
    """The settings in source order, each told how many its statement makes."""
    sizes: dict[Span, int] = {}
    bodies = [s.span for s in statements(program.body) if isinstance(s, p.Function)]
    for span, _ in recorder.settings:
        sizes[span] = sizes.get(span, 0) + 1
    return tuple(
        replace(
            setting,
            peers=sizes[setting.span] if setting.peers else 0,
            imports_framework_later=any(
                setting.span in body and trigger.span in body and trigger.span > setting.span
                for body in bodies
                for trigger in recorder.frameworks.values()
            ),
        )
        for setting in sorted(settings, key=lambda s: (s.span, s.key_span))
    )
