"""What a part of a program did when it was run, so that it need not be run again.

A module's body, or a function that nothing calls, is run once for all programs in which it finds
the same: the same environment, and the same in each name, attribute and imported file that it
looks at. Elsewhere its :class:`Summary` is repeated, with the caller's way and marks in the place
of those of the first run. A summary costs a program's budget of statements what the run did, so
that what is found does not depend on what was run before; ``tests/test_summaries.py`` holds both
ways equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from gpu_lint.facts.events import Entrance, Event, Marks, Rebase, Run
from gpu_lint.facts.flow import Flow, Found
from gpu_lint.facts.history import Changes, Slot, Version, changed_since
from gpu_lint.facts.model import Certainty, Written
from gpu_lint.facts.names import CONTAINERS, Names, identities
from gpu_lint.facts.values import (
    AnyOf,
    Bound,
    FunctionValue,
    Items,
    Key,
    Known,
    Pairs,
    Value,
    held_by,
)

Attribute: TypeAlias = "tuple[Key, str]"
"""An attribute of a class."""

MOST_WAYS = 8
"""Summaries that are kept of one part in one environment: each found something else."""
_MOST_EXITS = 100
"""Ways out of a part, by an exception or the end of the program, that a summary may have."""


class Budget(Enum):
    """Whose statements a part uses up."""

    PROGRAM = auto()
    OWN = auto()
    """So many in every program: where they end does not depend on what ran before."""
    NONE = auto()
    """The program's are used up, as they are wherever the part is entered: no call is followed."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a program; those that are equal do the same from equal states."""

    key: tuple[object, ...]
    budget: Budget = Budget.PROGRAM
    is_alone: bool = False
    """Nothing goes on from the state that it leaves."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The state in which a part is left, as a difference from that in which it was entered."""

    marks: Marks
    visible: frozenset[Written]
    ordered: frozenset[Written]
    counted: frozenset[Written]
    initialised: Certainty
    variables: dict[str, frozenset[Written]]
    """What those environment variables hold that were written."""
    quiet: frozenset[str]
    unset: frozenset[str]
    needs: int
    checked: frozenset[Value]
    loaded: frozenset[str]
    touched: frozenset[str]
    at_exit: tuple[Value, ...]
    frames: dict[int, Names]
    """Frames that were not there before."""
    bound: tuple[tuple[int, str, Value], ...]
    """Names that were, in frames that were there before."""

    def apply(self, flow: Flow, rebase: Rebase) -> None:
        """Do to a path what the part did."""
        marks = rebase.marks(self.marks)
        flow.frozen, flow.allocated, flow.imported, flow.imported_here = marks
        flow.visible, flow.ordered = self.visible, self.ordered
        flow.counted, flow.initialised = self.counted, self.initialised
        for variable, held in self.variables.items():
            flow.put(variable, held)
        flow.quiet, flow.unset = self.quiet, self.unset
        flow.needs, flow.checked = self.needs, self.checked
        flow.loaded |= self.loaded
        flow.touched |= self.touched
        flow.at_exit += self.at_exit
        flow.adopt(self.frames)
        for frame, name, value in self.bound:
            flow.bind(frame, name, value)


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """What a part of a program found, and what it did."""

    entrance: Entrance
    reads: dict[Slot, Found]
    files: dict[str, int]
    attributes: dict[Attribute, Value | None]
    aliases: tuple[tuple[Value, frozenset[Slot]], ...]
    """The objects that were there before and were changed in place, with all that held them."""
    kept: dict[int, tuple[Slot, ...] | None]
    """Where objects that may be changed in place, and were there before, are found afterwards, by
    their ``id()``; None if inside of others."""
    added: frozenset[Attribute]
    """The attributes that got a value."""
    events: tuple[Event, ...]
    ending: Ending | None
    """None where no path comes to its end."""
    exits: tuple[tuple[str, Ending], ...]
    flags: tuple[bool, bool, bool]
    cost: int
    """Statements."""
    own: frozenset[int]
    """The frames that were made in it."""
    lasting: frozenset[int]
    """Those of them that may outlive it."""
    made: int
    """How many of them were numbered."""

    def fits(self, flow: Flow, run: Run) -> list[tuple[Slot, Value]] | None:
        """Whether a path finds all that the part found when it was run: if so, what names are to
        be bound to afterwards that this path has another object for; else None."""
        if any(file_state(flow, file) != state for file, state in self.files.items()):
            return None
        others: dict[int, Value] = {}
        for slot, value in self.reads.items():
            found = flow.peek(*slot)
            if found is value or same(found, value):
                continue
            if not isinstance(found, (Items, Pairs, AnyOf)) or not alike(found, value):
                return None
            if others.setdefault(id(value), found) is not found:
                return None  # one object there, two here
        for (key, name), value in self.attributes.items():
            known = run.class_of(key)
            attribute = known.attributes.get(name) if known is not None else None
            if not same(attribute, value) and not alike(attribute, value):
                return None
        for changed, slots in self.aliases:
            if flow.holders(others.get(id(changed), changed)) != slots:
                return None
        rebound: list[tuple[Slot, Value]] = []
        for identity, found in others.items():
            places = self.kept.get(identity, ())
            if places is None:
                return None
            rebound += [(slot, found) for slot in places]
        return rebound


