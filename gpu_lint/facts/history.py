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
Changes: TypeAlias = "dict[int, set[str]]"
"""Names by their frames; an empty name is the whole frame."""

_NUMBERS = count()
_NOTHING: Changes = {}
"""Of a version that changed nothing; it is never written to."""


class Version:
    """What a path changed since its parent; no longer written to once it has children."""

    __slots__ = ("changed", "merged", "number", "parent")

    def __init__(self, parent: Version | None, merged: Version | None = None) -> None:
        self.number = next(_NUMBERS)
        self.parent = parent
        self.merged = merged
        """The version of another path that this one stands for, too."""
        self.changed: Changes = _NOTHING

    def note(self, frame: int, name: str) -> None:
        """Note that a name of a frame was bound; an empty one is all of them."""
        changed = self.changed
        names = changed.get(frame)
        if names is not None:
            names.add(name)
        elif changed is _NOTHING:
            self.changed = {frame: {name}}
        else:
            changed[frame] = {name}

    def note_all(self, frame: int, names: Iterable[str]) -> None:
        """Note that several names of a frame were bound."""
        if self.changed is _NOTHING:
            self.changed = {}
        self.changed.setdefault(frame, set()).update(names)

    def renew(self) -> None:
        """Let what will be noted be newer than all that other paths have done."""
        self.number = next(_NUMBERS)

    @property
    def settled(self) -> Version:
        """The newest version that holds all of this path and is never written to again, provided
        that this one is not."""
        if self.changed is _NOTHING and self.merged is None and self.parent is not None:
            return self.parent
        return self


ROOT = Version(None)
"""Where every path begins."""


def changed_between(one: Version, other: Version) -> Changes:
    """Return every name that may differ between two paths."""
    found: Changes = {}
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
            _add(a.changed, found)
            if a.merged is not None:
                in_one.add(a.merged)
            a = a.parent
        else:
            if b in in_one:
                break
            _add(b.changed, found)
            if b.merged is not None:
                in_other.add(b.merged)
            b = b.parent
    return found


def changed_since(version: Version, earlier: Version) -> Changes:
    """Return every name that a path bound after ``earlier``, which is one of its versions."""
    found: Changes = {}
    waiting = [version]
    seen: set[Version] = set()
    while waiting:
        current = waiting.pop()
        if current.number <= earlier.number or current in seen:
            continue
        seen.add(current)
        _add(current.changed, found)
        for before in (current.parent, current.merged):
            if before is not None:
                waiting.append(before)
    return found


def _add(changed: Changes, found: Changes) -> None:
    """Add the names of one to those of the other."""
    for frame, names in changed.items():
        known = found.get(frame)
        if known is None:
            found[frame] = names.copy()
        else:
            known |= names
