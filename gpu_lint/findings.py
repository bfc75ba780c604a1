"""Findings, and the fixes they may carry: lists of edits on the source they were read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from pathlib import Path

from gpu_lint.records import record
from gpu_lint.rulebook import Severity
from gpu_lint.source import Source, Span


class Applicability(IntEnum):
    """Whether a fix may be applied without being asked for."""

    UNSAFE = 0
    SAFE = 1


@record(order=True)
class Edit:
    """Replaces the bytes of a span by ``content``; an empty span inserts."""

    span: Span
    content: str


@record
class Fix:
    """Edits that belong together: all are made, or none. They do not overlap."""

    message: str
    applicability: Applicability
    edits: tuple[Edit, ...]
    """In the file of the finding."""
    elsewhere: tuple[tuple[str, tuple[Edit, ...]], ...] = ()
    """In other files, by their absolute paths."""


@record
class Finding:
    """One fault at one place."""

    code: str
    name: str
    severity: Severity
    message: str
    span: Span
    note: str = ""
    """Why, in one line: the evidence."""
    fix: Fix | None = None


class MisfitKind(Enum):
    """What may not fit the mask in effect; the value says what comes of it, behind its line."""

    DEVICE = "would name a device that the mask does not show"
    FOREIGN = "would use another GPU than the policy's"
    COUNT = "would give up: the mask shows another number of devices"
    VALIDATOR = "would raise: a variable may not hold what it demands"
    LATE = "would check the GPU when it may have been used already"
    ORDER = "would show another GPU: they are counted in another order"
    UNORDERED = "would show another GPU: the order in which they are counted is not set"
    DECIDES = "would no longer decide: it is replaced before any use"
    REPLACES = "would replace what another file has set on purpose"
    RANK = "would take a rank as the index of a device that the mask does not show"
    GROUP = "would join a group of processes that each need a device of their own"
    PROCESSES = "would start more processes than the mask shows devices"
    COPIES = "would start copies that no longer see the devices they are given"
    OPTION = "would name other devices than an option of the command line says"


@record
class Misfit:
    """Something that does not fit the mask in effect there, whether or not that is reported."""

    kind: MisfitKind
    start: int
    """Where it is, as a byte offset."""
    shown: int = -1
    """How many devices a mask shows there, if that is what does not fit; else -1."""
    name: str = ""
    """What does not fit, where the line does not name it: a rank, an option."""


@record
class Judged:
    """What was found in one file."""

    findings: tuple[Finding, ...]
    in_part: bool = False
    """It is a program that was followed in part: of the statements that one may run through, none
    was left, and what it calls after that is not known."""
    unfit: tuple[Misfit, ...] = ()
    """What does not fit the mask in effect there."""
    libraries: tuple[str, ...] = ()
    """GPU libraries that a program which runs the file loads, and that no table describes: which
    devices their calls use is not known."""
    is_broken: bool = False
    """It has a syntax error, so that nothing else in it was checked."""

    @property
    def has_safe_fix(self) -> bool:
        return any(
            one.fix is not None and one.fix.applicability is Applicability.SAFE
            for one in self.findings
        )

    def without(self, unsafe: Mapping[Fix, str]) -> Judged:
        """The same with some fixes as unsafe, each for a reason."""
        return replace(self, findings=_without(self.findings, unsafe))


def _without(findings: tuple[Finding, ...], unsafe: Mapping[Fix, str]) -> tuple[Finding, ...]:
    told = []
    for one in findings:
        if one.fix is not None and (why := unsafe.get(one.fix)) is not None:
            message = f"{one.fix.message}; {why}"
            fix = replace(one.fix, message=message, applicability=Applicability.UNSAFE)
            told.append(replace(one, fix=fix))
        else:
            told.append(one)
    return tuple(told)


@dataclass(frozen=True)
class FileFindings:
    """The findings of one file, with the source that their spans refer to."""

    source: Source
    findings: tuple[Finding, ...]
    in_part: bool = False
    """It is a program that was followed in part (:class:`Judged`)."""
    unfit: tuple[Misfit, ...] = ()
    """What does not fit the mask in effect there."""
    libraries: tuple[str, ...] = ()
    """GPU libraries that no table describes (:class:`Judged`)."""
    is_broken: bool = False
    """It has a syntax error, so that nothing else in it was checked."""

    @classmethod
    def of(cls, source: Source, judged: Judged) -> FileFindings:
        return cls(
            source,
            judged.findings,
            judged.in_part,
            judged.unfit,
            judged.libraries,
            judged.is_broken,
        )

    def without(self, unsafe: Mapping[Fix, str]) -> FileFindings:
        """The same with some fixes as unsafe, each for a reason."""
        return replace(self, findings=_without(self.findings, unsafe))

    @property
    def path(self) -> Path:
        return self.source.path


@dataclass(frozen=True)
class FixedFile:
    """What fixing made of one file."""

    before: FileFindings
    after: FileFindings
    dropped: tuple[str, ...] = ()
    """Fixes that were not applied because they could not be proved harmless, and why."""
    edits: tuple[tuple[Edit, ...], ...] = ()
    """What was changed, pass after pass; spans are in what the file held before the pass."""
    is_new: bool = False
    """There was no such file."""
    needs: tuple[Path, ...] = ()
    """New files that it imports now."""

    @property
    def changed(self) -> bool:
        return self.before.source.data != self.after.source.data
