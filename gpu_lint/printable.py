"""Text for a terminal, which must not take orders from the code that is checked."""

from __future__ import annotations


def printable(text: str) -> str:
    """Text that cannot command a terminal: control characters are written as escapes."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\t" else _escape(character)
        for character in text
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
