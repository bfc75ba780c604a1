"""What expressions yield, as far as it is known, with the effects of the calls inside them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from gpu_lint.facts import program as p
from gpu_lint.facts.flow import Flow, Frozen
from gpu_lint.facts.operations import (
    arithmetic,
    compared,
    contained,
    least_count,
    may_be_text,
    membership,
    substitute,
    truth_of,
)
from gpu_lint.facts.values import (
    SPEC,
    THIS_FILE,
    UNKNOWN,
    AnyOf,
    Bound,
    ClassValue,
    DeviceCount,
    EnvironmentValue,
    FunctionValue,
    Gpus,
    Input,
    Instance,
    Items,
    Known,
    ModuleValue,
    Pairs,
    Place,
    Returned,
    Symbol,
    Value,
    alternatives,
    any_of,
    concatenate,
    entry_of,
    input_named,
    input_of,
    joined,
    merged,
    number,
    text_of,
)
from gpu_lint.facts.walk import bound_names

_Rule: TypeAlias = "Callable[[Evaluator, Any, Flow], Value]"
_INPUTS = -1
"""The frame of what was assigned to a part of an :class:`Input`."""
_VISIBLE = DeviceCount()
MOST_ITEMS = 8
"""Longest list, range or loop that is followed item by item."""
_MOST_TIMES = 512
"""How often something is run because of the loops around it; with more, a loop is run once, with
any of its items."""


class Evaluator(ABC):
    """Evaluates expressions along a :class:`Flow`; what calls do is for the subclass."""

    file: str
    """The file that is being run."""
    scopes: tuple[int, ...]
    """Frames that names are looked up in, outermost (the module) first."""
    fallible: bool
    """Something was run that may raise, for all that is known."""
    missing: bool
    """Something was imported that need not be installed."""
    failing: bool
    """A device was used that may not exist; whatever the call does besides, it has done."""
    _budget: int
    """How many statements may still be run before calls are no longer followed."""
    _times: int
    """How often execution comes by because of the loops that it is in, item by item."""
    _tested: dict[int, tuple[p.Expression, Value]]
    """What the parts of tests were found to be when they were last evaluated, by ``id()``."""

    _frozen_through: dict[int, tuple[p.Expression, Frozen]]
    """What froze CUDA where both operands of an ``and`` or ``or`` were evaluated, by ``id()``."""

    @abstractmethod
    def call(self, node: p.Call, flow: Flow) -> Value:
        """Evaluate the arguments, apply the call's effects, return its result."""

    @abstractmethod
    def attribute_of(self, base: Value, name: str, flow: Flow) -> Value:
        """The attribute of an object, class or module of the project."""

    @abstractmethod
    def resume(self, generator: Bound, flow: Flow) -> None:
        """Run a generator that waits, once and to its end."""

    @abstractmethod
    def note_cut_short(self) -> None:
        """Note that something is not followed because the program's budget is used up."""

    @abstractmethod
    def yielded(self, node: p.Yield, flow: Flow) -> None:
        """What happens where a generator hands over."""

    @abstractmethod
    def make_lambda(self, node: p.Lambda, flow: Flow) -> Value:
        """Register a lambda, so that a call of it can be followed."""

    @abstractmethod
    def count_test(self, node: p.Comparison, operator: str, number: int, flow: Flow) -> None:
        """Note that a comparison of the device count with a number was made."""

    @abstractmethod
    def listed_device(
        self, gpus: Gpus | Symbol, node: p.Expression, key: Value, flow: Flow
    ) -> None:
        """Note that a device is taken from a list of them by its number."""

    @abstractmethod
    def note_choice(self, node: p.Conditional, flow: Flow) -> None:
        """Note what a conditional expression says of the GPU by its form."""

    def may_repeat(self, times: int) -> bool:
        """Whether something is to be run so many times, given the loops that it is in."""
        if self._budget <= 0:
            self.note_cut_short()
            return False
        return times <= MOST_ITEMS and self._times * times <= _MOST_TIMES

    @contextmanager
    def repeating(self, times: int) -> Iterator[None]:
        """Run something so many times."""
        before = self._times
        self._times = before * max(times, 1)
        yield
        self._times = before

    def evaluate(self, node: p.Expression, flow: Flow) -> Value:
        """The value of an expression; calls in it take effect on ``flow``."""
        return _RULES[type(node)](self, node, flow)

    def lookup(self, name: str, flow: Flow) -> Value | None:
        """The value bound to a name, or None where the file binds it nowhere in sight."""
        return flow.lookup(self.scopes, name)

    def _literal(self, node: p.Literal, flow: Flow) -> Value:
        if type(node.value) is int and number(node.value) is UNKNOWN:
            return UNKNOWN
        return Known(node.value, Place(self.file, node.span))

    def _name(self, node: p.Name, flow: Flow) -> Value:
        value = self.lookup(node.id, flow)
        if value is None:
            return THIS_FILE if node.id == THIS_FILE.name else UNKNOWN
        return value

    def _attribute(self, node: p.Attribute, flow: Flow) -> Value:
        return self.attribute(self.evaluate(node.base, flow), node.name, flow)

    def attribute(self, base: Value, name: str, flow: Flow) -> Value:
        """The attribute of a value."""
        if not isinstance(base, AnyOf):
            found = self._attribute_of_one(base, name, flow)
            return UNKNOWN if found is None else found
        several = [self._attribute_of_one(single, name, flow) for single in base.values]
        return any_of(found for found in several if found is not None)

    def _attribute_of_one(self, base: Value, name: str, flow: Flow) -> Value | None:
        """The attribute of a single value; None of what has none."""
        if isinstance(base, Symbol):
            return Symbol(f"{base.name}.{name}")
        if isinstance(base, (Instance, ClassValue, ModuleValue)):
            return self.attribute_of(base, name, flow)
        if isinstance(base, Bound) and base.kind == SPEC and name == "loader":
            return base
        if isinstance(base, Known):
            if name == "value":
                return base  # of an enum's member
            if base.value is None:
                return None
        return self._part(base, f".{name}", flow)

    def _part(self, base: Value, part: str, flow: Flow) -> Value:
        """The attribute or item of something that only the run will tell."""
        if isinstance(base, Returned) and base.frame is not None:
            found = flow.get(base.frame, part)
            return found or input_named(f"{base.symbol}@{base.frame}{part}")
        if isinstance(base, EnvironmentValue) and part.startswith("["):
            return entry_of(base)
        if isinstance(base, Input):
            name = f"{base.name}{part}"
            return flow.get(_INPUTS, name) or input_named(name)
        return UNKNOWN

    def set_part(self, base: Value, part: str, value: Value, flow: Flow) -> None:
        """Remember what is assigned to such an attribute or item."""
        if isinstance(base, Returned) and base.frame is not None:
            flow.bind(base.frame, part, value)
        elif isinstance(base, Input):
            flow.bind(_INPUTS, f"{base.name}{part}", value)

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
        is_open = False
        for key, item in node.items:
            if key is None:
                inner = self.evaluate(item, flow)
                if isinstance(inner, Pairs):
                    entries += inner.entries
                is_open |= not isinstance(inner, Pairs) or inner.open
            else:
                entries.append((self.evaluate(key, flow), self.evaluate(item, flow)))
        return Pairs(tuple(entries), is_open)

    def _subscript(self, node: p.Subscript, flow: Flow) -> Value:
        base = self.evaluate(node.base, flow)
        key = self.evaluate(node.key, flow)
        for one in alternatives(base):
            if isinstance(one, (Gpus, Symbol)):
                self.listed_device(one, node.key, key, flow)
        return any_of(
            self.item(one, single, flow)
            for one in alternatives(base)
            for single in alternatives(key)
        )

    def item(self, base: Value, key: Value, flow: Flow) -> Value:
        """``base[key]``."""
        constant = key.value if isinstance(key, Known) else None
        if isinstance(base, Symbol) and base.name == "os.environ" and isinstance(constant, str):
            if any(written.value is None for written in flow.holds(constant)):
                self.fallible = True
            return self.environment(constant, flow)
        if isinstance(base, Symbol) and base.name == "sys.argv" and isinstance(key, Known):
            self.fallible = True
            return Input(f"sys.argv[{constant}]")
        if isinstance(base, Pairs) and isinstance(key, Known):
            found = base.get(constant)
            if found is not None:
                return found
        if isinstance(base, Items) and base.kind == "some":
            self.fallible = True
            return any_of(base.values)
        if isinstance(base, Items) and base.kind not in ("set", "many"):
            if isinstance(constant, int) and -len(base.values) <= constant < len(base.values):
                return base.values[constant]
        self.fallible = True
        return self._part(base, f"[{constant!r}]", flow) if isinstance(key, Known) else UNKNOWN

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
        self.note_choice(node, flow)
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
        left = self.test(node.left, flow)
        right = self.test(node.right, flow)
        if left == _VISIBLE and isinstance(right, Known):
            if isinstance(right.value, int):
                self.count_test(node, node.operator, right.value, flow)
        elif right == _VISIBLE and isinstance(left, Known):
            if isinstance(left.value, int):
                self.count_test(node, _MIRRORED.get(node.operator, "?"), left.value, flow)
        elif isinstance(right, Symbol) and right.name == "os.environ":
            return membership(node.operator, text_of(left), flow)
        elif isinstance(left, Known) and isinstance(right, Known):
            return compared(left.value, node.operator, right.value)
        elif node.operator in ("is", "is not", "==", "!="):
            for one, other in ((left, right), (right, left)):
                if isinstance(one, Known) and one.value is None and isinstance(other, _SOMETHING):
                    return Known(node.operator in ("is not", "!="))
        elif isinstance(right, (Items, Pairs)) and isinstance(left, Known):
            return contained(node.operator, left, right)
        return UNKNOWN

    def _boolean(self, node: p.Boolean, flow: Flow) -> Value:
        left = self.test(node.left, flow)
        truth = truth_of(left)
        if truth is not None and truth == (node.operator == "or"):
            return left
        if truth is not None:
            return self.test(node.right, flow)
        other = flow.copy()
        needs = other.needs
        self.refine(node.left, node.operator == "and", other)
        right = self.test(node.right, other)
        other.needs = needs
        if other.frozen.certainty > flow.frozen.certainty:
            self._frozen_through[id(node)] = node, Frozen.of(other)
        flow.join(other)
        return any_of((left, right)) if node.operator == "or" else UNKNOWN

    def _unary(self, node: p.Unary, flow: Flow) -> Value:
        value = self.test(node.operand, flow)
        if node.operator == "not":
            truth = truth_of(value)
            return UNKNOWN if truth is None else Known(not truth)
        return UNKNOWN

    def _binary(self, node: p.Binary, flow: Flow) -> Value:
        left, right = self.evaluate(node.left, flow), self.evaluate(node.right, flow)
        if node.operator == "+":
            if isinstance(left, Items) and isinstance(right, Items):
                return joined(left, right)
            if may_be_text(left) or may_be_text(right):
                return concatenate((left, right))
        if isinstance(left, Known) and isinstance(right, Known):
            return arithmetic(left, node.operator, right)
        if isinstance(left, (Input, EnvironmentValue)) and isinstance(right, Known):
            if type(right.value) is int and node.operator in ("%", "//", "+", "-"):
                name = left.name if isinstance(left, Input) else f"${left.variable}"
                return input_named(f"({name} {node.operator} {right.value})")
        if node.operator == "|" and isinstance(right, Pairs):
            if left == Symbol("os.environ"):
                return Pairs(right.entries, open=True)
            if isinstance(left, Pairs):
                return merged(left, right)
        if node.operator == "*" and isinstance(left, Items) and isinstance(right, Known):
            if isinstance(right.value, int) and 0 <= right.value * len(left.values) <= MOST_ITEMS:
                return Items(left.kind, left.values * right.value)
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
        frame = self.scopes[-1]
        targets = [n for generator in node.generators for n in bound_names(generator.target)]
        saved = {name: flow.get(frame, name) for name in targets}
        first = node.generators[0]
        single = len(node.generators) == 1 and not first.conditions
        iterable = self.evaluate(first.iterable, flow)
        items = self.iterate(iterable, flow)
        results: list[Value] = []
        if single and items is not None and self.may_repeat(len(items)):
            with self.repeating(len(items)):
                for item in items:
                    self.assign_names(first.target, item, flow)
                    results += [self.evaluate(element, flow) for element in node.elements]
        else:
            inner = flow.copy()
            self._run_generators(node, items, inner)
            flow.join(inner)
            items = None
        for name, value in saved.items():
            flow.bind(frame, name, UNKNOWN if value is None else value)
        if items is None:
            return UNKNOWN
        if isinstance(iterable, Items) and iterable.kind in ("some", "many"):
            return UNKNOWN if node.kind == "dict" else Items(iterable.kind, tuple(results))
        if node.kind == "dict":
            return Pairs(tuple(zip(results[::2], results[1::2], strict=True)))
        return Items("set" if node.kind == "set" else "list", tuple(results))

    def _run_generators(
        self, node: p.Comprehension, items: tuple[Value, ...] | None, flow: Flow
    ) -> None:
        """Run a comprehension's parts once, for whatever items there are."""
        for position, generator in enumerate(node.generators):
            if position:
                items = self.iterate(self.evaluate(generator.iterable, flow), flow)
            self.assign_names(generator.target, any_of(items or ()), flow)
            for condition in generator.conditions:
                self.evaluate(condition, flow)
        for element in node.elements:
            self.evaluate(element, flow)

    def assign_names(self, target: p.Expression, value: Value, flow: Flow) -> None:
        """Bind the plain names of a target to the parts of a value."""
        if isinstance(target, p.Name):
            flow.bind(self.scopes[-1], target.id, value)
            return
        parts: tuple[Value, ...] = ()
        if isinstance(value, Items) and isinstance(target, p.Sequence):
            parts = value.values if len(value.values) == len(target.items) else ()
        if isinstance(target, p.Sequence):
            for number, item in enumerate(target.items):
                self.assign_names(item, parts[number] if parts else UNKNOWN, flow)
        else:
            for name in bound_names(target):
                flow.bind(self.scopes[-1], name, UNKNOWN)

    def iterate(self, value: Value, flow: Flow) -> tuple[Value, ...] | None:
        """The items that iterating yields, or None; a generator that waits runs now."""
        if isinstance(value, Items):
            return value.values
        if isinstance(value, Pairs) and not value.open:
            return tuple(key for key, _ in value.entries)
        if isinstance(value, Bound) and value.kind == "generator":
            self.resume(value, flow)
        else:
            self.fallible = True
        return None

    def _yield(self, node: p.Yield, flow: Flow) -> Value:
        value = self.evaluate(node.value, flow) if node.value is not None else UNKNOWN
        if isinstance(value, Bound):
            self.iterate(value, flow)
        self.yielded(node, flow)
        return UNKNOWN

    def _opaque(self, node: p.Opaque, flow: Flow) -> Value:
        for child in node.children:
            self.evaluate(child, flow)
        return UNKNOWN

    # --- tests ---------------------------------------------------------------------------

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

    def _refine_comparison(self, test: p.Comparison, truth: bool, flow: Flow) -> None:
        right = self._found(test.right, flow)
        operator = test.operator
        if operator in ("in", "not in") and right == Symbol("os.environ"):
            variable = text_of(self._found(test.left, flow))
            if variable is not None and truth == (operator == "not in"):
                flow.unset |= {variable}
            return
        if isinstance(right, Known) and right.value in (None, ""):
            if truth == (operator in ("is", "==")):
                flow.unset |= self._variables_read(test.left, flow)
            return
        left = self._found(test.left, flow)
        if right == _VISIBLE:
            left, right, operator = right, left, _MIRRORED.get(operator, "?")
        if left == _VISIBLE and (operator, truth) in ((">", True), ("<=", False)):
            numbers = (input_of(single) for single in alternatives(right))
            flow.checked |= {number for number in numbers if number is not None}
        if left == _VISIBLE and isinstance(right, Known):
            if isinstance(right.value, int):
                least = least_count(operator, right.value, truth)
                flow.needs = max(flow.needs, least)

    def _variables_read(self, node: p.Expression, flow: Flow) -> frozenset[str]:
        """Names of the environment variables whose value an expression is."""
        return frozenset(
            single.variable
            for single in alternatives(self._found(node, flow))
            if isinstance(single, EnvironmentValue)
        )


def adapted(value: Value, flow: Flow) -> Value:
    """A value chosen because several devices were counted fits them: it is not judged."""
    return UNKNOWN if flow.needs > 1 else value


_SOMETHING = (Symbol, ModuleValue, FunctionValue, ClassValue, Instance, Items, Pairs, Bound)
"""Values that are not None."""


_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}
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
    p.Yield: Evaluator._yield,
    p.Opaque: Evaluator._opaque,
}
