"""Branches and loops: paths part where a test is not decided, and meet behind it."""

from __future__ import annotations

from abc import abstractmethod
from itertools import count

from gpu_lint.facts import program as p
from gpu_lint.facts.conditions import Condition, conditions_of
from gpu_lint.facts.evaluation import MOST_ITEMS
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.model import Certainty, CountTest, Fallback, Mark, Outcome, in_order
from gpu_lint.facts.modules import Modules
from gpu_lint.facts.operations import one_of
from gpu_lint.facts.outcomes import (
    deciders,
    deciders_of_result,
    deciding_calls,
    is_cpu,
    is_cuda,
    is_main_guard,
    may_leave,
    outcome_of,
)
from gpu_lint.facts.refinement import VISIBLE
from gpu_lint.facts.values import UNKNOWN, FunctionValue, Items, Known, Symbol, Value
from gpu_lint.facts.world import World

_AVAILABLE = (Symbol("torch.cuda.is_available"), Symbol("torch.accelerator.is_available"))


class Branches(Modules):
    """Runs the arms of tests and the bodies of loops, and notes what they say of a GPU."""

    _decides: bool
    """Something is set in the process, perhaps."""
    _is_program: bool
    """The file runs as the program, not as an import of it."""
    imported_end: Flow | None
    """The state that importing the file leaves."""

    def __init__(self, world: World, file: str, *, follow_imports: bool) -> None:
        super().__init__(world, file, follow_imports=follow_imports)
        self._times = 1
        self._loops = 0
        """How many loops execution is in."""

    @abstractmethod
    def bind(self, name: str, value: Value, flow: Flow) -> None:
        """Bind a name where execution is."""

    @property
    @abstractmethod
    def is_tried(self) -> bool:
        """Whether a handler around execution catches what is raised now."""

    def _if(self, node: p.If, flow: Flow) -> None:
        if not self._running and self._class_depth == 0 and is_main_guard(node.test):
            if self._is_program and self.file == self.start:
                if self.imported_end is None:
                    self.imported_end = flow.copy()
                self.block(node.body, flow)
            else:
                self.block(node.orelse, flow)
            return
        truth = self.truth(node.test, flow)
        if not flow.alive:
            return
        other = flow.copy()
        needs = flow.needs
        outer = self.conditions
        self._branches += 1
        if truth is not False:
            self.refine(node.test, True, flow)
            self.conditions = (*outer, *self._conditions_of(node.test, True))
            self.block(node.body, flow)
            self._note_outcome(node.test, True, node.body, flow)
        else:
            flow.alive = False
        if truth is not True:
            self.refine(node.test, False, other)
            self.conditions = (*outer, *self._conditions_of(node.test, False))
            self.block(node.orelse, other)
            self._note_outcome(node.test, False, node.orelse, other)
        else:
            other.alive = False
        self._branches -= 1
        self.conditions = outer
        if not (_leaves_in_peace(node.body, flow) or _leaves_in_peace(node.orelse, other)):
            flow.needs = other.needs = needs
        flow.join(other)

    def _conditions_of(self, test: p.Expression, truth: bool) -> tuple[Condition, ...]:
        reading = self.world.reading(self.file)
        if reading is None or not self._decides or self._loops:
            return ()  # in a loop, what excludes one another may happen one after the other
        source = reading.source
        return conditions_of(test, truth, self.scopes[-1], lambda e: source.slice(e.span))

    def _excluded(self, mark: Mark) -> bool:
        """Whether what perhaps happened did so in a branch that excludes where execution is."""
        return mark.certainty is Certainty.MAYBE and any(
            one.excludes(other)
            for one in (mark.trigger.under if mark.trigger is not None else ())
            for other in self.conditions
        )

    def _note_outcome(self, test: p.Expression, truth: bool, body: p.Block, flow: Flow) -> None:
        outcome = outcome_of(body, flow.alive)
        if outcome is not None:
            self.note_outcome(test, truth, outcome, flow)

    def note_outcome(self, test: p.Expression, truth: bool, outcome: Outcome, flow: Flow) -> None:
        """Note what follows from a test having come out as ``truth``, for the numbers of devices
        that decide it, also in a function of the project that it calls."""
        for comparison, decided, whole in deciders(test):
            if whole is truth:
                self.recorder.outcome(comparison.span, decided, outcome)
        for call, returned, whole in deciding_calls(test):
            function = self.evaluate(call.function, flow.copy()) if whole is truth else None
            found = self.function(function.key) if isinstance(function, FunctionValue) else None
            if found is not None and isinstance(found.node, p.Function):
                recorder = self.recorder_of(found.file)
                body = found.node.body if recorder.count_tests else ()
                for comparison, decided, result in deciders_of_result(body):
                    if result is returned:
                        recorder.outcome(comparison.span, decided, outcome)

    def machine_test(self, node: p.Comparison, on_one: bool) -> None:
        self.recorder.machine_test(node.span, on_one)

    def count_test(self, node: p.Comparison, operator: str, number: int, flow: Flow) -> None:
        masks = in_order(flow.masks())
        self.recorder.count_test(
            CountTest(node.span, operator, number, None, None, masks, self.reach, self.is_tried)
        )

    def note_choice(self, node: p.Conditional, flow: Flow) -> None:
        for truth, arm in ((True, node.body), (False, node.orelse)):
            if is_cpu(arm):
                for comparison, decided, whole in deciders(node.test):
                    if whole is truth:
                        self.recorder.outcome(comparison.span, decided, Outcome.LEAVES_GPU)
        test, body, orelse = node.test, node.body, node.orelse
        if isinstance(test, p.Unary) and test.operator == "not":
            test, body, orelse = test.operand, orelse, body
        if isinstance(test, p.Call) and is_cpu(orelse) and is_cuda(body):
            if self.evaluate(test.function, flow.copy()) in _AVAILABLE:
                self.recorder.fallback(Fallback(node.span, body.span))

    def _match(self, node: p.Match, flow: Flow) -> None:
        subject = self.evaluate(node.subject, flow)
        for name in node.captures:
            self.bind(name, UNKNOWN, flow)
        paths: list[Flow] = []
        needs, taken = flow.needs, set[p.Constant]()
        in_peace = settled = False
        self._branches += 1
        for block, pattern in zip(node.cases, node.patterns, strict=True):
            if isinstance(subject, Known) and pattern.constants:
                if not any(_is_same(subject.value, one) for one in pattern.constants):
                    continue
                settled = pattern.guard is None
            path = flow.copy()
            if subject == VISIBLE:
                path.needs = max(needs, _least_of(pattern.constants, taken))
            if pattern.name:
                self.bind(pattern.name, subject, path)
            if pattern.guard is None:
                taken.update(pattern.constants)
            elif self.truth(pattern.guard, path) is False:
                continue
            else:
                self.refine(pattern.guard, True, path)
            self.block(block, path)
            in_peace |= _leaves_in_peace(block, path)
            paths.append(path)
            if settled:
                break
        self._branches -= 1
        for path in () if in_peace else paths:
            path.needs = needs
        flow.alive = not (node.exhaustive or settled)
        flow.join_all(paths)

    def _for(self, node: p.For, flow: Flow) -> None:
        iterable = self.evaluate(node.iterable, flow)
        items = self.iterate(iterable, flow)
        broken: list[Flow] = []
        perhaps = isinstance(iterable, Items) and iterable.kind == "some"
        if items is None or perhaps or not self.may_repeat(len(items)):
            skipped = flow.copy()
            self.assign_names(node.target, one_of(items or ()), flow)
            broken += self._pass(node.body, flow)
            if not items or perhaps:
                flow.join(skipped)
        else:
            with self.repeating(len(items)):
                for item in items:
                    if flow.alive:
                        self.assign_names(node.target, item, flow)
                        broken += self._pass(node.body, flow)
        self._after_loop(node.orelse, broken, flow)

    def _while(self, node: p.While, flow: Flow) -> None:
        broken: list[Flow] = []
        forever = isinstance(node.test, p.Literal) and bool(node.test.value)
        leaves = not forever or may_leave(node.body)
        times = MOST_ITEMS if leaves and self.may_repeat(MOST_ITEMS) else 1
        returned = len(self._frame.returns)
        with self.repeating(times):
            for _ in range(times):
                truth = self.truth(node.test, flow)
                if truth is False or not flow.alive:
                    break
                if forever and (broken or len(self._frame.returns) > returned):
                    break
                skipped = flow.copy()
                self.refine(node.test, True, flow)
                broken += self._pass(node.body, flow)
                if truth is None:
                    flow.join(skipped)
                    break
        if forever and (not leaves or broken or len(self._frame.returns) > returned):
            flow.alive = False  # else it ends later than it is followed
        self._after_loop(node.orelse, broken, flow)

    def _pass(self, body: p.Block, flow: Flow) -> list[Flow]:
        """One pass through a loop's body; the paths that leave the loop in it."""
        self._frame.breaks.append([])
        self._frame.continues.append([])
        self._loops += 1
        self._branches += 1
        self.block(body, flow)
        self._branches -= 1
        self._loops -= 1
        flow.join_all(self._frame.continues.pop())
        return self._frame.breaks.pop()

    def _after_loop(self, orelse: p.Block, broken: list[Flow], flow: Flow) -> None:
        self._branches += 1
        self.block(orelse, flow)
        self._branches -= 1
        flow.join_all(broken)


def _least_of(constants: tuple[p.Constant, ...], taken: set[p.Constant]) -> int:
    """How many devices there are at least where their number is one of some constants, or, without
    any, none of those that earlier cases have taken."""
    numbers = [one for one in constants if isinstance(one, int)]
    return min(numbers, default=0) or next(n for n in count(1) if n not in taken)


def _leaves_in_peace(block: p.Block, end: Flow) -> bool:
    """Whether a block ends with a ``return``, goes on with its loop or skips a test: where the
    number of devices decides that, what comes behind fits it. What raises demands that number
    instead."""
    if not block:
        return False
    is_left = isinstance(block[-1], (p.Return, p.Jump))
    return is_left or outcome_of(block, end.alive) is Outcome.SKIPS


def _is_same(one: object, other: object) -> bool:
    """Whether a pattern takes a constant: ``1`` is not ``True``."""
    return type(one) is type(other) and one == other
