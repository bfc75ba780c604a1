"""Bytes to text and back without loss: encoding cookie, BOM, newlines, positions.

A :class:`Span` is the one notion of place in this program: half-open byte offsets into the
file as it was read. Rows and columns exist only in reports and are made here on demand.
"""

from __future__ import annotations

import io
import os
import re
import stat
import tokenize
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import accumulate
from pathlib import Path

from gpu_lint.errors import SourceError
from gpu_lint.records import record

_COOKIE = re.compile(rb"coding[:=]")
_BOM = b"\xef\xbb\xbf"
_ASCII = "".join(map(chr, range(1, 128)))
_FEW_LINES = 20
"""Lines that are looked for one by one before it pays to know where all of them begin."""
_READING = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
LARGEST = 1_000 << 20
"""Bytes of a file that are read: as many as ``limits.file-mib`` may allow to be parsed."""
LARGEST_TEXT = 4 << 20
"""Bytes of a configuration, a rule pack, a template or an ignore file."""


@record(order=True)
class Span:
    """Half-open range of byte offsets ``[start, end)`` into the file as read."""

    start: int
    end: int

    def __reduce__(self) -> tuple[type[Span], tuple[int, int]]:
        return Span, (self.start, self.end)  # thousands go from process to process

    def __contains__(self, other: Span) -> bool:
        return self.start <= other.start and other.end <= self.end

    def overlaps(self, other: Span) -> bool:
        """Whether the two ranges share a byte, or one is an insertion inside the other."""
        if self.start == self.end or other.start == other.end:
            return self.start < other.end and other.start < self.end
        return max(self.start, other.start) < min(self.end, other.end)


@record
class Location:
    """A place for people: ``row`` and ``column`` count from 1, the column in characters."""

    row: int
    column: int


@dataclass(frozen=True)
class Source:
    """One file's content, ``data`` exactly as read."""

    path: Path
    data: bytes
    encoding: str
    bom: int = field(default=0)
    """Length of the byte order mark in bytes: 0 or 3."""

    @cached_property
    def text(self) -> str:
        """The content decoded, without its BOM."""
        return self.data[self.bom :].decode(self.encoding)

    def forget(self) -> None:
        """Let go of what follows from the bytes: it is several times their size, and is worked
        out again where it is asked for."""
        for name in ("text", "line_starts", "_wide"):
            self.__dict__.pop(name, None)

    @cached_property
    def line_starts(self) -> tuple[int, ...]:
        """Byte offset of the first byte of every line; a BOM belongs to no line."""
        lines = self.data[self.bom :].splitlines(keepends=True)
        starts = tuple(accumulate(map(len, lines), initial=self.bom))
        return starts if not lines or lines[-1].endswith((b"\n", b"\r")) else starts[:-1]

    @cached_property
    def newline(self) -> str:
        """The line ending the file uses most; ``\\n`` for a file of one line."""
        if b"\r" not in self.data:
            return "\n"
        pairs = self.data.count(b"\r\n")
        counts = {
            "\n": self.data.count(b"\n") - pairs,
            "\r\n": pairs,
            "\r": self.data.count(b"\r") - pairs,
        }
        return max(counts, key=lambda newline: counts[newline])

    @cached_property
    def _wide(self) -> tuple[list[int], list[int]]:
        """Indices of characters that take several bytes, and the surplus bytes up to each."""
        indices: list[int] = []
        surplus = [0]
        if not self.text.isascii():
            for match in re.finditer(r"[^\x00-\x7f]", self.text):
                indices.append(match.start())
                width = len(match.group().encode(self.encoding, "surrogatepass"))
                surplus.append(surplus[-1] + width - 1)
        return indices, surplus

    def byte_offset(self, character: int) -> int:
        """Byte offset in ``data`` of the character at this index of ``text``."""
        indices, surplus = self._wide
        return self.bom + character + surplus[bisect_left(indices, character)]

    def slice(self, span: Span) -> str:
        """The text of a span."""
        return self.data[span.start : span.end].decode(self.encoding)

    def row(self, offset: int) -> int:
        """Line number, from 1, of a byte offset."""
        return max(1, bisect_right(self.line_starts, offset))

    def _line_bounds(self, row: int) -> tuple[int, int]:
        starts = self.line_starts
        return starts[row - 1], starts[row] if row < len(starts) else len(self.data)

    def line_span(self, row: int) -> Span:
        """The bytes of a line (from 1), its newline included."""
        return Span(*self._line_bounds(row))

    def line(self, row: int) -> str:
        """The text of a line (from 1), without its newline."""
        start, end = self._line_bounds(row)
        return self.data[start:end].decode(self.encoding).rstrip("\r\n")

    def _line_of(self, offset: int) -> tuple[int, int]:
        """The line of a byte offset, and where that begins; without looking for all the others
        where only a few are asked for."""
        asked = self.__dict__["_asked"] = self.__dict__.get("_asked", 0) + 1
        if "line_starts" in self.__dict__ or asked > _FEW_LINES or b"\r" in self.data:
            row = self.row(offset)
            return row, self.line_starts[row - 1]
        start = self.data.rfind(b"\n", 0, offset) + 1
        return self.data.count(b"\n", 0, start) + 1, max(start, self.bom)

    def line_at(self, offset: int) -> str:
        """The text of the line of a byte offset, without its newline."""
        row, start = self._line_of(offset)
        if b"\r" in self.data:
            return self.line(row)
        end = self.data.find(b"\n", start)
        return self.slice(Span(start, end if end >= 0 else len(self.data)))

    def location(self, offset: int) -> Location:
        """Row and column (characters, both from 1) of a byte offset."""
        row, start = self._line_of(offset)
        before = self.data[start:offset]
        return Location(row, len(before.decode(self.encoding, "replace")) + 1)

    def utf16_column(self, offset: int) -> int:
        """Column from 1 in UTF-16 code units, as SARIF and editors count."""
        _, start = self._line_of(offset)
        before = self.data[start:offset].decode(self.encoding, "replace")
        return len(before.encode("utf-16-le")) // 2 + 1


