"""What expressions yield, as far as it is known, with the effects of the calls inside them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeAlias

from gpu_lint.facts import program as p
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.values import (
    UNKNOWN,
    ClassValue,
    DeviceCount,
    EnvironmentValue,
    FunctionValue,
    Instance,
    Items,
    Known,
    Pairs,
    Symbol,
    Value,
    alternatives,
    any_of,
    concatenate,
    text_of,
)

_Rule: TypeAlias = "Callable[[Evaluator, Any, Flow], Value]"


class Evaluator(ABC):
    """Evaluates expressions along a :class:`Flow`; what calls do is for the subclass."""

    scopes: tuple[int, ...]
    """Frames that names are looked up in, outermost (the module) first."""

    @abstractmethod
    def call(self, node: p.Call, flow: Flow) -> Value:
        """Evaluate the arguments, apply the call's effects, return its result."""

    @abstractmethod
    def attribute_of(self, base: Value, name: str, node: p.Attribute, flow: Flow) -> Value:
        """The attribute of an object or class of this file."""

    @abstractmethod
    def make_lambda(self, node: p.Lambda, flow: Flow) -> Value:
        """Register a lambda, so that a call of it can be followed."""

    @abstractmethod
    def count_test(self, node: p.Comparison, operator: str, number: int, flow: Flow) -> None:
        """Note that a comparison of the device count with a number was made."""

    @abstractmethod
    def note_arm(self, test: p.Expression, truth: bool, arm: p.Expression) -> None:
        """Note what a conditional expression yields when its test comes out so."""

    def evaluate(self, node: p.Expression, flow: Flow) -> Value:
        """The value of an expression; calls in it take effect on ``flow``."""
        return _RULES[type(node)](self, node, flow)

    def lookup(self, name: str, flow: Flow) -> Value | None:
        """The value bound to a name, or None where the file binds it nowhere in sight."""
        for frame in reversed(self.scopes):
            value = flow.frames.get(frame, {}).get(name)
            if value is not None:
                return value
        return None

    def _literal(self, node: p.Literal, flow: Flow) -> Value:
        return Known(node.value, node.span)

    def _name(self, node: p.Name, flow: Flow) -> Value:
        value = self.lookup(node.id, flow)
        return UNKNOWN if value is None else value

    def _attribute(self, node: p.Attribute, flow: Flow) -> Value:
        base = self.evaluate(node.base, flow)
        results: list[Value] = []
        for single in alternatives(base):
            if isinstance(single, Symbol):
                results.append(Symbol(f"{single.name}.{node.name}"))
            elif isinstance(single, (Instance, ClassValue)):
                results.append(self.attribute_of(single, node.name, node, flow))
            elif not (isinstance(single, Known) and single.value is None):
                results.append(UNKNOWN)
        return any_of(results)

    def _call(self, node: p.Call, flow: Flow) -> Value:
        return self.call(node, flow)

    def _template(self, node: p.Template, flow: Flow) -> Value:
        return concatenate([self.evaluate(part, flow) for part in node.parts])

    def _sequence(self, node: p.Sequence, flow: Flow) -> Value:
        values = tuple(self.evaluate(item, flow) for item in node.items)
        starred = any(isinstance(item, p.Opaque) and item.children for item in node.items)
        return UNKNOWN if starred else Items(node.kind, values)

    def _mapping(self, node: p.Mapping, flow: Flow) -> Value:
        entries: list[tuple[Value, Value]] = []
        complete = True
        for key, item in node.items:
            if key is None:
                inner = self.evaluate(item, flow)
                if isinstance(inner, Pairs):
                    entries += inner.entries
                else:
                    complete = False
            else:
                entries.append((self.evaluate(key, flow), self.evaluate(item, flow)))
        return Pairs(tuple(entries)) if complete else UNKNOWN

    def _subscript(self, node: p.Subscript, flow: Flow) -> Value:
        base = self.evaluate(node.base, flow)
        key = self.evaluate(node.key, flow)
        constant = key.value if isinstance(key, Known) else None
        if isinstance(base, Symbol) and base.name == "os.environ":
            return self.environment(constant, flow) if isinstance(constant, str) else UNKNOWN
        if isinstance(base, Pairs) and isinstance(key, Known):
            return base.get(constant) or UNKNOWN
        if isinstance(base, Items) and base.kind != "set" and isinstance(constant, int):
            if -len(base.values) <= constant < len(base.values):
                return base.values[constant]
        return UNKNOWN

    def environment(self, variable: str, flow: Flow) -> Value:
        """What reading an environment variable gives."""
        return any_of(
            EnvironmentValue(variable) if written.value is None else written.value
            for written in flow.holds(variable)
        )

    def _conditional(self, node: p.Conditional, flow: Flow) -> Value:
        truth = self.truth(node.test, flow)
        other = flow.copy()
        needs = flow.needs
        results = []
        self.note_arm(node.test, True, node.body)
        self.note_arm(node.test, False, node.orelse)
        if truth is not False:
            self.refine(node.test, True, flow)
            results.append(adapted(self.evaluate(node.body, flow), flow))
        if truth is not True:
            self.refine(node.test, False, other)
            results.append(adapted(self.evaluate(node.orelse, other), other))
        if truth is None:
            flow.join(other)
        elif truth is False:
            flow.become(other)
        flow.needs = needs
        return any_of(results)

    def _comparison(self, node: p.Comparison, flow: Flow) -> Value:
        left = self.evaluate(node.left, flow)
        right = self.evaluate(node.right, flow)
        if isinstance(left, DeviceCount) and isinstance(right, Known):
            if isinstance(right.value, int):
                self.count_test(node, node.operator, right.value, flow)
        elif isinstance(right, DeviceCount) and isinstance(left, Known):
            if isinstance(left.value, int):
                self.count_test(node, _MIRRORED.get(node.operator, "?"), left.value, flow)
        elif isinstance(right, Symbol) and right.name == "os.environ":
            return _membership(node.operator, text_of(left), flow)
        elif isinstance(left, Known) and isinstance(right, Known):
            if node.operator in ("==", "is"):
                return Known(left.value == right.value)
            if node.operator in ("!=", "is not"):
                return Known(left.value != right.value)
        return UNKNOWN

    def _boolean(self, node: p.Boolean, flow: Flow) -> Value:
        left = self.evaluate(node.left, flow)
        truth = _truth_of(left)
        if truth is not None and truth == (node.operator == "or"):
            return left
        if truth is not None:
            return self.evaluate(node.right, flow)
        other = flow.copy()
        needs = other.needs
        self.refine(node.left, node.operator == "and", other)
        right = self.evaluate(node.right, other)
        other.needs = needs
        flow.join(other)
        return any_of((left, right)) if node.operator == "or" else UNKNOWN

    def _unary(self, node: p.Unary, flow: Flow) -> Value:
        value = self.evaluate(node.operand, flow)
        if node.operator == "not":
            truth = _truth_of(value)
            return UNKNOWN if truth is None else Known(not truth)
        return UNKNOWN

    def _binary(self, node: p.Binary, flow: Flow) -> Value:
        left, right = self.evaluate(node.left, flow), self.evaluate(node.right, flow)
        if node.operator == "+":
            if isinstance(left, Items) and isinstance(right, Items):
                return Items(left.kind, left.values + right.values)
            if text_of(left) is not None and text_of(right) is not None:
                return concatenate((left, right))
        if isinstance(left, Known) and isinstance(right, Known):
            return _arithmetic(left, node.operator, right)
        if node.operator == "%" and (template := text_of(left)) is not None:
            values = right.values if isinstance(right, Items) else (right,)
            return substitute(template, values)
        return UNKNOWN

    def _lambda(self, node: p.Lambda, flow: Flow) -> Value:
        return self.make_lambda(node, flow)

    def _walrus(self, node: p.Walrus, flow: Flow) -> Value:
        value = self.evaluate(node.value, flow)
        flow.bind(self.scopes[-1], node.target, value)
        return value

    def _comprehension(self, node: p.Comprehension, flow: Flow) -> Value:
        inner = flow.copy()
        saved = {}
        for generator in node.generators:
            self.evaluate(generator.iterable, inner)
            for name in bound_names(generator.target):
                saved[name] = self.lookup(name, inner)
                inner.bind(self.scopes[-1], name, UNKNOWN)
            for condition in generator.conditions:
                self.evaluate(condition, inner)
        for element in node.elements:
            self.evaluate(element, inner)
        for name, value in saved.items():
            inner.bind(self.scopes[-1], name, UNKNOWN if value is None else value)
        flow.join(inner)
        return UNKNOWN

    def _opaque(self, node: p.Opaque, flow: Flow) -> Value:
        for child in node.children:
            self.evaluate(child, flow)
        return UNKNOWN

    # --- tests ---------------------------------------------------------------------------

    def truth(self, test: p.Expression, flow: Flow) -> bool | None:
        """Whether a test holds, or None; evaluating it takes effect on ``flow``."""
        return _truth_of(self.evaluate(test, flow))

    def refine(self, test: p.Expression, truth: bool, flow: Flow) -> None:
        """Note on ``flow`` what follows from a test having come out as ``truth``."""
        if isinstance(test, p.Unary) and test.operator == "not":
            self.refine(test.operand, not truth, flow)
        elif isinstance(test, p.Boolean):
            if truth == (test.operator == "and"):
                self.refine(test.left, truth, flow)
                self.refine(test.right, truth, flow)
        elif isinstance(test, p.Comparison):
            self._refine_comparison(test, truth, flow)
        elif not truth:
            flow.unset |= self._variables_read(test, flow)

    def _refine_comparison(self, test: p.Comparison, truth: bool, flow: Flow) -> None:
        probe = flow.copy()
        right = self.evaluate(test.right, probe)
        operator = test.operator
        if operator in ("in", "not in") and right == Symbol("os.environ"):
            variable = text_of(self.evaluate(test.left, probe))
            if variable is not None and truth == (operator == "not in"):
                flow.unset |= {variable}
            return
        if isinstance(right, Known) and right.value in (None, ""):
            if truth == (operator in ("is", "==")):
                flow.unset |= self._variables_read(test.left, flow)
            return
        left = self.evaluate(test.left, probe)
        if isinstance(right, DeviceCount):
            left, right, operator = right, left, _MIRRORED.get(operator, "?")
        if isinstance(left, DeviceCount) and isinstance(right, Known):
            if isinstance(right.value, int):
                least = _least_count(operator, right.value, truth)
                flow.needs = max(flow.needs, least)

    def _variables_read(self, node: p.Expression, flow: Flow) -> frozenset[str]:
        """Names of the environment variables whose value an expression is."""
        value = self.evaluate(node, flow.copy())
        return frozenset(
            single.variable
            for single in alternatives(value)
            if isinstance(single, EnvironmentValue)
        )


