"""Tests: whether they hold, and what follows on each path from how they came out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from gpu_lint.facts import program as p
from gpu_lint.facts.flow import Flow, Frozen
from gpu_lint.facts.guards import least_devices
from gpu_lint.facts.model import INHERITED, Written
from gpu_lint.facts.operations import truth_of
from gpu_lint.facts.values import (
    DeviceCount,
    EnvironmentValue,
    Items,
    Known,
    Pairs,
    Symbol,
    Value,
    alternatives,
    held_by,
    input_of,
    text_of,
)
from gpu_lint.variables import ALIASES, HEADER_VARIABLES, MASK, ORDER

_ENVIRON = Symbol("os.environ")
_READING = (Symbol("os.environ.get"), Symbol("os.getenv"), Symbol("os.environ.setdefault"))
_OF_HEADER = frozenset((*HEADER_VARIABLES, *ALIASES))
VISIBLE = DeviceCount()
"""How many devices the mask shows."""
MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}
"""Comparisons with their sides exchanged."""


class Refinement(ABC):
    """Finds out what tests say of variables, numbers of devices and what they are compared with."""

    _tested: dict[int, tuple[p.Expression, Value]]
    """What the parts of tests were found to be when they were last evaluated, by ``id()``."""

    _frozen_through: dict[int, tuple[p.Expression, Frozen]]
    """What froze CUDA where both operands of an ``and`` or ``or`` were evaluated, by ``id()``."""

    @abstractmethod
    def evaluate(self, node: p.Expression, flow: Flow) -> Value:
        """The value of an expression; evaluating it takes effect on ``flow``."""

    @abstractmethod
    def environment_keys(self) -> frozenset[str]:
        """The names, as :func:`unnamed` gives them, under which the file that is run writes the
        environment."""

    def truth(self, test: p.Expression, flow: Flow) -> bool | None:
        """Whether a test holds, or None; evaluating it takes effect on ``flow``."""
        return truth_of(self.test(test, flow))

    def test(self, node: p.Expression, flow: Flow) -> Value:
        """The value of a test, or of a part of one; remembered for what follows from it."""
        value = self.evaluate(node, flow)
        self._tested[id(node)] = node, value
        return value

    def _found(self, node: p.Expression, flow: Flow) -> Value:
        """What a part of a test was found to be."""
        held = self._tested.get(id(node))
        if held is not None and held[0] is node:
            return held[1]
        return self.evaluate(node, flow.copy())

    def refine(self, test: p.Expression, truth: bool, flow: Flow) -> None:
        """Note on ``flow`` what follows from a test having come out as ``truth``."""
        if isinstance(test, p.Unary) and test.operator == "not":
            self.refine(test.operand, not truth, flow)
        elif isinstance(test, p.Boolean):
            if truth == (test.operator == "and"):
                through = self._frozen_through.get(id(test))
                if through is not None and through[0] is test:
                    through[1].put_on(flow)
                self.refine(test.left, truth, flow)
                self.refine(test.right, truth, flow)
        elif isinstance(test, p.Comparison):
            self._refine_comparison(test, truth, flow)
        elif not truth:
            flow.unset |= self._variables_read(test, flow)
        found = self._tested.get(id(test))
        if found is not None and found[0] is test:
            flow.needs = max(flow.needs, least_devices(found[1], truth))
        if isinstance(test, (p.Call, p.Comparison)) and (keys := self.environment_keys()):
            name = self._another_name(test, truth, flow)
            if name is not None and name in keys:
                flow.unset |= {name}

    def _another_name(self, test: p.Expression, truth: bool, flow: Flow) -> str | None:
        """The name, as :func:`unnamed` gives it, that a test says is not the mask's; nor the
        order's, where it says which one it is. One that is not set is none that was."""
        if isinstance(test, p.Unary) and test.operator == "not":
            return self._another_name(test.operand, not truth, flow)
        if isinstance(test, p.Call) and isinstance(test.function, p.Attribute):
            if test.function.name == "startswith" and test.arguments:
                prefix = text_of(self._found(test.arguments[0].value, flow))
                if prefix and _excludes_mask(truth, lambda name: name.startswith(prefix)):
                    return unnamed(test.function.base)
        if isinstance(test, p.Comparison) and test.operator in ("==", "!=", "in", "not in"):
            right = self._found(test.right, flow)
            if right == _ENVIRON and truth == (test.operator == "not in"):
                return unnamed(test.left)
            if test.operator in ("in", "not in") and not _is_list(right):
                return None
            held = held_by(right) if isinstance(right, Items) else (right,)
            held = (key for key, _ in right.entries) if isinstance(right, Pairs) else held
            texts = [text_of(one) for one in held]
            is_one = truth == (test.operator in ("==", "in"))
            if None not in texts and _excludes_mask(is_one, texts.__contains__):
                return unnamed(test.left)
        return None

    def _refine_comparison(self, test: p.Comparison, truth: bool, flow: Flow) -> None:
        right = self._found(test.right, flow)
        operator = test.operator
        if operator in ("in", "not in") and right == Symbol("os.environ"):
            variable = text_of(self._found(test.left, flow)) or unnamed(test.left)
            if variable is not None and truth == (operator == "not in"):
                flow.unset |= {variable}
            return
        if isinstance(right, Known) and right.value in (None, ""):
            if truth == (operator in ("is", "==")):
                flow.unset |= self._variables_read(test.left, flow)
            return
        left = self._found(test.left, flow)
        if truth == (operator == "==") and operator in ("==", "!="):
            self._refine_variable(test.left, left, right, flow)
            self._refine_variable(test.right, right, left, flow)
        if right == VISIBLE:
            left, right, operator = right, left, MIRRORED.get(operator, "?")
        if left == VISIBLE and (operator, truth) in ((">", True), ("<=", False)):
            numbers = (input_of(single) for single in alternatives(right))
            flow.checked |= {number for number in numbers if number is not None}

    def _refine_variable(self, node: p.Expression, value: Value, other: Value, flow: Flow) -> None:
        """Note that an environment variable holds a text, where what reads it was found equal."""
        text = text_of(other)
        if text is None:
            return
        read = {self._variable_at(node, flow)}
        read |= {
            one.variable
            for one in alternatives(value)
            if isinstance(one, EnvironmentValue) and flow.holds(one.variable) == {INHERITED}
        }
        for variable in _OF_HEADER.intersection(read):
            held = flow.holds(variable)
            own = frozenset(one for one in held if one.value is not None and not one.weak)
            if own != held:
                flow.put(variable, own | {Written(Known(text))})

    def _variable_at(self, node: p.Expression, flow: Flow) -> str | None:
        """The environment variable that an expression itself reads; None for any other."""
        if isinstance(node, p.Subscript):
            if self._found(node.base, flow) == _ENVIRON:
                return text_of(self._found(node.key, flow))
        elif isinstance(node, p.Call) and node.arguments:
            if self._found(node.function, flow) in _READING:
                return text_of(self._found(node.arguments[0].value, flow))
        return None

    def _variables_read(self, node: p.Expression, flow: Flow) -> frozenset[str]:
        """Names of the environment variables whose value an expression is."""
        if isinstance(node, p.Call) and node.arguments:
            reader = self._found(node.function, flow)
            name = unnamed(node.arguments[0].value)
            if name and reader in (Symbol("os.environ.get"), Symbol("os.getenv")):
                return frozenset({name})
        return frozenset(
            single.variable
            for single in alternatives(self._found(node, flow))
            if isinstance(single, EnvironmentValue)
        )


def unnamed(key: p.Expression) -> str | None:
    """What ``Flow.unset`` holds where the variable of an unknown name, as a name holds it, was
    found to be none that decides about GPUs, or not to be set."""
    return f"${key.id}" if isinstance(key, p.Name) else None


def _is_list(value: Value) -> bool:
    """Whether all that a value holds is known."""
    return isinstance(value, Items) or (isinstance(value, Pairs) and value.is_listed)


def _excludes_mask(is_met: bool, meets: Callable[[str], bool]) -> bool:
    """Whether a name that meets a test, or does not, is surely not the mask's; nor the order's, if
    it meets the test."""
    return not (meets(MASK) or meets(ORDER)) if is_met else meets(MASK)
