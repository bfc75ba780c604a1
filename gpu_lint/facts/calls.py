"""Calls: they are followed into the bodies of what the project defines."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field

from gpu_lint.facts import program as p
from gpu_lint.facts.environment import Arguments
from gpu_lint.facts.evaluation import PROCESS
from gpu_lint.facts.events import HandedOver
from gpu_lint.facts.fields import NAMED_TUPLE, field_name, fields_given, is_factory
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.guards import behind
from gpu_lint.facts.model import LocalCall, Mark, Reach, Trigger, in_order
from gpu_lint.facts.processes import in_one
from gpu_lint.facts.recorder import Recorder
from gpu_lint.facts.values import (
    UNKNOWN,
    AnyOf,
    Bound,
    ClassValue,
    FunctionValue,
    Gate,
    Gated,
    Input,
    Instance,
    Key,
    Known,
    Returned,
    Symbol,
    Unknown,
    Value,
    any_of,
)
from gpu_lint.facts.waiting import Waiting
from gpu_lint.facts.walk import last_name
from gpu_lint.facts.world import Class, Function, World
from gpu_lint.facts.writers import PATCH
from gpu_lint.source import Span
from gpu_lint.variables import MASK

_DEEPEST_CALL = 12
DEEPEST_ALONE = 3
"""How deep the calls of a function are followed that nothing calls."""
MOST_STATEMENTS = 15_000
"""Statements run per program before calls are no longer followed: bounds time only. Nearly every
program that runs more runs more than four times as many (62 of 66 in ms-swift, 46 of 46 in
skypilot), and what is found then is the same: of ms-swift's 1,436 findings under a policy, one is
another."""
MOST_STILL = 2_000
"""The same for a program in which no variable is set, where only devices are of interest."""
MOST_ALONE = 500
"""The same for one function that nothing calls."""

_MOST_HANDED = 8
"""Places at which a generator that never ends may be left."""
_CACHES = frozenset({"cache", "lru_cache"})
"""Last names of decorators that call a function once for equal arguments."""
_MOST_HANDED_OVER = 64
"""Calls in processes that are remembered of one function; of more, nothing is known."""
_FEW_PARAMETERS = 8
"""Of a function that has more, two take the time in which a statement is run."""


@dataclass(eq=False, slots=True)
class Frame:
    """A running function: where its returns and its loops' early ends go."""

    name: str
    owner: Key | None = None
    receiver: Value | None = None
    returns: list[Flow] = field(default_factory=list)
    results: list[Value] = field(default_factory=list)
    breaks: list[list[Flow]] = field(default_factory=list)
    continues: list[list[Flow]] = field(default_factory=list)


