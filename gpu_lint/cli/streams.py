"""Standard output and error whose reader may leave early, as in ``gpu-lint config | head -1``, or
that the caller closed."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_LEFT = {errno.EPIPE, errno.ESHUTDOWN} | ({errno.EINVAL} if os.name == "nt" else set())
"""What a write into a pipe without a reader fails with; Windows says that it is invalid."""


class _Pipe(io.FileIO):
    """A file descriptor; what is written after the reader has left is dropped."""

    is_lost = False
    """Nothing can be written any more, and that has been told."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in _LEFT and not self.is_lost:
                raise
            return memoryview(data).nbytes


@contextlib.contextmanager
def readers_may_leave() -> Iterator[None]:
    """Let every command go on to its own exit status when nobody reads its output any more."""
    before = sys.stdout, sys.stderr
    made = [_forgiving(stream) for stream in before]
    sys.stdout, sys.stderr = (new or old for new, old in zip(made, before, strict=True))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in made:
            if stream is not None:
                _close(stream)


def open_streams() -> None:
    """Give standard streams that the caller closed (``>&-``) something to stand for them.

    Otherwise the next file that is opened would be taken for them. What is written to such a
    standard output fails, as it does where the disk is full; standard error goes nowhere.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR if number == 2 else os.O_RDONLY)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            mode = "w" if number else "r"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def discard_output() -> None:
    """Let what is still to be flushed at exit go nowhere."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _close(stream: io.TextIOWrapper) -> None:
    """Write what is left, if that can be; it is an error that the command has met already."""
    try:
        stream.flush()
    except OSError:
        raw = stream.buffer.raw  # type: ignore[attr-defined]
        raw.is_lost = True
        stream.flush()


def _forgiving(stream: object) -> io.TextIOWrapper | None:
    """A stream that writes to the same file; None for what is no pipe and no file."""
    if not isinstance(stream, io.TextIOWrapper):
        return None
    try:
        if stream.isatty():
            return None
        raw = _Pipe(stream.fileno(), "wb", closefd=False)
    except (OSError, ValueError):  # closed, or not a file of the system
        return None
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
