"""What a program does to its environment: writes, reads and removals of variables."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field

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
from gpu_lint.facts.values import (
    UNKNOWN,
    EnvironmentValue,
    Items,
    Known,
    Pairs,
    Value,
    alternatives,
    any_of,
    text_of,
)
from gpu_lint.source import Span

ENVIRON = "os.environ"
_HANDED_AT_ONCE = 16
"""Arguments that are handed on in the time in which a statement is run."""
VAGUE = ("many", "some", "set")
"""Kinds of containers of which no single item is known by its place."""


@dataclass(frozen=True)
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
        self, variable: str, value: Value | None, form: Form, key: Span, at: Span, flow: Flow
    ) -> None:
        """Note a write to an environment variable, as it is found."""

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
                            keywords[name] = (argument.value, item)
                exact = exact and isinstance(value, Pairs) and not value.open
            elif argument.star:
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
    ) -> None:
        """Write (or, with None, remove) a variable on this path and record it."""
        held = flow.holds(variable)
        if form is Form.ASSIGN and value is not None:
            reads_itself = EnvironmentValue(variable) in alternatives(value)
            if variable in flow.unset or (reads_itself and value != EnvironmentValue(variable)):
                form = Form.IF_UNSET
        if form is not Form.SETDEFAULT or INHERITED in held:
            self.record_setting(variable, value, form, key, at, flow)
        statement = self.statement.span
        if form is Form.SETDEFAULT:
            kept = frozenset(written for written in held if written.value is not None)
            weak = Written(value, statement, True, self.file)
            flow.put(variable, kept | {weak} if INHERITED in held else kept)
        elif form is not Form.PUTENV:
            weak_form = form is Form.IF_UNSET
            new = INHERITED if value is None else Written(value, statement, weak_form, self.file)
            flow.put(variable, frozenset({new}))
        flow.unset -= {variable}
        flow.quiet |= {variable}

    def environment_call(self, name: str, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """Calls on ``os.environ`` and the ``os`` functions for the environment."""
        key = args.find(0, "key")
        variable = text_of(key[1]) if key else None
        if name in ("get", "getenv"):
            if variable is None:
                return UNKNOWN
            default = args.value(1, "default") or Known(None)
            held = self.environment(variable, flow)
            if EnvironmentValue(variable) in alternatives(held):
                return any_of((held, default)) if len(args.positional) > 1 else held
            return held
        if name in ("setdefault", "putenv", "__setitem__", "pop", "unsetenv", "__delitem__"):
            if key is None or variable is None:
                return UNKNOWN
            if name in ("pop", "unsetenv", "__delitem__"):
                held = self.environment(variable, flow)
                self.write(variable, None, Form.REMOVE, key[0].span, key[0].span, flow)
                return held
            value = args.find(1, "default" if name == "setdefault" else "value")
            forms = {"setdefault": Form.SETDEFAULT, "putenv": Form.PUTENV}
            if value is not None:
                form = forms.get(name, Form.ASSIGN)
                self.write(variable, value[1], form, key[0].span, value[0].span, flow)
            return value[1] if value is not None and name == "setdefault" else UNKNOWN
        if name == "update":
            self._update(node, flow)
        elif name == "copy":
            return Pairs((), open=True)
        elif name == "clear":
            for cleared in flow.all_variables():
                self.write(cleared, None, Form.REMOVE, node.span, node.span, flow)
        return UNKNOWN

    def _update(self, node: p.Call, flow: Flow) -> None:
        for argument in node.arguments:
            if argument.keyword is not None:
                value = self.evaluate(argument.value, flow)
                span = argument.value.span
                self.write(argument.keyword, value, Form.UPDATE, span, span, flow)
            else:
                self.update_from(argument.value, flow)

    def update_from(self, mapping: p.Expression, flow: Flow) -> None:
        """Write every entry of a dict expression to the environment."""
        if isinstance(mapping, p.Mapping):
            for key, item in mapping.items:
                name = text_of(self.evaluate(key, flow)) if key is not None else None
                if key is not None and name is not None:
                    value = self.evaluate(item, flow)
                    self.write(name, value, Form.UPDATE, key.span, item.span, flow)
            return
        value = self.evaluate(mapping, flow)
        if isinstance(value, Pairs):
            for known, item_value in value.entries:
                if (name := text_of(known)) is not None:
                    self.write(name, item_value, Form.UPDATE, mapping.span, mapping.span, flow)
