"""Functions, classes and modules that a run meets, and their attributes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import dropwhile, islice

from gpu_lint.facts import program as p
from gpu_lint.facts.effects import Effects
from gpu_lint.facts.environment import Arguments
from gpu_lint.facts.evaluation import REPLACEABLE
from gpu_lint.facts.events import AttributeAsked, AttributeMet, Event, FunctionMet
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.model import Certainty, Shape
from gpu_lint.facts.ranks import OF_TRAINING
from gpu_lint.facts.ranktext import asks_training_for_rank
from gpu_lint.facts.selection import Selection
from gpu_lint.facts.summaries import Recording
from gpu_lint.facts.values import (
    UNKNOWN,
    AnyOf,
    ClassValue,
    FunctionValue,
    Instance,
    Items,
    Key,
    Known,
    Member,
    ModuleValue,
    Pairs,
    Returned,
    Symbol,
    Typed,
    Value,
    alternatives,
    any_of,
    text_of,
)
from gpu_lint.facts.walk import last_name
from gpu_lint.facts.world import Class, Function, World
from gpu_lint.source import Span

_ENUMS = frozenset({"Enum", "Flag"})
_ALL_ENUMS = _ENUMS | {"IntEnum", "IntFlag", "StrEnum"}
_PLAIN_BASES = frozenset({"object", "ABC", "NamedTuple", "BaseModel", "BaseSettings"})
"""Classes from outside the project that make no strings."""
_MOST_CLASSES = 64
"""Classes among which an attribute is looked for: a class and those that it inherits from."""


class Objects(Effects):
    """Keeps the functions and classes that were met, and knows what attributes may be."""

    def __init__(self, world: World, file: str) -> None:
        self.world = world
        self.knowledge = world.knowledge
        self.file = file
        self.scopes = (world.frame_of(file),)
        self.functions: dict[Key, Function] = {}
        self.classes: dict[Key, Class] = {}
        self.known_attributes: dict[Key, dict[str, Value]] = {}
        self.learnt_late: list[Value] = []
        """What attributes may be, found out when somebody had asked for them already."""
        self._asked: set[tuple[Key, str]] = set()
        """The attributes of classes that were looked up."""
        self._recording: Recording | None = None
        """The innermost part of the program that is being run, if any."""
        self._numbering: object = None
        """The part that frames are numbered in; None where they are like no others."""
        self._made = 0
        """How many frames have been numbered in it."""

    @abstractmethod
    def enter(
        self,
        callee: FunctionValue,
        args: Arguments | None,
        flow: Flow,
        at: Span,
        *,
        resumed: bool = False,
    ) -> Value:
        """Follow a call into its body; without ``args``, as an unknown caller would call it. A
        generator or coroutine is only run if it is ``resumed``."""

    def new_frame(self, *, lasting: bool = True) -> int:
        if self._numbering is None:
            return self.world.new_frame()
        frame = self.world.frame_in(self._numbering, self._made)
        self._made += 1
        if self._recording is not None:
            self._recording.own.add(frame)
            if lasting:
                self._recording.lasting.add(frame)
        return frame

    @abstractmethod
    def happened(self, event: Event) -> None:
        """Note what a part that is being run does beside changing the state."""

    def ask(self, key: Key, name: str) -> None:
        """Remember that an attribute was asked for."""
        self._asked.add((key, name))
        if self._recording is not None:
            self.happened(AttributeAsked(key, name))

    def _ask_for(self, cls: Class, name: str, value: Value | None) -> None:
        """Remember that an attribute was asked for, and what it may be now."""
        key = cls.key
        if self._recording is None or self._recording.asks_for_attribute(key, name, value):
            self.ask(key, name)

    def framework_named(self, name: str) -> bool:
        reading = self.world.reading(self.file)
        return reading is not None and name in reading.framework_names

    def note_own_rank(self, node: p.Attribute, flow: Flow) -> None:
        reading = self.world.reading(self.file)
        if reading is not None and asks_training_for_rank(reading.source.data):
            selection = Selection(Shape.COUNT, (), 0, Certainty.MAYBE, True, inputs=(OF_TRAINING,))
            called, needs = OF_TRAINING.name, self._needs(flow)
            self.recorder.selector(called, selection, node.span, flow.masks(), needs, self.reach)

    def imports_framework(self) -> bool:
        reading = self.world.reading(self.file)
        return reading is not None and bool(reading.framework_names)

    def environment_keys(self) -> frozenset[str]:
        reading = self.world.reading(self.file)
        return reading.environment_keys if reading is not None else frozenset()

    def dotenv_entries(self) -> Pairs | None:
        return self.world.dotenv(self.file)

    def make_lambda(self, node: p.Lambda, flow: Flow) -> Value:
        return self.register(node, None)

    def register(self, node: p.Function | p.Lambda, owner: Key | None) -> FunctionValue:
        """Remember a function, so that a call of it can be followed."""
        key = (self.file, node.span.start)
        function = self.functions[key] = Function(node, self.file, self.scopes, owner)
        self.happened(FunctionMet(key, function))
        return FunctionValue(key, self.scopes)

    def function(self, key: Key) -> Function | None:
        """A function of this run, or of a module that was run before it."""
        return self.functions.get(key) or self.world.functions.get(key)

    def class_of(self, key: Key) -> Class | None:
        """A class of this run, or this run's own copy of one that was met before it."""
        found = self.classes.get(key)
        if found is None and (known := self.world.classes.get(key)) is not None:
            found = replace(known, attributes=dict(known.attributes))
            self.classes[key] = found
        return found

    def lineage(self, key: Key) -> Iterator[Class]:
        """A class and the classes of the project that it inherits from, in the order in which
        attributes are looked up: one that several inherit from stands behind all of them."""
        first = self.class_of(key)
        if first is None or not first.bases:
            yield from () if first is None else (first,)
            return
        found: list[Class] = []
        waiting = [key]
        while waiting and len(found) < _MOST_CLASSES:
            cls = self.class_of(waiting.pop())
            if cls is not None:
                found.append(cls)
                waiting += reversed(cls.bases)
        last = {cls.key: number for number, cls in enumerate(found)}
        yield from (cls for number, cls in enumerate(found) if last[cls.key] == number)

    def subclasses(self, key: Key) -> Value:
        found = [ClassValue(cls.key) for cls in self.classes.values() if key in cls.bases]
        return Items("list", tuple(found))

    def public_methods(self, key: Key) -> Iterator[str]:
        for cls in self.lineage(key):
            for name, held in cls.attributes.items():
                if not name.startswith("_") and isinstance(held, FunctionValue):
                    yield name

    def functions_of(self, file: str, flow: Flow) -> Iterator[Value]:
        for held in dict(flow.names(self.world.frame_of(file))).values():
            if isinstance(held, FunctionValue) and held.key[0] == file:
                yield held

    def attribute_of(self, base: Value, name: str, flow: Flow) -> Value:
        if isinstance(base, ModuleValue):
            return self.member(base.file, name, flow) or UNKNOWN
        if isinstance(base, Member):
            base = Instance(base.cls)
        assert isinstance(base, (Instance, ClassValue))
        if isinstance(base, Instance) and base.frame is not None and base.behind is None:
            found = flow.get(base.frame, name)
            if found is not None:
                return found
        key = base.cls if isinstance(base, Instance) else base.key
        lineage = self.lineage(key)
        if isinstance(base, Instance) and (behind := base.behind) is not None:
            lineage = islice(dropwhile(lambda cls: cls.key != behind, lineage), 1, None)
            base = Instance(base.cls, base.frame)
        found, exact = self._held_by_class(base, list(lineage), name, flow)
        if found is not None:
            bound = [self._bound(single, base, flow) for single in alternatives(found)]
            callable_ = all(isinstance(single, FunctionValue) for single in bound)
            if isinstance(base, ClassValue) and not callable_ and self._is_enum(key):
                return self._member_of(key, name, any_of(bound))
            return any_of(bound) if exact or callable_ else any_of((*bound, UNKNOWN))
        if not name.startswith("__"):
            return self.special(base, "__getattr__", (Known(name),), flow) or UNKNOWN
        return UNKNOWN

    @abstractmethod
    def fields(self, key: Key) -> list[str]:
        """The fields of a dataclass or named tuple, in order, inherited ones first."""

    def attributes_of(self, base: ClassValue | Instance, flow: Flow) -> Pairs:
        cls = self.class_of(base.key if isinstance(base, ClassValue) else base.cls)
        names: dict[str, object] = dict(cls.attributes) if cls is not None else {}
        is_known = cls is not None
        if isinstance(base, Instance):
            held = flow.names(base.frame) if base.frame is not None else {}
            names = {**dict.fromkeys(self.fields(base.cls)), **held}
            is_known = base.frame is not None
        entries = [(Known(name), self.attribute_of(base, name, flow)) for name in names]
        return Pairs(tuple(entries), open=not is_known)

    def surely_has(self, base: Value, name: str) -> bool:
        match base:
            case ModuleValue(file):
                reading = self.world.reading(file)
                bodies = [reading.program.body] if reading is not None else []
            case Instance(key) | ClassValue(key):
                bodies = [cls.node.body for cls in self.lineage(key)]
            case _:
                return False
        return any(_binds(statement, name) for body in bodies for statement in body)

    def _held_by_class(
        self, base: Instance | ClassValue, lineage: list[Class], name: str, flow: Flow
    ) -> tuple[Value | None, bool]:
        """What the classes of an object hold under a name, and whether that is what they hold now:
        else it is what some object's attribute may be, whenever that is."""
        if isinstance(base, ClassValue) or base.frame is not None:
            for cls in lineage:
                held = flow.get(cls.frame, name)
                if held is not None:
                    return held, True
        for cls in lineage:
            found = cls.attributes.get(name)
            self._ask_for(cls, name, found)
            if found is not None:
                return found, False
        return None, False

    def _bound(self, value: Value, base: Value, flow: Flow) -> Value:
        """A class's attribute as an object sees it: methods bound, properties read."""
        function = self.function(value.key) if isinstance(value, FunctionValue) else None
        if function is None or not isinstance(value, FunctionValue):
            return value
        receiver = self.receiver_of(function, base)
        if receiver is None:
            return value
        method = FunctionValue(value.key, value.scopes, receiver)
        is_property = _decorator_names(function.node) & {"property", "cached_property"}
        if is_property and isinstance(receiver, Instance):
            return self.enter(method, Arguments(), flow, function.node.span)
        return method

    def receiver_of(self, function: Function, base: Value) -> Value | None:
        """The first argument of a method that is asked of an object or a class; None if it is not
        given one."""
        decorators = _decorator_names(function.node)
        if "staticmethod" in decorators or function.owner is None:
            return None
        if "classmethod" in decorators:
            key = base.cls if isinstance(base, Instance) else None
            return ClassValue(key) if key is not None else base
        return base if isinstance(base, Instance) else None

    def special(
        self, base: Value, name: str, arguments: Sequence[Value], flow: Flow
    ) -> Value | None:
        """Call a method that Python calls by itself, such as ``__setitem__``, if an object of the
        project has it; what it returns."""
        if not isinstance(base, Instance):
            return None
        if not any(name in cls.attributes for cls in self.lineage(base.cls)):
            return None
        method = self.attribute_of(base, name, flow)
        if not isinstance(method, FunctionValue):
            return None
        at = self.statement.span
        given: list[tuple[p.Expression, Value]] = [(p.Opaque(at, ()), one) for one in arguments]
        return self.enter(method, Arguments(given), flow, at)

    def _is_enum(self, key: Key) -> bool:
        """Whether the members of a class are no strings or numbers themselves, but have a value."""
        bases = self.foreign_bases(key)
        return bool(bases & _ENUMS) and bases <= _ENUMS | _PLAIN_BASES

    def member_with(self, key: Key, value: Value, flow: Flow) -> Value | None:
        """The member of an Enum that has a value; None where it is not known, or the class is no
        Enum."""
        cls = self.class_of(key)
        if cls is None or not isinstance(value, Known) or not self.foreign_bases(key) & _ALL_ENUMS:
            return None
        members = (self.attribute_of(ClassValue(key), name, flow) for name in cls.attributes)
        return next((one for one in members if _stands_for(one) == value.value), None)

    def foreign_bases(self, key: Key) -> frozenset[str]:
        """The last names of what a class of the project inherits from outside the project; an
        empty one where that is not known."""
        found: set[str] = set()
        for cls in self.lineage(key):
            if len(cls.node.bases) > len(cls.bases):
                own = {known.node.name for base in cls.bases if (known := self.class_of(base))}
                found |= {last_name(base) for base in cls.node.bases} - own
        return frozenset(found)

    def _member_of(self, key: Key, name: str, value: Value) -> Member:
        """A member of an Enum."""
        classes = list(self.lineage(key))
        says = any("__str__" in cls.attributes or "__format__" in cls.attributes for cls in classes)
        return Member(key, name, value, "" if says else f"{classes[0].node.name}.{name}")

    def as_written(self, value: Value) -> Value:
        """A value as the environment takes it: of an object that is surely no string, the type
        alone is of interest."""
        if not any(isinstance(single, Instance) for single in alternatives(value)):
            return value
        return any_of(map(self._without_content, alternatives(value)))

    def _without_content(self, value: Value) -> Value:
        cls = self.class_of(value.cls) if isinstance(value, Instance) else None
        if cls is None or not self.foreign_bases(cls.key) <= _ENUMS | _PLAIN_BASES:
            return value
        return Typed(cls.node.name)

    def member(self, file: str, name: str, flow: Flow) -> Value | None:
        """A module's name: what it bound, or a submodule that has been imported."""
        found = flow.get(self.world.frame_of(file), name)
        if found is None:
            submodule = self.world.submodule(file, name)
            if submodule is not None:
                if self._recording is not None:
                    self._recording.asks_for_file(submodule)
                if submodule in flow.touched:
                    return ModuleValue(submodule)
                return None
            return self._asked_of_module(file, name, flow)
        return found

    def _asked_of_module(self, file: str, name: str, flow: Flow) -> Value | None:
        """What a module's ``__getattr__`` gives for a name that it does not bind."""
        hook = flow.get(self.world.frame_of(file), "__getattr__")
        if not isinstance(hook, FunctionValue) or name.startswith("__"):
            return None
        asked = p.Literal(self.statement.span, name)
        return self.enter(hook, Arguments([(asked, Known(name))]), flow, self.statement.span)

    def set_attribute(self, base: Value, name: str, value: Value, flow: Flow) -> None:
        """What an assignment to an attribute does."""
        if isinstance(base, Instance):
            if self.special(base, f"{name}.setter", (value,), flow) is not None:
                return
            self.special(base, "__setattr__", (Known(name), value), flow)
            if base.frame is not None:
                flow.bind(base.frame, name, value)
            self.note_attribute(base.cls, name, value)
        elif isinstance(base, ClassValue):
            cls = self.class_of(base.key)
            if cls is not None:
                flow.bind(cls.frame, name, value)
                self.note_attribute(base.key, name, value)
        elif isinstance(base, ModuleValue):
            flow.bind(self.world.frame_of(base.file), name, value)
        elif base == Symbol("os") and name == "environ":
            self.rebind_environment(value, flow)
        elif isinstance(base, Symbol) and name in REPLACEABLE:
            self.replace_symbol(f"{base.name}.{name}", value, flow)
        else:
            self.set_part(base, f".{name}", value, flow)

    def set_attributes(self, base: Value, name: Value, value: Value, flow: Flow) -> None:
        for single in alternatives(base):
            if (known := text_of(name)) is not None:
                self.set_attribute(single, known, value, flow)
            elif isinstance(single, (Instance, ClassValue, ModuleValue)):
                for attribute in self._data_attributes(single, flow):
                    held = self.attribute_of(single, attribute, flow)
                    self.set_attribute(single, attribute, any_of((held, value)), flow)
            elif isinstance(single, Returned) and single.frame is not None:
                for part, held in dict(flow.names(single.frame)).items():
                    flow.bind(single.frame, part, any_of((held, value)))

    def _data_attributes(self, base: Instance | ClassValue | ModuleValue, flow: Flow) -> list[str]:
        """The names of the attributes that hold constants or containers."""
        if isinstance(base, ModuleValue):
            frames = [self.world.frame_of(base.file)]
        else:
            key = base.cls if isinstance(base, Instance) else base.key
            frames = [cls.frame for cls in self.lineage(key)]
            frames += [base.frame] if isinstance(base, Instance) and base.frame is not None else []
        held = {name: value for frame in frames for name, value in flow.names(frame).items()}
        return [name for name, value in held.items() if isinstance(value, (Known, Items, Pairs))]

    def note_attribute(self, key: Key, name: str, value: Value) -> None:
        """Remember one of the values that an attribute may have, whenever that is."""
        known = self.class_of(key)
        if known is not None:
            old = known.attributes.get(name)
            if self._recording is not None:
                self._recording.adds_to_attribute(key, name, old)
                self.happened(AttributeMet(key, name, value))
            if old is value or (isinstance(old, AnyOf) and value in old.values):
                return
            new = value if old is None else any_of((old, value))
            if new != old:
                known.attributes[name] = new
                if (key, name) in self._asked:
                    self.learnt_late.append(value)


def _stands_for(member: Value) -> object:
    """The constant that is the value of a member of an Enum, or the member itself."""
    held = member.value if isinstance(member, Member) else member
    return held.value if isinstance(held, Known) else NotImplemented


def _binds(statement: p.Statement, name: str) -> bool:
    """Whether a statement surely gives a value to a plain name."""
    match statement:
        case p.Assign(targets=targets):
            return any(isinstance(target, p.Name) and target.id == name for target in targets)
        case p.Function(name=defined) | p.Class(name=defined):
            return defined == name
    return False


def _decorator_names(node: p.Function | p.Lambda) -> frozenset[str]:
    if not isinstance(node, p.Function) or not node.decorators:
        return frozenset()
    names = []
    for decorator in node.decorators:
        if isinstance(decorator, p.Name):
            names.append(decorator.id)
        elif isinstance(decorator, p.Attribute):
            names.append(decorator.name)
    return frozenset(names)
