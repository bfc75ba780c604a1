"""Which functions run that nothing calls, and in which order.

Both are told from the words in their texts, and both take more functions at any time, as those
that run define others; what this costs grows with the words, not with the functions squared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from heapq import heappop, heappush
from typing import Generic, TypeVar

K = TypeVar("K")


class Concerned(Generic[K]):
    """Functions that may do something, or that mention one that may; others may follow."""

    def __init__(self) -> None:
        self.found: set[K] = set()
        self._number: dict[K, int] = {}
        self._names: set[bytes] = set()
        """By which words those found are called."""
        self._mentioning: dict[bytes, list[K]] = {}
        """Those not found that mention a word, which is none of the names."""
        self._called: dict[K, tuple[bytes, ...]] = {}
        self._new: list[K] = []

    def __contains__(self, key: K) -> bool:
        return key in self._number

    def add(self, key: K, names: Iterable[bytes], words: frozenset[bytes], does: bool) -> None:
        """Look at one more; it is called by ``names`` and ``does`` something itself."""
        self._number[key] = len(self._number)
        self._called[key] = tuple(names)
        if does or not self._names.isdisjoint(words):
            self._find(key)
        else:
            for word in words:
                self._mentioning.setdefault(word, []).append(key)

    def _find(self, key: K) -> None:
        waiting = [key]
        while waiting:
            key = waiting.pop()
            if key in self.found:
                continue
            self.found.add(key)
            self._new.append(key)
            for name in self._called[key]:
                if name not in self._names:
                    self._names.add(name)
                    waiting += self._mentioning.pop(name, ())

    def take_new(self) -> list[K]:
        """Those found since this was asked last, in the order in which they were added."""
        new, self._new = self._new, []
        return sorted(new, key=self._number.__getitem__)


class Uncalled(Generic[K]):
    """Functions that wait to be run, first those that no other of them mentions.

    Each has the words in its text; they keep their order.
    """

    def __init__(self) -> None:
        self._words: dict[K, frozenset[bytes]] = {}
        self._names: dict[K, bytes] = {}
        self._mentions: Counter[bytes] = Counter()
        """How many of those that wait mention a word."""
        self._called: dict[bytes, list[K]] = {}
        self._order: list[K] = []
        self._first = 0
        self._number: dict[K, int] = {}
        self._added: list[K] = []
        self._ready: list[tuple[int, K]] = []
        """Those that no other mentions; perhaps some that no longer wait, or are mentioned."""

    def __contains__(self, key: K) -> bool:
        return key in self._words

    def add(self, key: K, name: bytes, words: frozenset[bytes]) -> None:
        """Let a function wait; ``name`` is empty if it has none."""
        self._number[key] = len(self._order)
        self._order.append(key)
        self._words[key], self._names[key] = words, name
        self._mentions.update(words)
        self._called.setdefault(name, []).append(key)
        self._added.append(key)

    def settle(self) -> None:
        """To be called when some were added: only then it is known who is mentioned."""
        added, self._added = self._added, []
        for key in added:
            self._notice(key)

    def _notice(self, key: K) -> None:
        if self._is_root(key):
            heappush(self._ready, (self._number[key], key))

    def _is_root(self, key: K) -> bool:
        name = self._names[key]
        return self._mentions[name] <= (name in self._words[key])

    def drop(self, key: K) -> None:
        """A function does not wait any more."""
        if key not in self._words:
            return
        words = self._words.pop(key)
        for word in words:
            self._mentions[word] -= 1
            if self._mentions[word] <= 1:
                for other in self._called.get(word, ()):
                    if other in self._words:
                        self._notice(other)

    def take(self) -> K | None:
        """The next one, which waits no more; None if none does."""
        while self._ready:
            key = heappop(self._ready)[1]
            if key in self._words and self._is_root(key):
                self.drop(key)
                return key
        while self._first < len(self._order):  # they mention one another
            key = self._order[self._first]
            if key in self._words:
                self.drop(key)
                return key
            self._first += 1
        return None
