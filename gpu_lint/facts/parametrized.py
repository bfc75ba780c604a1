"""What pytest gives to a test: the values of ``parametrize``."""

from __future__ import annotations

from collections.abc import Iterable

from gpu_lint.facts.environment import Arguments
from gpu_lint.facts.values import UNKNOWN, Bound, Items, Value, any_of, text_of

PARAMETRIZE = "pytest.mark.parametrize"
"""The mark, and the kind of a :class:`Bound` that it gives: names, and values for them."""
_CASE = "pytest.param"


def case_of(name: str, args: Arguments) -> Value | None:
    """Return the values of one case, as a call by a dotted name describes it, unless a mark may
    skip it; None for any other call."""
    if name != _CASE or not args.exact or "marks" in args.keywords or not args.positional:
        return None
    values = args.values
    return values[0] if len(values) == 1 else Items("tuple", values)


def parametrized_by(name: str, args: Arguments) -> Bound | None:
    """Return what a call by a dotted name says that a test is given; None where it is no such mark,
    or fixtures get the values."""
    names = args.value(0, "argnames")
    if name != PARAMETRIZE or names is None or args.value(2, "indirect") is not None:
        return None
    return Bound(PARAMETRIZE, names, args.value(1, "argvalues") or UNKNOWN)


def values_given(marks: Iterable[Value]) -> dict[str, Value]:
    """Return what a test is given by its decorators, by the names of its parameters."""
    found: dict[str, Value] = {}
    for mark in marks:
        if isinstance(mark, Bound) and mark.kind == PARAMETRIZE:
            names = _names(mark.callee)
            for at, name in enumerate(names):
                found[name] = any_of(_part(case, at, len(names)) for case in _cases(mark.arguments))
    return found


def _names(given: Value) -> list[str]:
    if (text := text_of(given)) is not None:
        return [name.strip() for name in text.split(",")]
    return [text_of(one) or "" for one in given.values] if isinstance(given, Items) else []


def _cases(given: object) -> tuple[Value, ...]:
    return given.values if isinstance(given, Items) and given.values else (UNKNOWN,)


def _part(case: Value, at: int, count: int) -> Value:
    """What one case has for the parameter at a place among several."""
    if count == 1:
        return case
    return case.values[at] if isinstance(case, Items) and len(case.values) == count else UNKNOWN
