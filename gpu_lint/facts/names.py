"""The names of a frame, and which of them hold an object that may be changed in place."""

from __future__ import annotations

from gpu_lint.facts.values import AnyOf, Input, Items, Pairs, Returned, Value, held_by

CONTAINERS = frozenset({Items, Pairs, AnyOf})
"""What may hold something that can be changed in place."""
_REPLACED = frozenset({Returned, Input})
"""What in a container may become unknown, as if it were changed in place."""


class Names(dict[str, Value]):
    """The names of a frame."""

    __slots__ = ("_covered", "_holders")

    def __init__(self, names: Names | tuple[()] = ()) -> None:
        super().__init__(names)
        self._holders: dict[int, list[str]] | None = None
        self._covered: dict[int, Names] | None = None
        """Names of the same frame elsewhere, all of which these stand for, by their ``id()``."""

    def covers(self, other: Names) -> bool:
        """Whether it is known that these stand for other names of the frame, too."""
        return self._covered is not None and id(other) in self._covered

    def note_covered(self, other: Names) -> None:
        """Note that these stand for other names, which are not written to any more."""
        if self._covered is None:
            self._covered = {}
        self._covered[id(other)] = other

    @property
    def holders(self) -> dict[int, list[str]]:
        """The names that hold, or are, each object that may be changed in place, by its
        ``id()``."""
        if self._holders is None:
            self._holders = {}
            for name, value in self.items():
                for identity in identities(value, set()):
                    self._holders.setdefault(identity, []).append(name)
        return self._holders

    def holding(self, value: Value) -> tuple[str, ...]:
        """The names that hold, or are, an object that may be changed in place."""
        return tuple(self.holders.get(id(value), ()))

    def bind(self, name: str, value: Value) -> None:
        """Bind a name, and keep it findable by what it holds."""
        self._covered = None
        if self._holders is None:
            self[name] = value
            return
        old = self.get(name)
        self[name] = value
        for identity in identities(old, set()):
            self._holders[identity].remove(name)
        for identity in identities(value, set()):
            self._holders.setdefault(identity, []).append(name)


def identities(value: Value | None, known: set[int]) -> set[int]:
    """The ``id()`` of a container and of all in it that may be changed in place."""
    if isinstance(value, (Items, Pairs, AnyOf)) and id(value) not in known:
        if type(value) is not AnyOf:
            known.add(id(value))
        if value.flat:
            return known
        for part in held_by(value):
            if type(part) in CONTAINERS:
                identities(part, known)
            elif type(part) in _REPLACED:
                known.add(id(part))
    return known
