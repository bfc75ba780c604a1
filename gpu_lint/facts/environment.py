"""What a program does to its environment: writes, reads and removals of variables."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import field, replace

from gpu_lint.facts import program as p
from gpu_lint.facts.conditions import Condition
from gpu_lint.facts.evaluation import Evaluator
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.knowledge import Knowledge
from gpu_lint.facts.model import (
    INHERITED,
    Form,
    Reach,
    Trigger,
    Written,
)
from gpu_lint.facts.recorder import Recorder
from gpu_lint.facts.refinement import unnamed
from gpu_lint.facts.values import (
    ANOTHER_NAME,
    UNCOUNTED,
    UNKNOWN,
    Bound,
    EnvironmentValue,
    Items,
    Known,
    Pairs,
    Place,
    Symbol,
    Value,
    alternatives,
    any_of,
    constants,
    listing,
    may_be,
    pairs_from,
    text_of,
)
from gpu_lint.records import record
from gpu_lint.source import Span
from gpu_lint.variables import ALIASES, HEADER_VARIABLES, MASK, ORDER

ENVIRON = "os.environ"
NAMES_OF_ENVIRONMENT = (ENVIRON, "os.environb")
"""The environment of the process, with names and values as strings or as bytes."""
OF_ENVIRONMENT = frozenset({"os.getenv", "os.putenv", "os.unsetenv", "os.getenvb"})
"""Functions that read or write it."""
_DECIDING = frozenset((*HEADER_VARIABLES, *ALIASES))
_REMOVING = ("pop", "unsetenv", "__delitem__")
_WRITING = {
    "setdefault": Form.SETDEFAULT,
    "putenv": Form.PUTENV,
    "__setitem__": Form.ASSIGN,
}
_HANDED_AT_ONCE = 16
"""Arguments that are handed on in the time in which a statement is run."""
VAGUE = UNCOUNTED | {"set"}
"""Kinds of containers of which no single item is known by its place."""


@record
class Arguments:
    """The arguments of one call, evaluated."""

    positional: list[tuple[p.Expression, Value]] = field(default_factory=list)
    keywords: dict[str, tuple[p.Expression, Value]] = field(default_factory=dict)
    exact: bool = True
    """No ``*args`` or ``**kwargs`` of unknown content."""

    def find(self, position: int | None, keyword: str | None) -> tuple[p.Expression, Value] | None:
        if keyword is not None and keyword in self.keywords:
            return self.keywords[keyword]
        if position is not None and position < len(self.positional):
            return self.positional[position]
        return None

    @property
    def values(self) -> tuple[Value, ...]:
        """The positional arguments."""
        return tuple(value for _, value in self.positional)

    @property
    def named_values(self) -> dict[str, Value]:
        """The arguments that are given by their names."""
        return {name: value for name, (_, value) in self.keywords.items()}

    @property
    def texts(self) -> list[str | None]:
        """The texts among the arguments; None for each of the others."""
        given = [*self.positional, *self.keywords.values()]
        return [text_of(value) for _, value in given]

    def value(self, position: int, keyword: str | None = None) -> Value | None:
        found = self.find(position, keyword)
        return found[1] if found else None


class Environment(Evaluator):
    """Applies what calls do to the environment; what others do is for the subclass."""

    knowledge: Knowledge
    recorder: Recorder
    reach: Reach
    statement: p.Statement
    steps: tuple[Trigger, ...]
    """How execution got from the first file to this one."""
    conditions: tuple[Condition, ...]
    """Those of the branches that are being run."""

    @abstractmethod
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
        """Note a write to an environment variable, as it is found; ``named`` is the literal that
        the variable's name comes from."""

    def arguments(self, node: p.Call, flow: Flow) -> Arguments:
        """Evaluate the arguments of a call, in order."""
        positional: list[tuple[p.Expression, Value]] = []
        keywords: dict[str, tuple[p.Expression, Value]] = {}
        exact = True
        for argument in node.arguments:
            value = self.evaluate(argument.value, flow)
            if argument.star == "**":
                if isinstance(value, Pairs):
                    for key, item in value.entries:
                        if (name := text_of(key)) is not None:
                            keywords[name] = (argument.value, value.get(name) or item)
                exact = exact and isinstance(value, Pairs) and value.is_listed
            elif argument.star:
                if isinstance(value, Bound) and (items := self.iterate(value, flow)) is not None:
                    value = Items("list", items)
                if isinstance(value, Items) and value.kind not in VAGUE and exact:
                    self._budget -= len(value.values) // _HANDED_AT_ONCE
                    positional.extend((argument.value, item) for item in value.values)
                else:
                    exact = False
            elif argument.keyword is not None:
                keywords[argument.keyword] = (argument.value, value)
            elif exact:
                positional.append((argument.value, value))
        return Arguments(positional, keywords, exact)

    def write(
        self,
        variable: str,
        value: Value | None,
        form: Form,
        key: Span,
        at: Span,
        flow: Flow,
        named: Place | None = None,
    ) -> None:
        """Write (or, with None, remove) a variable on this path and record it; ``named`` is the
        literal that its name comes from."""
        held = flow.holds(variable)
        if form is Form.ASSIGN and value is not None:
            reads_itself = EnvironmentValue(variable) in alternatives(value)
            if variable in flow.unset or (reads_itself and value != EnvironmentValue(variable)):
                form = Form.IF_UNSET
        if form is not Form.SETDEFAULT or INHERITED in held:
            self.record_setting(variable, value, form, key, at, flow, named)
        statement = self.statement.span
        if form is Form.SETDEFAULT:
            kept = frozenset(written for written in held if written.value is not None)
            weak = Written(value, statement, True, self.file)
            flow.put(variable, kept | {weak} if INHERITED in held else kept)
        elif form is Form.PUTENV:
            flow.put_past(variable, Written(value, statement, False, self.file))
        else:
            weak_form = form is Form.IF_UNSET
            new = INHERITED if value is None else Written(value, statement, weak_form, self.file)
            flow.put(variable, frozenset({new}))
            flow.forget_past(variable)
        flow.unset -= {variable}
        if variable in _DECIDING:
            flow.quiet |= {variable}

    def environment_call(self, name: str, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """Calls on ``os.environ`` and the ``os`` functions for the environment."""
        key = args.find(0, "key")
        variable = text_of(decoded(key[1])) if key else None
        if name in ("get", "getenv", "getenvb"):
            if variable is None:
                return UNKNOWN
            default = args.value(1, "default") or Known(None)
            held = self.environment(variable, flow)
            if EnvironmentValue(variable) in alternatives(held):
                return any_of((held, default)) if len(args.positional) > 1 else held
            return held
        if name in _REMOVING and key is not None:
            held = self.environment(variable, flow) if variable is not None else UNKNOWN
            otherwise = args.value(1, "default")
            if name != "unsetenv" and otherwise is None:
                self.fallible |= variable is None or self.may_lack(variable, flow)
            self.write_under(key[0], key[1], None, Form.REMOVE, key[0].span, flow)
            is_inherited = EnvironmentValue(variable or "") in alternatives(held)
            return any_of((held, otherwise)) if otherwise and is_inherited else held
        if name in _WRITING and key is not None:
            value = args.find(1, "default" if name == "setdefault" else "value")
            if value is not None:
                form, at = _WRITING[name], value[0].span
                self.write_under(key[0], key[1], value[1], form, at, flow)
            return value[1] if value is not None and name == "setdefault" else UNKNOWN
        if name in ("update", "__ior__"):
            self.update(args, node.span, Form.UPDATE, flow)
        elif name == "copy":
            return self.environment_copy(flow)
        elif name in ("keys", "values", "items"):
            return listing(name, (*self.header_entries(flow), (ANOTHER_NAME, UNKNOWN)))
        elif name == "popitem":
            self.write_perhaps(UNKNOWN, None, node.span, node.span, flow)
        elif name == "clear":
            self.clear_environment(node.span, flow)
        return UNKNOWN

    def may_lack(self, variable: str, flow: Flow) -> bool:
        """Whether a variable may not be set."""
        return any(written.value is None for written in flow.holds(variable))

    def header_entries(self, flow: Flow) -> list[tuple[Value, Value]]:
        """What is known of the variables that decide about GPUs."""
        return [(Known(name), self.environment(name, flow)) for name in flow.header_variables()]

    def rebind_environment(self, value: Value, flow: Flow) -> None:
        """``os.environ = value``: what is written to another dict does not reach CUDA."""
        self.bind_environment(value, flow)
        span = self.statement.span
        if value == Symbol(ENVIRON):
            held = EnvironmentValue(MASK)
            self.record_setting(MASK, held, Form.REBOUND, span, span, flow, None)
        elif isinstance(value, Pairs):
            self.record_setting(MASK, None, Form.REBOUND, span, span, flow, None)

    def clear_environment(self, at: Span, flow: Flow) -> None:
        """Remove every variable."""
        self.recorder.any_name()
        for variable in flow.all_variables():
            self.write(variable, None, Form.REMOVE, at, at, flow)

    def write_under(
        self,
        node: p.Expression,
        key: Value,
        value: Value | None,
        form: Form,
        at: Span,
        flow: Flow,
    ) -> None:
        """Write (or, with None, remove) the variable that a key names, which may be unknown; it is
        known only if every alternative is."""
        names = constants(decoded(key))
        if names is None or any(not isinstance(name.value, str) for name in names):
            if form is not Form.SETDEFAULT and unnamed(node) not in flow.unset:
                self.write_perhaps(self.named(node, key, flow), value, node.span, at, flow)
            return
        if value is not None and isinstance(key, Known) and isinstance(key.value, bytes):
            value = decoded(value)
        for name in names:
            self.write(str(name.value), value, form, node.span, at, flow, name.origin)

    def write_perhaps(
        self,
        key: Value,
        value: Value | None,
        place: Span,
        at: Span,
        flow: Flow,
        surely: frozenset[str] = frozenset(),
    ) -> None:
        """Write, or remove, the variable of a name that is not known: it may be one to which the
        program has given a value that decides about GPUs. Those that the same mapping writes
        ``surely``, and later, are left to that."""
        self.recorder.any_name()
        for variable in flow.header_variables():
            if variable in (MASK, ORDER) and may_be(key, variable) and variable not in surely:
                self.record_setting(variable, value, Form.POSSIBLE, place, at, flow, None)
                written = Written(UNKNOWN, self.statement.span, False, self.file)
                flow.put(variable, flow.holds(variable) | {written})
                flow.quiet -= {variable}

    def update(self, args: Arguments, at: Span, form: Form, flow: Flow) -> None:
        """Write the entries of a mapping, or of pairs, and those given by keywords."""
        for node, value in args.positional:
            self.update_from(node, value, form, flow)
        for name, (node, value) in args.keywords.items():
            self.write(name, value, form, node.span, node.span, flow)
        if not args.exact:
            self.write_perhaps(UNKNOWN, UNKNOWN, at, at, flow)

    def update_from(self, node: p.Expression, given: Value, form: Form, flow: Flow) -> None:
        """Write every entry of a mapping, or of a list of pairs, to the environment."""
        for value in alternatives(given):
            pairs = pairs_from(value) or Pairs((), open=True)
            entries = pairs.known_entries
            names = [text_of(decoded(key)) for key, _ in entries]
            last = {name: number for number, name in enumerate(names)}
            surely = frozenset(name for name in last if name is not None)
            if pairs.rest and form is not Form.SETDEFAULT:
                self.write_perhaps(UNKNOWN, UNKNOWN, node.span, node.span, flow, surely)
            written = self._written_out(node)
            for number, (key, held) in enumerate(entries):
                if not isinstance(key, Known):
                    surely = frozenset(n for n, at in last.items() if n is not None and at > number)
                    self.write_perhaps(key, held, node.span, node.span, flow, surely)
                    continue
                if last[names[number]] > number:
                    continue
                place = number if len(written) == len(entries) else key.origin
                key_node, value_node = written.get(place, (node, node))
                self.write_under(key_node, key, held, form, value_node.span, flow)

    def _written_out(
        self, node: p.Expression
    ) -> dict[int | Place | None, tuple[p.Expression, p.Expression]]:
        """The keys and values that a display of a dict, or of pairs, writes out, each by its number
        where all are, else by its key's place."""
        pairs: list[tuple[p.Expression | None, p.Expression]] = []
        if isinstance(node, p.Mapping):
            pairs = list(node.items)
        elif isinstance(node, p.Sequence):
            for pair in node.items:
                if isinstance(pair, p.Sequence) and len(pair.items) == 2:
                    pairs.append((pair.items[0], pair.items[1]))
                else:
                    pairs.append((None, pair))
        found: dict[int | Place | None, tuple[p.Expression, p.Expression]] = {}
        everything = all(key is not None for key, _ in pairs)
        for number, (key, value) in enumerate(pairs):
            if key is not None:
                found[number if everything else Place(self.file, key.span)] = (key, value)
        return found


def is_environment(value: Value | None) -> bool:
    """Whether a value is the environment of the process."""
    return isinstance(value, Symbol) and value.name in NAMES_OF_ENVIRONMENT


def decoded(value: Value) -> Value:
    """A constant as text: ``os.environb`` takes and gives bytes for the same variables."""
    if isinstance(value, Known) and isinstance(value.value, bytes):
        return replace(value, value=value.value.decode("utf-8", "surrogateescape"))
    return value
