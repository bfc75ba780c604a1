"""What would mend a finding, as data: checks name a remedy, the codemod turns it into edits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from gpu_lint.facts.values import Place
from gpu_lint.source import Span


@dataclass(frozen=True, slots=True)
class WriteHeader:
    """Write the policy's header and gather the module's own settings into it."""


@dataclass(frozen=True, slots=True)
class MoveSettings:
    """Move statements, unchanged, before the first import that is not of the standard library."""

    statements: tuple[Span, ...]
    indices: tuple[tuple[Span, int], ...] = ()
    """Selectors whose index must change with them."""
    elsewhere: tuple[tuple[Place, int], ...] = ()
    """The same in other files."""


@dataclass(frozen=True, slots=True)
class ReplaceLiteral:
    """Put another literal of the same kind in the place of one."""

    span: Span
    value: str


@dataclass(frozen=True, slots=True)
class Renumber:
    """Put another index into the literal of a selector: here, or in another file."""

    span: Span | None
    index: int
    elsewhere: tuple[tuple[Place, int], ...] = ()


@dataclass(frozen=True, slots=True)
class UseVisible:
    """List exactly the visible devices in the place of a list display."""

    span: Span
    count: int


@dataclass(frozen=True, slots=True)
class UseFirst:
    """Name the first visible device in the place of an expression."""

    span: Span
    prefix: str | None
    """The text before the index, such as ``cuda:``; None where a number is asked for."""


@dataclass(frozen=True, slots=True)
class UseNumber:
    """Put a number in the place of an expression."""

    span: Span
    number: int


@dataclass(frozen=True, slots=True)
class TakePart:
    """Put a part of an expression in its place."""

    span: Span
    part: Span


@dataclass(frozen=True, slots=True)
class SetAtModuleLevel:
    """Write a variable before the first import that is not of the standard library, too."""

    variable: str
    value: str


@dataclass(frozen=True, slots=True)
class AssignPlainly:
    """Replace a weak form of writing by a plain assignment."""

    span: Span
    variable: str
    value: str


@dataclass(frozen=True, slots=True)
class InsertValidator:
    """Write the validator and call it."""


@dataclass(frozen=True, slots=True)
class CallValidator:
    """Call a validator that is there."""

    name: str


@dataclass(frozen=True, slots=True)
class CompleteValidator:
    """Add the controls that a validator lacks."""

    name: str
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RewriteBlock:
    """Write a managed block anew."""

    kind: str


@dataclass(frozen=True, slots=True)
class DeleteComment:
    """Remove a suppression comment, or the codes in it that suppress nothing."""

    span: Span
    replacement: str


Remedy: TypeAlias = (
    "WriteHeader | MoveSettings | SetAtModuleLevel | ReplaceLiteral | Renumber | UseVisible"
    " | UseFirst | UseNumber | TakePart | AssignPlainly | InsertValidator | CallValidator"
    " | CompleteValidator | RewriteBlock | DeleteComment"
)
