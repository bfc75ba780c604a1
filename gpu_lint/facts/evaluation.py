"""What expressions yield, as far as it is known, with the effects of the calls inside them."""

from __future__ import annotations

import builtins
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from gpu_lint.facts import program as p
from gpu_lint.facts.constants import item_of_text, sliced, with_format
from gpu_lint.facts.flow import Flow, Frozen
from gpu_lint.facts.guards import both, counted, opposite
from gpu_lint.facts.kinds import formatted
from gpu_lint.facts.operations import (
    arithmetic,
    compared,
    contained,
    may_be_text,
    membership,
    one_of,
    substitute,
    truth_of,
)
from gpu_lint.facts.paths import joined as path_of
from gpu_lint.facts.ranks import outcome_on_one_machine
from gpu_lint.facts.ranktext import OWN_RANK
from gpu_lint.facts.refinement import MIRRORED, VISIBLE, Refinement, unnamed
from gpu_lint.facts.soundness import cannot_be_joined, lacks
from gpu_lint.facts.values import (
    ANOTHER_NAME,
    SPEC,
    THIS_FILE,
    UNCOUNTED,
    UNKNOWN,
    AnyOf,
    Bound,
    ClassValue,
    EnvironmentValue,
    FunctionValue,
    Gpus,
    Input,
    Instance,
    Items,
    Known,
    Member,
    ModuleValue,
    Pairs,
    Place,
    Returned,
    Symbol,
    Text,
    Typed,
    Unknown,
    Value,
    alternatives,
    any_of,
    concatenate,
    entry_of,
    held_by,
    input_named,
    joined,
    merged,
    number,
    text_of,
)
from gpu_lint.facts.walk import bound_names
from gpu_lint.source import Span
from gpu_lint.variables import MASK, ORDER

_Rule: TypeAlias = "Callable[[Evaluator, Any, Flow], Value]"
_INPUTS = -1
"""The frame of what was assigned to a part of an :class:`Input`."""
_COUNTING = frozenset({AnyOf, EnvironmentValue, Input, Returned})
"""Types of values that may be a number of processes or of machines."""
_REPLACED = -4
"""The frame of what stands in the place of attributes of modules outside the project."""
REPLACEABLE = frozenset({"device_count", "is_available"})
"""Attributes of such modules of which it is followed that a program replaces them, as tests do."""
PROCESS = -2
"""The frame of what is known of the process as a whole."""
_ALWAYS_BOUND = frozenset(dir(builtins)) | {"__file__", "__builtins__", "__path__", "__class__"}
"""Names that every module has."""
ATTRIBUTES = "attributes"
"""The kind of a :class:`Bound` that is the dict of an object's attributes."""
_ENVIRONMENT = Symbol("os.environ")
MOST_ITEMS = 8
"""Longest list, range or loop that is followed item by item."""
_LONGEST_TEXT = 64
"""Characters of a text that is taken apart into them."""
_MOST_TIMES = 512
"""How often something is run because of the loops around it; with more, a loop is run once, with
any of its items."""


