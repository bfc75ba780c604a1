"""What two paths changed since they parted, found without comparing all that they hold.

Each path has a :class:`Version`, which collects the names that the path binds. Where paths part,
their versions share a parent; where they meet, the new version remembers both. So what may differ
between two paths is found by going back to the last version that both know.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import TypeAlias

Slot: TypeAlias = "tuple[int, str]"
"""A name in a frame; an empty name is the whole frame."""

_NUMBERS = count()
_NOTHING: frozenset[Slot] = frozenset()


class Version:
    """What a path changed since its parent; no longer written to once it has children."""

    __slots__ = ("changed", "merged", "number", "parent")

    def __init__(self, parent: Version | None, merged: Version | None = None) -> None:
        self.number = next(_NUMBERS)
        self.parent = parent
        self.merged = merged
        """The version of another path that this one stands for, too."""
        self.changed: set[Slot] | frozenset[Slot] = _NOTHING

    def note(self, slot: Slot) -> None:
        """Note that a name was bound."""
        if self.changed is _NOTHING:
            self.changed = {slot}
        else:
            self.changed.add(slot)  # type: ignore[union-attr]

    def note_all(self, slots: Iterable[Slot]) -> None:
        """Note that several names were bound."""
        self.changed = set(self.changed)
        self.changed.update(slots)

    @property
    def settled(self) -> Version:
        """The newest version that holds all of this path and is never written to again, provided
        that this one is not."""
        if self.changed is _NOTHING and self.merged is None and self.parent is not None:
            return self.parent
        return self


ROOT = Version(None)
"""Where every path begins."""


def changed_between(one: Version, other: Version) -> set[Slot]:
    """Return every name that may differ between two paths."""
    found: set[Slot] = set()
    in_one: set[Version] = set()
    in_other: set[Version] = set()
    a: Version | None = one
    b: Version | None = other
    while a is not b:
        assert a is not None
        assert b is not None
        if a.number > b.number:
            if a in in_other:
                break
            found |= a.changed
            if a.merged is not None:
                in_one.add(a.merged)
            a = a.parent
        else:
            if b in in_one:
                break
            found |= b.changed
            if b.merged is not None:
                in_other.add(b.merged)
            b = b.parent
    return found


def changed_since(version: Version, earlier: Version) -> set[Slot]:
    """Return every name that a path bound after ``earlier``, which is one of its versions."""
    found: set[Slot] = set()
    waiting = [version]
    seen: set[Version] = set()
    while waiting:
        current = waiting.pop()
        if current.number <= earlier.number or current in seen:
            continue
        seen.add(current)
        found |= current.changed
        for before in (current.parent, current.merged):
            if before is not None:
                waiting.append(before)
    return found
