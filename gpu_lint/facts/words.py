"""The words of a text: what names, keywords and parts of texts are made of.

A file says most of its words many times, so that looking something up among them takes a fraction
of the time of searching the text.
"""

from __future__ import annotations

from functools import cached_property

_APART = bytes(byte if chr(byte).isalnum() or byte == 0x5F else 0x20 for byte in range(128)).ljust(
    256, b" "
)
"""For ``bytes.translate``: whatever is in no word becomes a blank."""


class Words:
    """The words of some text, found when they are asked for."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._has: dict[bytes, bool] = {}

    @cached_property
    def each(self) -> frozenset[bytes]:
        """Every word; letters outside ASCII end one."""
        return frozenset(self._data.translate(_APART).split())

    @cached_property
    def text(self) -> bytes:
        """Every word once, to search for parts of words."""
        return b" ".join(self.each)

    def any_has(self, parts: tuple[bytes, ...]) -> bool:
        """Whether some word has one of these parts."""
        for part in parts:
            has = self._has.get(part)
            if has is None:
                has = self._has[part] = part in self.text
            if has:
                return True
        return False
