"""A file without its functions and classes: all that can be asked of one that does nothing.

Their bodies are blanked before Python parses the rest, which takes a tenth of the time. Every line
keeps its number, and every statement that is left its place. A definition on the very first line
is left as it is.
"""

from __future__ import annotations

import re
from functools import cache

from gpu_lint.facts.skim import Unskimmable, inside, long_strings
from gpu_lint.source import Source, Span

_DEFINITION = re.compile(rb"\n([ \t]*)(?:(?:async[ \t]+)?def|class)[ \t]+\w")
_HEAD_END = re.compile(rb":[ \t]*(?:#[^\n]*)?\n")
_PASS = b"pass"


class NoOutline(Exception):
    """It cannot be told where the definitions of a file end without parsing it."""


def outlined(source: Source) -> str:
    """The text of a file with the bodies of its functions and classes blanked.

    A syntax error in a body goes with it; nothing else that stands outside is changed. Raises
    :class:`NoOutline`.
    """
    data = source.data
    if source.bom or source.encoding != "utf-8" or b"\r" in data or b"\f" in data:
        raise NoOutline
    try:
        strings = list(long_strings(data))
    except Unskimmable as error:
        raise NoOutline from error
    parts: list[bytes] = []
    done = 0
    position = 0
    while match := _DEFINITION.search(data, position):
        position = match.end()
        if inside(match.start(), strings):
            continue
        head = _HEAD_END.search(data, match.end())
        if head is None:
            raise NoOutline
        first = data[match.start(1) : head.start()].partition(b"\n")
        if first[1] and first[0].count(b"(") == first[0].count(b")"):
            continue  # a suite on the line of its head
        end = _end_of_body(data, head.end(), len(match.group(1)), strings)
        last = _last_line(data, head.end(), end)
        if last is None:
            continue
        start, stop = last
        if not _can_be_blanked(data[start:stop], len(match.group(1))) or inside(stop, strings):
            continue
        parts += [data[done : head.end()], b"\n" * data.count(b"\n", head.end(), start)]
        parts += [b" " * (stop - start - len(_PASS)), _PASS]
        done = position = stop
    return b"".join((*parts, data[done:])).decode("utf-8")


def _end_of_body(data: bytes, start: int, indent: int, strings: list[Span]) -> int:
    """Where a line begins behind the head that is indented no further than the definition."""
    for match in _dedent(indent).finditer(data, start - 1):
        if not inside(match.start(), strings):
            return match.start() + 1
    return len(data)


@cache
def _dedent(indent: int) -> re.Pattern[bytes]:
    return re.compile(rb"\n[ \t]{0,%d}[^\s#]" % indent)


def _last_line(data: bytes, start: int, end: int) -> tuple[int, int] | None:
    """The last line of code, without the blanks behind it."""
    while end > start:
        line = data.rfind(b"\n", start, end - 1) + 1 or start
        text = data[line:end].strip()
        if text and not text.startswith(b"#"):
            return line, line + len(data[line:end].rstrip())
        end = line
    return None


def _can_be_blanked(line: bytes, indent: int) -> bool:
    """Whether another statement can end just where the one on this line does."""
    return (
        len(line) - len(_PASS) > indent
        and line.isascii()
        and b"#" not in line
        and not line.endswith((b";", b"\\"))
    )
