"""Collects what the interpreter comes across and merges what one place did on several paths."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from gpu_lint.facts.flow import Flow, join_marks
from gpu_lint.facts.model import (
    INHERITED,
    Certainty,
    Child,
    CountTest,
    Crossing,
    Fallback,
    LocalCall,
    Outcome,
    Reach,
    Selector,
    Setting,
    Trigger,
    Written,
)
from gpu_lint.facts.selection import Selection
from gpu_lint.source import Span

_ORDER = count()


class Recorder:
    """One file's facts by place; the same place reached again is merged, not repeated."""

    def __init__(self) -> None:
        self.frameworks: dict[Span, Trigger] = {}
        self.settings: dict[tuple[Span, Span], Setting] = {}
        self.selectors: dict[tuple[Span, str], Selector] = {}
        self.count_tests: dict[Span, CountTest] = {}
        self.calls: dict[Span, LocalCall] = {}
        self.children: dict[Span, Child] = {}
        self.crossings: dict[Span, Crossing] = {}
        self.fallbacks: dict[Span, Fallback] = {}
        self.first_use: Trigger | None = None
        self.at_first_use: dict[str, frozenset[Written]] = {}
        self.possible_uses: dict[Span, tuple[int, Trigger]] = {}
        """Calls that are given a GPU, and of which it is not measured that they freeze; each with
        a number that grows in the order of execution."""

    def possible_use(self, trigger: Trigger) -> None:
        self.possible_uses.setdefault(trigger.span, (next(_ORDER), trigger))

    def use(self, trigger: Trigger, flow: Flow, reach: Reach) -> None:
        """The first contact with a GPU on a path fixes what the header was worth."""
        used = Certainty.ALWAYS in (flow.imported.certainty, flow.frozen.certainty)
        if used or reach is Reach.UNCALLED:
            return
        known = self.at_first_use if self.first_use is not None else None
        self.first_use = self.first_use or trigger
        for variable in flow.variables.keys() | self.at_first_use.keys():
            held = flow.holds(variable)
            earlier = known.get(variable, frozenset({INHERITED})) if known is not None else held
            self.at_first_use[variable] = held | earlier

    def setting(self, setting: Setting) -> None:
        key = (setting.span, setting.key_span)
        old = self.settings.get(key)
        if old is None or setting.reach > old.reach:
            self.settings[key] = setting
        elif setting.reach == old.reach or Reach.UNCALLED not in (setting.reach, old.reach):
            self.settings[key] = replace(
                old,
                value=old.value if old.value == setting.value else setting.value,
                reach=max(old.reach, setting.reach),
                frozen=join_marks(old.frozen, setting.frozen),
                allocated=join_marks(old.allocated, setting.allocated),
                imported=join_marks(old.imported, setting.imported),
                imported_here=join_marks(old.imported_here, setting.imported_here),
                before=_union(old.before, setting.before),
                undisturbed=old.undisturbed and setting.undisturbed,
                conditional=old.conditional or setting.conditional,
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
    ) -> None:
        masks = tuple(sorted(held, key=repr))
        new = Selector(
            api,
            selection.shape,
            selection.indices,
            selection.count,
            span,
            reach,
            masks,
            needs,
            selection.complete,
            selection.inputs,
            tuple(sorted(also, key=repr)),
        )
        old = self.selectors.get((span, api))
        if old is not None:
            new = replace(
                new,
                indices=tuple(dict.fromkeys((*old.indices, *new.indices))),
                count=max(old.count, new.count),
                reach=max(old.reach, new.reach),
                masks=_union(old.masks, new.masks),
                needs=min(old.needs, new.needs),
                complete=old.complete and new.complete,
                inputs=tuple(dict.fromkeys((*old.inputs, *new.inputs))),
                also=_union(old.also, new.also),
            )
        self.selectors[span, api] = new

    def count_test(self, test: CountTest) -> None:
        old = self.count_tests.get(test.span)
        if old is not None:
            test = replace(
                test,
                if_true=old.if_true or test.if_true,
                if_false=old.if_false or test.if_false,
                masks=_union(old.masks, test.masks),
                reach=max(old.reach, test.reach),
            )
        self.count_tests[test.span] = test

    def outcome(self, span: Span, truth: bool, outcome: Outcome) -> None:
        """What the branch that a count test decides does."""
        test = self.count_tests.get(span)
        if test is not None:
            self.count_tests[span] = replace(
                test,
                if_true=outcome if truth else test.if_true,
                if_false=test.if_false if truth else outcome,
            )

    def call(self, call: LocalCall) -> None:
        old = self.calls.get(call.span)
        if old is not None:
            allocated = join_marks(old.allocated, call.allocated)
            call = replace(call, reach=max(call.reach, old.reach), allocated=allocated)
        self.calls[call.span] = call


def _union(one: tuple[Written, ...], other: tuple[Written, ...]) -> tuple[Written, ...]:
    return tuple(sorted({*one, *other}, key=repr))
