"""Keeps what a command prints in a file of bounded size."""

from __future__ import annotations

import contextlib
from collections import deque
from pathlib import Path
from threading import Thread
from typing import IO

KEPT_BYTES = 16 << 20
"""Half of it from the beginning of the output, half from its end."""
_CHUNK = 1 << 16
_JOIN_SECONDS = 5.0


class Capture:
    """Reads a pipe to its end, in a thread of its own, so that no command waits for a reader."""

    def __init__(self, pipe: IO[bytes], path: Path, kept: int = KEPT_BYTES) -> None:
        """Begin; ``path`` is made anew. Raises ``OSError`` where it cannot be."""
        self._file = open(path, "wb")  # noqa: SIM115 - closed by the thread
        self._pipe, self._half = pipe, kept // 2
        self._fault: OSError | None = None
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> tuple[str, ...]:
        """Wait until all is written; return what was not kept, in lines."""
        self._thread.join(_JOIN_SECONDS)
        if self._thread.is_alive():
            return ("the output is not complete: a process that could not be ended holds it open",)
        if self._fault is not None:
            return (f"the output could not be kept: {self._fault.strerror or self._fault}",)
        return ()

    def _run(self) -> None:
        room, end, held, left_out = self._half, deque[bytes](), 0, 0
        on_close = contextlib.suppress(OSError)  # of what could not be written before
        with self._pipe, on_close, self._file:
            while data := self._pipe.read1(_CHUNK):  # type: ignore[attr-defined]
                self._write(data[:room])
                rest = data[room:]
                room -= len(data) - len(rest)
                if rest:
                    end.append(rest)
                held += len(rest)
                while held > self._half:
                    first, surplus = end.popleft(), held - self._half
                    end.appendleft(first[surplus:])
                    held -= min(len(first), surplus)
                    left_out += min(len(first), surplus)
                    if not end[0]:
                        end.popleft()
            if left_out:
                self._write(b"\ngpu-lint: %d bytes of output are left out here\n" % left_out)
            for data in end:
                self._write(data)

    def _write(self, data: bytes) -> None:
        """Write, and flush: what a program printed can be read while it runs."""
        if self._fault is None and data:
            try:
                self._file.write(data)
                self._file.flush()
            except OSError as error:
                self._fault = error
