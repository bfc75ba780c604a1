"""The kinds of work on the files of a run, in a form that any process can do.

A :class:`Looking` says what one file shows by itself; a :class:`Judging` finds what is wrong with
it, given what every file of the project shows; an :class:`Applying` changes it. They hold plain
values alone, so that they can be sent to another process or another machine which sees the same
files.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from gpu_lint.errors import ConfigError, SourceError, SyntaxFault, internal
from gpu_lint.facts.touch import Touch
from gpu_lint.notes import Note, digest_of
from gpu_lint.settings import FinderSpec, SettingsFinder

if TYPE_CHECKING:
    from gpu_lint.facts.knowledge import Knowledge
    from gpu_lint.findings import Edit, Judged
    from gpu_lint.judging import View
    from gpu_lint.rulebook import Pack

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Failed:
    """Why there is no answer for a file, in words for the user."""

    message: str
    in_configuration: bool = False
    """It is the fault of the configuration, which ends the run."""


class Work(Protocol[T_co]):
    """Something to be done with each of many files, named by their absolute paths."""

    def start(self) -> Callable[[str], T_co]:
        """Get ready, once in each process; what is to be called for each file."""


class Dealer(ABC):
    """Chunks of files that are dealt to several processes, as they ask for more."""

    @abstractmethod
    def next_for(self, process: int) -> Sequence[str]:
        """The next chunk for one of the processes, which are numbered; empty if there is none."""

    def __iter__(self) -> Iterator[Sequence[str]]:
        """All of them, where it is not known which process will ask."""
        while chunk := self.next_for(0):
            yield chunk


class InOrder(Dealer):
    """Deals chunks in their order, to any process that asks."""

    def __init__(self, chunks: Iterable[Sequence[str]]) -> None:
        self._more = filter(None, chunks)
        self._ready: deque[Sequence[str]] = deque()

    def look_ahead(self) -> None:
        """Have the next chunk ready."""
        if not self._ready:
            self._ready.extend(islice(self._more, 1))

    def next_for(self, process: int) -> Sequence[str]:
        self.look_ahead()
        return self._ready.popleft() if self._ready else ()


class Executor(Protocol):
    """Does work on chunks of files, in whatever order; every file is answered for once."""

    count: int
    """How many processes there are."""

    def start(self) -> None:
        """Work will come: processes may be started for it."""

    def begin(self, work: Work[T]) -> None:
        """Some work is about to come: who can get ready for it may do so."""

    def each(
        self, work: Work[T], chunks: Iterable[Sequence[str]]
    ) -> Iterator[tuple[str, T | Failed]]:
        """The answer for each file, as it is ready. Each of the ``chunks`` may be asked for
        while others are being worked on; a :class:`Dealer` is told by which process."""


@dataclass(frozen=True)
class Looking:
    """Find out what files show by themselves."""

    whole: bool
    """What a policy's rules ask for, and what is imported, is found out as well."""
    packs: tuple[Pack, ...] = ()
    """The rule packs of the run."""
    decides: bool = False
    """So is whether the file may write a variable that decides about GPUs."""

    def start(self) -> Callable[[str], Note]:
        from gpu_lint.facts.needles import needles_for
        from gpu_lint.rulebook import load_rulebook
        from gpu_lint.source import check_decodes, read_bytes

        knowledge = load_rulebook().with_packs(self.packs).knowledge
        needles = needles_for(knowledge)

        def look(file: str) -> Note:
            data = read_bytes(file)
            check_decodes(data)
            if not self.whole:
                return Note.begun(data, needles.alone(data))
            note = _whole_note(file, data, knowledge)
            if self.decides:
                note.decides = _decides(file, data, note, knowledge)
            return note

        return look


def _whole_note(file: str, data: bytes, knowledge: Knowledge) -> Note:
    """All that the content of a file shows by itself."""
    from gpu_lint.facts.needles import needles_for
    from gpu_lint.facts.skim import Unskimmable, skim

    touch = needles_for(knowledge).touch(data)
    note = Note.begun(data, touch.alone)
    note.touch = touch
    try:
        note.skimmed = skim(data)
    except Unskimmable:
        from gpu_lint.facts.reading import read_file
        from gpu_lint.source import decode_source

        with suppress(SourceError, SyntaxFault):  # it is told of where it is asked for
            note.skimmed = read_file(decode_source(Path(file), data), knowledge).skimmed
    return note


def _decides(file: str, data: bytes, note: Note, knowledge: Knowledge) -> bool | None:
    """Whether a file may write a variable that decides about GPUs; None where it is for the first
    process to tell that it cannot be followed."""
    from gpu_lint.facts.reading import read_file
    from gpu_lint.source import decode_source

    if not note.alone & Touch.SETTINGS:
        return False
    with suppress(SourceError, SyntaxFault):
        return read_file(decode_source(Path(file), data), knowledge).decides
    return None


