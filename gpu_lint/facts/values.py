"""Abstract values: what is known, before anything runs, of what an expression yields."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import field, replace
from itertools import product
from typing import TypeAlias

from gpu_lint.facts.program import Constant
from gpu_lint.records import record
from gpu_lint.source import Span

Key: TypeAlias = "tuple[str, int]"
"""A definition: its file, and the byte offset at which it starts there."""


@record(order=True)
class Place:
    """A span in a file."""

    file: str
    span: Span


@record(keeps_hash=True)
class Known:
    """A constant; ``origin`` is the literal that decides it, where exactly one does."""

    value: Constant
    origin: Place | None = None
    hashed: int = field(init=False, compare=False, repr=False, default=0)


@record
class Option:
    """An option of the command line, as a user writes it, and the place that defines it."""

    flag: str
    place: Place
    type: str = ""
    """The type of what it is read as, where that is known and no string: ``int``, ``list``."""


@record
class Input:
    """A value that only the run will tell, but surely the same wherever it has this name.

    ``args.gpu`` of a parsed command line, a parameter of a function that nothing is shown to
    call, an item of a configuration. ``str`` and ``int`` of it keep its name.
    """

    name: str
    option: Option | None = field(default=None, compare=False)
    """The option of the command line that says it, if one does."""
    entry_of: Value | None = None
    """The text that it is one entry of: ``ids.split(",")[0]``."""


@record
class Text:
    """A string with parts that are not known: ``f"cuda:{args.gpu}"``."""

    parts: tuple[Value, ...]


@record(keeps_hash=True)
class Items:
    """A list, tuple or set; of the kinds of :data:`UNCOUNTED`, how many there are is not known."""

    kind: str
    """``list``, ``tuple``, ``set``, ``range``, ``map`` or ``generator``; ``many``: there are
    several, each one of the values; ``some``: perhaps there are none."""
    values: tuple[Value, ...]
    flat: bool = field(init=False, compare=False, repr=False, default=True)
    """Nothing in it can be changed in place."""
    size: int = field(init=False, compare=False, repr=False, default=0)
    """How many values it is made of, those in others included."""
    hashed: int = field(init=False, compare=False, repr=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", len(self.values))
        if not CHANGEABLE.isdisjoint(map(type, self.values)):
            object.__setattr__(self, "flat", False)
            object.__setattr__(self, "size", sum(map(size_of, self.values)))


UNCOUNTED = frozenset({"some", "many"})
"""The kinds of :class:`Items` of unknown length."""


@record(keeps_hash=True)
class Pairs:
    """A dict whose entries are all listed, or, if ``open``, some of them.

    An entry whose key is not known may replace those before it.
    """

    entries: tuple[tuple[Value, Value], ...]
    """What was removed from one that is open is None."""
    open: bool = False
    copied: tuple[tuple[str, Value], ...] = ()
    """What the process environment held of the variables that decide about GPUs, where the dict
    began as a copy of it."""
    flat: bool = field(init=False, compare=False, repr=False, default=True)
    """None of its values can be changed in place."""
    size: int = field(init=False, compare=False, repr=False, default=0)
    """How many values it is made of, those in others included."""
    hashed: int = field(init=False, compare=False, repr=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", len(self.entries))
        if not CHANGEABLE.isdisjoint(type(value) for _, value in self.entries):
            object.__setattr__(self, "flat", False)
            object.__setattr__(self, "size", sum(size_of(value) for _, value in self.entries))

    def get(self, key: Constant) -> Value | None:
        """The value stored last under a constant key, or one of those that may be; None where no
        entry is sure to have the key."""
        return self._last(key, None)

    def _last(self, key: Constant, first: Value | None) -> Value | None:
        """The same, where something may stand under the key ``first``, before all entries."""
        later: list[Value] = []
        for known, value in reversed(self.entries):
            if isinstance(known, Known):
                if known.value == key:
                    first = value
                    break
            elif may_be(known, key):
                later.append(value)
        return any_of((first, *later)) if first is not None and later else first

    @property
    def is_listed(self) -> bool:
        """Whether every entry is there, under a known key."""
        return not self.open and all(isinstance(key, Known) for key, _ in self.entries)

    @property
    def rest(self) -> tuple[tuple[Value, Value], ...]:
        """What a dict that takes over the entries takes over beside those that are known."""
        return ((UNKNOWN, UNKNOWN),) if self.open and not self.copied else ()

    @property
    def known_entries(self) -> tuple[tuple[Value, Value], ...]:
        """Those of the copied environment, then the others; without what was removed."""
        later = {key.value for key, _ in self.entries if isinstance(key, Known)}
        copied = ((Known(name), value) for name, value in self.copied if name not in later)
        entries = (*copied, *self.entries)
        return tuple(one for one in entries if not self.open or one[1] != Known(None))

    def holds(self, variable: str) -> Value | None:
        """The same of an environment, which may be a copy of the process's."""
        return self._last(variable, dict(self.copied).get(variable))


