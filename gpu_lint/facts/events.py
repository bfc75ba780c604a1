"""What parts of a program do beside changing the state of its paths, as it can be repeated.

A part is repeated elsewhere than where it was run: on another way, and after other things have
happened. :class:`Rebase` puts those in the places of the first run's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from gpu_lint.facts.conditions import Condition
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.model import Child, LocalCall, Mark, Setting, Trigger, Written
from gpu_lint.facts.recorder import Recorder
from gpu_lint.facts.values import Key, Value
from gpu_lint.facts.world import Class, Function

if TYPE_CHECKING:
    from gpu_lint.facts import program as p
    from gpu_lint.facts.environment import Arguments
    from gpu_lint.facts.summaries import Summary

Marks: TypeAlias = "tuple[Mark, Mark, Mark, Mark]"


class Run(Protocol):
    """The program in which a summary is repeated."""

    start: str
    recorders: dict[str, Recorder]
    functions: dict[Key, Function]
    classes: dict[Key, Class]
    known_attributes: dict[Key, dict[str, Value]]

    def class_of(self, key: Key) -> Class | None:
        """A class of the project."""

    def recorder_of(self, file: str) -> Recorder:
        """What is recorded of a file."""

    def note_attribute(self, key: Key, name: str, value: Value) -> None:
        """Remember one of the values that an attribute may have, whenever that is."""

    def ask(self, key: Key, name: str) -> None:
        """Remember that an attribute was asked for."""

    def executed(self, key: Key) -> None:
        """Remember that a function was called."""

    def hand_over(self, key: Key, calls: tuple[Arguments | None, ...]) -> None:
        """Remember what a function is called with in processes that are started."""

    def end_path(self, raised: str, flow: Flow) -> None:
        """End a path by an exception of a known name: to its handler, or out of the program."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """How a part is entered."""

    steps: tuple[Trigger, ...]
    """The way there from the program's first file."""
    marks: Marks
    """What has happened before."""
    conditions: tuple[Condition, ...]
    """Those of the branches that it is in."""
    variables: Mapping[str, frozenset[Written]]
    """What the environment variables that were written before hold."""


class Rebase:
    """Puts the way to one place, and what had happened before it, in place of another's."""

    def __init__(self, old: Entrance, new: Entrance) -> None:
        self._old, self._new = old, new
        self._made: dict[int, tuple[Trigger, Trigger]] = {}
        """What happened in the part, by its ``id()``, there and here."""

    def steps(self, steps: tuple[Trigger, ...]) -> tuple[Trigger, ...]:
        """The steps to a place inside the part."""
        count = len(self._old.steps)
        return self._new.steps + tuple(self.trigger(step) for step in steps[count:])

    def trigger(self, trigger: Trigger) -> Trigger:
        """What happened in the part."""
        found = self._made.get(id(trigger))
        if found is None:
            under = trigger.under
            if under:
                under = self._new.conditions + under[len(self._old.conditions) :]
            found = trigger, replace(trigger, via=self.steps(trigger.via), under=under)
            self._made[id(trigger)] = found
        return found[1]

    def _mark(self, mark: Mark, before: Mark, now: Mark) -> Mark:
        if mark.trigger is None:
            return mark
        if mark.trigger is before.trigger:
            return Mark(mark.certainty, now.trigger)
        return Mark(mark.certainty, self.trigger(mark.trigger))

    def frozen(self, mark: Mark) -> Mark:
        """How certainly CUDA is frozen, and by what: in the part, or before it."""
        return self._mark(mark, self._old.marks[0], self._new.marks[0])

    def allocated(self, mark: Mark) -> Mark:
        """How certainly memory is allocated."""
        return self._mark(mark, self._old.marks[1], self._new.marks[1])

    def imported(self, mark: Mark) -> Mark:
        """How certainly a framework is imported."""
        return self._mark(mark, self._old.marks[2], self._new.marks[2])

    def imported_here(self, mark: Mark) -> Mark:
        """How certainly one is imported in the same function."""
        return self._mark(mark, self._old.marks[3], self._new.marks[3])

    def marks(self, marks: Marks) -> Marks:
        """All of these."""
        frozen, allocated, imported, here = marks
        return (
            self.frozen(frozen),
            self.allocated(allocated),
            self.imported(imported),
            self.imported_here(here),
        )

    def entrance(self, entrance: Entrance) -> Entrance:
        """The way into a part of the part."""
        conditions = entrance.conditions[len(self._old.conditions) :]
        return Entrance(
            self.steps(entrance.steps),
            self.marks(entrance.marks),
            self._new.conditions + conditions,
            self.variables(entrance.variables),
        )

    def variables(
        self, variables: Mapping[str, frozenset[Written]]
    ) -> Mapping[str, frozenset[Written]]:
        """What the environment variables hold in the part: those that it has not written hold
        what they held before."""
        before = self._old.variables
        written = {name: held for name, held in variables.items() if held is not before.get(name)}
        return {**self._new.variables, **written}


