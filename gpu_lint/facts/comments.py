"""The comments of a file, found without a syntax tree."""

from __future__ import annotations

import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from contextlib import suppress

from gpu_lint.facts.program import Comment
from gpu_lint.source import Source, Span

_TOKEN = re.compile(
    r"""
    \#[^\r\n]*
    |'''(?:[^\\']|\\.|'(?!''))*''' | \"\"\"(?:[^\\\"]|\\.|\"(?!\"\"))*\"\"\"
    |'(?:[^\\'\r\n]|\\\r\n|\\.)*' | "(?:[^\\"\r\n]|\\\r\n|\\.)*"
    """,
    re.VERBOSE | re.DOTALL,
)
_FSTRING = re.compile(r"[fFtT][rR]?['\"]|[rR][fFtT]['\"]")
_NESTING = sys.version_info >= (3, 12)
"""This Python reads f-strings that hold their own quotes again."""


def comments_of(source: Source) -> tuple[Comment, ...]:
    """The comments of a file, in order; of one with a syntax error, those of the text that looks
    like comments."""
    text = source.text
    if "#" not in text:
        return ()
    if _NESTING and "\r" not in text and _FSTRING.search(text) is not None:
        with suppress(tokenize.TokenError, SyntaxError):
            return tuple(_comments(source, list(_by_tokens(text))))
    return tuple(_comments(source, _by_pattern(text)))


def _comments(source: Source, found: Iterable[tuple[int, str]]) -> Iterator[Comment]:
    for character, text in found:
        start = source.byte_offset(character)
        line_start = source.line_starts[source.row(start) - 1]
        own_line = not source.data[line_start:start].strip()
        yield Comment(Span(start, source.byte_offset(character + len(text))), text, own_line)


def _by_pattern(text: str) -> Iterator[tuple[int, str]]:
    for match in _TOKEN.finditer(text):
        if match.group()[0] == "#":
            yield match.start(), match.group()


def _by_tokens(text: str) -> Iterator[tuple[int, str]]:
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    for token in tokenize.generate_tokens(io.StringIO(text, newline="\n").readline):
        if token.type == tokenize.COMMENT:
            yield starts[token.start[0] - 1] + token.start[1], token.string
