"""The grammar of PYTORCH_CUDA_ALLOC_CONF, release by release.

Which keys there are, what each accepts and which releases of PyTorch know it stands in
``rules/allocator.toml``; it was measured with the parsers of the releases themselves
(``rules/evidence/cuda-facts.md``, sections 5, 9 and 14). A key or value that PyTorch does not take
ends the program. Without a release, what any of them accepts is right.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

from gpu_lint.closest import closest
from gpu_lint.records import record

_RELEASE = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})(?:\.[0-9]{1,3})*")
_NUMBER = re.compile(r"[+-]?[0-9]+")
"""PyTorch reads the digits that a value begins with, and nothing behind them."""
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_MOST_DIGITS = 18
ALIAS_SINCE = (2, 10)
"""Before, PyTorch does not read PYTORCH_ALLOC_CONF for CUDA: 2.9.1 does not (pytorch#183387), 2.11
does (cuda-facts 5)."""


class Release(NamedTuple):
    """A release of PyTorch; later ones are greater."""

    major: int
    minor: int

    @classmethod
    def of(cls, text: str) -> Release | None:
        """The release that ``2.4`` or ``2.4.1`` names; None for anything else."""
        found = _RELEASE.fullmatch(text.strip())
        return cls(int(found.group(1)), int(found.group(2))) if found else None

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


@record
class Key:
    """One key: what it accepts, and the releases that know it."""

    name: str
    accepts: str
    """``choice``, ``number`` (of MB), ``fraction`` (between 0 and 1), ``share`` (from 0 to 1),
    ``power-of-two``, ``divisions`` (a power of two, or a list of them by size), ``list`` or
    ``text``."""
    since: Release
    gone: Release | None
    """The first release that does not know it any more."""
    choices: tuple[str, ...]
    least: int
    most: int | None
    stricter_before: Release | None
    """Older releases accept no less than ``formerly_least``."""
    formerly_least: int
    lists_since: Release | None

    def fault(self, value: str, release: Release | None) -> str:
        """What a release does not accept of it; with None, what none does."""
        if release is not None and release < self.since:
            return f"PyTorch knows {self.name} from {self.since} on, not in {release}"
        if release is not None and self.gone is not None and release >= self.gone:
            return f"PyTorch knows {self.name} no more from {self.gone} on"
        stricter = self.stricter_before
        old = release is not None and stricter is not None and release < stricter
        least = self.formerly_least if old else self.least
        if old and _number(value) is not None and self.least <= (_number(value) or 0) < least:
            return f"{self.name} must be at least {least} before PyTorch {stricter}, not {value!r}"
        if value.startswith("[") and self.lists_since is not None:
            if release is not None and release < self.lists_since:
                return f"{self.name} takes a list from PyTorch {self.lists_since} on"
        return "" if self._takes(value, least) else f"{self.name} must be {self._wanted(least)}"

    def _takes(self, value: str, least: int) -> bool:
        if self.accepts == "choice":
            return value in self.choices
        if self.accepts == "list":
            return value.startswith("[") and value.endswith("]")
        if self.accepts in ("fraction", "share"):
            found = _DECIMAL.match(value)
            number = float(found.group()) if found else -1.0
            return 0.0 < number < 1.0 or (self.accepts == "share" and 0.0 <= number <= 1.0)
        if self.accepts == "divisions" and value.startswith("["):
            parts = [part.rpartition(":")[2] for part in value[1:].rstrip("]").split(",")]
            return value.endswith("]") and all(_is_power(_number(part)) for part in parts)
        if self.accepts in ("divisions", "power-of-two"):
            whole = _number(value)
            return _is_power(whole) and (self.most is None or (whole or 0) <= self.most)
        if self.accepts == "number":
            whole = _number(value)
            return whole is not None and (whole >= least or whole < 0)  # below 0 it wraps around
        return True

    def _wanted(self, least: int) -> str:
        if self.accepts == "choice":
            return " or ".join(self.choices)
        if self.accepts == "number":
            return f"a number of at least {least}" if least else "a number"
        upto = f" up to {self.most}" if self.most is not None else ""
        return {
            "fraction": "between 0 and 1",
            "share": "from 0 to 1",
            "power-of-two": f"a power of two{upto}",
            "divisions": "a power of two, or a list such as [256:1,512:2,>:4]",
            "list": "a list in brackets",
        }[self.accepts]


@cache
def keys() -> dict[str, Key]:
    """The keys by their names."""
    from gpu_lint.rulebook import rules_directory
    from gpu_lint.toml import read_toml

    table, _ = read_toml(rules_directory() / "allocator.toml")
    return {key.name: key for key in keys_of(table)}


def keys_of(table: dict[str, Any]) -> tuple[Key, ...]:
    """The keys in the table of a file, which somebody has checked."""
    return tuple(map(_key, table["key"]))


def _key(entry: dict[str, Any]) -> Key:
    def release(text: str | None) -> Release | None:
        return Release.of(text) if text is not None else None

    since = Release.of(entry["since"])
    assert since is not None
    stricter = entry.get("stricter", {})
    return Key(
        name=entry["name"],
        accepts=entry["accepts"],
        since=since,
        gone=release(entry.get("gone")),
        choices=tuple(entry.get("choices", ())),
        least=entry.get("least", 0),
        most=entry.get("most"),
        stricter_before=release(stricter.get("before")),
        formerly_least=stricter.get("least", 0),
        lists_since=release(entry.get("lists-since")),
    )


def fault(text: str, release: Release | None = None) -> str:
    """What PyTorch rejects in a value; empty when it accepts all of it. With a release, what that
    one rejects; of one before the first that was measured, no more is known than without."""
    known = keys()
    if release is not None and release < min(key.since for key in known.values()):
        release = None
    for name, value in _entries(text):
        if not name:
            return "a comma too many (the program dies)"
        if value is None:
            return f"{name!r} lacks its ':value' (the program dies)"
        if name not in known:
            close = closest(name.lower(), known)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            return f"PyTorch does not know the key {name!r} (the program dies){hint}"
        if ":" in value and not value.startswith("["):
            return f"a comma lacks in {name}:{value} (the program dies)"
        if found := known[name].fault(value, release):
            said = "" if repr(value) in found or "PyTorch" in found else f", not {value!r}"
            return f"{found}{said} (the program dies)"
    return ""


def correction(text: str, release: Release | None = None) -> str | None:
    """The value that was certainly meant, where it can be told."""
    known = keys()
    entries = []
    for part in _split(text):
        name, _, value = part.replace("=", ":", 1).partition(":")
        name, value = name.strip().lower(), value.strip()
        close = [name] if name in known else closest(name, known, count=2, least=0.85)
        if len(close) != 1:
            return None
        key = known[close[0]]
        value = next((c for c in key.choices if c.lower() == value.lower()), value)
        entries.append(f"{key.name}:{value}")
    fixed = ",".join(entries)
    return fixed if fixed != text and not fault(fixed, release) else None


def same(one: str, other: str) -> bool:
    """Whether two values configure the same."""
    return sorted(map(str, _entries(one))) == sorted(map(str, _entries(other)))


def _entries(text: str) -> list[tuple[str, str | None]]:
    """``key:value`` pairs; a value in brackets may hold commas, and the last comma stands alone."""
    parts = [re.sub(r"[ \t]+", "", part) for part in _split(text)]
    if not parts[-1]:
        parts.pop()
    pairs = (part.partition(":") for part in parts)
    return [(name, value if colon else None) for name, colon, value in pairs]


def _split(text: str) -> list[str]:
    """The parts between commas that are in no brackets."""
    bracketed = False
    starts = [0]
    for mark in re.finditer(r"[\[\],]", text):
        if mark.group() != ",":
            bracketed = mark.group() == "["
        elif not bracketed:
            starts.append(mark.end())
    ends = [start - 1 for start in starts[1:]]
    return [text[start:end] for start, end in zip(starts, [*ends, len(text)], strict=True)]


def _number(value: str) -> int | None:
    """The number that a value begins with."""
    found = _NUMBER.match(value)
    if found is None or len(found.group()) > _MOST_DIGITS:
        return None
    return int(found.group())


def _is_power(number: int | None) -> bool:
    return number is not None and number > 0 and number & (number - 1) == 0
