"""Parts of a program: each is run, or what it did elsewhere is repeated.

Everything that a run remembers beside the state of its paths is noted here, so that a part that is
run can be repeated by its :class:`Summary`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gpu_lint.facts.conditions import Condition
from gpu_lint.facts.events import Entrance, Event, Executed, Rebase, Recorded, Repeated, Used
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.history import Slot
from gpu_lint.facts.model import Reach, Trigger
from gpu_lint.facts.objects import Objects
from gpu_lint.facts.recorder import Recorder
from gpu_lint.facts.summaries import MOST_WAYS, Budget, Part, Recording, Summary, marks_of
from gpu_lint.facts.values import Key, Value
from gpu_lint.facts.world import World

_OF_PROGRAM = frozenset({"framework", "child", "crossing", "fallback", "call"})
"""What is asked of a file in the program that starts with it alone."""


class Parts(Objects):
    """Runs parts of a program once for all programs that are alike there."""

    start: str
    """The file of the program."""
    reach: Reach
    conditions: tuple[Condition, ...]
    recorders: dict[str, Recorder]
    _loops: int
    _repeats: bool
    """Parts are repeated, where they can be."""
    _by_itself: bool

    def __init__(self, world: World, file: str) -> None:
        super().__init__(world, file)
        self._is_trial = False
        """What is recorded is forgotten."""
        self._executed: set[Key] = set()
        self._executed_since: list[Key] = []
        """Those that were executed since this was last emptied."""

    @property
    @abstractmethod
    def attempts(self) -> int:
        """How many ``try`` statements are around execution."""

    @property
    @abstractmethod
    def expects_missing(self) -> bool:
        """Whether the innermost of them handles modules that are missing."""

    @abstractmethod
    def end_path(self, raised: str, flow: Flow) -> None:
        """End a path by an exception of a known name: to its handler, or out of the program."""

    # --- what is remembered ----------------------------------------------------------------

    def happened(self, event: Event) -> None:
        """Note what a part that is being run does beside changing the state."""
        if self._recording is not None:
            self._recording.events.append(event)

    def recorded(self, file: str, kind: str, *fact: Any) -> None:
        """Note that a fact of a file was recorded."""
        if self._recording is not None and not self._is_trial:
            self._recording.events.append(Recorded(file, kind, fact, kind in _OF_PROGRAM))

    def recorder_of(self, file: str) -> Recorder:
        """What is recorded of a file."""
        found = self.recorders.get(file)
        if found is None:
            found = self.recorders[file] = Recorder(file, self)
        return found

    def note_use(self, trigger: Trigger, flow: Flow) -> None:
        """Note a contact with a framework, before it takes effect on the flow."""
        if not flow.has_used and self.reach is not Reach.UNCALLED:
            flow.share()
            self.recorder_of(self.start).use(trigger, flow.variables)
            if not self._is_trial:
                self.happened(Used(trigger, flow.variables))

    def was_executed(self, key: Key) -> bool:
        return key in self._executed

    def executed(self, key: Key) -> None:
        """Note that a function is called."""
        self._executed.add(key)
        self._executed_since.append(key)
        if not self._is_trial:
            self.happened(Executed(key))

    def leaves_parts(self, raised: str, flow: Flow, attempt: int) -> None:
        """Note that a path leaves, by an exception, the parts that run inside an attempt."""
        recording = self._recording
        while recording is not None and attempt < recording.attempts:
            recording.ends(raised, flow)
            recording = recording.outer

    def note_cut_short(self, *, by_others: bool = False) -> None:
        """Note that something is not followed because the budget is used up; ``by_others``: by what
        ran before the part, so that the part would do more elsewhere."""
        if self._recording is not None:
            self._recording.is_cut_short = True
            self._recording.is_unlike |= by_others

    # --- parts -------------------------------------------------------------------------------

    def run_part(
        self,
        part: Part,
        steps: tuple[Trigger, ...],
        flow: Flow,
        run: Callable[[], object],
    ) -> None:
        """Run a part of the program that is entered by some steps, or repeat its summary."""
        if not self._repeats or self._is_trial:
            run()
            return
        key = (part, self._environment(flow))
        known = self.world.summaries.setdefault(key, [])
        flow.share()
        entrance = Entrance(steps, marks_of(flow), self.conditions, flow.variables)
        for summary in known:
            if part.budget is not Budget.PROGRAM or summary.cost < self._budget:
                rebound = summary.fits(flow, self)
                if rebound is not None:
                    self._repeat(summary, entrance, rebound, flow)
                    return
        recording = Recording(flow, self._recording, entrance, self.attempts, self._budget, part)
        self._record(recording, flow, run, known)

    def run_apart(
        self,
        part: Part | None,
        most: int,
        steps: tuple[Trigger, ...],
        flow: Flow,
        run: Callable[[], object],
    ) -> bool:
        """Run a part with a budget of its own of so many statements, if as many are left; returns
        whether that was enough. Without a ``part`` it is run, never repeated."""
        allowed = min(self._budget, most)
        left, self._budget = self._budget - allowed, allowed
        if part is not None and allowed == most:
            self.run_part(part, steps, flow, run)
        elif part is not None and allowed <= 0:
            self.run_part(replace(part, budget=Budget.NONE), steps, flow, run)
        else:
            run()
        is_enough = self._budget > 0
        self._budget += left
        return is_enough

    def _environment(self, flow: Flow) -> tuple[object, ...]:
        """All that a part depends on, but for what it looks up."""
        marks = marks_of(flow)
        unders = tuple(mark.trigger.under if mark.trigger is not None else () for mark in marks)
        return (
            tuple(mark.certainty for mark in marks),
            (unders, self.conditions) if any(unders) else (),
            (flow.initialised, flow.counted, flow.visible, flow.ordered, flow.quiet, flow.unset),
            (flow.needs, flow.checked),
            (self.reach, self._loops > 0, self.expects_missing, self._by_itself),
        )

    def _record(
        self,
        recording: Recording,
        flow: Flow,
        run: Callable[[], object],
        known: list[Summary],
    ) -> None:
        outer, work = self._recording, flow.work
        numbering, self._numbering, self._made = (self._numbering, self._made), recording.part, 0
        flags = self.fallible, self.failing, self.missing
        self.fallible = self.failing = self.missing = False
        self._recording = work.reader = recording
        run()
        self._recording = work.reader = outer
        found = self.fallible, self.failing, self.missing
        summary = recording.finish(flow, self._budget, found, self._made)
        self._add_flags(flags)
        self._numbering, self._made = numbering
        if summary is not None:
            known.insert(0, summary)
            del known[MOST_WAYS:]
        if outer is not None:
            outer.absorb(recording)
            if summary is not None:
                outer.events.append(Repeated(summary, recording.entrance))
            else:
                outer.events += recording.events

    def _repeat(
        self,
        summary: Summary,
        entrance: Entrance,
        rebound: list[tuple[Slot, Value]],
        flow: Flow,
    ) -> None:
        outer, work = self._recording, flow.work
        rebase = Rebase(summary.entrance, entrance)
        if outer is not None:
            outer.absorb(summary)
            for key, name in summary.added:
                known = self.class_of(key)
                held = known.attributes.get(name) if known is not None else None
                outer.adds_to_attribute(key, name, held)
        self._budget -= summary.cost
        self._recording = work.reader = None
        for event in summary.events:
            event.repeat(self, rebase)
        self._recording = work.reader = outer
        if outer is not None:
            outer.events.append(Repeated(summary, entrance))
        self._add_flags(summary.flags)
        for raised, ending in summary.exits:
            left = flow.copy()
            ending.apply(left, rebase)
            self.end_path(raised, left)
        if summary.ending is None:
            flow.alive = False
        else:
            summary.ending.apply(flow, rebase)
            for (frame, name), value in rebound:
                flow.bind(frame, name, value)

    def _add_flags(self, flags: tuple[bool, bool, bool]) -> None:
        self.fallible |= flags[0]
        self.failing |= flags[1]
        self.missing |= flags[2]
