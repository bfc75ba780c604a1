"""How many cells of a terminal text takes, and text that is cut or folded to so many.

A Chinese character or an emoji takes two cells, a combining character none.
"""

from __future__ import annotations

from collections.abc import Iterator

from gpu_lint.printable import printable

_LEAST = 2
"""Cells of a line: no character takes more."""


def cells(text: str) -> int:
    """Return the number of cells that printable text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def fold(text: str, width: int) -> Iterator[str]:
    """Yield printable text in lines of at most ``width`` cells; joined, they are the text.

    A line ends behind its last space, or else behind the last slash or hyphen that is
    not near its beginning.
    """
    width = max(width, _LEAST)
    while cells(text) > width:
        most = len(_fitting(text, width))
        end = text.rfind(" ", 0, most) + 1
        if not text[:end].strip():
            end = max(text.rfind(mark, most // 3, most) for mark in "/\\-") + 1 or most
        yield text[:end]
        text = text[end:]
    yield text


def window(before: str, marked: str, after: str, width: int) -> tuple[str, str, str]:
    """Return what fits into ``width`` cells of a line, given as what stands before, in and after
    the part that is marked: the beginning of that part, and what is near to it on both sides.

    Control characters are written as escapes, and ``…`` stands for what is cut. The time taken
    depends on the width alone.
    """
    if len(before) + len(marked) + len(after) <= width:
        whole = printable(before), printable(marked), printable(after)
        if cells("".join(whole)) <= width:
            return whole
    middle = _fitting(marked[:width], width // 2)
    room = width - cells("".join(middle)) - len("……")
    tail = _fitting(after[:width], room) if len(middle) == len(marked) else []
    left = max(room - cells("".join(tail)), room // 2)
    head = _fitting(before[: -width - 1 : -1], left)[::-1]
    if tail:
        tail = _fitting(after[:width], room - cells("".join(head)))
    cut_before = "…" * (len(head) < len(before))
    cut_after = "…" * (len(middle) + len(tail) < len(marked) + len(after))
    return cut_before + "".join(head), "".join(middle), "".join(tail) + cut_after


def _fitting(text: str, width: int) -> list[str]:
    """Return the first characters of text that fit into ``width`` cells, as they are shown."""
    if text.isascii() and text.isprintable():
        return list(text[: max(width, 0)])
    shown: list[str] = []
    for character in text:
        piece = printable(character)
        width -= cells(piece)
        if width < 0:
            break
        shown.append(piece)
    return shown
