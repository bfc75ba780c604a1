"""Text for a terminal or the log of a CI system, which must not take orders from the code that is
checked.

:func:`text_of` turns lines into the text of a report, and is the only place where that happens:
file names, source lines, messages, notes and what a rule pack says are escaped in it, once. A
piece that a report has coloured itself, or that begins a command which it gives itself, is
:class:`Painted`; a plain string never is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias

_ANYWHERE = re.compile(r"#(?=#\w*\[)")
"""Begins a command to Azure Pipelines, TeamCity and older runners of GitHub, wherever it stands."""
_AT_START = re.compile(r"(\s*):(?=:)")
"""Begins a command to GitHub Actions."""


class Painted(str):
    """A piece of a line that is escaped already and may hold sequences of ours for colour."""

    __slots__ = ()


Line: TypeAlias = "str | tuple[str, ...]"
"""A line of a report without its newline, in one piece or several."""


def text_of(lines: Iterable[Line]) -> str:
    """Return the text of a report, each line ended by a newline, that cannot command a terminal."""
    return "".join(f"{_shown(line)}\n" for line in lines)


def _shown(line: Line) -> str:
    pieces = (line,) if isinstance(line, str) else line
    shown = "".join(piece if isinstance(piece, Painted) else printable(piece) for piece in pieces)
    return shown if isinstance(pieces[0], Painted) else _without_command(shown)


def _without_command(line: str) -> str:
    start = _AT_START.match(line)
    return f"{start[1]}\\x3a{line[start.end() :]}" if start else line


def painted(text: str, *, color: bool, **style: object) -> Painted:
    """Return text in a colour, if ``color``; what it holds itself is escaped. ``style`` is that
    of :func:`click.style`."""
    shown = printable(text)
    if not color:
        return Painted(shown)
    from click import style as styled

    return Painted(styled(shown, **style))  # type: ignore[arg-type]


def printable(text: str) -> str:
    """Return text as one line that cannot command a terminal.

    Control characters (C0, C1), marks that change the direction of text, invisible ones and ends
    of lines are written as escapes, and so is what begins a command in the log of a CI system. To
    do so twice is to do so once.
    """
    if "##" in text:
        text = _ANYWHERE.sub(r"\\x23", text)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\t" else _escape(character)
        for character in text
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
