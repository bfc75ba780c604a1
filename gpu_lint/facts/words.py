"""The words of a text: what names, keywords and parts of texts are made of.

A file says most of its words many times, and files of a project say much the same ones, so that
looking something up among them takes a fraction of the time of searching the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple, Protocol

_APART = bytes(byte if chr(byte).isalnum() or byte == 0x5F else 0x20 for byte in range(128)).ljust(
    256, b" "
)
"""For ``bytes.translate``: whatever is in no word becomes a blank."""
_MOST_MET = 200_000
"""Words that are remembered."""


def words_of(data: bytes) -> frozenset[bytes]:
    """Every word of a text; letters outside ASCII end one."""
    return frozenset(data.translate(_APART).split())


def words_of_name(name: str) -> frozenset[bytes]:
    """The words of every text that holds a name: of one with letters outside ASCII, its parts."""
    return words_of(name.encode())


class Parts(NamedTuple):
    """Parts of words, of which one is looked for."""

    each: tuple[bytes, ...]
    bits: int
    """What stands for them in their vocabulary."""


class Said(Protocol):
    """What some text says, as far as it is asked for parts of words."""

    def have(self, parts: Parts) -> bool:
        """Whether one of some parts occurs."""


class Vocabulary:
    """Words that have been met, and which of some parts are in each of them."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._bits = {part: 1 << number for number, part in enumerate(sorted({*parts}))}
        self._having_one = re.compile(b"|".join(map(re.escape, self._bits))).search
        self._met: set[bytes] = set()
        self._telling: set[bytes] = set()
        """Those that have one."""
        self._told: dict[bytes, int] = {}
        """The parts that they have."""

    def parts(self, *parts: bytes) -> Parts:
        """Some of the parts, to be looked for together. Raises ``KeyError`` for others."""
        return Parts(parts, sum(self._bits[part] for part in dict.fromkeys(parts)))

    def told_by(self, words: frozenset[bytes]) -> int:
        """The parts that some words have, as bits."""
        new = words - self._met
        if new:
            if len(self._met) > _MOST_MET:
                for known in (self._met, self._telling, self._told):
                    known.clear()
                new = words
            self._met |= new
            for word in filter(self._having_one, new):
                self._telling.add(word)
                self._told[word] = sum(bit for part, bit in self._bits.items() if part in word)
        found = 0
        for word in words & self._telling:
            found |= self._told[word]
        return found


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
    def _told(self) -> int:
        return self._vocabulary.told_by(self.each)

    def have(self, parts: Parts) -> bool:
        return self._told & parts.bits != 0


class Searched:
    """Some text of which little is asked: it is searched."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def have(self, parts: Parts) -> bool:
        return any(map(self._data.__contains__, parts.each))
