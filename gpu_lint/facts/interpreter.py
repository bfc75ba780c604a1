"""Runs a program on abstract values, in the order in which Python would run it.

Module-level code runs first, with the functions it calls followed into their bodies, the
modules of the project that it imports run where it imports them, and the main guard taken if
the file is the program. Then every function that nothing called runs on its own, from the
state that importing leaves behind: whoever calls it does so later.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeGuard

from gpu_lint.facts import program as p
from gpu_lint.facts.calls import DEEPEST_ALONE, MOST_ALONE, MOST_STILL, Calls, Frame
from gpu_lint.facts.conditions import Condition, conditions_of
from gpu_lint.facts.environment import Arguments
from gpu_lint.facts.evaluation import MOST_ITEMS, adapted
from gpu_lint.facts.flow import MASK, Flow
from gpu_lint.facts.imports import Located, named_module
from gpu_lint.facts.model import (
    Certainty,
    CountTest,
    Fallback,
    Form,
    Mark,
    Outcome,
    Reach,
    Setting,
    Trigger,
)
from gpu_lint.facts.outcomes import deciders, is_cpu, is_cuda, is_main_guard, outcome_of
from gpu_lint.facts.reading import Reading
from gpu_lint.facts.recorder import Recorder
from gpu_lint.facts.uncalled import Concerned, Uncalled
from gpu_lint.facts.values import (
    UNKNOWN,
    AnyOf,
    Bound,
    ClassValue,
    FunctionValue,
    Input,
    Instance,
    Items,
    Key,
    Known,
    ModuleValue,
    Pairs,
    Returned,
    Symbol,
    Unknown,
    Value,
    alternatives,
    any_of,
    constants,
    held_by,
)
from gpu_lint.facts.walk import expressions, plain_names
from gpu_lint.facts.world import Class, Function, World
from gpu_lint.source import Span

_MODULE_MISSING = frozenset({"ImportError", "ModuleNotFoundError"})
_MODULE_VANISHES = _MODULE_MISSING | {"Exception", "BaseException"}

_AVAILABLE = (Symbol("torch.cuda.is_available"), Symbol("torch.accelerator.is_available"))
_OPTIONS = frozenset({"args", "parse_args", "get_args"})
"""What was returned that holds the options of a command line."""
_FEW_STATEMENTS = 2
"""A function that is no longer may only say which device it is."""


@dataclass(eq=False)
class _Attempt:
    """A ``try`` that is running: what was raised inside it, by the handler that will have it."""

    node: p.Try
    frame: Frame
    caught: list[list[Flow]]
    leaving: list[tuple[str, Flow]] = field(default_factory=list)
    """What no handler takes; it goes on behind ``finally``."""

    def handler_of(self, raised: str) -> int | None:
        """The handler that an exception goes to."""
        for number, handler in enumerate(self.node.handlers):
            if not handler.types or any(_catches(name, raised) for name in handler.types):
                return number
        return None


class Interpreter(Calls):
    """One run of one file as the program; :attr:`recorders` hold what each file did in it."""

    def __init__(
        self, world: World, file: str, reading: Reading, *, follow_imports: bool = False
    ) -> None:
        """``follow_imports`` runs the project's modules in place, not by their summaries."""
        super().__init__(world, file)
        self.follow_imports = follow_imports
        self.start = file
        self.reading = reading
        self._decides = world.decides(file)
        self._still = not self._decides
        if self._still:
            self._budget = MOST_STILL
        self.imported_end: Flow | None = None
        self.end = Flow()
        """The state in which the program ends."""
        self._is_program = True
        self._globals: dict[int, frozenset[str]] = {}
        self._tops: dict[str, frozenset[Span]] = {}
        self._attempts: list[_Attempt] = []
        self._loops = 0
        """How many loops execution is in."""
        self._exits: list[Flow] = []
        self._left: set[object] = set()
        """The states in which a path has ended the program."""
        self._doing: set[Key] = set()
        """The functions that may do something, while those run that nothing called."""

    def run(self) -> Flow:
        """Run the file as the program, then what nothing called; the state at its end.

        :attr:`imported_end` is the state that importing the file leaves.
        """
        flow = self._run_body()
        self.imported_end = self.imported_end or flow.copy()
        for left in self._exits:
            flow.join(left)
        self._run_at_exit(flow)
        self.end = flow.copy()
        recorder = self.recorders[self.start]
        if recorder.first_use is None:
            recorder.at_first_use = dict(flow.variables or self.imported_end.variables)
        self._run_uncalled(self.imported_end)
        return flow

    def release(self) -> None:
        """Let go of all but what was recorded, when nobody will run it again."""
        self._exits, self._attempts = [], []
        self._frame = Frame("")
        self.functions, self.classes, self.known_attributes = {}, {}, {}
        for flow in (self.imported_end, self.end):
            if flow is not None:
                flow.forget_names()

    def run_as_module(self) -> Flow:
        """Run the file as an import does, and nothing else; the state that this leaves."""
        self._is_program = False
        return self._run_body()

    def _run_body(self) -> Flow:
        flow = Flow()
        flow.open(self.scopes[0])
        flow.loaded = flow.touched = frozenset({self.start})
        self._exits, self._left = [], set()
        self.block(self.reading.program.body, flow)
        return flow

    def _run_at_exit(self, flow: Flow) -> None:
        """What ``atexit`` calls, last registered first.

        As of what nothing calls, functions of other files only count where this program sets a
        mask.
        """
        waiting, flow.at_exit = flow.at_exit, ()
        for bound in reversed(waiting):
            if flow.alive and isinstance(bound, Bound) and self._runs_at_exit(bound, flow):
                assert isinstance(bound.arguments, tuple)
                node, args = bound.arguments
                self.call_value(bound.callee, node, args, flow)

    def _runs_at_exit(self, bound: Value, flow: Flow) -> bool:
        """Whether it is followed what ``atexit`` calls."""
        callee = bound.callee if isinstance(bound, Bound) else None
        of_others = isinstance(callee, FunctionValue) and callee.key[0] != self.start
        return MASK in flow.variables or not of_others

    def adopt_attributes(self, other: Interpreter) -> None:
        """Start from the attributes that an earlier run of the same program found."""
        self.known_attributes = {key: found.attributes for key, found in other.classes.items()}

    def _run_uncalled(self, end: Flow) -> None:
        """Run what nothing called, first those that no other such function mentions.

        Functions whose text can do nothing, and that mention none that may, are left out.
        Functions of other files only count where this program sets a mask: it is known here
        alone.
        """
        others = MASK in end.variables
        self.reach = Reach.UNCALLED
        self._deepest = DEEPEST_ALONE
        waiting: Uncalled[Key] = Uncalled()
        concerned: Concerned[Key] = Concerned()
        self._doing = concerned.found
        known = 0
        while True:
            if len(self.functions) != known:  # those that have run may have defined others
                for key, function in islice(self.functions.items(), known, None):
                    if others or function.file == self.start:
                        words = self.world.words_in(function)
                        does = self.world.is_concerned(function)
                        concerned.add(key, self._names_of(function), words, does)
                known = len(self.functions)
                for key in concerned.take_new():
                    if key not in self._executed:
                        function = self.functions[key]
                        node = function.node
                        name = node.name.encode() if isinstance(node, p.Function) else b""
                        waiting.add(key, name, self.world.words_in(function))
                waiting.settle()
            for key in self._executed_since:
                waiting.drop(key)
            self._executed_since.clear()
            chosen = waiting.take()
            if chosen is None:
                return
            self._run_alone(chosen, end)

    def _names_of(self, function: Function) -> Iterator[bytes]:
        """The words by which others call a function."""
        node = function.node
        if isinstance(node, p.Function) and not node.name.startswith("__"):
            yield node.name.encode()
        cls = self.class_of(function.owner) if function.owner is not None else None
        if cls is not None:
            yield cls.node.name.encode()

    def _run_alone(self, key: Key, end: Flow) -> None:
        function = self.functions[key]
        flow = end.copy()
        flow.alive = True
        flow.imported_here = Mark()
        receiver = Instance(function.owner) if function.owner is not None else None
        self._branches = 0
        saved = self._activation()
        self._move_to(function.file)
        self.steps = ()
        value = FunctionValue(key, function.scopes, receiver)
        allowed = min(self._budget, MOST_ALONE)
        left, self._budget = self._budget - allowed, allowed
        self.enter(value, None, flow, function.node.span)
        self._budget += left
        self._executed.add(key)
        self._restore(saved)

    def is_entered(self, function: Function, key: Key) -> bool:
        """Whether a call of a function is followed. Where no variable is set, what a function calls
        that nothing calls, or a module that is imported, is asked for devices alone."""
        if not self._still or key in self._doing:
            return True
        if self._is_program and self.reach is not Reach.UNCALLED:
            return True
        node = function.node
        if isinstance(node, p.Lambda) or len(node.body) <= _FEW_STATEMENTS:
            return True
        while_imported = not self._is_program and self.world.mentions_gpu(function)
        return while_imported or self.world.is_concerned(function)

    @property
    def is_to_be_repeated(self) -> bool:
        """Whether another run, which knows from its start what attributes may be, may tell more.

        Where no variable is set, they must be, or do, something with a device."""
        late = self.learnt_late
        return bool(late) if not self._still else any(map(self._may_matter, late))

    def _may_matter(self, value: Value) -> bool:
        """Whether a value may be, hold or do something that names a device but the first."""
        match value:
            case Known(constant):
                if isinstance(constant, str):
                    return ":" in constant or constant.isdigit()
                return isinstance(constant, int) and constant > 0 and constant is not True
            case AnyOf() | Items() | Pairs():
                return any(map(self._may_matter, held_by(value)))
            case Instance(key) | ClassValue(key):
                return any(map(self._class_does, self.lineage(key)))
            case FunctionValue(key):
                function = self.function(key)
                return key in self._doing or (
                    function is not None and self.world.is_concerned(function)
                )
            case Bound():
                return self._may_matter(value.callee)
            case Returned():
                return value.symbol in _OPTIONS
            case Unknown() | Input():
                return False
        return True

    def _class_does(self, cls: Class) -> bool:
        """Whether a class has a method that may do something, or calls one that may."""
        span = cls.node.span
        file = cls.file
        return self.world.does_something(file, span) or any(
            key[0] == file and span.start <= key[1] < span.end for key in self._doing
        )

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

    def lookup(self, name: str, flow: Flow) -> Value | None:
        value = super().lookup(name, flow)
        if value is None or self.reach is not Reach.UNCALLED:
            return value
        if flow.frame(self.scopes[0]).get(name) is value:
            reading = self.world.reading(self.file)
            container = isinstance(value, (Items, Pairs))
            if reading is not None and (
                name in reading.rebound or (container and reading.changes_container(name))
            ):
                return any_of((value, UNKNOWN))  # whoever calls it later may have changed it
        return value

    def _bind(self, name: str, value: Value, flow: Flow) -> None:
        scope = self.scopes[-1]
        if name in self._globals.get(scope, ()):
            scope = self._scope_of(name, flow)
        flow.bind(scope, name, value)

    def _scope_of(self, name: str, flow: Flow) -> int:
        """The frame that a ``global`` or ``nonlocal`` name lives in."""
        for frame in reversed(self.scopes[1:-1]):
            if name in flow.frame(frame):
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
        for target in node.targets:
            self._assign_to(target, value, node.value.span, flow)

    def _assign_to(self, target: p.Expression, value: Value, at: Span, flow: Flow) -> None:
        match target:
            case p.Name():
                self._bind(target.id, adapted(value, flow), flow)
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
            kept = tuple(e for e in base.entries if e[0] != key)
            flow.change(base, Pairs((*kept, (key, value)), base.open))
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
                self._bind(target.id, UNKNOWN, flow)
            elif isinstance(target, p.Subscript) and self._is_environ(target.base, flow):
                for variable in self._keys(target.key, flow):
                    span = target.key.span
                    self.write(variable, None, Form.REMOVE, span, span, flow)

    def _assert(self, node: p.Assert, flow: Flow) -> None:
        truth = self.truth(node.test, flow)
        for test, decided, whole in deciders(node.test):
            if not whole:
                self.recorder.outcome(test.span, decided, Outcome.RAISES)
        if truth is False:
            self.end_path("AssertionError", flow)
            return
        if truth is None:
            self.fallible = True
        self.refine(node.test, True, flow)

    # --- imports -------------------------------------------------------------------------

    def _import(self, node: p.Import, flow: Flow) -> None:
        for name in node.names:
            located = self.world.locate(self.file, name.module, name.level)
            if located:
                self._import_ours(name, located, node.span, flow)
            elif name.level:
                relative = "." * name.level + name.module
                if name.name not in ("", "*"):
                    self._bind(name.bound, Symbol(f"{relative}.{name.name}"), flow)
            else:
                self._import_foreign(name, node.span, flow)

    def _import_foreign(self, name: p.ImportedName, span: Span, flow: Flow) -> None:
        self.import_module(name.module, span, flow)
        if name.name == "":
            root = name.module.partition(".")[0]
            whole = name.bound != root
            self._bind(name.bound, Symbol(name.module if whole else root), flow)
        elif name.name != "*":
            dotted = f"{name.module}.{name.name}"
            if dotted in self.knowledge.modules:
                self.import_module(dotted, span, flow)
            self._bind(name.bound, Symbol(dotted), flow)
        elif name.module == "os":
            self._bind("environ", Symbol("os.environ"), flow)

    def _import_ours(
        self, name: p.ImportedName, located: tuple[Located, ...], span: Span, flow: Flow
    ) -> None:
        for part in located:
            self._load(part, span, flow)
        if not flow.alive:
            return
        module, dots = located[-1].file, "." * name.level
        if name.name == "":
            whole = name.bound != name.module.partition(".")[0]
            self._bind(name.bound, ModuleValue(module if whole else located[0].file), flow)
        elif name.name == "*":
            for bound, value in dict(flow.frame(self.world.frame_of(module))).items():
                if not bound.startswith("_"):
                    self._bind(bound, value, flow)
        else:
            found = self.member(module, name.name, flow)
            submodule = self.world.submodule(module, name.name) if found is None else None
            if submodule is not None:
                dotted = f"{name.module}.{name.name}" if name.module else name.name
                part = Located(dots + dotted, submodule, not submodule.endswith(".py"))
                self._load(part, span, flow)
                found = ModuleValue(submodule)
            symbol = Symbol(f"{dots}{name.module}.{name.name}")
            self._bind(name.bound, found or symbol, flow)

    def import_by_name(self, name: str, span: Span, flow: Flow, package: str = "") -> Value:
        module, level = named_module(name, package)
        located = self.world.locate(self.file, module, level)
        if not located:
            self.import_module(name, span, flow)
            return Symbol(name)
        for part in located:
            self._load(part, span, flow)
        return ModuleValue(located[-1].file)

    def _load(self, module: Located, span: Span, flow: Flow) -> None:
        """Run a module of the project, unless that has been done on every path to here."""
        if module.file in flow.loaded or not flow.alive:
            return
        if module.is_namespace:
            flow.loaded |= {module.file}
            flow.touched |= {module.file}
            return
        if module.file in flow.touched:
            other = flow.copy()
            self._load_now(module, span, other)
            flow.loaded |= {module.file}
            flow.join(other)
            flow.loaded |= {module.file}
        else:
            self._load_now(module, span, flow)

    def _load_now(self, module: Located, span: Span, flow: Flow) -> None:
        step = Trigger(f"import {module.name}", span, self.file, self.steps, True)
        flow.loaded |= {module.file}
        flow.touched |= {module.file}
        follow = self.follow_imports and self._budget > 0
        if self._still and not self.world.may_matter(module.file):
            return
        reading = self.world.reading(module.file)
        if reading is None:
            return
        if not follow:
            summary = self.world.summary(module.file)
            if summary is not None:
                use = summary.imported.trigger or summary.frozen.trigger
                if use is not None:
                    self.note_use(use.behind((*self.steps, step)), flow)
                flow.follow(summary, (*self.steps, step))
                flow.alive = summary.alive
            return
        saved = self._activation()
        self.steps = (*self.steps, step)
        self._move_to(module.file)
        frame = self.world.frame_of(module.file)
        flow.open(frame)
        self.scopes = (frame,)
        self._frame, self._running, self._class_depth, self._owner = Frame(""), [], 0, None
        self._branches = 0
        if self.reach is not Reach.UNCALLED:
            self.reach = Reach.MODULE
        self.block(reading.program.body, flow)
        self._restore(saved)

    def uses_gpu(self, function: FunctionValue, flow: Flow) -> bool:
        trial = flow.copy()
        trial.frozen = trial.allocated = Mark()
        saved, recorders, executed = self._activation(), self.recorders, self._executed
        since = self._executed_since.copy()
        self.recorders, self._executed = {self.start: Recorder()}, set(executed)
        self._move_to(self.file)
        self.enter(function, None, trial, self.statement.span)
        self._restore(saved)
        self.recorders, self._executed = recorders, executed
        self._executed_since = since
        return trial.frozen.certainty is Certainty.ALWAYS

    def note_use(self, trigger: Trigger, flow: Flow) -> None:
        self.recorders[self.start].use(trigger, flow, self.reach)

    # --- branches ------------------------------------------------------------------------

    def _if(self, node: p.If, flow: Flow) -> None:
        if not self._running and self._class_depth == 0 and is_main_guard(node.test):
            if self._is_program and self.file == self.start:
                if self.imported_end is None:
                    self.imported_end = flow.copy()
                self.block(node.body, flow)
            else:
                self.block(node.orelse, flow)
            return
        truth = self.truth(node.test, flow)
        if not flow.alive:
            return
        other = flow.copy()
        needs = flow.needs
        outer = self.conditions
        with self._branch():
            if truth is not False:
                self.refine(node.test, True, flow)
                self.conditions = (*outer, *self._conditions_of(node.test, True))
                self.block(node.body, flow)
                self._note_outcome(node.test, True, node.body, flow)
            else:
                flow.alive = False
            if truth is not True:
                self.refine(node.test, False, other)
                self.conditions = (*outer, *self._conditions_of(node.test, False))
                self.block(node.orelse, other)
                self._note_outcome(node.test, False, node.orelse, other)
            else:
                other.alive = False
        self.conditions = outer
        flow.needs = other.needs = needs
        flow.join(other)

    def _conditions_of(self, test: p.Expression, truth: bool) -> tuple[Condition, ...]:
        reading = self.world.reading(self.file)
        if reading is None or not self._decides or self._loops:
            return ()  # in a loop, what excludes one another may happen one after the other
        source = reading.source
        return conditions_of(test, truth, self.scopes[-1], lambda e: source.slice(e.span))

    def _excluded(self, mark: Mark) -> bool:
        """Whether what perhaps happened did so in a branch that excludes where execution is."""
        return mark.certainty is Certainty.MAYBE and any(
            one.excludes(other)
            for one in (mark.trigger.under if mark.trigger is not None else ())
            for other in self.conditions
        )

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

    def note_choice(self, node: p.Conditional, flow: Flow) -> None:
        for truth, arm in ((True, node.body), (False, node.orelse)):
            if is_cpu(arm):
                for comparison, decided, whole in deciders(node.test):
                    if whole is truth:
                        self.recorder.outcome(comparison.span, decided, Outcome.LEAVES_GPU)
        test, body, orelse = node.test, node.body, node.orelse
        if isinstance(test, p.Unary) and test.operator == "not":
            test, body, orelse = test.operand, orelse, body
        if isinstance(test, p.Call) and is_cpu(orelse) and is_cuda(body):
            if self.evaluate(test.function, flow.copy()) in _AVAILABLE:
                self.recorder.fallbacks[node.span] = Fallback(node.span, body.span)

    # --- loops ---------------------------------------------------------------------------

    def _for(self, node: p.For, flow: Flow) -> None:
        iterable = self.evaluate(node.iterable, flow)
        items = self.iterate(iterable, flow)
        broken: list[Flow] = []
        perhaps = isinstance(iterable, Items) and iterable.kind == "some"
        if items is None or perhaps or len(items) > MOST_ITEMS:
            skipped = flow.copy()
            self.assign_names(node.target, any_of(items or ()), flow)
            broken += self._pass(node.body, flow)
            if not items or perhaps:
                flow.join(skipped)
        else:
            for item in items:
                if flow.alive:
                    self.assign_names(node.target, item, flow)
                    broken += self._pass(node.body, flow)
        self._after_loop(node.orelse, broken, flow)

    def _while(self, node: p.While, flow: Flow) -> None:
        broken: list[Flow] = []
        forever = isinstance(node.test, p.Literal) and bool(node.test.value)
        for _ in range(1 if forever else MOST_ITEMS):
            truth = self.truth(node.test, flow)
            if truth is False or not flow.alive:
                break
            skipped = flow.copy()
            self.refine(node.test, True, flow)
            broken += self._pass(node.body, flow)
            if truth is None:
                flow.join(skipped)
                break
        if forever:
            flow.alive = False
        self._after_loop(node.orelse, broken, flow)

    def _pass(self, body: p.Block, flow: Flow) -> list[Flow]:
        """One pass through a loop's body; the paths that leave the loop in it."""
        self._frame.breaks.append([])
        self._frame.continues.append([])
        self._loops += 1
        with self._branch():
            self.block(body, flow)
        self._loops -= 1
        for end in self._frame.continues.pop():
            flow.join(end)
        return self._frame.breaks.pop()

    def _after_loop(self, orelse: p.Block, broken: list[Flow], flow: Flow) -> None:
        with self._branch():
            self.block(orelse, flow)
        for end in broken:
            flow.join(end)

    # --- exceptions ----------------------------------------------------------------------

    def end_path(self, raised: str, flow: Flow) -> None:
        left = flow.copy()
        flow.alive = False
        for attempt in reversed(self._attempts):
            number = attempt.handler_of(raised)
            if number is not None:
                attempt.caught[number].append(left)
                return
            if attempt.node.finalbody:
                attempt.leaving.append((raised, left))
                return
        self._leave(left)

    def _leave(self, flow: Flow) -> None:
        """A path ends the program. Of those that end it alike, but for the names that they bind,
        one is enough, unless something of this file runs at exit that may read the names."""
        key = flow.state
        reads = any(self._runs_at_exit(bound, flow) for bound in flow.at_exit)
        if reads or key not in self._left:
            self._left.add(key)
            self._exits.append(flow)

    def may_be_missing(self) -> None:
        """Without the library nothing of it reaches a GPU, so only a ``try`` right around the
        import, or one that expects this, is taken to see it fail."""
        if self._attempts:
            attempt = self._attempts[-1]
            types = {name for handler in attempt.node.handlers for name in handler.types}
            if attempt.frame is self._frame or _MODULE_MISSING & types:
                self.missing = True

    def _try(self, node: p.Try, flow: Flow) -> None:
        before, outer = flow.copy(), (self.fallible, self.failing, self.missing)
        failed: Flow = flow.copy()
        failed.alive = unexpected = uninstalled = False
        attempt = _Attempt(node, self._frame, [[] for _ in node.handlers])
        self._attempts.append(attempt)
        with self._branch():
            for statement in node.body:
                if not flow.alive:
                    break
                start, self.fallible, self.failing, self.missing = flow.copy(), False, False, False
                self.execute(statement, flow)
                if self.fallible or self.missing:
                    failed.join(start)
                if self.fallible or self.failing:
                    failed.join(flow)
                unexpected = unexpected or self.fallible
                uninstalled = uninstalled or self.missing
            self._attempts.pop()
            self.fallible = outer[0] or (unexpected and not _catches_all(node))
            self.failing = outer[1]
            self.missing = outer[2] or (uninstalled and attempt.handler_of("ImportError") is None)
            rest = p.Try(node.span, (), (), (), node.finalbody)
            self._attempts.append(_Attempt(rest, self._frame, []))
            self.block(node.orelse, flow)
            for number, handler in enumerate(node.handlers):
                self._handle(handler, attempt.caught[number], failed, flow, node)
            leaving = attempt.leaving + self._attempts.pop().leaving
        if node.finalbody:
            self._finally(node, flow, failed if failed.alive else before, leaving)

    def _handle(
        self, handler: p.Handler, caught: list[Flow], failed: Flow, flow: Flow, node: p.Try
    ) -> None:
        path = failed.copy()
        for raised in caught:
            path.join(raised)
        if not path.alive:
            return
        if handler.bound:
            self._bind(handler.bound, UNKNOWN, path)
        if "KeyError" in handler.types:
            path.unset |= _variables_in(node.body)
        self.block(handler.body, path)
        missing = bool(handler.types) and _MODULE_MISSING.issuperset(handler.types)
        vanished = not handler.types or bool(_MODULE_VANISHES.intersection(handler.types))
        if missing and not caught and flow.alive and path.alive:
            # Without the framework nothing on this path can have reached a GPU.
            for name in ("frozen", "allocated"):
                setattr(path, name, max(getattr(path, name), getattr(flow, name), key=_certainty))
            path.visible |= flow.visible
        flow.join(path, sticky_imports=vanished)

    def _finally(
        self, node: p.Try, flow: Flow, failed: Flow, leaving: list[tuple[str, Flow]]
    ) -> None:
        for raised, left in leaving:
            self.block(node.finalbody, left)
            if left.alive:
                self.end_path(raised, left)
        if flow.alive:
            self.block(node.finalbody, flow)
        elif not leaving:
            self.block(node.finalbody, failed.copy())

    # --- the other compound statements ---------------------------------------------------

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
            types = tuple(_dotted(a.value) for a in item.arguments) if _is_call(item) else ()
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
            self._bind(target.id, value, flow)
        elif target is not None:
            self.assign_names(target, value, flow)
        self._with(node, number + 1, flow)
        if isinstance(left, FunctionValue) and flow.alive:
            nothing: list[tuple[p.Expression, Value]] = [(item, Known(None))] * 3
            self.enter(left, Arguments(nothing), flow, item.span)

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
        decorators = [(d, self.evaluate(d, flow)) for d in node.decorators]
        for decorator in node.decorators:
            self._note_skip(decorator)
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
        for expression in node.decorators:
            self.evaluate(expression, flow)
        bases = [self.evaluate(expression, flow) for expression in node.bases]
        key = (self.file, node.span.start)
        keys = tuple(base.key for base in bases if isinstance(base, ClassValue))
        scope = self.new_frame()
        known = self.classes.get(key)
        if known is None:
            known = Class(node, self.file, scope, keys, dict(self.known_attributes.get(key, {})))
            self.classes[key] = known
        known.frame = scope
        flow.open(scope)
        saved, self._owner = self._owner, key
        outer, self.scopes = self.scopes, (*self.scopes, scope)
        self._class_depth += 1
        self.block(node.body, flow)
        self._class_depth -= 1
        self.scopes, self._owner = outer, saved
        for name, value in dict(flow.frame(scope)).items():
            if isinstance(value, FunctionValue) and value.key in self.functions:
                self.functions[value.key].scopes = outer
                value = FunctionValue(value.key, outer, value.receiver)
                flow.bind(scope, name, value)
                known.attributes[name] = value
            else:
                self.note_attribute(key, name, value)
        self._bind(node.name, ClassValue(key), flow)

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


def _raised_name(node: p.Raise) -> str:
    """The name of what is raised; empty if it cannot be told."""
    raised = node.values[0] if node.values else None
    if isinstance(raised, p.Call):
        raised = raised.function
    return _dotted(raised).rpartition(".")[2] if raised is not None else ""


def _dotted(node: p.Expression) -> str:
    if isinstance(node, p.Name):
        return node.id
    return node.name if isinstance(node, p.Attribute) else ""


def _is_call(node: p.Expression) -> TypeGuard[p.Call]:
    return isinstance(node, p.Call)


def _catches(handler: str, raised: str) -> bool:
    """Whether ``except handler`` takes an exception of a name; an unknown one it does."""
    name = handler.rpartition(".")[2]
    if raised in ("", name):
        return True
    one, other = getattr(builtins, name, None), getattr(builtins, raised, None)
    if isinstance(one, type) and isinstance(other, type):
        return issubclass(other, one)
    return name in ("Exception", "BaseException")


def _catches_all(node: p.Try) -> bool:
    return any(
        not handler.types or {"Exception", "BaseException"}.intersection(handler.types)
        for handler in node.handlers
    )


def _certainty(mark: Mark) -> Certainty:
    return mark.certainty
