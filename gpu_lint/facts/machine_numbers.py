"""Numbers that count the machine's GPUs, as NVML, nvidia-smi and GPUtil do: in PCI order.

Such a number is the end of a chain that no run can follow: the text of a command, parsed, compared,
searched for its maximum. So it is found in the text of a file, from an expression backwards over
the names that it is made of. Only what a value is made of counts, not what it is chosen by.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property

from gpu_lint.facts import program as p
from gpu_lint.facts.knowledge import Knowledge
from gpu_lint.facts.walk import bound_names, children, own_expressions, statements
from gpu_lint.source import Span

_COMMAND = "nvidia-smi"
_IDENTITY = ("uuid", "nvidia-smi -l")
"""What a text or a name says that tells cards apart by themselves, not by their number."""
_ADDING = frozenset({"append", "extend", "insert", "add", "update"})
_MOST_STEPS = 500
"""Expressions that are looked through for one value."""
_Scope = Span
"""A function, by its place; the module is the span of everything."""
_MODULE = Span(0, 0)


class MachineNumbers:
    """What the names of one file are made of."""

    def __init__(self, program: p.Program, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._imported: dict[str, str] = {}
        """What names that are imported stand for, as dotted names."""
        self._made: dict[tuple[_Scope, str], list[p.Expression]] = {}
        """The expressions that a name of a scope is made of."""
        self._functions: dict[str, list[p.Function]] = {}
        self._scopes: list[_Scope] = []
        self._written: set[str] = set()
        """The files that a command of nvidia-smi is written to, as words of it."""
        self._read(program.body, _MODULE)

    def source_of(self, span: Span) -> str | None:
        """Return what counted the number that the expression at a span is, as messages name it;
        None where nothing says that it counts the machine's GPUs."""
        scope = self._scope_at(span)
        start = self._by_span.get(span)
        if start is None:
            return None
        found: str | None = None
        waiting: list[tuple[p.Expression, _Scope, bool]] = [(start, scope, False)]
        seen: set[tuple[Span, bool]] = set()
        while waiting and len(seen) < _MOST_STEPS:
            node, scope, ranged = waiting.pop()
            if (node.span, ranged) in seen:
                continue
            seen.add((node.span, ranged))
            if _names_identity(node):
                return None
            found = found or self._source(node, ranged)
            waiting += self._made_of(node, scope, ranged)
        return found

    def _source(self, node: p.Expression, ranged: bool) -> str | None:
        """What counts the machine's GPUs in an expression itself."""
        if isinstance(node, p.Literal) and isinstance(node.value, str):
            words = node.value.split()
            if _COMMAND in words[:1] or f"{_COMMAND} " in node.value:
                return _COMMAND
            return _COMMAND if words and words[0] in self._written else None
        if isinstance(node, p.Call) and (name := self._dotted(node.function)):
            framework = self._knowledge.framework_of(name)
            if framework is not None and not framework.uses_mask:
                api = self._knowledge.function(name)
                counts = api is not None and api.returns == "device-count"
                return f"{name}()" if ranged or not counts else None
        return None

    def _made_of(
        self, node: p.Expression, scope: _Scope, ranged: bool
    ) -> Iterator[tuple[p.Expression, _Scope, bool]]:
        """The expressions that a value is made of, one step further back."""
        parts: list[p.Expression] = []
        match node:
            case p.Comparison():
                return
            case p.Conditional(body=body, orelse=orelse):
                parts = [body, orelse]
            case p.Name(id=name):
                parts = self._made.get((scope, name), [])
                if not parts and scope != _MODULE:
                    parts, scope = self._made.get((_MODULE, name), []), _MODULE
            case p.Call(function=p.Name(id="len")) if not ranged:
                return
            case p.Call(function=p.Name(id=name)) if name in self._functions:
                for function in self._functions[name]:
                    yield from ((one, function.span, ranged) for one in _returned(function))
            case p.Call(function=p.Attribute(base=p.Name(id="self"), name=name)):
                for function in self._functions.get(name, ()):
                    yield from ((one, function.span, ranged) for one in _returned(function))
            case p.Attribute(base=p.Name(id="self"), name=name):
                parts = self._made.get((_MODULE, f".{name}"), [])
        if isinstance(node, p.Call):
            is_range = isinstance(node.function, p.Name) and node.function.id == "range"
            ranged = ranged or is_range
            parts = [argument.value for argument in node.arguments]
            if isinstance(node.function, p.Attribute):
                parts.append(node.function.base)
        elif not isinstance(node, (p.Name, p.Conditional)):
            parts = [*parts, *children(node)]
        yield from ((part, scope, ranged) for part in parts)

    def _dotted(self, node: p.Expression) -> str:
        """The dotted name of something imported; empty for anything else."""
        if isinstance(node, p.Attribute):
            base = self._dotted(node.base)
            return f"{base}.{node.name}" if base else ""
        return self._imported.get(node.id, "") if isinstance(node, p.Name) else ""

    @cached_property
    def _by_span(self) -> dict[Span, p.Expression]:
        """The expressions, by their places: of several, the outermost."""
        return {node.span: node for node in reversed(self._expressions)}

    # --- what names are made of --------------------------------------------------------------

    def _read(self, body: p.Block, scope: _Scope) -> None:
        self._expressions: list[p.Expression] = []
        for statement in statements(body):
            if isinstance(statement, p.Function):
                self._functions.setdefault(statement.name, []).append(statement)
                self._scopes.append(statement.span)
        for statement in statements(body):
            self._note(statement, self._scope_at(statement.span))
        for function in [one for several in self._functions.values() for one in several]:
            self._note_parameters(function)

    def _scope_at(self, span: Span) -> _Scope:
        """The innermost function around a place."""
        scopes, parents = self._nested
        index = bisect_left(scopes, span.start, key=lambda one: one.start) - 1
        while index >= 0 and span.end > scopes[index].end:
            index = parents[index]
        return scopes[index] if index >= 0 else _MODULE

    @cached_property
    def _nested(self) -> tuple[list[_Scope], list[int]]:
        """The functions in their order, and in which of them each stands: -1 for none."""
        scopes, parents, around = sorted(self._scopes, key=lambda one: one.start), [], list[int]()
        for index, scope in enumerate(scopes):
            while around and scopes[around[-1]].end < scope.end:
                around.pop()
            parents.append(around[-1] if around else -1)
            around.append(index)
        return scopes, parents

    def _note(self, statement: p.Statement, scope: _Scope) -> None:
        if isinstance(statement, p.Import):
            for name in statement.names:
                dotted = f"{name.module}.{name.name}" if name.name else name.module
                whole = name.name or name.bound != name.module.partition(".")[0]
                self._imported[name.bound] = dotted if whole else name.bound
            return
        match statement:
            case p.Assign(targets=targets, value=value):
                for target in targets:
                    self._bind(target, value, scope)
            case p.For(target=target, iterable=iterable):
                self._bind(target, iterable, scope)
            case p.With(items=items):
                for manager, named in items:
                    if named is not None:
                        self._bind(named, manager, scope)
        for expression in own_expressions(statement):
            self._note_expression(expression, scope)

    def _note_expression(self, node: p.Expression, scope: _Scope) -> None:
        self._expressions.append(node)
        match node:
            case p.Walrus(target=target, value=value):
                self._made.setdefault((scope, target), []).append(value)
            case p.Comprehension(generators=generators):
                for generator in generators:
                    self._bind(generator.target, generator.iterable, scope)
            case p.Call(function=p.Attribute(base=base, name=name)) if name in _ADDING:
                for argument in node.arguments:
                    self._bind(base, argument.value, scope)
            case p.Literal(value=str(text)) if _COMMAND in text and ">" in text:
                self._written.update(text.rpartition(">")[2].split()[:1])
        for child in children(node):
            self._note_expression(child, scope)

    def _bind(self, target: p.Expression, value: p.Expression, scope: _Scope) -> None:
        match target:
            case p.Attribute(base=p.Name(id="self"), name=name):
                self._made.setdefault((_MODULE, f".{name}"), []).append(value)
            case p.Subscript(base=base):
                self._bind(base, value, scope)
            case _:
                for name in bound_names(target):
                    self._made.setdefault((scope, name), []).append(value)

    def _note_parameters(self, function: p.Function) -> None:
        """Bind the parameters of a function to what its calls in this file give."""
        names = [one.name for one in function.parameters if not one.star]
        for node in self._expressions:
            if not isinstance(node, p.Call) or not isinstance(node.function, p.Name):
                continue
            if node.function.id != function.name:
                continue
            for position, argument in enumerate(node.arguments):
                named = argument.keyword in names
                if named or (argument.keyword is None and position < len(names)):
                    name = argument.keyword if named else names[position]
                    key = function.span, str(name)
                    self._made.setdefault(key, []).append(argument.value)


def _returned(function: p.Function) -> Iterator[p.Expression]:
    for statement in statements(function.body):
        if isinstance(statement, p.Return) and statement.value is not None:
            yield statement.value


def _names_identity(node: p.Expression) -> bool:
    """Whether an expression asks for something that is no number of a card: its UUID."""
    said = ""
    match node:
        case p.Literal(value=str(text)):
            said = text
        case p.Name(id=name) | p.Attribute(name=name):
            said = name
        case p.Call(function=p.Attribute(name=name)):
            said = name
    return any(word in said.lower() for word in _IDENTITY)