# --- what a part does beside changing the state ------------------------------------------------


class Event(ABC):
    """Something that is remembered of a run, beside the state of its paths."""

    @abstractmethod
    def repeat(self, run: Run, rebase: Rebase) -> None:
        """Let it happen again, in another program or at another place."""


@dataclass(frozen=True, slots=True)
class Recorded(Event):
    """A fact of a file was recorded: ``kind`` is the recorder's method."""

    file: str
    kind: str
    fact: tuple[Any, ...]
    of_program: bool = False
    """It is asked for in the program that starts with the file, and in no other."""

    def repeat(self, run: Run, rebase: Rebase) -> None:
        if self.of_program and self.file != run.start:
            return
        fact = tuple(rebased(one, rebase) for one in self.fact)
        getattr(run.recorder_of(self.file), self.kind)(*fact)


def rebased(fact: Any, rebase: Rebase) -> Any:
    """A fact, as it is reached on another way."""
    if isinstance(fact, Setting):
        return replace(
            fact,
            frozen=rebase.frozen(fact.frozen),
            allocated=rebase.allocated(fact.allocated),
            imported=rebase.imported(fact.imported),
            imported_here=rebase.imported_here(fact.imported_here)
            if fact.function
            else rebase.imported(fact.imported_here),
        )
    if isinstance(fact, Trigger):
        return rebase.trigger(fact)
    if isinstance(fact, Child):
        return replace(fact, frozen=rebase.frozen(fact.frozen))
    if isinstance(fact, LocalCall):
        return replace(fact, allocated=rebase.allocated(fact.allocated))
    return fact


@dataclass(frozen=True, slots=True)
class Used(Event):
    """A framework was used for what may be the first time on a path."""

    trigger: Trigger
    variables: Mapping[str, frozenset[Written]]

    def repeat(self, run: Run, rebase: Rebase) -> None:
        trigger = rebase.trigger(self.trigger)
        run.recorder_of(run.start).use(trigger, rebase.variables(self.variables))


@dataclass(frozen=True, slots=True)
class FunctionMet(Event):
    """A function was defined."""

    key: Key
    function: Function

    def repeat(self, run: Run, rebase: Rebase) -> None:
        run.functions[self.key] = self.function


@dataclass(frozen=True, slots=True)
class ClassMet(Event):
    """A class was defined, or defined again."""

    key: Key
    node: p.Class
    file: str
    frame: int
    bases: tuple[Key, ...]
    is_filled: bool = False

    def repeat(self, run: Run, rebase: Rebase) -> None:
        self.enter(run)

    def enter(self, run: Run) -> Class:
        """Let a run know the class."""
        known = run.classes.get(self.key)
        if known is None:
            attributes = dict(run.known_attributes.get(self.key, {}))
            known = Class(self.node, self.file, self.frame, self.bases, attributes, self.is_filled)
            run.classes[self.key] = known
        known.frame = self.frame
        return known


@dataclass(frozen=True, slots=True)
class MethodMet(Event):
    """A class was given a method."""

    key: Key
    name: str
    value: Value

    def repeat(self, run: Run, rebase: Rebase) -> None:
        known = run.class_of(self.key)
        if known is not None:
            known.attributes[self.name] = self.value


@dataclass(frozen=True, slots=True)
class AttributeMet(Event):
    """An attribute of the objects of a class got a value."""

    key: Key
    name: str
    value: Value

    def repeat(self, run: Run, rebase: Rebase) -> None:
        run.note_attribute(self.key, self.name, self.value)


@dataclass(frozen=True, slots=True)
class AttributeAsked(Event):
    """An attribute of a class was asked for."""

    key: Key
    name: str

    def repeat(self, run: Run, rebase: Rebase) -> None:
        run.ask(self.key, self.name)


@dataclass(frozen=True, slots=True)
class Executed(Event):
    """A function was called."""

    key: Key

    def repeat(self, run: Run, rebase: Rebase) -> None:
        run.executed(self.key)


@dataclass(frozen=True, slots=True)
class HandedOver(Event):
    """A function was handed to processes that are started, which call it."""

    key: Key
    calls: tuple[Arguments | None, ...]

    def repeat(self, run: Run, rebase: Rebase) -> None:
        run.hand_over(self.key, self.calls)


@dataclass(frozen=True, slots=True)
class Repeated(Event):
    """A part of the part was run, or repeated."""

    summary: Summary
    entrance: Entrance

    def repeat(self, run: Run, rebase: Rebase) -> None:
        inner = Rebase(self.summary.entrance, rebase.entrance(self.entrance))
        for event in self.summary.events:
            event.repeat(run, inner)
