"""Calls that start another process, and what they tell it of the GPU."""

from __future__ import annotations

from gpu_lint.facts.values import Returned

_STARTERS = {
    "subprocess": frozenset({
        "Popen", "call", "check_call", "check_output", "getoutput", "getstatusoutput", "run"}),
    "multiprocessing": frozenset({"Pool", "Process"}),
    "runpy": frozenset({"run_module", "run_path"}),
    "concurrent": frozenset({"ProcessPoolExecutor"}),
}  # fmt: skip
"""What starts processes, by the module that it is in; ``multiprocessing.cpu_count()`` does not."""
_OF_TORCH = frozenset({"Pool", "Process", "spawn", "start_processes"})
PROCESSES = frozenset({"multiprocessing.Process", "multiprocessing.context.Process"})
"""Classes whose objects start a process that runs a target."""
HANDING = frozenset(
    {"apply", "apply_async", "imap", "imap_unordered", "map", "map_async", "starmap",
     "starmap_async", "submit"}
)  # fmt: skip
"""Methods of pools whose first argument is called in a process."""
LOADER = "torch.utils.data.DataLoader"
SPAWNING = "multiprocessing.context.SpawnContext"
"""A context whose processes start afresh."""
_POOLS = frozenset(
    {"multiprocessing.Pool", "multiprocessing.pool.Pool", f"{SPAWNING}.Pool"}
    | {"concurrent.futures.ProcessPoolExecutor", "concurrent.futures.process.ProcessPoolExecutor"}
)
"""What hands functions to processes that it starts."""
_CALLS = (
    "os.system", "os.exec", "os.spawn", "os.popen", "os.posix_spawn", "os.fork",
    "asyncio.create_subprocess",
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
    last = name.rpartition(".")[2]
    if name.startswith("torch.multiprocessing."):
        return last in _OF_TORCH
    return last in _STARTERS.get(name.partition(".")[0], ()) or name.startswith(_CALLS)


def is_pool(made: Returned) -> bool:
    """Whether what a call gave hands functions to processes."""
    return made.symbol.removeprefix("torch.") in _POOLS


def is_executor(pool: Returned) -> bool:
    """Whether a pool is one of ``concurrent.futures``."""
    return pool.symbol.endswith("Executor")


def starts_when_made(pool: Returned) -> bool:
    """Whether a pool's processes are there as soon as it is, not only when it is used."""
    return pool.symbol.endswith(".Pool")