@dataclass(frozen=True)
class ViewSpec:
    """The files of a run at one moment, in a form that can be sent to another process."""

    number: int
    """Tells it from all others that this process has sent."""
    spec: FinderSpec
    notes: Mapping[str, Note]
    """What is known of each file of the run."""
    judged: Mapping[str, str]
    """The files of which rules may speak, each with its path as it was given."""
    together: tuple[str, ...]
    """The files that make up the project."""
    outlined: frozenset[str]
    """Those of which no more need be read than what something depends on."""
    edges: Mapping[str, Mapping[str, tuple[int, int]]] = field(default_factory=dict)
    """What is known already of which file imports which, and where: from one offset to another."""
    edits: Mapping[str, tuple[tuple[Edit, ...], ...]] = field(default_factory=dict)
    """What was changed in files, pass after pass, and is not written yet."""
    unchangeable: frozenset[str] = frozenset()
    """Of the files judged, those that no fix may change."""
    new: frozenset[str] = frozenset()
    """Those that are not there yet."""
    givers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What is known already of which files give a number to which."""

    def view(self) -> View:
        """The files: the same view, with what it has found out, where it was used last here."""
        last: tuple[int, View] | None = getattr(_HERE, "view", None)
        if last is not None and last[0] == self.number:
            return last[1]
        view = self._view()
        _HERE.view = self.number, view
        return view

    def _view(self) -> View:
        from gpu_lint.judging import View
        from gpu_lint.reads import Read
        from gpu_lint.rulebook import load_rulebook
        from gpu_lint.source import Span

        finder = SettingsFinder.of(self.spec, load_rulebook())
        reads = {
            file: Read(
                file,
                Path(self.spec.root, path),
                finder,
                self.edits.get(file, ()),
                may_change=file not in self.unchangeable,
                is_new=file in self.new,
            )
            for file, path in self.judged.items()
        }
        view = View(finder, reads, self.together, note=self.notes.get, outlined=self.outlined)
        view.project.all_edges.update(
            (file, {other: Span(*place) for other, place in edges.items()})
            for file, edges in self.edges.items()
        )
        view.project.numbers.all_givers.update(self.givers)
        return view


_HERE = threading.local()
"""The view that was used last in a thread, and its number."""


@dataclass(frozen=True)
class Running:
    """Run programs that several files ask about: what each tells, packed; None where that cannot
    be sent."""

    view: ViewSpec

    def start(self) -> Callable[[str], bytes | None]:
        project = self.view.view().project
        return lambda file: project.run(file).packed() if project.reading(file) else None


@dataclass(frozen=True)
class Judging:
    """Find what is wrong with files."""

    view: ViewSpec
    runs: Mapping[str, bytes] = field(default_factory=dict)
    """What programs tell that have been run already, packed."""

    def start(self) -> Callable[[str], Judged]:
        view, notes = self.view.view(), self.view.notes
        view.project.packed_runs.update(self.runs)

        def judge(file: str) -> Judged:
            note, read = notes.get(file), view.reads[file]
            if note is not None and digest_of(read.source.data) != note.digest:
                raise SourceError(_CHANGED)
            found = view.judged(read)
            view.forget(read)
            read.close()
            return found

        return judge


class ToEdit(NamedTuple):
    """Edits that are to be made in one file."""

    path: str
    """As it was given."""
    digest: str
    """Of what the file holds after the earlier edits."""
    earlier: tuple[tuple[Edit, ...], ...]
    """What was changed in it, pass after pass, and is not written yet."""
    edits: tuple[Edit, ...]
    is_new: bool = False
    """There is no such file yet."""


@dataclass(frozen=True)
class Applying:
    """Make edits in files, and prove that nothing else changes: a note of what each shows then, or
    why the edits in it cannot be trusted."""

    spec: FinderSpec
    files: Mapping[str, ToEdit]

    def start(self) -> Callable[[str], Note | str]:
        from gpu_lint.reads import Read, apply
        from gpu_lint.rulebook import load_rulebook

        finder = SettingsFinder.of(self.spec, load_rulebook())

        def do(file: str) -> Note | str:
            path, digest, earlier, edits, is_new = self.files[file]
            before = Read(file, Path(self.spec.root, path), finder, earlier, is_new=is_new)
            if digest_of(before.source.data) != digest:
                raise SourceError(_CHANGED)
            after = apply(before, edits)
            if isinstance(after, str):
                return after
            return _whole_note(file, after.source.data, finder.rulebook.knowledge)

        return do


_CHANGED = "has changed while it was checked, or is another file there"


class Doing(Generic[T]):
    """Some work under way in one process: whatever goes wrong with a file is its answer."""

    def __init__(self, work: Work[T]) -> None:
        self._start = work.start
        self._do: Callable[[str], T] | None = None

    def begin(self) -> None:
        """Get ready. What goes wrong will go wrong again, and is the answer for every file then."""
        with suppress(Exception):
            self._do = self._start()

    def __call__(self, file: str) -> T | Failed:
        from gpu_lint.facts.limits import deep_recursion

        try:
            if self._do is None:
                self._do = self._start()
            with deep_recursion():
                return self._do(file)
        except SourceError as error:
            return Failed(str(error))
        except ConfigError as error:
            return Failed(str(error), in_configuration=True)
        except Exception as error:
            return Failed(internal(error))


def chunks_of(weights: Iterable[tuple[str, int]], at_least: int, most: int) -> list[list[str]]:
    """Files in chunks of about the same weight: at most so many, none lighter than so much."""
    weighed = list(weights)
    size = max(sum(weight for _, weight in weighed) // max(most, 1), at_least)
    chunks: list[list[str]] = []
    left = 0
    for file, weight in weighed:
        if left <= 0:
            chunks.append([])
            left = size
        chunks[-1].append(file)
        left -= weight
    return chunks
