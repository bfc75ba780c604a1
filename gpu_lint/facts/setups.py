"""What a test runner runs before a test: set-ups and fixtures, which may skip it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

from gpu_lint.facts import program as p
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.guards import needs_of_marks
from gpu_lint.facts.statements import Statements
from gpu_lint.facts.values import FunctionValue, Key, Value
from gpu_lint.facts.world import Function, World

_OF_CLASSES = ("setUpClass", "setUp", "asyncSetUp", "setup_class", "setup_method")
_OF_MODULES = ("setUpModule", "setup_module", "setup_function")
_MOST_ASKED = 64
"""Fixtures that are looked into for one test."""


class Setups(Statements):
    """Finds out how many devices there are at least where a test runs."""

    def __init__(self, world: World, file: str, *, follow_imports: bool) -> None:
        super().__init__(world, file, follow_imports=follow_imports)
        self._left_with: dict[Key, int] = {}
        """How many devices there are at least where a function that ran alone has ended."""
        self._needed_behind: dict[Key, int] = {}
        """The same behind a set-up or fixture, and the fixtures that it asks for itself."""
        self._for_all: dict[str, list[Key]] = {}
        """The fixtures of each file that run before every test."""

    @abstractmethod
    def run_alone(self, key: Key, end: Flow) -> None:
        """Run a function that nothing called, from the state that importing leaves."""

    def needs_of(self, function: Function, end: Flow) -> int:
        """How many devices there are at least where a test runner, or nothing, runs a function."""
        node = function.node
        if not isinstance(node, p.Function) or not node.name.startswith("test"):
            return function.needs
        module = function.scopes[0]
        found = [function.needs, needs_of_marks(end.get(module, "pytestmark"))]
        before: list[Value | None] = [end.get(module, name) for name in _OF_MODULES]
        fixtures = list(_fixtures_of(node))
        for cls in self.lineage(function.owner) if function.owner is not None else ():
            found += [cls.needs, needs_of_marks(cls.attributes.get("pytestmark"))]
            before += [cls.attributes.get(name) for name in _OF_CLASSES]
            before += [cls.attributes.get(name) for name in fixtures]
            for decorator in cls.node.decorators:
                fixtures += _fixtures_marked(decorator)
        before += [end.get(module, name) for name in fixtures]
        keys = [one.key for one in before if isinstance(one, FunctionValue)]
        keys += self._fixtures_for_all(function.file)
        return max(*found, *(self._needs_behind(key, end) for key in keys), 0)

    def ran_alone(self, key: Key, flow: Flow) -> None:
        """Note the state in which a function ends that ran alone."""
        self._left_with[key] = flow.needs if flow.alive else 0

    def _needs_behind(self, first: Key, end: Flow) -> int:
        """How many devices there are at least where a set-up or fixture has ended, with the
        fixtures that it asks for itself."""
        if first not in self._needed_behind:
            self._needed_behind[first] = 0  # for a fixture that asks for itself
            keys = [first]
            for key in keys:  # grows
                function = self.function(key)
                if function is None or not isinstance(function.node, p.Function):
                    continue
                if key not in self._left_with and self._may_skip(function):
                    self.run_alone(key, end)
                asked = (end.get(function.scopes[0], name) for name in _fixtures_of(function.node))
                others = [one.key for one in asked if isinstance(one, FunctionValue)]
                keys += [other for other in others if other not in keys][: _MOST_ASKED - len(keys)]
            self._needed_behind[first] = max(self._left_with.get(key, 0) for key in keys)
        return self._needed_behind[first]

    def _fixtures_for_all(self, file: str) -> list[Key]:
        if file not in self._for_all:
            self._for_all[file] = [
                key
                for key, function in self.functions.items()
                if function.file == file and _is_for_all(function.node)
            ]
        return self._for_all[file]


def _fixtures_of(node: p.Function) -> Iterator[str]:
    """The names of the fixtures that pytest runs before a test: its parameters, and those that a
    mark names."""
    yield from (parameter.name for parameter in node.parameters)
    for decorator in node.decorators:
        yield from _fixtures_marked(decorator)


def _fixtures_marked(mark: p.Expression) -> Iterator[str]:
    """The names that ``usefixtures("…")`` gives."""
    if isinstance(mark, p.Call) and isinstance(mark.function, p.Attribute):
        if mark.function.name == "usefixtures":
            for argument in mark.arguments:
                if isinstance(argument.value, p.Literal) and isinstance(argument.value.value, str):
                    yield argument.value.value


def _is_for_all(node: p.Function | p.Lambda) -> bool:
    """Whether a function is a fixture that runs before every test: ``autouse=True``."""
    return isinstance(node, p.Function) and any(
        argument.keyword == "autouse"
        and isinstance(argument.value, p.Literal)
        and argument.value.value is True
        for decorator in node.decorators
        if isinstance(decorator, p.Call)
        for argument in decorator.arguments
    )
