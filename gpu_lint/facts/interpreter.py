"""Runs a program on abstract values, in the order in which Python would run it.

Module-level code runs first, with the functions it calls followed into their bodies and the
main guard taken. Then every function that nothing called runs on its own, from the state that
importing the module leaves behind: whoever calls it does so later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from gpu_lint.facts import program as p
from gpu_lint.facts.calls import MODULE, Calls, Class
from gpu_lint.facts.evaluation import adapted, bound_names
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.knowledge import Knowledge
from gpu_lint.facts.model import CountTest, Form, Mark, Outcome, Reach, Setting
from gpu_lint.facts.outcomes import deciders, is_cpu, is_main_guard, outcome_of
from gpu_lint.facts.recorder import Recorder
from gpu_lint.facts.values import (
    UNKNOWN,
    ClassValue,
    FunctionValue,
    Instance,
    Items,
    Known,
    Symbol,
    Value,
    alternatives,
    any_of,
    constants,
)
from gpu_lint.facts.walk import expressions, mentioned_names, plain_names, statements
from gpu_lint.source import Span

_MODULE_VANISHES = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


class Interpreter(Calls):
    """One run over one program; :attr:`recorder` holds what it came across."""

    def __init__(self, program: p.Program, knowledge: Knowledge, recorder: Recorder) -> None:
        super().__init__(knowledge, recorder)
        self.program = program
        self.imported_end: Flow | None = None
        self._globals: dict[int, frozenset[str]] = {}
        self._shared = frozenset(_global_names(program.body))
        self._owner = -1

    def run(self) -> Flow:
        """Run the module, then what nothing called; the state that importing leaves."""
        flow = Flow()
        flow.frames[MODULE] = {}
        self.block(self.program.body, flow)
        end = self.imported_end or flow
        if not self.recorder.first_use:
            self.recorder.at_first_use = dict(flow.variables or end.variables)
        self.imported_end = end
        self._run_uncalled(end)
        return end

    def adopt_attributes(self, other: Interpreter) -> None:
        """Start from the attributes that an earlier run over the same program found."""
        self._known_attributes = {
            found.node.span: found.attributes for found in other._classes.values()
        }

    def _run_uncalled(self, end: Flow) -> None:
        """Run what nothing called, first those that no other such function mentions."""
        self.reach = Reach.UNCALLED
        mentioned: Counter[str] = Counter()
        counted: dict[int, frozenset[str]] = {}
        while True:
            for key, function in self._functions.items():
                if not function.executed and key not in counted:
                    body = function.node.body if isinstance(function.node, p.Function) else ()
                    counted[key] = mentioned_names(body)
                    mentioned.update(counted[key])
                elif function.executed and key in counted:
                    mentioned.subtract(counted.pop(key))
            if not counted:
                return
            roots = (k for k, names in counted.items() if self._is_root(k, names, mentioned))
            key = next(roots, next(iter(counted)))
            function = self._functions[key]
            flow = end.copy()
            flow.alive = True
            flow.imported_here = Mark()
            receiver = Instance(function.owner) if function.owner is not None else None
            self._branches = 0
            self._enter(FunctionValue(key, function.scopes, receiver), None, flow)
            function.executed = True

    def _is_root(self, key: int, names: frozenset[str], mentioned: Counter[str]) -> bool:
        """Whether no waiting function but itself mentions a function's name."""
        node = self._functions[key].node
        name = node.name if isinstance(node, p.Function) else "<lambda>"
        return mentioned[name] <= (name in names)

    # --- statements ----------------------------------------------------------------------

    def block(self, statements: p.Block, flow: Flow) -> None:
        """Run statements in order until the path ends."""
        for statement in statements:
            if not flow.alive:
                return
            self._budget -= 1
            self.execute(statement, flow)

    @contextmanager
    def _branch(self) -> Iterator[None]:
        self._branches += 1
        yield
        self._branches -= 1

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
                self._import(node, flow)
            case p.Return():
                value = self.evaluate(node.value, flow) if node.value else Known(None)
                self._frame.results.append(value)
                self._frame.returns.append(flow.copy())
                flow.alive = False
            case p.Raise():
                for raised in node.values:
                    self.evaluate(raised, flow)
                flow.alive = False
            case p.Jump():
                if self._frame.loop_ends:
                    self._frame.loop_ends[-1].append(flow.copy())
                flow.alive = False
            case p.Assert():
                self.evaluate(node.test, flow)
                for test, truth, whole in deciders(node.test):
                    if not whole:
                        self.recorder.outcome(test.span, truth, Outcome.RAISES)
                self.refine(node.test, True, flow)
            case p.Global():
                scope = self.scopes[-1]
                self._globals[scope] = self._globals.get(scope, frozenset()) | set(node.names)
            case p.If():
                self._if(node, flow)
            case p.For() | p.While():
                self._loop(node, flow)
            case p.Try():
                self._try(node, flow)
            case p.With():
                self._with(node, flow)
            case p.Match():
                self._match(node, flow)
            case p.Function():
                self._function(node, flow)
            case p.Class():
                self._class(node, flow)
            case p.Pass():
                pass
        self.statement = outer

    def _bind(self, name: str, value: Value, flow: Flow) -> None:
        scope = self.scopes[-1]
        if name in self._globals.get(scope, ()):
            scope = MODULE
        if scope == MODULE and name in self._shared:
            value = any_of((value, UNKNOWN))
        flow.bind(scope, name, value)

    def _assign(self, node: p.Assign, flow: Flow) -> None:
        target = node.targets[0]
        if node.operator == "|" and self._is_environ(target, flow):
            self.update_from(node.value, flow)
            return
        value = self.evaluate(node.value, flow)
        if node.operator:
            old = self.evaluate(target, flow)
            value = any_of((UNKNOWN,)) if not isinstance(old, Items) else UNKNOWN
        for target in node.targets:
            self._assign_to(target, value, node.value.span, flow)

    def _assign_to(self, target: p.Expression, value: Value, at: Span, flow: Flow) -> None:
        match target:
            case p.Name():
                self._bind(target.id, adapted(value, flow), flow)
            case p.Attribute():
                for base in alternatives(self.evaluate(target.base, flow)):
                    if isinstance(base, (Instance, ClassValue)):
                        cls = base.cls if isinstance(base, Instance) else base.key
                        self._set_attribute(cls, target.name, adapted(value, flow))
            case p.Subscript():
                if self._is_environ(target.base, flow):
                    for variable in self._keys(target.key, flow):
                        self.write(variable, value, Form.ASSIGN, target.key.span, at, flow)
                else:
                    self.evaluate(target.base, flow)
                    self._spoil(target.base, flow)
            case p.Sequence():
                items: tuple[Value, ...] = ()
                if isinstance(value, Items) and len(value.values) == len(target.items):
                    items = value.values
                for number, item in enumerate(target.items):
                    self._assign_to(item, items[number] if items else UNKNOWN, at, flow)
            case _:
                for name in bound_names(target):
                    self._bind(name, UNKNOWN, flow)

    def _keys(self, key: p.Expression, flow: Flow) -> list[str]:
        """The variable that a subscript names: known only if every alternative is."""
        known = constants(self.evaluate(key, flow))
        if known is None or any(not isinstance(k.value, str) for k in known):
            return []
        return [str(k.value) for k in known]

    def _spoil(self, base: p.Expression, flow: Flow) -> None:
        """A container that is changed in place is no longer known."""
        if isinstance(base, p.Name) and self.lookup(base.id, flow) is not None:
            self._bind(base.id, UNKNOWN, flow)

    def _is_environ(self, node: p.Expression, flow: Flow) -> bool:
        if not isinstance(node, (p.Name, p.Attribute)):
            return False
        return self.evaluate(node, flow) == Symbol("os.environ")

    def _delete(self, node: p.Delete, flow: Flow) -> None:
        for target in node.targets:
            if isinstance(target, p.Name):
                self._bind(target.id, UNKNOWN, flow)
            elif isinstance(target, p.Subscript) and self._is_environ(target.base, flow):
                for variable in self._keys(target.key, flow):
                    span = target.key.span
                    self.write(variable, None, Form.REMOVE, span, span, flow)

    def _import(self, node: p.Import, flow: Flow) -> None:
        for name in node.names:
            if name.level:
                relative = "." * name.level + name.module
                if name.name not in ("", "*"):
                    self._bind(name.bound, Symbol(f"{relative}.{name.name}"), flow)
                continue
            self.import_module(name.module, node.span, flow)
            if name.name == "":
                root = name.module.partition(".")[0]
                whole = name.bound != root
                self._bind(name.bound, Symbol(name.module if whole else root), flow)
            elif name.name != "*":
                dotted = f"{name.module}.{name.name}"
                if dotted in self.knowledge.modules:
                    self.import_module(dotted, node.span, flow)
                self._bind(name.bound, Symbol(dotted), flow)
            elif name.module == "os":
                self._bind("environ", Symbol("os.environ"), flow)

    def _if(self, node: p.If, flow: Flow) -> None:
        if self._running == [] and self._class_depth == 0 and is_main_guard(node.test):
            if self.imported_end is None:
                self.imported_end = flow.copy()
            self.block(node.body, flow)
            return
        truth = self.truth(node.test, flow)
        other = flow.copy()
        needs = flow.needs
        with self._branch():
            if truth is not False:
                self.refine(node.test, True, flow)
                self.block(node.body, flow)
                self._note_outcome(node.test, True, node.body, flow)
            else:
                flow.alive = False
            if truth is not True:
                self.refine(node.test, False, other)
                self.block(node.orelse, other)
                self._note_outcome(node.test, False, node.orelse, other)
            else:
                other.alive = False
        flow.needs = other.needs = needs
        flow.join(other)

    def _note_outcome(self, test: p.Expression, truth: bool, body: p.Block, flow: Flow) -> None:
        outcome = outcome_of(body, flow.alive)
        if outcome is not None:
            for comparison, decided, whole in deciders(test):
                if whole is truth:
                    self.recorder.outcome(comparison.span, decided, outcome)

    def count_test(self, node: p.Comparison, operator: str, number: int, flow: Flow) -> None:
        masks = tuple(sorted(flow.masks(), key=repr))
        self.recorder.count_test(
            CountTest(node.span, operator, number, None, None, masks, self.reach)
        )

    def note_arm(self, test: p.Expression, truth: bool, arm: p.Expression) -> None:
        if is_cpu(arm):
            for comparison, decided, whole in deciders(test):
                if whole is truth:
                    self.recorder.outcome(comparison.span, decided, Outcome.LEAVES_GPU)

    def _loop(self, node: p.For | p.While, flow: Flow) -> None:
        endless = False
        if isinstance(node, p.For):
            iterable = self.evaluate(node.iterable, flow)
            skipped = flow.copy()
            values = iterable.values if isinstance(iterable, Items) else ()
            if isinstance(node.target, p.Name):
                self._bind(node.target.id, any_of(values), flow)
            else:
                for name in bound_names(node.target):
                    self._bind(name, UNKNOWN, flow)
            if values:
                skipped.alive = False
        else:
            truth = self.truth(node.test, flow)
            endless = truth is True
            skipped = flow.copy()
            skipped.alive = not endless
            if truth is False:
                flow.alive = False
        self._frame.loop_ends.append([])
        with self._branch():
            self.block(node.body, flow)
        for end in self._frame.loop_ends.pop():
            flow.join(end)
        flow.join(skipped)
        with self._branch():
            self.block(node.orelse, flow)

    def _try(self, node: p.Try, flow: Flow) -> None:
        partial = flow.copy()
        with self._branch():
            for statement in node.body:
                if not flow.alive:
                    break
                self.execute(statement, flow)
                if flow.alive:
                    partial.join(flow)
            self.block(node.orelse, flow)
            for handler in node.handlers:
                path = partial.copy()
                if handler.bound:
                    self._bind(handler.bound, UNKNOWN, path)
                if "KeyError" in handler.types:
                    path.unset |= _variables_in(node.body)
                self.block(handler.body, path)
                vanished = not handler.types or _MODULE_VANISHES.intersection(handler.types)
                flow.join(path, sticky_imports=bool(vanished))
        if node.finalbody:
            alive = flow.alive
            final = flow if alive else partial
            self.block(node.finalbody, final)
            if not alive:
                flow.alive = False

    def _with(self, node: p.With, flow: Flow) -> None:
        for item, target in node.items:
            value = self.evaluate(item, flow)
            if isinstance(target, p.Name):
                self._bind(target.id, value, flow)
        self.block(node.body, flow)

    def _match(self, node: p.Match, flow: Flow) -> None:
        self.evaluate(node.subject, flow)
        for name in node.captures:
            self._bind(name, UNKNOWN, flow)
        joined = flow.copy()
        joined.alive = not node.exhaustive
        with self._branch():
            for case in node.cases:
                path = flow.copy()
                self.block(case, path)
                joined.join(path)
        flow.become(joined)

    def _function(self, node: p.Function, flow: Flow) -> None:
        for decorator in node.decorators:
            if isinstance(decorator, p.Call):
                self.evaluate(decorator, flow)
            else:
                self.call(p.Call(decorator.span, decorator, ()), flow)
            self._note_skip(decorator)
        for parameter in node.parameters:
            if parameter.default is not None:
                self.default_device(parameter, self.evaluate(parameter.default, flow), flow)
        static = any(isinstance(d, p.Name) and d.id == "staticmethod" for d in node.decorators)
        owner = self._owner if self._class_depth and not static else None
        value = self._register(node, owner)
        self._bind(node.name, value, flow)

    def _note_skip(self, decorator: p.Expression) -> None:
        """``@skipIf(device_count() < 2, …)`` skips when its condition holds."""
        if isinstance(decorator, p.Call) and decorator.arguments:
            function = decorator.function
            name = function.name if isinstance(function, p.Attribute) else ""
            name = function.id if isinstance(function, p.Name) else name
            skips_if = {"skipif": True, "skipIf": True, "skipUnless": False}.get(name)
            if skips_if is not None:
                for comparison, decided, whole in deciders(decorator.arguments[0].value):
                    if whole is skips_if:
                        self.recorder.outcome(comparison.span, decided, Outcome.SKIPS)

    def _class(self, node: p.Class, flow: Flow) -> None:
        for expression in (*node.decorators, *node.bases):
            self.evaluate(expression, flow)
        key = node.span.start
        if key not in self._classes:
            known = self._known_attributes.get(node.span, {})
            self._classes[key] = Class(node, dict(known))
        saved, self._owner = self._owner, key
        scope = self._next_scope
        self._next_scope += 1
        outer = self.scopes
        self.scopes = (*outer, scope)
        self._class_depth += 1
        self.block(node.body, flow)
        self._class_depth -= 1
        self.scopes = outer
        for name, value in flow.frames.pop(scope, {}).items():
            if isinstance(value, FunctionValue):
                function = self._functions[value.key]
                function.scopes = outer
                value = FunctionValue(value.key, outer)
                self._classes[key].attributes[name] = value
            else:
                self._set_attribute(key, name, value)
        self._owner = saved
        self._bind(node.name, ClassValue(key), flow)

    # --- records -------------------------------------------------------------------------

    def record_setting(
        self, variable: str, value: Value | None, form: Form, key: Span, at: Span, flow: Flow
    ) -> None:
        module = not self._running
        before = tuple(sorted(flow.holds(variable), key=repr))
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
                top_level=module and self.statement in self.program.body,
                peers=1 if _only_writes(self.statement, value) else 0,
                frozen=flow.frozen,
                allocated=flow.allocated,
                imported=flow.imported,
                imported_here=flow.imported if module else flow.imported_here,
                before=before,
                undisturbed=variable in flow.quiet,
                conditional=self._branches > 0,
                names=plain_names((self.statement,)),
            )
        )


def _only_writes(statement: p.Statement, value: Value | None) -> bool:
    """Whether a statement does nothing but write known values to the environment."""
    if value is None or constants(value) is None:
        return False
    if isinstance(statement, p.Assign):
        return all(isinstance(t, (p.Subscript, p.Attribute)) for t in statement.targets)
    return isinstance(statement, p.Evaluate) and isinstance(statement.value, p.Call)


def _variables_in(body: p.Block) -> frozenset[str]:
    """Constant keys of the subscripts in a block: what a ``KeyError`` there says is unset."""
    return frozenset(
        node.key.value
        for node in expressions(body)
        if isinstance(node, p.Subscript)
        and isinstance(node.key, p.Literal)
        and isinstance(node.key.value, str)
    )


def _global_names(body: p.Block) -> Iterator[str]:
    for statement in statements(body):
        if isinstance(statement, p.Global):
            yield from statement.names
