"""Parsers on a stack that is large enough for them, whichever thread asks.

Python's parser and LibCST's recurse in native code, where too little stack ends the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_SIZES = 512 << 20, 64 << 20
"""Bytes that are reserved, and where the system does not grant so many. LibCST 1.9 takes some 6 KiB
for a bracket, 1 KiB for an ``elif`` and 0.5 KiB for an operator."""
_STARTING = threading.Lock()


def on_deep_stack(work: Callable[[], T]) -> T:
    """Return what ``work`` returns, called in a thread whose stack is large enough for a parser.

    The stack of the main thread has 8 MiB on Linux and 2 MiB on Windows, others may have
    512 KiB. Only what is used of it is taken from memory. Raises what ``work`` raises.
    """
    found: list[T] = []
    failed: list[BaseException] = []

    def call() -> None:
        try:
            found.append(work())
        except BaseException as error:
            failed.append(error)

    thread = _started(call)
    if thread is None:
        return work()
    thread.join()
    if failed:
        raise failed.pop()
    return found[0]


def _started(call: Callable[[], None]) -> threading.Thread | None:
    """A thread with a large stack that makes a call; None where the system grants none."""
    with _STARTING:
        for size in _SIZES:
            try:
                before = threading.stack_size(size)
            except (ValueError, RuntimeError):
                continue
            try:
                thread = threading.Thread(target=call, daemon=True)
                thread.start()
            except (RuntimeError, MemoryError):
                continue
            finally:
                threading.stack_size(before)
            return thread
    return None
