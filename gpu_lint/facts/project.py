"""The project: what its files do to their GPU when they import and call one another.

It is made of readings alone, which come from one file each. A file that may be started runs
as the program, with the project's modules run where it imports them. A module that sets no
variable that matters is run once, alone; what importing it does elsewhere follows from that.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any

from gpu_lint.errors import SourceError
from gpu_lint.facts.arrivals import (
    children,
    count_tests,
    known_names,
    module_calls,
    own_freeze,
    reached_settings,
    selectors,
    with_peers,
)
from gpu_lint.facts.demands import EVERYTHING, Demands, Matter
from gpu_lint.facts.dotenv import dotenv_paths, entries_of
from gpu_lint.facts.filefacts import FileFacts
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.importgraph import ImportGraph
from gpu_lint.facts.imports import Imports
from gpu_lint.facts.interpreter import Interpreter
from gpu_lint.facts.knowledge import Knowledge
from gpu_lint.facts.launched import Launched
from gpu_lint.facts.limits import deep_recursion
from gpu_lint.facts.mentions import Mentions
from gpu_lint.facts.model import INHERITED, Child, Form, Written, in_order
from gpu_lint.facts.programrun import ProgramRun, unpacked
from gpu_lint.facts.reading import Reading
from gpu_lint.facts.recorder import Recorder
from gpu_lint.facts.touch import Touch
from gpu_lint.facts.values import Key, Pairs
from gpu_lint.facts.words import words_of
from gpu_lint.facts.world import Class, Function
from gpu_lint.source import Span

if TYPE_CHECKING:
    from gpu_lint.facts.summaries import Summary
    from gpu_lint.notes import Note

_DEFINED = re.compile(rb"\b(?:def|class)[ \t]+(?!__)(\w+)")
_DEVICES = Touch.DEVICES | Touch.HANDED | Touch.PASSED
_FROM_OTHERS = _DEVICES | Touch.SETTINGS | Touch.ENVIRONMENT | Touch.NUMBERING
"""What a file shows of which other programs may tell more."""
_CALLING = re.compile(rb"^(?!print\b)[A-Za-z_][\w.]*\(", re.M)
"""A statement at module level that is a call."""
_COUNTING = b"device_count"
_ONLY_VALUES = 16_384
"""Bytes: a module no longer than this may be one that others take their settings from."""
_DEEPEST_IMPORT = 60
_UNSET = frozenset({INHERITED})


class Project(ImportGraph):
    """Files that run one another; :meth:`facts` tells what is known of each."""

    def __init__(
        self,
        knowledge: Knowledge,
        read: Callable[[str], Reading | None],
        files: Iterable[str],
        *,
        data: Callable[[str], bytes | None] | None = None,
        note: Callable[[str], Note | None] = lambda file: None,
        imports: Imports | None = None,
        demands: Demands | None = None,
        outline: Callable[[str], Reading | None] = lambda file: None,
        header: Callable[[bytes], Span | None] = lambda data: None,
    ) -> None:
        """``read`` gives the reading of any file, by its absolute path, or None; ``data`` its
        bytes; ``note`` what is kept of it; ``files`` are those that are known to belong together;
        ``demands`` tells what is asked of each; ``outline`` gives the reading of a file without its
        functions, where that will do for one that does nothing; ``header`` finds in a file's bytes
        the header that all files have alike."""
        super().__init__(
            lambda: knowledge,
            read,
            files,
            data=data,
            note=note,
            imports=imports,
            demands=demands,
            header=header,
        )
        self.functions: dict[Key, Function] = {}
        self.classes: dict[Key, Class] = {}
        self._read_outline = outline
        self._outlines: dict[str, Reading | None] = {}
        self._facts: dict[str, FileFacts] = {}
        self._may_do: dict[str, bool] = {}
        self._words_of: dict[str, frozenset[bytes]] = {}
        self._defined_in: dict[str, frozenset[bytes]] = {}
        self._frames = count()
        self._frames_of: dict[object, list[int]] = {}
        self.summaries: dict[object, list[Summary]] = {}
        self._module_frames: dict[str, int] = {}
        self._summaries: dict[str, Flow] = {}
        self._in_progress: list[str] = []
        self._lowest = sys.maxsize
        self._unfinished: dict[str, tuple[Flow, int]] = {}
        """The summaries of modules that import, in a cycle, one that is being run; with how deep
        that one is among those in progress."""
        self._runs: dict[str, ProgramRun] = {}
        self.launched = Launched(self, self.run)
        self.packed_runs: dict[str, bytes] = {}
        """Of programs that have been run by other processes, what they tell."""

    def take_over(self, other: Project, changed: frozenset[str]) -> None:
        """Keep what another project found out that does not touch files which have changed."""
        self.adopt(other, changed)
        self.functions, self.classes = other.functions, other.classes
        self._frames, self._module_frames = other._frames, other._module_frames
        touched = self._reach.bits(changed)
        kept: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
            (self._summaries, other._summaries),
            (self._runs, other._runs),
            (self.packed_runs, other.packed_runs),
        )
        for ours, theirs in kept:
            for file, found in theirs.items():
                if not self._reach.mask(file) & touched:
                    ours[file] = found

    def affected_by(self, changed: frozenset[str]) -> frozenset[str]:
        """The files whose facts may differ when others change."""
        touched = self._reach.bits(changed)
        found = [
            file
            for file in self.files
            if self._reach.mask(file) & touched
            or any(self._reach.mask(one) & touched for one in self.launched.mentioned(file))
        ]
        together = self._reach.bits(found)
        for start in frozenset(self.starts).intersection(found):
            together |= self._reach.mask(start)
        return frozenset(self._reach.names(together))

    # --- the world of a run --------------------------------------------------------------

    def words_in(self, function: Function) -> frozenset[bytes]:
        return self._mentions_in(function.file).words(function.node.span)

    def variables_in(self, function: Function) -> tuple[str, ...]:
        reading = self.reading(function.file)
        assert reading is not None
        if not reading.mentioned_variables:
            return ()
        words = self.words_in(function)
        return tuple(one for one in reading.mentioned_variables if one.encode() in words)

    def mentions_gpu(self, function: Function) -> bool:
        return self._mentions_in(function.file).gpu(function.node.span)

    def selects(self, file: str, span: Span) -> bool:
        return self._mentions_in(file).selects(span)

    def does_something(self, file: str, span: Span) -> bool:
        return self._mentions_in(file).does_something(span)

    def _mentions_in(self, file: str) -> Mentions:
        reading = self.reading(file)
        assert reading is not None
        return reading.mentions

    def frame_of(self, file: str) -> int:
        if file not in self._module_frames:
            self._module_frames[file] = next(self._frames)
        return self._module_frames[file]

    def new_frame(self) -> int:
        return next(self._frames)

    def frame_in(self, part: object, number: int) -> int:
        frames = self._frames_of.setdefault(part, [])
        while len(frames) <= number:
            frames.append(next(self._frames))
        return frames[number]

    def dotenv(self, file: str) -> Pairs | None:
        for path in dotenv_paths(file, self.imports.home):
            if os.path.isfile(path) and (data := self.data(path)) is not None:
                return entries_of(data)
        return None

    def called_by_commands(self, file: str) -> tuple[str, ...]:
        return self._demands.called(file, self)

    def may_matter(self, file: str) -> bool:
        data = self.data(file)
        if data is None or len(data) <= _ONLY_VALUES:
            return True
        return bool(self.touch(file) & (EVERYTHING.otherwise | Touch.HANDED | Touch.NEAR))

    def summary(self, file: str) -> Flow | None:
        if file in self._summaries:
            return self._summaries[file]
        if file in self._unfinished:
            flow, met = self._unfinished[file]
            self._lowest = min(self._lowest, met)
            return flow
        depth = len(self._in_progress)
        reading = self.reading(file)
        if reading is None:
            return None
        if file in self._in_progress or depth >= _DEEPEST_IMPORT:
            met = self._in_progress.index(file) if file in self._in_progress else depth - 1
            self._lowest = min(self._lowest, met)
            return None
        self._in_progress.append(file)
        outer, self._lowest = self._lowest, sys.maxsize
        run = Interpreter(self, file, reading)
        flow = run.run_as_module()
        self._in_progress.pop()
        self.functions.update(run.functions)
        self.classes.update(run.classes)
        met, self._lowest = self._lowest, outer
        for one in [one for one, (_, other) in self._unfinished.items() if other >= depth]:
            del self._unfinished[one]
        if met >= depth:
            self._summaries[file] = flow
        else:
            self._unfinished[file] = flow, met
            self._lowest = min(outer, met)
        return flow

    # --- facts ---------------------------------------------------------------------------

    def facts(self, file: str) -> FileFacts:
        """Everything that is known of a file.

        Raises :class:`gpu_lint.errors.SourceError` for one that cannot be followed.
        """
        if file not in self._facts:
            self._facts[file] = self._find_facts(file)
        return self._facts[file]

    def outline(self, file: str) -> Reading | None:
        """The reading of a file without its functions, if that is all that will be asked for."""
        if self.may_do_something(file):
            return None
        if file not in self._outlines:
            self._outlines[file] = self._read_outline(file)
        return self._outlines[file]

    def _find_facts(self, file: str) -> FileFacts:
        reading = self.outline(file) or self.reading(file)
        if reading is None:
            raise SourceError("cannot be read")
        if not self.may_do_something(file):
            own = self._run_of_header(file, reading)
            settings = with_peers(list(own.settings.values()), own, reading.program)
            return FileFacts(
                reading=reading,
                file=file,
                at_first_use=self._held_at_first_use(file, reading, own, follows=False),
                settings=settings,
                reached_settings=settings,
                reached_frameworks=self.loading.frameworks(file),
                importers=self.importers.get(file, ()),
            )
        run = self.run(file)
        own = run.recorders[file]
        arrivals = [
            self.run(start)
            for start in self._others_that_add(own, file)
            if self.reading(start) is not None  # it may have a syntax error
        ]
        there = [found for other in arrivals if (found := other.recorders.get(file))]
        follows = self.may_be_started(file)
        is_start = follows or not there
        ways = [other for other in arrivals if file in other.recorders]
        ways += [run] if is_start else []
        reached = reached_settings(own, there, is_start)
        possible = [one for one in reached if one.form is Form.POSSIBLE]
        return FileFacts(
            reading=reading,
            file=file,
            at_first_use=self._held_at_first_use(file, reading, own, follows=follows),
            settings=with_peers(known_names(own.settings.values()), own, reading.program),
            reached_settings=with_peers(known_names(reached), own, reading.program),
            possible_settings=with_peers(possible, own, reading.program),
            selectors=selectors(own, there, is_start),
            crossings=tuple(sorted(own.crossings.values(), key=lambda found: found.span)),
            fallbacks=tuple(sorted(own.fallbacks.values(), key=lambda found: found.span)),
            count_tests=count_tests(own, there, is_start),
            calls=tuple(sorted(own.calls.values(), key=lambda call: call.span)),
            module_freeze=own_freeze(run.imported.frozen, file),
            module_calls=module_calls(own, run),
            may_inherit_mask=any(INHERITED in way.end.masks for way in ways),
            ends=(run.end, run.imported)[: 1 + bool(own.children)] if is_start else (),
            is_for_one_machine=own.is_for_one_machine,
            children=self._children(file, own, there, is_start),
            reached_frameworks=self.loading.frameworks(file),
            importers=self.importers.get(file, ()),
        )

    def _children(
        self, file: str, own: Recorder, there: list[Recorder], is_start: bool
    ) -> tuple[Child, ...]:
        started = children(own, there, is_start)
        return tuple(self.launched.completed(file, child) for child in started)

    def _others_that_add(self, own: Recorder, file: str) -> list[str]:
        """The other programs that may add to what the run of a file as the program tells of it.

        Where no variable is set, those that are run anyway may call a function of the file that
        compares the number of devices."""
        adds = own.settings or own.count_tests or own.children or own.writes_any_name
        if not adds and not self.touch(file) & _DEVICES:
            return []
        found = self.starts_that_matter(file)
        asked = self._demands.matter(file).otherwise & Touch.DEVICES
        if asked and _COUNTING in (self.data(file) or b""):
            found += [
                start
                for start in self.starts_reaching(file)
                if start not in found
                and self.may_do_something(start)
                and self._names_part_of(start, file)
            ]
        return found

    def _held_at_first_use(
        self, file: str, reading: Reading, own: Recorder, *, follows: bool
    ) -> tuple[tuple[str, tuple[Written, ...]], ...]:
        """What the header variables may hold when a GPU is first used. Where the file must set
        them itself, it must have done so by then, and hold then what it should, however that came
        about: the run as the program tells of the latter where it ``follows`` imports in place."""
        held: Mapping[str, frozenset[Written]] = own.at_first_use
        by_others = any(one.file not in ("", file) for several in held.values() for one in several)
        if self._demands.asks_itself(file) and (by_others or not follows) and self.is_helped(file):
            run = Interpreter(self, file, reading, follow_imports=True, by_itself=True)
            with deep_recursion():
                itself = run.held_by_itself()
            if not follows:
                held = itself
            else:
                held = {
                    name: held.get(name, _UNSET) | itself.get(name, _UNSET)
                    for name in held.keys() | itself.keys()
                }
        return tuple((name, in_order(held[name])) for name in sorted(held))

    def _run_of_header(self, file: str, reading: Reading) -> Recorder:
        """What a file that does nothing else sets in the header that all files have alike."""
        header = self.header(file)
        if header is None:
            return Recorder()
        run = Interpreter(self, file, reading.until(header.end))
        with deep_recursion():
            run.run()
        return run.recorders[file]

    def forget(self, file: str) -> None:
        """Let go of a file that no other will ask about, to save memory."""
        self._outlines.pop(file, None)
        if self._reach.bit(file) & self._bits_under_settings or self.touch(file) & _DEVICES:
            return
        for kept in (self._readings, self._facts, self._runs):
            kept.pop(file, None)

    def may_do_something(self, file: str) -> bool:
        """Whether a run of a file can tell more than its text: it, or its process, may set,
        select, count or start something, or use a GPU at module level."""
        if file not in self._may_do:
            self._may_do[file] = self.does_what_matters(file, self._demands.matter(file))
        return self._may_do[file]

    def does_what_matters(self, file: str, matters: Matter) -> bool:
        """Whether a file, or its process, may do something of what somebody will ask about."""
        touch = self.touch(file)
        if touch & matters.otherwise & ~Touch.PASSED:
            return True
        if matters.otherwise & Touch.FREEZES and self._calls_at_once(file):
            return True
        if matters.otherwise & Touch.DEVICES:
            if touch & Touch.HANDED and self._starts_that_hand(file):
                return True
            if self.is_handed(file, everywhere=True):
                return True
        under_settings = matters.under_settings & ~Touch.PASSED
        if touch & under_settings & Touch.DEVICES and touch & Touch.SETTINGS:
            return True  # the mask that it reads may be the device that it names
        if not touch & under_settings and not self.is_handed(file, everywhere=False):
            return False
        return self.decides(file) or bool(self._reach.bit(file) & self._bits_under_settings)

    def _calls_at_once(self, file: str) -> bool:
        """Whether a program calls something at module level, in a statement of its own, and what it
        imports uses a framework: ``lib.main()`` may do all the work."""
        if not self.may_be_started(file) or not self.reached_frameworks(file):
            return False
        data = self.data(file)
        return data is not None and _CALLING.search(data) is not None

    def starts_asked_for(self, file: str) -> list[str]:
        """The other programs that are most likely run when it is asked what a file does."""
        touch = self.touch(file) if self.may_do_something(file) else Touch.NOTHING
        return self.starts_that_matter(file) if touch & _FROM_OTHERS else []

    def starts_that_matter(self, file: str) -> list[str]:
        """The other programs that may run a file, and add to what is known of it.

        Where no variable is set, that is only what they hand to its functions themselves.
        """
        wanted = self._starts_that_decide.union(self._starts_that_hand(file))
        return [s for s in (self.starts_reaching(file) if wanted else ()) if s in wanted]

    @cached_property
    def _starts_that_decide(self) -> frozenset[str]:
        return frozenset(filter(self.decides, self.starts))

    def _starts_that_hand(self, file: str) -> list[str]:
        """The other programs that may hand a device to what a file does with it."""
        if not self.touch(file) & _DEVICES:
            return []
        starts = self.starts_reaching(file)
        if not starts:
            return []
        own = self._reach.bit(file)
        giving = self.numbers.starts_giving(file)
        return [
            start
            for start in starts
            if start in giving
            or self.naming_devices(self._reach.mask(start) & ~own)
            or (self.touch(start) & Touch.DEVICES and self._names_part_of(start, file))
        ]

    def _names_part_of(self, start: str, file: str) -> bool:
        """Whether a program imports a file, or gets it from a package that does, and names
        something of it."""
        near = any(
            other == file or (other.endswith("__init__.py") and file in self.edges(other))
            for other in self.edges(start)
        )
        return near and not self._words(start).isdisjoint(self._defined(file))

    def _words(self, file: str) -> frozenset[bytes]:
        """Every word of a file's text."""
        if file not in self._words_of:
            self._words_of[file] = words_of(self.data(file) or b"")
        return self._words_of[file]

    def _defined(self, file: str) -> frozenset[bytes]:
        """The names of a file's functions and classes."""
        if file not in self._defined_in:
            self._defined_in[file] = frozenset(_DEFINED.findall(self.data(file) or b""))
        return self._defined_in[file]

    def run(self, file: str) -> ProgramRun:
        """The run of a file as the program."""
        if file not in self._runs:
            packed = self.packed_runs.get(file)
            self._runs[file] = self._run(file) if packed is None else unpacked(packed)
        return self._runs[file]

    def is_cut_short(self, file: str) -> bool:
        """Whether a file was run as the program, and followed in part."""
        run = self._runs.get(file)
        return run is not None and run.cut_short

    def _run(self, file: str) -> ProgramRun:
        reading = self.reading(file)
        assert reading is not None
        with deep_recursion():
            run = self._start(file, reading)
            run.run()
            if run.is_to_be_repeated:
                again = self._start(file, reading)
                again.adopt_attributes(run)
                again.run()
                run = again
        return run.told()

    def _start(self, file: str, reading: Reading) -> Interpreter:
        follow = self.may_be_started(file) and self.decides(file)
        return Interpreter(self, file, reading, follow_imports=follow)
