"""Source that would break a parser, recognised before it is parsed; how deep we follow.

LibCST's native parser ends the whole process on deep nesting and on long chains of operators,
attributes, calls or ``elif``, and takes time and memory that grow with the square of their length.
So such files must never reach it, and what does is parsed on a stack of its own
(:mod:`gpu_lint.facts.deepstack`), large enough for all that these limits let through.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from gpu_lint.errors import SourceError
from gpu_lint.records import record


@record
class Limits:
    """How much of a file is given to a parser."""

    file_bytes: int = 4 << 20
    brackets: int = 200
    """In one another."""
    operators: int = 2_000
    """Links of one chain: operators, attributes, calls and subscripts between two commas or line
    ends outside brackets, those around the bracket included; ``elif`` in one statement."""

    def check_size(self, data: bytes) -> None:
        """Raises :class:`SourceError` for a file that is too large to be parsed."""
        if len(data) > self.file_bytes:
            raise SourceError(
                f"cannot be checked: it has {len(data) >> 20} MiB, and files of more than "
                f"{self.file_bytes >> 20} are not parsed (limits.file-mib)"
            )


USUAL = Limits()
_DEEPEST_RECURSION = 10_000
"""Python frames: enough for a text of 3,000 lines that is one implicit concatenation."""
_LIBCST_WORK = 5_000_000
"""Microseconds that LibCST 1.9 and what reads its tree may take, by :func:`check_for_libcst`: some
50,000 tokens of ordinary code; at most 600 MiB."""
_TOKEN_WORK, _BRACKET_WORK, _CHAIN_WORK = 100, 48, 3
"""Of a token, of each bracket around it and of each link of its chain, beyond the first few."""
_STRINGS = 10_000
"""In one implicit concatenation."""
_LONGEST_DOTTED = 2_000
"""Characters of a dotted name that is imported: Python's own parser joins its parts one by one, in
a time that grows with the square of their number."""

_TOKEN = re.compile(
    r"""
    (?P<string>(?:[rRbBuUfFtT]{0,2})  # one that does not end is no program: its end is anywhere
        (?:'''(?:\\.|[^\\])*?(?:'''|\\?\Z)|\"\"\"(?:\\.|[^\\])*?(?:\"\"\"|\\?\Z)
        |'(?:\\.|[^'\\\n])*'?|"(?:\\.|[^"\\\n])*"?))
    |(?P<comment>\#[^\r\n]*)
    |(?P<open>[(\[{])
    |(?P<close>[)\]}])
    |(?P<operator>[-+*/%@&|^<>=.~]+|\b(?:and|or|not|if|in|is|await|lambda)\b)
    |(?P<end>[,;]|\\?\r?\n)
    """,
    re.VERBOSE | re.DOTALL,
)
_FORMATTED = re.compile(r"[rR]?[fFtT][rR]?['\"]")
_BRACE = re.compile(r"\{\{|\}\}|\{|\}|[^{}]+")
_BRANCH = re.compile(r"^([ \t\f]*)(if|elif)\b", re.MULTILINE)
_BLANKS = r"(?:[ \t\f]|\\\r?\n)"
_DOTTED = tuple(
    re.compile(rf"{word}(?<![\w.]{word})(?:{_BLANKS}|\.)+(\w+(?:{_BLANKS}*\.{_BLANKS}*\w+)*)")
    for word in ("import", "from")  # that a pattern begins with a word makes it ten times as fast
)


class _Link(NamedTuple):
    """One token of a text, and what is around it."""

    character: int
    brackets: int
    chained: int
    """Links of the chain up to here, those around the brackets included."""
    strings: int
    """Strings of the implicit concatenation up to here."""


def _links(text: str, start: int, end: int, brackets: int = 0, chained: int = 0) -> Iterator[_Link]:
    """Follow brackets and chains through a part of a text, into formatted strings as well."""
    bases = [chained]
    strings = 0
    for match in _TOKEN.finditer(text, start, end):
        kind, token = match.lastgroup, match.group()
        if kind == "comment":
            continue
        if kind != "end":
            strings = strings + 1 if kind == "string" else 0
        if kind == "open":
            chained += 1
            bases.append(chained)
        elif kind == "close" and len(bases) > 1:
            chained = bases.pop()
        elif kind == "operator":
            chained += 1 if token.isalpha() else len(token)
        elif kind == "end" and (token in ",;" or (len(bases) == 1 and token[0] != "\\")):
            chained, strings = bases[-1], 0
        around = brackets + len(bases) - 1
        yield _Link(match.start(), around, chained, strings)
        if kind == "string" and _FORMATTED.match(token):
            depth = 0
            for part in _BRACE.finditer(text, match.start(), match.end()):
                if part.group() in "{}":
                    depth = max(depth + (1 if part.group() == "{" else -1), 0)
                elif depth and part.group() not in ("{{", "}}"):
                    yield from _links(text, *part.span(), around + depth, chained)


def check_limits(text: str, limits: Limits = USUAL) -> None:
    """Raises :class:`SourceError` for source that is nested or chained too far to be parsed."""
    if text.count("(") + text.count("[") + text.count("{") < limits.brackets and (
        len(text) < 2 * limits.operators
    ):
        return
    for link in _links(text, 0, len(text)):
        _check(link, text, limits)
    _check_branches(text, limits)


def check_for_libcst(text: str, limits: Limits = USUAL) -> None:
    """Raises :class:`SourceError` for source that LibCST's parser must not be given.

    Besides what :func:`check_limits` refuses that is more work than a file may take: every token
    costs what is nested and chained around it, since the parser copies that.
    """
    work = 0
    for link in _links(text, 0, len(text)):
        _check(link, text, limits)
        around = _BRACKET_WORK * link.brackets + _CHAIN_WORK * link.chained
        work += max(_TOKEN_WORK, around - 2 * _TOKEN_WORK)
    _check_branches(text, limits)
    if work > _LIBCST_WORK:
        raise SourceError(
            "cannot be checked: it is not plain UTF-8 in the syntax of this Python, and is too "
            "large or too nested for the slower parser that such a file takes"
        )


def check_imports(text: str) -> None:
    """Raises :class:`SourceError` for a dotted name that takes Python's own parser too long."""
    if len(text) < _LONGEST_DOTTED:
        return
    for pattern in _DOTTED:
        for match in pattern.finditer(text):
            if match.end(1) - match.start(1) > _LONGEST_DOTTED:
                raise SourceError(
                    f"cannot be checked: line {_row(text, match.start())} imports a name of more "
                    f"than {_LONGEST_DOTTED} characters"
                )


def _check(link: _Link, text: str, limits: Limits) -> None:
    if link.brackets > limits.brackets:
        what, key = f"more than {limits.brackets} brackets", "limits.brackets"
    elif link.chained > limits.operators:
        what, key = f"more than {limits.operators} operators", "limits.operators"
    elif link.strings > _STRINGS:
        raise SourceError(
            f"cannot be checked: line {_row(text, link.character)} joins more than {_STRINGS} "
            "strings in one expression"
        )
    else:
        return
    raise SourceError(
        f"cannot be checked: line {_row(text, link.character)} nests or chains {what} in one "
        f"expression ({key})"
    )


def _check_branches(text: str, limits: Limits) -> None:
    """Raises :class:`SourceError` for too many ``elif`` in one ``if`` and those around it."""
    if text.count("elif") <= limits.operators:
        return
    around: list[list[int]] = []
    total = 0
    for match in _BRANCH.finditer(text):
        column = len(match.group(1).expandtabs())
        while around and around[-1][0] > column - (match.group(2) == "if"):
            total -= around.pop()[1]
        if match.group(2) == "if":
            around.append([column, 0])
            continue
        if around:
            around[-1][1] += 1
            total += 1
        if total > limits.operators:
            raise SourceError(
                f"cannot be checked: line {_row(text, match.start())} is one of more than "
                f"{limits.operators} elif of one statement (limits.operators)"
            )


def _row(text: str, character: int) -> int:
    return text.count("\n", 0, character) + 1


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Let what is nested deeply be followed; beyond that it is a :class:`SourceError`."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _DEEPEST_RECURSION))
    try:
        yield
    except RecursionError as error:
        raise SourceError("cannot be checked: it is nested too deeply to be followed") from error
    finally:
        sys.setrecursionlimit(limit)
