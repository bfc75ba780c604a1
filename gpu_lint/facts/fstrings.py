"""Where the parts of an f-string stand: texts, and expressions between braces.

Python's own parser gives f-strings as a whole before 3.12, without the places of their parts.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

from gpu_lint.records import record

_BETWEEN = re.compile(r"(?:\s|\\\r?\n|#[^\r\n]*)*")
_OPENING = re.compile(r"([A-Za-z]{0,2})('''|\"\"\"|'|\")")
_PLAIN = {
    "'": re.compile(r"(?:[^'\\]|\\.)*'", re.DOTALL),
    '"': re.compile(r'(?:[^"\\]|\\.)*"', re.DOTALL),
    "'''": re.compile(r"(?:[^'\\]|\\.|'(?!''))*'''", re.DOTALL),
    '"""': re.compile(r'(?:[^"\\]|\\.|"(?!""))*"""', re.DOTALL),
}
_TEXT = {
    quote: re.compile(
        rf"(?:\{{\{{|\}}\}}|\\N\{{[^}}]*\}}|\\.|[^{{}}\\{quote[0]}]"
        + (rf"|{quote[0]}(?!{quote[1:]})" if len(quote) == 3 else "")
        + ")*",
        re.DOTALL,
    )
    for quote in _PLAIN
}
_RAW_TEXT = {
    quote: re.compile(pattern.pattern.replace(r"\\N\{[^}]*\}|\\.", r"\\[^{}]"), re.DOTALL)
    for quote, pattern in _TEXT.items()
}
_PREFIXES = frozenset({"", "r", "u", "b", "f", "br", "rb", "fr", "rf"})
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
_ESCAPED = {'"': '"', "'": "'", "\\": "\\", "n": "\n", "t": "\t", "r": "\r", "\n": ""}
_DEBUG = re.compile(r"=\s*(?=[!:}])")


class Unclear(Exception):
    """The text is written in a way that is not taken apart here."""


@record
class Part:
    """A part of a string; offsets are characters from the start of the whole."""

    start: int
    end: int
    kind: str
    """``string`` (a whole literal without braces), ``text`` or ``expression``."""
    inner: tuple[int, int] = (0, 0)
    """Of an expression: where its code stands."""
    conversion: str = ""
    """Of an expression: ``r``, ``s`` or ``a``."""
    specification: str = ""
    """Of an expression: the format behind its colon, as it is written."""
    is_named: bool = False
    """Of an expression: it is followed by ``=``, so that its code stands in the text too."""
    is_raw: bool = False
    """Of a text: its backslashes stand for themselves."""


def said_by(text: str, is_raw: bool) -> str | None:
    """Return what a text between an f-string's expressions says; None where that takes more than
    the common escapes."""
    plain = text.replace("{{", "{").replace("}}", "}")
    if is_raw or "\\" not in plain:
        return plain
    if any(found.group(1) not in _ESCAPED for found in _ESCAPE.finditer(plain)):
        return None
    return _ESCAPE.sub(lambda found: _ESCAPED[found.group(1)], plain)


def parts_of(text: str) -> Iterator[Part]:
    """The parts of implicitly joined strings, at least one of which is an f-string.

    Raises :class:`Unclear`.
    """
    position = 0
    while position < len(text):
        position = _skip(_BETWEEN, text, position)
        if position == len(text):
            return
        opening = _OPENING.match(text, position)
        if opening is None:
            raise Unclear
        prefix, quote = opening.group(1).lower(), opening.group(2)
        if "f" in prefix:
            position = yield from _formatted(text, opening.end(), quote, "r" in prefix)
        elif "t" in prefix or "b" in prefix:
            raise Unclear
        else:
            end = _skip(_PLAIN[quote], text, opening.end())
            yield Part(position, end, "string")
            position = end


def _formatted(text: str, position: int, quote: str, raw: bool) -> Generator[Part, None, int]:
    """The parts of one f-string behind its opening quote; returns the offset behind it."""
    pattern = (_RAW_TEXT if raw else _TEXT)[quote]
    while True:
        end = _skip(pattern, text, position)
        if end > position:
            yield Part(position, end, "text", is_raw=raw)
        if text.startswith(quote, end):
            return end + len(quote)
        if text[end : end + 1] != "{":
            raise Unclear
        part = _expression(text, end, quote)
        yield part
        position = part.end


def _expression(text: str, start: int, quote: str) -> Part:
    """``{expression}``, with ``=``, a conversion and a format, from its brace on."""
    position, depth = start + 1, 0
    is_named = False
    conversion = specification = ""
    while True:
        character = text[position : position + 1]
        if character in ("", "\\", "#") or text.startswith(quote, position):
            raise Unclear
        if character in "'\"":
            position = _behind_string(text, position)
            continue
        if character in "([{":
            depth += 1
        elif depth and character in ")]}":
            depth -= 1
        elif not depth and character in "}:":
            break
        elif not depth and character == "!" and text[position + 1] != "=":
            break
        elif not depth and character == "=":
            debug = _DEBUG.match(text, position)
            if debug is not None and text[position - 1] not in "=!<>":
                is_named = True
                break
            if text[position + 1] == "=":
                position += 1
        position += 1
    inner = (start + 1, position)
    if is_named:
        position = _skip(_DEBUG, text, position)
    if text[position] == "!":
        conversion = text[position + 1]
        position = _skip(re.compile(r"!\w+\s*"), text, position)
    if text[position] == ":":
        end = _format_end(text, position + 1, quote)
        specification = text[position + 1 : end]
        position = end
    if text[position] != "}":
        raise Unclear
    return Part(start, position + 1, "expression", inner, conversion, specification, is_named)


def _format_end(text: str, position: int, quote: str) -> int:
    """Where the brace stands that ends a format; what it nests is not looked at."""
    depth = 0
    while depth or text[position : position + 1] != "}":
        character = text[position : position + 1]
        if character in ("", "\\", "\n", "\r") or text.startswith(quote, position):
            raise Unclear
        if depth and character in "'\"":
            position = _behind_string(text, position)
            continue
        depth += (character == "{") - (character == "}")
        position += 1
    return position


def _behind_string(text: str, position: int) -> int:
    """The offset behind a string within an expression, given that of its opening quote."""
    start = position
    while text[start - 1].isalnum() or text[start - 1] == "_":
        start -= 1
    opening = _OPENING.match(text, position)
    if opening is None or text[start:position].lower() not in _PREFIXES:
        raise Unclear
    return _skip(_PLAIN[opening.group(2)], text, opening.end())


def _skip(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    if found is None:
        raise Unclear
    return found.end()