def adapted(value: Value, flow: Flow) -> Value:
    """A value chosen because several devices were counted fits them: it is not judged."""
    return UNKNOWN if flow.needs > 1 else value


def bound_names(target: p.Expression) -> tuple[str, ...]:
    """The plain names that an assignment target binds."""
    if isinstance(target, p.Name):
        return (target.id,)
    if isinstance(target, p.Sequence):
        return tuple(name for item in target.items for name in bound_names(item))
    if isinstance(target, p.Opaque):
        return tuple(name for child in target.children for name in bound_names(child))
    return ()


def substitute(template: str, values: tuple[Value, ...]) -> Value:
    """``template % values`` for plain ``%s`` and ``%d``."""
    pieces = template.replace("%d", "%s").split("%s")
    if len(pieces) != len(values) + 1 or any("%" in piece for piece in pieces):
        return UNKNOWN
    parts: list[Value] = [Known(pieces[0])]
    for value, piece in zip(values, pieces[1:], strict=True):
        parts += [value, Known(piece)]
    return concatenate(parts)


def _arithmetic(left: Known, operator: str, right: Known) -> Value:
    one, two = left.value, right.value
    if isinstance(one, int) and isinstance(two, int):
        if operator == "+":
            return Known(one + two)
        if operator == "-":
            return Known(one - two)
        if operator == "*":
            return Known(one * two) if abs(one) < 10**6 and abs(two) < 10**6 else UNKNOWN
        if operator == "%" and two:
            return Known(one % two)
        if operator == "//" and two:
            return Known(one // two)
    if operator == "%" and isinstance(one, str):
        return substitute(one, (right,))
    return UNKNOWN


def _truth_of(value: Value) -> bool | None:
    if isinstance(value, Known):
        return bool(value.value)
    if value == Symbol("typing.TYPE_CHECKING"):
        return False
    if isinstance(value, (FunctionValue, ClassValue)):
        return True
    return None


def _membership(operator: str, variable: str | None, flow: Flow) -> Value:
    if variable is None or operator not in ("in", "not in"):
        return UNKNOWN
    if all(written.value is not None for written in flow.holds(variable)):
        return Known(operator == "in")
    return UNKNOWN


def _least_count(operator: str, number: int, truth: bool) -> int:
    """The least device count for which ``count <operator> number`` has this truth."""
    if not truth:
        operator = _NEGATED.get(operator, "?")
    if operator == ">":
        return number + 1
    return number if operator in (">=", "==") else 0


_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}
_NEGATED = {"<": ">=", ">": "<=", "<=": ">", ">=": "<", "==": "!=", "!=": "=="}
_RULES: dict[type[Any], _Rule] = {
    p.Literal: Evaluator._literal,
    p.Name: Evaluator._name,
    p.Attribute: Evaluator._attribute,
    p.Call: Evaluator._call,
    p.Template: Evaluator._template,
    p.Sequence: Evaluator._sequence,
    p.Mapping: Evaluator._mapping,
    p.Subscript: Evaluator._subscript,
    p.Conditional: Evaluator._conditional,
    p.Comparison: Evaluator._comparison,
    p.Boolean: Evaluator._boolean,
    p.Unary: Evaluator._unary,
    p.Binary: Evaluator._binary,
    p.Lambda: Evaluator._lambda,
    p.Walrus: Evaluator._walrus,
    p.Comprehension: Evaluator._comprehension,
    p.Opaque: Evaluator._opaque,
}
