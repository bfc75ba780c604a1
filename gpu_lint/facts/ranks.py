"""Ranks: the numbers by which processes that are started together tell themselves apart.

Each process of a group uses a GPU of its own, whose index is its rank on the machine. A process
that reads its rank without a default can only run as one of several.
"""

from __future__ import annotations

import re
from enum import Enum

from gpu_lint.facts.values import (
    DeviceCount,
    EnvironmentValue,
    Input,
    Known,
    Returned,
    Value,
    alternatives,
)
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
_LOCAL_SIZES = frozenset(
    {"LOCAL_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", "SLURM_NTASKS_PER_NODE"}
)
"""How many of them are started on one machine."""
_NODES = frozenset({"NNODES", "SLURM_NNODES", "SLURM_JOB_NUM_NODES", "GROUP_WORLD_SIZE"})
"""On how many machines."""
_SIZE_CALL = re.compile(r"torch\.distributed\.get_world_size|horovod\.[\w.]*?size")
_LOCAL_SIZE_CALL = re.compile(r"horovod\.[\w.]*?local_size")
_SIZE_NAME = re.compile(r"-*(?:world|group)[-_]?size")
_NODES_NAME = re.compile(r"-*(?:n|num)[-_]?(?:nodes|machines|hosts)")
"""What options and parameters are called that say so."""
_AT_MOST = {"==": True, "<=": True, "<": True, "!=": False, ">": False}
"""Which outcome of a comparison means that the left side is no larger than the right one."""
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


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
    is_of_group: bool = False
    """It is asked for in the group of processes, to which it was not given as something that the
    program works out; what a launcher has set is not."""


def asks_for_size(text: bytes) -> bool:
    """Return whether a program's text asks the environment how many processes there are."""
    return any(name in text for name in _TOLD_SIZES)


OF_TRAINING = Input("TrainingArguments.local_rank")
"""What the arguments of a training with transformers say of this process. Where it runs alone that
is -1, but a program that asks is meant to run as one of several."""
GROUP = "torch.distributed.init_process_group"
"""What makes a group of processes, and may be given the rank of this one."""
_AS_GIVEN = ", as this program gave it"
_WORKED_OUT = ", as this program worked it out"
_IN_PART = " of a part of them"
"""What the names of ranks end with that the program itself hands on or works out, and that are
counted in a group of some of the processes, such as those on one machine."""


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
    if rank_in(given) is not None:
        return given
    return Input(f"{name}(){_AS_GIVEN if isinstance(given, Input) else _WORKED_OUT}")


def rank_in(value: Value | None) -> Rank | None:
    """Return the rank, or number of processes, that a value is; None for any other value."""
    if value == OF_TRAINING:
        return Rank(OF_TRAINING.name, Counted.SIZE)
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
        name = value.name
        for suffix in (_AS_GIVEN, _WORKED_OUT, _IN_PART):
            name = name.removesuffix(suffix)
    if isinstance(value, Input) and (call := _CALL.fullmatch(name.removesuffix("()"))):
        is_local = name != value.name or "local" in (call["torch"] or call["horovod"])
        is_of_group = not value.name.endswith(_WORKED_OUT)
        return Rank(name, Counted.ON_MACHINE if is_local else Counted.IN_ALL, is_of_group)
    if isinstance(value, Input) and value.option is not None:
        if _OPTION.fullmatch(value.option.flag):
            return Rank(value.option.flag, Counted.ON_MACHINE)
    return None


def outcome_on_one_machine(left: Value, operator: str, right: Value) -> bool | None:
    """Return which outcome of a comparison means that all processes run on one machine, as it
    compares how many there are with how many are on this one, or with its devices, or the number of
    machines with one; None where neither does."""
    for one, by, other in (
        (left, operator, right),
        (right, _MIRRORED.get(operator, operator), left),
    ):
        if _counts_all(one) and _counts_here(other):
            return _AT_MOST.get(by)
        if isinstance(other, Known) and (_counts_all(one) or _counts_machines(one)):
            if other.value == 2 and by in ("<", ">="):
                return by == "<"
            return _AT_MOST.get(by) if other.value == 1 and by != "<" else None
    return None


def _counts_here(value: Value) -> bool:
    """Whether a value is the number of processes, or of devices, on one machine."""
    return any(
        isinstance(one, DeviceCount)
        or (isinstance(one, EnvironmentValue) and one.variable in _LOCAL_SIZES)
        or (isinstance(one, Returned) and _LOCAL_SIZE_CALL.fullmatch(one.symbol) is not None)
        for one in alternatives(value)
    )


def _counts_all(value: Value) -> bool:
    """Whether a value is the number of processes on all machines."""
    return any(
        (isinstance(one, EnvironmentValue) and one.variable in _SIZES - _LOCAL_SIZES)
        or (
            isinstance(one, Returned)
            and _SIZE_CALL.fullmatch(one.symbol) is not None
            and _LOCAL_SIZE_CALL.fullmatch(one.symbol) is None
        )
        or _is_called(one, _SIZE_NAME)
        for one in alternatives(value)
    )


def _counts_machines(value: Value) -> bool:
    """Whether a value is the number of machines."""
    return any(
        (isinstance(one, EnvironmentValue) and one.variable in _NODES)
        or _is_called(one, _NODES_NAME)
        for one in alternatives(value)
    )


def _is_called(value: Value, name: re.Pattern[str]) -> bool:
    """Whether an option, or a parameter, has such a name."""
    if not isinstance(value, Input):
        return False
    if value.option is not None:
        return name.fullmatch(value.option.flag) is not None
    return name.fullmatch(value.name.partition("@")[0]) is not None
