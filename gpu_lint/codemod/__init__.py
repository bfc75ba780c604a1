"""The codemod: turns the remedy that a check names into edits on the source.

Edits are byte splices; a file is never rendered anew from its tree. Every function here
returns None where it cannot make the change without touching anything else.
"""

from __future__ import annotations

from collections.abc import Callable

from gpu_lint.checks.context import Context, Found
from gpu_lint.codemod.header import write_header
from gpu_lint.codemod.literals import (
    assign_plainly,
    move_settings,
    renumber,
    renumbered,
    replace_literal,
    set_at_module_level,
    use_visible,
)
from gpu_lint.codemod.splice import splice
from gpu_lint.codemod.validator import (
    call_validator,
    complete_validator,
    insert_validator,
    rewrite_validator,
)
from gpu_lint.errors import SourceError
from gpu_lint.facts.filefacts import FileFacts
from gpu_lint.facts.markers import HEADER
from gpu_lint.findings import Edit, Fix
from gpu_lint.remedies import (
    AssignPlainly,
    CallValidator,
    CompleteValidator,
    DeleteComment,
    InsertValidator,
    MoveSettings,
    Remedy,
    Renumber,
    ReplaceLiteral,
    RewriteBlock,
    SetAtModuleLevel,
    TakePart,
    UseFirst,
    UseNumber,
    UseVisible,
    WriteHeader,
)
from gpu_lint.source import Source, Span
from gpu_lint.templates import python_string

__all__ = ["fix_for"]


def fix_for(
    found: Found,
    source: Source,
    facts: FileFacts,
    context: Context,
    source_of: Callable[[str], Source | None],
) -> Fix | None:
    """The fix of a finding, or None where it has no remedy or none can be made safely.

    ``source_of`` gives the source of another file that the fix must change too, or None where
    that is not to be touched.
    """
    if found.remedy is None:
        return None
    elsewhere = _edits_elsewhere(found.remedy, source_of)
    edits = _edits(found.remedy, source, facts, context)
    if elsewhere is None or edits is None or not (edits or elsewhere):
        return None
    if facts.blocks and not elsewhere and _changes_nothing(edits, source):
        return None  # the block that is there already is written anew
    message = _describe(found.remedy, context)
    edits = _without_final_newline(sorted(set(edits)), source)
    return Fix(message, found.applicability, tuple(edits), elsewhere)


def _changes_nothing(edits: list[Edit], source: Source) -> bool:
    try:
        return splice(source, edits).source.data == source.data
    except SourceError:
        return False


def _without_final_newline(edits: list[Edit], source: Source) -> list[Edit]:
    """Where the last line goes, and has no end of line, those of the lines above it go instead, up
    to one that holds something: a file without a final newline stays one."""
    data = source.data
    last = edits[-1] if edits else None
    if last is None or last.content or last.span.end != len(data) or data.endswith((b"\n", b"\r")):
        return edits
    start = len(data[: last.span.start].rstrip())
    while data[start : start + 1] in (b" ", b"\t", b"\f"):
        start += 1
    start = min(start, last.span.start)
    if len(edits) > 1 and edits[-2].span.end > start:
        return edits
    return [*edits[:-1], Edit(Span(start, len(data)), "")]


def _edits_elsewhere(
    remedy: Remedy, source_of: Callable[[str], Source | None]
) -> tuple[tuple[str, tuple[Edit, ...]], ...] | None:
    """The edits in other files, or None where one of them cannot be made."""
    if not isinstance(remedy, (MoveSettings, Renumber)):
        return ()
    by_file: dict[str, set[Edit]] = {}
    for place, index in remedy.elsewhere:
        source = source_of(place.file)
        edits = renumbered(source, place.span, index) if source is not None else None
        if edits is None:
            return None
        by_file.setdefault(place.file, set()).update(edits)
    return tuple((file, tuple(sorted(edits))) for file, edits in sorted(by_file.items()))


def _edits(remedy: Remedy, source: Source, facts: FileFacts, context: Context) -> list[Edit] | None:
    match remedy:
        case WriteHeader():
            return write_header(source, facts, context)
        case RewriteBlock(kind):
            rewrite = write_header if kind == HEADER else rewrite_validator
            return rewrite(source, facts, context)
        case MoveSettings():
            return move_settings(source, facts, remedy)
        case ReplaceLiteral():
            return replace_literal(source, remedy)
        case Renumber():
            return renumber(source, remedy)
        case UseVisible():
            return use_visible(source, remedy)
        case UseFirst(span, prefix):
            return [Edit(span, "0" if prefix is None else python_string(f"{prefix}0"))]
        case UseNumber(span, number):
            return [Edit(span, str(number))]
        case TakePart(span, part):
            return [Edit(span, source.slice(part))]
        case SetAtModuleLevel():
            return set_at_module_level(source, facts, remedy)
        case AssignPlainly():
            return assign_plainly(source, facts, remedy)
        case InsertValidator(functions):
            return insert_validator(source, facts, context, functions)
        case CallValidator(name, functions):
            return call_validator(source, facts, name, functions)
        case CompleteValidator(name, missing):
            return complete_validator(source, facts, context, name, missing)
        case DeleteComment(span, replacement):
            return [Edit(span, replacement)]


def _describe(remedy: Remedy, context: Context) -> str:
    match remedy:
        case WriteHeader():
            return "write the policy's header before the first import that can reach CUDA"
        case RewriteBlock(kind):
            return f"write the {kind} block anew"
        case MoveSettings():
            return "move the setting before the first import"
        case ReplaceLiteral(_, value):
            return f"write {value!r}"
        case Renumber(_, index):
            return f"use device {index}"
        case UseVisible():
            return "list the visible devices only"
        case UseFirst():
            return "use the first visible device"
        case UseNumber(_, number):
            return f"use index {number}"
        case TakePart():
            return "take the GPU"
        case SetAtModuleLevel():
            return "set it at module level, before the first import"
        case AssignPlainly():
            return "assign to os.environ"
        case InsertValidator():
            name = context.policy.validation.function if context.policy else "the validator"
            return f"add {name}() and call it first"
        case CallValidator(name, _):
            return f"call {name}() first"
        case CompleteValidator():
            return "add the missing checks"
        case DeleteComment():
            return "remove what suppresses nothing"
