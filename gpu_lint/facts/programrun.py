"""What the run of a program leaves behind: what it recorded of each file, and how it ended.

It holds plain values, so that one process can run a program for others that ask what it does.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace

from gpu_lint.facts.flow import Flow
from gpu_lint.facts.model import INHERITED, Mark, Written
from gpu_lint.facts.recorder import Recorder
from gpu_lint.records import record


@record
class End:
    """The state in which a program ends."""

    frozen: Mark
    allocated: Mark
    imported: Mark
    masks: frozenset[Written]
    """Those that decide which devices are visible."""
    orders: frozenset[Written] = frozenset({INHERITED})
    """The orders in which those are counted."""

    @classmethod
    def of(cls, flow: Flow) -> End:
        return cls(flow.frozen, flow.allocated, flow.imported, flow.masks(), flow.orders())


@dataclass(frozen=True)
class ProgramRun:
    """What one run of one file as the program tells."""

    file: str
    recorders: dict[str, Recorder]
    """What it did in each file that it ran something of."""
    imported: End
    """The state in which importing the file ends."""
    end: End
    cut_short: bool = False
    """Its budget of statements was used up, so that calls were no longer followed."""

    def packed(self) -> bytes | None:
        """The run as another process can take it up: of other files only what they ask about the
        programs that run them. None if that cannot be sent."""
        recorders = {
            file: recorder if file == self.file else recorder.for_others()
            for file, recorder in self.recorders.items()
        }
        sent = replace(self, recorders=recorders)
        try:
            return pickle.dumps(sent, pickle.HIGHEST_PROTOCOL)
        except RecursionError:  # of values in one another
            return None


def unpacked(data: bytes) -> ProgramRun:
    """The run that another process of ours has packed."""
    run = pickle.loads(data)
    assert isinstance(run, ProgramRun)
    return run
