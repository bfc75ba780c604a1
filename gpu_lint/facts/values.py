"""Abstract values: what is known, before anything runs, of what an expression yields."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import TypeAlias

from gpu_lint.facts.program import Constant
from gpu_lint.source import Span


@dataclass(frozen=True, slots=True)
class Known:
    """A constant; ``origin`` is the literal that decides it, where exactly one does."""

    value: Constant
    origin: Span | None = None


@dataclass(frozen=True, slots=True)
class Items:
    """A list, tuple or set with known length."""

    kind: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Pairs:
    """A dict whose entries are all listed."""

    entries: tuple[tuple[Value, Value], ...]

    def get(self, key: Constant) -> Value | None:
        """The value stored under a constant key."""
        for known, value in self.entries:
            if isinstance(known, Known) and known.value == key:
                return value
        return None


@dataclass(frozen=True, slots=True)
class Symbol:
    """Something imported, by its dotted name: ``torch.cuda.set_device``."""

    name: str


@dataclass(frozen=True, slots=True)
class FunctionValue:
    """A function or lambda of this file; ``scopes`` are the frames it can see."""

    key: int
    scopes: tuple[int, ...] = field(compare=False)
    receiver: Value | None = None


@dataclass(frozen=True, slots=True)
class ClassValue:
    key: int


@dataclass(frozen=True, slots=True)
class Instance:
    """An object of a class of this file."""

    cls: int


@dataclass(frozen=True, slots=True)
class Returned:
    """What a call of an imported function gave."""

    symbol: str


@dataclass(frozen=True, slots=True)
class DeviceCount:
    """The number of visible devices."""


@dataclass(frozen=True, slots=True)
class EnvironmentValue:
    """What the process environment holds under a name."""

    variable: str


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of several values, depending on the path taken."""

    values: frozenset[Value]


@dataclass(frozen=True, slots=True)
class Unknown:
    pass


Value: TypeAlias = (
    "Known | Items | Pairs | Symbol | FunctionValue | ClassValue | Instance | Returned"
    " | DeviceCount | EnvironmentValue | AnyOf | Unknown"
)

UNKNOWN = Unknown()
_MOST_ALTERNATIVES = 8


def alternatives(value: Value) -> Iterator[Value]:
    """The single values a value may be."""
    if isinstance(value, AnyOf):
        yield from value.values
    else:
        yield value


def any_of(values: Iterable[Value]) -> Value:
    """The join of several values; unknown when there are too many to be of use."""
    union = frozenset(single for value in values for single in alternatives(value))
    if len(union) == 1:
        return next(iter(union))
    if not union or len(union) > _MOST_ALTERNATIVES:
        return UNKNOWN
    return AnyOf(union)


def constants(value: Value) -> tuple[Known, ...] | None:
    """Every alternative as a constant, in a stable order, or None if one is not known."""
    found = tuple(alternatives(value))
    known = [single for single in found if isinstance(single, Known)]
    if len(known) != len(found):
        return None
    return tuple(sorted(known, key=lambda k: (repr(k.value), k.origin or Span(0, 0))))


def text_of(value: Value) -> str | None:
    """The string a single known constant is, if it is one."""
    return value.value if isinstance(value, Known) and isinstance(value.value, str) else None


def concatenate(parts: Iterable[Value]) -> Value:
    """The strings that several parts make, one per combination of their alternatives."""
    choices = [tuple(alternatives(part)) for part in parts]
    if math.prod(map(len, choices)) > _MOST_ALTERNATIVES:
        return UNKNOWN
    return any_of(_join_constants(combination) for combination in product(*choices))


def _join_constants(parts: Iterable[Value]) -> Value:
    """The string made of constants; its origin is the one part that holds digits."""
    text = ""
    origins: list[Span | None] = []
    for part in parts:
        if not isinstance(part, Known) or isinstance(part.value, float):
            return UNKNOWN
        piece = str(part.value)
        text += piece
        if any(character.isdigit() for character in piece):
            origins.append(part.origin)
    return Known(text, origins[0] if len(origins) == 1 else None)


def convert(name: str, value: Value) -> Value:
    """What ``int(value)`` or ``str(value)`` gives."""
    if not isinstance(value, Known) or value.value is None:
        return UNKNOWN
    try:
        if name == "int":
            return Known(int(value.value), value.origin)
        return Known(str(value.value), value.origin)
    except (ValueError, OverflowError):
        return UNKNOWN
