"""What every check is given: facts, policy, and what follows from the two for one file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from gpu_lint.allocator import ALIAS_SINCE, Release
from gpu_lint.facts.demands import Standing
from gpu_lint.facts.filefacts import FileFacts
from gpu_lint.facts.model import (
    Certainty,
    Form,
    FunctionFacts,
    Index,
    Reach,
    Setting,
    Written,
)
from gpu_lint.facts.values import EnvironmentValue, Value, alternatives, constants
from gpu_lint.findings import Applicability
from gpu_lint.masks import read_mask
from gpu_lint.pins import Pin
from gpu_lint.policy import Policy
from gpu_lint.records import record
from gpu_lint.remedies import Remedy
from gpu_lint.rulebook import Rulebook, Severity
from gpu_lint.source import Span
from gpu_lint.variables import ALIASES, MASK


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
    pinned: Callable[[], Pin | None] = lambda: None
    """The release of PyTorch that the project pins."""

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
    def given_back(self) -> dict[tuple[str, str], int]:
        """Where, as a byte offset, a variable is last given back what it held, by its name and the
        function in which that is done."""
        return _given_back(self.settings, self.settings)

    @cached_property
    def rebindings(self) -> tuple[Setting, ...]:
        """Where ``os.environ`` becomes another dict before CUDA has read the mask, and stays one,
        in a file that is about the mask."""
        about_mask = MASK.encode() in self.facts.reading.source.data
        if not about_mask and (self.policy is None or not self.gpu_file):
            return ()
        return tuple(
            setting
            for setting in self.settings
            if setting.form is Form.REBOUND
            and setting.value is None
            and setting.frozen.certainty is not Certainty.ALWAYS
            and (setting.variable, setting.function) not in self.given_back
        )

    @cached_property
    def early_removals(self) -> tuple[Setting, ...]:
        """Removals before CUDA has surely read the variable, if nothing is written again there."""
        return tuple(_early_removals(self.settings))

    @cached_property
    def possible_settings(self) -> tuple[Setting, ...]:
        """The first of what each statement may write under a name that is not known: the mask, if
        it may be that, unless it is written again in the same function."""
        found: dict[Span, Setting] = {}
        for setting in self.facts.possible_settings:
            if setting.variable == MASK or setting.span not in found:
                if not _is_written_again(setting, self.settings):
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
            found += _early_removals(companion.facts.reached_settings)
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
    def uses_pytorch(self) -> bool:
        """The file, or one of the project that it imports, imports PyTorch, or something that
        does."""
        reached = self.facts.reached_frameworks
        return any(f.uses_pytorch for f in self.rulebook.knowledge.frameworks if f.name in reached)

    def is_required(self, where: str | tuple[str, ...]) -> bool:
        """Whether a ``required-in`` key applies to the file."""
        if isinstance(where, tuple):
            return self.relevant(where)
        return self.standing.falls_under(where)

    @cached_property
    def header_required(self) -> bool:
        return self.policy is not None and self.is_required(self.policy.header.required_in)

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
            if not self.uses_pytorch and self.policy.header.alloc_conf_in != "required-files":
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
        if self.policy is not None:
            return self.policy.gpu.devices
        found: set[tuple[str, ...]] = set()
        for written in masks:
            known = None if written.value is None or written.weak else constants(written.value)
            if not known:
                return None
            for constant in known:
                if not isinstance(constant.value, str) or read_mask(constant.value).fault:
                    return None
                found.add(read_mask(constant.value).devices)
        return found.pop() if len(found) == 1 else None


def _given_back(
    settings: tuple[Setting, ...], among: tuple[Setting, ...]
) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    among_each: dict[str, list[Setting]] = {}
    for setting in among:
        among_each.setdefault(setting.variable, []).append(setting)
    for setting in settings:
        held = EnvironmentValue(setting.variable)
        if setting.value is None:
            continue
        beside = among_each.get(setting.variable, ())
        if held in alternatives(setting.value) or is_put_back(setting, beside):
            place = setting.variable, setting.function
            found[place] = max(found.get(place, 0), setting.span.start)
    return found


def is_put_back(setting: Setting, settings: Sequence[Setting]) -> bool:
    """Whether a write puts back what another one has written, in this file or before this is
    reached, after a third in its function wrote something else, or removed it."""
    beside = [one for one in settings if one.variable == setting.variable]
    return any(
        between.value != setting.value
        and between.function == setting.function
        and between.span.end <= setting.span.start
        and (
            (setting.value is not None and _held_before(between, setting.value))
            or any(
                first.value == setting.value and first.span.end <= between.span.start
                for first in beside
            )
        )
        for between in beside
    )


def _held_before(setting: Setting, value: Value) -> bool:
    return any(held.value == value for held in setting.before)


def _early_removals(settings: tuple[Setting, ...]) -> Iterator[Setting]:
    in_time = (one for one in settings if one.frozen.certainty is not Certainty.ALWAYS)
    given_back = _given_back(tuple(in_time), settings)
    for setting in settings:
        if setting.form is Form.REMOVE and setting.frozen.certainty is not Certainty.ALWAYS:
            given = (setting.variable, setting.function) in given_back
            if not given and not _is_written_again(setting, settings):
                yield setting


def _is_written_again(setting: Setting, settings: tuple[Setting, ...]) -> bool:
    """Whether the function of a write, or removal, writes the variable later, in time."""
    return any(
        other.variable == setting.variable
        and other.value is not None
        and other.function == setting.function
        and other.span.start > setting.span.start
        and other.frozen.certainty is Certainty.NEVER
        for other in settings
    )
