"""Ctrl-C: put off while something is done that must not stop half-way; the second one ends."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells give it."""
_TOLD = b"gpu-lint: interrupted twice; stopped at once\n"
_restoring: list[bytes] = []
"""What standard error needs before the process ends at once."""


@contextlib.contextmanager
def second_interrupt_ends() -> Iterator[None]:
    """Let the first Ctrl-C raise ``KeyboardInterrupt``, as usual, and a second one end the process
    at once, whatever is being cleaned up: files are replaced so that a crash does no harm.

    Where Ctrl-C is ignored, or is handled by the program that calls, it stays so.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _first)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is _first:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _first(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGINT, _second)
    raise KeyboardInterrupt


def _second(number: int, frame: FrameType | None) -> NoReturn:
    with contextlib.suppress(OSError):
        os.write(2, b"".join(_restoring) + _TOLD)
    os._exit(INTERRUPTED)


def _second_told(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(INTERRUPTED)


@contextlib.contextmanager
def restored_at_once(control: bytes) -> Iterator[None]:
    """Write to standard error, if a second Ctrl-C ends the process meanwhile, what makes the
    terminal as it was."""
    _restoring.append(control)
    try:
        yield
    finally:
        _restoring.remove(control)


def say_no_more() -> None:
    """Let a second Ctrl-C end the process without a further line."""
    if signal.getsignal(signal.SIGINT) is _second:
        signal.signal(signal.SIGINT, _second_told)


@contextlib.contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Let Ctrl-C have its effect when this is done; a child process that begins meanwhile is not
    reached by it. Where the system cannot do so, it has no effect at all."""
    if hasattr(signal, "pthread_sigmask"):
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    elif threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
    else:
        yield


@contextlib.contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Let Ctrl-C have its effect when this is done; a second one ends the process at once."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) in (_second, _second_told):
        yield
        return
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if came:
            _second(number, frame)
        came.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)
