"""Processes that a program starts: how, and whether they are copies of one that uses CUDA."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace

from gpu_lint.facts import program as p
from gpu_lint.facts.children import (
    HANDING,
    PROCESSES,
    SPAWNING,
    is_executor,
    spawns_ranks,
    starts_when_made,
)
from gpu_lint.facts.commands import Command, CommandLine, Given, command_of
from gpu_lint.facts.devices import Devices
from gpu_lint.facts.environment import Arguments
from gpu_lint.facts.evaluation import MOST_ITEMS, PROCESS
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.model import INHERITED, Certainty, Child, Script, in_order
from gpu_lint.facts.values import (
    UNKNOWN,
    DeviceCount,
    EnvironmentValue,
    FunctionValue,
    Input,
    Instance,
    Items,
    Key,
    Known,
    Pairs,
    Returned,
    Symbol,
    Value,
    alternatives,
    any_of,
    text_of,
)
from gpu_lint.facts.world import Function
from gpu_lint.variables import HEADER_VARIABLES, MASK, ORDER

FORK = Known("fork")
"""How ``multiprocessing`` starts a process on Linux before Python 3.14, unless told."""
_STARTING = PROCESSES | {f"{SPAWNING}.Process"}
RANK = Input("the rank of a spawned process")
"""What a process that is started with others is given first."""
_INHERITS = "inherits CUDA"
"""In the frame of a pool, whether its processes are copies of one that has initialised CUDA."""


class Processes(Devices):
    """Notes the processes that calls start."""

    @abstractmethod
    def uses_gpu(self, function: FunctionValue, args: Arguments | None, flow: Flow) -> bool:
        """Whether a function, called now in a new process, surely touches a GPU; without ``args``,
        called as an unknown caller would. Takes note of the devices that it names."""

    @abstractmethod
    def uses_rank(self, function: FunctionValue, args: Arguments, flow: Flow) -> bool:
        """Whether a function, called in a process of a group, takes :data:`RANK` among its
        ``args`` as the index of a device, or joins a group in which each process has one."""

    @abstractmethod
    def function(self, key: Key) -> Function | None:
        """The function with a key; None for one that this run has not met."""

    @abstractmethod
    def hand_over(self, key: Key, calls: tuple[Arguments | None, ...]) -> None:
        """Remember what a function is called with in processes that are started; None for a call
        of which nothing is known."""

    @abstractmethod
    def leaves_in_child(self, function: Given, flow: Flow) -> Flow:
        """The state that a function, or what else can be called, leaves which runs in a process
        right after its start, and nowhere else."""

    def start_method(self, name: str, args: Arguments, flow: Flow) -> Value | None:
        """Take note of how ``multiprocessing`` is told to start processes; what the call gives.
        None for any other call."""
        if name.endswith("multiprocessing.set_start_method"):
            flow.bind(PROCESS, "start method", args.value(0, "method") or UNKNOWN)
            return UNKNOWN
        if name.endswith("multiprocessing.get_context"):
            method = args.value(0, "method")
            copies = _is_none(method) or text_of(method or UNKNOWN) == "fork"
            return Symbol("multiprocessing" if copies else SPAWNING)
        return None

    def note_group(self, args: Arguments, flow: Flow) -> None:
        """Take note of the rank that a group of processes is told this one has."""
        rank = args.value(4, "rank")
        if rank is not None and rank != Known(-1):
            flow.bind(PROCESS, "rank", rank)

    def rank_in_group(self, flow: Flow) -> Value | None:
        """The rank that the group was given; None where it finds it out."""
        return flow.get(PROCESS, "rank")

    def note_child(
        self,
        name: str,
        node: p.Call,
        args: Arguments,
        given: Given | None,
        line: CommandLine,
        environment: Value | None,
        flow: Flow,
    ) -> None:
        """Note a call that may start a process, given its command and its environment."""
        command = command_of(given, line, environment, self.file)
        directory = text_of(args.value(99, "cwd") or UNKNOWN)
        if directory is not None:
            command = replace(command, scripts=tuple(_below(directory, command.scripts)))
        if isinstance(environment, Pairs) and environment.copied:
            command = self._unless_inherited(command, flow)
        preparing = args.find(6, "preexec_fn") if name.startswith("subprocess.") else None
        if preparing is not None and not _is_none(preparing[1]):
            there = self.leaves_in_child(preparing, flow)
            command = _prepared(command, flow, there) if _is_none(environment) else command
        if command.mask is None and _is_removed_late(flow):
            command = replace(command, mask=EnvironmentValue(MASK))
        forks, for_each_device, function = name == "os.fork", False, None
        if spawns_ranks(name):
            processes, function = self._ranks_with_gpu(args, flow), args.value(0, "fn")
            command = replace(command, processes=processes)
            count = args.value(2, "nprocs") or UNKNOWN
            for_each_device = any(isinstance(one, DeviceCount) for one in alternatives(count))
        if name.removeprefix("torch.") in _STARTING:
            function = args.value(1, "target")
            uses = self._uses_gpu_each(function, [given_to(args)], flow)
            copied = name.removeprefix("torch.") in PROCESSES and self._forks(flow)
            forks = uses and copied
        self._record_child(
            node,
            forks,
            command,
            flow,
            target=self._target(function),
            for_each_device=for_each_device,
        )

    def _unless_inherited(self, command: Command, flow: Flow) -> Command:
        """What a command says, without what it would inherit as well."""
        mask = None if command.mask == self.environment(MASK, flow) else command.mask
        order = None if command.order == self.environment(ORDER, flow) else command.order
        return replace(command, mask=mask, order=order)

    def _record_child(
        self,
        node: p.Call,
        forks: bool,
        command: Command,
        flow: Flow,
        *,
        target: str = "",
        for_each_device: bool = False,
    ) -> None:
        self.recorder.child(
            Child(
                node.span,
                forks,
                mask=command.mask,
                mask_span=command.mask_span,
                order=command.order,
                uses_gpu=command.uses_gpu,
                processes=command.processes,
                for_each_device=for_each_device,
                copies=command.copies,
                masks=in_order(flow.masks()),
                orders=in_order(flow.orders()),
                frozen=flow.frozen,
                reach=self.reach,
                handed=tuple((name, in_order(flow.holds(name))) for name in HEADER_VARIABLES),
                scripts=command.scripts,
                ignored=command.ignored,
                index=command.index,
                target=target,
            )
        )

    def _target(self, function: Value | None) -> str:
        """The name of a function of the file that is run; empty for any other value."""
        known = self.function(function.key) if isinstance(function, FunctionValue) else None
        if known is None or known.file != self.file or not isinstance(known.node, p.Function):
            return ""
        return known.node.name

    def _forks(self, flow: Flow) -> bool:
        """Whether ``multiprocessing`` copies this process to start another."""
        return text_of(flow.get(PROCESS, "start method") or FORK) == "fork"

    def _ranks_with_gpu(self, args: Arguments, flow: Flow) -> int:
        """How many processes a call starts that each take their rank as the index of a GPU, or
        are a group in which each has one; 0 where it does not say so. A function that is not seen
        may do either."""
        count = args.value(2, "nprocs")
        known = [one.value for one in alternatives(count or UNKNOWN) if isinstance(one, Known)]
        processes = max((one for one in known if type(one) is int), default=0)
        function = args.find(0, "fn")
        if processes < 2 or function is None or not isinstance(function[1], FunctionValue):
            return processes
        found = args.find(1, "args")
        given = (Arguments() if found is None else arguments_in(found)) or Arguments(exact=False)
        ranked = replace(given, positional=[(function[0], RANK), *given.positional])
        return processes if self.uses_rank(function[1], ranked, flow) else 0

    def _uses_gpu_each(
        self, target: Value | None, calls: Sequence[Arguments | None], flow: Flow
    ) -> bool:
        """Whether one of some calls of a function in a child process surely touches a GPU."""
        if not isinstance(target, FunctionValue):
            return False
        self.hand_over(target.key, tuple(calls))
        uses = [self.uses_gpu(target, args, flow) for args in calls]
        return any(uses)

    def note_pool(self, pool: Returned, args: Arguments, flow: Flow) -> None:
        """Keep whether CUDA is surely initialised in the processes of a pool from their start, and
        what they call there."""
        context = args.value(99, "mp_context")
        forks = self._forks(flow) and (_is_none(context) or context == Symbol("multiprocessing"))
        forks = forks and not pool.symbol.startswith(SPAWNING)
        first = 2 if is_executor(pool) else 1
        found = args.find(first + 1, "initargs")
        given = Arguments() if found is None else arguments_in(found)
        self._uses_gpu_each(args.value(first, "initializer"), [given], flow)
        started = not starts_when_made(pool) or flow.frozen.certainty is Certainty.ALWAYS
        if pool.frame is not None:
            flow.bind(pool.frame, _INHERITS, Known(forks and started))

    def note_handed(
        self, pool: Returned, method: str, node: p.Call, args: Arguments, flow: Flow
    ) -> None:
        """Note a function that a method of a pool is handed, if the pool's processes are copies of
        one that has initialised CUDA, and it uses the GPU."""
        if method not in HANDING or not args.positional or pool.frame is None:
            return
        calls = self.calls_of(method, args, flow)
        uses = self._uses_gpu_each(args.positional[0][1], calls, flow)
        if uses and flow.get(pool.frame, _INHERITS) == Known(True):
            self._record_child(node, True, Command(), flow)

    def calls_of(self, method: str, args: Arguments, flow: Flow) -> list[Arguments | None]:
        """The calls that a pool makes of a function that it is handed."""
        if method == "submit":
            return [Arguments(args.positional[1:], args.keywords, args.exact)]
        if method.startswith("apply"):
            return [given_to(args, args_at=1, keywords="kwds")]
        found = args.find(1, "iterable")
        items = self.iterate(found[1], flow) if found is not None else None
        if found is None or items is None:
            return [None]
        several: list[Arguments | None] = []
        for item in items[:MOST_ITEMS]:
            each = Arguments([(found[0], item)])
            several.append(arguments_in((found[0], item)) if "star" in method else each)
        return several if len(items) <= MOST_ITEMS else [*several, None]

    def note_loader(self, node: p.Call, args: Arguments, flow: Flow) -> None:
        """Note the workers of a loader, which are forked, if they use the GPU for an item."""
        workers, items = args.value(5, "num_workers"), args.value(0, "dataset")
        if not _is_none(args.value(99, "multiprocessing_context")) or not self._forks(flow):
            return
        if isinstance(workers, Known) and workers.value and isinstance(items, Instance):
            if self._uses_gpu_each(self.attribute_of(items, "__getitem__", flow), [None], flow):
                self._record_child(node, True, Command(), flow)


def _below(directory: str, scripts: Sequence[Script]) -> Iterator[Script]:
    """The scripts that a command runs in a directory."""
    for script in scripts:
        name = script.name if script.is_module else os.path.join(directory, script.name)
        yield replace(script, name=name)


def _prepared(command: Command, flow: Flow, there: Flow) -> Command:
    """What a command says when a function has run before it in the child, which leaves a state
    there: without an environment of its own, the child takes over what was written."""
    mask, order = (
        any_of(Known(None) if one.value is None else one.value for one in there.holds(name))
        if there.holds(name) != flow.holds(name)
        else None
        for name in (MASK, ORDER)
    )
    return replace(command, mask=command.mask or mask, order=command.order or order)


def _is_removed_late(flow: Flow) -> bool:
    """Whether the mask that decides in this process is no longer there for those that it starts."""
    shown = flow.frozen.certainty is Certainty.ALWAYS and flow.visible
    return bool(shown) and INHERITED in flow.holds(MASK) and INHERITED not in flow.visible


def given_to(args: Arguments, *, args_at: int = 3, keywords: str = "kwargs") -> Arguments | None:
    """What a process that is made with some arguments gives its target."""
    found, named = args.find(args_at, "args"), args.find(args_at + 1, keywords)
    given = Arguments() if found is None else arguments_in(found)
    if named is None or _is_none(named[1]) or given is None:
        return given
    expression, held = named
    if not isinstance(held, Pairs) or not held.is_listed:
        return None
    texts = [(text_of(key), value) for key, value in held.entries]
    by_name = {name: (expression, value) for name, value in texts if name is not None}
    return Arguments(given.positional, by_name, exact=len(by_name) == len(texts))


def in_one(calls: Sequence[Arguments | None]) -> Arguments | None:
    """What a function is called with by one of several calls, each argument being one of theirs;
    None where they differ in what they give, or nothing is known of one."""
    known = [one for one in calls if one is not None]
    if not known or len(known) < len(calls):
        return None
    first, *others = known
    shape = len(first.positional), first.keywords.keys()
    if any((len(one.positional), one.keywords.keys()) != shape for one in others):
        return None
    positional = [
        (expression, any_of(one.positional[at][1] for one in known))
        for at, (expression, _) in enumerate(first.positional)
    ]
    keywords = {
        name: (expression, any_of(one.keywords[name][1] for one in known))
        for name, (expression, _) in first.keywords.items()
    }
    return Arguments(positional, keywords, all(one.exact for one in known))


def arguments_in(found: tuple[p.Expression, Value] | None) -> Arguments | None:
    """The arguments that a tuple holds; None where they are not known."""
    if found is None or not isinstance(found[1], Items) or found[1].kind == "some":
        return None
    return Arguments([(found[0], value) for value in found[1].values])


def _is_none(value: Value | None) -> bool:
    """Whether an argument is not given, or is None."""
    return value is None or (isinstance(value, Known) and value.value is None)
