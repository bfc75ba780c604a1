"""What a test decides, and how a branch gives up: questions about a program's text alone."""

from __future__ import annotations

from collections.abc import Iterator

from gpu_lint.facts import program as p
from gpu_lint.facts.model import Outcome
from gpu_lint.facts.walk import blocks, last_name

_SKIPS = frozenset({"skip", "skipTest", "SkipTest", "xfail"})
"""Names of what ends a test without a failure."""


def is_main_guard(test: p.Expression) -> bool:
    """Whether a test is ``__name__ == "__main__"``, either way round."""
    if not isinstance(test, p.Comparison) or test.operator != "==":
        return False
    sides = (test.left, test.right)
    named = any(isinstance(side, p.Name) and side.id == "__name__" for side in sides)
    return named and any(isinstance(s, p.Literal) and s.value == "__main__" for s in sides)


def deciders(test: p.Expression) -> Iterator[tuple[p.Comparison, bool, bool]]:
    """Comparisons in a test with (their truth, the truth it forces on the whole test)."""
    for decider, truth, whole in _deciders(test):
        if isinstance(decider, p.Comparison):
            yield decider, truth, whole


def deciding_calls(test: p.Expression) -> Iterator[tuple[p.Call, bool, bool]]:
    """The same of calls."""
    for decider, truth, whole in _deciders(test):
        if isinstance(decider, p.Call):
            yield decider, truth, whole


def _deciders(test: p.Expression) -> Iterator[tuple[p.Expression, bool, bool]]:
    if isinstance(test, (p.Comparison, p.Call)):
        yield test, True, True
        yield test, False, False
    elif isinstance(test, p.Unary) and test.operator == "not":
        for decider, truth, whole in _deciders(test.operand):
            yield decider, truth, not whole
    elif isinstance(test, p.Boolean):
        for operand in (test.left, test.right):
            for decider, truth, whole in _deciders(operand):
                if whole is (test.operator == "or"):
                    yield decider, truth, whole


def deciders_of_result(body: p.Block) -> Iterator[tuple[p.Comparison, bool, bool]]:
    """Comparisons in a function with (their truth, the truth it forces on what is returned)."""
    for statement in body:
        if isinstance(statement, p.Return) and statement.value is not None:
            yield from deciders(statement.value)
        elif isinstance(statement, p.If) and statement.body:
            last = statement.body[-1]
            value = last.value if isinstance(last, p.Return) else None
            if isinstance(value, p.Literal) and isinstance(value.value, bool):
                for comparison, truth, whole in deciders(statement.test):
                    if whole:
                        yield comparison, truth, value.value


def outcome_of(body: p.Block, alive: bool) -> Outcome | None:
    """How a branch gives up, if it does; ``alive`` says whether its end is reached."""
    if not body:
        return None
    last = body[-1]
    if isinstance(last, p.Raise):
        return Outcome.SKIPS if raised_name(last) in _SKIPS else Outcome.RAISES
    for statement in body:
        if isinstance(statement, p.Assign) and is_cpu(statement.value):
            return Outcome.LEAVES_GPU
        if isinstance(statement, p.Return) and statement.value and is_cpu(statement.value):
            return Outcome.LEAVES_GPU
    if isinstance(last, p.Evaluate) and isinstance(last.value, p.Call) and not alive:
        function = last.value.function
        name = function.name if isinstance(function, p.Attribute) else ""
        return Outcome.SKIPS if name in _SKIPS else Outcome.EXITS
    return None


def raised_name(node: p.Raise) -> str:
    """The name of what is raised; empty if it cannot be told."""
    raised = node.values[0] if node.values else None
    if isinstance(raised, p.Call):
        raised = raised.function
    return last_name(raised) if raised is not None else ""


def may_leave(body: p.Block, *, inner: bool = False) -> bool:
    """Whether the body of a loop, or of an ``inner`` one, has what may end it, a ``return`` or a
    ``break`` of its own."""
    for statement in body:
        if isinstance(statement, p.Return):
            return True
        if isinstance(statement, p.Jump) and statement.kind == "break" and not inner:
            return True
        if not isinstance(statement, (p.Function, p.Class)):
            is_loop = isinstance(statement, (p.For, p.While))
            if any(may_leave(block, inner=inner or is_loop) for block in blocks(statement)):
                return True
    return False


def is_cpu(node: p.Expression) -> bool:
    """Whether an expression is the device ``cpu``."""
    return _device_text(node) == "cpu"


def is_cuda(node: p.Expression) -> bool:
    """Whether an expression is a device such as ``cuda`` or ``cuda:0``."""
    return _device_text(node).partition(":")[0] == "cuda"


def _device_text(node: p.Expression) -> str:
    if isinstance(node, p.Call) and node.arguments:
        node = node.arguments[0].value
    return node.value if isinstance(node, p.Literal) and isinstance(node.value, str) else ""