@record
class Symbol:
    """Something imported from outside the project, by its dotted name: ``torch.cuda.init``."""

    name: str


@record
class ModuleValue:
    """A module or namespace package of the project, by its file or directory."""

    file: str


@record
class FunctionValue:
    """A function or lambda of the project; ``scopes`` are the frames it can see."""

    key: Key
    scopes: tuple[int, ...] = field(compare=False)
    receiver: Value | None = None


@record
class ClassValue:
    key: Key


@record
class Instance:
    """An object of a class of the project; ``frame`` holds its attributes, if it was built."""

    cls: Key
    frame: int | None = None
    behind: Key | None = None
    """The class behind which methods are looked up, for ``super()``."""


@record
class Returned:
    """What a call of something imported gave; ``frame`` tells one result from another."""

    symbol: str
    frame: int | None = None


@record
class Bound:
    """A call that is still to come: a ``partial``, or a ``generator`` that waits."""

    kind: str
    callee: Value
    arguments: object = field(compare=False)

    def __reduce__(self) -> tuple[type[Bound], tuple[str, Value, None]]:
        """When it is sent to another process, the run is over in which the call would come."""
        return Bound, (self.kind, self.callee, None)


@record
class DeviceCount:
    """The number of devices that the mask shows; if ``physical``, that the machine has."""

    physical: bool = False


@record
class Gpus:
    """A list of the devices that the mask shows, as a call gives it."""

    api: str


@record
class Numbered:
    """An index that counts the devices behind the mask or, if ``physical``, the machine's."""

    physical: bool
    source: str
    """Where it came from, in words: ``torch.cuda.current_device()``."""


@record
class EnvironmentValue:
    """What the process environment holds under a name."""

    variable: str


