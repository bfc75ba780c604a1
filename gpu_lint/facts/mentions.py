"""What the text of a file mentions, and where: told without looking into its functions.

A function whose text can do nothing, and names nothing that matters, need not be run by itself.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import cached_property

from gpu_lint.facts.freezing import gpu_mentions
from gpu_lint.facts.needles import Needles
from gpu_lint.facts.prose import with_blank_prose
from gpu_lint.facts.skim import line_end, line_start
from gpu_lint.facts.words import words_of
from gpu_lint.source import Span

_BINDING = re.compile(rb"\s*(?:\w+\.)*(\w+)\s*(?::[^=]+)?=(?!=)")
_ATTRIBUTE = re.compile(rb"\.(\w+)\s*(?::[^=\n]+)?=(?!=)")


class Mentions:
    """What one file mentions in its code; comments and docstrings count as blank."""

    def __init__(self, data: bytes, needles: Needles) -> None:
        self._code = with_blank_prose(data)
        self._places = sorted(needles.places(self._code))
        """Where something may be set, selected, counted or started."""
        self._selecting = sorted(needles.device_places(self._code))
        """Where a device may be named, or counted."""
        self._words: dict[Span, frozenset[bytes]] = {}
        self._concerned: dict[Span, bool] = {}

    def words(self, span: Span) -> frozenset[bytes]:
        """Every word between two offsets, names among them."""
        if span not in self._words:
            self._words[span] = words_of(self._code[span.start : span.end])
        return self._words[span]

    def does_something(self, span: Span) -> bool:
        """Whether the text between two offsets may set, select, count or start anything, or
        changes what such a text names."""
        if span not in self._concerned:
            has_place = _has_one_in(self._places, span)
            self._concerned[span] = has_place or self._changes_what_is_used(span)
        return self._concerned[span]

    def selects(self, span: Span) -> bool:
        """Whether the text between two offsets may name or count devices."""
        return _has_one_in(self._selecting, span)

    def gpu(self, span: Span) -> bool:
        """Whether a GPU is mentioned between two offsets."""
        return _has_one_in(self._gpu_places, span)

    @cached_property
    def _gpu_places(self) -> list[int]:
        return gpu_mentions(self._code)

    def _changes_what_is_used(self, span: Span) -> bool:
        words = self.words(span)
        if not words.isdisjoint(self._bound) or (
            b"global" in words and not words.isdisjoint(self._used)
        ):
            return True
        assigned = _ATTRIBUTE.finditer(self._code, span.start, span.end)
        return any(found.group(1) in self._used for found in assigned)

    @cached_property
    def lines(self) -> list[bytes]:
        """The lines that may set, select, count or start anything."""
        found: dict[int, bytes] = {}
        start = end = 0
        for place in self._places:
            if not start <= place < end:
                start, end = line_start(self._code, place), line_end(self._code, place)
                found[start] = self._code[start:end]
        return list(found.values())

    @cached_property
    def _bound(self) -> frozenset[bytes]:
        """The names that such lines bind."""
        return frozenset(m.group(1) for line in self.lines if (m := _BINDING.match(line)))

    @cached_property
    def _used(self) -> frozenset[bytes]:
        """Everything that such lines mention."""
        return words_of(b"\n".join(self.lines))


def _has_one_in(places: list[int], span: Span) -> bool:
    """Whether one of some offsets, in order, is in a span."""
    at = bisect_left(places, span.start)
    return at < len(places) and places[at] < span.end
