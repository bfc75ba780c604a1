"""Calls that start another process, and what they tell it of the GPU."""

from __future__ import annotations

from gpu_lint.facts.values import Returned

_STARTERS = frozenset({"subprocess", "multiprocessing", "runpy", "concurrent"})
PROCESSES = frozenset({"multiprocessing.Process", "multiprocessing.context.Process"})
"""Classes whose objects start a process that runs a target."""
_POOLS = frozenset(
    {"multiprocessing.Pool", "multiprocessing.pool.Pool"}
    | {"concurrent.futures.ProcessPoolExecutor", "concurrent.futures.process.ProcessPoolExecutor"}
)
"""What hands functions to processes that it starts."""
HANDING = frozenset(
    {"apply", "apply_async", "imap", "imap_unordered", "map", "map_async", "starmap",
     "starmap_async", "submit"}
)  # fmt: skip
"""Methods of pools whose first argument is called in a process."""
LOADER = "torch.utils.data.DataLoader"
SPAWNING = "multiprocessing.context.SpawnContext"
"""A context whose processes start afresh."""
_CALLS = (
    "os.system", "os.exec", "os.spawn", "os.popen", "os.posix_spawn", "os.fork",
    "asyncio.create_subprocess", "torch.multiprocessing.",
)  # fmt: skip
_SPAWNS = frozenset(
    f"{module}.{name}"
    for module in ("torch.multiprocessing", "torch.multiprocessing.spawn")
    for name in ("spawn", "start_processes")
)
"""Functions that call another in several processes, and give each its rank first."""


def spawns_ranks(name: str) -> bool:
    """Whether a call by a dotted name starts processes that are each given a rank."""
    return name in _SPAWNS


def starts_child(name: str) -> bool:
    """Whether a call by a dotted name may start another process."""
    return name.partition(".")[0] in _STARTERS or name.startswith(_CALLS)


def is_pool(made: Returned) -> bool:
    """Whether what a call gave hands functions to processes."""
    return made.symbol.removeprefix("torch.") in _POOLS


def starts_when_made(pool: Returned) -> bool:
    """Whether a pool's processes are there as soon as it is, not only when it is used."""
    return pool.symbol.endswith(".Pool")
