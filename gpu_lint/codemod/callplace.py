"""Where in a function, or behind the main guard, the call of a validator belongs.

That is behind the reading of the command line's options, so that ``--help`` works on any machine;
but never behind what may use a GPU.
"""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from functools import cached_property

from gpu_lint.facts import program as p
from gpu_lint.facts.children import starts_child
from gpu_lint.facts.knowledge import Api, Knowledge
from gpu_lint.facts.layout import is_stdlib
from gpu_lint.facts.reading import Reading
from gpu_lint.facts.walk import bound_names, expressions, statements

_READERS = frozenset({"parse_args", "parse_known_args", "parse_intermixed_args"})
"""Methods that read the options of the command line."""
_RUNNERS = frozenset({"exit", "run", "SystemExit"})
"""What is handed the result of a program's main function: ``sys.exit(main())``."""
_BUILT_IN = frozenset(dir(builtins)) - {"exec", "eval", "__import__"}
_OF_PARSERS = _READERS | {
    "add_argument",
    "add_argument_group",
    "add_mutually_exclusive_group",
    "add_parser",
    "add_subparsers",
    "set_defaults",
}
"""Methods that a function may call of what it is given: that may be anything else."""
_LOADERS = frozenset({"importlib", "runpy"})


@dataclass(frozen=True)
class CallPlaces:
    """Finds where in the blocks of one module a validator may be called."""

    reading: Reading
    knowledge: Knowledge

    def behind_options(self, body: p.Block, given: frozenset[str] = frozenset()) -> int | None:
        """The number of statements of a block that are over when it has read its options, with the
        names of what it is ``given``; None where it reads none before a GPU may be used."""
        found = None
        for number, statement in enumerate(body, start=1):
            if not self._is_idle((statement,), frozenset(), given):
                break
            if self._reads((statement,)):
                found = number
        return found

    def main_of(self, body: p.Block) -> p.Function | None:
        """The function of the module that a block calls before anything else may use a GPU, if
        that reads the options."""
        for statement in body:
            if not self._is_idle((statement,)):
                main = self._functions.get(_called_by(statement))
                if main is None or self.behind_options(main.body, given_to(main)) is None:
                    return None
                return main
        return None

    def _reads(self, body: p.Block, entered: frozenset[str] = frozenset()) -> bool:
        """Whether a block reads the options of the command line, itself or by functions of the
        module."""
        for node in expressions(body):
            match node:
                case p.Call(function=p.Attribute(name=name)) if name in _READERS:
                    return True
                case p.Call(function=p.Name(id=name)) if name not in entered:
                    function = self._functions.get(name)
                    if function and self._reads(function.body, entered | {name}):
                        return True
        return False

    def _is_idle(
        self,
        body: p.Block,
        entered: frozenset[str] = frozenset(),
        given: frozenset[str] = frozenset(),
    ) -> bool:
        """Whether a block calls nothing that may use a GPU."""
        return all(
            self._is_idle_call(node.function, entered, given)
            for node in expressions(body)
            if isinstance(node, p.Call)
        )

    def _is_idle_call(
        self, function: p.Expression, entered: frozenset[str], given: frozenset[str]
    ) -> bool:
        path: list[str] = []
        while isinstance(function, p.Attribute):
            path.insert(0, function.name)
            function = function.base
        if not isinstance(function, p.Name):
            return bool(path)  # a method of what a call gives, which counts by itself
        name = function.id
        if (symbol := self._imported.get(name)) is not None:
            return self._is_idle_symbol(".".join((symbol, *path)))
        if name in given:
            return bool(path) and path[-1] in _OF_PARSERS
        if path:
            made = self._made.get(name, ())
            return (name not in self.reading.layout.names or bool(made)) and all(
                name in entered or self._is_idle((one,), entered | {name}) for one in made
            )
        if (known := self._functions.get(name)) is not None:
            return name in entered or self._is_idle(known.body, entered | {name}, given_to(known))
        return name in _BUILT_IN and name not in self.reading.layout.names

    def _is_idle_symbol(self, symbol: str) -> bool:
        """Whether what is imported by a dotted name uses no GPU when it is called."""
        if self.knowledge.framework_of(symbol) is not None:
            api = self.knowledge.function(symbol)
            return symbol.endswith(".is_available") or (api is not None and _only_asks(api))
        loads = symbol.partition(".")[0] in _LOADERS
        return is_stdlib(symbol) and not loads and not starts_child(symbol)

    @property
    def _functions(self) -> dict[str, p.Function]:
        return self.reading.functions_by_name

    @cached_property
    def _imported(self) -> dict[str, str]:
        """What each imported name means, as a dotted name."""
        found = {}
        for statement in statements(self.reading.program.body):
            for name in statement.names if isinstance(statement, p.Import) else ():
                symbol = f"{name.module}.{name.name}" if name.name else name.module
                if name.bound == name.module.partition(".")[0] and not name.name:
                    symbol = name.bound
                found[name.bound] = "." * name.level + symbol
        return found

    @cached_property
    def _made(self) -> dict[str, list[p.Assign]]:
        """The statements of the module itself that assign to each of its names."""
        found: dict[str, list[p.Assign]] = {}
        for statement in statements(self.reading.program.body, _is_of_module):
            if isinstance(statement, p.Assign):
                for name in (name for one in statement.targets for name in bound_names(one)):
                    found.setdefault(name, []).append(statement)
        return found


def given_to(function: p.Function) -> frozenset[str]:
    """The names of a function's parameters."""
    return frozenset(parameter.name for parameter in function.parameters)


def _only_asks(api: Api) -> bool:
    """Whether a call is known to ask for GPUs or name one, and to put nothing on it."""
    measured = api.freezes == "always" and not api.devices
    return api.allocates == "never" and bool(measured or api.counts or api.returns == "device")


def _is_of_module(statement: p.Statement) -> bool:
    """Whether a statement defines no function or class, whose names would be its own."""
    return not isinstance(statement, (p.Function, p.Class))


def _called_by(statement: p.Statement) -> str:
    """The function that a statement calls, by its name; empty for another statement."""
    match statement:
        case p.Evaluate(value=p.Call() as call) | p.Assign(value=p.Call() as call):
            pass
        case p.Return(value=p.Call() as call) | p.Raise(values=(p.Call() as call, *_)):
            pass
        case _:
            return ""
    while not isinstance(call.function, p.Name) or call.function.id in _RUNNERS:
        last = call.function.name if isinstance(call.function, p.Attribute) else ""
        last = call.function.id if isinstance(call.function, p.Name) else last
        inner = call.arguments[0].value if call.arguments else None
        if last not in _RUNNERS or not isinstance(inner, p.Call):
            return ""
        call = inner
    return call.function.id
