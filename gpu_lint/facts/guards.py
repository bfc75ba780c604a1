"""Guards that let code run only on several devices: tests whose outcome is kept, marks that skip.

How many devices a path needs at least is known of the path (``Flow.needs``). What a test of the
number of devices gave, or what a function returned on such a path, carries it on.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gpu_lint.facts.operations import least_count, truth_of
from gpu_lint.facts.values import (
    UNKNOWN,
    AnyOf,
    ClassValue,
    Enough,
    FunctionValue,
    Gate,
    Gated,
    Items,
    Known,
    Value,
    alternatives,
)

if TYPE_CHECKING:
    from gpu_lint.facts.environment import Arguments

NEVER = sys.maxsize
"""More devices than there are: what needs so many is not run, or is expected to fail."""
SKIPPING_WORDS = frozenset({b"skip", b"skipTest", b"SkipTest", b"skipif", b"skipIf", b"skipUnless"})
"""Words of the text of a function that may skip a test."""
_SKIPS_WHERE = {
    "pytest.mark.skipif": True,
    "pytest.mark.xfail": True,
    "unittest.skipIf": True,
    "unittest.skipUnless": False,
}
"""Marks, with the outcome of their condition at which a test need not pass."""
_WITHOUT_CONDITION = frozenset(
    {"pytest.mark.skip", "pytest.mark.xfail", "unittest.skip", "unittest.expectedFailure"}
)
_OF_LIBRARIES = {
    "accelerate.test_utils.require_multi_device": 2,
    "accelerate.test_utils.require_multi_gpu": 2,
    "accelerate.test_utils.testing.require_multi_device": 2,
    "accelerate.test_utils.testing.require_multi_gpu": 2,
    "transformers.testing_utils.require_torch_multi_accelerator": 2,
    "transformers.testing_utils.require_torch_multi_gpu": 2,
}
"""Decorators with the number of devices without which they skip (their public source: transformers
5.17, accelerate 1.11)."""


def marked(name: str, args: Arguments) -> Value | None:
    """What a call by a dotted name gives: a mark, or what one is put on, behind it; None for a call
    that makes none, or one that lets tests run on a single device."""
    first = args.value(0, "condition")
    if isinstance(first, (FunctionValue, ClassValue)):
        needs = NEVER if name in _WITHOUT_CONDITION else _OF_LIBRARIES.get(name, 0)
        return Gated(first, needs) if needs else None
    if name in _SKIPS_WHERE and first is not None:
        needs = least_devices(first, not _SKIPS_WHERE[name])
        return Gate(needs) if needs > 1 else None
    return Gate(NEVER) if name in _WITHOUT_CONDITION else None


def is_mark(name: str) -> bool:
    """Whether a dotted name is a decorator that skips by itself, without a call."""
    return name in _WITHOUT_CONDITION or name in _OF_LIBRARIES


def counted(operator: str, number: int) -> Value:
    """How many devices the outcome of ``device_count() <operator> number`` asks for."""
    if_true, if_false = (least_count(operator, number, truth) for truth in (True, False))
    return Enough(if_true, if_false) if max(if_true, if_false) > 0 else UNKNOWN


def least_devices(value: Value, truth: bool) -> int:
    """How many devices there are at least where a value comes out as ``truth``."""
    if type(value) is not Enough and (
        type(value) is not AnyOf or Enough not in map(type, value.values)
    ):
        return 0
    found = [
        (one.if_true if truth else one.if_false) if isinstance(one, Enough) else 0
        for one in alternatives(value)
        if truth_of(one) in (None, truth)
    ]
    return min(found, default=0)


def both(operator: str, left: Value, right: Value) -> Enough | None:
    """``left and right``, or ``or``, where the number of devices has a part in it."""
    sides = (left, right)
    decisive = operator == "and"
    most = max(least_devices(side, decisive) for side in sides)
    least = min(least_devices(side, not decisive) for side in sides)
    if max(most, least) < 1:
        return None
    return Enough(most, least) if decisive else Enough(least, most)


def opposite(value: Value) -> Enough | None:
    """``not value``, where the number of devices has a part in it."""
    if_true, if_false = least_devices(value, False), least_devices(value, True)
    return Enough(if_true, if_false) if max(if_true, if_false) > 0 else None


def returned(value: Value, needs: int) -> Value:
    """What a path that needs some devices returns, so that this is known of it."""
    if needs < 2:
        return value
    if isinstance(value, Known) and isinstance(value.value, bool):
        return Enough(needs, NEVER) if value.value else Enough(NEVER, needs)
    return behind(value, needs)


def behind(value: Value, needs: int) -> Value:
    """A value behind a mark: of a function or class of the project it is remembered."""
    if isinstance(value, Gated):
        return Gated(value.value, max(value.needs, needs))
    return Gated(value, needs) if isinstance(value, (FunctionValue, ClassValue)) else value


def ungated(value: Value) -> tuple[Value, int]:
    """What a decorator gave, without its marks, and how many devices these ask for."""
    held = [one.value if isinstance(one, Gated) else one for one in alternatives(value)]
    if len(set(held)) != 1:
        return value, 0
    needs = [one.needs if isinstance(one, Gated) else 0 for one in alternatives(value)]
    return held[0], min(needs)


def needs_of_marks(value: Value | None) -> int:
    """How many devices a mark, or the strictest in a list of marks, asks for."""
    several = value.values if isinstance(value, Items) else (value,)
    return max((one.needs for one in several if isinstance(one, Gate)), default=0)
