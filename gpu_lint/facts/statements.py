"""Statements: each does to the state what Python would do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any, TypeGuard

from gpu_lint.facts import program as p
from gpu_lint.facts.attempts import Attempts
from gpu_lint.facts.devices import CHOSEN
from gpu_lint.facts.environment import Arguments, is_environment
from gpu_lint.facts.evaluation import ATTRIBUTES, PROCESS, adapted
from gpu_lint.facts.events import ClassMet, MethodMet
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.guards import SKIPPING_WORDS, is_mark, returned, ungated
from gpu_lint.facts.model import Form, Mark, Outcome, Setting, Trigger, in_order
from gpu_lint.facts.outcomes import raised_name
from gpu_lint.facts.parametrized import PARAMETRIZE, values_given
from gpu_lint.facts.reading import Reading
from gpu_lint.facts.soundness import may_lack_item
from gpu_lint.facts.stacks import callbacks_of, is_stack
from gpu_lint.facts.values import (
    UNKNOWN,
    Bound,
    ClassValue,
    FunctionValue,
    Gate,
    Input,
    Instance,
    Items,
    Key,
    Known,
    ModuleValue,
    Pairs,
    Place,
    Returned,
    Symbol,
    Value,
    alternatives,
    any_of,
    constants,
    text_of,
    with_entry,
    without_entry,
)
from gpu_lint.facts.waiting import is_task_group
from gpu_lint.facts.walk import last_name, plain_names, statements
from gpu_lint.facts.world import Class, Function, World
from gpu_lint.facts.writers import PATCH, is_patch_context
from gpu_lint.source import Span

_FILLED_CLASSES = frozenset(
    {"pydantic_settings.BaseSettings", "pydantic.BaseSettings", "pydantic.v1.BaseSettings"}
)
"""Classes whose fields the environment or a file may fill in."""
_STACKS = frozenset({"contextlib.ExitStack", "contextlib.AsyncExitStack"})
_ENTERING = frozenset({"enter_context", "enter_async_context"})
"""Methods of theirs that enter a context manager; awaited or not, these run it at once."""
_ACCESSORS = ("setter", "deleter")
"""What a function of a property is made by that does not read it."""


class Statements(Attempts):
    """Runs statements of every kind."""

    reading: Reading
    """What the file says that is run; perhaps no more of it than its header."""

    def __init__(self, world: World, file: str, *, follow_imports: bool) -> None:
        super().__init__(world, file, follow_imports=follow_imports)
        self._globals: dict[int, frozenset[str]] = {}
        self._tops: dict[str, frozenset[Span]] = {}
        self._named: tuple[p.Statement, frozenset[str]] = (self.statement, frozenset())

    def block(self, statements: p.Block, flow: Flow) -> None:
        """Run statements in order until the path ends."""
        for number, statement in enumerate(statements):
            if self._by_itself and flow.has_used:
                flow.alive = False
            if not flow.alive:
                return
            self._budget -= 1
            if (item := self._entered_on_stack(statement, flow)) is not None:
                rest = statements[number + 1 :]
                self.execute(p.With(statement.span, (item,), rest), flow)
                return
            self.execute(statement, flow)

    def _entered_on_stack(
        self, node: p.Statement, flow: Flow
    ) -> tuple[p.Expression, p.Expression | None] | None:
        """The context manager that a statement enters on an ``ExitStack``, and the name that it is
        given: what follows in its block is run as the body of a ``with`` statement."""
        if not isinstance(node, (p.Evaluate, p.Assign)):
            return None
        call = node.value.value if isinstance(node.value, p.Await) else node.value
        if not isinstance(call, p.Call) or not isinstance(call.function, p.Attribute):
            return None
        if call.function.name not in _ENTERING:
            return None
        stack = self.evaluate(call.function.base, flow)
        if not isinstance(stack, Returned) or stack.symbol not in _STACKS or not call.arguments:
            return None
        target = node.targets[0] if isinstance(node, p.Assign) else None
        return call.arguments[0].value, target

    def execute(self, node: p.Statement, flow: Flow) -> None:
        """Run one statement."""
        outer, self.statement = self.statement, node
        _RULES[type(node)](self, node, flow)
        self.statement = outer

    def _evaluate(self, node: p.Evaluate, flow: Flow) -> None:
        value = node.value
        if isinstance(value, p.Comprehension) and value.kind == "generator":  # nothing iterates it
            value = value.generators[0].iterable
        self.evaluate(value, flow)

    def _return(self, node: p.Return, flow: Flow) -> None:
        value = self.evaluate(node.value, flow) if node.value else Known(None)
        if flow.alive:
            self._frame.results.append(returned(value, flow.needs))
            self._frame.returns.append(flow.copy())
            flow.alive = False

    def _raise(self, node: p.Raise, flow: Flow) -> None:
        for raised in node.values:
            self.evaluate(raised, flow)
        self.end_path(raised_name(node), flow)

    def _jump(self, node: p.Jump, flow: Flow) -> None:
        ends = self._frame.breaks if node.kind == "break" else self._frame.continues
        if ends:
            ends[-1].append(flow.copy())
        flow.alive = False

    def _global(self, node: p.Global, flow: Flow) -> None:
        scope = self.scopes[-1]
        self._globals[scope] = self._globals.get(scope, frozenset()) | set(node.names)

    def _pass_by(self, node: p.Pass | p.Declare, flow: Flow) -> None:
        """Nothing happens."""

    def _enter(self, node: p.With, flow: Flow) -> None:
        self._with(node, 0, flow)

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
            value = self.evaluate(node.value, flow)
            self.update_from(node.value, value, Form.UPDATE, flow)
            return
        if node.operator:
            value = self.evaluate(p.Binary(node.span, target, node.operator, node.value), flow)
        else:
            value = self.evaluate(node.value, flow)
        if isinstance(target, p.Name) and target.id == "pytestmark":
            self._note_skip(node.value, flow)
        for target in node.targets:
            self.assign_to(target, value, node.value.span, flow)

    def assign_to(self, target: p.Expression, value: Value, at: Span, flow: Flow) -> None:
        match target:
            case p.Name():
                self.bind(target.id, adapted(value, flow), flow)
            case p.Attribute():
                self.assigned_device(target.name, value, at, flow)
                for base in alternatives(self.evaluate(target.base, flow)):
                    self.set_attribute(base, target.name, adapted(value, flow), flow)
            case p.Subscript():
                self._assign_item(target, value, at, flow)
            case p.Sequence():
                items: tuple[Value, ...] = ()
                if isinstance(value, Bound) and (made := self.iterate(value, flow)) is not None:
                    value = Items("list", made)
                if isinstance(value, Items) and len(value.values) == len(target.items):
                    items = value.values
                elif isinstance(value, Items) and not any(map(_is_starred, target.items)):
                    self.fallible = True
                for number, item in enumerate(target.items):
                    self.assign_to(item, items[number] if items else UNKNOWN, at, flow)
            case _:
                self.assign_names(target, UNKNOWN, flow)

    def _assign_item(self, target: p.Subscript, value: Value, at: Span, flow: Flow) -> None:
        if self._is_environ(target.base, flow):
            key = self.evaluate(target.key, flow)
            self.write_under(target.key, key, value, Form.ASSIGN, at, flow)
            return
        base, key = self.evaluate(target.base, flow), self.evaluate(target.key, flow)
        if self.special(base, "__setitem__", (key, value), flow) is not None:
            return
        if isinstance(base, ModuleValue):
            self.set_attributes(base, key, value, flow)
            return
        if isinstance(base, Bound) and base.kind == ATTRIBUTES:
            self.set_attributes(base.callee, key, value, flow)
            return
        if isinstance(base, Pairs):
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

    def _is_environ(self, node: p.Expression, flow: Flow) -> bool:
        if not isinstance(node, (p.Name, p.Attribute)):
            return False
        return is_environment(self.evaluate(node, flow))

    def _delete(self, node: p.Delete, flow: Flow) -> None:
        for target in node.targets:
            if isinstance(target, p.Name):
                self.bind(target.id, UNKNOWN, flow)
            elif isinstance(target, p.Subscript) and self._is_environ(target.base, flow):
                key = self.evaluate(target.key, flow)
                name = text_of(key)
                self.fallible |= name is None or self.may_lack(name, flow)
                self.write_under(target.key, key, None, Form.REMOVE, target.key.span, flow)
            elif isinstance(target, p.Subscript):
                base, key = self.evaluate(target.base, flow), self.evaluate(target.key, flow)
                self.fallible |= may_lack_item(base, key)
                if isinstance(base, Pairs) and isinstance(key, Known):
                    flow.change(base, without_entry(base, key))
                elif isinstance(base, (Items, Pairs)):
                    flow.change(base, UNKNOWN)
                self.special(base, "__delitem__", (key,), flow)
            elif isinstance(target, p.Attribute):
                base = self.evaluate(target.base, flow)
                self.special(base, f"{target.name}.deleter", (), flow)
                self.special(base, "__delattr__", (Known(target.name),), flow)

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
        if isinstance(value, Bound) and value.kind == PATCH:
            with self.patched((value,), flow):
                self._with(node, number + 1, flow)
            return
        if is_patch_context(value):
            outer, self._patches = self._patches, []
            if isinstance(target, p.Name):
                self.bind(target.id, value, flow)
            self._with(node, number + 1, flow)
            self.end_patches(flow, always=False)
            self._patches = outer
            return
        if isinstance(value, Bound) and value.kind == "generator":
            here = self._activation()

            def run_body(inner: Flow, handed: Value) -> None:
                there = self._activation()
                self._restore(here)
                if target is not None:
                    self.assign_names(target, handed, inner)
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
        left: FunctionValue | None = None
        if isinstance(value, Instance):
            entered = self._method_of(value, "enter", flow)
            left = self._method_of(value, "exit", flow)
            if entered is not None:
                value = self._run_method(entered, Arguments(), item.span, flow)
        if isinstance(target, p.Name):
            self.bind(target.id, value, flow)
        elif target is not None:
            self.assign_names(target, value, flow)
        if left is not None and self._may_swallow(left):
            body = node.body
            if number + 1 < len(node.items):
                body = (p.With(node.span, node.items[number + 1 :], body),)
            handler = p.Handler(("BaseException",), None, ())
            self._try(p.Try(node.span, body, (handler,), (), ()), flow)
        else:
            self._with(node, number + 1, flow)
        if left is not None and flow.alive:
            nothing: list[tuple[p.Expression, Value]] = [(item, Known(None))] * 3
            self._run_method(left, Arguments(nothing), item.span, flow)
        if is_task_group(value) and flow.alive:
            self.run_tasks(flow)
        if is_stack(value) and flow.alive:
            self._leave_stack(value, flow)

    def _leave_stack(self, stack: Value, flow: Flow) -> None:
        """Run what a stack of context managers calls, last registered first."""
        outer = self.statement
        first, *others = callbacks_of(stack, flow)
        ways = [(callbacks, flow.copy()) for callbacks in others]
        for callbacks, way in ((first, flow), *ways):
            for bound in reversed(callbacks):
                if way.alive and isinstance(bound, Bound) and isinstance(bound.arguments, tuple):
                    node, args = bound.arguments
                    self.statement = p.Evaluate(node.span, node)
                    self.run_coroutine(self.call_value(bound.callee, node, args, way), way)
        flow.join_all([way for _, way in ways])
        self.statement = outer

    def _method_of(self, manager: Instance, name: str, flow: Flow) -> FunctionValue | None:
        """What a context manager of the project does when it is entered or left."""
        for method in (f"__{name}__", f"__a{name}__"):
            found = self.attribute_of(manager, method, flow)
            if isinstance(found, FunctionValue):
                return found
        return None

    def _run_method(self, method: FunctionValue, args: Arguments, at: Span, flow: Flow) -> Value:
        """Call a method, and wait for it where it is a coroutine."""
        found = self.enter(method, args, flow, at)
        return self.run_coroutine(found, flow) if isinstance(found, Bound) else found

    def _may_swallow(self, left: FunctionValue) -> bool:
        """Whether a context manager may say, when it is left, that an exception is dealt with."""
        function = self.function(left.key)
        if function is None or not isinstance(function.node, p.Function):
            return False
        returned = [
            one.value for one in statements(function.node.body) if isinstance(one, p.Return)
        ]
        return any(
            value is not None and not (isinstance(value, p.Literal) and not value.value)
            for value in returned
        )

    def _function(self, node: p.Function, flow: Flow) -> None:
        decorators = [(d, self.evaluate(d, flow)) for d in node.decorators]
        for decorator in node.decorators:
            self._note_skip(decorator, flow)
        for parameter in node.parameters:
            if parameter.default is not None:
                self.default_device(parameter, self.evaluate(parameter.default, flow), flow)
        owner = self._owner if self._class_depth else None
        value: Value = self.register(node, owner)
        if given := values_given(callee for _, callee in decorators):
            by_name = {name: (node.decorators[0], held) for name, held in given.items()}
            self.hand_over((self.file, node.span.start), (Arguments([], by_name, exact=False),))
        for decorator, callee in reversed(decorators):
            if isinstance(callee, Bound) and callee.kind == PARAMETRIZE:
                continue
            call = p.Call(decorator.span, decorator, ())
            if isinstance(callee, (FunctionValue, ClassValue, Symbol, Bound, Gate)):
                args = Arguments([(decorator, value)])
                result = self._unmarked(self.call_value(callee, call, args, flow))
                if isinstance(result, (FunctionValue, Instance, Bound)):
                    value = result
            self.note_registered(decorator, value, flow)
        self._note_wrapper(node, value)
        accessors = [d for d in node.decorators if isinstance(d, p.Attribute)]
        kinds = [d.name for d in accessors if self._class_depth and d.name in _ACCESSORS]
        self.bind(f"{node.name}.{kinds[0]}" if kinds else node.name, value, flow)

    def _unmarked(self, made: Value) -> Value:
        """What a decorator gave, without the marks that skip it, which are remembered."""
        value, needs = ungated(made)
        marked: Function | Class | None = None
        if isinstance(value, FunctionValue):
            marked = self.function(value.key)
        elif isinstance(value, ClassValue):
            marked = self.class_of(value.key)
        if marked is not None:
            marked.needs = max(marked.needs, needs)
        return value

    def _note_wrapper(self, node: p.Function, value: Value) -> None:
        """Remember what a function was replaced by that may skip it."""
        own = self.function((self.file, node.span.start))
        if own is not None and isinstance(value, FunctionValue):
            wrapper = self.function(value.key)
            if wrapper is not own and wrapper is not None and self._may_skip(wrapper):
                own.wrapper = value

    def _may_skip(self, function: Function) -> bool:
        """Whether a function's text may skip a test."""
        return not SKIPPING_WORDS.isdisjoint(self.world.words_in(function))

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
        decorators = [self.evaluate(expression, flow) for expression in node.decorators]
        for expression in node.decorators:
            self._note_skip(expression, flow)
        bases = [self.evaluate(expression, flow) for expression in node.bases]
        key = (self.file, node.span.start)
        keys = tuple(base.key for base in bases if isinstance(base, ClassValue))
        scope = self._class_frame(key, flow)
        met = ClassMet(key, node, self.file, scope, keys, self._is_filled(bases))
        self.happened(met)
        known = met.enter(self)
        saved, self._owner = self._owner, key
        outer, self.scopes = self.scopes, (*self.scopes, scope)
        self._class_depth += 1
        self.block(node.body, flow)
        self._class_depth -= 1
        self.scopes, self._owner = outer, saved
        if known.is_filled:
            for name in self.fields(key):
                if (default := flow.get(scope, name)) is not None:
                    flow.bind(scope, name, any_of((default, UNKNOWN)))
        for name, value in dict(flow.names(scope)).items():
            if isinstance(value, FunctionValue) and value.key in self.functions:
                self.functions[value.key].scopes = outer
                value = FunctionValue(value.key, outer, value.receiver)
                flow.bind(scope, name, value)
                known.attributes[name] = value
                self.happened(MethodMet(key, name, value))
            else:
                self.note_attribute(key, name, value)
        self._note_subclass(key, keys, flow)
        for at, decorator in zip(node.decorators, decorators, strict=True):
            if isinstance(decorator, Bound) and decorator.kind == PATCH:
                self.patch_function(decorator, ClassValue(key))
            elif self._is_mark(decorator):
                args = Arguments([(at, ClassValue(key))])
                self._unmarked(self.call_value(decorator, p.Call(at.span, at, ()), args, flow))
        self.bind(node.name, self._decorated(node, ClassValue(key), decorators, flow), flow)

    def _decorated(
        self, node: p.Class, cls: Value, decorators: Sequence[Value], flow: Flow
    ) -> Value:
        """What a class is bound to: a function of the project that decorates it may put another in
        its place, which gives objects that were made before."""
        for at, decorator in zip(reversed(node.decorators), reversed(decorators), strict=True):
            if isinstance(decorator, FunctionValue):
                call = p.Call(at.span, at, ())
                made = self.call_value(decorator, call, Arguments([(at, cls)]), flow)
                cls = made if isinstance(made, FunctionValue) else cls
        return cls

    def _is_mark(self, decorator: Value) -> bool:
        """Whether a decorator of a class may skip its tests."""
        if isinstance(decorator, FunctionValue):
            function = self.function(decorator.key)
            return function is not None and self._may_skip(function)
        return isinstance(decorator, Gate) or (
            isinstance(decorator, Symbol) and is_mark(decorator.name)
        )

    def _note_subclass(self, key: Key, bases: tuple[Key, ...], flow: Flow) -> None:
        """Call what a class that others inherit from does about it: ``__init_subclass__``."""
        for cls in (cls for base in bases for cls in self.lineage(base)):
            hook = cls.attributes.get("__init_subclass__")
            if isinstance(hook, FunctionValue):
                made = FunctionValue(hook.key, hook.scopes, ClassValue(key))
                self.enter(made, Arguments(), flow, self.statement.span)
                return

    def _is_filled(self, bases: list[Value]) -> bool:
        """Whether a class with some bases takes its fields from the environment or a file."""
        for base in bases:
            if isinstance(base, Symbol) and base.name in _FILLED_CLASSES:
                return True
            cls = self.class_of(base.key) if isinstance(base, ClassValue) else None
            if cls is not None and cls.is_filled:
                return True
        return False

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
        self,
        variable: str,
        value: Value | None,
        form: Form,
        key: Span,
        at: Span,
        flow: Flow,
        named: Place | None,
    ) -> None:
        step = self._naming_call(variable, form, named, flow)
        module = not self._running
        value = None if value is None else self.as_written(value)
        file, span, function = self.file, self.statement.span, self._frame.name
        if step is not None:
            key = at = span = step.span
            file, function = step.file, self._function_around(step)
            module = function == ""
        if file not in self._tops:
            own = file == self.start  # perhaps no more was read of it than its header
            reading = self.reading if own else self.world.reading(file)
            spans = reading.layout.statements if reading is not None else ()
            self._tops[file] = frozenset(spans)
        itself = step is None
        setting = Setting(
            variable=variable,
            value=value,
            form=form,
            span=span,
            key_span=key,
            value_span=at,
            reach=self.reach,
            function="" if module else function,
            top_level=itself and module and span in self._tops[file],
            peers=1 if itself and _only_writes(self.statement, value) else 0,
            frozen=Mark() if self._excluded(flow.frozen) else flow.frozen,
            allocated=Mark() if self._excluded(flow.allocated) else flow.allocated,
            imported=flow.imported,
            imported_here=flow.imported if module or step else flow.imported_here,
            before=in_order(flow.holds(variable)),
            undisturbed=variable in flow.quiet,
            conditional=self._branches > 0,
            names=self._names_in(self.statement) if itself else frozenset(),
            values=(value,),
            chosen=flow.get(PROCESS, CHOSEN) is not None,
        )
        if self._waiting is None:
            self.note_setting(file, setting)
        else:
            self._waiting.append((file, setting))

    def _names_in(self, statement: p.Statement) -> frozenset[str]:
        """The plain names of a statement, which may write thousands of variables."""
        if self._named[0] is not statement:
            self._named = statement, plain_names((statement,))
        return self._named[1]

    def note_setting(self, file: str, setting: Setting) -> None:
        self.recorder_of(file).setting(setting)

    def _naming_call(
        self, variable: str, form: Form, named: Place | None, flow: Flow
    ) -> Trigger | None:
        """The call in another file that names the variable which a function of this one writes; or
        for an unknown name, the last one in the file that gave the variable its value."""
        files = {named.file} if named is not None else set()
        if form is Form.POSSIBLE:
            files = {written.file for written in flow.holds(variable)}
        if self.file in files:
            return None
        calls = takewhile(lambda step: not step.is_import, reversed(self.steps))
        return next((step for step in calls if step.file in files), None)

    def _function_around(self, step: Trigger) -> str:
        """The name of the function that is being run in which a call stands; empty for none."""
        for key in reversed(self._running):
            function = self.function(key)
            if key[0] == step.file and function is not None and step.span in function.node.span:
                node = function.node
                return node.name if isinstance(node, p.Function) else "lambda"
        return ""


