"""Sharing out what is to be judged among processes, so that none waits for the others."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from gpu_lint.judging import View
from gpu_lint.reads import Read
from gpu_lint.work import chunks_of

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

    def dealt(self, count: int) -> Iterator[list[str]]:
        """The files in chunks for so many processes, those first that are to be begun with.

        Programs import the same modules, which each process runs anew: so one begins with them
        all, if they are no more than its share of the work. Else each next chunk is a part of what
        is left of them, since how long one takes is not known before.
        """
        share = self.total // count
        weighed = sum(weight for _, weight in self.programs)
        if weighed <= share:
            yield from chunks_of(self.programs, share, _MOST_CHUNKS)
        else:
            yield from self._less_and_less(weighed, count)
        yield from chunks_of(self.others, _LEAST_CHUNK, _MOST_CHUNKS)

    def _less_and_less(self, left: int, count: int) -> Iterator[list[str]]:
        chunk: list[str] = []
        taken = 0
        for file, weight in self.programs:
            chunk.append(file)
            taken += weight
            if taken * _PARTS_OF_LEFT * count >= left:
                yield chunk
                chunk, left, taken = [], left - taken, 0
        if chunk:
            yield chunk
