"""The state of one execution path: names, environment variables, and what CUDA has seen.

A :class:`Flow` is changed in place along a path, copied where paths part and joined where they
meet. Joining keeps what holds on every path and marks the rest as possible.
"""

from __future__ import annotations

from functools import cached_property

from gpu_lint.errors import SourceError
from gpu_lint.facts.model import INHERITED, Certainty, Mark, Trigger, Written
from gpu_lint.facts.values import AnyOf, Items, Pairs, Value, any_of, parts_of, with_part_replaced

MASK = "CUDA_VISIBLE_DEVICES"
_CONTAINERS = frozenset({Items, Pairs, AnyOf})
_UNTOUCHED = frozenset({INHERITED})
_MOST_WORK = 30_000_000
_COPIED_AT_ONCE = 16
"""Names that are copied in the time in which one is compared."""
_MOST_BESIDE = 24
"""Frames beside the base; with more, a new base is made of all."""


class Work:
    """What following a program has cost so far: every name that was copied or compared."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done = 0

    def add(self, names: int) -> None:
        """Raises :class:`SourceError` where it is too much: branches times names, in a file that
        no person wrote."""
        self.done += names
        if self.done > _MOST_WORK:
            raise SourceError("cannot be checked: it has too many branches between too many names")


class Flow:
    """One path, or the join of several."""

    __slots__ = (
        "_base",
        "_frames",
        "_owned",
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
        self.variables: dict[str, frozenset[Written]] = {}
        self.quiet: frozenset[str] = frozenset()
        """Variables whose last written value nothing can have used yet."""
        self.unset: frozenset[str] = frozenset()
        """Variables that a test on the way found not to be set."""
        self.needs = 0
        self.checked: frozenset[Value] = frozenset()
        """Values that were found to be less than the number of devices."""
        self._base = _NOTHING
        self._frames: dict[int, dict[str, Value]] = {}
        """Frames that are new, or differ from the base."""
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
            self._base = _Base(self._base | self._frames)
            self._frames = {}
        other = Flow.__new__(Flow)
        other.become(self)
        other.variables = dict(self.variables)
        other._frames = dict(self._frames)
        other._owned = set()
        self._owned = set()
        return other

    def become(self, other: Flow) -> None:
        """Take over another flow's state; the other must not be used again."""
        self._base = other._base
        self._frames = other._frames
        self._owned = other._owned
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
        found = (self.initialised, self.counted, self.visible, self.quiet, self.unset)
        return (variables, certain, found, self.needs, self.at_exit)

    def forget_names(self) -> None:
        """Let go of what names are bound to."""
        self._base, self._frames, self._owned = _NOTHING, {}, set()

    def frame(self, frame: int) -> dict[str, Value]:
        """The names of a frame, not to be changed; none if there is no such frame."""
        found = self._frames.get(frame)
        return self._base.get(frame, _EMPTY) if found is None else found

    def lookup(self, frames: tuple[int, ...], name: str) -> Value | None:
        """What a name is bound to in the last of some frames that has it."""
        own, base = self._frames, self._base
        for frame in reversed(frames):
            names = own.get(frame)
            if names is None:
                names = base.get(frame, _EMPTY)
            value = names.get(name)
            if value is not None:
                return value
        return None

    def open(self, frame: int) -> None:
        """Begin a frame, unless there is one."""
        if frame not in self._frames and frame not in self._base:
            self._frames[frame] = {}
            self._owned.add(frame)

    def close(self, frame: int) -> None:
        """Forget a frame that nothing refers to any more."""
        self._frames.pop(frame, None)
        self._owned.discard(frame)

    def bind(self, frame: int, name: str, value: Value) -> None:
        """Bind a name in a frame."""
        if frame not in self._owned:
            self._frames[frame] = copied = dict(self.frame(frame))
            self.work.add(len(copied) // _COPIED_AT_ONCE)
            self._owned.add(frame)
        self._frames[frame][name] = value

    def change(self, old: Value, new: Value) -> None:
        """An object is changed in place: whatever refers to it sees the new state."""
        holders = self._base.holders.get(id(old), ())
        found = [held for held in holders if held[0] not in self._frames]
        found += _containers(self._frames)
        for frame, name, value in found:
            changed = with_part_replaced(value, old, new)
            if changed is not value:
                self.bind(frame, name, changed)

    def holds(self, variable: str) -> frozenset[Written]:
        """What an environment variable may hold now."""
        return self.variables.get(variable, _UNTOUCHED)

    def masks(self) -> frozenset[Written]:
        """The masks that decide what is visible now: those a freeze fixed, else the variable."""
        if self.frozen.certainty is Certainty.ALWAYS:
            return self.visible
        if self.frozen.certainty is Certainty.MAYBE:
            return self.visible | self.holds(MASK)
        return self.holds(MASK)

    def freeze(self, trigger: Trigger, certainty: Certainty) -> None:
        """CUDA reads the mask now, if it has not done so before."""
        if certainty is not Certainty.NEVER and self.frozen.certainty is not Certainty.ALWAYS:
            self.visible = self.masks()
            self.frozen = advance(self.frozen, trigger, certainty)

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
            before = self.masks()
            inherited = self.holds(MASK) if INHERITED in other.visible else frozenset()
            self.visible = (other.visible - _UNTOUCHED) | inherited
            if self.frozen.certainty is Certainty.MAYBE:
                self.visible |= before
            self.frozen = _after(self.frozen, other.frozen, via)
        self.initialised = max(self.initialised, other.initialised)
        self.counted = self.counted or other.counted
        for variable, held in other.variables.items():
            kept = self.holds(variable) if INHERITED in held else frozenset()
            self.variables[variable] = (held - _UNTOUCHED) | kept
        self.quiet = frozenset()
        self.unset -= frozenset(other.variables)
        self._add_frames(other)
        self.loaded |= other.loaded
        self.touched |= other.touched
        self.at_exit += other.at_exit

    def join(self, other: Flow, *, sticky_imports: bool = False) -> None:
        """Let this flow stand for both. With ``sticky_imports`` an import on either counts."""
        if not other.alive:
            return
        if not self.alive:
            self.become(other.copy())
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
        self.frozen = join_marks(self.frozen, other.frozen)
        if self.initialised is not other.initialised:
            self.initialised = Certainty.MAYBE
        if self.counted != other.counted:
            self.counted = self.counted and other.counted and self.counted | other.counted
        self.allocated = join_marks(self.allocated, other.allocated)
        for variable in self.variables.keys() | other.variables.keys():
            self.variables[variable] = self.holds(variable) | other.holds(variable)
        self.quiet &= other.quiet
        self.unset &= other.unset
        self.needs = min(self.needs, other.needs)
        self.checked &= other.checked
        if self.loaded is not other.loaded:
            self.loaded &= other.loaded
        if self.touched is not other.touched:
            self.touched |= other.touched
        if other.at_exit != self.at_exit:
            self.at_exit = tuple(dict.fromkeys((*self.at_exit, *other.at_exit)))
        self._join_frames(other)

    def _add_frames(self, other: Flow) -> None:
        """Take over the frames of another flow, which must not be written to any more."""
        theirs = {**other._base, **other._frames}
        new = theirs.keys() - self._base.keys() - self._frames.keys()
        for frame, names in theirs.items():
            if frame not in new:  # a frame of both, which either may have changed
                self._join_frame(frame, names)
        if new:
            self._base = _Base(self._base)
            self._base.update((frame, theirs[frame]) for frame in new)
        other._owned = set()

    def _join_frames(self, other: Flow) -> None:
        if self._base is not other._base:
            self._add_frames(other)
            return
        for frame, names in other._frames.items():
            if self._frames.get(frame) is names:
                continue
            if frame in self._frames or frame in self._base:
                self._join_frame(frame, names)
            else:
                self._frames[frame] = names
                other._owned.discard(frame)
        for frame in self._frames.keys() - other._frames.keys():
            if frame in self._base:
                self._join_frame(frame, self._base[frame])

    def _join_frame(self, frame: int, names: dict[str, Value]) -> None:
        mine = self.frame(frame)
        if mine is not names:
            self.work.add(len(names))
            joined = _join_names(mine, names)
            if joined is not mine:
                self._frames[frame] = joined
                self._owned.add(frame)


class _Base(dict[int, dict[str, Value]]):
    """Frames that several flows share. It is never changed once it is shared."""

    @cached_property
    def holders(self) -> dict[int, list[tuple[int, str, Value]]]:
        """What holds, or is, each object that may be changed in place, by its ``id()``."""
        found: dict[int, list[tuple[int, str, Value]]] = {}
        for held in _containers(self):
            for identity in _identities(held[2], set()):
                found.setdefault(identity, []).append(held)
        return found


_NOTHING = _Base()
_EMPTY: dict[str, Value] = {}


def _containers(frames: dict[int, dict[str, Value]]) -> list[tuple[int, str, Value]]:
    return [
        (frame, name, value)
        for frame, names in frames.items()
        for name, value in names.items()
        if type(value) in _CONTAINERS
    ]


def _identities(value: Value, known: set[int]) -> set[int]:
    """The ``id()`` of a container and of all that are in it."""
    if type(value) in _CONTAINERS and id(value) not in known:
        known.add(id(value))
        for part in parts_of(value):
            _identities(part, known)
    return known


def advance(mark: Mark, trigger: Trigger, certainty: Certainty) -> Mark:
    """The mark after something happened, perhaps not for the first time."""
    return mark if mark.certainty >= certainty else Mark(certainty, mark.trigger or trigger)


def join_marks(one: Mark, other: Mark) -> Mark:
    """What both paths say together."""
    if one.certainty is other.certainty:
        return one if one.trigger is not None else other
    return Mark(Certainty.MAYBE, one.trigger or other.trigger)


def _after(mark: Mark, later: Mark, via: tuple[Trigger, ...]) -> Mark:
    if later.trigger is None:
        return mark
    return advance(mark, later.trigger.behind(via), later.certainty)


def _join_names(mine: dict[str, Value], theirs: dict[str, Value]) -> dict[str, Value]:
    """The names of both; the same object where the other side adds nothing."""
    joined = mine
    for name, other in theirs.items():
        value = mine.get(name)
        if value is None:
            value = other
        elif value is other or value == other:
            continue
        else:
            value = any_of((value, other))
        if joined is mine:
            joined = dict(mine)
        joined[name] = value
    return joined
