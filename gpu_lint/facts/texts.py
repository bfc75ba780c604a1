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
    any_of,
    entry_of,
    text_of,
)

_TRIMMING = frozenset({"strip", "lstrip", "rstrip"})
_LONGEST = 100_000
"""Characters that a text may have after a replacement."""
_PARTING = frozenset({"split", "rsplit", "partition"})


def parts_of_text(receiver: Value, method: str, args: Arguments) -> Value | None:
    """Return what ``split()``, ``partition()`` or ``strip()`` gives of a text that may be one which
    only the run will tell; None for other methods and other receivers."""
    if method in _TRIMMING:
        return receiver if isinstance(receiver, (Input, EnvironmentValue)) else None
    if method not in _PARTING:
        return None
    found: dict[Value, None] = {}
    for single in alternatives(receiver):
        if isinstance(single, (Input, EnvironmentValue, Text)):
            found[entry_of(single)] = None
        elif (text := text_of(single)) is not None and (pieces := _pieces(text, args)) is not None:
            found |= dict.fromkeys(pieces)
        else:
            return None
    texts = [text_of(single) for single in alternatives(receiver)]
    if len(texts) == 1 and texts[0] is not None:
        return None
    if None not in texts:
        return any_of(_parts_of(text or "", method, args) for text in texts)
    entries = tuple(found)
    if method == "partition":
        return Items("tuple", (*entries[:1], UNKNOWN, UNKNOWN))
    return Items("some", entries)


def _parts_of(text: str, method: str, args: Arguments) -> Value:
    parts = split_text(text, args) if method == "split" else parted_text(text, method, args)
    return UNKNOWN if parts is None else parts


def split_text(text: str, args: Arguments) -> Value | None:
    """Return the list that ``text.split(…)`` gives; None where that is not known."""
    pieces = _pieces(text, args)
    return Items("list", tuple(pieces)) if pieces is not None else None


def changed_text(text: str, method: str, args: Arguments) -> str | None:
    """Return what ``strip()``, ``replace()`` and their like give of a text and known texts; None
    for other methods, and where it is not known or too long."""
    given = [text_of(value) for _, value in args.positional]
    known = [one for one in given if one is not None]
    if not args.exact or args.keywords or len(known) < len(given):
        return None
    match method, known:
        case (("lower" | "upper" | "strip" | "lstrip" | "rstrip"), []):
            return str(getattr(text, method)())
        case (("strip" | "lstrip" | "rstrip" | "removeprefix" | "removesuffix"), [part]):
            return str(getattr(text, method)(part))
        case "replace", [old, new] if (len(text) + 1) * (len(new) + 1) <= _LONGEST:
            return text.replace(old, new)
    return None


def parted_text(text: str, method: str, args: Arguments) -> Value | None:
    """Return the three texts that ``partition()`` or ``rpartition()`` gives; None where they are
    not known."""
    separator = text_of(args.value(0, "sep") or UNKNOWN)
    if not separator or method not in ("partition", "rpartition"):
        return None
    parts = text.partition(separator) if method == "partition" else text.rpartition(separator)
    return Items("tuple", tuple(map(Known, parts)))


def _pieces(text: str, args: Arguments) -> list[Value] | None:
    """Return what stands between separators; None where these are not known."""
    separator = text_of(args.value(0, "sep") or UNKNOWN)
    if not args.exact or len(args.positional) > 1 or (args.positional and not separator):
        return None
    if not args.positional and args.keywords:
        return None
    return [Known(part) for part in text.split(separator)]