class Evaluator(Refinement):
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
    comparands: set[tuple[str, Span]]
    """Calls whose results are compared, with their files."""
    _budget: int
    """How many statements may still be run before calls are no longer followed."""
    _times: int
    """How often execution comes by because of the loops that it is in, item by item."""

    @abstractmethod
    def call(self, node: p.Call, flow: Flow) -> Value:
        """Evaluate the arguments, apply the call's effects, return its result."""

    @abstractmethod
    def attribute_of(self, base: Value, name: str, flow: Flow) -> Value:
        """The attribute of an object, class or module of the project."""

    @abstractmethod
    def note_own_rank(self, node: p.Attribute, flow: Flow) -> None:
        """Note that something is asked which process of several this one is."""

    @abstractmethod
    def resume(self, generator: Bound, flow: Flow) -> None:
        """Run a generator that waits, once and to its end."""

    @abstractmethod
    def awaited(self, node: p.Await, flow: Flow) -> Value:
        """Wait for what an expression yields: a coroutine runs, and so do tasks that wait."""

    @abstractmethod
    def mapped(self, waiting: Bound, flow: Flow) -> tuple[Value, ...] | None:
        """Run what ``map()`` has been given for each item; None where these are not known."""

    @abstractmethod
    def note_cut_short(self) -> None:
        """Note that something is not followed because the program's budget is used up."""

    @abstractmethod
    def yielded(self, node: p.Yield, value: Value, flow: Flow) -> None:
        """What happens where a generator hands a value over."""

    @abstractmethod
    def make_lambda(self, node: p.Lambda, flow: Flow) -> Value:
        """Register a lambda, so that a call of it can be followed."""

    @abstractmethod
    def assign_to(self, target: p.Expression, value: Value, at: Span, flow: Flow) -> None:
        """Assign a value, which is written ``at`` a place, to a target of any kind."""

    @abstractmethod
    def machine_test(self, node: p.Comparison, on_one: bool) -> None:
        """Note a comparison that comes out as ``on_one`` where all processes run on one machine."""

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

    @abstractmethod
    def special(
        self, base: Value, name: str, arguments: Sequence[Value], flow: Flow
    ) -> Value | None:
        """Call a method that Python calls by itself, such as ``__getitem__``, if an object of the
        project has it; what it returns."""

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
        try:
            yield
        finally:
            self._times = before

    def evaluate(self, node: p.Expression, flow: Flow) -> Value:
        """The value of an expression; calls in it take effect on ``flow``."""
        return _RULES[type(node)](self, node, flow)

    def lookup(self, name: str, flow: Flow) -> Value | None:
        """The value bound to a name, or None where the file binds it nowhere in sight."""
        return flow.lookup(self.scopes, name)

    def _literal(self, node: p.Literal, flow: Flow) -> Value:
        found: Known | None = node.found
        if found is not None and found.origin is not None and found.origin.file == self.file:
            return found
        if type(node.value) is int and number(node.value) is UNKNOWN:
            return UNKNOWN
        found = Known(node.value, Place(self.file, node.span))
        object.__setattr__(node, "found", found)
        return found

    def _name(self, node: p.Name, flow: Flow) -> Value:
        value = self.lookup(node.id, flow)
        if value is None:
            self.fallible |= node.id not in _ALWAYS_BOUND
            return THIS_FILE if node.id == THIS_FILE.name else UNKNOWN
        return value

    def _attribute(self, node: p.Attribute, flow: Flow) -> Value:
        if node.name == OWN_RANK:
            self.note_own_rank(node, flow)
        return self.attribute(self.evaluate(node.base, flow), node.name, flow)

    def attribute(self, base: Value, name: str, flow: Flow) -> Value:
        """The attribute of a value. What may be None is taken for what has the attribute: it is
        None where an optional module is missing."""
        if not isinstance(base, AnyOf):
            found = self._attribute_of_one(base, name, flow)
            self.fallible |= found is None
            return UNKNOWN if found is None else found
        several = [self._attribute_of_one(single, name, flow) for single in base.values]
        return any_of(found for found in several if found is not None)

    def _attribute_of_one(self, base: Value, name: str, flow: Flow) -> Value | None:
        """The attribute of a single value; None of what has none."""
        if isinstance(base, Symbol):
            if name == "environ" and base.name == "os":
                return flow.get(_INPUTS, _ENVIRONMENT.name) or _ENVIRONMENT
            self.fallible |= lacks(base.name, name)
            found = flow.get(_REPLACED, f"{base.name}.{name}") if name in REPLACEABLE else None
            return found or Symbol(f"{base.name}.{name}")
        if name == "__dict__":
            return Bound(ATTRIBUTES, base, None)
        if isinstance(base, (Instance, ClassValue, ModuleValue)):
            return self.attribute_of(base, name, flow)
        if isinstance(base, Bound) and base.kind == SPEC and name == "loader":
            return base
        if isinstance(base, Known):
            if name == "value":
                return base  # of an enum's member
            if base.value is None:
                return None
        if isinstance(base, Member):
            if name == "name":
                return Known(base.name)
            return base.value if name == "value" else self.attribute_of(base, name, flow)
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

    def bind_environment(self, value: Value, flow: Flow) -> None:
        """Let ``os.environ`` be something else from now on."""
        flow.bind(_INPUTS, _ENVIRONMENT.name, value)

    def replace_symbol(self, name: str, value: Value, flow: Flow) -> None:
        """Let something imported be something else from now on."""
        flow.bind(_REPLACED, name, value)

    def replaced_symbols(self, flow: Flow) -> dict[str, Value]:
        """What stands in the place of things imported, by their dotted names."""
        return dict(flow.frame(_REPLACED))

    def set_part(self, base: Value, part: str, value: Value, flow: Flow) -> None:
        """Remember what is assigned to such an attribute or item."""
        if isinstance(base, Returned) and base.frame is not None:
            flow.bind(base.frame, part, value)
        elif isinstance(base, Input):
            flow.bind(_INPUTS, f"{base.name}{part}", value)

    def _call(self, node: p.Call, flow: Flow) -> Value:
        return self.call(node, flow)

    def _template(self, node: p.Template, flow: Flow) -> Value:
        values = [self.printed(self.evaluate(part, flow), flow) for part in node.parts]
        return concatenate(list(map(formatted, values)))

    def _formatted(self, node: p.Formatted, flow: Flow) -> Value:
        return with_format(self.evaluate(node.value, flow), node.conversion, node.specification)

    def printed(self, value: Value, flow: Flow) -> Value:
        """What stands for a value in a text: what its class's own ``__str__`` gives, if it has
        one."""
        made = self.special(value, "__str__", (), flow) if isinstance(value, Instance) else None
        return value if made is None else made

    def _slice(self, node: p.Slice, flow: Flow) -> Value:
        self._bounds(node, flow)
        return UNKNOWN

    def _bounds(self, node: p.Slice, flow: Flow) -> list[Value]:
        bounds = (node.lower, node.upper, node.step)
        return [Known(None) if one is None else self.evaluate(one, flow) for one in bounds]

    def _sequence(self, node: p.Sequence, flow: Flow) -> Value:
        values = tuple(self.evaluate(item, flow) for item in node.items)
        starred = any(isinstance(item, p.Opaque) and item.children for item in node.items)
        return Typed(node.kind) if starred else Items(node.kind, values)

    def _mapping(self, node: p.Mapping, flow: Flow) -> Value:
        found = Pairs(())
        entries: list[tuple[Value, Value]] = []
        for key, item in node.items:
            if key is None:
                inner = self.as_pairs(self.evaluate(item, flow), flow)
                found = merged(found, merged(Pairs(tuple(entries)), inner))
                entries = []
            else:
                named = self.named(key, self.evaluate(key, flow), flow)
                entries.append((named, self.evaluate(item, flow)))
        last = Pairs(tuple(entries))
        return last if found == Pairs(()) else merged(found, last)

    def named(self, node: p.Expression, value: Value, flow: Flow) -> Value:
        """The value of an expression that is a name; of one that is not known at least how it
        begins."""
        prefix = self._beginning(node, flow) if isinstance(value, Unknown) else ""
        return Text((Known(prefix), ANOTHER_NAME)) if prefix else value

    def _beginning(self, node: p.Expression, flow: Flow) -> str:
        """The known text that a text begins with."""
        match node:
            case p.Literal(value=str(text)):
                return text
            case p.Name(id=name):
                return text_of(self.lookup(name, flow) or UNKNOWN) or ""
            case p.Template(parts=(first, *_)) | p.Binary(left=first, operator="+"):
                return self._beginning(first, flow)
            case p.Binary(left=first, operator="%"):
                return self._beginning(first, flow).partition("%")[0]
            case p.Call(function=p.Attribute(base=base, name="format")):
                return self._beginning(base, flow).partition("{")[0]
            case p.Call(function=p.Attribute(base=base, name=("upper" | "lower") as method)):
                text = self._beginning(base, flow)
                return text.upper() if method == "upper" else text.lower()
        return ""

    def _subscript(self, node: p.Subscript, flow: Flow) -> Value:
        base = self.evaluate(node.base, flow)
        if isinstance(base, Symbol) and base.name == "sys.modules":
            if isinstance(node.key, p.Name) and node.key.id == "__name__":
                return ModuleValue(self.file)
        if isinstance(node.key, p.Slice):
            return sliced(base, self._bounds(node.key, flow))
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
        if isinstance(base, Symbol) and base.name == "sys.argv" and isinstance(constant, int):
            self.fallible = True
            return Input(f"sys.argv[{constant!r}]")
        if isinstance(base, Pairs) and isinstance(key, Known):
            found = base.get(constant)
            if found is not None:
                return found
        if (found_in_text := item_of_text(base, key)) is not None:
            self.fallible |= found_in_text.raises
            return found_in_text.value
        if isinstance(base, (ClassValue, ModuleValue)) and isinstance(constant, str):
            return self.attribute_of(base, constant, flow)
        if isinstance(base, Bound) and base.kind == ATTRIBUTES and isinstance(constant, str):
            return self.attribute(base.callee, constant, flow)
        if isinstance(base, Pairs) and isinstance(key, Member):
            return next((held for name, held in reversed(base.entries) if name == key), UNKNOWN)
        if isinstance(base, Items) and base.kind == "some":
            self.fallible = True
            return any_of(base.values)
        if isinstance(base, Items) and base.kind not in ("set", "many"):
            if isinstance(constant, int) and -len(base.values) <= constant < len(base.values):
                return base.values[constant]
        self.fallible = True
        if (found := self.special(base, "__getitem__", (key,), flow)) is not None:
            return found
        if isinstance(base, Pairs) and not isinstance(key, Known):
            return callable_of(base)
        return self._part(base, f"[{constant!r}]", flow) if isinstance(key, Known) else UNKNOWN

    def environment(self, variable: str, flow: Flow) -> Value:
        """What reading an environment variable gives."""
        return any_of(
            EnvironmentValue(variable) if written.value is None else written.value
            for written in flow.holds(variable)
        )

    def environment_copy(self, flow: Flow) -> Pairs:
        """A copy of the process environment, as a dict."""
        names = dict.fromkeys((MASK, ORDER, *flow.header_variables()))
        held = tuple((name, self.environment(name, flow)) for name in names)
        return Pairs((), open=True, copied=held)

    def as_pairs(self, value: Value, flow: Flow) -> Pairs:
        """A dict with what a mapping holds, as far as it is known."""
        if value == _ENVIRONMENT:
            return self.environment_copy(flow)
        return value if isinstance(value, Pairs) else Pairs((), open=True)

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
        for side in (node.left, node.right):
            for operand in side.items if isinstance(side, p.Sequence) else (side,):
                if isinstance(operand, p.Call):
                    self.comparands.add((self.file, operand.span))
        left = self.test(node.left, flow)
        right = self.test(node.right, flow)
        if type(left) in _COUNTING or type(right) in _COUNTING:
            on_one = outcome_on_one_machine(left, node.operator, right)
            if on_one is not None:
                self.machine_test(node, on_one)
        if VISIBLE in (*alternatives(left), *alternatives(right)):
            return self._counted(node, left, right, flow)
        if isinstance(right, Symbol) and right.name == "os.environ":
            return membership(node.operator, text_of(left), flow)
        if isinstance(left, Known) and isinstance(right, Known):
            return compared(left.value, node.operator, right.value)
        if isinstance(left, Member) and isinstance(right, Member) and left.cls == right.cls:
            return compared(left.name, node.operator, right.name)
        if node.operator in ("is", "is not", "==", "!="):
            for one, other in ((left, right), (right, left)):
                if isinstance(one, Known) and one.value is None and isinstance(other, _SOMETHING):
                    return Known(node.operator in ("is not", "!="))
        elif isinstance(right, (Items, Pairs)) and isinstance(left, Known):
            return contained(node.operator, left, right)
        elif isinstance(right, Instance) and node.operator in ("in", "not in"):
            self.special(right, "__contains__", (left,), flow)
        return UNKNOWN

    def _counted(self, node: p.Comparison, left: Value, right: Value, flow: Flow) -> Value:
        """A comparison of what may be the number of devices."""
        operator = node.operator
        if VISIBLE in alternatives(right):
            left, right, operator = right, left, MIRRORED.get(operator, "?")
        if not isinstance(right, Known) or not isinstance(right.value, int):
            return UNKNOWN
        if left == VISIBLE:
            self.count_test(node, operator, right.value, flow)
        return any_of(
            counted(operator, right.value)
            if one == VISIBLE
            else compared(one.value, operator, right.value)
            if isinstance(one, Known)
            else UNKNOWN
            for one in alternatives(left)
        )

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
        if (kept := both(node.operator, left, right)) is not None:
            return kept
        return any_of((left, right)) if node.operator == "or" else UNKNOWN

    def _unary(self, node: p.Unary, flow: Flow) -> Value:
        value = self.test(node.operand, flow)
        if node.operator == "not":
            truth = truth_of(value)
            return opposite(value) or UNKNOWN if truth is None else Known(not truth)
        return UNKNOWN

    def _binary(self, node: p.Binary, flow: Flow) -> Value:
        left, right = self.evaluate(node.left, flow), self.evaluate(node.right, flow)
        self.fallible |= cannot_be_joined(left, node.operator, right)
        if node.operator == "+":
            if isinstance(left, Items) and isinstance(right, Items):
                return joined(left, right)
            if may_be_text(left) or may_be_text(right):
                return concatenate((left, right))
        if isinstance(left, Known) and isinstance(right, Known):
            return arithmetic(left, node.operator, right)
        if isinstance(left, (Input, EnvironmentValue)) and isinstance(right, Known):
            by = right.value
            if type(by) is int and node.operator in ("%", "//", "+", "-"):
                name = left.name if isinstance(left, Input) else f"${left.variable}"
                return input_named(f"({name} {node.operator} {by})")
        if node.operator == "/" and text_of(right) is not None:
            return path_of((left, right)) or UNKNOWN
        if node.operator == "|" and (isinstance(left, Pairs) or isinstance(right, Pairs)):
            return merged(self.as_pairs(left, flow), self.as_pairs(right, flow))
        if node.operator == "*" and isinstance(left, Items) and isinstance(right, Known):
            if isinstance(right.value, int) and 0 <= right.value * len(left.values) <= MOST_ITEMS:
                return Items(left.kind, left.values * right.value)
        if node.operator == "%" and (template := text_of(left)) is not None:
            several = isinstance(right, Items) and right.kind == "tuple"
            values = right.values if isinstance(right, Items) and several else (right,)
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
        is_dict = len(node.generators) == 1 and node.kind == "dict"
        known = self._environment_items(first.iterable, flow) if is_dict else None
        pairs = tuple(Items("tuple", (Known(name), value)) for name, value in known or ())
        iterable = Items("list", pairs) if known else self.evaluate(first.iterable, flow)
        items = self.iterate(iterable, flow)
        results: list[Value] = []
        if len(node.generators) == 1 and items is not None and self.may_repeat(len(items)):
            is_complete = True
            with self.repeating(len(items)):
                for item in items:
                    self.assign_names(first.target, item, flow)
                    is_complete &= self._run_elements(
                        node, item, results, flow, of_environment=bool(known)
                    )
            items = items if is_complete else None
        else:
            inner = flow.copy()
            results = self._run_generators(node, items, inner)
            flow.join(inner)
            items = None
        for name, value in saved.items():
            flow.bind(frame, name, UNKNOWN if value is None else value)
        if items is None and (node.kind != "dict" or len(results) != 2):
            return Typed(node.kind)
        if node.kind != "dict" and isinstance(iterable, Items) and iterable.kind in UNCOUNTED:
            return Items(iterable.kind, tuple(results))
        if node.kind == "dict":
            entries = tuple(zip(results[::2], results[1::2], strict=True))
            is_copy = [text_of(key) for key, _ in entries] == [name for name, _ in known or ()]
            return Pairs(entries, bool(known), known if known and is_copy else ())
        return Items(node.kind, tuple(results))

    def _environment_items(
        self, node: p.Expression, flow: Flow
    ) -> tuple[tuple[str, Value], ...] | None:
        """The items of the process environment, or of a copy of it, that are about GPUs."""
        match node:
            case p.Call(function=p.Attribute(base=p.Name() | p.Attribute() as base, name="items")):
                pairs = self.as_pairs(self.evaluate(base, flow), flow)
                names = (MASK, ORDER) if pairs.copied else ()
                held = [(name, pairs.holds(name)) for name in names]
                return tuple((name, value) for name, value in held if value is not None)
        return None

    def _run_elements(
        self,
        node: p.Comprehension,
        item: Value,
        results: list[Value],
        flow: Flow,
        *,
        of_environment: bool,
    ) -> bool:
        """Run a comprehension's elements for one item, if its conditions hold; whether it is known
        what this adds to the results. A dict ``of_environment`` has None for what it lacks."""
        skipped: list[Flow] = []
        for condition in node.generators[0].conditions:
            truth = self.truth(condition, flow)
            if truth is False:
                if of_environment:
                    results += [self.evaluate(node.elements[0], flow), Known(None)]
                flow.join_all(skipped)
                return not skipped or of_environment
            if truth is None:
                skipped.append(flow.copy())
            self.refine(condition, True, flow)
        results += [self.evaluate(element, flow) for element in node.elements]
        if skipped and of_environment:
            results[-1] = any_of((results[-1], Known(None)))
        flow.join_all(skipped)
        return not skipped or of_environment or ANOTHER_NAME in (item, *held_by(item))

    def _run_generators(
        self, node: p.Comprehension, items: tuple[Value, ...] | None, flow: Flow
    ) -> list[Value]:
        """Run a comprehension's parts once, for any of the items; the values of its elements."""
        others: set[str | None] = set()
        for position, generator in enumerate(node.generators):
            if position:
                items = self.iterate(self.evaluate(generator.iterable, flow), flow)
            self.assign_names(generator.target, one_of(items or ()), flow)
            for condition in generator.conditions:
                self.test(condition, flow)
                others.add(self._another_name(condition, True, flow))
        return [
            ANOTHER_NAME
            if (name := unnamed(element)) is not None and name in others
            else self.named(element, self.evaluate(element, flow), flow)
            for element in node.elements
        ]

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
        elif isinstance(target, (p.Subscript, p.Attribute)):
            self.assign_to(target, value, target.span, flow)
        else:
            for name in bound_names(target):
                flow.bind(self.scopes[-1], name, UNKNOWN)

    def iterate(self, value: Value, flow: Flow) -> tuple[Value, ...] | None:
        """The items that iterating yields, or None; a generator that waits runs now."""
        if isinstance(value, Items):
            return value.values
        if isinstance(value, Pairs) and value.is_listed:
            return tuple(key for key, _ in value.entries)
        if (text := text_of(value)) is not None and len(text) <= _LONGEST_TEXT:
            return tuple(map(Known, text))
        if value == _ENVIRONMENT and (names := flow.header_variables()):
            return (*map(Known, names), ANOTHER_NAME)
        if isinstance(value, Instance):
            value = self.special(value, "__iter__", (), flow) or value
            if isinstance(value, Items):
                return value.values
        if isinstance(value, Bound) and value.kind == "map":
            return self.mapped(value, flow)
        if isinstance(value, Bound) and value.kind == "generator":
            self.resume(value, flow)
        else:
            self.fallible = True
        return None

    def _yield(self, node: p.Yield, flow: Flow) -> Value:
        value = self.evaluate(node.value, flow) if node.value is not None else UNKNOWN
        if isinstance(value, Bound):
            self.iterate(value, flow)
        self.yielded(node, value, flow)
        return UNKNOWN

    def _await(self, node: p.Await, flow: Flow) -> Value:
        return self.awaited(node, flow)

    def _opaque(self, node: p.Opaque, flow: Flow) -> Value:
        for child in node.children:
            self.evaluate(child, flow)
        return UNKNOWN


