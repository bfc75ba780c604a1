"""Statements: each does to the state what Python would do."""

from __future__ import annotations

from typing import TypeGuard

from gpu_lint.facts import program as p
from gpu_lint.facts.attempts import Attempts
from gpu_lint.facts.environment import Arguments
from gpu_lint.facts.evaluation import adapted
from gpu_lint.facts.events import ClassMet, MethodMet
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.model import Form, Mark, Outcome, Setting, in_order
from gpu_lint.facts.reading import Reading
from gpu_lint.facts.values import (
    UNKNOWN,
    Bound,
    ClassValue,
    FunctionValue,
    Input,
    Instance,
    Items,
    Key,
    Known,
    Pairs,
    Returned,
    Symbol,
    Value,
    alternatives,
    constants,
    with_entry,
)
from gpu_lint.facts.walk import last_name, plain_names
from gpu_lint.facts.world import World
from gpu_lint.source import Span


class Statements(Attempts):
    """Runs statements of every kind."""

    reading: Reading
    """What the file says that is run; perhaps no more of it than its header."""

    def __init__(self, world: World, file: str, *, follow_imports: bool) -> None:
        super().__init__(world, file, follow_imports=follow_imports)
        self._globals: dict[int, frozenset[str]] = {}
        self._tops: dict[str, frozenset[Span]] = {}

    def block(self, statements: p.Block, flow: Flow) -> None:
        """Run statements in order until the path ends."""
        for statement in statements:
            if self._by_itself and flow.has_used:
                flow.alive = False
            if not flow.alive:
                return
            self._budget -= 1
            self.execute(statement, flow)

    def execute(self, node: p.Statement, flow: Flow) -> None:
        """Run one statement."""
        outer, self.statement = self.statement, node
        match node:
            case p.Evaluate():
                self.evaluate(node.value, flow)
            case p.Assign():
                self._assign(node, flow)
            case p.Delete():
                self._delete(node, flow)
            case p.Import():
                self.run_import(node, flow)
            case p.Return():
                value = self.evaluate(node.value, flow) if node.value else Known(None)
                if flow.alive:
                    self._frame.results.append(value)
                    self._frame.returns.append(flow.copy())
                    flow.alive = False
            case p.Raise():
                for raised in node.values:
                    self.evaluate(raised, flow)
                self.end_path(_raised_name(node), flow)
            case p.Jump():
                ends = self._frame.breaks if node.kind == "break" else self._frame.continues
                if ends:
                    ends[-1].append(flow.copy())
                flow.alive = False
            case p.Assert():
                self._assert(node, flow)
            case p.Global():
                scope = self.scopes[-1]
                self._globals[scope] = self._globals.get(scope, frozenset()) | set(node.names)
            case p.If():
                self._if(node, flow)
            case p.For():
                self._for(node, flow)
            case p.While():
                self._while(node, flow)
            case p.Try():
                self._try(node, flow)
            case p.With():
                self._with(node, 0, flow)
            case p.Match():
                self._match(node, flow)
            case p.Function():
                self._function(node, flow)
            case p.Class():
                self._class(node, flow)
            case p.Pass() | p.Declare():
                pass
        self.statement = outer

    # --- names ---------------------------------------------------------------------------

    def bind(self, name: str, value: Value, flow: Flow) -> None:
        scope = self.scopes[-1]
        if name in self._globals.get(scope, ()):
            scope = self._scope_of(name, flow)
        flow.bind(scope, name, value)

    def _scope_of(self, name: str, flow: Flow) -> int:
        """The frame that a ``global`` or ``nonlocal`` name lives in."""
        for frame in reversed(self.scopes[1:-1]):
            if flow.get(frame, name) is not None:
                return frame
        return self.scopes[0]

    def _assign(self, node: p.Assign, flow: Flow) -> None:
        target = node.targets[0]
        if node.operator == "|" and self._is_environ(target, flow):
            self.update_from(node.value, flow)
            return
        if node.operator:
            value = self.evaluate(p.Binary(node.span, target, node.operator, node.value), flow)
        else:
            value = self.evaluate(node.value, flow)
        if isinstance(target, p.Name) and target.id == "pytestmark":
            self._note_skip(node.value, flow)
        for target in node.targets:
            self._assign_to(target, value, node.value.span, flow)

    def _assign_to(self, target: p.Expression, value: Value, at: Span, flow: Flow) -> None:
        match target:
            case p.Name():
                self.bind(target.id, adapted(value, flow), flow)
            case p.Attribute():
                for base in alternatives(self.evaluate(target.base, flow)):
                    self.set_attribute(base, target.name, adapted(value, flow), flow)
            case p.Subscript():
                self._assign_item(target, value, at, flow)
            case p.Sequence():
                items: tuple[Value, ...] = ()
                if isinstance(value, Items) and len(value.values) == len(target.items):
                    items = value.values
                for number, item in enumerate(target.items):
                    self._assign_to(item, items[number] if items else UNKNOWN, at, flow)
            case _:
                self.assign_names(target, UNKNOWN, flow)

    def _assign_item(self, target: p.Subscript, value: Value, at: Span, flow: Flow) -> None:
        if self._is_environ(target.base, flow):
            for variable in self._keys(target.key, flow):
                self.write(variable, value, Form.ASSIGN, target.key.span, at, flow)
            return
        base, key = self.evaluate(target.base, flow), self.evaluate(target.key, flow)
        if isinstance(base, Pairs) and isinstance(key, Known):
            flow.change(base, with_entry(base, key, value))
        elif isinstance(base, Items) and isinstance(key, Known) and type(key.value) is int:
            values = list(base.values)
            if -len(values) <= key.value < len(values):
                values[key.value] = value
                flow.change(base, Items(base.kind, tuple(values)))
        elif isinstance(key, Known) and not isinstance(base, (Pairs, Items)):
            self.set_part(base, f"[{key.value!r}]", value, flow)
        else:
            for changed in alternatives(base):
                if isinstance(changed, (Items, Pairs, Returned, Input)):
                    flow.change(changed, UNKNOWN)

    def _keys(self, key: p.Expression, flow: Flow) -> list[str]:
        """The variable that a subscript names: known only if every alternative is."""
        known = constants(self.evaluate(key, flow))
        if known is None or any(not isinstance(k.value, str) for k in known):
            return []
        return [str(k.value) for k in known]

    def _is_environ(self, node: p.Expression, flow: Flow) -> bool:
        if not isinstance(node, (p.Name, p.Attribute)):
            return False
        return self.evaluate(node, flow) == Symbol("os.environ")

    def _delete(self, node: p.Delete, flow: Flow) -> None:
        for target in node.targets:
            if isinstance(target, p.Name):
                self.bind(target.id, UNKNOWN, flow)
            elif isinstance(target, p.Subscript) and self._is_environ(target.base, flow):
                for variable in self._keys(target.key, flow):
                    span = target.key.span
                    self.write(variable, None, Form.REMOVE, span, span, flow)

    def _assert(self, node: p.Assert, flow: Flow) -> None:
        truth = self.truth(node.test, flow)
        self.note_outcome(node.test, False, Outcome.RAISES, flow)
        if truth is False:
            self.end_path("AssertionError", flow)
            return
        if truth is None:
            self.fallible = True
        self.refine(node.test, True, flow)

    # --- compound statements ---------------------------------------------------------------

    def _with(self, node: p.With, number: int, flow: Flow) -> None:
        """Enter a statement's context managers from one on, then run its body."""
        if number == len(node.items):
            self.block(node.body, flow)
            return
        item, target = node.items[number]
        value = self.evaluate(item, flow)
        self.entered(value, item.span, flow)
        if isinstance(value, Bound) and value.kind == "generator":
            here = self._activation()

            def run_body(inner: Flow) -> None:
                there = self._activation()
                self._restore(here)
                if target is not None:
                    self.assign_names(target, UNKNOWN, inner)
                self._with(node, number + 1, inner)
                self._restore(there)

            self.resume_with(value, flow, run_body)
            return
        if isinstance(value, Returned) and value.symbol == "contextlib.suppress":
            rest = p.With(node.span, node.items[number + 1 :], node.body)
            types = tuple(last_name(a.value) for a in item.arguments) if _is_call(item) else ()
            handler = p.Handler(types or ("Exception",), None, ())
            self._try(p.Try(node.span, (rest,), (handler,), (), ()), flow)
            return
        left: Value | None = None
        if isinstance(value, Instance):
            entered = self.attribute_of(value, "__enter__", flow)
            left = self.attribute_of(value, "__exit__", flow)
            if isinstance(entered, FunctionValue):
                value = self.enter(entered, Arguments(), flow, item.span)
        if isinstance(target, p.Name):
            self.bind(target.id, value, flow)
        elif target is not None:
            self.assign_names(target, value, flow)
        self._with(node, number + 1, flow)
        if isinstance(left, FunctionValue) and flow.alive:
            nothing: list[tuple[p.Expression, Value]] = [(item, Known(None))] * 3
            self.enter(left, Arguments(nothing), flow, item.span)

    def _match(self, node: p.Match, flow: Flow) -> None:
        self.evaluate(node.subject, flow)
        for name in node.captures:
            self.bind(name, UNKNOWN, flow)
        paths: list[Flow] = []
        with self._branch():
            for case in node.cases:
                path = flow.copy()
                self.block(case, path)
                paths.append(path)
        flow.alive = not node.exhaustive
        flow.join_all(paths)

    def _function(self, node: p.Function, flow: Flow) -> None:
        decorators = [(d, self.evaluate(d, flow)) for d in node.decorators]
        for decorator in node.decorators:
            self._note_skip(decorator, flow)
        for parameter in node.parameters:
            if parameter.default is not None:
                self.default_device(parameter, self.evaluate(parameter.default, flow), flow)
        owner = self._owner if self._class_depth else None
        value: Value = self.register(node, owner)
        for decorator, callee in reversed(decorators):
            call = p.Call(decorator.span, decorator, ())
            if isinstance(callee, (FunctionValue, ClassValue, Symbol, Bound)):
                args = Arguments([(decorator, value)])
                result = self.call_value(callee, call, args, flow)
                if isinstance(result, (FunctionValue, Instance, Bound)):
                    value = result
        self.bind(node.name, value, flow)

    def _note_skip(self, decorator: p.Expression, flow: Flow) -> None:
        """``@skipIf(device_count() < 2, …)`` skips when its condition holds; of a list, each."""
        if isinstance(decorator, p.Sequence):
            for one in decorator.items:
                self._note_skip(one, flow)
        if isinstance(decorator, p.Call) and decorator.arguments:
            function = decorator.function
            name = function.name if isinstance(function, p.Attribute) else ""
            name = function.id if isinstance(function, p.Name) else name
            skips_if = {"skipif": True, "skipIf": True, "skipUnless": False}.get(name)
            if skips_if is not None:
                self.note_outcome(decorator.arguments[0].value, skips_if, Outcome.SKIPS, flow)

    def _class(self, node: p.Class, flow: Flow) -> None:
        for expression in node.decorators:
            self.evaluate(expression, flow)
            self._note_skip(expression, flow)
        bases = [self.evaluate(expression, flow) for expression in node.bases]
        key = (self.file, node.span.start)
        keys = tuple(base.key for base in bases if isinstance(base, ClassValue))
        scope = self._class_frame(key, flow)
        met = ClassMet(key, node, self.file, scope, keys)
        self.happened(met)
        known = met.enter(self)
        saved, self._owner = self._owner, key
        outer, self.scopes = self.scopes, (*self.scopes, scope)
        self._class_depth += 1
        self.block(node.body, flow)
        self._class_depth -= 1
        self.scopes, self._owner = outer, saved
        for name, value in dict(flow.names(scope)).items():
            if isinstance(value, FunctionValue) and value.key in self.functions:
                self.functions[value.key].scopes = outer
                value = FunctionValue(value.key, outer, value.receiver)
                flow.bind(scope, name, value)
                known.attributes[name] = value
                self.happened(MethodMet(key, name, value))
            else:
                self.note_attribute(key, name, value)
        self.bind(node.name, ClassValue(key), flow)

    def _class_frame(self, key: Key, flow: Flow) -> int:
        """Begin the frame of a class: one of a module's own has the same in every program."""
        if self._numbering is None or self._running:
            scope = self.new_frame()
            flow.open(scope)
            return scope
        scope = self.world.frame_in(key, 0)
        if self._recording is not None:
            self._recording.own.add(scope)
            self._recording.lasting.add(scope)
        flow.begin(scope)
        return scope

    # --- records -------------------------------------------------------------------------

    def record_setting(
        self, variable: str, value: Value | None, form: Form, key: Span, at: Span, flow: Flow
    ) -> None:
        module = not self._running
        if self.file not in self._tops:
            own = self.file == self.start  # perhaps no more was read of it than its header
            reading = self.reading if own else self.world.reading(self.file)
            spans = reading.layout.statements if reading is not None else ()
            self._tops[self.file] = frozenset(spans)
        before = in_order(flow.holds(variable))
        self.recorder.setting(
            Setting(
                variable=variable,
                value=value,
                form=form,
                span=self.statement.span,
                key_span=key,
                value_span=at,
                reach=self.reach,
                function="" if module else self._frame.name,
                top_level=module and self.statement.span in self._tops[self.file],
                peers=1 if _only_writes(self.statement, value) else 0,
                frozen=Mark() if self._excluded(flow.frozen) else flow.frozen,
                allocated=Mark() if self._excluded(flow.allocated) else flow.allocated,
                imported=flow.imported,
                imported_here=flow.imported if module else flow.imported_here,
                before=before,
                undisturbed=variable in flow.quiet,
                conditional=self._branches > 0,
                names=plain_names((self.statement,)),
                values=(value,),
            )
        )


def _only_writes(statement: p.Statement, value: Value | None) -> bool:
    """Whether a statement does nothing but write known values to the environment."""
    if value is None or constants(value) is None:
        return False
    if isinstance(statement, p.Assign):
        return all(isinstance(t, (p.Subscript, p.Attribute)) for t in statement.targets)
    return isinstance(statement, p.Evaluate) and isinstance(statement.value, p.Call)


def _raised_name(node: p.Raise) -> str:
    """The name of what is raised; empty if it cannot be told."""
    raised = node.values[0] if node.values else None
    if isinstance(raised, p.Call):
        raised = raised.function
    return last_name(raised) if raised is not None else ""


def _is_call(node: p.Expression) -> TypeGuard[p.Call]:
    return isinstance(node, p.Call)
