"""What every check is given: facts, policy, and what follows from the two for one file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from gpu_lint.allocator import ALIAS_SINCE, Release
from gpu_lint.checks.rewrites import Rewrites
from gpu_lint.facts.demands import PolicyModule, Standing
from gpu_lint.facts.filefacts import FileFacts
from gpu_lint.facts.granted import granted_gpus
from gpu_lint.facts.model import (
    Certainty,
    Form,
    FunctionFacts,
    Index,
    Reach,
    Setting,
    Written,
)
from gpu_lint.facts.program import Function
from gpu_lint.facts.reading import Reading
from gpu_lint.facts.servers import hooks_behind_app
from gpu_lint.facts.values import constants, text_of
from gpu_lint.findings import Applicability
from gpu_lint.masks import read_mask
from gpu_lint.pins import Pin
from gpu_lint.policy import Policy
from gpu_lint.records import record
from gpu_lint.remedies import Remedy
from gpu_lint.rulebook import Rulebook, Severity
from gpu_lint.source import Span
from gpu_lint.variables import ALIASES, HEADER_VARIABLES, MASK


@record
class Found:
    """A finding before it has its rule's name and the edits of its fix."""

    code: str
    span: Span
    message: str
    note: str = ""
    remedy: Remedy | None = None
    applicability: Applicability = Applicability.SAFE
    severity: Severity | None = None
    """Where it differs from the rule's own."""


FunctionBehind: TypeAlias = "Callable[[str, str, int, str], tuple[str, Reading, Function] | None]"
"""The function that a file imports from a module of the project, by the file, the module as it
names it, how many dots stand before that, and the name; with the file that holds it."""
Check: TypeAlias = "Callable[[Context], Iterator[Found]]"


@record
class Companion:
    """Another file of the same process."""

    file: str
    facts: FileFacts
    judges: Callable[[Span], bool]
    """Whether a wrong index at a span would be reported, and may be changed by this run."""


