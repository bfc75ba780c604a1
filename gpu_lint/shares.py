"""Sharing out what is to be judged among processes, so that none waits for the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from gpu_lint.findings import Judged
from gpu_lint.judging import View
from gpu_lint.progress import Progress
from gpu_lint.reads import Read
from gpu_lint.settings import FinderSpec
from gpu_lint.work import Dealer, Executor, Failed, Judging, Running, ViewSpec, chunks_of

_VIEWS = count(1)

_LEAST_CHUNK = 100_000
"""Microseconds that a chunk of files takes to check at least."""
_MOST_CHUNKS = 1_000
_PARTS_OF_LEFT = 4
"""A process is given one part of so many of what is left at its place."""


@dataclass(frozen=True)
class Shares:
    """Files that are to be judged, each with about how long that takes, in microseconds."""

    shared: list[str]
    """The programs that several processes would have to run, each for files of its own."""
    programs: list[tuple[str, int]]
    """The files that are run."""
    others: list[tuple[str, int]]

    @classmethod
    def of(cls, view: View, waiting: Collection[Read]) -> Shares:
        """Tell of some files which are run."""
        running = view.programs(one.file for one in waiting)
        known = frozenset(running)
        others = [one.file for one in waiting if one.file not in known]
        return cls(
            view.shared(running),
            [(file, view.weight(file, True)) for file in running],
            [(file, view.weight(file, False)) for file in others],
        )

    @property
    def total(self) -> int:
        """How long all of it takes."""
        return sum(weight for _, weight in (*self.programs, *self.others))

    def dealt(self, processes: int) -> Dealer:
        """The files for so many processes, those first that are run.

        One begins with them all, if they are no more than its share of the work.
        """
        is_much = sum(weight for _, weight in self.programs) > self.total // processes
        others = chunks_of(self.others, _LEAST_CHUNK, _MOST_CHUNKS)
        return Neighbours(self.programs, processes if is_much else 1, others)


class Neighbours(Dealer):
    """Deals files so that each process is given neighbours: these import the same modules, which
    every process runs anew.

    Each begins at a place of its own and is given a part of what is left there, since how long one
    takes is not known before; when it is done, it takes from the end of where most is left.
    """

    def __init__(
        self, files: Sequence[tuple[str, int]], places: int, others: Iterable[list[str]] = ()
    ) -> None:
        """``files`` have about their weights; ``others`` are chunks for those who find nothing."""
        self._left: list[deque[tuple[str, int]]] = [deque() for _ in range(places)]
        self._others = iter(others)
        total, done = sum(weight for _, weight in files), 0
        for file, weight in files:
            self._left[min(done * places // max(total, 1), places - 1)].append((file, weight))
            done += weight

    def next_for(self, process: int) -> list[str]:
        if process < len(self._left) and self._left[process]:
            return _part_of(self._left[process], deque.popleft)
        if len(self._left) > 1:
            most = max(self._left, key=_weight)
            if most:
                return _part_of(most, deque.pop)
        return next(self._others, [])


def _weight(files: Iterable[tuple[str, int]]) -> int:
    return sum(weight for _, weight in files)


def _part_of(
    files: deque[tuple[str, int]],
    take: Callable[[deque[tuple[str, int]]], tuple[str, int]],
) -> list[str]:
    """Take a part of some files, by their weight, from one of their ends."""
    wanted, chunk = _weight(files) // _PARTS_OF_LEFT, list[str]()
    while files and (not chunk or wanted > 0):
        file, weight = take(files)
        chunk.append(file)
        wanted -= weight
    return chunk


def judged_by_others(
    view: View,
    finder: FinderSpec,
    waiting: Collection[Read],
    executor_for: Callable[[float], Executor | None],
    progress: Progress,
) -> Iterator[tuple[str, Judged | Failed]]:
    """What others find in some files of a view, where that pays, as they find it. What several of
    them would have to run is run once, before."""
    executor, judging = executor_for(0), None
    if executor is not None:
        judging = Judging(_spec_of(view, finder))
        executor.begin(judging)  # while it is found out who does what
    shares = Shares.of(view, waiting)
    executor = executor or executor_for(shares.total / 1e6)
    if executor is None:
        return
    judging = judging or Judging(_spec_of(view, finder))
    packed = view.project.packed_runs
    if waited_for := [start for start in shares.shared if start not in packed]:
        progress.begin("Running programs", len(waited_for))
        running = Running(judging.view)
        places = Neighbours([(one, 1) for one in waited_for], executor.count)
        for file, answer in executor.each(running, places):
            progress.advance()
            if isinstance(answer, bytes):  # where one fails, each file that asks fails
                packed[file] = answer
        progress.begin("Checking", len(waiting))
    if packed:
        judging = Judging(judging.view, packed)
    yield from executor.each(judging, shares.dealt(executor.count))


def _spec_of(view: View, finder: FinderSpec) -> ViewSpec:
    """What others must know to judge the files of a view."""
    reads = view.reads
    return ViewSpec(
        next(_VIEWS),
        finder,
        view.notes,
        {file: str(one.path) for file, one in reads.items()},
        tuple(view.project.files),
        view.outlined,
        {
            file: {other: (span.start, span.end) for other, span in edges.items()}
            for file, edges in view.project.all_edges.items()
        },
        {file: one.edits for file, one in reads.items() if one.edits},
        frozenset(file for file, one in reads.items() if not one.may_change),
        frozenset(file for file, one in reads.items() if one.is_new),
        view.project.numbers.all_givers,
    )
