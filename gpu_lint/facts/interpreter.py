"""Runs a program on abstract values, in the order in which Python would run it.

Module-level code runs first, with the functions it calls followed into their bodies, the
modules of the project that it imports run where it imports them, and the main guard taken if
the file is the program. Then every function that nothing called runs on its own, from the
state that importing leaves behind: whoever calls it does so later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

from gpu_lint.facts import program as p
from gpu_lint.facts.calls import DEEPEST_ALONE, MOST_ALONE, MOST_STILL, Frame
from gpu_lint.facts.commands import Given
from gpu_lint.facts.environment import Arguments
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.model import Certainty, Mark, Reach, Shape, Written
from gpu_lint.facts.needles import needles_for
from gpu_lint.facts.processes import RANK
from gpu_lint.facts.programrun import End, ProgramRun
from gpu_lint.facts.reading import Reading
from gpu_lint.facts.recorder import Recorder
from gpu_lint.facts.selection import indexing_input
from gpu_lint.facts.setups import Setups
from gpu_lint.facts.skipping import is_skipped
from gpu_lint.facts.summaries import Budget, Part
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
    Member,
    Pairs,
    Returned,
    Unknown,
    Value,
    any_of,
    held_by,
)
from gpu_lint.facts.words import words_of_name
from gpu_lint.facts.world import Class, Function, World
from gpu_lint.variables import MASK

_OPTIONS = frozenset({"args", "parse_args", "get_args"})
"""What was returned that holds the options of a command line."""
_FEW_STATEMENTS = 2
"""A function that is no longer may only say which device it is."""
_LARGEST_INDEX = 255
"""No machine has so many devices that a larger number is one of them."""


class Interpreter(Setups):
    """One run of one file as the program; :attr:`recorders` hold what each file did in it."""

    def __init__(
        self,
        world: World,
        file: str,
        reading: Reading,
        *,
        follow_imports: bool = False,
        by_itself: bool = False,
    ) -> None:
        """``follow_imports`` runs the project's modules in place, not by their summaries;
        ``by_itself`` is for :meth:`held_by_itself`."""
        super().__init__(world, file, follow_imports=follow_imports)
        self._by_itself = by_itself
        self.reading = reading
        self._decides = world.decides(file)
        self._still = not self._decides and not by_itself
        if not self._decides:
            self._budget = MOST_STILL
        self._repeats = self._decides or (follow_imports and by_itself)
        if self._repeats:
            self._numbering = ("program", file)
        self.imported_end: Flow | None = None
        self.end = Flow()
        """The state in which the program ends."""
        self._is_program = True
        self._exits: list[Flow] = []
        self._left: set[object] = set()
        """The states in which a path has ended the program."""
        self._doing: set[Key] = set()
        """The functions that may do something, while those run that nothing called."""

    def run(self) -> Flow:
        """Run the file as the program, then what nothing called; the state at its end.

        :attr:`imported_end` is the state that importing the file leaves.
        """
        flow, imported = self._run_program()
        self._run_at_exit(flow)
        self.end = flow.copy()
        self._note_end(flow, imported)
        self._run_uncalled(imported)
        return flow

    def held_by_itself(self) -> dict[str, frozenset[Written]]:
        """Run the file as the program up to its first use of a GPU, and return what the variables
        hold there that it has set by its own code, by functions that this calls, and by modules
        that are imported outside of functions."""
        self._note_end(*self._run_program())
        return self.recorders[self.start].at_first_use

    def _run_program(self) -> tuple[Flow, Flow]:
        """Run the file as the program; the states at its end, and where importing it ends."""
        flow = self._run_body()
        imported = self.imported_end = self.imported_end or flow.copy()
        flow.join_all(self._exits)
        if self._decides:
            named = self.world.called_by_commands(self.start)
            bound = (flow.get(self.scopes[0], name) for name in named)
            self.run_commands([one for one in bound if isinstance(one, FunctionValue)], flow)
        return flow, imported

    def _note_end(self, flow: Flow, imported: Flow) -> None:
        """Where nothing has used a GPU, what counts is what variables hold at the end."""
        recorder = self.recorders[self.start]
        if recorder.first_use is None:
            recorder.at_first_use = dict(flow.variables or imported.variables)

    def told(self) -> ProgramRun:
        """What the run has found out, when it is over: the rest is freed."""
        imported = self.imported_end or Flow()
        found = ProgramRun(
            self.start,
            {file: recorder.alone() for file, recorder in self.recorders.items()},
            End.of(imported),
            End.of(self.end),
            self._budget <= 0 or self.is_command_cut_short,
        )
        self._exits, self._attempts = [], []
        self._frame = Frame("")
        self.recorders = {}
        self.functions, self.classes, self.known_attributes = {}, {}, {}
        for flow in (imported, self.end):
            flow.forget_names()
        return found

    def run_as_module(self) -> Flow:
        """Run the file as an import does, and nothing else; the state that this leaves."""
        self._is_program = False
        return self._run_body()

    def _run_body(self) -> Flow:
        flow = Flow()
        flow.open(self.scopes[0])
        flow.loaded = flow.touched = frozenset({self.start})
        self._exits, self._left = [], set()
        if self._is_program and self.follow_imports:
            self.run_packages(self.reading, flow)
        self.block(self.reading.program.body, flow)
        return flow

    def _run_at_exit(self, flow: Flow) -> None:
        """What ``atexit`` calls, last registered first.

        Functions of other files only count where something may set a variable.
        """
        waiting, flow.at_exit = flow.at_exit, ()
        for bound in reversed(waiting):
            if flow.alive and isinstance(bound, Bound) and self._runs_at_exit(bound):
                assert isinstance(bound.arguments, tuple)
                node, args = bound.arguments
                self.call_value(bound.callee, node, args, flow)

    def _runs_at_exit(self, bound: Value) -> bool:
        """Whether it is followed what ``atexit`` calls."""
        callee = bound.callee if isinstance(bound, Bound) else None
        of_others = isinstance(callee, FunctionValue) and callee.key[0] != self.start
        return self._decides or not of_others

    def leave(self, raised: str, flow: Flow) -> None:
        """A path ends the program. Of those that end it alike, but for the names that they bind,
        one is enough, unless something of this file runs at exit that may read the names."""
        if self.reach is Reach.UNCALLED:
            return  # the program has ended before
        key = flow.state
        reads = any(map(self._runs_at_exit, flow.at_exit))
        recording = self._recording
        while recording is not None:
            if reads:
                recording.is_unlike = True
            recording.ends_program(raised, flow, key)
            recording = recording.outer
        if reads or key not in self._left:
            self._left.add(key)
            self._exits.append(flow)

    def adopt_attributes(self, other: Interpreter) -> None:
        """Start from the attributes that an earlier run of the same program found."""
        self.known_attributes = {key: found.attributes for key, found in other.classes.items()}

    def lookup(self, name: str, flow: Flow) -> Value | None:
        value = flow.lookup(self.scopes, name)
        if value is None or self.reach is not Reach.UNCALLED:
            return value
        reading = self.world.reading(self.file)
        if reading is None:
            return value
        container = isinstance(value, (Items, Pairs))
        if name in reading.rebound or (container and reading.changes_container(name)):
            if flow.get(self.scopes[0], name) is value:
                return any_of((value, UNKNOWN))  # a caller, later, may have changed it
        return value

    def uses_gpu(self, function: FunctionValue, args: Arguments | None, flow: Flow) -> bool:
        trial, tried = self._tried(function, args, flow)
        for file, recorder in tried.items() if args is not None else ():
            for selector in recorder.selectors.values():
                self.recorder_of(file).take(selector)
        return trial.frozen.certainty is Certainty.ALWAYS

    def uses_rank(self, function: FunctionValue, args: Arguments, flow: Flow) -> bool:
        _, tried = self._tried(function, args, flow)
        return any(
            selector.count > 1 or bool(selector.inputs)
            if selector.shape is Shape.COUNT
            else RANK in map(indexing_input, selector.inputs)
            for recorder in tried.values()
            for selector in recorder.selectors.values()
        )

    def leaves_in_child(self, function: Given, flow: Flow) -> Flow:
        expression, callee = function
        call = p.Call(expression.span, expression, ())
        trial, _, called = self._in_process(
            lambda there: self.call_value(callee, call, Arguments(), there), flow
        )
        for key in sorted(called):
            self.executed(key)
        return trial

    def _tried(
        self, function: FunctionValue, args: Arguments | None, flow: Flow
    ) -> tuple[Flow, dict[str, Recorder]]:
        """Call a function in a new process."""
        at = self.statement.span
        trial, tried, _ = self._in_process(
            lambda there: self.enter(function, args, there, at), flow
        )
        return trial, tried

    def _in_process(
        self, run: Callable[[Flow], object], flow: Flow
    ) -> tuple[Flow, dict[str, Recorder], set[Key]]:
        """Run something in a new process, as if nothing had used the GPU; the state that this
        leaves, what was recorded of each file, and the functions that were first called there."""
        trial = flow.copy()
        trial.frozen = trial.allocated = Mark()
        saved, recorders, executed = self._activation(), self.recorders, self._executed
        since, was_trial = self._executed_since.copy(), self._is_trial
        self.recorders, self._executed = {}, set(executed)
        self._is_trial = True
        self._move_to(self.file)
        run(trial)
        self._restore(saved)
        called = self._executed - executed
        tried, self.recorders, self._executed = self.recorders, recorders, executed
        self._executed_since, self._is_trial = since, was_trial
        return trial, tried, called

    # --- what nothing calls --------------------------------------------------------------

    def _run_uncalled(self, end: Flow) -> None:
        """Run what nothing called, first those that no other such function mentions.

        Functions whose text can do nothing, and that mention none that may, are left out.
        Functions of other files only count where this program sets a mask, which is known here
        alone, and only for the devices that they name: what else they do is told by the programs
        that they are functions of.
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
                        does = self._does_something_alone(function)
                        concerned.add(key, self._names_of(function), words, does)
                known = len(self.functions)
                for key in concerned.take_new():
                    function = self.functions[key]
                    if key not in self._executed and not self._is_skipped(function):
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
            self.run_alone(chosen, end)

    def _is_skipped(self, function: Function) -> bool:
        """Whether a test runner skips a function, or its class, in every run."""
        node = function.node
        if isinstance(node, p.Function) and is_skipped(node.decorators):
            return True
        cls = self.class_of(function.owner) if function.owner is not None else None
        return cls is not None and is_skipped(cls.node.decorators)

    def _does_something(self, function: Function) -> bool:
        """Whether a function's own text may do something."""
        return self.world.does_something(function.file, function.node.span)

    def _does_something_alone(self, function: Function) -> bool:
        """Whether a function that nothing calls may do something that is asked for here."""
        if function.file == self.start:
            return bool(function.patches) or self._does_something(function)
        return self.world.selects(function.file, function.node.span)

    def _names_of(self, function: Function) -> Iterator[bytes]:
        """The words by which others call a function."""
        node = function.node
        if isinstance(node, p.Function) and not node.name.startswith("__"):
            yield from words_of_name(node.name)
        cls = self.class_of(function.owner) if function.owner is not None else None
        if cls is not None:
            yield from words_of_name(cls.node.name)

    def run_alone(self, key: Key, end: Flow, *, unwrapped: bool = False) -> None:
        function = self.function(key)
        assert function is not None
        wrapper = None if unwrapped else function.wrapper
        needs = self.needs_of(function, end)
        flow = end.copy()
        flow.alive = True
        flow.needs = max(flow.needs, needs)
        flow.imported_here = Mark()
        if function.file != self.start:
            flow.quiet = frozenset()  # what follows for its settings is told by its own program
        owner = Instance(function.owner) if function.owner is not None else None
        receiver = self.receiver_of(function, owner) if owner is not None else None
        self._branches = 0
        saved = self._activation()
        self._move_to(function.file)
        self.steps = ()
        value = FunctionValue(key, function.scopes, receiver)
        if wrapper is not None:
            value = replace(wrapper, receiver=receiver)
        part = Part(("alone", value.key, key), Budget.OWN, is_alone=True)

        def run() -> None:
            self.enter(value, None, flow, function.node.span)

        self.run_apart(None if key in self.handed_over else part, MOST_ALONE, (), flow, run)
        self.ran_alone(key, flow)
        if wrapper is not None and key not in self._executed:
            self.run_alone(key, end, unwrapped=True)
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
        return while_imported or self._does_something(function)

    @property
    def is_to_be_repeated(self) -> bool:
        """Whether another run, which knows from its start what attributes may be, may tell more.

        Where no variable was set, they must be, or do, something with a device or a variable. A run
        that has used up its budget is the last one."""
        if self._budget <= 0:
            return False
        late = self.learnt_late
        if any(recorder.settings for recorder in self.recorders.values()):
            return bool(late)
        return any(map(self._may_matter, late))

    def _may_matter(self, value: Value) -> bool:
        """Whether a value may be, hold or do something that names a device but the first."""
        match value:
            case Known(constant):
                if isinstance(constant, str):
                    named = needles_for(self.knowledge).is_variable(constant)
                    return named or ":" in constant or constant.isdigit()
                if isinstance(constant, bool) or not isinstance(constant, int):
                    return False
                return 0 < constant <= _LARGEST_INDEX
            case Member():
                return self._may_matter(value.value)
            case AnyOf() | Items() | Pairs():
                return any(map(self._may_matter, held_by(value)))
            case Instance(key) | ClassValue(key):
                return any(map(self._class_does, self.lineage(key)))
            case FunctionValue(key):
                function = self.function(key)
                return key in self._doing or (
                    function is not None and self._does_something(function)
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
        return self.world.does_something(cls.file, span) or any(
            file == cls.file and span.start <= start < span.end for file, start in self._doing
        )
