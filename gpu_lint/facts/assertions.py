"""What a program's tests expect: the values in its assertions, each with the function around it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gpu_lint.facts import program as p
from gpu_lint.facts.walk import expressions, last_name, own_expressions, statements, subexpressions
from gpu_lint.records import record
from gpu_lint.source import Span

_OF_A_DEVICE = re.compile(r"device|gpu|cuda|rank|index|ordinal", re.IGNORECASE)
"""What names in an assertion say where a number in it may be that of a device."""


@record
class Assertion:
    """An ``assert`` statement, a call such as ``self.assertEqual(…)``, or a ``with`` statement
    such as ``with pytest.raises(…)``."""

    span: Span
    function: Span | None
    """The innermost function around it; None at module level."""
    texts: frozenset[str]
    numbers: frozenset[int]
    """Only where it is about a device."""

    def expects(self, value: str | int) -> bool:
        """Whether it mentions a value: a text, or a number that may be a device's."""
        return value in (self.texts if isinstance(value, str) else self.numbers)


def assertions(program: p.Program, functions: Sequence[Span]) -> Iterator[Assertion]:
    """Yield the assertions of a program, in source order; ``functions`` are where all of its
    functions stand."""
    for statement in statements(program.body):
        if isinstance(statement, p.Assert):
            yield _assertion(statement.span, (statement.test,), functions)
        elif isinstance(statement, p.With) and any(_expects(item) for item, _ in statement.items):
            yield _assertion(statement.span, tuple(expressions(statement.body)), functions)
        else:
            for node in own_expressions(statement):
                for found in subexpressions(node):
                    if isinstance(found, p.Call) and last_name(found.function).startswith("assert"):
                        arguments = tuple(argument.value for argument in found.arguments)
                        yield _assertion(found.span, arguments, functions)


def _expects(manager: p.Expression) -> bool:
    """Whether a context manager expects its body to fail."""
    name = last_name(manager.function) if isinstance(manager, p.Call) else ""
    return name == "raises" or name.startswith("assert")


def function_around(span: Span, functions: Sequence[Span]) -> Span | None:
    """Return the innermost of some functions that holds a span."""
    around = [one for one in functions if one.start <= span.start and span.end <= one.end]
    return max(around, key=lambda one: one.start, default=None)


def _assertion(
    span: Span, tested: tuple[p.Expression, ...], functions: Sequence[Span]
) -> Assertion:
    nodes = [node for expression in tested for node in subexpressions(expression)]
    values = [node.value for node in nodes if isinstance(node, p.Literal)]
    names = [last_name(node) for node in nodes if isinstance(node, (p.Name, p.Attribute))]
    about_device = any(map(_OF_A_DEVICE.search, names))
    return Assertion(
        span,
        function_around(span, functions),
        frozenset(value for value in values if isinstance(value, str)),
        frozenset(value for value in values if type(value) is int and about_device),
    )