@record(keeps_hash=True)
class AnyOf:
    """One of several values, depending on the path taken."""

    values: frozenset[Value]
    flat: bool = field(init=False, compare=False, repr=False, default=True)
    """Nothing in it can be changed in place."""
    size: int = field(init=False, compare=False, repr=False, default=0)
    """How many values it is made of, those in others included."""
    hashed: int = field(init=False, compare=False, repr=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", len(self.values))
        if not CHANGEABLE.isdisjoint(map(type, self.values)):
            object.__setattr__(self, "flat", False)
            object.__setattr__(self, "size", sum(map(size_of, self.values)))


@record
class Member:
    """A member of an Enum of the project that is no string or number itself."""

    cls: Key
    name: str
    value: Value
    text: str
    """What ``str()`` makes of it; empty where the class says that itself."""


@record
class Unknown:
    pass


@record
class Typed(Unknown):
    """A value of which nothing is known but the name of its type, which is not ``str``."""

    name: str


@record
class NeverMade(Unknown):
    """What an expression would yield that raises TypeError each time."""

    why: str


@record
class Enough(Unknown):
    """How a test of the number of devices came out: how many there are at least where it is true,
    and where it is false."""

    if_true: int
    if_false: int


@record
class Gate:
    """A mark or decorator behind which something is run only on so many devices."""

    needs: int


@record
class Gated:
    """A function or class of the project behind such a mark."""

    value: FunctionValue | ClassValue
    needs: int


Value: TypeAlias = (
    "Known | Input | Text | Items | Pairs | Symbol | ModuleValue | FunctionValue | ClassValue"
    " | Instance | Returned | Bound | DeviceCount | Gpus | Numbered | EnvironmentValue | AnyOf"
    " | Member | Gate | Gated | Unknown"
)

UNKNOWN = Unknown()
SPEC = "spec"
"""The kind of a :class:`Bound` that loads the module whose name it holds."""
THIS_FILE = Input("__file__")
"""The path of the file that is run."""
ANOTHER_NAME = Input("the name of another environment variable")
"""What going through the environment yields beside the variables that decide about GPUs."""
CHANGEABLE = frozenset({Items, Pairs, AnyOf, Returned, Input, Instance})
"""Types of values that may be changed in place."""
CHANGING_METHODS = frozenset(
    {
        "add", "append", "clear", "discard", "extend", "insert", "move_to_end", "pop", "popitem",
        "remove", "reverse", "setdefault", "sort", "update",
    }
)  # fmt: skip
"""Methods that change a list, a set or a dict in place."""
_ORDERED = ("list", "tuple")
_DIGIT = re.compile(r"\d")
_MOST_ALTERNATIVES = 8
_MOST_PARTS = 1_000
"""Of a list or a dict that is made of others; one that is written out may have more."""
_LONGEST_TEXT = 10_000
"""Characters of a text that is made of others."""
_LARGEST_VALUE = 10_000
"""Values that one is made of."""
_LONGEST_NAME = 1_000
"""Characters of what names an :class:`Input`: a chain of attributes and items."""
_LARGEST_NUMBER = 1 << 64


def size_of(value: Value) -> int:
    """How many values a value is made of; what is held twice counts twice."""
    return value.size if isinstance(value, (Items, Pairs, AnyOf)) else 1


def bounded(value: Value) -> Value:
    """A value, or that nothing is known where it is made of more than can be followed."""
    return UNKNOWN if size_of(value) > _LARGEST_VALUE else value


def alternatives(value: Value) -> Collection[Value]:
    """The single values a value may be."""
    return value.values if isinstance(value, AnyOf) else (value,)


def any_of(values: Iterable[Value]) -> Value:
    """The join of several values; unknown when there are too many to be of use."""
    several = list(values)
    if several and several[0] is several[-1] and len(several) < 3:
        return several[0]
    union: set[Value] = set()
    for value in several:
        if isinstance(value, AnyOf):
            union |= value.values
        else:
            union.add(value)
    if len(union) == 1:
        return union.pop()
    if not union or len(union) > _MOST_ALTERNATIVES:
        return UNKNOWN
    return AnyOf(frozenset(union))


def constants(value: Value) -> tuple[Known, ...] | None:
    """Every alternative as a constant, in a stable order, or None if one is not known."""
    found = tuple(alternatives(value))
    known = [single for single in found if isinstance(single, Known)]
    if len(known) != len(found):
        return None
    return tuple(sorted(known, key=lambda k: (repr(k.value), k.origin or Place("", Span(0, 0)))))


def may_be(value: Value, constant: Constant) -> bool:
    """Whether a value that is not fully known may be a constant."""
    if isinstance(value, AnyOf):
        return any(may_be(single, constant) for single in value.values)
    if isinstance(value, Known):
        return value.value == constant
    if isinstance(value, Text):
        return isinstance(constant, str) and _may_make(value.parts, constant)
    return isinstance(value, (Input, Unknown, EnvironmentValue, Returned)) and value != ANOTHER_NAME


def _may_make(parts: Sequence[Value], text: str) -> bool:
    """Whether the parts of a string, some of them unknown, may make a text."""
    between = [""]
    for part in parts:
        if isinstance(part, Known):
            between[-1] += str(part.value)
        else:
            between.append("")
    first, *others = between
    ends = others.pop() if others else ""
    if not text.startswith(first) or not text.endswith(ends):
        return False
    if len(between) == 1:
        return text == first
    at, last = len(first), len(text) - len(ends)
    for known in others:
        at = text.find(known, at, last)
        if at < 0:
            return False
        at += len(known)
    return at <= last


def text_of(value: Value) -> str | None:
    """The string a single known constant is, if it is one."""
    return value.value if isinstance(value, Known) and isinstance(value.value, str) else None


def input_of(value: Value) -> Value | None:
    """The unknown but identified value that a value is, or is the text of."""
    if isinstance(value, Text) and len(value.parts) == 1:
        value = value.parts[0]
    return value if isinstance(value, (Input, EnvironmentValue)) else None


def flag_among(names: Sequence[str]) -> str:
    """Return the name of an option that messages use: the long form, where it has one."""
    return next((name for name in names if name.startswith("--")), names[0] if names else "")


def entry_of(whole: Value) -> Value:
    """Return one entry, no matter which, of a text that only the run will tell; unknown where that
    has no name."""
    if isinstance(whole, Text) and len(whole.parts) == 1:
        whole = whole.parts[0]
    if isinstance(whole, EnvironmentValue):
        return Input(f"${whole.variable}[entry]", None, whole)
    if isinstance(whole, Input) and len(whole.name) < _LONGEST_NAME:
        return Input(f"{whole.name}[entry]", whole.option, whole)
    return UNKNOWN


def option_behind(value: Value) -> Option | None:
    """Return the option of the command line that a value, or one of its alternatives, is read
    from."""
    found = (input_of(single) for single in alternatives(value))
    options = (one.option for one in found if isinstance(one, Input) and one.option is not None)
    return next(iter(sorted(options, key=lambda option: option.place)), None)


def held_by(value: Value) -> Iterable[Value]:
    """What a container holds, or what a value may be; nothing where it is neither."""
    if isinstance(value, (AnyOf, Items)):
        return value.values
    return (held for _, held in value.entries) if isinstance(value, Pairs) else ()


def input_named(name: str) -> Value:
    """A value that only the run will tell, if its name is one that a person would write."""
    return Input(name) if len(name) <= _LONGEST_NAME else UNKNOWN


def with_part_replaced(value: Value, old: Value, new: Value) -> Value:
    """A value in which one object, wherever it is held, has become another."""
    if value is old:
        return new
    if isinstance(value, (Items, Pairs, AnyOf)) and value.flat:
        return value
    if isinstance(value, Items):
        items = tuple(with_part_replaced(item, old, new) for item in value.values)
        same = all(one is other for one, other in zip(items, value.values, strict=True))
        return value if same else Items(value.kind, items)
    if isinstance(value, Pairs):
        entries = tuple((key, with_part_replaced(held, old, new)) for key, held in value.entries)
        same = all(one[1] is other[1] for one, other in zip(entries, value.entries, strict=True))
        return value if same else Pairs(entries, value.open, value.copied)
    if isinstance(value, AnyOf):
        options = [with_part_replaced(option, old, new) for option in alternatives(value)]
        same = all(one is other for one, other in zip(options, alternatives(value), strict=True))
        return value if same else any_of(options)
    return value


def concatenate(parts: Iterable[Value]) -> Value:
    """The strings that several parts make, one per combination of their alternatives."""
    choices = [tuple(alternatives(part)) for part in parts]
    if math.prod(map(len, choices)) > _MOST_ALTERNATIVES:
        return UNKNOWN
    return any_of(_join_parts(combination) for combination in product(*choices))


def _join_parts(parts: Iterable[Value]) -> Value:
    """The string made of parts; its origin is the one part that holds digits."""
    joined: list[Value] = []
    length = 0
    for part in parts:
        for piece in part.parts if isinstance(part, Text) else (part,):
            if isinstance(piece, (Input, EnvironmentValue, Numbered)):
                joined.append(piece)
            elif isinstance(piece, Known) and piece.value == "":
                continue
            elif not isinstance(piece, Known) or isinstance(piece.value, (bytes, float)):
                return UNKNOWN
            elif (length := length + _length(piece)) > _LONGEST_TEXT:
                return UNKNOWN
            elif joined and isinstance(joined[-1], Known):
                joined[-1] = _join_constants(joined[-1], piece)
            else:
                joined.append(Known(str(piece.value), _digits_origin(piece)))
    if all(isinstance(piece, Known) for piece in joined):
        return joined[0] if joined else Known("")
    return Text(tuple(joined)) if len(joined) <= _MOST_PARTS else UNKNOWN


def _join_constants(one: Known, other: Known) -> Known:
    with_digits = [part for part in (one, other) if _has_digits(part)]
    origin = _digits_origin(with_digits[0]) if len(with_digits) == 1 else None
    return Known(str(one.value) + str(other.value), origin)


def _length(piece: Known) -> int:
    """About how many characters a constant makes, however large a number it is."""
    value = piece.value
    return value.bit_length() if isinstance(value, int) else len(str(value))


def _has_digits(part: Known) -> bool:
    return _DIGIT.search(str(part.value)) is not None


def _digits_origin(part: Known) -> Place | None:
    return part.origin if _has_digits(part) else None


def number(value: int) -> Value:
    """A number, if it is one that a program may count something with."""
    return Known(value) if abs(value) <= _LARGEST_NUMBER else UNKNOWN


def joined(one: Items, other: Items) -> Value:
    """``one + other``."""
    if len(one.values) + len(other.values) > _MOST_PARTS:
        return UNKNOWN
    return Items(one.kind, one.values + other.values)


def with_entry(pairs: Pairs, key: Value, value: Value) -> Pairs:
    """A dict in which a key has a value; under one that is not known, what it had may stay."""
    if not isinstance(key, Known):
        value = any_of((*(held for known, held in pairs.entries if known == key), value))
    kept = tuple(entry for entry in pairs.entries if entry[0] != key)
    if len(kept) >= _MOST_PARTS:
        return Pairs((), open=True)
    return Pairs((*kept, (key, value)), pairs.open, pairs.copied)


def without_entry(pairs: Pairs, key: Known) -> Pairs:
    """A dict from which a key was removed."""
    if pairs.open:
        return with_entry(pairs, key, Known(None))
    kept = tuple(e for e in pairs.entries if not isinstance(e[0], Known) or e[0].value != key.value)
    return Pairs(kept, pairs.open, pairs.copied)


def merged(one: Pairs, other: Pairs) -> Pairs:
    """``{**one, **other}``."""
    if len(one.entries) + len(other.entries) > _MOST_PARTS:
        return Pairs((), open=True)
    kept = one.entries
    if other.copied:
        copied = {variable for variable, _ in other.copied}
        kept = tuple(e for e in kept if not (isinstance(e[0], Known) and e[0].value in copied))
    entries = kept + other.rest + other.entries
    return Pairs(entries, one.open or other.open, other.copied or one.copied)


def pairs_from(value: Value) -> Pairs | None:
    """The dict that ``dict(value)`` makes of a dict, or of a list of pairs; None of others."""
    if isinstance(value, Pairs):
        return value
    if not isinstance(value, Items) or value.kind in UNCOUNTED:
        return None
    entries: list[tuple[Value, Value]] = []
    for item in value.values:
        if not isinstance(item, Items) or len(item.values) != 2:
            return None
        entries.append((item.values[0], item.values[1]))
    return Pairs(tuple(entries))


def listing(method: str, entries: Sequence[tuple[Value, Value]]) -> Value:
    """What ``keys()``, ``values()`` or ``items()`` of a dict with some entries yields."""
    kind = "list" if all(isinstance(key, Known) for key, _ in entries) else "some"
    if method == "items":
        return Items(kind, tuple(Items("tuple", pair) for pair in entries))
    return Items(kind, tuple(pair[method == "values"] for pair in entries))


def zipped(several: Sequence[Value]) -> Value:
    """What ``zip(…)`` yields of lists of known length."""
    columns = [one.values for one in several if isinstance(one, Items) and one.kind in _ORDERED]
    if len(columns) < len(several) or not columns:
        return UNKNOWN
    return Items("list", tuple(Items("tuple", row) for row in zip(*columns, strict=False)))


def convert(name: str, value: Value) -> Value:
    """What ``int(value)`` or ``str(value)`` gives."""
    if isinstance(value, (Input, EnvironmentValue, Numbered)):
        return value
    if name == "str" and isinstance(value, Text):
        return value
    if not isinstance(value, Known) or value.value is None:
        return UNKNOWN
    try:
        if name == "int":
            whole = number(int(value.value))
            return replace(value, value=whole.value) if isinstance(whole, Known) else UNKNOWN
        return replace(value, value=str(value.value))
    except (ValueError, OverflowError):
        return UNKNOWN
