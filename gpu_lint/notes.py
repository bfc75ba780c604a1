"""Notes: what is known of each file by itself, found out when it is asked for and then kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpu_lint.facts.skimmed import Plain, Skimmed
from gpu_lint.facts.touch import Touch

if TYPE_CHECKING:
    from gpu_lint.findings import Judged


@dataclass(eq=False)
class Note:
    """What one file says by itself, as far as it was asked; facts without any policy."""

    changed: int
    """When it was changed last, in nanoseconds; 0 if that is too recent to be relied on."""
    touched: int
    """When its entry in the file system was, which nobody can set back (``ctime``)."""
    size: int
    digest: str
    alone: Touch
    parses: bool | None = None
    touch: Touch | None = None
    skimmed: Skimmed | None = None
    decides: bool | None = None
    findings: tuple[str, Judged] | None = None
    """What was found in it, with the digest of everything that this depends on."""
    grown: bool = False
    """It says more than when it was last written."""

    @classmethod
    def begun(cls, data: bytes, alone: Touch) -> Note:
        """The note of some content, of which no more is known."""
        return cls(0, 0, len(data), digest_of(data), alone, grown=True)

    def __reduce__(self) -> tuple[Callable[..., Note], tuple[Any, ...]]:
        """Thousands go from process to process, as plain values in a third of the time."""
        touch = None if self.touch is None else self.touch.value
        skimmed = None if self.skimmed is None else self.skimmed.plain
        return _note_of, (
            (self.changed, self.touched, self.size, self.digest),
            self.alone.value,
            touch,
            skimmed,
            (self.parses, self.decides, self.findings, self.grown),
        )


def _note_of(
    state: tuple[int, int, int, str],
    alone: int,
    touch: int | None,
    skimmed: Plain | None,
    rest: tuple[bool | None, bool | None, tuple[str, Judged] | None, bool],
) -> Note:
    parses, decides, findings, grown = rest
    return Note(
        *state,
        Touch(alone),
        parses,
        None if touch is None else Touch(touch),
        None if skimmed is None else Skimmed.of(skimmed),
        decides,
        findings,
        grown,
    )


def digest_of(data: bytes) -> str:
    """A digest of some content; most processors have instructions for this one."""
    return hashlib.sha256(data).hexdigest()[:32]
