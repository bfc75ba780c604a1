"""Where in a function, or behind the main guard, the call of a validator belongs.

That is behind the reading of the command line's options, so that ``--help`` works on any machine;
but never behind what may use a GPU.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from gpu_lint.checks.context import FunctionBehind
from gpu_lint.facts import program as p
from gpu_lint.facts.children import starts_child
from gpu_lint.facts.knowledge import Api, Knowledge
from gpu_lint.facts.layout import is_stdlib
from gpu_lint.facts.reading import Reading
from gpu_lint.facts.walk import bound_names, expressions, last_name, statements

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
_SETTING_UP = frozenset({"torch.multiprocessing.set_start_method"})
"""Functions of frameworks that are measured to leave the GPU alone (cuda-facts section 11)."""


@dataclass(frozen=True)
class CallPlaces:
    """Finds where in the blocks of one module a validator may be called."""

    file: str
    reading: Reading
    knowledge: Knowledge
    function_behind: FunctionBehind
    others: dict[str, CallPlaces] = field(default_factory=dict)
    """Those of other modules, by file, which are kept while this one is asked."""

    def behind_options(self, body: p.Block, given: frozenset[str] = frozenset()) -> int | None:
        """The number of statements of a block that are over when it has read its options, with the
        names of what it is ``given``; None where it reads none before a GPU may be used."""
        found = None
        idle: set[int] = set()
        parsers = _parsers_of(body)
        for number, statement in enumerate(body, start=1):
            if not self._is_idle((statement,), idle, given, parsers):
                break
            if self._reads((statement,), set()):
                found = number
        return found

    def main_of(self, body: p.Block) -> p.Function | None:
        """The function of the module that a block calls before anything else may use a GPU, if
        that reads the options."""
        idle: set[int] = set()
        parsers = _parsers_of(body)
        for statement in body:
            if not self._is_idle((statement,), idle, parsers=parsers):
                main = self._functions.get(_called_by(statement))
                if main is None or self.behind_options(main.body, given_to(main)) is None:
                    return None
                return main
        return None

    def _reads(self, body: Iterable[p.Statement], entered: set[int]) -> bool:
        """Whether a block reads the options of the command line, itself or by functions of the
        project, but for those that were entered."""
        for node in expressions(tuple(body)):
            if not isinstance(node, p.Call):
                continue
            if isinstance(node.function, p.Attribute) and node.function.name in _READERS:
                return True
            found = self._called(node.function)
            if found is not None and id(found[1]) not in entered:
                entered.add(id(found[1]))
                if found[0]._reads(found[1].body, entered):
                    return True
        return False

    def _is_idle(
        self,
        body: p.Block,
        entered: set[int],
        given: frozenset[str] = frozenset(),
        parsers: frozenset[str] = frozenset(),
    ) -> bool:
        """Whether a block calls nothing that may use a GPU, given that what was entered does not;
        ``parsers`` are the names of what reads the command line."""
        return all(
            _is_given_parser(node, parsers) or self._is_idle_call(node.function, entered, given)
            for node in expressions(body)
            if isinstance(node, p.Call)
        )

    def _is_idle_call(
        self, function: p.Expression, entered: set[int], given: frozenset[str]
    ) -> bool:
        name, path = _dotted(function)
        if not name:
            return bool(path)  # a method of what a call gives, which counts by itself
        if (found := self._called(function)) is not None:
            return found[0]._is_idle_function(found[1], entered)
        if (one := self._imported.get(name)) is not None:
            return self._is_idle_symbol("." * one.level + ".".join(_parts(one, path)))
        if name in given:
            return bool(path) and path[-1] in _OF_PARSERS
        if path:
            made = self._made.get(name, ())
            if not made and name in self.reading.layout.names:
                return False
            new = [one for one in made if id(one) not in entered]
            entered.update(map(id, new))
            parsers = frozenset((name,)) if any(map(_makes_parser, made)) else frozenset()
            return all(self._is_idle((one,), entered, parsers=parsers) for one in new)
        return name in _BUILT_IN and name not in self.reading.layout.names

    def _is_idle_function(self, function: p.Function, entered: set[int]) -> bool:
        if id(function) in entered:
            return True
        entered.add(id(function))
        return self._is_idle(function.body, entered, given_to(function))

    def _is_idle_symbol(self, symbol: str) -> bool:
        """Whether what is imported by a dotted name uses no GPU when it is called."""
        if self.knowledge.framework_of(symbol) is not None:
            api = self.knowledge.function(symbol)
            asks = symbol.endswith(".is_available") or (api is not None and _only_asks(api))
            return asks or symbol in _SETTING_UP
        loads = symbol.partition(".")[0] in _LOADERS
        return is_stdlib(symbol) and not loads and not starts_child(symbol)

    def _called(self, function: p.Expression) -> tuple[CallPlaces, p.Function] | None:
        """The function of the project that is called, with the module that holds it."""
        name, path = _dotted(function)
        if (one := self._imported.get(name)) is not None:
            *module, last = _parts(one, path)
            found = self.function_behind(self.file, ".".join(module), one.level, last)
            if found is None:
                return None
            file, reading, _ = found
            places = self.others.get(file)
            if places is None:
                places = self._beside(file, reading)
            return places, places._functions[last]
        known_here = None if path else self._functions.get(name)
        return None if known_here is None else (self, known_here)

    def _beside(self, file: str, reading: Reading) -> CallPlaces:
        beside = CallPlaces(file, reading, self.knowledge, self.function_behind, self.others)
        self.others[file] = self if file == self.file else beside
        return self.others[file]

    @property
    def _functions(self) -> dict[str, p.Function]:
        return self.reading.functions_by_name

    @cached_property
    def _imported(self) -> dict[str, p.ImportedName]:
        """What each imported name means."""
        return {
            name.bound: name
            for statement in statements(self.reading.program.body)
            for name in (statement.names if isinstance(statement, p.Import) else ())
        }

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


def _dotted(node: p.Expression) -> tuple[str, list[str]]:
    """The name that an expression begins with, empty for any other, and the attributes behind."""
    path: list[str] = []
    while isinstance(node, p.Attribute):
        path.insert(0, node.name)
        node = node.base
    return (node.id if isinstance(node, p.Name) else ""), path


def _parts(one: p.ImportedName, path: list[str]) -> list[str]:
    """The dotted name, from the root on, of what an import brings in, or of a part of that."""
    is_root = not one.name and one.bound == one.module.partition(".")[0]
    own = one.bound if is_root else f"{one.module}.{one.name}".strip(".")
    return [*own.split("."), *path]


def _parsers_of(body: p.Block) -> frozenset[str]:
    """The names to which a block assigns a parser of the command line."""
    return frozenset(
        name
        for statement in statements(body)
        if isinstance(statement, p.Assign) and _makes_parser(statement)
        for target in statement.targets
        for name in bound_names(target)
    )


def _makes_parser(statement: p.Assign) -> bool:
    """Whether a parser of the command line is assigned."""
    made = statement.value
    return isinstance(made, p.Call) and last_name(made.function).endswith("ArgumentParser")


def _is_given_parser(call: p.Call, parsers: frozenset[str]) -> bool:
    """Whether a call is given a parser and nothing else: it adds options, before any is read."""
    match call.arguments:
        case (p.Argument(value=p.Name(id=name), star=""),):
            return name in parsers
    return False


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
