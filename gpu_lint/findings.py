"""Findings, and the fixes they may carry: lists of edits on the source they were read from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from gpu_lint.rulebook import Severity
from gpu_lint.source import Span


class Applicability(IntEnum):
    """Whether a fix may be applied without being asked for."""

    UNSAFE = 0
    SAFE = 1


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Replaces the bytes of a span by ``content``; an empty span inserts."""

    span: Span
    content: str


@dataclass(frozen=True, slots=True)
class Fix:
    """Edits that belong together: all are made, or none. They do not overlap."""

    message: str
    applicability: Applicability
    edits: tuple[Edit, ...]
    """In the file of the finding."""
    elsewhere: tuple[tuple[str, tuple[Edit, ...]], ...] = ()
    """In other files, by their absolute paths."""


@dataclass(frozen=True, slots=True)
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
