"""Functions and classes of the file itself: calls are followed into their bodies."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field

from gpu_lint.facts import program as p
from gpu_lint.facts.effects import Arguments, Effects
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.knowledge import Knowledge
from gpu_lint.facts.model import Mark, Reach
from gpu_lint.facts.recorder import Recorder
from gpu_lint.facts.values import (
    UNKNOWN,
    ClassValue,
    FunctionValue,
    Instance,
    Known,
    Returned,
    Symbol,
    Unknown,
    Value,
    alternatives,
    any_of,
)
from gpu_lint.source import Span

MODULE = 0
"""The frame of the module's own names."""
_DEEPEST_CALL = 12
_MOST_STATEMENTS = 60_000
"""Statements run per file before calls are no longer followed: bounds time, not correctness."""


@dataclass(eq=False)
class Function:
    node: p.Function | p.Lambda
    scopes: tuple[int, ...]
    owner: int | None
    executed: bool = False


@dataclass(eq=False)
class Class:
    node: p.Class
    attributes: dict[str, Value] = field(default_factory=dict)


@dataclass(eq=False)
class Frame:
    """A running function: where its returns and its loops' early ends go."""

    name: str
    returns: list[Flow] = field(default_factory=list)
    results: list[Value] = field(default_factory=list)
    loop_ends: list[list[Flow]] = field(default_factory=list)


