"""Conditions under which a branch runs, as far as they can exclude one another.

``if len(ids) > 1: …`` and then ``if len(ids) == 1: …`` are not both taken. What a test says is
kept as the text of what it is about, so that it can be recognised again.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

from gpu_lint.facts import program as p
from gpu_lint.facts.program import Constant
from gpu_lint.records import record

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_NOT = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}


@record
class Condition:
    """What a test says of something in one activation of a function."""

    frame: int
    about: str
    """The text of an expression."""
    operator: str
    """A comparison with ``value``, or ``is``: it is true, or it is not."""
    value: Constant

    def excludes(self, other: Condition) -> bool:
        """Whether the two cannot both hold, if nothing has changed in between."""
        if (self.frame, self.about) != (other.frame, other.about):
            return False
        if self.operator == other.operator == "is":
            return self.value is not other.value
        one, two = self.value, other.value
        if isinstance(one, int) and isinstance(two, int) and self.operator in COMPARISONS:
            near = {bound + step for bound in (one, two) for step in (-1, -0.5, 0, 0.5, 1)}
            return other.operator in COMPARISONS and not any(
                COMPARISONS[self.operator](number, one) and COMPARISONS[other.operator](number, two)
                for number in near
            )
        same = {self.operator, other.operator}
        if same == {"=="}:
            return type(one) is type(two) and one != two
        return same == {"==", "!="} and type(one) is type(two) and one == two


def conditions_of(
    test: p.Expression, truth: bool, frame: int, text_of: Callable[[p.Expression], str]
) -> tuple[Condition, ...]:
    """What follows from a test having come out as ``truth``."""
    if isinstance(test, p.Unary) and test.operator == "not":
        return conditions_of(test.operand, not truth, frame, text_of)
    if isinstance(test, p.Boolean):
        if truth is not (test.operator == "and"):
            return ()
        sides = (test.left, test.right)
        return tuple(c for side in sides for c in conditions_of(side, truth, frame, text_of))
    if isinstance(test, p.Comparison) and isinstance(test.right, p.Literal):
        if test.operator in _NOT:
            operator = test.operator if truth else _NOT[test.operator]
            return (Condition(frame, text_of(test.left), operator, test.right.value),)
    if isinstance(test, (p.Name, p.Attribute)):
        return (Condition(frame, text_of(test), "is", truth),)
    return ()