def file_state(flow: Flow, file: str) -> int:
    """Whether a module has been imported on no path to here, on some or on every one."""
    return (file in flow.loaded) + (file in flow.touched)


def same(one: Found, other: Found) -> bool:
    """Whether two values are alike in all that a run can make of them: what may be changed in
    place must be the same object."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Known) and isinstance(other, Known):
        return type(one.value) is type(other.value) and one == other
    if isinstance(one, FunctionValue) and isinstance(other, FunctionValue):
        alike = one.key == other.key and one.scopes == other.scopes
        return alike and same(one.receiver, other.receiver)
    if isinstance(one, Names) and isinstance(other, Names):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return _is_plain(one) and one == other


def alike(one: Found, other: Found) -> bool:
    """Whether two objects that may be changed in place hold the same, and no such objects."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Items) and isinstance(other, Items):
        if one.kind != other.kind or len(one.values) != len(other.values):
            return False
        return all(map(same, one.values, other.values))
    if isinstance(one, Pairs) and isinstance(other, Pairs):
        if one.open is not other.open or len(one.entries) != len(other.entries):
            return False
        if one.copied != other.copied:
            return False
        return all(
            same(key, its) and same(value, held)
            for (key, value), (its, held) in zip(one.entries, other.entries, strict=True)
        )
    if isinstance(one, AnyOf) and isinstance(other, AnyOf):
        inner = (part for value in one.values for part in held_by(value))
        return all(map(_is_plain, inner)) and one == other
    return False


def _is_plain(value: Found) -> bool:
    """Whether all that can be made of a value is told by comparing it."""
    if isinstance(value, AnyOf):
        return all(map(_is_plain, value.values))
    if isinstance(value, Items):
        return value.kind == "tuple" and all(map(_is_plain, value.values))
    if isinstance(value, FunctionValue):
        return len(value.scopes) == 1 and value.receiver is None
    return not isinstance(value, (Pairs, Bound))


