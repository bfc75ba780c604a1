"""Functions that a command line chooses among: a library calls them for the program.

They are given to a runner (``fire.Fire(train)``), or registered by a decorator
(``@app.command()``). Which one is called, and with what, only the run will tell, so each runs on a
path of its own when the rest of the program is done; what prepares for all of them, such as the
callback of an app, runs before.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator

from gpu_lint.facts import program as p
from gpu_lint.facts.environment import Arguments
from gpu_lint.facts.evaluation import PROCESS
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.model import Trigger
from gpu_lint.facts.summaries import Budget, Part
from gpu_lint.facts.threads import Threads
from gpu_lint.facts.values import (
    Bound,
    ClassValue,
    FunctionValue,
    Instance,
    Items,
    Key,
    ModuleValue,
    Pairs,
    Symbol,
    Value,
    alternatives,
)
from gpu_lint.source import Span

_RUNNERS = frozenset(
    {
        "absl.app.run", "argh.dispatch_command", "argh.dispatch_commands", "clize.run",
        "cyclopts.run", "defopt.run", "fire.Fire", "fire.core.Fire", "jsonargparse.CLI",
        "jsonargparse.auto_cli", "plac.call", "simple_parsing.main", "typer.run", "tyro.cli",
        "tyro.extras.subcommand_cli_from_dict",
    }
)  # fmt: skip
"""Functions whose first argument is what the command line calls, or chooses from."""
_OF_ALL = frozenset({"fire.Fire", "fire.core.Fire", "jsonargparse.CLI", "jsonargparse.auto_cli"})
"""Those of them that, without an argument, choose from the functions of the module."""
_PREPARING = frozenset({"callback", "group"})
_REGISTERING = _PREPARING | {"command", "default", "subcommand", "task"}
"""Last names of decorators by which an app or a group gets to know a function."""
_ADDING = frozenset({"add_command", "add_task"})
"""Methods of groups that take a command."""
_COMMAND, _PREPARATION = "command ", "before commands "
"""What the names begin with under which the frame of the process holds such functions."""
_MOST_COMMANDS = 64
"""Commands of a program that are followed."""
_MOST_OF_COMMAND = 5_000
"""Statements that are run for one of them: a third of a program's."""


