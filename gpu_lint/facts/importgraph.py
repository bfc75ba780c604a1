"""The import graph: which file of the project runs which, told without running any."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from gpu_lint.errors import SourceError
from gpu_lint.facts.demands import Demands, NoDemands
from gpu_lint.facts.handednumbers import HandedNumbers
from gpu_lint.facts.imports import Imports, Located
from gpu_lint.facts.knowledge import Knowledge
from gpu_lint.facts.limits import deep_recursion
from gpu_lint.facts.listing import DEEP_MODULES, MODULES
from gpu_lint.facts.reach import Reachability
from gpu_lint.facts.skimmed import BEFORE_ALL, Imported, Skimmed
from gpu_lint.facts.touch import Touch
from gpu_lint.source import Span

if TYPE_CHECKING:
    from gpu_lint.facts.loading import Loading
    from gpu_lint.facts.needles import Needles
    from gpu_lint.facts.reading import Reading
    from gpu_lint.notes import Note


class ImportGraph:
    """Files that import one another, and what follows of each from those it may reach."""

    def __init__(
        self,
        know: Callable[[], Knowledge],
        read: Callable[[str], Reading | None],
        files: Iterable[str],
        *,
        data: Callable[[str], bytes | None] | None = None,
        note: Callable[[str], Note | None] = lambda file: None,
        imports: Imports | None = None,
        demands: Demands | None = None,
        header: Callable[[bytes], Span | None] = lambda data: None,
    ) -> None:
        """``know`` gives what is known of frameworks, when it is needed; ``read`` the reading of
        any file, by its absolute path, or None; ``data`` its bytes; ``note`` what is kept of it;
        ``files`` are those that are known to belong together;
        ``demands`` tells what is asked of each; ``header`` finds in a file's bytes the header that
        all files have alike."""
        self._know = know
        self.files = tuple(files)
        if imports is not None:
            self.imports = imports
        self._read = read
        self.data = data or self._data_read
        self._note = note
        self._demands = demands or NoDemands()
        self._find_header = header
        self._headers: dict[str, Span | None] = {}
        self._mentioning: dict[str, bool] = {}
        self._readings: dict[str, Reading | None] = {}
        self.all_edges: dict[str, dict[str, Span]] = {}
        """The edges that are known already, of each file."""
        self._skimmed: dict[str, Skimmed | None] = {}
        self._touches: dict[str, Touch] = {}
        self._reach = Reachability(self.edges)
        self._deciding: tuple[int, int] = (0, 0)
        self._setting: tuple[int, int] = (0, 0)
        self._naming: tuple[int, int] = (0, 0)
        """The files that were asked whether they name a device, and those that do, as bits."""

    @cached_property
    def knowledge(self) -> Knowledge:
        return self._know()

    @cached_property
    def imports(self) -> Imports:
        return Imports(self.knowledge)

    @cached_property
    def needles(self) -> Needles:
        from gpu_lint.facts.needles import needles_for

        return needles_for(self.knowledge)

    def adopt(self, other: ImportGraph, without: frozenset[str] = frozenset()) -> None:
        """Take over what another graph has found out, except of some files."""
        self.imports = other.imports
        self._readings = {f: r for f, r in other._readings.items() if f not in without}
        self.all_edges = {f: e for f, e in other.all_edges.items() if f not in without}
        self._skimmed = {f: s for f, s in other._skimmed.items() if f not in without}
        self._touches = {f: t for f, t in other._touches.items() if f not in without}
        if not without:
            self._reach = other._reach
            self._deciding, self._setting = other._deciding, other._setting
            self._mentioning, self._naming = other._mentioning, other._naming
            self.numbers.adopt(other.numbers)
        else:  # of the same run, with the same header
            self._headers = {f: h for f, h in other._headers.items() if f not in without}
            self._mentioning = {f: m for f, m in other._mentioning.items() if f not in without}

    def reading(self, file: str) -> Reading | None:
        reading = self._readings.get(file)
        if reading is None and file not in self._readings:
            reading = self._readings[file] = self._read(file)
            skimmed = self._skimmed.get(file)
            if reading is not None and skimmed is not None:
                reading.imported = skimmed.imported  # the same, but found already
        return reading

    def locate(self, importer: str, module: str, level: int) -> tuple[Located, ...]:
        return self.imports.locate(importer, module, level)

    def submodule(self, file: str, name: str) -> str | None:
        return self.imports.submodule(file, name)

    def skimmed(self, file: str) -> Skimmed | None:
        """What can be told of a file without reading it properly; None if it cannot be read."""
        if file not in self._skimmed:
            note = self._note(file)
            if note is None:
                self._skimmed[file] = self._skim(file)
            else:
                if note.skimmed is None:
                    note.skimmed, note.grown = self._skim(file), True
                self._skimmed[file] = note.skimmed
        return self._skimmed[file]

    def _skim(self, file: str) -> Skimmed | None:
        from gpu_lint.facts.skim import Unskimmable, skim

        data = self.data(file)
        if data is None:
            return None
        try:
            return skim(data)
        except Unskimmable:
            pass
        try:
            with deep_recursion():
                reading = self.reading(file)
                return None if reading is None else reading.skimmed
        except SourceError:
            return None

    def touch(self, file: str) -> Touch:
        """What a file may do by its text, given the frameworks that it reaches."""
        if file not in self._touches:
            touch = self._touch_alone(file)
            if touch & Touch.FOREIGN:
                data = self.data(file) or b""
                touch &= ~Touch.FOREIGN
                if self.needles.device_ways(data).frameworks & self.reached_frameworks(file):
                    touch |= Touch.DEVICES
            self._touches[file] = touch
        return self._touches[file]

    def _touch_alone(self, file: str) -> Touch:
        note = self._note(file)
        if note is not None and note.touch is not None:
            return note.touch
        data = self.data(file)
        touch = Touch.NOTHING if data is None else self.needles.touch(data)
        if note is not None:
            note.touch, note.grown = touch, True
        return touch

    def header(self, file: str) -> Span | None:
        """A file's header, if it is the one that all files have alike."""
        if file not in self._headers:
            note = self._note(file)
            shown = note is None or note.alone & Touch.SETTINGS
            data = self.data(file) if shown else None
            self._headers[file] = None if data is None else self._find_header(data)
        return self._headers[file]

    def mentions(self, file: str) -> bool:
        """Whether a file may write a variable that decides about GPUs, otherwise than in a
        header that all files have alike."""
        if file not in self._mentioning:
            self._mentioning[file] = self._mentions(file)
        return self._mentioning[file]

    def _mentions(self, file: str) -> bool:
        header = self.header(file)
        if header is not None:
            return self._mentions_beside(file, header)
        note = self._note(file)
        if note is not None and note.decides is not None:
            return note.decides
        found = self._find_mention(file, note)
        if note is not None:
            note.decides, note.grown = found, True
        return found

    def _mentions_beside(self, file: str, header: Span) -> bool:
        data = self.data(file) or b""
        rest = data[: header.start] + data[header.end :]
        if not self.needles.settings(rest) & Touch.SETTINGS:
            return False
        try:
            with deep_recursion():
                reading = self.reading(file)
                return reading is not None and reading.decides_beside(header)
        except SourceError:
            return True

    def _find_mention(self, file: str, note: Note | None) -> bool:
        if note is not None:
            alone = note.alone
        else:
            data = self.data(file)
            alone = Touch.NOTHING if data is None else self.needles.settings(data)
        if not alone & Touch.SETTINGS:
            return False
        try:
            with deep_recursion():
                reading = self.reading(file)
                return reading is not None and reading.decides
        except SourceError:
            return True  # what cannot be followed may do anything

    def _data_read(self, file: str) -> bytes | None:
        reading = self.reading(file)
        return reading.source.data if reading is not None else None

    def edges(self, file: str) -> dict[str, Span]:
        """The project's files that a file's own imports run, wherever in it they stand, each
        with the first such place."""
        if file not in self.all_edges:
            skimmed = self.skimmed(file)
            found: dict[str, Span] = {}
            for one in skimmed.imported if skimmed is not None else ():
                for other in self.run_by(file, one):
                    if other not in found:
                        found[other] = one.span
            if os.path.basename(file) == "__main__.py":
                for part in self.imports.packages_around(file):
                    found.setdefault(part.file, BEFORE_ALL)
            found.pop(file, None)
            self.all_edges[file] = found
        return self.all_edges[file]

    def run_by(self, file: str, one: Imported) -> tuple[str, ...]:
        """The project's files that one import of a file runs."""
        return self.imports.run_by(file, one.module, one.level, one.name)

    def packages_around(self, file: str) -> tuple[Located, ...]:
        return self.imports.packages_around(file)

    def listed_by(self, file: str) -> tuple[Located, ...]:
        """The modules that a file finds in directories, where it may import what it finds."""
        skimmed = self.skimmed(file)
        return tuple(
            part
            for one in (skimmed.imported if skimmed is not None else ())
            if one.name in (MODULES, DEEP_MODULES)
            for part in self.imports.modules_below(file, one.module, one.level, one.name)
        )

    def framework_of(self, file: str, one: Imported) -> str | None:
        """The framework that an import of a file brings in, if any."""
        framework = self.knowledge.framework_of(one.module)
        if framework is None or (not framework.is_described and self.run_by(file, one)):
            return None
        return framework.name

    def closure(self, file: str) -> frozenset[str]:
        """A file and everything of the project that it may import, directly or not."""
        return self._reach.closure(file)

    def frameworks(self, file: str) -> frozenset[str]:
        """The frameworks that a file's own imports bring in."""
        skimmed = self.skimmed(file)
        return frozenset(
            framework
            for one in (skimmed.imported if skimmed is not None else ())
            if (framework := self.framework_of(file, one)) is not None
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
        """The frameworks that a file, or what it imports, brings in, in functions too."""
        mask = self._reach.mask(file)
        return frozenset(name for name, users in self._users.items() if users & mask)

    @cached_property
    def loading(self) -> Loading:
        """What programs load of what their files mention."""
        from gpu_lint.facts.loading import Loading

        return Loading(self)

    @cached_property
    def numbers(self) -> HandedNumbers:
        """The numbers that files give one another as devices."""
        return HandedNumbers(self)

    def way_to_framework(self, file: str) -> tuple[str, ...]:
        """The files through which a program that may run any code of a file loads a framework, and
        its name; empty if it loads none."""
        return self.loading.way(file)

    def may_use_gpu(self, file: str) -> bool:
        """Whether a file may use a GPU when it is started."""
        return self.loading.may_use_gpu(file)

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
        """The files that may be started as programs."""
        return tuple(filter(self.may_be_started, self.files))

    def may_be_started(self, file: str) -> bool:
        """Whether a file may be the one that a process starts with."""
        return self._demands.may_be_started(file, self)

    def has_guard(self, file: str) -> bool:
        """Whether a file has a main guard."""
        skimmed = self.skimmed(file)
        if skimmed is None:
            return False
        if skimmed.guard is not None:
            return skimmed.guard
        reading = self.reading(file)
        found = reading is not None and reading.layout.guard is not None
        self._skimmed[file] = skimmed._replace(guard=found)
        if (note := self._note(file)) is not None:
            note.skimmed, note.grown = self._skimmed[file], True
        return found

    def decides(self, file: str) -> bool:
        """Whether a file, or what it imports, mentions a variable that decides about GPUs."""
        mask = self._reach.mask(file)
        known, deciding = self._deciding
        for other in self._reach.names(mask & ~known):
            deciding |= self.mentions(other) * self._reach.bit(other)
        self._deciding = known | mask, deciding
        return bool(mask & deciding)

    def is_helped(self, file: str) -> bool:
        """Whether a file without the header that all files have alike imports one that has it, or
        one that mentions a variable which decides about GPUs."""
        if self.header(file) is not None:
            return False
        mask = self._reach.mask(file)
        known, setting = self._setting
        for other in self._reach.names(mask & ~known):
            sets = self.header(other) is not None or self.mentions(other)
            setting |= sets * self._reach.bit(other)
        self._setting = known | mask, setting
        return bool(mask & setting & ~self._reach.bit(file))

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

    def is_handed(self, file: str, everywhere: bool) -> bool:
        """Whether a file selects what a value from elsewhere says, and another one that runs in
        the same program names a device, or a number is given to it as one: in any program, or in
        those in which a variable may be set."""
        if not self.touch(file) & Touch.PASSED:
            return False
        beside = self._beside_devices if everywhere else self._beside_devices_under_settings
        if self._reach.bit(file) & beside:
            return True
        concerned = everywhere or self._reach.bit(file) & self._bits_under_settings
        return bool(concerned) and bool(self.numbers.givers(file))

    @cached_property
    def _beside_devices(self) -> int:
        return self._together_with_devices(self.files)

    @cached_property
    def _beside_devices_under_settings(self) -> int:
        return self._together_with_devices(filter(self.decides, self.files))

    def _together_with_devices(self, programs: Iterable[str]) -> int:
        """The files, as bits, of some programs in which another file names a device."""
        found = 0
        for file in programs:
            mask = self._reach.mask(file)
            naming = self.naming_devices(mask)
            found |= mask if naming & (naming - 1) else mask & ~naming if naming else 0
        return found

    def naming_devices(self, mask: int) -> int:
        """Those of some files that hold the name of a device other than the first; as bits."""
        known, found = self._naming
        for file in self._reach.names(mask & ~known):
            if self.touch(file) & Touch.DEVICES and self.needles.says_device(
                self.data(file) or b""
            ):
                found |= self._reach.bit(file)
        self._naming = known | mask, found
        return mask & found

    def connected(self, files: Iterable[str]) -> frozenset[str]:
        """The files of the project that some are connected with by imports, either way; and those
        themselves."""
        found = set(files)
        waiting = list(found)
        while waiting:
            file = waiting.pop()
            for other in (*self.edges(file), *self.importers.get(file, ())):
                if other not in found:
                    found.add(other)
                    waiting.append(other)
        return frozenset(found)

    def run_together_with(self, files: Iterable[str]) -> frozenset[str]:
        """The files that run in a program which may run one of some files, these included."""
        together = 0
        for file in files:
            together |= self._reach.mask(file)
            for start in self.starts_reaching(file):
                together |= self._reach.mask(start)
        return frozenset(self._reach.names(together))

    def starts_reaching(self, file: str) -> list[str]:
        """The other files that, started as programs, may run a file."""
        bit = self._reach.bit(file)
        return [s for s in self.starts if s != file and self._reach.mask(s) & bit]
