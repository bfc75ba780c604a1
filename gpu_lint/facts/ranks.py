"""Ranks: the numbers by which processes that are started together tell themselves apart.

Each process of a group uses a GPU of its own, whose index is its rank on the machine. A process
that reads its rank without a default can only run as one of several.
"""

from __future__ import annotations

import re
from enum import Enum

from gpu_lint.facts.values import EnvironmentValue, Input, Value
from gpu_lint.records import record

WORLD_SIZE = "WORLD_SIZE"
_LOCAL = frozenset(
    {
        "LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_RANK",
        "MPI_LOCALRANKID", "JSM_NAMESPACE_LOCAL_RANK", "PALS_LOCAL_RANKID", "FLUX_TASK_LOCAL_ID",
    }
)  # fmt: skip
"""Set by torchrun, Slurm, Open MPI, MVAPICH2, Hydra, jsrun, PALS and Flux, from 0 on each
machine."""
_GLOBAL = frozenset({"RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"})
"""The same, counted over all machines."""
_SIZES = frozenset({WORLD_SIZE, "LOCAL_WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE"})
"""How many processes are started together."""
_TOLD_SIZES = tuple(name.encode() for name in sorted(_SIZES))
_CALL = re.compile(
    r"torch\.distributed\.(?P<torch>get_rank|get_node_local_rank)"
    r"|horovod\.[\w.]*?(?P<horovod>rank|local_rank)"
)
"""What libraries call them."""
_OPTION = re.compile(r"--?local[-_]rank")
"""What ``torch.distributed.launch`` gives to each process that it starts."""


class Counted(Enum):
    """What a number of a process counts."""

    ON_MACHINE = "the processes on one machine"
    IN_ALL = "the processes on all machines"
    SIZE = "how many processes there are"


@record
class Rank:
    """A number that a launcher gives to a process; ``name`` is how messages call it."""

    name: str
    counted: Counted


def asks_for_size(text: bytes) -> bool:
    """Return whether a program's text asks the environment how many processes there are."""
    return any(name in text for name in _TOLD_SIZES)


GROUP = "torch.distributed.init_process_group"
"""What makes a group of processes, and may be given the rank of this one."""
_AS_GIVEN = ", as this program gave it"
_IN_PART = " of a part of them"
"""What the names of ranks end with that the program itself decides, and that are counted in a group
of some of the processes, such as those on one machine."""


def rank_of_call(name: str, given: Value | None = None, *, in_part: bool = False) -> Value | None:
    """Return the rank that a call of a library's function gives, where the group was ``given`` the
    rank of this process, that; ``in_part`` if it is asked for in a group of some of the processes.
    None for any other function."""
    if not _CALL.fullmatch(name):
        return None
    if in_part:
        return Input(f"{name}(){_IN_PART}")
    if given is None or not name.endswith(".get_rank"):
        return Input(f"{name}()")
    return given if rank_in(given) is not None else Input(f"{name}(){_AS_GIVEN}")


def rank_in(value: Value | None) -> Rank | None:
    """Return the rank, or number of processes, that a value is; None for any other value."""
    if isinstance(value, EnvironmentValue):
        for names, counted in (
            (_LOCAL, Counted.ON_MACHINE),
            (_GLOBAL, Counted.IN_ALL),
            (_SIZES, Counted.SIZE),
        ):
            if value.variable in names:
                return Rank(value.variable, counted)
    name = ""
    if isinstance(value, Input):
        name = value.name.removesuffix(_AS_GIVEN).removesuffix(_IN_PART)
    if isinstance(value, Input) and (call := _CALL.fullmatch(name.removesuffix("()"))):
        is_local = name != value.name or "local" in (call["torch"] or call["horovod"])
        return Rank(name, Counted.ON_MACHINE if is_local else Counted.IN_ALL)
    if isinstance(value, Input) and value.option is not None:
        if _OPTION.fullmatch(value.option.flag):
            return Rank(value.option.flag, Counted.ON_MACHINE)
    return None
