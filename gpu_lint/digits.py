"""Numbers in texts: what Python takes for digits is more than CUDA does, and has no bound."""

from __future__ import annotations

import re

_DIGITS = re.compile(r"[0-9]{1,18}")


def number_in(text: str) -> int | None:
    """The number that a text of digits spells; None for any other, and for one so large that
    no machine has as many of anything."""
    return int(text) if _DIGITS.fullmatch(text) else None