def read_bytes(path: Path | str, most: int = LARGEST) -> bytes:
    """Return the content of a regular file of at most ``most`` bytes.

    Every file of a tree is read here. A pipe or a device, which might never end, is refused before
    it is opened; one that takes the place of a file meanwhile neither blocks nor gives more bytes
    than a file may have. Raises :class:`SourceError`, in words for the user.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(f"cannot be read: it is {_kind(status.st_mode)}, not a regular file")
        size = status.st_size
        if not size:
            return b""
        if size > most:
            raise SourceError(_too_large(size, most))
        descriptor = os.open(path, _READING)
        try:
            data = os.read(descriptor, size + 1)
            while more := os.read(descriptor, 1 << 20) if len(data) != size else b"":
                data += more
                if len(data) > most:
                    raise SourceError(_too_large(len(data), most))
            return data
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror or error}") from error


def read_start(path: Path | str, size: int) -> bytes:
    """Return the first ``size`` bytes of a regular file, or what it has; nothing of another kind
    of file, or of one that cannot be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return b""
        descriptor = os.open(path, _READING)
        try:
            return os.read(descriptor, size)
        finally:
            os.close(descriptor)
    except OSError:
        return b""


def _too_large(size: int, most: int) -> str:
    return f"cannot be read: it has {size >> 20} MiB, and more than {most >> 20} are not read"


def _kind(mode: int) -> str:
    """Return what a file is that is not a regular one, in words."""
    kinds = (
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((name for is_kind, name in kinds if is_kind(mode)), "a device")


def read_source(path: Path) -> Source:
    """Read and decode a file.

    Raises :class:`SourceError`, in words for the user, when it cannot be read or decoded.
    """
    return decode_source(path, read_bytes(path))


def check_decodes(data: bytes) -> None:
    """See that bytes can be decoded, for a file that is not read otherwise.

    Raises :class:`SourceError` as :func:`decode_source` does.
    """
    if not data:
        return
    plain = b"\0" not in data and b"coding" not in data[:400]
    if plain and not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            plain = False
    if not plain:
        decode_source(Path(), data)


def _end_of_second_line(data: bytes) -> int:
    """Where the lines end on which an encoding may be declared, whatever ends lines; or behind."""
    first = data.find(b"\n") + 1
    second = data.find(b"\n", first) + 1
    return second if first and second else len(data)


@cache
def _keeps_ascii(encoding: str) -> bool:
    """Return whether ASCII text is the same bytes in an encoding, so that its places in the file
    are known and a line hides nothing. In punycode, IDNA, UTF-7, UTF-16, EBCDIC and what reads
    escapes it is not; some of these take a time that grows with the square of a text's length.
    """
    try:
        return _ASCII.encode(encoding) == _ASCII.encode() and (
            _ASCII.encode().decode(encoding) == _ASCII
        )
    except (LookupError, UnicodeError, ValueError, TypeError):
        return False


def decode_source(path: Path, data: bytes) -> Source:
    """Decode bytes as Python does: BOM, then PEP 263 cookie, then UTF-8.

    Raises :class:`SourceError` when Python itself could not read the file either.
    """
    if b"\0" in data:
        raise SourceError("is not Python source: it contains null bytes (a binary file?)")
    bom = len(_BOM) if data.startswith(_BOM) else 0
    if not bom and data.isascii() and not _COOKIE.search(data, 0, _end_of_second_line(data)):
        return Source(path, data, "utf-8")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    except SyntaxError as error:
        if _COOKIE.search(b"".join(data.splitlines()[:2])):
            raise SourceError(f"cannot be decoded: {error.msg}; correct its coding line") from error
        encoding = "utf-8"
    encoding = "utf-8" if encoding == "utf-8-sig" else encoding
    if not _keeps_ascii(encoding):
        raise SourceError(
            f"cannot be decoded: in {encoding} on its coding line, ASCII is not what it seems"
        )
    body = data[bom:]
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        raise SourceError(
            f"is not {encoding.upper()}: byte 0x{data[bom + error.start]:02x} at offset "
            f"{bom + error.start}; convert it, or declare its encoding on the first line"
        ) from error
    except (LookupError, UnicodeError, ValueError) as error:
        raise SourceError(
            f"cannot be decoded: {encoding} on its coding line is no encoding of text"
        ) from error
    source = Source(path, data, encoding, bom)
    if encoding == "utf-8":
        return source
    if source.byte_offset(len(text)) != len(data) or text.encode(encoding) != body:
        raise SourceError(f"uses the encoding {encoding}, in which bytes have no fixed place")
    return source
