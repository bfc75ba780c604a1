"""What the methods of texts give of one that only the run will tell: its entries."""

from __future__ import annotations

from gpu_lint.facts.environment import Arguments
from gpu_lint.facts.values import (
    UNKNOWN,
    EnvironmentValue,
    Input,
    Items,
    Known,
    Text,
    Value,
    alternatives,
    entry_of,
    text_of,
)

_TRIMMING = frozenset({"strip", "lstrip", "rstrip"})
_PARTING = frozenset({"split", "rsplit", "partition"})


def parts_of_text(receiver: Value, method: str, args: Arguments) -> Value | None:
    """Return what ``split()``, ``partition()`` or ``strip()`` gives of a text that may be one which
    only the run will tell; None for other methods and other receivers."""
    if method in _TRIMMING:
        return receiver if isinstance(receiver, (Input, EnvironmentValue)) else None
    if method not in _PARTING:
        return None
    if all(text_of(single) is not None for single in alternatives(receiver)):
        return None
    found: dict[Value, None] = {}
    for single in alternatives(receiver):
        if isinstance(single, (Input, EnvironmentValue, Text)):
            found[entry_of(single)] = None
        elif (text := text_of(single)) is not None and (pieces := _pieces(text, args)) is not None:
            found |= dict.fromkeys(pieces)
        else:
            return None
    entries = tuple(found)
    if method == "partition":
        return Items("tuple", (*entries[:1], UNKNOWN, UNKNOWN))
    return Items("some", entries)


def _pieces(text: str, args: Arguments) -> list[Value] | None:
    """Return what stands between separators; None where these are not known."""
    separator = text_of(args.value(0, "sep") or UNKNOWN)
    if not args.exact or len(args.positional) > 1 or (args.positional and not separator):
        return None
    if not args.positional and args.keywords:
        return None
    return [Known(part) for part in text.split(separator)]
