"""How far a run has come, as the engine reports it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Shows how far a run has come; a run is a series of phases."""

    def begin(self, phase: str, total: int | None) -> None:
        """Begin a phase of ``total`` files; None if it is not counted in files."""

    def advance(self) -> None:
        """Count one more file of the phase as done."""


class NoProgress:
    """Shows nothing."""

    def begin(self, phase: str, total: int | None) -> None:
        pass

    def advance(self) -> None:
        pass


class Trying:
    """Shows every phase of a trial as one of its own."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def begin(self, phase: str, total: int | None) -> None:
        self._progress.begin("Trying fixes", total)

    def advance(self) -> None:
        self._progress.advance()
