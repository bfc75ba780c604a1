"""Exceptions: where they go, and what has happened until then."""

from __future__ import annotations

import builtins
from abc import abstractmethod
from dataclasses import dataclass, field

from gpu_lint.facts import program as p
from gpu_lint.facts.branches import Branches
from gpu_lint.facts.calls import Frame
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.model import Certainty, Mark
from gpu_lint.facts.outcomes import is_cpu, is_cuda
from gpu_lint.facts.values import UNKNOWN
from gpu_lint.facts.walk import expressions, last_name, subexpressions
from gpu_lint.facts.world import World

_MODULE_MISSING = frozenset({"ImportError", "ModuleNotFoundError"})
_DEVICE_MISSING = frozenset({"RuntimeError", "AssertionError", "AcceleratorError"})
"""What PyTorch raises where it is given a device that does not exist."""
_TELLING = frozenset({"print", "debug", "info", "warning", "warn", "error", "exception", "log"})
_TIMES_OF_FINALLY = 8
"""As how often a ``finally`` that is run on several ways counts among the loops around; with more,
it is run once, for all ways together."""
_MODULE_VANISHES = _MODULE_MISSING | {"Exception", "BaseException"}


@dataclass(eq=False)
class _Attempt:
    """A ``try`` that is running: what was raised inside it, by the handler that will have it."""

    node: p.Try
    frame: Frame
    caught: list[list[Flow]]
    leaving: list[tuple[str, Flow]] = field(default_factory=list)
    """What no handler takes; it goes on behind ``finally``."""

    @property
    def expects_missing(self) -> bool:
        """Whether it handles modules that are missing."""
        types = {name for handler in self.node.handlers for name in handler.types}
        return bool(_MODULE_MISSING & types)

    @property
    def is_probe(self) -> bool:
        """Whether it handles a device that does not exist: by another device, or by noting that
        there is none. What falls back to the CPU has lost its GPU instead."""
        return any(
            bool(_DEVICE_MISSING.intersection(map(_last, handler.types)))
            and not all(map(_only_tells, handler.body))
            and all(_only_tells(one) or _expects_none(one) for one in handler.body)
            for handler in self.node.handlers
        )

    def handler_of(self, raised: str) -> int | None:
        """The handler that an exception goes to."""
        for number, handler in enumerate(self.node.handlers):
            if not handler.types or any(_catches(name, raised) for name in handler.types):
                return number
        return None


