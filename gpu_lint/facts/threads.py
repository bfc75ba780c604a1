"""Threads: what one is given runs in this process, where it is started.

A thread that does not end leaves the state as it was; of one that does, all is done at its start.
"""

from __future__ import annotations

from abc import abstractmethod

from gpu_lint.facts import program as p
from gpu_lint.facts.children import HANDING
from gpu_lint.facts.environment import Arguments
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.processes import Processes, arguments_in, given_to
from gpu_lint.facts.values import (
    Bound,
    FunctionValue,
    Instance,
    Key,
    Known,
    Returned,
    Value,
)

_THREAD = "thread"
"""The kind of a :class:`Bound` that is a thread which has not been started."""
_POOLS = frozenset(
    {"concurrent.futures.ThreadPoolExecutor", "concurrent.futures.thread.ThreadPoolExecutor",
     "multiprocessing.pool.ThreadPool", "multiprocessing.dummy.Pool"}
)  # fmt: skip


class Threads(Processes):
    """Runs what threads are given."""

    @abstractmethod
    def call_value(self, callee: Value, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """Call a value with arguments that are evaluated already."""

    @abstractmethod
    def foreign_bases(self, key: Key) -> frozenset[str]:
        """The last names of what a class of the project inherits from outside the project."""

    def thread_call(self, name: str, node: p.Call, args: Arguments, flow: Flow) -> Value | None:
        """What a call gives that makes a thread, or runs a function in one; None for others."""
        if name == "threading.Thread":
            return _thread(args.value(1, "target"), given_to(args))
        if name == "threading.Timer":
            found = args.find(2, "args")
            given = Arguments() if found is None else arguments_in(found)
            return _thread(args.value(1, "function"), given)
        if name == "asyncio.to_thread" and args.positional:
            rest = Arguments(args.positional[1:], args.keywords, args.exact)
            return self._run_thread(args.positional[0][1], node, rest, flow)
        return None

    def thread_method(
        self, receiver: Value, name: str, node: p.Call, args: Arguments, flow: Flow
    ) -> Value | None:
        """What a method gives that starts a thread, or has a pool call a function; None for
        others."""
        if isinstance(receiver, Bound) and receiver.kind == _THREAD and name in ("start", "run"):
            given = receiver.arguments
            assert isinstance(given, Arguments)
            return self._run_thread(receiver.callee, node, given, flow)
        if isinstance(receiver, Instance) and name == "start":
            if "Thread" in self.foreign_bases(receiver.cls):
                run = self.attribute_of(receiver, "run", flow)
                return self._run_thread(run, node, Arguments(), flow)
        if name == "run_in_executor" and len(args.positional) > 1:
            rest = Arguments(args.positional[2:], args.keywords, args.exact)
            return self._run_thread(args.positional[1][1], node, rest, flow)
        if isinstance(receiver, Returned) and receiver.symbol in _POOLS and name in HANDING:
            if args.positional and isinstance(args.positional[0][1], FunctionValue):
                for call in self.calls_of(name, args, flow):
                    self._run_thread(args.positional[0][1], node, call, flow)
        return None

    def _run_thread(
        self, target: Value, node: p.Call, args: Arguments | None, flow: Flow
    ) -> Value | None:
        """Call a function of the project in a thread; None for any other."""
        if not isinstance(target, FunctionValue):
            return None
        path = flow.copy()
        self.call_value(target, node, args or Arguments(exact=False), path)
        if path.alive:
            flow.become(path)
        return Known(None)


def _thread(target: Value | None, given: Arguments | None) -> Bound | None:
    if not isinstance(target, FunctionValue):
        return None
    return Bound(_THREAD, target, given or Arguments(exact=False))
