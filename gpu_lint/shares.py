"""Sharing out what is to be judged among processes, so that none waits for the others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import count

from gpu_lint.findings import Judged
from gpu_lint.judging import View
from gpu_lint.progress import Progress
from gpu_lint.reads import Read
from gpu_lint.settings import FinderSpec
from gpu_lint.work import Executor, Failed, Judging, Running, ViewSpec, chunks_of

_VIEWS = count(1)

_LEAST_CHUNK = 100_000
"""Microseconds that a chunk of files takes to check at least."""
_MOST_CHUNKS = 1_000
_PARTS_OF_LEFT = 4
"""A process is given one part of so many of its share of what is left."""


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

    def dealt(self, processes: int) -> Iterator[list[str]]:
        """The files in chunks for so many processes, those first that are to be begun with.

        Programs import the same modules, which each process runs anew: so one begins with them
        all, if they are no more than its share of the work. Else each next chunk is a part of what
        is left of them, since how long one takes is not known before.
        """
        share = self.total // processes
        weighed = sum(weight for _, weight in self.programs)
        if weighed <= share:
            yield from chunks_of(self.programs, share, _MOST_CHUNKS)
        else:
            yield from self._less_and_less(weighed, processes)
        yield from chunks_of(self.others, _LEAST_CHUNK, _MOST_CHUNKS)

    def _less_and_less(self, left: int, processes: int) -> Iterator[list[str]]:
        chunk: list[str] = []
        taken = 0
        for file, weight in self.programs:
            chunk.append(file)
            taken += weight
            if taken * _PARTS_OF_LEFT * processes >= left:
                yield chunk
                chunk, left, taken = [], left - taken, 0
        if chunk:
            yield chunk


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
        for file, answer in executor.each(running, ([one] for one in waited_for)):
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
