"""The state of one execution path: names, environment variables, and what CUDA has seen.

A :class:`Flow` is changed in place along a path, copied where paths part and joined where they
meet. Joining keeps what holds on every path and marks the rest as possible; it looks at what the
paths changed since they parted, and at nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from gpu_lint.errors import SourceError
from gpu_lint.facts.history import ROOT, Changes, Slot, Version, changed_between
from gpu_lint.facts.model import INHERITED, Certainty, Mark, Trigger, Written
from gpu_lint.facts.names import CONTAINERS, Names, identities
from gpu_lint.facts.values import (
    UNKNOWN,
    Value,
    any_of,
    bounded,
    with_part_replaced,
)
from gpu_lint.variables import ALIASES, HEADER_VARIABLES, MASK, ORDER

_UNTOUCHED = frozenset({INHERITED})
_SOMETHING_ELSE = Written(UNKNOWN)
_PAST = "$past "
"""Stands before the name of a variable for what ``os.putenv()`` wrote, which the driver reads and
``os.environ`` does not hold; inherited stands for what that holds."""
_MOST_WRITTEN = 32
"""Values that a variable may hold; of more, nothing is known."""
_MOST_WORK = 30_000_000
_COPIED_AT_ONCE = 16
"""Names that are copied in the time in which one is compared."""
MOST_AT_EXIT = 256
"""Functions that ``atexit`` calls; those that are registered last are left out."""
_MOST_BESIDE = 24
"""Frames beside the base; with more, a new base is made of all."""


class Work:
    """What the paths of a program share: what following them has cost so far, every name that was
    copied or compared, who wants to know what is looked up, and where containers are."""

    __slots__ = ("done", "holding", "reader")

    def __init__(self) -> None:
        self.done = 0
        self.holding: dict[int, set[int]] = {}
        """The frames that perhaps hold an object that may be changed in place, by its ``id()``."""
        self.reader: Reader | None = None

    def add(self, names: int) -> None:
        """Raises :class:`SourceError` where it is too much: branches times names, in a file that
        no person wrote."""
        self.done += names
        if self.done > _MOST_WORK:
            raise SourceError("cannot be checked: it has too many branches between too many names")


class Reader(Protocol):
    """Takes note of what a part of a program looks up and changes."""

    changed: list[Value]
    """The objects that were changed in place."""
    reads: set[Slot]
    """The names that were looked up; an empty one is all names of a frame."""
    own: set[int]
    """The frames that were made in it."""
    lasting: set[int]
    """Those of them that may outlive it."""

    def read(self, frame: int, name: str) -> None:
        """Note that a name was looked up; an empty one is all names of the frame."""


Found: TypeAlias = "Value | Names | frozenset[Any] | None"
"""What is found under a name: a value, what a variable may hold, or all names of a frame."""


class Flow:
    """One path, or the join of several."""

    VARIABLES = -3
    """The frame that stands for the environment variables in a path's history."""

    __slots__ = (
        "_base",
        "_frames",
        "_owned",
        "_shares_variables",
        "_version",
        "alive",
        "allocated",
        "at_exit",
        "checked",
        "counted",
        "frozen",
        "imported",
        "imported_here",
        "initialised",
        "loaded",
        "needs",
        "ordered",
        "quiet",
        "touched",
        "unset",
        "variables",
        "visible",
        "work",
    )

    def __init__(self) -> None:
        self.work = Work()
        self.alive = True
        self.frozen = Mark()
        self.allocated = Mark()
        self.imported = Mark()
        self.imported_here = Mark()
        self.initialised = Certainty.NEVER
        """PyTorch itself is initialised; the driver alone may have been before."""
        self.counted: frozenset[Written] = frozenset()
        """The masks that a count of devices was made under, and kept."""
        self.visible: frozenset[Written] = frozenset()
        """The masks that a freeze has made final, one per path that froze."""
        self.ordered: frozenset[Written] = frozenset()
        """What CUDA_DEVICE_ORDER held at that freeze, one per path that froze."""
        self.variables: dict[str, frozenset[Written]] = {}
        self.quiet: frozenset[str] = frozenset()
        """Variables of a header whose last written value nothing can have used yet."""
        self.unset: frozenset[str] = frozenset()
        """Variables that a test on the way found not to be set; and, each as ``$name``, what holds
        the unknown name of a variable that it found not to be the mask."""
        self.needs = 0
        self.checked: frozenset[Value] = frozenset()
        """Values that were found to be less than the number of devices."""
        self._base: dict[int, Names] = _NOTHING
        """Frames that other paths share. It is never changed."""
        self._frames: dict[int, Names] = {}
        """Frames that are new, or differ from the base."""
        self._version = Version(ROOT)
        self._shares_variables = False
        """The dict of the variables is another path's, too."""
        self.loaded: frozenset[str] = frozenset()
        """Files of the project that have surely been imported."""
        self.touched: frozenset[str] = frozenset()
        """Those that have been imported on some path."""
        self.at_exit: tuple[Value, ...] = ()
        """What ``atexit`` will call, in the order of registration."""
        self._owned: set[int] = set()

    def copy(self) -> Flow:
        """An independent flow; frames are shared until one side writes to them."""
        if len(self._frames) > _MOST_BESIDE:
            self._base = self._base | self._frames
            self._frames = {}
        fork = self.settle()
        other = Flow.__new__(Flow)
        other.become(self)
        other._frames = dict(self._frames)
        other._owned = set()
        self._owned = set()
        self._shares_variables = other._shares_variables = True
        other._version = Version(fork)
        return other

    def settle(self) -> Version:
        """The version that stands for all that this path has done so far; what it does from now on
        is newer than all that other paths have done."""
        version = self._version
        settled = version.settled
        if settled is version:
            self._version = Version(settled)
        else:  # nothing was done on it, and nobody else knows it
            version.renew()
        return settled

    def become(self, other: Flow) -> None:
        """Take over another flow's state; the other must not be used again."""
        self._base = other._base
        self._frames = other._frames
        self._owned = other._owned
        self._shares_variables = other._shares_variables
        self._version = other._version
        self.alive = other.alive
        self.allocated = other.allocated
        self.at_exit = other.at_exit
        self.checked = other.checked
        self.counted = other.counted
        self.frozen = other.frozen
        self.imported = other.imported
        self.imported_here = other.imported_here
        self.initialised = other.initialised
        self.loaded = other.loaded
        self.needs = other.needs
        self.ordered = other.ordered
        self.quiet = other.quiet
        self.touched = other.touched
        self.unset = other.unset
        self.variables = other.variables
        self.visible = other.visible
        self.work = other.work

    @property
    def state(self) -> tuple[object, ...]:
        """All that is true of the process, but for the names that are bound: equal for paths of
        which one can stand for the other."""
        variables = frozenset(self.variables.items())
        marks = (self.frozen, self.allocated, self.imported, self.imported_here)
        certain = tuple(mark.certainty for mark in marks)  # what did it first is told elsewhere
        found = (self.initialised, self.counted, self.visible, self.ordered)
        known = (self.quiet, self.unset, self.needs, self.at_exit)
        return (variables, certain, found, known)

    def forget_names(self) -> None:
        """Let go of what names are bound to."""
        self._base, self._frames, self._owned = _NOTHING, {}, set()

    def frame(self, frame: int) -> Names:
        """The names of a frame, not to be changed; none if there is no such frame."""
        found = self._frames.get(frame)
        return self._base.get(frame, _EMPTY) if found is None else found

    def names(self, frame: int) -> Names:
        """The same, for a program that looks at all of them."""
        if self.work.reader is not None:
            self.work.reader.read(frame, "")
        return self.frame(frame)

    def get(self, frame: int, name: str) -> Value | None:
        """What a program finds a name bound to in a frame."""
        reader = self.work.reader
        if reader is not None and frame not in reader.own:
            reader.reads.add((frame, name))
        names = self._frames.get(frame)
        if names is None:
            names = self._base.get(frame, _EMPTY)
        return names.get(name)

    def peek(self, frame: int, name: str) -> Found:
        """The same, without the reader taking note; all names of the frame for an empty name."""
        if frame == self.VARIABLES:
            if name:
                return self.variables.get(name, _UNTOUCHED)
            return frozenset(self.variables.items())
        return self.frame(frame).get(name) if name else self.frame(frame)

    def lookup(self, frames: tuple[int, ...], name: str) -> Value | None:
        """What a name is bound to in the last of some frames that has it."""
        own, base, reader = self._frames, self._base, self.work.reader
        for frame in reversed(frames):
            names = own.get(frame)
            if names is None:
                names = base.get(frame, _EMPTY)
            value = names.get(name)
            if reader is not None and frame not in reader.own:
                reader.reads.add((frame, name))
            if value is not None:
                return value
        return None

    def open(self, frame: int) -> None:
        """Begin a frame, unless there is one."""
        if frame not in self._frames and frame not in self._base:
            self._frames[frame] = Names()
            self._owned.add(frame)

    def begin(self, frame: int) -> None:
        """Begin a frame anew, whether or not there is one."""
        self._frames[frame] = Names()
        self._owned.add(frame)
        self._version.note(frame, "")

    def adopt(self, frames: dict[int, Names]) -> None:
        """Take over frames that are not there yet, and are not written to any more."""
        if len(frames) > _MOST_BESIDE:
            self._base = self._base | frames
        else:
            self._frames.update(frames)
        for frame, names in frames.items():
            self._version.note(frame, "")
            self._hold(frame, names.holders)

    def forget_since(self, earlier: Version, changed: Changes) -> None:
        """Let this path's history since ``earlier``, one of its versions, be one step that changed
        some names."""
        self._version = Version(earlier)
        self._version.changed = changed

    def share(self) -> None:
        """Let others keep what this path holds now: it is not written to any more."""
        self._owned = set()
        self._shares_variables = True

    def close(self, frame: int) -> None:
        """Forget a frame that nothing refers to any more."""
        self._frames.pop(frame, None)
        self._owned.discard(frame)

    def bind(self, frame: int, name: str, value: Value) -> None:
        """Bind a name in a frame."""
        if frame in self._owned:
            names = self._frames[frame]
        else:
            names = self._frames[frame] = Names(self.frame(frame))
            self.work.add(len(names) // _COPIED_AT_ONCE)
            self._owned.add(frame)
        if type(value) in CONTAINERS:
            value = bounded(value)
            self._hold(frame, identities(value, set()))
        names.bind(name, value)
        self._version.note(frame, name)

    def bind_public(self, frame: int, names: Names) -> None:
        """Bind in a frame all names of another that do not begin with an underscore."""
        public = {name: value for name, value in names.items() if not name.startswith("_")}
        if not public:
            return
        mine = Names(self.frame(frame))
        mine.update(public)
        self.work.add(len(mine) // _COPIED_AT_ONCE)
        self._frames[frame] = mine
        self._owned.add(frame)
        self._hold(frame, names.holders)
        self._version.note_all(frame, public)

    def change(self, old: Value, new: Value) -> None:
        """An object is changed in place: whatever refers to it sees the new state."""
        if new == old:
            return
        if self.work.reader is not None:
            self.work.reader.changed.append(old)
        for frame in self._holding(old):
            names = self.frame(frame)
            for name in names.holding(old):
                changed = with_part_replaced(names[name], old, new)
                self.bind(frame, name, changed)

    def _holding(self, value: Value) -> list[int]:
        """The frames in which something holds, or is, an object that may be changed in place."""
        frames = self.work.holding.get(id(value), ())
        return [frame for frame in frames if id(value) in self.frame(frame).holders]

    def _hold(self, frame: int, identities: Iterable[int]) -> None:
        """Note that a frame holds some objects that may be changed in place."""
        holding = self.work.holding
        for identity in identities:
            held = holding.get(identity)
            if held is None:
                holding[identity] = {frame}
            else:
                held.add(frame)

    def holders(self, value: Value) -> frozenset[Slot]:
        """The names that hold, or are, an object that may be changed in place."""
        return frozenset(
            (frame, name)
            for frame in self._holding(value)
            for name in self.frame(frame).holding(value)
        )

    def all_variables(self) -> tuple[str, ...]:
        """The environment variables that the program has written."""
        if self.work.reader is not None:
            self.work.reader.read(self.VARIABLES, "")
        return tuple(name for name in self.variables if not name.startswith(_PAST))

    def header_variables(self) -> tuple[str, ...]:
        """The variables that decide about GPUs to which the program has given a value."""
        return tuple(
            name
            for name in (*HEADER_VARIABLES, *ALIASES)
            if any(written.value is not None for written in self.holds(name))
        )

    def put(self, variable: str, held: frozenset[Written]) -> None:
        """Let an environment variable hold one of some values from now on."""
        if self._shares_variables:
            self.variables = dict(self.variables)
            self._shares_variables = False
        self.variables[variable] = _few(held)
        self._version.note(Flow.VARIABLES, variable)

    def put_past(self, variable: str, written: Written) -> None:
        """Let the driver read a value of a variable that ``os.environ`` does not hold."""
        self.put(_PAST + variable, frozenset({written}))

    def forget_past(self, variable: str) -> None:
        """Let the driver read of a variable what ``os.environ`` holds, as it was just written."""
        if _PAST + variable in self.variables:
            self.put(_PAST + variable, _UNTOUCHED)

    def holds(self, variable: str) -> frozenset[Written]:
        """What an environment variable may hold now."""
        if self.work.reader is not None:
            self.work.reader.read(self.VARIABLES, variable)
        return self.variables.get(variable, _UNTOUCHED)

    def masks(self) -> frozenset[Written]:
        """The masks that decide what is visible now: those a freeze fixed, else the variable."""
        return self._in_effect(MASK, self.visible)

    def orders(self) -> frozenset[Written]:
        """The orders in which devices are counted now: those at a freeze, else the variable."""
        return self._in_effect(ORDER, self.ordered)

    def _in_effect(self, variable: str, frozen: frozenset[Written]) -> frozenset[Written]:
        if self.frozen.certainty is Certainty.ALWAYS:
            return frozen
        held = self.holds(variable)
        if past := self.holds(_PAST + variable) - _UNTOUCHED:
            held |= past
        return frozen | held if self.frozen.certainty is Certainty.MAYBE else held

    def freeze(self, trigger: Trigger, certainty: Certainty) -> None:
        """CUDA reads the mask now, if it has not done so before."""
        if certainty is not Certainty.NEVER and self.frozen.certainty is not Certainty.ALWAYS:
            self.visible, self.ordered = self.masks(), self.orders()
            self.frozen = advance(self.frozen, trigger, certainty)

    @property
    def has_used(self) -> bool:
        """Whether a framework has been used on every path to here."""
        return Certainty.ALWAYS in (self.imported.certainty, self.frozen.certainty)

    def count(self) -> frozenset[Written]:
        """The masks that ``torch.cuda.device_count()`` counts now."""
        if self.counted:
            return self.counted
        if self.initialised is Certainty.ALWAYS:
            self.counted = self.holds(MASK)
        return self.holds(MASK)

    def follow(self, other: Flow, via: tuple[Trigger, ...]) -> None:
        """Go on as a path would that did, from here, what ``other`` did from the very start.

        ``via`` are the steps that lead there; they are put before the other's own.
        """
        self.imported = _after(self.imported, other.imported, via)
        self.imported_here = _after(self.imported_here, other.imported, via)
        self.allocated = _after(self.allocated, other.allocated, via)
        if self.frozen.certainty is not Certainty.ALWAYS and other.frozen.certainty:
            before = self.masks(), self.orders()
            self.visible = self._behind(MASK, other.visible)
            self.ordered = self._behind(ORDER, other.ordered)
            if self.frozen.certainty is Certainty.MAYBE:
                self.visible |= before[0]
                self.ordered |= before[1]
            self.frozen = _after(self.frozen, other.frozen, via)
        self.initialised = max(self.initialised, other.initialised)
        self.counted = self.counted or other.counted
        for variable, held in other.variables.items():
            self.put(variable, self._behind(variable, held))
        self.quiet = frozenset()
        self.unset -= frozenset(other.variables)
        self._add_frames(other)
        self.loaded |= other.loaded
        self.touched |= other.touched
        self.at_exit = _either(self.at_exit, other.at_exit)

    def _behind(self, variable: str, held: frozenset[Written]) -> frozenset[Written]:
        """What a path holds here that held it from the very start: what it inherited is ours."""
        kept = self.holds(variable) if INHERITED in held else frozenset()
        return (held - _UNTOUCHED) | kept

    def join(self, other: Flow, *, sticky_imports: bool = False) -> None:
        """Let this flow stand for both; the other must not be used again. With ``sticky_imports``
        an import on either counts."""
        if not other.alive:
            return
        if not self.alive:
            self.become(other)
            return
        imported, here = self.imported, self.imported_here
        if sticky_imports:
            self.imported = max(imported, other.imported, key=lambda mark: mark.certainty)
            self.imported_here = max(here, other.imported_here, key=lambda m: m.certainty)
        else:
            self.imported = join_marks(imported, other.imported)
            self.imported_here = join_marks(here, other.imported_here)
        if self.visible is not other.visible:
            self.visible |= other.visible
        if self.ordered is not other.ordered:
            self.ordered |= other.ordered
        self.frozen = join_marks(self.frozen, other.frozen)
        if self.initialised is not other.initialised:
            self.initialised = Certainty.MAYBE
        if self.counted != other.counted:
            self.counted = self.counted and other.counted and self.counted | other.counted
        self.allocated = join_marks(self.allocated, other.allocated)
        self.quiet &= other.quiet
        self.unset &= other.unset
        self.needs = min(self.needs, other.needs)
        self.checked &= other.checked
        if self.loaded is not other.loaded:
            self.loaded &= other.loaded
        if self.touched is not other.touched:
            self.touched |= other.touched
        self.at_exit = _either(self.at_exit, other.at_exit)
        self._join_names(other)

    def join_all(self, others: Sequence[Flow]) -> None:
        """Let this flow stand for several others, too, which must not be used again.

        Those that parted one after the other are joined with their neighbours first, so that what
        lies between them is gone through as often as the logarithm of their number says.
        """
        waiting = [other for other in others if other.alive]
        while len(waiting) > 1:
            for one, other in zip(waiting[::2], waiting[1::2], strict=False):
                one.join(other)
            waiting = waiting[::2]
        for one in waiting:
            self.join(one)

    def _add_frames(self, other: Flow) -> None:
        """Take over the frames of a flow that began on its own, and is not written to any more."""
        new: dict[int, Names] = {}
        for frame, names in (other._base | other._frames).items():
            mine = self.frame(frame)
            if mine is _EMPTY:
                new[frame] = names
                self._version.note(frame, "")
                self._hold(frame, names.holders)
                if self.work.reader is not None:
                    self.work.reader.own.add(frame)
                    self.work.reader.lasting.add(frame)
            elif mine is not names and not mine.covers(names):
                # a frame of both, which either may have changed
                if not self._join_frame(frame, names, names):
                    mine.note_covered(names)
        self._base = self._base | new
        other._owned = set()

    def _join_names(self, other: Flow) -> None:
        """Join the names and variables that the two paths changed since they parted."""
        theirs = other.settle()
        changed = changed_between(self.settle(), theirs)
        for variable in changed.pop(Flow.VARIABLES, ()):
            held = self.variables.get(variable, _UNTOUCHED)
            more = other.variables.get(variable, _UNTOUCHED)
            if held is not more:
                self.put(variable, held | more)
        for frame, names in changed.items():
            self.work.add(len(names))
            bound = other.frame(frame)
            mine = self.frame(frame)
            if mine is bound:
                continue
            if mine is _EMPTY:
                self._frames[frame] = bound
                other._owned.discard(frame)
                self._version.note_all(frame, bound)
            else:
                self._join_frame(frame, bound if "" in names else names, bound)
        self._version = Version(self._version.settled, theirs)

    def _join_frame(self, frame: int, names: Iterable[str], bound: Names) -> bool:
        """Let names of a frame stand for what they are bound to elsewhere, too; whether that
        changes any."""
        mine = self.frame(frame)
        changes = False
        for name in names:
            value, other = mine.get(name), bound.get(name)
            if other is None or value is other or value == other:
                continue
            joined = other if value is None else any_of((value, other))
            if joined != value:
                self.bind(frame, name, joined)
                changes = True
        return changes


class Frozen(NamedTuple):
    """That CUDA has read the mask on some path, and what it found."""

    mark: Mark
    initialised: Certainty
    visible: frozenset[Written]
    ordered: frozenset[Written]

    @classmethod
    def of(cls, flow: Flow) -> Frozen:
        """Return what is so on a path."""
        return cls(flow.frozen, flow.initialised, flow.visible, flow.ordered)

    def put_on(self, flow: Flow) -> None:
        """Let a path that is shown to go on from that one know it too."""
        if self.mark.certainty > flow.frozen.certainty:
            flow.frozen, flow.initialised, flow.visible, flow.ordered = self


_NOTHING: dict[int, Names] = {}
_EMPTY = Names()


def _either(one: tuple[Value, ...], other: tuple[Value, ...]) -> tuple[Value, ...]:
    """What is called on either path, once."""
    if one is other or one == other:
        return one
    return tuple(dict.fromkeys((*one, *other)))[:MOST_AT_EXIT]


def _few(held: frozenset[Written]) -> frozenset[Written]:
    """What a variable may hold, or that nothing is known of it where that is too much."""
    return held if len(held) <= _MOST_WRITTEN else (held & _UNTOUCHED) | {_SOMETHING_ELSE}


def advance(mark: Mark, trigger: Trigger, certainty: Certainty) -> Mark:
    """The mark after something happened, perhaps not for the first time."""
    return mark if mark.certainty >= certainty else Mark(certainty, mark.trigger or trigger)


def join_marks(one: Mark, other: Mark) -> Mark:
    """What both paths say together."""
    if one is other:
        return one
    if one.certainty is other.certainty:
        return one if one.trigger is not None else other
    return Mark(Certainty.MAYBE, one.trigger or other.trigger)


def _after(mark: Mark, later: Mark, via: tuple[Trigger, ...]) -> Mark:
    if later.trigger is None:
        return mark
    return advance(mark, later.trigger.behind(via), later.certainty)