class Dispatch(Threads):
    """Takes note of what the command line may call, and calls it."""

    @abstractmethod
    def public_methods(self, key: Key) -> Iterable[str]:
        """The names of a class's methods that do not begin with an underscore."""

    @abstractmethod
    def functions_of(self, file: str, flow: Flow) -> Iterator[Value]:
        """The functions that a module binds to names."""

    handed_over: dict[Key, tuple[Arguments | None, ...]]
    is_command_cut_short: bool
    """A command was not followed to its end."""

    @abstractmethod
    def steps_into(self, callee: FunctionValue, at: Span) -> tuple[Trigger, ...]:
        """The way into the body of a function that is called at a place."""

    @abstractmethod
    def run_apart(
        self,
        part: Part | None,
        most: int,
        steps: tuple[Trigger, ...],
        flow: Flow,
        run: Callable[[], object],
    ) -> bool:
        """Run a part with a budget of its own; whether that was enough."""

    @abstractmethod
    def was_executed(self, key: Key) -> bool:
        """Whether a function has run already."""

    def note_runner(self, name: str, args: Arguments, flow: Flow) -> None:
        """Take note of what a call gives to a runner of command lines, if it is a call of one."""
        if name not in _RUNNERS:
            return
        given = args.value(0, "component")
        if given is not None:
            self._note_choice(_COMMAND, given, flow)
        elif name in _OF_ALL:
            self._note_choice(_COMMAND, ModuleValue(self.file), flow)

    def note_registered(self, decorator: p.Expression, value: Value, flow: Flow) -> None:
        """Take note of a function that a decorator makes a command of an app or a group; one of the
        library itself (``@click.command()``) only makes it fit to be one."""
        called = decorator.function if isinstance(decorator, p.Call) else decorator
        if not isinstance(called, p.Attribute) or called.name not in _REGISTERING:
            return
        if called.name in _PREPARING:
            self._note_choice(_PREPARATION, value, flow)
        elif not isinstance(self.evaluate(called.base, flow), Symbol):
            self._note_choice(_COMMAND, value, flow)

    def note_added(self, method: str, args: Arguments, flow: Flow) -> None:
        """Take note of a function that a method adds to a group."""
        if method in _ADDING and args.positional:
            self._note_choice(_COMMAND, args.positional[0][1], flow)

    def _note_choice(self, kind: str, given: Value, flow: Flow) -> None:
        for value in alternatives(given):
            match value:
                case Items(values=held):
                    for one in held:
                        self._note_choice(kind, one, flow)
                case Pairs(entries=entries):
                    for _, one in entries:
                        self._note_choice(kind, one, flow)
                case FunctionValue(key) | ClassValue(key):
                    flow.bind(PROCESS, f"{kind}{key}", value)
                case Instance(key, frame):
                    flow.bind(PROCESS, f"{kind}{key} {frame}", value)
                case Bound(callee=FunctionValue(key)):
                    flow.bind(PROCESS, f"{kind}{key}", value)
                case ModuleValue(file):
                    flow.bind(PROCESS, f"{kind}{file}", value)

    def run_commands(self, called: Iterable[Value], flow: Flow) -> None:
        """Call what the command line may choose, each on a path of its own, and what prepares for
        it; ``called`` are functions that installed commands call."""
        held = dict(flow.names(PROCESS))
        for name, value in held.items():
            if name.startswith(_PREPARATION):
                for one in alternatives(value):
                    self._call_command(one, flow)
        commands = [value for name, value in held.items() if name.startswith(_COMMAND)]
        ends: list[Flow] = []
        for value in [*commands, *called][:_MOST_COMMANDS]:
            for one in alternatives(value):
                ends += self._command_ends(one, flow)
        flow.join_all(ends)

    def _command_ends(self, value: Value, flow: Flow) -> Iterator[Flow]:
        """The states in which the commands end that a value is, or holds."""
        if isinstance(value, ModuleValue):
            for function in self.functions_of(value.file, flow):
                yield from self._command_ends(function, flow)
        elif isinstance(value, (ClassValue, Instance)):
            key = value.cls if isinstance(value, Instance) else value.key
            for name in self.public_methods(key):
                path = flow.copy()
                made = self._call_command(value, path) if isinstance(value, ClassValue) else value
                for one in alternatives(made):
                    if isinstance(one, Instance):
                        self._call_command(self.attribute_of(one, name, path), path)
                yield path
        else:
            path = flow.copy()
            if isinstance(value, FunctionValue) and value.key not in self.handed_over:
                self._run_command(value, path)
            else:
                self._call_command(value, path)
            yield path

    def _run_command(self, function: FunctionValue, flow: Flow) -> None:
        """Call a function as the command line would, or repeat what that does: in all programs of a
        package, the same commands may be chosen."""
        if self.was_executed(function.key):
            return
        way = self.steps_into(function, self.statement.span)
        part = Part(("command", function.key, bool(way)), Budget.OWN)
        enough = self.run_apart(
            part, _MOST_OF_COMMAND, way, flow, lambda: self._call_command(function, flow)
        )
        self.is_command_cut_short |= not enough

    def _call_command(self, value: Value, flow: Flow) -> Value:
        """Call a function of the project that has not run yet, as the command line would."""
        callee = value.callee if isinstance(value, Bound) else value
        if isinstance(callee, FunctionValue) and self.was_executed(callee.key):
            return value
        at = self.statement.span
        call = p.Call(at, p.Opaque(at, ()), ())
        return self.call_value(value, call, Arguments(exact=False), flow)
