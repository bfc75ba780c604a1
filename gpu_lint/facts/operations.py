"""Operators on values that are known: arithmetic, comparisons, truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpu_lint.facts import program as p
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.kinds import formatted
from gpu_lint.facts.values import (
    ANOTHER_NAME,
    UNCOUNTED,
    UNKNOWN,
    ClassValue,
    FunctionValue,
    Items,
    Known,
    ModuleValue,
    Pairs,
    Symbol,
    Text,
    Value,
    alternatives,
    any_of,
    concatenate,
    number,
    text_of,
)
from gpu_lint.variables import ALIASES, HEADER_VARIABLES

_DECIDING = frozenset((*HEADER_VARIABLES, *ALIASES))
_TYPE_CHECKING = frozenset({"typing.TYPE_CHECKING", "typing_extensions.TYPE_CHECKING"})
_ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}
_NEGATED = {"<": ">=", ">": "<=", "<=": ">", ">=": "<", "==": "!=", "!=": "=="}


def substitute(template: str, values: tuple[Value, ...]) -> Value:
    """``template % values`` for plain ``%s`` and ``%d``."""
    pieces = template.replace("%d", "%s").split("%s")
    if len(pieces) != len(values) + 1 or any("%" in piece for piece in pieces):
        return UNKNOWN
    parts: list[Value] = [Known(pieces[0])]
    for value, piece in zip(values, pieces[1:], strict=True):
        parts += [formatted(value), Known(piece)]
    return concatenate(parts)


def arithmetic(left: Known, operator: str, right: Known) -> Value:
    """``left operator right`` of two constants."""
    one, two = left.value, right.value
    if isinstance(one, int) and isinstance(two, int):
        if operator == "+":
            return number(one + two)
        if operator == "-":
            return number(one - two)
        if operator == "*":
            return Known(one * two) if abs(one) < 10**6 and abs(two) < 10**6 else UNKNOWN
        if operator == "%" and two:
            return Known(one % two)
        if operator == "//" and two:
            return Known(one // two)
    if operator == "%" and isinstance(one, str):
        return substitute(one, (right,))
    return UNKNOWN


def one_of(items: tuple[Value, ...]) -> Value:
    """Any one item of several. Of too many to be told apart, part by part, the name of a variable
    is still known not to be one that decides about GPUs, where it is none of theirs."""
    whole = any_of(items)
    if whole != UNKNOWN or not items:
        return whole
    first = items[0]
    if isinstance(first, Items) and first.kind == "tuple":
        rows = [item.values for item in items if isinstance(item, Items) and item.kind == "tuple"]
        if len(rows) == len(items) and {len(row) for row in rows} == {len(first.values)}:
            return Items("tuple", tuple(map(one_of, zip(*rows, strict=True))))
    names = [text_of(item) for item in items]
    if all(name is not None and name.isidentifier() and name not in _DECIDING for name in names):
        return ANOTHER_NAME
    return UNKNOWN


def may_be_text(value: Value) -> bool:
    """Whether a value may be a string, as far as that is known."""
    return any(isinstance(v, Text) or text_of(v) is not None for v in alternatives(value))


def truth_of(value: Value) -> bool | None:
    """Whether a value is true; None where only the run will tell."""
    if isinstance(value, Known):
        return bool(value.value)
    if isinstance(value, Symbol) and value.name in _TYPE_CHECKING:
        return False
    if isinstance(value, (FunctionValue, ClassValue, ModuleValue)):
        return True
    if isinstance(value, Items):
        return bool(value.values)
    if isinstance(value, Pairs):
        if any(isinstance(key, Known) for key, _ in value.entries):
            return True
        return False if value.is_listed else None
    return None


def compared(one: p.Constant, operator: str, other: p.Constant) -> Value:
    """``one operator other``."""
    if operator in ("==", "is"):
        return Known(one == other)
    if operator in ("!=", "is not"):
        return Known(one != other)
    if isinstance(one, str) and isinstance(other, str) and operator in ("in", "not in"):
        return Known((one in other) == (operator == "in"))
    compare = _ORDERINGS.get(operator)
    numbers = isinstance(one, (int, float)) and isinstance(other, (int, float))
    if compare is not None and (numbers or (isinstance(one, str) and isinstance(other, str))):
        return Known(compare(one, other))
    return UNKNOWN


def contained(operator: str, left: Known, right: Items | Pairs) -> Value:
    """``left in right``, or ``not in``."""
    if isinstance(right, Pairs) and right.open and right.get(left.value) == Known(None):
        return Known(operator == "not in")
    held = right.values if isinstance(right, Items) else tuple(key for key, _ in right.entries)
    if operator not in ("in", "not in"):
        return UNKNOWN
    if isinstance(right, Items) and right.kind in UNCOUNTED:
        return UNKNOWN
    if any(isinstance(item, Known) and item.value == left.value for item in held):
        return Known(operator == "in")
    complete = isinstance(right, Items) or not right.open
    if complete and all(isinstance(item, Known) for item in held):
        return Known(operator == "not in")
    return UNKNOWN


def membership(operator: str, variable: str | None, flow: Flow) -> Value:
    """``variable in os.environ``, or ``not in``."""
    if variable is None or operator not in ("in", "not in"):
        return UNKNOWN
    if all(written.value is not None for written in flow.holds(variable)):
        return Known(operator == "in")
    return UNKNOWN


def least_count(operator: str, number: int, truth: bool) -> int:
    """The least device count for which ``count <operator> number`` has this truth; none at all does
    not count, as no device can be used then."""
    if not truth:
        operator = _NEGATED.get(operator, "?")
    if operator == ">" or (operator == "!=" and number == 1):
        return number + 1
    return number if operator in (">=", "==") else 0
