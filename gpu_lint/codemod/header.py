"""The header: gathered from scattered lines, or written anew, in its one right place."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpu_lint.checks.context import Context
from gpu_lint.checks.values import gathered
from gpu_lint.codemod.lines import Lines
from gpu_lint.facts.filefacts import FileFacts
from gpu_lint.facts.layout import is_stdlib
from gpu_lint.facts.markers import HEADER, HEADER_BEGIN, HEADER_END, VALIDATOR_MARK
from gpu_lint.facts.model import ManagedBlock, ModuleImport, Setting
from gpu_lint.findings import Edit
from gpu_lint.source import Source, Span
from gpu_lint.templates import render_header


@dataclass
class Removal:
    """Lines to take away, and the comments on them that must live on."""

    rows: set[int] = field(default_factory=set)
    above: list[str] = field(default_factory=list)
    """Comments of lines of their own."""
    trailing: dict[str, str] = field(default_factory=dict)
    """Comments behind the statement that writes a variable."""


def write_header(source: Source, facts: FileFacts, context: Context) -> list[Edit] | None:
    """Edits that give a file its header; None where that cannot be done safely."""
    policy = context.policy
    if policy is None:
        return None
    lines = Lines(source, facts)
    blocks = [block for block in facts.blocks if block.kind == HEADER]
    anchor = facts.layout.anchor
    block = next((found for found in blocks if found.span.end <= anchor), None)
    removal = Removal()
    for setting in facts.settings:
        inside = any(setting.span in found.span for found in blocks)
        if not inside and gathered(setting, context):
            if not lines.is_alone(setting.span):
                return None
            take_away(setting, lines, removal)
    for found in blocks:
        keep_block_comments(found, source, removal)
        if found is not block:
            removal.rows |= set(lines.rows(found.span))
    environ, import_edits = environ_expression(source, facts, lines, anchor, removal)
    if environ is None:
        return None
    alloc = context.wanted("PYTORCH_CUDA_ALLOC_CONF") is not None
    body = [
        with_comment(line, removal.trailing)
        for line in render_header(policy, context.rulebook, alloc, environ).splitlines()
    ]
    text = [*removal.above, HEADER_BEGIN, *body, HEADER_END]
    if block is not None:
        content = source.newline.join(text)
        edits = [] if source.slice(block.span) == content else [Edit(block.span, content)]
        return [*edits, *import_edits, *removal_edits(removal.rows, lines)]
    return place_lines(text, anchor, facts, lines, removal.rows, import_edits)


def place_lines(
    text: list[str],
    anchor: int,
    facts: FileFacts,
    lines: Lines,
    removed: set[int],
    import_edits: list[Edit],
) -> list[Edit]:
    """Edits that put lines before the anchor, ``import os`` where it belongs, and take the
    removed rows away."""
    if any(edit.content == NEW_SECTION for edit in import_edits):
        text = ["import os", "", *text]
    region, swallowed = insertion(text, anchor, facts, lines, removed)
    edits = []
    for edit in import_edits:
        if edit.content != NEW_SECTION and edit.span.start == region.span.start:
            region = Edit(region.span, edit.content + region.content)
        elif edit.content != NEW_SECTION:
            edits.append(edit)
    return [*edits, region, *removal_edits(removed - swallowed, lines)]


NEW_SECTION = "\0"
"""Stands for an ``import os`` that goes right above the block."""


def take_away(setting: Setting, lines: Lines, removal: Removal) -> None:
    """Note the lines of a statement for removal, its comments to be kept."""
    rows = lines.rows(setting.span)
    first = lines.attached_above(rows[0])
    for row in range(first, rows[0]):
        if row not in removal.rows:
            removal.above.append(lines.source.line(row).strip())
    new = range(first, rows[-1] + 1)
    for comment in lines.comments_on(range(rows[0], rows[-1] + 1)):
        if rows[0] in removal.rows:
            continue
        if len(rows) == 1 and setting.peers == 1:
            removal.trailing[setting.variable] = comment.text
        else:
            removal.above.append(comment.text)
    removal.rows |= set(new)


def keep_block_comments(block: ManagedBlock, source: Source, removal: Removal) -> None:
    """Comments that somebody added inside a managed block stay with it."""
    for line in block.text.splitlines():
        code, hash_sign, comment = line.partition("  #")
        if line.lstrip().startswith("#"):
            removal.above.append(line.strip())
        elif hash_sign and '"]' in code:
            variable = code.partition('["')[2].partition('"]')[0]
            removal.trailing.setdefault(variable, f"#{comment}")


def with_comment(line: str, trailing: dict[str, str]) -> str:
    """A line of the block with the comment that belongs to its variable."""
    for variable in list(trailing):
        if f'["{variable}"]' in line:
            return f"{line}  {trailing.pop(variable)}"
    return line


def environ_expression(
    source: Source, facts: FileFacts, lines: Lines, anchor: int, removal: Removal
) -> tuple[str | None, list[Edit]]:
    """How to write ``os.environ`` at the anchor, and the edits that make the name known."""
    for expression, bound_at in facts.layout.environ:
        if bound_at < anchor and expression.endswith(".environ"):
            return expression, []
    if "os" in facts.layout.names and not any(
        found.module == "os" and "os" in found.bound for found in facts.layout.imports
    ):
        return None, []
    edits: list[Edit] = []
    for found in facts.layout.imports:
        later = found.module == "os" and found.direct and found.bound == ("os",)
        if later and found.statement.start > anchor and not found.star_or_from:
            if lines.is_alone(found.span) and not lines.comments_on(lines.rows(found.span)):
                removal.rows |= set(lines.rows(found.span))
    place = sorted_place(facts, lines, anchor)
    if place is None:
        return "os.environ", [Edit(Span(anchor, anchor), NEW_SECTION), *edits]
    edits.insert(0, Edit(Span(place, place), f"import os{source.newline}"))
    return "os.environ", edits


def sorted_place(facts: FileFacts, lines: Lines, anchor: int) -> int | None:
    """Where ``import os`` belongs among the standard-library imports above the anchor."""
    run: list[ModuleImport] = []
    for found in facts.layout.imports:
        if found.statement.start >= anchor or found.module == "__future__":
            continue
        if found.span == found.statement and is_stdlib(found.module) and lines.is_alone(found.span):
            run.append(found)
    if not run:
        return None
    for found in run:
        if found.star_or_from or found.module.lower() > "os":
            row = lines.rows(found.span)[0]
            return lines.start(row if row == 1 else lines.attached_above(row))
    return lines.start(lines.rows(run[-1].span)[-1] + 1)


def insertion(
    text: list[str], anchor: int, facts: FileFacts, lines: Lines, removed: set[int]
) -> tuple[Edit, set[int]]:
    """The edit that puts lines before the statement at the anchor, and the rows it replaces.

    Around the lines it leaves the blank rows that formatters want: one above, and below what
    the next statement had, but at least one.
    """
    source = lines.source
    statements = facts.layout.statements
    if any(statement.start == anchor for statement in statements):
        row = source.row(anchor)
        if statements[0].start != anchor or _is_marked(row, lines):
            row = lines.attached_above(row)
    else:
        row = lines.last + 1
    top, bottom = row - 1, row
    while top in removed or lines.is_blank(top):
        top -= 1
    while bottom in removed or lines.is_blank(bottom):
        bottom += 1
    above = 0
    if top >= 1:
        above = lines.blanks_below(top) if lines.is_comment(top, above_code=True) else 1
    least = 2 if _defines(bottom, lines) else 1
    below = 0 if bottom > lines.last else max(least, lines.blanks_above(bottom))
    span = Span(lines.start(top + 1), lines.start(bottom))
    content = source.newline * above + source.newline.join(text) + source.newline * (below + 1)
    if bottom > lines.last:
        ended = not source.data or source.data.endswith((b"\n", b"\r"))
        if not ended:
            content = content[: -len(source.newline)]
            if span.start == len(source.data) and top >= 1:
                content = source.newline + content
    return Edit(span, content), set(range(top + 1, bottom))


def _is_marked(row: int, lines: Lines) -> bool:
    """Whether the row above is our marker, which belongs to the function below it."""
    return row > 1 and lines.source.line(row - 1).strip() == VALIDATOR_MARK


def _defines(row: int, lines: Lines) -> bool:
    """Whether a definition starts here, below its comments: formatters want two blank rows."""
    while lines.is_comment(row):
        row += 1
    text = lines.source.line(row) if row <= lines.last else ""
    return text.startswith(("def ", "async def ", "class ", "@"))


def removal_edits(rows: set[int], lines: Lines) -> list[Edit]:
    """Edits that delete rows; of the blank rows around them, the larger number stays."""
    edits: list[Edit] = []
    waiting = sorted(rows)
    while waiting:
        first = last = waiting.pop(0)
        while waiting and (
            waiting[0] == last + 1
            or all(lines.is_blank(row) for row in range(last + 1, waiting[0]))
        ):
            last = waiting.pop(0)
        above, below = lines.blanks_above(first), lines.blanks_below(last)
        end = last + min(above, below)
        if lines.start(end + 1) >= len(lines.source.data) or last + below >= lines.last:
            first -= above
            end = lines.last
        edits.append(Edit(Span(lines.start(first), lines.start(end + 1)), ""))
    return edits
