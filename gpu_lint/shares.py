"""Sharing out what is to be judged among processes, so that none waits for the others."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain

from gpu_lint.judging import View
from gpu_lint.reads import Read
from gpu_lint.work import chunks_of

_LEAST_CHUNK = 100_000
"""Microseconds that a chunk of files takes to check at least."""
_MOST_CHUNKS = 1_000


@dataclass(frozen=True)
class Shares:
    """Files that are to be judged, each with about how long that takes, in microseconds."""

    programs: list[tuple[str, int]]
    """Those that are run."""
    others: list[tuple[str, int]]

    @classmethod
    def of(cls, view: View, waiting: Collection[Read]) -> Shares:
        """Tell of some files which are run."""
        running = view.programs(one.file for one in waiting)
        others = [one.file for one in waiting if one.file not in running]
        return cls(
            [(file, view.weight(file, True)) for file in running],
            [(file, view.weight(file, False)) for file in others],
        )

    @property
    def total(self) -> int:
        """How long all of it takes."""
        return sum(weight for _, weight in (*self.programs, *self.others))

    def dealt(self, count: int) -> Iterator[list[str]]:
        """The files in chunks for so many processes, those first that are to be begun with.

        Programs import the same modules, which each process runs anew: so as few begin with them
        as can be, with a process's share of the work each, and what is left of them is for whoever
        is done first.
        """
        share = self.total // count
        whole = chunks_of(self.programs, share, _MOST_CHUNKS)
        left = whole.pop() if len(whole) > 1 else []
        yield from whole
        yield from chunks_of(self.others, _LEAST_CHUNK, _MOST_CHUNKS)
        yield from ([file] for file in left)


def dealt_while_begun(view: View, waiting: Collection[Read], count: int) -> Iterator[list[str]]:
    """Files in chunks for so many processes, which begin with some that most likely do nothing,
    while it is found out of the others which are run."""
    quiet = [(one.file, view.weight(one.file, False)) for one in waiting if view.is_quiet(one.file)]
    first = chunks_of(quiet, _LEAST_CHUNK, _MOST_CHUNKS)[:count]
    yield from first
    begun = frozenset(chain.from_iterable(first))
    rest = [one for one in waiting if one.file not in begun]
    yield from Shares.of(view, rest).dealt(count)
