"""A file without its functions and classes, or its first statements alone: all that can be asked of
one that does nothing.

Bodies are blanked before Python parses the rest, which takes a tenth of the time. Every line
keeps its number, and every statement that is left its place. A definition on the very first line
is left as it is.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from functools import cache

from gpu_lint.facts.layout import is_stdlib
from gpu_lint.facts.skim import Imported, Skimmed, Unskimmable, inside, long_strings
from gpu_lint.source import Source, Span

_DEFINITION = re.compile(rb"\n([ \t]*)(?:(?:async[ \t]+)?def|class)[ \t]+\w")
_HEAD_END = re.compile(rb":[ \t]*(?:#[^\n]*)?\n")
_PASS = b"pass"
_TOP = re.compile(rb"\n(?=[^\s#)\]}])")
_GOES_ON = re.compile(rb"(?:else|elif|except|finally)\b")
_DEFINES = re.compile(rb"@|(?:async[ \t]+)?def\b|class\b")
_BINDS_OS = re.compile(rb"os(?<![\w.]os)[ \t]*(?:[=,)(:;\n]|in\b|\Z)")


class NoOutline(Exception):
    """It cannot be told where the definitions of a file end without parsing it."""


def outlined(source: Source) -> str:
    """The text of a file with the bodies of its functions and classes blanked.

    A syntax error in a body goes with it; nothing else that stands outside is changed. Raises
    :class:`NoOutline`.
    """
    data = source.data
    strings = _strings_in(source)
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


def opening(source: Source, skimmed: Skimmed, reaches: Callable[[str], bool]) -> tuple[int, bool]:
    """Where the first statements of a file end: those up to the first import of anything outside
    the standard library, and of a framework (``reaches``), at module level; and whether there is
    one of a framework.

    That is where its header belongs, and all that must be known to write one. Raises
    :class:`NoOutline` where what stands below may matter too.
    """
    data = source.data
    strings = _strings_in(source)
    tops = [match.end() for match in _TOP.finditer(data) if not inside(match.end(), strings)]
    imported = skimmed.imported
    foreign = _end_of_import(data, tops, imported, lambda one: not _is_stdlib(one))
    framework = _end_of_import(
        data, tops, imported, lambda one: not one.level and reaches(one.module)
    )
    if foreign is None or (framework is None and data.find(b"TYPE_CHECKING", foreign) >= 0):
        raise NoOutline
    return max(foreign, framework or 0), framework is not None


def binds_os(data: bytes, start: int) -> bool:
    """Whether something from an offset on may be called ``os``."""
    return _BINDS_OS.search(data, start) is not None


def _is_stdlib(one: Imported) -> bool:
    return not one.level and is_stdlib(one.module)


def _end_of_import(
    data: bytes, tops: list[int], imported: Iterable[Imported], wanted: Callable[[Imported], bool]
) -> int | None:
    """Where the statement ends at module level that holds the first import which is wanted;
    ``tops`` are the starts of the lines that are not indented."""
    end = 0
    for one in imported:
        if one.span.start < end or not wanted(one):
            continue  # in a function that was passed over
        next_top = bisect_right(tops, one.span.start)
        start = tops[next_top - 1] if next_top else 0
        next_top = bisect_left(tops, one.span.end, next_top)
        while next_top < len(tops) and _GOES_ON.match(data, tops[next_top]):
            next_top += 1
        end = tops[next_top] if next_top < len(tops) else len(data)
        if not _DEFINES.match(data, start):
            return end
    return None


def _strings_in(source: Source) -> list[Span]:
    """The long strings of a file that is written plainly. Raises :class:`NoOutline`."""
    data = source.data
    if source.bom or source.encoding != "utf-8" or b"\r" in data or b"\f" in data:
        raise NoOutline
    try:
        return list(long_strings(data))
    except Unskimmable as error:
        raise NoOutline from error


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
