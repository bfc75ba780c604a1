"""Collects what the interpreter comes across and merges what one place did on several paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from typing import Any, Protocol, TypeAlias, TypeVar

from gpu_lint.facts.flow import join_marks
from gpu_lint.facts.model import (
    INHERITED,
    Child,
    CountTest,
    Crossing,
    Fallback,
    Form,
    Index,
    LocalCall,
    Mark,
    Outcome,
    Reach,
    Selector,
    Setting,
    Trigger,
    Written,
    in_order,
)
from gpu_lint.facts.selection import Selection
from gpu_lint.facts.values import Value, any_of
from gpu_lint.source import Span

SettingKey: TypeAlias = "tuple[Span, Span, str, bool]"
"""The statement, the key in it and the variable: a loop writes several at one place. With whether
that one's name is not known, and only may be meant."""


class Witness(Protocol):
    """Takes note of what is recorded, so that it can be recorded again."""

    def recorded(self, file: str, kind: str, *fact: Any) -> None:
        """A fact of a file was recorded by the recorder's method of this name."""


T = TypeVar("T")
_NEVER = Mark()
_ORDER = count()
_MOST_INDICES = 256
"""Devices that are remembered of one place: a call of it with each of more names them anyway."""


class Recorder:
    """One file's facts by place; the same place reached again is merged, not repeated."""

    def __init__(self, file: str = "", witness: Witness | None = None) -> None:
        self._file = file
        self._witness = witness
        self.frameworks: dict[Span, Trigger] = {}
        self.settings: dict[SettingKey, Setting] = {}
        self.selectors: dict[tuple[Span, str], Selector] = {}
        self.count_tests: dict[Span, CountTest] = {}
        self.calls: dict[Span, LocalCall] = {}
        self.children: dict[Span, Child] = {}
        self.crossings: dict[Span, Crossing] = {}
        self.fallbacks: dict[Span, Fallback] = {}
        self.machine_tests: dict[Span, bool] = {}
        """Comparisons, each with its outcome where all processes run on one machine."""
        self.is_for_one_machine = False
        """It gives up where processes run on several machines."""
        self.writes_any_name = False
        """An environment variable is written under a name that is not known there."""
        self.first_use: Trigger | None = None
        self.at_first_use: dict[str, frozenset[Written]] = {}
        self.possible_uses: dict[Span, tuple[int, Trigger]] = {}
        """Calls that are given a GPU, and of which it is not measured that they freeze; each with
        a number that grows in the order of execution."""

    def alone(self) -> Recorder:
        """The same facts, when nobody records any more."""
        self._witness = None
        return self

    def for_others(self) -> Recorder:
        """What the file itself asks about a program that runs it."""
        found = Recorder(self._file)
        found.settings, found.selectors = self.settings, self.selectors
        found.count_tests = self.count_tests
        return found

    def possible_use(self, trigger: Trigger) -> None:
        """A call that may initialise CUDA is given a GPU."""
        self._note("possible_use", trigger)
        self.possible_uses.setdefault(trigger.span, (next(_ORDER), trigger))

    def _note(self, kind: str, *fact: Any) -> None:
        if self._witness is not None:
            self._witness.recorded(self._file, kind, *fact)

    def use(self, trigger: Trigger, variables: Mapping[str, frozenset[Written]]) -> None:
        """The first contact with a GPU on a path fixes what the header was worth, given what the
        ``variables`` that were written hold there."""
        known = self.at_first_use if self.first_use is not None else None
        self.first_use = self.first_use or trigger
        for variable in variables.keys() | self.at_first_use.keys():
            held = variables.get(variable, frozenset({INHERITED}))
            earlier = known.get(variable, frozenset({INHERITED})) if known is not None else held
            self.at_first_use[variable] = held | earlier

    def framework(self, span: Span, trigger: Trigger) -> None:
        """An import brings a framework in."""
        self._note("framework", span, trigger)
        self.frameworks.setdefault(span, trigger)

    def any_name(self) -> None:
        """An environment variable is written under a name that is not known."""
        if not self.writes_any_name:
            self._note("any_name")
            self.writes_any_name = True

    def child(self, child: Child) -> None:
        """A call may start another process."""
        self._note("child", child)
        old = self.children.get(child.span)
        if old is not None:
            child = united(old, child)
        self.children[child.span] = child

    def crossing(self, crossing: Crossing) -> None:
        """An index of one numbering is given to a call that counts by the other."""
        self._note("crossing", crossing)
        self.crossings[crossing.span] = crossing

    def fallback(self, fallback: Fallback) -> None:
        """Without a GPU the program goes on."""
        self._note("fallback", fallback)
        self.fallbacks[fallback.span] = fallback

    def setting(self, setting: Setting) -> None:
        """A variable is written."""
        self._note("setting", setting)
        key = (setting.span, setting.key_span, setting.variable, setting.form is Form.POSSIBLE)
        old = self.settings.get(key)
        if old is None or setting.reach > old.reach:
            self.settings[key] = setting
        elif setting.reach == old.reach or Reach.UNCALLED not in (setting.reach, old.reach):
            value = setting.value
            if value is not None and old.value is not None and not setting.undisturbed:
                value = any_of((old.value, value))
            self.settings[key] = replace(
                old,
                value=value,
                values=(*old.values, *(v for v in setting.values if v not in old.values)),
                reach=max(old.reach, setting.reach),
                frozen=join_marks(old.frozen, setting.frozen),
                allocated=join_marks(old.allocated, setting.allocated),
                imported=join_marks(old.imported, setting.imported),
                imported_here=join_marks(old.imported_here, setting.imported_here),
                before=_union(old.before, setting.before),
                undisturbed=old.undisturbed and setting.undisturbed,
                conditional=old.conditional or setting.conditional,
                chosen=old.chosen and setting.chosen,
                only_asked=old.only_asked and setting.only_asked,
            )

    def selector(
        self,
        api: str,
        selection: Selection,
        span: Span,
        held: frozenset[Written],
        needs: int,
        reach: Reach,
        also: frozenset[Written] = frozenset(),
        versions: str = "",
        frozen: Mark = _NEVER,
    ) -> None:
        """A call is given a device."""
        self.take(
            Selector(
                api,
                selection.shape,
                selection.indices,
                selection.count,
                span,
                reach,
                in_order(held),
                needs,
                selection.complete,
                selection.inputs,
                selection.bare,
                in_order(also),
                versions,
                frozen,
            )
        )

    def take(self, new: Selector) -> None:
        """Note a device that is named to a call."""
        self._note("take", new)
        old = self.selectors.get((new.span, new.api))
        if old is not None:
            needs = min(old.needs, new.needs)
            indices = _either(_not_shown(old, needs), _not_shown(new, needs))
            is_complete = len(indices) < _MOST_INDICES and old.needs == new.needs
            new = replace(
                new,
                indices=indices,
                count=max(old.count, new.count),
                reach=max(old.reach, new.reach),
                masks=_union(old.masks, new.masks),
                needs=needs,
                complete=old.complete and new.complete and is_complete,
                inputs=_either(old.inputs, new.inputs),
                bare=_either(old.bare, new.bare),
                also=_union(old.also, new.also),
                frozen=min(old.frozen, new.frozen, key=lambda mark: mark.certainty),
            )
        self.selectors[new.span, new.api] = new

    def count_test(self, test: CountTest) -> None:
        """The number of devices is compared with a number."""
        self._note("count_test", test)
        old = self.count_tests.get(test.span)
        if old is not None:
            test = replace(
                test,
                if_true=old.if_true or test.if_true,
                if_false=old.if_false or test.if_false,
                masks=_union(old.masks, test.masks),
                reach=max(old.reach, test.reach),
                tried=old.tried and test.tried,
            )
        self.count_tests[test.span] = test

    def machine_test(self, span: Span, on_one: bool) -> None:
        """A comparison comes out as ``on_one`` where all processes run on one machine."""
        self._note("machine_test", span, on_one)
        self.machine_tests[span] = on_one

    def outcome(self, span: Span, truth: bool, outcome: Outcome) -> None:
        """What the branch that a count test decides does."""
        self._note("outcome", span, truth, outcome)
        if outcome is not Outcome.LEAVES_GPU and self.machine_tests.get(span, truth) is not truth:
            self.is_for_one_machine = True
        test = self.count_tests.get(span)
        if test is not None:
            self.count_tests[span] = replace(
                test,
                if_true=outcome if truth else test.if_true,
                if_false=test.if_false if truth else outcome,
            )

    def call(self, call: LocalCall) -> None:
        """A function of the project is called."""
        self._note("call", call)
        old = self.calls.get(call.span)
        if old == call:
            return
        if old is not None:
            call = replace(
                call,
                reach=max(call.reach, old.reach),
                allocated=join_marks(old.allocated, call.allocated),
                held=_held(dict(old.held), dict(call.held)),
                masks=_union(old.masks, call.masks),
            )
        self.calls[call.span] = call


