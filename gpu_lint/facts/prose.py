"""Prose in the bytes of a file: its docstrings and comments, which do nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpu_lint.facts.skim import (
    Unskimmable,
    all_long_strings,
    end_before,
    inside,
    line_end,
    line_start,
)
from gpu_lint.source import Span

_TO_LINE_END = re.compile(rb"#[^\r\n]*")

_HEAD = re.compile(
    rb"\s*(?:[)\]]|(?:def|class|async|if|elif|else|for|while|try|except|finally|with|match|case)\b)"
)
"""What the last line of a head begins with, which ends in a colon."""
_LONGEST_HEAD = 1_000


def with_blank_prose(data: bytes) -> bytes:
    """A file with blanks for its docstrings, and for comments where they are told from strings:
    everything else is in its place."""
    try:
        strings = all_long_strings(data)
    except Unskimmable:
        return data
    docstrings = [span for span in strings if _is_docstring(data, span)]
    comments = [span for span in _comments(data) if not inside(span.start, strings)]
    parts: list[bytes] = []
    end = 0
    for span in sorted(docstrings + comments):
        parts += data[end : span.start], b" " * (span.end - span.start)
        end = span.end
    return b"".join((*parts, data[end:]))


def _comments(data: bytes) -> Iterator[Span]:
    """The comments of a file that hold no quotes, and so are not the end of a string."""
    for found in _TO_LINE_END.finditer(data) if b"#" in data else ():
        text = found.group()
        start = text.find(b"#", max(text.rfind(b"'"), text.rfind(b'"')) + 1)
        if start >= 0:
            yield Span(found.start() + start, found.end())


def without_long_strings(data: bytes, least_lines: int = 1) -> bytes:
    """A file without its strings in triple quotes of so many lines or more, except those in which
    there may be code."""
    try:
        spans = [
            span
            for span in all_long_strings(data)
            if not any(kind in data[max(span.start - 2, 0) : span.start] for kind in b"fFtT")
            and (least_lines < 2 or b"\n" in data[span.start : span.end])
        ]
    except Unskimmable:
        return data
    return _without(data, spans)


def without_docstrings(data: bytes) -> bytes:
    """A file without its docstrings."""
    try:
        return _without(data, [s for s in all_long_strings(data) if _is_docstring(data, s)])
    except Unskimmable:
        return data


def _without(data: bytes, spans: list[Span]) -> bytes:
    """A file with some of its strings empty."""
    parts: list[bytes] = []
    end = 0
    for span in spans:
        parts.append(data[end : span.start])
        end = span.end
    return b'" "'.join((*parts, data[end:])) if parts else data


def in_code(data: bytes, word: bytes) -> bool:
    """Whether a word stands anywhere but in comments and docstrings."""
    prose: list[Span] | None = None
    at = data.find(word)
    while at >= 0:
        if data[line_start(data, at) : at].lstrip().startswith(b"#"):
            at = data.find(word, line_end(data, at))
            continue
        if prose is None:
            try:
                prose = [span for span in all_long_strings(data) if _is_docstring(data, span)]
            except Unskimmable:
                return True
        if not inside(at, prose):
            return True
        at = data.find(word, at + 1)
    return False


def _is_docstring(data: bytes, span: Span) -> bool:
    """Whether a string stands by itself behind the head of a definition or of a suite, or first in
    a file: not behind the key of a dict, nor between brackets that open on its line."""
    before = end_before(data, span.start, b" \t\r\n\frR")
    if not before or data[before - 1 : before] != b":":
        return not before
    line = data[line_start(data, before, max(before - _LONGEST_HEAD, 0)) : before]
    opened = line.count(b"(") + line.count(b"[") + line.count(b"{")
    closed = line.count(b")") + line.count(b"]") + line.count(b"}")
    return opened <= closed and _HEAD.match(line) is not None
