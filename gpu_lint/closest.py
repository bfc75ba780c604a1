"""What somebody may have meant by a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable


def closest(name: str, known: Iterable[str], *, count: int = 1, least: float = 0.6) -> list[str]:
    """The known names that are most like a name, at most so many, best first; ``least`` is how much
    alike they must be, from 0 to 1."""
    import difflib  # here, as hardly any run needs it

    return difflib.get_close_matches(name, list(known), n=count, cutoff=least)