def united(old: Child, new: Child) -> Child:
    """What two ways to start a child say together, given the later one's place and freeze."""
    return replace(
        new,
        mask=_given(old.mask, new.mask),
        order=_given(old.order, new.order),
        uses_gpu=max(old.uses_gpu, new.uses_gpu),
        masks=_union(old.masks, new.masks),
        orders=_union(old.orders, new.orders),
        handed=_held(dict(old.handed), dict(new.handed)),
        mask_span=new.mask_span if new.mask_span == old.mask_span else None,
        processes=max(old.processes, new.processes),
        for_each_device=old.for_each_device or new.for_each_device,
        scripts=_all_or_none(old.scripts, new.scripts),
    )


def _given(one: Value | None, other: Value | None) -> Value | None:
    """The values that a call gives on either of two ways; a way on which it gives none inherits the
    one in effect, which is recorded beside."""
    if one is None or other is None:
        return one or other
    return any_of((one, other))


def _all_or_none(one: tuple[T, ...], other: tuple[T, ...]) -> tuple[T, ...]:
    """What is known on both of two ways; nothing where it is not known on one."""
    return tuple(dict.fromkeys((*one, *other))) if one and other else ()


def _either(one: tuple[T, ...], other: tuple[T, ...]) -> tuple[T, ...]:
    """What either way says, once; of very much, the first."""
    if one == other or len(one) >= _MOST_INDICES:
        return one
    return tuple(dict.fromkeys((*one, *other)))


def _not_shown(selector: Selector, needs: int) -> tuple[Index, ...]:
    """The devices that a call is given, without those that a guard on its way shows to exist where
    other ways to it, which need fewer, have no such guard."""
    if selector.needs == needs:
        return selector.indices
    return tuple(one for one in selector.indices if not needs <= one.number < selector.needs)


def _held(
    one: dict[str, tuple[Written, ...]], other: dict[str, tuple[Written, ...]]
) -> tuple[tuple[str, tuple[Written, ...]], ...]:
    """What variables may hold that are known of either way."""
    return tuple((name, _union(one.get(name, ()), other.get(name, ()))) for name in one | other)


def _union(one: tuple[Written, ...], other: tuple[Written, ...]) -> tuple[Written, ...]:
    return one if one == other else in_order(frozenset((*one, *other)))