class Calls(Waiting):
    """Enters functions where they are called, and comes back."""

    def __init__(self, world: World, file: str) -> None:
        super().__init__(world, file)
        self.recorders: dict[str, Recorder] = {}
        self.recorder = self.recorder_of(file)
        self.steps: tuple[Trigger, ...] = ()
        self.reach = Reach.MODULE
        self.statement: p.Statement = p.Pass(Span(0, 0))
        self.fallible = self.failing = self.missing = False
        self.comparands = set()
        self._tested = {}
        self._waiting = None
        self._patches = []
        self._frozen_through = {}
        self._frame = Frame("")
        self._running: list[Key] = []
        self.handed_over: dict[Key, tuple[Arguments | None, ...]] = {}
        """What functions are called with in processes that are started."""
        self._hooks: list[Callable[[Flow, Value], None] | None] = []
        self._handed: list[Flow] = []
        """The states in which the generator that runs has handed over."""
        self._class_depth = 0
        self._branches = 0
        self.conditions = ()
        self._owner: Key | None = None
        self._budget = MOST_STATEMENTS
        self.is_command_cut_short = False
        self._deepest = _DEEPEST_CALL

    @property
    def is_at_module_level(self) -> bool:
        return not self._running

    @abstractmethod
    def block(self, statements: p.Block, flow: Flow) -> None:
        """Run statements in order until the path ends."""

    def call(self, node: p.Call, flow: Flow) -> Value:
        callee: Value
        receiver: Value = UNKNOWN
        if isinstance(node.function, p.Attribute):
            receiver = self.evaluate(node.function.base, flow)
            callee = self.attribute(receiver, node.function.name, flow)
        elif isinstance(node.function, p.Name):
            found = self.lookup(node.function.id, flow)
            if found is None and node.function.id == "super":
                return self._super()
            if found is None:
                args = self.arguments(node, flow)
                return self.builtin_call(node.function.id, node, args, flow)
            callee = found
        else:
            callee = self.evaluate(node.function, flow)
        args = self.arguments(node, flow)
        return self._each(callee, receiver, node, args, flow)

    def call_value(self, callee: Value, node: p.Call, args: Arguments, flow: Flow) -> Value:
        return self._each(callee, UNKNOWN, node, args, flow)

    def _each(
        self, callee: Value, receiver: Value, node: p.Call, args: Arguments, flow: Flow
    ) -> Value:
        """Call whatever the callee may be, each on a path of its own."""
        if not isinstance(callee, AnyOf):
            return self._call_one(callee, receiver, node, args, flow)
        before = flow.copy()
        results: list[Value] = []
        flow.alive = False
        for single in callee.values:
            path = before.copy()
            results.append(self._call_one(single, receiver, node, args, path))
            flow.join(path)
        return any_of(results)

    def _call_one(
        self, callee: Value, receiver: Value, node: p.Call, args: Arguments, flow: Flow
    ) -> Value:
        if not isinstance(callee, (FunctionValue, ClassValue, Bound, Instance)):
            self.take_waiting(callee, node, args, flow)
            if isinstance(node.function, p.Call) and args.positional:
                self.note_registered(node.function, args.positional[0][1], flow)
        if isinstance(callee, Symbol):
            if self.knowledge.framework_of(callee.name) is None and "." in callee.name:
                self._note_call(callee.name.rpartition(".")[2], node, flow)
            return self.symbol_call(callee.name, node, args, flow)
        if isinstance(callee, FunctionValue) and (function := self.function(callee.key)):
            if isinstance(function.node, p.Function):
                self._note_call(function.node.name, node, flow, function)
                self._apply_own(function.file, self._qualified(function), node, args, flow)
                if function.file != self.file:
                    self.generic_device(node, function.node.name, args, flow)
                if function.node.decorators and not args.positional and not args.keywords:
                    return self._cached(callee, function.node, args, flow, node.span)
            return self.enter(callee, args, flow, node.span)
        if isinstance(callee, ClassValue) and (cls := self.class_of(callee.key)):
            self._apply_own(callee.key[0], cls.node.name, node, args, flow)
            return self._construct(callee, cls, node, args, flow)
        if isinstance(callee, Gate) and args.positional:
            return behind(args.positional[0][1], callee.needs)
        if isinstance(callee, Gated):
            flow.needs = max(flow.needs, callee.needs)
            return self._call_one(callee.value, receiver, node, args, flow)
        if isinstance(callee, Bound) and callee.kind == PATCH and args.positional:
            return self.patch_function(callee, args.positional[0][1])
        if isinstance(callee, Bound) and callee.kind == NAMED_TUPLE:
            return self._named_tuple(callee, args, flow)
        if isinstance(callee, Bound) and isinstance(callee.arguments, Arguments):
            first = callee.arguments
            merged = Arguments(
                first.positional + args.positional,
                {**first.keywords, **args.keywords},
                first.exact and args.exact,
            )
            return self._each(callee.callee, UNKNOWN, node, merged, flow)
        if isinstance(callee, Instance):
            method = self.attribute_of(callee, "__call__", flow)
            if isinstance(method, FunctionValue):
                return self._call_one(method, callee, node, args, flow)
        if isinstance(callee, Returned):
            api = self.knowledge.function(f"{callee.symbol}.__call__")
            if api is not None:
                return self.apply_api(api, node, args, flow)
        if isinstance(callee, (Unknown, Returned, Input)) and isinstance(
            node.function, p.Attribute
        ):
            return self.method_call(receiver, node, args, flow)
        if isinstance(node.function, p.Name) and not isinstance(callee, Known):
            self.generic_device(node, node.function.id, args, flow)
        flow.quiet = frozenset()
        self.fallible = True
        return UNKNOWN

    def _cached(
        self, callee: FunctionValue, node: p.Function, args: Arguments, flow: Flow, at: Span
    ) -> Value:
        """What a decorated function gives that is called without arguments: with ``lru_cache``, the
        object that it has made before."""
        names = (d.function if isinstance(d, p.Call) else d for d in node.decorators)
        if _CACHES.isdisjoint(map(last_name, names)):
            return self.enter(callee, args, flow, at)
        kept = f"cached {callee.key}"
        if isinstance(held := flow.get(PROCESS, kept), Instance):
            return held
        made = self.enter(callee, args, flow, at)
        if isinstance(made, Instance):
            flow.bind(PROCESS, kept, made)
        return made

    def _named_tuple(self, cls: Bound, args: Arguments, flow: Flow) -> Value:
        """The object that a class made by ``namedtuple()`` gives, with its fields."""
        given = fields_given(cls.callee, args)
        if given is None:
            self.fallible = True
            return Returned(NAMED_TUPLE, None)
        frame = self.new_frame()
        for name, value in given.items():
            flow.bind(frame, f".{name}", value)
        return Returned(NAMED_TUPLE, frame)

    def _construct(
        self, callee: ClassValue, cls: Class, node: p.Call, args: Arguments, flow: Flow
    ) -> Value:
        """Build an object of a class of the project."""
        self.generic_device(node, cls.node.name, args, flow)
        if len(args.positional) == 1 and cls.node.bases:
            if (member := self.member_with(callee.key, args.positional[0][1], flow)) is not None:
                return member
        instance = self._made_by_new(callee, node, args, flow)
        if instance is None:
            instance = Instance(callee.key, self.new_frame())
        elif instance.cls != callee.key:
            return instance
        constructor = self.attribute_of(instance, "__init__", flow)
        if isinstance(constructor, FunctionValue):
            self.enter(constructor, args, flow, node.span)
            return instance
        flow.quiet = frozenset()
        for position, name in enumerate(self.fields(callee.key)):
            found = args.find(position, name)
            if found is not None:
                self.set_attribute(instance, name, found[1], flow)
            elif not args.exact:
                self.set_attribute(instance, name, UNKNOWN, flow)
            elif is_factory(default := self.attribute_of(callee, name, flow)):
                made = self.call_value(default, node, Arguments(), flow)
                self.set_attribute(instance, name, made, flow)
        method = self.attribute_of(instance, "__post_init__", flow)
        if isinstance(method, FunctionValue):
            self.enter(method, Arguments(), flow, node.span)
        return instance

    def hand_over(self, key: Key, calls: tuple[Arguments | None, ...]) -> None:
        held = (*self.handed_over.get(key, ()), *calls)
        self.handed_over[key] = held if len(held) <= _MOST_HANDED_OVER else (None,)
        self.happened(HandedOver(key, calls))

    def _made_by_new(
        self, callee: ClassValue, node: p.Call, args: Arguments, flow: Flow
    ) -> Instance | None:
        """The object that a class's own ``__new__`` gives, which may be one that was made before;
        one of which nothing is known where that is not known, and None without a ``__new__``."""
        if not any("__new__" in cls.attributes for cls in self.lineage(callee.key)):
            return None
        new = self.attribute_of(callee, "__new__", flow)
        if not isinstance(new, FunctionValue):
            return None
        given = Arguments([(node.function, callee), *args.positional], args.keywords, args.exact)
        made = self.enter(new, given, flow, node.span)
        return made if isinstance(made, Instance) else Instance(callee.key)

    def fields(self, key: Key) -> list[str]:
        names: dict[str, None] = {}
        for cls in reversed(list(self.lineage(key))):
            for statement in cls.node.body:
                if name := field_name(statement):
                    names[name] = None
        return list(names)

    def _super(self) -> Value:
        """What ``super()`` is in the running method."""
        receiver, owner = self._frame.receiver, self._frame.owner
        cls = self.class_of(owner) if owner is not None else None
        if isinstance(receiver, Instance) and cls is not None:
            return Instance(receiver.cls, receiver.frame, owner)
        return UNKNOWN

    def _note_call(
        self, name: str, node: p.Call, flow: Flow, function: Function | None = None
    ) -> None:
        ignored = isinstance(self.statement, p.Evaluate) and self.statement.value is node
        asked = self.world.variables_in(function) if function is not None else ()
        self.recorder.call(
            LocalCall(
                name,
                node.span,
                self.reach,
                ignored,
                flow.allocated,
                tuple((variable, in_order(flow.holds(variable))) for variable in asked),
                in_order(flow.masks()) if MASK in asked else (),
            )
        )

    def _qualified(self, function: Function) -> str:
        """A function's name in its module, with the class that it is a method of."""
        name = function.node.name if isinstance(function.node, p.Function) else ""
        owner = self.class_of(function.owner) if function.owner is not None else None
        return name if owner is None else f"{owner.node.name}.{name}"

    def _apply_own(self, file: str, name: str, node: p.Call, args: Arguments, flow: Flow) -> None:
        """What a project's rule pack says of something that one of its files defines."""
        api = self.knowledge.of_file(file, name)
        if api is not None:
            self.apply_api(api, node, args, flow)

    def enter(
        self,
        callee: FunctionValue,
        args: Arguments | None,
        flow: Flow,
        at: Span,
        *,
        resumed: bool = False,
    ) -> Value:
        """Follow a call into its body; without ``args``, as an unknown caller would call it."""
        function = self.function(callee.key)
        too_deep = len(self._running) >= self._deepest or self._budget <= 0
        if self._budget <= 0:
            self.note_cut_short()
        if (
            function is None
            or callee.key in self._running
            or (too_deep and args is not None)
            or not self.is_entered(function, callee.key)
        ):
            flow.quiet = frozenset()
            self.fallible = True
            return UNKNOWN
        node = function.node
        if isinstance(node, p.Function) and args is not None and not resumed:
            if node.generator:
                return Bound("generator", callee, args)
            if node.asynchronous:
                return Bound("coroutine", callee, args)
        self.executed(callee.key)
        self._budget -= max(0, len(node.parameters) - _FEW_PARAMETERS) // 2
        saved, here = self._activation(), flow.imported_here
        lasts = isinstance(node, p.Function) and node.nests
        scope = self.new_frame(lasting=lasts)
        given = in_one(self.handed_over.get(callee.key, ())) if args is None else args
        self.bind_parameters(function, callee, given, scope, flow)
        if function.file != self.file:
            self.steps = self.steps_into(callee, at)
            self._move_to(function.file)
        self.scopes = (*callee.scopes, scope)
        self._frame = Frame(_name_of(node), function.owner, callee.receiver)
        self._class_depth = 0
        self._running.append(callee.key)
        if args is not None:
            self.reach = min(self.reach, Reach.CALLED)
            flow.imported_here = Mark()
        if isinstance(node, p.Lambda):
            self._budget -= 1
            result = self.evaluate(node.body, flow)
        else:
            outer, self._patches = self._patches, []
            with self.patched(function.patches, flow) if function.patches else nullcontext():
                self.block(node.body, flow)
                results = [*self._frame.results, Known(None)] if flow.alive else self._frame.results
                flow.join_all(self._frame.returns)
            self.end_patches(flow, always=_is_fixture(node))
            self._patches = outer
            result = any_of(results)
        self._running.pop()
        self._restore(saved)
        if here.certainty >= flow.imported_here.certainty:
            flow.imported_here = here
        if not lasts:
            flow.close(scope)
        return result

    def patch_function(self, patch: Bound, patched: Value) -> Value:
        """Let a function, or the tests of a class, run with a patch of the environment."""
        methods: Iterable[Value] = (patched,)
        if isinstance(patched, ClassValue) and (cls := self.class_of(patched.key)) is not None:
            methods = (held for name, held in cls.attributes.items() if name.startswith("test"))
        for method in methods:
            if isinstance(method, FunctionValue) and (found := self.function(method.key)):
                found.patches = (*found.patches, patch)
        return patched

    def steps_into(self, callee: FunctionValue, at: Span) -> tuple[Trigger, ...]:
        function = self.function(callee.key)
        if function is None or function.file == self.file:
            return self.steps
        return (*self.steps, Trigger(f"{_name_of(function.node)}()", at, self.file, self.steps))

    @abstractmethod
    def is_entered(self, function: Function, key: Key) -> bool:
        """Whether a call of a function is followed into its body."""

    def _activation(self) -> tuple[object, ...]:
        """Everything that says where execution is, to return there."""
        return (
            self.file,
            self.recorder,
            self.steps,
            self.scopes,
            self._frame,
            self.statement,
            self.reach,
            self._class_depth,
            self._owner,
            self._running,
            self._branches,
            self.conditions,
        )

    def _restore(self, saved: tuple[object, ...]) -> None:
        (
            self.file,
            self.recorder,
            self.steps,
            self.scopes,
            self._frame,
            self.statement,
            self.reach,
            self._class_depth,
            self._owner,
            self._running,
            self._branches,
            self.conditions,
        ) = saved  # type: ignore[assignment]

    def _move_to(self, file: str) -> None:
        self.file = file
        self.recorder = self.recorder_of(file)

    def resume(self, generator: Bound, flow: Flow) -> None:
        self.resume_with(generator, flow, None)

    def resume_with(
        self, generator: Bound, flow: Flow, hook: Callable[[Flow, Value], None] | None
    ) -> None:
        """Run a generator to its end; ``hook`` is what happens where it first hands over."""
        callee, args = generator.callee, generator.arguments
        if isinstance(callee, FunctionValue) and isinstance(args, Arguments):
            self._hooks.append(hook)
            outer, self._handed = self._handed, []
            self.enter(callee, args, flow, self.statement.span, resumed=True)
            if hook is None and not flow.alive:
                flow.join_all(self._handed)  # who goes through it may stop before its end
            self._handed = outer
            self._hooks.pop()

    def yielded(self, node: p.Yield, value: Value, flow: Flow) -> None:
        if self._hooks and len(self._handed) < _MOST_HANDED:
            self._handed.append(flow.copy())
        hook = self._hooks[-1] if self._hooks else None
        if hook is not None:
            self._hooks[-1] = None
            hook(flow, value)


def _name_of(node: p.Function | p.Lambda) -> str:
    """What messages call a function."""
    return node.name if isinstance(node, p.Function) else "lambda"


def _is_fixture(node: p.Function) -> bool:
    """Whether a function makes a fixture of pytest: what it patches holds for a test."""
    names = (d.function if isinstance(d, p.Call) else d for d in node.decorators)
    return any(last_name(name) == "fixture" for name in names)
