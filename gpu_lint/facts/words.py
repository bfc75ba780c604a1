"""The words of a text: what names, keywords and parts of texts are made of.

A file says most of its words many times, and files of a project say much the same ones, so that
looking something up among them takes a fraction of the time of searching the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property

_APART = bytes(byte if chr(byte).isalnum() or byte == 0x5F else 0x20 for byte in range(128)).ljust(
    256, b" "
)
"""For ``bytes.translate``: whatever is in no word becomes a blank."""
_MOST_MET = 200_000
"""Words that are remembered."""


def words_of(data: bytes) -> frozenset[bytes]:
    """Every word of a text; letters outside ASCII end one."""
    return frozenset(data.translate(_APART).split())


class Vocabulary:
    """Words that have been met, and which of them have one of some ``parts``."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self.parts = frozenset(parts)
        self._having_one = re.compile(b"|".join(map(re.escape, sorted(self.parts)))).search
        self._met: set[bytes] = set()
        self._telling: set[bytes] = set()

    def telling(self, words: frozenset[bytes]) -> bytes:
        """Those words that have one of the parts."""
        new = words - self._met
        if new:
            if len(self._met) > _MOST_MET:
                self._met.clear()
                self._telling.clear()
                new = words
            self._met |= new
            self._telling.update(filter(self._having_one, new))
        return b" ".join(words & self._telling)


class Words:
    """The words of some text, found when they are asked for."""

    def __init__(self, data: bytes, vocabulary: Vocabulary) -> None:
        self._data = data
        self._vocabulary = vocabulary

    @cached_property
    def each(self) -> frozenset[bytes]:
        """Every word."""
        return words_of(self._data)

    @cached_property
    def _telling(self) -> bytes:
        return self._vocabulary.telling(self.each)

    def have(self, part: bytes) -> bool:
        """Whether some word has a part, which must be one of the vocabulary's."""
        assert part in self._vocabulary.parts
        return part in self._telling