class Recording:
    """What a part of a program finds and does, while it is run."""

    def __init__(
        self,
        flow: Flow,
        outer: Recording | None,
        entrance: Entrance,
        attempts: int,
        budget: int,
        part: Part,
    ) -> None:
        self.outer = outer
        self.entry = flow.copy()
        self._version: Version = self.entry.settle()
        self.entrance = entrance
        self.attempts = attempts
        """How many ``try`` statements are around it."""
        self.budget = budget
        self.part = part
        self.own: set[int] = set()
        self.lasting: set[int] = set()
        self.reads: set[Slot] = set()
        self.files: dict[str, int] = {}
        self.attributes: dict[Attribute, Value | None] = {}
        self._attributes_before: dict[Attribute, Value | None] = {}
        """What those were that the part adds something to."""
        self.changed: list[Value] = []
        self.events: list[Event] = []
        self._exits: dict[str, list[Flow]] = {}
        """The paths that leave it by an exception, by its name."""
        self._left: dict[object, tuple[str, Ending]] = {}
        """How paths in it end the program, by the state in which they do."""
        self.is_cut_short = False
        """Something was not followed because the budget was used up."""
        self.is_unlike = False
        """What it did depends on more than its state, so that it cannot be repeated."""

    def read(self, frame: int, name: str) -> None:
        """Note that a name was looked up."""
        if frame not in self.own:
            self.reads.add((frame, name))

    def asks_for_file(self, file: str) -> None:
        """Note that it was asked whether a module has been imported."""
        if file not in self.files:
            self.files[file] = file_state(self.entry, file)

    def asks_for_attribute(self, key: Key, name: str, value: Value | None) -> bool:
        """Note what an attribute of a class may be now; whether nobody asked before."""
        attribute = key, name
        if attribute in self.attributes:
            return False
        self.attributes[attribute] = self._attributes_before.get(attribute, value)
        return True

    def adds_to_attribute(self, key: Key, name: str, value: Value | None) -> None:
        """Note what an attribute of a class may be, before something is added."""
        self._attributes_before.setdefault((key, name), value)

    def ends(self, raised: str, flow: Flow) -> None:
        """Note that a path leaves the part by an exception that something outside handles."""
        self._exits.setdefault(raised, []).append(flow.copy())

    def ends_program(self, raised: str, flow: Flow, state: object) -> None:
        """Note that a path ends the program. Its names do not count, and of several paths that
        are alike but for these, one is enough."""
        if state not in self._left:
            self._left[state] = raised, self._ending(flow, with_names=False)
            self.is_unlike |= len(self._left) > _MOST_EXITS

    def absorb(self, inner: Recording | Summary) -> None:
        """Take up what a part of this part has found."""
        self.own |= inner.own
        self.lasting |= inner.lasting
        for frame, name in inner.reads:
            self.read(frame, name)
        for file in inner.files:
            self.asks_for_file(file)
        for (key, name), value in inner.attributes.items():
            self.asks_for_attribute(key, name, value)
        if isinstance(inner, Recording):
            for attribute, value in inner._attributes_before.items():
                self._attributes_before.setdefault(attribute, value)
            self.changed += inner.changed
            self.is_cut_short |= inner.is_cut_short
            self.is_unlike |= inner.is_unlike
        else:
            self.changed += [value for value, _ in inner.aliases]

    def finish(
        self, flow: Flow, budget: int, flags: tuple[bool, bool, bool], made: int
    ) -> Summary | None:
        """The summary of the part; None where what it did cannot be repeated elsewhere."""
        if self.is_unlike or (self.is_cut_short and self.part.budget is Budget.PROGRAM):
            return None
        ending = None
        if flow.alive and not self.part.is_alone:
            ending = self._ending(flow, with_names=True)
        exits: list[tuple[str, Ending]] = []
        for raised, (first, *more) in self._exits.items():
            first.join_all(more)
            exits.append((raised, self._ending(first, with_names=True)))
        exits += self._left.values()
        for one in (ending, *(left for _, left in exits)):
            if one is not None:  # what a name is joined with was there before
                self.reads.update((frame, name) for frame, name, _ in one.bound)
                self.reads.update((Flow.VARIABLES, name) for name in one.variables)
        if ending is not None:
            changed: Changes = {frame: {""} for frame in ending.frames}
            for frame, name, _ in ending.bound:
                changed.setdefault(frame, set()).add(name)
            if ending.variables:
                changed[Flow.VARIABLES] = set(ending.variables)
            flow.forget_since(self._version, changed)
        return Summary(
            self.entrance,
            {slot: self.entry.peek(*slot) for slot in self.reads},
            self.files,
            self.attributes,
            tuple((value, held) for value in self.changed if (held := self.entry.holders(value))),
            self._kept(ending, exits),
            frozenset(self._attributes_before),
            tuple(self.events),
            ending,
            tuple(exits),
            flags,
            self.budget - budget,
            frozenset(self.own),
            frozenset(self.lasting),
            made,
        )

    def _kept(
        self, ending: Ending | None, exits: list[tuple[str, Ending]]
    ) -> dict[int, tuple[Slot, ...] | None]:
        """Where the objects that were there before are found at the end, by their ``id()``."""
        owners: dict[int, int] = {}
        for slot in self.reads:
            value = self.entry.peek(*slot)
            if isinstance(value, (Items, Pairs, AnyOf)):
                owners.update(dict.fromkeys(identities(value, set()), id(value)))
                owners[id(value)] = id(value)
        kept: dict[int, tuple[Slot, ...] | None] = {}
        for one in (ending, *(left for _, left in exits)) if owners else ():
            if one is None:
                continue
            names = [(f, n, v) for f, held in one.frames.items() for n, v in held.items()]
            for frame, name, value in (*names, *one.bound):
                if type(value) not in CONTAINERS:
                    continue
                places = kept.get(id(value), ())
                if owners.get(id(value)) == id(value) and one is ending and places is not None:
                    kept[id(value)] = (*places, (frame, name))
                    continue
                for identity in identities(value, set()) & owners.keys():
                    kept[owners[identity]] = None
        return kept

    def _ending(self, flow: Flow, *, with_names: bool) -> Ending:
        entry = self.entry
        flow.share()
        bound: list[tuple[int, str, Value]] = []
        frames: dict[int, Names] = {}
        if with_names:
            for frame, changed in changed_since(flow.settle(), self._version).items():
                if frame in self.own or frame == Flow.VARIABLES:
                    continue
                names, before = flow.frame(frame), entry.frame(frame)
                for name in names if "" in changed else changed:
                    value = names.get(name)
                    if value is not None and value is not before.get(name):
                        bound.append((frame, name, value))
            frames = {frame: names for frame in self.lasting if (names := flow.frame(frame))}
        return Ending(
            marks_of(flow),
            flow.visible,
            flow.ordered,
            flow.counted,
            flow.initialised,
            {
                name: held
                for name, held in flow.variables.items()
                if held is not entry.variables.get(name)
            },
            flow.quiet,
            flow.unset,
            flow.needs,
            flow.checked,
            flow.loaded - entry.loaded,
            flow.touched - entry.touched,
            flow.at_exit[len(entry.at_exit) :],
            frames,
            tuple(bound),
        )


def marks_of(flow: Flow) -> Marks:
    """What has happened on a path so far."""
    return flow.frozen, flow.allocated, flow.imported, flow.imported_here
