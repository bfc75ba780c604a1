"""What is particular to terminals: how wide one is, and a progress bar on it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

from gpu_lint.interrupts import restored_at_once
from gpu_lint.progress import NoProgress, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

_PATIENCE = 0.5
"""Seconds that a run takes before a bar is shown."""
_SHOW_CURSOR = b"\x1b[?25h"
"""To a terminal: show the cursor, which is hidden while there is a bar."""
_REFRESH = 0.1
"""Seconds between two updates of the bar; a run may report 100,000 files a second."""


def width_of(stream: Any) -> int | None:
    """Return how many cells wide the terminal behind a stream is: what COLUMNS says, or what the
    system does. None if the stream is no terminal, so that a line may have any length."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (AttributeError, OSError, ValueError):
        return None


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Progress]:
    """Give a bar on standard error if that is a terminal, and nothing in CI or if ``quiet``.

    Lines that are written to standard error meanwhile stand above it, and it is gone at the end.
    """
    stream = sys.stderr
    if quiet or os.environ.get("CI") or stream is None or not stream.isatty():
        yield NoProgress()
        return
    with ExitStack() as stack:
        yield Bar(stack)


class Bar:
    """A progress bar that shows up when a run takes longer than a moment."""

    def __init__(self, stack: ExitStack) -> None:
        """``stack`` takes the bar away when it is left."""
        self._stack = stack
        self._rich: RichProgress | None = None
        self._task: TaskID | None = None
        self._phase = ""
        self._total: int | None = None
        self._done = 0
        self._next = monotonic() + _PATIENCE

    def begin(self, phase: str, total: int | None) -> None:
        self._phase, self._total, self._done = phase, total, 0
        if self._rich is not None and self._task is not None:
            self._rich.remove_task(self._task)
            self._task = self._rich.add_task(phase, total=total)
        elif monotonic() >= self._next:
            self._show()

    def advance(self) -> None:
        self._done += 1
        if self._done == self._total or monotonic() >= self._next:
            self._show()

    def _show(self) -> None:
        now = monotonic()
        if self._rich is None:
            if now < self._next:
                return
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as RichProgress

            console = Console(stderr=True)
            if console.is_terminal and not (console.is_dumb_terminal or console.legacy_windows):
                self._stack.enter_context(restored_at_once(_SHOW_CURSOR))
            self._rich = self._stack.enter_context(
                RichProgress(
                    TextColumn("{task.description}"),
                    BarColumn(bar_width=None),
                    MofNCompleteColumn(),
                    TimeElapsedColumn(),
                    console=console,
                    transient=True,
                    expand=True,
                )
            )
        if self._task is None:
            self._task = self._rich.add_task(self._phase, total=self._total)
        self._rich.update(self._task, completed=self._done)
        self._next = now + _REFRESH
