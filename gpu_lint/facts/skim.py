"""What a file's bytes tell of it without a syntax tree: which modules it imports.

The project's import graph needs this of every file, and nothing else of most. Where the text is
written so that it cannot be told, the caller reads the file properly; both give the same.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache

from gpu_lint.facts.listing import may_list
from gpu_lint.facts.skimmed import Imported, Skimmed
from gpu_lint.source import Span


class Unskimmable(Exception):
    """The text is written in a way that only a parser reads."""


_ON_LINE = re.compile(rb"#|'(?:[^'\\\r\n]|\\.)*'|\"(?:[^\"\\\r\n]|\\.)*\"")
_IMPORT = re.compile(rb"import\b")
_FROM = re.compile(rb"from\b")
_BEHIND = re.compile(rb"[;:][ \t\f]*(?:from\b.*)?\Z", re.DOTALL)
"""What may stand before an import that is not the first on its line."""
_ANYWHERE = re.compile(rb"(?:\A|[\n;:])([ \t\f]*)(?=import\b|from\b)")
_GUARD = re.compile(
    rb"(?:\A|(?<=\n))if[ \t]+__name__[ \t]*==[ \t]*(?:\"__main__\"|'__main__')[ \t]*:"
)
_CHECKING = re.compile(rb"([ \t]*)(?:el)?if[ \t]+(?:\w+\.)?TYPE_CHECKING[ \t]*:")
_BY_NAME = re.compile(
    rb"\b(?:import_module|__import__)\s*\(\s*(?:#|(?:\w+\s*=\s*)?[A-Za-z]{0,2}[\"'(])"
)
"""A call of those with a literal, or with something that may be one: in parentheses, or behind a
comment."""
_BLANK = rb"(?:[ \t\f]|\\\r?\n)"
_WORD = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_STATEMENT = re.compile(
    rb"(?:import(?P<plain>" + _BLANK + rb"[^\r\n;#(]*)"
    rb"|from(?P<base>" + _BLANK + rb"*[\w.]+" + _BLANK + rb"*)import"
    rb"(?P<names>" + _BLANK + rb"*\((?:[^()#]|#[^\r\n]*)*\)|" + _BLANK + rb"*\*|[^\r\n;#(]*))"
    rb"[ \t\f]*(?=[\r\n;#]|\Z)"
)
_HEAD = re.compile(
    rb"(?P<function>(?:async[ \t]+)?def\b)"
    rb"|(?:class|try|with|while|elif|except|finally)\b"
    rb"|(?P<may_go_on>(?:if|else|for|async|match|case)\b)"
)
"""How the head of a suite begins; some of these may as well go on with a line in brackets."""
_HEAD_END = re.compile(rb":[ \t\f]*(?:#.*)?\Z")
_CONTINUED = re.compile(rb"\\\r?\n")
_COMMENT = re.compile(rb"#[^\r\n]*")
_LONGEST_LINE = 4_000
_BACKSLASH = ord("\\")


def skim(data: bytes) -> Skimmed:
    """Skim a file whose encoding agrees with ASCII. Raises :class:`Unskimmable`."""
    guard = _has_guard(data) if b"__main__" in data else False
    return Skimmed(tuple(_imports_in(data)), guard)


def _has_guard(data: bytes) -> bool | None:
    """Whether a file that mentions ``__main__`` has a main guard; None where it is not written as
    everybody writes it. Raises :class:`Unskimmable`."""
    strings = all_long_strings(data)
    return any(not inside(found.end(), strings) for found in _GUARD.finditer(data)) or None


def _imports_in(data: bytes) -> list[Imported]:
    """Every import statement of a file in UTF-8, except what only type checkers see.

    Raises :class:`Unskimmable`.
    """
    if b"spec_from_file_location(" in data:
        raise Unskimmable
    if b"import_module" in data or b"__import__" in data:
        if _BY_NAME.search(data) or may_list(data):
            raise Unskimmable
    if data.startswith(b"\xef\xbb\xbf"):
        raise Unskimmable
    if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
        raise Unskimmable
    starts = _line_starts(data)
    alone = starts is not None
    if starts is None:
        starts = [(found.start(1), found.end()) for found in _ANYWHERE.finditer(data)]
    found: list[Imported] = []
    if not starts:
        return found
    strings = all_long_strings(data)
    continued = b"\\\n" in data or b"\\\r" in data
    hidden: list[Span] | None = None
    suites = _Suites(data, strings)
    passed = 0
    """The strings that end above."""
    for blanks, start in starts:
        while passed < len(strings) and strings[passed].end <= start:
            passed += 1
        if passed < len(strings) and strings[passed].start <= start:
            continue
        if not alone and _is_no_statement(data, blanks, start, strings[passed - 1 : passed]):
            continue
        statement = _STATEMENT.match(data, start)
        if statement is None or (continued and _goes_on(data, blanks)):
            raise Unskimmable
        if hidden is None:
            hidden = list(_for_checkers(data, strings))
        if not hidden or not inside(start, hidden):
            text = statement.group().rstrip(b" \t\f")
            end = start + len(text)
            is_deferred = suites.defer(start)
            found += [Imported(*named, start, end, is_deferred) for named in _names(text)]
    return found


class _Suites:
    """Tells by indentation which statements run when a file is imported; asked in their order."""

    def __init__(self, data: bytes, strings: Sequence[Span]) -> None:
        self._data = data
        self._strings = strings
        self._may_defer = b"def" in data or b"__main__" in data
        self._told: dict[int, tuple[int, bool]] = {}
        """By indentation, the line that was asked for last, and the answer."""

    def defer(self, start: int) -> bool:
        """Whether the statement at an offset stands in a function, or behind the main guard.
        Raises :class:`Unskimmable`."""
        first = line = self._data.rfind(b"\n", 0, start) + 1
        own = indent = self._indent(line)
        found = False
        while indent and self._may_defer and not found:
            line = self._line_above(line)
            told = self._told.get(indent)
            if told is not None and told[0] == line:
                found = told[1]
                break
            width = self._indent(line)
            head = _HEAD.match(self._data, line + width) if width < indent else None
            if head is not None:  # else it is blank, a comment, or goes on with the line above
                found = self._defers(head)
                indent = width
        self._told[own] = first, found
        return found

    def _defers(self, head: re.Match[bytes]) -> bool:
        """Whether the suite below a head does not run on import. Raises :class:`Unskimmable`."""
        if head["function"]:
            return True
        text = self._data[head.start() : line_end(self._data, head.start())]
        if head["may_go_on"] and not _HEAD_END.search(text):
            raise Unskimmable
        if b"__main__" not in text or not text.startswith(b"if"):
            return False
        if _GUARD.match(self._data, head.start()):
            return True
        raise Unskimmable

    def _indent(self, line: int) -> int:
        end = line
        while self._data[end : end + 1] in (b" ", b"\t", b"\f"):
            end += 1
        return end - line

    def _line_above(self, line: int) -> int:
        """Where the line above begins; where that ends a long string, the line that begins it.
        Raises :class:`Unskimmable`."""
        if not line:
            raise Unskimmable
        above = self._data.rfind(b"\n", 0, line - 1) + 1
        at = bisect_right(self._strings, above, key=lambda span: span.start) - 1
        while at >= 0 and self._strings[at].start < above < self._strings[at].end:
            above = self._data.rfind(b"\n", 0, self._strings[at].start) + 1
            at -= 1  # the line may begin in another one
        return above


def _goes_on(data: bytes, start: int) -> bool:
    """Whether a line goes on with the one above."""
    above = end_before(data, start, b"\r\n")
    return data[above - 1 : above] == b"\\"


def _is_no_statement(data: bytes, blanks: int, start: int, above: Sequence[Span]) -> bool:
    """Whether an import that is not the first on its line is in a comment or a string there;
    ``above`` is the last long string that ends before it. Raises :class:`Unskimmable`."""
    line = data.rfind(b"\n", max(blanks - _LONGEST_LINE, 0), blanks) + 1
    if not line and blanks > _LONGEST_LINE:
        raise Unskimmable  # to look at a long line anew for each import on it takes too long
    if b"'" in data[line:start] or b'"' in data[line:start]:
        line = max([line, *(span.end for span in above)])
    before = data[line:start]
    return bool(before.strip()) and _is_hidden_on_line(before)


def _line_starts(data: bytes) -> list[tuple[int, int]] | None:
    """Where lines begin with an import, and where this begins behind blanks; None if one may stand
    behind something else. Raises :class:`Unskimmable`."""
    found: list[tuple[int, int]] = []
    last = -1
    for match in _IMPORT.finditer(data):
        at = match.start()
        line = data.rfind(b"\n", max(at - _LONGEST_LINE, 0), at) + 1
        if not line and at > _LONGEST_LINE:
            raise Unskimmable
        text = data[line:at].lstrip(b" \t\f")
        if (b":" in text or b";" in text) and _BEHIND.search(text):
            return None
        if line != last and (not text or _FROM.match(text)):
            found.append((line, at - len(text)))
            last = line
    return found


@lru_cache(maxsize=10_000)  # files of a project import much the same
def _names(text: bytes) -> tuple[tuple[str, int, str], ...]:
    """What a statement imports: modules, levels and names. Raises :class:`Unskimmable`."""
    statement = _STATEMENT.fullmatch(text)
    if statement is None or not text.isascii():
        raise Unskimmable
    if statement["plain"] is not None:
        return tuple((_name_of(part), 0, "") for part in _clean(statement["plain"]).split(","))
    base = "".join(_clean(statement["base"]).split())
    module = base.lstrip(".")
    if module and not _WORD.fullmatch(module):
        raise Unskimmable
    names = _clean(statement["names"]).strip()
    names = names[1:-1] if names.startswith("(") else names
    level = len(base) - len(module)
    return tuple(
        (module, level, "*" if part.strip() == "*" else _name_of(part))
        for part in names.strip().removesuffix(",").split(",")
    )


def _clean(text: bytes) -> str:
    if b"\\" not in text and b"#" not in text:
        return text.decode("ascii")
    return _COMMENT.sub(b"", _CONTINUED.sub(b" ", text)).decode("ascii")


def _name_of(part: str) -> str:
    """The imported name in ``name as other``."""
    words = part.split()
    if not (len(words) == 1 or (len(words) == 3 and words[1] == "as")):
        raise Unskimmable
    if not words[0].isidentifier() and not _WORD.fullmatch(words[0]):
        raise Unskimmable
    return words[0]


def _is_hidden_on_line(before: bytes) -> bool:
    """Whether what follows on a line is in a comment or a string, or no statement starts there."""
    position = 0
    while found := _ON_LINE.search(before, position):
        if found.group() == b"#":
            return True
        position = found.end()
    rest = before[position:]
    if b"'" in rest or b'"' in rest:
        return True
    stripped = before.rstrip()
    if stripped.endswith(b";"):
        return False
    if not re.match(rb"\s*(?:if|else|elif|try|except|finally|for|while|with|def|class)\b", before):
        return True
    raise Unskimmable  # a suite on the line of its header


@lru_cache(maxsize=4)  # several ask for those of one file, one after the other
def all_long_strings(data: bytes) -> tuple[Span, ...]:
    """The strings in triple quotes. Raises :class:`Unskimmable`."""
    return tuple(long_strings(data))


def long_strings(data: bytes) -> Iterator[Span]:
    """The strings in triple quotes. Raises :class:`Unskimmable`."""
    position = 0
    single, double = data.find(b"'''"), data.find(b'"""')
    while True:
        if 0 <= single < position:
            single = data.find(b"'''", position)
        if 0 <= double < position:
            double = data.find(b'"""', position)
        if single < 0 and double < 0:
            return
        start, quotes = (double, b'"""') if single < 0 or 0 <= double < single else (single, b"'''")
        line = line_start(data, start, position)
        before = data[line:start]
        if b"#" in before or b"'" in before or b'"' in before:
            skipped = _behind(data, line, start)
            if skipped is not None:
                position = skipped
                continue
        end = start + 3
        while True:
            end = data.find(quotes, end)
            if end < 0:
                raise Unskimmable
            if data[end - 1] != _BACKSLASH or (end - end_before(data, end, b"\\")) % 2 == 0:
                break
            end += 1
        yield Span(start, end + 3)
        position = end + 3