def callable_of(table: Pairs) -> Value:
    """What a table of functions holds under a key that is not known: one of them; nothing is known
    of what other dicts hold there."""
    held = [value for _, value in table.entries]
    if held and all(isinstance(value, (FunctionValue, ClassValue, Bound)) for value in held):
        return any_of(held)
    return UNKNOWN


def adapted(value: Value, flow: Flow) -> Value:
    """A value chosen because several devices were counted fits them: it is not judged."""
    return UNKNOWN if flow.needs > 1 else value


_SOMETHING = (
    Symbol, ModuleValue, FunctionValue, ClassValue, Instance, Items, Pairs, Bound, Member, Typed,
)  # fmt: skip
"""Values that are not None."""


_RULES: dict[type[Any], _Rule] = {
    p.Literal: Evaluator._literal,
    p.Name: Evaluator._name,
    p.Attribute: Evaluator._attribute,
    p.Call: Evaluator._call,
    p.Template: Evaluator._template,
    p.Formatted: Evaluator._formatted,
    p.Sequence: Evaluator._sequence,
    p.Mapping: Evaluator._mapping,
    p.Subscript: Evaluator._subscript,
    p.Slice: Evaluator._slice,
    p.Conditional: Evaluator._conditional,
    p.Comparison: Evaluator._comparison,
    p.Boolean: Evaluator._boolean,
    p.Unary: Evaluator._unary,
    p.Binary: Evaluator._binary,
    p.Lambda: Evaluator._lambda,
    p.Walrus: Evaluator._walrus,
    p.Comprehension: Evaluator._comprehension,
    p.Yield: Evaluator._yield,
    p.Await: Evaluator._await,
    p.Opaque: Evaluator._opaque,
}
