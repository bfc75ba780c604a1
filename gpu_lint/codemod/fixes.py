"""The fix of a finding: what it says, and the edits that its remedy comes to.

Every function of the codemod returns None where it cannot make a change without touching anything
else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gpu_lint.checks.context import Context, Found
from gpu_lint.codemod.cut import node_at, rewrite
from gpu_lint.codemod.header import new_module, write_header
from gpu_lint.codemod.literals import constant, visible, with_index, with_text
from gpu_lint.codemod.settings import assign_plainly, move_settings, set_at_module_level
from gpu_lint.codemod.splice import splice
from gpu_lint.codemod.validator import (
    call_validator,
    complete_validator,
    insert_validator,
    rewrite_validator,
)
from gpu_lint.errors import SourceError
from gpu_lint.facts.markers import HEADER
from gpu_lint.facts.reading import Reading
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
    UseText,
    UseVisible,
    WriteHeader,
)
from gpu_lint.source import Source, Span


def fix_of(
    remedy: Remedy, found: Found, context: Context, reading_of: Callable[[str], Reading | None]
) -> Fix | None:
    """The fix of a finding with a remedy, or None where none can be made safely.

    ``reading_of`` gives the reading of another file that the fix must change too, or None where
    that is not to be touched.
    """
    source = context.facts.reading.source
    elsewhere = _edits_elsewhere(remedy, context, reading_of)
    message, edits = _remedied(remedy, context)
    if elsewhere is None or edits is None or not (edits or elsewhere):
        return None
    if context.facts.blocks and not elsewhere and _changes_nothing(edits, source):
        return None  # the block that is there already is written anew
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
    remedy: Remedy, context: Context, reading_of: Callable[[str], Reading | None]
) -> tuple[tuple[str, tuple[Edit, ...]], ...] | None:
    """The edits in other files, or None where one of them cannot be made."""
    if remedy in (WriteHeader(), RewriteBlock(HEADER)):
        return _edits_in_module(context, reading_of)
    if not isinstance(remedy, (MoveSettings, Renumber)):
        return ()
    by_file: dict[str, set[Edit]] = {}
    for place, index in remedy.elsewhere:
        reading = reading_of(place.file)
        edits = _renumbered(reading, ((place.span, index),)) if reading is not None else None
        if edits is None:
            return None
        by_file.setdefault(place.file, set()).update(edits)
    return tuple((file, tuple(sorted(edits))) for file, edits in sorted(by_file.items()))


def _edits_in_module(
    context: Context, reading_of: Callable[[str], Reading | None]
) -> tuple[tuple[str, tuple[Edit, ...]], ...] | None:
    """The edit that makes the module which holds the header, if it is not there yet; None where
    that cannot be."""
    module = context.policy_module
    if module is None or not module.is_new or module.fault:
        return ()
    reading = reading_of(module.file)
    text = new_module(context, context.facts.reading.source.newline)
    if reading is None or text is None:
        return None
    return () if reading.source.data else ((module.file, (Edit(Span(0, 0), text),)),)


def _renumbered(reading: Reading, indices: Iterable[tuple[Span, int]]) -> list[Edit] | None:
    """The edits that put other indices into some literals; None where one of them cannot be."""
    found = []
    for span, index in indices:
        edits = rewrite(reading, span, lambda old: with_index(old, index))  # noqa: B023
        if edits is None:
            return None
        found += edits
    return found


def _told_of_header(context: Context) -> str:
    """What giving a file its header does, in words."""
    module = context.policy_module
    if module is None:
        return "write the policy's header before the first import that can reach CUDA"
    made = ", which this fix makes" if module.is_new else ""
    return f"import {module.name}{made}, before the first import that can reach CUDA"


def _remedied(remedy: Remedy, context: Context) -> tuple[str, list[Edit] | None]:
    """What a remedy does, in words, and its edits."""
    facts, reading = context.facts, context.facts.reading
    match remedy:
        case WriteHeader():
            return _told_of_header(context), write_header(context)
        case RewriteBlock(kind):
            rewritten = write_header if kind == HEADER else rewrite_validator
            return f"write the {kind} block anew", rewritten(context)
        case MoveSettings(indices=indices):
            moved, others = move_settings(facts, remedy), _renumbered(reading, indices)
            edits = None if moved is None or others is None else moved + others
            return "move the setting before the first import", edits
        case ReplaceLiteral(span, value):
            return f"write {value!r}", rewrite(reading, span, lambda old: with_text(old, value))
        case Renumber(span, index):
            here = () if span is None else ((span, index),)
            return f"use device {index}", _renumbered(reading, here)
        case UseVisible(span, count):
            edits = rewrite(reading, span, lambda old: visible(old, count))
            return "list the visible devices only", edits
        case UseFirst(span, prefix):
            first = constant(0 if prefix is None else f"{prefix}0")
            return "use the first visible device", rewrite(reading, span, lambda old: first)
        case UseNumber(span, number):
            new = constant(number)
            return f"use index {number}", rewrite(reading, span, lambda old: new)
        case UseText(span, text):
            whole = constant(text)
            return f"write {text!r}", rewrite(reading, span, lambda old: whole)
        case TakePart(span, part):
            return "take the GPU", rewrite(reading, span, lambda old: node_at(reading, part))
        case SetAtModuleLevel():
            said = "set it at module level, before the first import"
            return said, set_at_module_level(reading, remedy)
        case AssignPlainly():
            return "assign to os.environ", assign_plainly(reading, remedy)
        case InsertValidator(functions):
            name = context.policy.validation.function if context.policy else "the validator"
            return f"add {name}() and call it first", insert_validator(context, functions)
        case CallValidator(name, functions):
            return f"call {name}() first", call_validator(context, name, functions)
        case CompleteValidator(name, missing):
            return "add the missing checks", complete_validator(context, name, missing)
        case DeleteComment(span, replacement):
            return "remove what suppresses nothing", [Edit(span, replacement)]
