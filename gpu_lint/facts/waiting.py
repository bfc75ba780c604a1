"""Coroutines: they run where they are awaited, and as tasks at the next ``await``."""

from __future__ import annotations

from gpu_lint.facts import program as p
from gpu_lint.facts.effects import RUNNERS
from gpu_lint.facts.environment import Arguments
from gpu_lint.facts.evaluation import PROCESS
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.parameters import Parameters
from gpu_lint.facts.values import (
    UNKNOWN,
    AnyOf,
    Bound,
    FunctionValue,
    Items,
    Returned,
    Symbol,
    Value,
    alternatives,
    any_of,
)

_SCHEDULING = "asyncio."
"""What the names of functions begin with that let a coroutine run at the next ``await``."""
_STARTING = "start_soon"
"""The method of a group that is given a coroutine function, and what to call it with."""
_SCHEDULING_METHODS = frozenset({"create_task", "ensure_future", _STARTING})
_TASK_GROUPS = frozenset({"anyio.create_task_group", "asyncio.TaskGroup", "trio.open_nursery"})
_HOLDING = frozenset({AnyOf, Bound, Items})
"""Types of values that may wait, or hold such a one."""
_TASKS = "tasks"
"""In the frame of the process, the coroutines that wait for the next ``await``."""


class Waiting(Parameters):
    """Runs coroutines where they are awaited, and not where they are made."""

    def awaited(self, node: p.Await, flow: Flow) -> Value:
        value = self.evaluate(node.value, flow)
        if any(_is_coroutine(single) for single in alternatives(value)):
            return self.run_coroutine(value, flow)
        self.run_tasks(flow)
        return UNKNOWN

    def run_coroutine(self, value: Value, flow: Flow) -> Value:
        """Run a coroutine, or each that a value may be; what it returns."""
        several = alternatives(value)
        if len(several) == 1:
            return self._run_one(value, flow)
        results = []
        before = flow.copy()
        flow.alive = False
        for single in several:
            path = before.copy()
            results.append(self._run_one(single, path))
            flow.join(path)
        return any_of(results)

    def _run_one(self, value: Value, flow: Flow) -> Value:
        if isinstance(value, Bound) and _is_coroutine(value):
            callee, args = value.callee, value.arguments
            if isinstance(callee, FunctionValue) and isinstance(args, Arguments):
                return self.enter(callee, args, flow, self.statement.span, resumed=True)
        return UNKNOWN

    def take_waiting(self, callee: Value, node: p.Call, args: Arguments, flow: Flow) -> None:
        """Run what something outside the project is given that waits to be run, such as ``map()``;
        coroutines may wait for the next ``await``."""
        method = node.function.name if isinstance(node.function, p.Attribute) else ""
        given = [value for _, value in args.positional if type(value) in _HOLDING]
        if method == _STARTING and args.positional:
            function, rest = args.positional[0][1], Arguments(args.positional[1:])
            if isinstance(function, FunctionValue):
                given = [self.call_value(function, node, rest, flow)]
        if args.keywords:
            given += [value for _, value in args.keywords.values() if type(value) in _HOLDING]
        if not given:
            return
        waiting = [
            single
            for value in given
            for held in (value.values if isinstance(value, Items) else (value,))
            for single in alternatives(held)
            if isinstance(single, Bound)
        ]
        for one in waiting:
            if one.kind == "map":
                self.iterate(one, flow)
        found = [one for one in waiting if _is_coroutine(one)]
        if not found:
            return
        name = callee.name if isinstance(callee, Symbol) else ""
        if name in RUNNERS:
            return
        waits = name.startswith(_SCHEDULING)
        if waits or method in _SCHEDULING_METHODS:
            flow.bind(PROCESS, _TASKS, Items("list", (*self._tasks(flow), *found)))
            return
        for coroutine in found:
            self._run_one(coroutine, flow)

    def _tasks(self, flow: Flow) -> tuple[Value, ...]:
        """The coroutines that wait, on any of the ways to here."""
        held = flow.get(PROCESS, _TASKS)
        several = alternatives(held) if held is not None else ()
        found = (one for held in several if isinstance(held, Items) for one in held.values)
        return tuple({id(one): one for one in found}.values())

    def run_tasks(self, flow: Flow) -> None:
        """Run the coroutines that wait, each of them perhaps where only some ways started it."""
        held = flow.get(PROCESS, _TASKS)
        tasks = self._tasks(flow)
        if not tasks:
            return
        flow.bind(PROCESS, _TASKS, Items("list", ()))
        for task in tasks:
            surely = isinstance(held, Items)
            skipped = None if surely else flow.copy()
            self._run_one(task, flow)
            if skipped is not None:
                flow.join(skipped)


def is_task_group(value: Value) -> bool:
    """Whether a context manager waits, where it is left, for the tasks that it was given."""
    return isinstance(value, Returned) and value.symbol in _TASK_GROUPS


def _is_coroutine(value: Value) -> bool:
    return isinstance(value, Bound) and value.kind == "coroutine"
