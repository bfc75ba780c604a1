"""What would mend a finding, as data: checks name a remedy, the codemod turns it into edits."""

from __future__ import annotations

from typing import TypeAlias

from gpu_lint.facts.values import Place
from gpu_lint.records import record
from gpu_lint.source import Span


@record
class WriteHeader:
    """Write the policy's header and gather the module's own settings into it."""


@record
class MoveSettings:
    """Move statements, unchanged, before the first import that is not of the standard library."""

    statements: tuple[Span, ...]
    indices: tuple[tuple[Span, int], ...] = ()
    """Selectors whose index must change with them."""
    elsewhere: tuple[tuple[Place, int], ...] = ()
    """The same in other files."""


@record
class ReplaceLiteral:
    """Put another literal of the same kind in the place of one."""

    span: Span
    value: str


@record
class Renumber:
    """Put another index into the literal of a selector: here, or in another file."""

    span: Span | None
    index: int
    elsewhere: tuple[tuple[Place, int], ...] = ()


@record
class UseVisible:
    """List exactly the visible devices in the place of a list display."""

    span: Span
    count: int


@record
class UseFirst:
    """Name the first visible device in the place of an expression."""

    span: Span
    prefix: str | None
    """The text before the index, such as ``cuda:``; None where a number is asked for."""


@record
class UseNumber:
    """Put a number in the place of an expression."""

    span: Span
    number: int


@record
class UseText:
    """Put a text in the place of an expression."""

    span: Span
    text: str


@record
class TakePart:
    """Put a part of an expression in its place."""

    span: Span
    part: Span


@record
class SetAtModuleLevel:
    """Write a variable before the first import that is not of the standard library, too."""

    variable: str
    value: str


@record
class AssignPlainly:
    """Replace a weak form of writing by a plain assignment."""

    span: Span
    variable: str
    value: str


@record
class InsertValidator:
    """Write the validator and call it."""

    functions: tuple[str, ...] = ()
    """Those that are to call it, besides the main guard where that calls none of them."""


@record
class CallValidator:
    """Call a validator that is there."""

    name: str
    functions: tuple[str, ...] = ()
    """Those that are to call it, besides the main guard where that calls none of them."""


@record
class CompleteValidator:
    """Add the controls that a validator lacks."""

    name: str
    missing: tuple[str, ...]


@record
class RewriteBlock:
    """Write a managed block anew."""

    kind: str


@record
class DeleteComment:
    """Remove a suppression comment, or the codes in it that suppress nothing."""

    span: Span
    replacement: str


Remedy: TypeAlias = (
    "WriteHeader | MoveSettings | SetAtModuleLevel | ReplaceLiteral | Renumber | UseVisible"
    " | UseFirst | UseNumber | UseText | TakePart | AssignPlainly | InsertValidator | CallValidator"
    " | CompleteValidator | RewriteBlock | DeleteComment"
)