def _only_writes(statement: p.Statement, value: Value | None) -> bool:
    """Whether a statement does nothing but write known values to the environment."""
    if value is None or constants(value) is None:
        return False
    if isinstance(statement, p.Assign):
        return all(isinstance(t, (p.Subscript, p.Attribute)) for t in statement.targets)
    return isinstance(statement, p.Evaluate) and isinstance(statement.value, p.Call)


def _is_starred(node: p.Expression) -> bool:
    return isinstance(node, p.Opaque)


def _is_call(node: p.Expression) -> TypeGuard[p.Call]:
    return isinstance(node, p.Call)


_RULES: dict[type[Any], Callable[[Statements, Any, Flow], None]] = {
    p.Evaluate: Statements._evaluate,
    p.Assign: Statements._assign,
    p.Delete: Statements._delete,
    p.Import: Statements.run_import,
    p.Return: Statements._return,
    p.Raise: Statements._raise,
    p.Jump: Statements._jump,
    p.Assert: Statements._assert,
    p.Global: Statements._global,
    p.If: Statements._if,
    p.For: Statements._for,
    p.While: Statements._while,
    p.Try: Statements._try,
    p.With: Statements._enter,
    p.Match: Statements._match,
    p.Function: Statements._function,
    p.Class: Statements._class,
    p.Pass: Statements._pass_by,
    p.Declare: Statements._pass_by,
}