class Attempts(Branches):
    """Runs ``try`` statements, and ends paths by what is raised on them."""

    def __init__(self, world: World, file: str, *, follow_imports: bool) -> None:
        super().__init__(world, file, follow_imports=follow_imports)
        self._attempts: list[_Attempt] = []

    @abstractmethod
    def execute(self, node: p.Statement, flow: Flow) -> None:
        """Run one statement."""

    @abstractmethod
    def leave(self, raised: str, flow: Flow) -> None:
        """A path ends the program by an exception."""

    @property
    def attempts(self) -> int:
        return len(self._attempts)

    @property
    def is_tried(self) -> bool:
        return any(one.handler_of("RuntimeError") is not None for one in self._attempts)

    @property
    def is_probed(self) -> bool:
        here = [one for one in self._attempts if one.frame is self._frame]
        return any(one.is_probe for one in here)

    @property
    def expects_missing(self) -> bool:
        return bool(self._attempts) and self._attempts[-1].expects_missing

    def end_path(self, raised: str, flow: Flow) -> None:
        left = flow.copy()
        flow.alive = False
        for depth in range(len(self._attempts) - 1, -1, -1):
            attempt = self._attempts[depth]
            number = attempt.handler_of(raised)
            if number is None and not attempt.node.finalbody:
                continue
            self.leaves_parts(raised, left, depth)
            if number is not None:
                attempt.caught[number].append(left)
            else:
                attempt.leaving.append((raised, left))
            return
        self.leave(raised, left)

    def may_be_missing(self) -> None:
        """Without the library nothing of it reaches a GPU, so only a ``try`` right around the
        import, or one that expects this, is taken to see it fail."""
        if self._attempts:
            attempt = self._attempts[-1]
            if attempt.frame is self._frame or attempt.expects_missing:
                self.missing = True

    def _try(self, node: p.Try, flow: Flow) -> None:
        before, outer = flow.copy(), (self.fallible, self.failing, self.missing)
        failed: Flow = flow.copy()
        failed.alive = unexpected = uninstalled = False
        joined = False
        """The state between two statements is among those in which one has failed."""
        attempt = _Attempt(node, self._frame, [[] for _ in node.handlers])
        self._attempts.append(attempt)
        self._branches += 1
        for statement in node.body:
            if not flow.alive:
                break
            start = None if joined else flow.copy()
            self.fallible = self.failing = self.missing = False
            self.execute(statement, flow)
            if start is not None and (self.fallible or self.missing):
                failed.join(start)
            joined = self.fallible or self.failing
            if joined:
                failed.join(flow.copy())
            unexpected = unexpected or self.fallible
            uninstalled = uninstalled or self.missing
        self._attempts.pop()
        self.fallible = outer[0] or (unexpected and not _catches_all(node))
        self.failing = outer[1]
        self.missing = outer[2] or (uninstalled and attempt.handler_of("ImportError") is None)
        rest = p.Try(node.span, (), (), (), node.finalbody)
        self._attempts.append(_Attempt(rest, self._frame, []))
        self.block(node.orelse, flow)
        for number, handler in enumerate(node.handlers):
            self._handle(handler, attempt.caught[number], failed, flow, node)
        leaving = attempt.leaving + self._attempts.pop().leaving
        self._branches -= 1
        if node.finalbody:
            self._finally(node, flow, failed if failed.alive else before, leaving)

    def _handle(
        self, handler: p.Handler, caught: list[Flow], failed: Flow, flow: Flow, node: p.Try
    ) -> None:
        path = failed.copy()
        path.join_all(caught)
        if not path.alive:
            return
        if handler.bound:
            self.bind(handler.bound, UNKNOWN, path)
        if "KeyError" in handler.types:
            path.unset |= _variables_in(node.body)
        self.block(handler.body, path)
        missing = bool(handler.types) and _MODULE_MISSING.issuperset(handler.types)
        vanished = not handler.types or bool(_MODULE_VANISHES.intersection(handler.types))
        if missing and not caught and flow.alive and path.alive:
            # Without the framework nothing on this path can have reached a GPU.
            for name in ("frozen", "allocated"):
                setattr(path, name, max(getattr(path, name), getattr(flow, name), key=_certainty))
            path.visible |= flow.visible
            path.ordered |= flow.ordered
        flow.join(path, sticky_imports=vanished)

    def _finally(
        self, node: p.Try, flow: Flow, failed: Flow, leaving: list[tuple[str, Flow]]
    ) -> None:
        exits: dict[str, Flow] = {}
        for raised, left in leaving:
            if raised in exits:
                exits[raised].join(left)
            else:
                exits[raised] = left
        if exits and not self.may_repeat(_TIMES_OF_FINALLY):
            goes_on = flow.alive
            flow.join_all(list(exits.values()))
            self.block(node.finalbody, flow)
            if flow.alive:
                for raised in exits:
                    self.end_path(raised, flow.copy())
                flow.alive = goes_on
            return
        with self.repeating(_TIMES_OF_FINALLY):
            for raised, left in exits.items():
                self.block(node.finalbody, left)
                if left.alive:
                    self.end_path(raised, left)
        if flow.alive:
            self.block(node.finalbody, flow)
        elif not leaving:
            self.block(node.finalbody, failed.copy())


def _variables_in(body: p.Block) -> frozenset[str]:
    """Constant keys of the subscripts in a block: what a ``KeyError`` there says is unset."""
    return frozenset(
        node.key.value
        for node in expressions(body)
        if isinstance(node, p.Subscript)
        and isinstance(node.key, p.Literal)
        and isinstance(node.key.value, str)
    )


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _only_tells(statement: p.Statement) -> bool:
    """Whether a statement prints or logs something, and no more."""
    call = statement.value if isinstance(statement, p.Evaluate) else None
    return isinstance(call, p.Call) and last_name(call.function) in _TELLING


def _expects_none(statement: p.Statement) -> bool:
    """Whether a statement goes on where a device does not exist, and not on the CPU."""
    match statement:
        case p.Pass() | p.Jump() | p.Return(value=None):
            return True
        case p.Assign(value=value) | p.Return(value=p.Literal() | p.Call() as value):
            pass
        case p.Evaluate(value=value):
            pass
        case _:
            return False
    if isinstance(value, p.Literal):
        return not is_cpu(value)
    return isinstance(value, p.Call) and any(
        last_name(node) == "set_device" or is_cuda(node) for node in subexpressions(value)
    )


def _catches(handler: str, raised: str) -> bool:
    """Whether ``except handler`` takes an exception of a name; an unknown one it does."""
    name = _last(handler)
    if raised in ("", name):
        return True
    one, other = getattr(builtins, name, None), getattr(builtins, raised, None)
    if isinstance(one, type) and isinstance(other, type):
        return issubclass(other, one)
    return name in ("Exception", "BaseException")


def _catches_all(node: p.Try) -> bool:
    return any(
        not handler.types or {"Exception", "BaseException"}.intersection(handler.types)
        for handler in node.handlers
    )


def _certainty(mark: Mark) -> Certainty:
    return mark.certainty
