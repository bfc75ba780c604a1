"""A file without its functions and classes, or its first statements alone: all that can be asked of
one that does nothing. And one without the bodies of its functions, which can be read later.

Bodies are blanked before Python parses the rest, which takes a tenth of the time. Every line
keeps its number, and every statement that is left its place. A definition on the very first line
is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache

from gpu_lint.facts.layout import is_stdlib
from gpu_lint.facts.skim import Unskimmable, inside, long_strings
from gpu_lint.facts.skimmed import Imported, Skimmed
from gpu_lint.source import Source, Span

_DEFINITION = re.compile(rb"\n([ \t]*)(?:(?:async[ \t]+)?def|class)[ \t]+\w")
_FUNCTION = re.compile(rb"\n([ \t]*)(?:async[ \t]+)?def[ \t]+\w")
_HEAD_END = re.compile(rb":[ \t]*(?:#[^\n]*)?\n")
_PASS = b"pass"
_TOP = re.compile(rb"\n(?=[^\s#)\]}])")
_TOP_LINE = re.compile(rb"[^\s#)\]}]")
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
    return _blanked(source, _DEFINITION)


def without_bodies(source: Source, least: int) -> str:
    """The text of a file with the bodies of those functions blanked that take so many bytes or
    more, from the beginning of the line with ``def`` on: as :func:`outlined`."""
    return _blanked(source, _FUNCTION, least)


def _blanked(source: Source, definition: re.Pattern[bytes], least: int = 0) -> str:
    data = source.data
    _check_plain(source)
    strings = _LongStrings(data)
    parts: list[bytes] = []
    head: re.Match[bytes] | None = None
    done = 0
    position = 0
    while match := definition.search(data, position):
        position = match.end()
        if strings.hold(match.start()):
            continue
        if head is None or head.start() < match.end():
            head = _HEAD_END.search(data, match.end())
        if head is None:
            raise NoOutline
        line = data.find(b"\n", match.start(1), head.start())
        if line >= 0 and not _is_open(data[match.start(1) : line]):
            continue  # a suite on the line of its head
        end = _end_of_body(data, head.end(), len(match.group(1)), strings)
        last = _last_line(data, head.end(), end)
        if last is None:
            continue
        start, stop = last
        if stop - match.start(1) < least:
            continue
        if not _can_be_blanked(data[start:stop], len(match.group(1))) or strings.hold(stop):
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
    _check_plain(source)
    strings = _LongStrings(data)
    imported = skimmed.imported
    foreign = _end_of_import(data, strings, imported, lambda one: not _is_stdlib(one))
    framework = _end_of_import(
        data, strings, imported, lambda one: not one.level and reaches(one.module)
    )
    if foreign is None or (framework is None and data.find(b"TYPE_CHECKING", foreign) >= 0):
        raise NoOutline
    return max(foreign, framework or 0), framework is not None


def binds_os(data: bytes, start: int) -> bool:
    """Whether something from an offset on may be called ``os``."""
    return _BINDS_OS.search(data, start) is not None


def _is_stdlib(one: Imported) -> bool:
    return not one.level and is_stdlib(one.module)


class _LongStrings:
    """The long strings of a file, found as far as they are asked for."""

    def __init__(self, data: bytes) -> None:
        self._more = long_strings(data)
        self._found: list[Span] = []
        self._all = False

    def hold(self, offset: int) -> bool:
        """Whether an offset is in one. Raises :class:`NoOutline`."""
        while not self._all and not (self._found and self._found[-1].start > offset):
            try:
                self._found.append(next(self._more))
            except StopIteration:
                self._all = True
            except Unskimmable as error:
                raise NoOutline from error
        return inside(offset, self._found)


def _end_of_import(
    data: bytes,
    strings: _LongStrings,
    imported: Iterable[Imported],
    wanted: Callable[[Imported], bool],
) -> int | None:
    """Where the statement ends at module level that holds the first import which is wanted."""
    end = 0
    for one in imported:
        if one.start < end or not wanted(one):
            continue  # in a function that was passed over
        start = _top_before(data, one.start, end, strings)
        end = _top_behind(data, one.end, strings)
        while end < len(data) and _GOES_ON.match(data, end):
            end = _top_behind(data, end + 1, strings)
        if not _DEFINES.match(data, start):
            return end
    return None


def _top_before(data: bytes, offset: int, least: int, strings: _LongStrings) -> int:
    """Where the last line begins, up to an offset, that is not indented; ``least`` or later."""
    while offset > least:
        start = data.rfind(b"\n", least, offset) + 1 or least
        if _TOP_LINE.match(data, start) and not strings.hold(start):
            return start
        offset = start - 1
    return least


def _top_behind(data: bytes, offset: int, strings: _LongStrings) -> int:
    """Where the next line begins that is not indented."""
    for match in _TOP.finditer(data, offset - 1):
        if not strings.hold(match.end()):
            return match.end()
    return len(data)


def _check_plain(source: Source) -> None:
    """Raises :class:`NoOutline` for a file that is not written plainly."""
    data = source.data
    if source.bom or source.encoding != "utf-8" or b"\r" in data or b"\f" in data:
        raise NoOutline


def _is_open(line: bytes) -> bool:
    """Whether the head of a definition goes on behind its first line."""
    return line.count(b"(") != line.count(b")")


def _end_of_body(data: bytes, start: int, indent: int, strings: _LongStrings) -> int:
    """Where a line begins behind the head that is indented no further than the definition."""
    for match in _dedent(indent).finditer(data, start - 1):
        if not strings.hold(match.start()):
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