class Calls(Effects):
    """Keeps the functions and classes that were met, and enters them where they are called."""

    def __init__(self, knowledge: Knowledge, recorder: Recorder) -> None:
        self.knowledge = knowledge
        self.recorder = recorder
        self.scopes = (MODULE,)
        self.reach = Reach.MODULE
        self.statement: p.Statement = p.Pass(Span(0, 0))
        self.attributes_changed = False
        self._known_attributes: dict[Span, dict[str, Value]] = {}
        self._functions: dict[int, Function] = {}
        self._classes: dict[int, Class] = {}
        self._frame = Frame("")
        self._running: list[int] = []
        self._class_depth = 0
        self._branches = 0
        self._next_scope = 1
        self._budget = _MOST_STATEMENTS

    @abstractmethod
    def block(self, statements: p.Block, flow: Flow) -> None:
        """Run statements in order until the path ends."""

    def make_lambda(self, node: p.Lambda, flow: Flow) -> Value:
        return self._register(node, None)

    def _register(self, node: p.Function | p.Lambda, owner: int | None) -> FunctionValue:
        key = node.span.start
        if key not in self._functions:
            self._functions[key] = Function(node, self.scopes, owner)
        return FunctionValue(key, self.scopes)

    def attribute_of(self, base: Value, name: str, node: p.Attribute, flow: Flow) -> Value:
        assert isinstance(base, (Instance, ClassValue))
        key = base.cls if isinstance(base, Instance) else base.key
        found = self._classes[key].attributes.get(name) if key in self._classes else None
        if found is None:
            return UNKNOWN
        receiver = base if isinstance(base, Instance) else None
        bound = [
            FunctionValue(single.key, single.scopes, receiver)
            if isinstance(single, FunctionValue)
            else single
            for single in alternatives(found)
        ]
        if all(isinstance(single, FunctionValue) for single in bound):
            return any_of(bound)
        return any_of((*bound, UNKNOWN))

    def _set_attribute(self, cls: int, name: str, value: Value) -> None:
        known = self._classes.get(cls)
        if known is not None:
            old = known.attributes.get(name)
            new = value if old is None else any_of((old, value))
            if new != old:
                known.attributes[name] = new
                self.attributes_changed = True

    def call(self, node: p.Call, flow: Flow) -> Value:
        callee: Value
        receiver: Value = UNKNOWN
        if isinstance(node.function, p.Attribute):
            receiver = self.evaluate(node.function.base, flow)
            callee = self._attribute(node.function, flow)
        elif isinstance(node.function, p.Name):
            found = self.lookup(node.function.id, flow)
            if found is None:
                args = self.arguments(node, flow)
                return self.builtin_call(node.function.id, node, args, flow)
            callee = found
        else:
            callee = self.evaluate(node.function, flow)
        if isinstance(callee, Symbol) and callee.name == "os.environ.update":
            self._update(node, flow)
            return UNKNOWN
        args = self.arguments(node, flow)
        results = [
            self._call_one(single, receiver, node, args, flow) for single in alternatives(callee)
        ]
        return any_of(results)

    def _call_one(
        self, callee: Value, receiver: Value, node: p.Call, args: Arguments, flow: Flow
    ) -> Value:
        if isinstance(callee, Symbol):
            if self.knowledge.framework_of(callee.name) is None and "." in callee.name:
                self._note_call(callee.name.rpartition(".")[2], node)
            return self.symbol_call(callee.name, node, args, flow)
        if isinstance(callee, FunctionValue) and callee.key in self._functions:
            function = self._functions[callee.key]
            if isinstance(function.node, p.Function):
                self._note_call(function.node.name, node)
            return self._enter(callee, args, flow)
        if isinstance(callee, ClassValue) and callee.key in self._classes:
            instance = Instance(callee.key)
            self.generic_device(node, self._classes[callee.key].node.name, args, flow)
            found = self._classes[callee.key].attributes.get("__init__")
            if isinstance(found, FunctionValue) and found.key in self._functions:
                self._enter(FunctionValue(found.key, found.scopes, instance), args, flow)
            else:
                flow.quiet = frozenset()
            return instance
        if isinstance(callee, (Unknown, Returned)) and isinstance(node.function, p.Attribute):
            return self.method_call(receiver, node, args, flow)
        if isinstance(node.function, p.Name) and not isinstance(callee, Known):
            self.generic_device(node, node.function.id, args, flow)
        flow.quiet = frozenset()
        return UNKNOWN

    def _note_call(self, name: str, node: p.Call) -> None:
        ignored = isinstance(self.statement, p.Evaluate) and self.statement.value is node
        self.recorder.call(name, node.span, self.reach, ignored)

    def _enter(self, callee: FunctionValue, args: Arguments | None, flow: Flow) -> Value:
        """Follow a call into its body; without ``args``, as an unknown caller would call it."""
        function = self._functions[callee.key]
        too_deep = len(self._running) >= _DEEPEST_CALL or self._budget <= 0
        if callee.key in self._running or (too_deep and args is not None):
            flow.quiet = frozenset()
            return UNKNOWN
        function.executed = True
        scope = self._next_scope
        self._next_scope += 1
        name = function.node.name if isinstance(function.node, p.Function) else "lambda"
        saved = (self.scopes, self._frame, self.statement, self.reach, self._class_depth)
        here = flow.imported_here
        self.scopes = (*callee.scopes, scope)
        self._bind_parameters(function.node, callee, args, scope, flow)
        if args is not None:
            self.reach = min(self.reach, Reach.CALLED)
        self._frame, self._class_depth = Frame(name), 0
        self._running.append(callee.key)
        if args is not None:
            flow.imported_here = Mark()
        if isinstance(function.node, p.Lambda):
            result = self.evaluate(function.node.body, flow)
        else:
            self.block(function.node.body, flow)
            for returned in self._frame.returns:
                flow.join(returned)
            result = any_of(self._frame.results) if self._frame.results else UNKNOWN
        self._running.pop()
        self.scopes, self._frame, self.statement, self.reach, self._class_depth = saved
        flow.imported_here = (
            here if here.certainty >= flow.imported_here.certainty else (flow.imported_here)
        )
        flow.frames.pop(scope, None)
        return result

    def _bind_parameters(
        self,
        node: p.Function | p.Lambda,
        callee: FunctionValue,
        args: Arguments | None,
        scope: int,
        flow: Flow,
    ) -> None:
        position = 0
        parameters = list(node.parameters)
        if callee.receiver is not None and parameters:
            flow.bind(scope, parameters.pop(0).name, callee.receiver)
        for parameter in parameters:
            value: Value = UNKNOWN
            if not parameter.star:
                default = self._default(parameter, flow)
                found = None
                if args is not None:
                    index = None if parameter.keyword_only else position
                    found = args.find(index, parameter.name)
                if found is not None:
                    value = found[1]
                elif args is None or not args.exact:
                    value = any_of((default, UNKNOWN))
                else:
                    value = default
                position += not parameter.keyword_only
            flow.bind(scope, parameter.name, value)

    def _default(self, parameter: p.Parameter, flow: Flow) -> Value:
        """A parameter's default; only constants and names are looked at again here."""
        if isinstance(parameter.default, (p.Literal, p.Name, p.Attribute, p.Template)):
            return self.evaluate(parameter.default, flow.copy())
        return UNKNOWN
