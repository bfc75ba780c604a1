"""``torch.multiprocessing``: Python's own, and ``spawn``."""

import multiprocessing as _python
from multiprocessing import *  # noqa: F403


def spawn(fn, args=(), nprocs=1, join=True):
    for rank in range(nprocs):
        process = _python.get_context("spawn").Process(target=fn, args=(rank, *args))
        process.start()
        process.join()
        if process.exitcode:
            raise RuntimeError(f"process {rank} terminated")
