"""Statements that write the environment, put before the first import that can reach CUDA."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import libcst as cst

from gpu_lint.codemod.cut import cut_out
from gpu_lint.codemod.lines import Lines
from gpu_lint.facts.filefacts import FileFacts
from gpu_lint.facts.layout import is_stdlib
from gpu_lint.facts.markers import VALIDATOR_MARK
from gpu_lint.facts.model import ModuleImport
from gpu_lint.facts.reading import Reading
from gpu_lint.findings import Edit
from gpu_lint.records import record
from gpu_lint.remedies import AssignPlainly, MoveSettings, SetAtModuleLevel
from gpu_lint.source import Span
from gpu_lint.templates import python_string


@record
class Access:
    """How ``os.environ`` is written at the anchor."""

    expression: str
    above: str = ""
    """An ``import os`` that goes right above what is put there."""
    elsewhere: tuple[Edit, ...] = ()
    """An ``import os`` that goes among the imports above the anchor."""
    obsolete: frozenset[int] = frozenset()
    """Rows of a later ``import os`` that is not needed any more."""


def access_at_anchor(lines: Lines) -> Access | None:
    """How the environment is written before the anchor; None where ``os`` is another thing."""
    layout = lines.layout
    for expression, bound_at in layout.environ:
        if bound_at < layout.anchor and expression.endswith(".environ"):
            return Access(expression)
    imports = [found for found in layout.imports if found.module == "os"]
    if "os" in layout.names and not any("os" in found.bound for found in imports):
        return None
    obsolete: set[int] = set()
    for found in imports:
        later = found.direct and found.statement.start > layout.anchor
        if later and found.bound == ("os",) and not found.star_or_from:
            rows = lines.rows(found.span)
            if lines.is_alone(found.span) and not lines.comments_on(rows):
                obsolete.update(rows)
    text = f"import os{lines.source.newline}"
    at = _sorted_place(lines)
    if at is None:
        return Access("os.environ", text + lines.source.newline, (), frozenset(obsolete))
    return Access("os.environ", "", (Edit(Span(at, at), text),), frozenset(obsolete))


def _sorted_place(lines: Lines) -> int | None:
    """Where ``import os`` belongs among the standard-library imports above the anchor."""
    run: list[ModuleImport] = []
    for found in lines.layout.imports:
        if found.statement.start >= lines.layout.anchor or found.module == "__future__":
            continue
        if found.span == found.statement and is_stdlib(found.module) and lines.is_alone(found.span):
            run.append(found)
    if not run:
        return None
    later = next(filter(_is_later(run), run), None)
    if later is not None:
        row = lines.rows(later.span)[0]
        above = lines.attached_above(row)
        return lines.start(row if lines.is_of_file(range(above, row)) else above)
    return lines.start(lines.rows(run[-1].span)[-1] + 1)


def _is_later(run: list[ModuleImport]) -> Callable[[ModuleImport], bool]:
    """What tells the imports that belong below ``import os``: where those that begin with ``from``
    do not stand last, they stand first (isort's ``from_first``) or among the others by their names
    (``force_sort_within_sections``)."""
    forms = [found.star_or_from for found in run]
    if forms == sorted(forms):
        return lambda found: found.star_or_from or found.module.lower() > "os"
    if forms == sorted(forms, reverse=True):
        return lambda found: not found.star_or_from and found.module.lower() > "os"
    return lambda found: found.module.lower() > "os"


def place(text: str, access: Access, removed: Collection[int], lines: Lines) -> list[Edit]:
    """Edits that put lines before the anchor, ``import os`` where it belongs, and take the
    removed rows away.

    Around the lines are the blank rows that formatters want: one above, and below what the next
    statement had, but at least one.
    """
    removed = access.obsolete.union(removed)
    row = _row_of_anchor(lines)
    gap = lines.gap(row, removed)
    top, bottom = gap.start - 1, gap.stop
    above = lines.blanks_below(top) if lines.is_comment(top, above_code=True) else 1
    below = max(2 if _defines(bottom, lines) else 1, lines.blanks_above(bottom))
    region = lines.fill(gap, access.above + text, above, below)
    edits = [*removals(removed - set(gap), lines)]
    for edit in access.elsewhere:
        if edit.span.start == region.span.start:
            region = Edit(region.span, edit.content + region.content)
        else:
            edits.append(edit)
    return [*edits, region]


def _row_of_anchor(lines: Lines) -> int:
    """The row before which a header goes."""
    layout = lines.layout
    if all(statement.start != layout.anchor for statement in layout.statements):
        return lines.last + 1
    row = lines.source.row(layout.anchor)
    marked = row > 1 and lines.source.line(row - 1).strip() == VALIDATOR_MARK
    first = layout.statements[0].start == layout.anchor
    return row if first and not marked else lines.attached_above(row)


def _defines(row: int, lines: Lines) -> bool:
    """Whether a definition starts here, below its comments: formatters want two blank rows."""
    while lines.is_comment(row):
        row += 1
    text = lines.source.line(row) if row <= lines.last else ""
    return text.startswith(("def ", "async def ", "class ", "@"))


def removals(rows: Collection[int], lines: Lines) -> Iterator[Edit]:
    """Edits that delete rows; of the blank rows around them, the larger number stays."""
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
        yield Edit(Span(lines.start(first), lines.start(end + 1)), "")


def move_settings(facts: FileFacts, remedy: MoveSettings) -> list[Edit] | None:
    """Move statements before the first import from outside the standard library."""
    lines, layout = Lines(facts.reading), facts.layout
    taken: list[range] = []
    for span in remedy.statements:
        if span.start > layout.anchor:
            rows = lines.own_rows(span)
            if rows is None:
                return None
            taken.append(rows)
    taken = lines.without_headings(taken)
    moved = [lines.source.slice(lines.span(rows)) for rows in taken]
    removed = {row for rows in taken for row in rows}
    access = access_at_anchor(lines)
    if access is None or not moved:
        return None
    bound = {_root(name) for name, at in layout.environ if at < layout.anchor}
    late = {_root(name) for name, _ in layout.environ} - (bound or {_root(access.expression)})
    if any(
        setting.span in remedy.statements and setting.names & late for setting in facts.settings
    ):
        return None
    return place(lines.source.newline.join(moved), access, removed, lines)


def _root(name: str) -> str:
    return name.partition(".")[0]


def set_at_module_level(reading: Reading, remedy: SetAtModuleLevel) -> list[Edit] | None:
    """Write a variable once more where it is in time; the function stays as it is."""
    lines = Lines(reading)
    access = access_at_anchor(lines)
    if access is None:
        return None
    line = _assignment(access.expression, remedy.variable, remedy.value)
    return place(cst.Module(()).code_for_node(line).rstrip(), access, (), lines)


def assign_plainly(reading: Reading, remedy: AssignPlainly) -> list[Edit] | None:
    """Replace a weak form by ``os.environ[...] = "..."``."""
    cut = cut_out(reading.source, remedy.span)
    for expression, bound_at in reading.layout.environ:
        if bound_at < remedy.span.start and cut is not None:
            line = _assignment(expression, remedy.variable, remedy.value)
            return [cut.edit(cut.module.body[0], line.body[0])]
    return None


def _assignment(environ: str, variable: str, value: str) -> cst.SimpleStatementLine:
    code = f"{environ}[{python_string(variable)}] = {python_string(value)}"
    return cst.ensure_type(cst.parse_statement(code), cst.SimpleStatementLine)