@dataclass(frozen=True)
class Context:
    """One file, as checks see it."""

    facts: FileFacts
    policy: Policy | None
    rulebook: Rulebook
    row: Callable[[int], int]
    """Line number (from 1) of a byte offset, for messages."""
    standing: Standing
    relevant: Callable[[tuple[str, ...]], bool]
    """Whether the file matches a list of globs."""
    place: Callable[[str, Span], tuple[str, int]]
    """How a message names a file and a place in it: its path, the line number (from 1)."""
    judges: Callable[[Span], bool]
    """Whether a wrong index at a span of this file would be reported, and may be changed."""
    companions: Callable[[], tuple[Companion, ...]]
    """The other files of the processes that the file belongs to."""
    mentioned_elsewhere: Callable[[str], bool] = lambda name: False
    """Whether some file of the run mentions a name."""
    functions_beside: Callable[[frozenset[str]], tuple[FunctionFacts, ...]] = lambda names: ()
    """The functions with some names in the project's files that this one imports, as far as these
    mention the mask."""
    function_behind: FunctionBehind = lambda file, module, level, name: None
    pinned: Callable[[], Pin | None] = lambda: None
    """The release of PyTorch that the project pins."""
    policy_module: PolicyModule | None = None
    """The module that holds the header for the file, where the policy wants one."""
    is_policy_module: bool = False
    """The file is that module for others."""

    @cached_property
    def pytorch(self) -> tuple[Release | None, str]:
        """The oldest PyTorch in use, and what says so: the policy, or else a pin of the project."""
        wanted = self.policy.gpu.pytorch if self.policy is not None else None
        if wanted is not None:
            return wanted, f"gpu.pytorch says {wanted}"
        pin = self.pinned()
        return (None, "") if pin is None else (pin.release, f"{pin.place} pins torch {pin.release}")

    def is_unread(self, setting: Setting) -> bool:
        """Whether the project's PyTorch does not read what a write sets, and nothing else sets it:
        both names are for any release."""
        meant = ALIASES.get(setting.variable)
        if meant is None or setting.conditional or setting.value is None:
            return False
        release, _ = self.pytorch
        old = release is not None and release < ALIAS_SINCE
        return old and not any(other.variable == meant for other in self.settings)

    @cached_property
    def removes_mask(self) -> bool:
        """The file takes the mask away, or another file of its processes is shown to do so."""
        if any(one.variable == MASK and one.value is None for one in self.facts.settings):
            return True
        return any(
            one.variable == MASK and one.value is None and one.reach > Reach.UNCALLED
            for companion in self.companions()
            for one in companion.facts.reached_settings
        )

    @cached_property
    def rewrites(self) -> Rewrites:
        """The writes of the file, to ask which of them belong together."""
        return Rewrites(self.settings)

    @cached_property
    def given_back(self) -> dict[tuple[str, str], int]:
        """Where, as a byte offset, a variable is last given back what it held, by its name and the
        function in which that is done."""
        return self.rewrites.given_back(self.settings)

    def is_tried_out(self, setting: Setting) -> bool:
        """Whether a function of a test writes a value, and one of them gives back what was there
        by hand: the value is what other code is tested with."""
        if not self.is_test or not setting.function:
            return False
        return any(variable == setting.variable for variable, _ in self.given_back)

    def reads_dotenv(self, setting: Setting) -> bool:
        """Whether a statement writes what a ``.env`` file holds."""
        return b"dotenv" in self.facts.reading.source.data[setting.span.start : setting.span.end]

    def is_checked(self, variable: str) -> bool:
        """Whether a variable is written where it is not set, and the program gives up before the
        first use unless it holds what the policy demands."""
        held = self.facts.holds(variable)
        found = [one.value for one in held if one.is_checked and one.value is not None]
        if not found or {text_of(value) for value in found} != {self.wanted(variable)}:
            return False
        forms = {one.span: one.form for one in self.settings if one.variable == variable}
        written = [one.span for one in held if one.span is not None]
        return (
            bool(forms)
            and len(found) + len(written) == len(held)
            and all(forms.get(span) in (Form.IF_UNSET, Form.ASSIGN) for span in written)
        )

    @cached_property
    def _handed(self) -> frozenset[tuple[str, Span | None]]:
        """The writes, by file and statement, whose values processes that are started take over."""
        files = (self.facts, *(companion.facts for companion in self.companions()))
        return frozenset(
            (written.file, written.span)
            for facts in files
            for child in facts.children
            for written in child.takes_over(*HEADER_VARIABLES)
        )

    def is_for_a_child(self, setting: Setting) -> bool:
        """Whether a write is for a process that is started behind it: it is taken back later."""
        place = setting.variable, setting.function
        taken_back = setting.form is Form.FOR_A_WHILE
        taken_back = taken_back or self.given_back.get(place, -1) > setting.span.start
        if setting.value is None or not taken_back:
            return False
        return (self.facts.file, setting.span) in self._handed

    @cached_property
    def movable(self) -> tuple[Span, ...]:
        """The module-level statements that write header variables too late, each another one, and
        that may be brought forward together."""
        known = {expression.partition(".")[0] for expression, _ in self.facts.layout.environ}
        known |= {"str", "int"}
        late = [
            setting
            for setting in self.settings
            if setting.top_level
            and setting.peers > 0
            and setting.variable in (*HEADER_VARIABLES, *ALIASES)
            and Certainty.ALWAYS in (setting.imported.certainty, setting.frozen.certainty)
            and setting.form in (Form.ASSIGN, Form.UPDATE)
            and setting.names <= known
        ]
        variables = [ALIASES.get(setting.variable, setting.variable) for setting in late]
        if len(set(variables)) < len(variables):
            return ()  # each of them may be for what follows it
        if any(map(self.is_behind_removal, late)):
            return ()
        return tuple(sorted({setting.span for setting in late}))

    @cached_property
    def rebindings(self) -> tuple[Setting, ...]:
        """Where ``os.environ`` becomes another dict before CUDA has read the mask, and stays one,
        in a file that is about what decides about GPUs."""
        data = self.facts.reading.source.data
        is_about_gpus = any(name.encode() in data for name in HEADER_VARIABLES)
        if not is_about_gpus and (self.policy is None or not self.gpu_file):
            return ()
        rebound = [setting for setting in self.settings if setting.form is Form.REBOUND]
        put_back: dict[str, int] = {}
        for one in rebound:
            if one.value is not None:
                put_back[one.function] = max(one.span.start, put_back.get(one.function, 0))
        return tuple(
            setting
            for setting in rebound
            if setting.value is None
            and setting.frozen.certainty is not Certainty.ALWAYS
            and put_back.get(setting.function, -1) < setting.span.start
        )

    @cached_property
    def early_removals(self) -> tuple[Setting, ...]:
        """Removals before CUDA has surely read the variable, if nothing is written again there."""
        return tuple(self.rewrites.early_removals())

    @cached_property
    def possible_settings(self) -> tuple[Setting, ...]:
        """The first of what each statement may write under a name that is not known: the mask, if
        it may be that, unless it is written again in the same function."""
        found: dict[Span, Setting] = {}
        for setting in self.facts.possible_settings:
            if setting.variable == MASK or setting.span not in found:
                if not self.rewrites.is_written_again(setting):
                    found[setting.span] = setting
        return tuple(found.values())

    def line(self, written: Written) -> str:
        """How a message names the line of a write: with its file, where it is another one."""
        assert written.span is not None
        if written.file == self.facts.file:
            return f"line {self.row(written.span.start)}"
        name, line = self.place(written.file, written.span)
        return f"{name}:{line}"

    def is_behind_removal(self, setting: Setting) -> bool:
        """Whether a mask is written when CUDA has read it, in a process that removed the mask
        before: brought forward, it would be removed, too."""
        if setting.variable != MASK or setting.frozen.certainty is Certainty.NEVER:
            return False
        found = [*self.early_removals]
        for companion in self.companions() if self.removes_mask else ():
            found += Rewrites(companion.facts.reached_settings).early_removals()
        return any(one.variable == MASK and one.reach > Reach.UNCALLED for one in found)

    def decides_only_a_device(self, index: Index, file: str, argument: Span) -> bool:
        """Whether the literal that an index comes from has no other use.

        It has none where it stands in the argument itself, unless an assertion expects it. Bound
        to a name, a text such as ``cuda:1`` still can mean nothing else, unless it is compared
        with something.
        """
        if index.span is None or self.is_asserted(index):
            return False
        if index.file == file and index.span in argument:
            return True
        if index.span.end - index.span.start <= 4:
            return False  # a bare number may count anything
        held = [self.facts.compared, *(c.facts.compared for c in self.companions())]
        return not any(f"cuda:{index.number}" in one for one in held)

    def is_asserted(self, index: Index) -> bool:
        """Whether an assertion beside the literal of an index expects that device."""
        values = index.number, str(index.number), f"cuda:{index.number}"
        return index.span is not None and any(
            facts.reading.is_asserted(index.span, *values)
            for facts in (self.facts, *(c.facts for c in self.companions()))
            if facts.file == index.file
        )

    @property
    def is_test(self) -> bool:
        """The file is one that a test runner reads, by its name."""
        name = os.path.basename(self.facts.file)
        return name.startswith(("test_", "conftest")) or name.endswith("_test.py")

    @cached_property
    def gpu_file(self) -> bool:
        """The file, or one of the project that it imports, uses a framework; or it selects
        a device."""
        return self.standing.gpu_file

    @property
    def entry_point(self) -> bool:
        """The file is started, and reaches a GPU framework then."""
        return bool(self.standing.entry_point)

    @cached_property
    def _granted(self) -> tuple[tuple[Span, int], ...]:
        reading = self.facts.reading
        return tuple(granted_gpus(reading.program, reading.source.data))

    def granted(self, span: Span) -> int | None:
        """How many devices Ray shows the process in which some code of the file runs; None where it
        does not run it."""
        return next((count for around, count in self._granted if span in around), None)

    @cached_property
    def run_by_others(self) -> frozenset[str]:
        """The file's functions that run in a process which has imported the file: those that
        installed commands call, and the targets of processes."""
        targets = (child.target for child in self.facts.children)
        return frozenset((*self.standing.called, *targets)) - {""}

    @cached_property
    def server_hooks(self) -> frozenset[str]:
        """The file's functions that a server calls when it has imported the app."""
        return hooks_behind_app(self.facts.file, self.facts.reading.program)

    @cached_property
    def uses_pytorch(self) -> bool:
        """The file, or one of the project that it imports, imports PyTorch, or something that
        does."""
        known = self.rulebook.knowledge.by_name
        return any(known[name].uses_pytorch for name in self.facts.reached_frameworks)

    def is_required(self, where: str | tuple[str, ...]) -> bool:
        """Whether a ``required-in`` key applies to the file."""
        if isinstance(where, tuple):
            return self.relevant(where)
        return self.standing.falls_under(where)

    @cached_property
    def header_required(self) -> bool:
        if self.policy is None:
            return False
        return self.is_policy_module or self.is_required(self.policy.header.required_in)

    @cached_property
    def settings(self) -> tuple[Setting, ...]:
        """The file's settings: on its own where it must have a header, else as its entry points
        reach them."""
        return self.facts.settings if self.header_required else self.facts.reached_settings

    def wanted(self, variable: str) -> str | None:
        """The value the header must give a variable in this file; None where it need not."""
        if self.policy is None or not self.header_required:
            return None
        if variable == "PYTORCH_CUDA_ALLOC_CONF":
            for_others = self.policy.header.alloc_conf_in == "required-files"
            if not (self.uses_pytorch or for_others or self.is_policy_module):
                return None
        return self.policy.value(variable)

    def visible_count(self, masks: tuple[Written, ...]) -> int | None:
        """How many devices there are: the policy's, or those of a mask that surely holds."""
        if self.policy is not None:
            return len(self.policy.gpu.devices)
        devices = self.mask_devices(masks)
        return len(devices) if devices else None

    def mask_devices(self, masks: tuple[Written, ...]) -> tuple[str, ...] | None:
        """The devices of the mask in effect, where it is the same on every path."""
        found = self.mask_choices(masks)
        return found[0] if found is not None and len(found) == 1 else None

    def mask_choices(self, masks: tuple[Written, ...]) -> tuple[tuple[str, ...], ...] | None:
        """The devices of each mask that may be in effect; None where one is not known."""
        if self.policy is not None:
            return (self.policy.gpu.devices,)
        found: set[tuple[str, ...]] = set()
        for written in masks:
            known = None if written.value is None or written.weak else constants(written.value)
            if not known:
                return None
            for constant in known:
                if not isinstance(constant.value, str) or read_mask(constant.value).fault:
                    return None
                found.add(read_mask(constant.value).devices)
        return tuple(sorted(found))