def _behind(data: bytes, line: int, quotes: int) -> int | None:
    """Where to go on if the quotes at an offset stand in a comment or a short string."""
    position = line
    while found := _ON_LINE.search(data, position):
        if found.start() >= quotes:
            return None
        if found.group() == b"#":
            return line_end(data, quotes)
        if found.end() > quotes:
            return found.end()
        position = found.end()
    raise Unskimmable


def _for_checkers(data: bytes, strings: Sequence[Span]) -> Iterator[Span]:
    """The suites of ``if TYPE_CHECKING:``, which never run."""
    at = -1
    while (at := data.find(b"TYPE_CHECKING", at + 1)) >= 0:
        line = data.rfind(b"\n", max(at - _LONGEST_LINE, 0), at) + 1
        match = _CHECKING.match(data, line) if line or at <= _LONGEST_LINE else None
        if match is None or inside(match.end(), strings):
            continue
        indent = match.group(1)
        deeper = re.compile(rb"\n(?!" + indent + rb"[ \t]|[ \t\f]*(?:[#\r\n]|\Z))")
        end = len(data)
        for found in deeper.finditer(data, match.end()):
            if not inside(found.end(), strings):
                end = found.start()
                break
        yield Span(match.end(), end)


def line_start(data: bytes, offset: int, least: int = 0) -> int:
    """Where the line of an offset begins, whatever ends lines; ``least`` or later."""
    feed = max(data.rfind(b"\n", least, offset) + 1, least)
    return max(data.rfind(b"\r", feed, offset) + 1, feed)


def line_end(data: bytes, offset: int) -> int:
    """Where the line of an offset ends, whatever ends lines."""
    feed = data.find(b"\n", offset)
    feed = len(data) if feed < 0 else feed
    found = data.find(b"\r", offset, feed)
    return feed if found < 0 else found


def end_before(data: bytes, offset: int, skipped: bytes) -> int:
    """Where what stands before an offset ends, without some bytes."""
    while offset and data[offset - 1] in skipped:
        offset -= 1
    return offset


def inside(offset: int, spans: Sequence[Span]) -> bool:
    at = bisect_right(spans, offset, key=lambda span: span.start) - 1
    return at >= 0 and offset < spans[at].end
