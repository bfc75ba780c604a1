"""Patterns as in a ``.gitignore``, matched in a time that no pattern can make explode.

pathspec turns a pattern into a regular expression that tries every way to share a name out among
its wildcards: with many of them that takes longer than anybody waits. Here a pattern with several
wildcards becomes an expression that never goes back on a choice, since the first place where a
piece fits leaves the most room for the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

LONGEST = 1_000
"""Characters of a pattern; no file system has names that need more."""
MOST = 5_000
"""Patterns that are matched together: each is tried on every path."""
_FEW = 2
"""Wildcards in one pattern for which pathspec's own expression takes a bounded time."""
_PIECE = re.compile(r"\\.|\[[!^]?\]?[^\]]*\]|\*+|[^*]", re.DOTALL)
_WILDCARD = re.compile(r"\[\^/\][*+]|\.\+")
"""In pathspec's expressions."""
_AT_END = "(?=/|$)"


def ignore_spec(lines: Iterable[str]) -> GitIgnoreSpec:
    """Return what matches patterns as in a ``.gitignore``; the library is loaded where there are
    any. Raises ``ValueError`` for a line that is no pattern."""
    return _spec_of(tuple(lines))


def unusable(globs: Sequence[str]) -> str:
    """Return why a configuration must not hold some globs; empty if it may."""
    if len(globs) > MOST:
        return f"more than {MOST} patterns"
    longest = max(globs, key=len, default="")
    if len(longest) > LONGEST:
        return f"{longest[:40]!r}... has more than {LONGEST} characters"
    wrong = (one for one in globs if "[" in one and not _is_pattern(one.replace("\\", "/")))
    return next((f"{one!r} is no pattern" for one in wrong), "")


def usable(lines: Sequence[str]) -> tuple[list[str], str]:
    """Return the lines of an ignore file that can be used, and why others cannot; empty if all
    can."""
    found: list[str] = []
    why = f"it has more than {MOST} lines" if len(lines) > MOST else ""
    for number, line in enumerate(lines[:MOST], start=1):
        if len(line) > LONGEST:
            why = why or f"line {number} has more than {LONGEST} characters"
        elif line and not line.startswith("#"):
            if _is_pattern(line):
                found.append(line)
            else:
                why = why or f"line {number} is no pattern"
    return found, why


def _is_pattern(line: str) -> bool:
    """Return whether a line that is no comment is a pattern, or blank."""
    try:
        regex, _ = _pattern_type().pattern_to_regex(line)
    except ValueError:
        return False
    return regex is not None or line.strip(" \t\r\f\v/") == ""


def matches(globs: Iterable[str], relative: str) -> bool:
    """Return whether a path matches one of several gitignore-style globs."""
    given = tuple(globs)
    return bool(given) and _spec_of(tuple(g.replace("\\", "/") for g in given)).match_file(relative)


@cache
def _spec_of(lines: tuple[str, ...]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    options: Any = {} if _before_backends() else {"backend": "simple"}  # others know no look-ahead
    return GitIgnoreSpec.from_lines(lines, _pattern_type(), **options)


def _before_backends() -> bool:
    """Return whether this pathspec has no choice of engines for regular expressions."""
    from importlib.util import find_spec

    return find_spec("pathspec.backend") is None


@cache
def _pattern_type() -> Any:
    """Return pathspec's class of a pattern, whatever its version calls it, with our expressions."""
    from pathspec import GitIgnoreSpec

    theirs: Any = type(GitIgnoreSpec.from_lines(["x"]).patterns[0])

    class Linear(theirs):  # type: ignore[misc]
        __slots__ = ()

        @classmethod
        def pattern_to_regex(cls, pattern: str) -> tuple[str | None, bool | None]:
            regex, include = theirs.pattern_to_regex(pattern)
            try:
                if regex is not None and len(_WILDCARD.findall(regex)) > _FEW:
                    regex = _linear(pattern, regex, theirs.pattern_to_regex)
                re.compile(regex or "")
            except re.error:  # of a range such as `[z-a]`
                return None, None
            return regex, include

    return Linear


def _linear(pattern: str, regex: str, translate: Any) -> str:
    """Return the expression for a pattern; where it has but few pieces that is ``regex``.

    ``translate`` is pathspec's translation, which is asked for pieces without a wildcard.
    """
    text = pattern if pattern.endswith("\\ ") else pattern.rstrip()
    parts = text.removeprefix("!").split("/")
    is_directory = not parts[-1]
    if not parts[0]:
        del parts[0]
    elif len(parts) == 1 or (len(parts) == 2 and is_directory):
        parts.insert(0, "**")
    if is_directory:
        parts[-1] = "**"
    segments = [part for n, part in enumerate(parts) if part != "**" or parts[n - 1 : n] != ["**"]]
    names = count()
    end = translate("/xx")[0].removeprefix("^xx")

    def atomic(expression: str) -> str:
        name = f"a{next(names)}"
        return f"(?=(?P<{name}>{expression}))(?P={name})"

    def literal(piece: str) -> str:
        found: str = translate(f"/x{piece}x")[0]
        return found.removeprefix("^x").removesuffix(f"x{end}")

    def segment(glob: str) -> str:
        if glob == "*":
            return f"[^/]+{_AT_END}"
        pieces = [""]
        for token in _PIECE.findall(glob):
            if token.startswith("*"):
                pieces.append("")
            else:
                pieces[-1] += token
        first, *middle = map(literal, pieces)
        if not middle:
            return first + _AT_END
        between = "".join(atomic(f"[^/]*?{piece}") for piece in middle[:-1] if piece)
        return atomic(f"{first}{between}[^/]*{middle[-1]}{_AT_END}")

    runs: list[list[str]] = [[]]
    for one in segments:
        if one == "**":
            runs.append([])
        else:
            runs[-1].append(segment(one))
    trailing = len(runs) > 1 and not runs[-1]
    if trailing:
        runs.pop()
    if not any(runs):
        return regex
    floating = not runs[0]
    if floating:
        del runs[0]
    parts = ["^"]
    for number, run in enumerate(runs):
        way = "/".join(run)
        if number:
            parts.append("/")
        if number or floating:
            last = number == len(runs) - 1
            way = f"(?:.+/)?{way}" if last else atomic(f"(?:[^/]*/)*?{way}")
        parts.append(way)
    if trailing:
        end = translate("/xx/" if is_directory else "/xx/**")[0].removeprefix("^xx")
    return "".join((*parts, end))
