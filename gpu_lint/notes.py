"""Notes: what is known of each file by itself, found out when it is asked for and then kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpu_lint.facts.skim import Skimmed
from gpu_lint.facts.touch import Touch

if TYPE_CHECKING:
    from gpu_lint.findings import Finding


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
    findings: tuple[str, tuple[Finding, ...]] | None = None
    """What was found in it, with the digest of everything that this depends on."""
    grown: bool = False
    """It says more than when it was last written."""

    @classmethod
    def begun(cls, data: bytes, alone: Touch) -> Note:
        """The note of some content, of which no more is known."""
        return cls(0, 0, len(data), digest_of(data), alone, grown=True)


def digest_of(data: bytes) -> str:
    """A digest of some content; most processors have instructions for this one."""
    return hashlib.sha256(data).hexdigest()[:32]
