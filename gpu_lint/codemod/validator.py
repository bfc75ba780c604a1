"""The validator: written, completed, called."""

from __future__ import annotations

from gpu_lint.checks.context import Context
from gpu_lint.codemod.lines import Lines
from gpu_lint.facts import program as p
from gpu_lint.facts.filefacts import FileFacts
from gpu_lint.facts.functions import docstring_of
from gpu_lint.facts.layout import is_stdlib
from gpu_lint.facts.markers import VALIDATOR, VALIDATOR_MARK
from gpu_lint.facts.walk import expressions
from gpu_lint.findings import Edit
from gpu_lint.source import Source, Span
from gpu_lint.templates import render_controls, render_validator

_READERS = frozenset({"parse_args", "parse_known_args", "parse_intermixed_args"})
"""Methods that read the options of the command line."""


def insert_validator(
    source: Source, facts: FileFacts, context: Context, functions: tuple[str, ...]
) -> list[Edit] | None:
    """Write the validator above the main guard, or below the imports, and call it: behind the guard
    and in the ``functions`` that installed commands call, or else at module level."""
    policy = context.policy
    if policy is None:
        return None
    if any(block.kind == VALIDATOR for block in facts.blocks):
        return rewrite_validator(source, facts, context)
    name = policy.validation.function
    if name in facts.layout.names:
        return None
    lines = Lines(source, facts)
    body = render_validator(policy, context.rulebook, context.uses_pytorch).splitlines()
    function = [VALIDATOR_MARK, *body]
    guard = facts.layout.guard
    if guard is None and not functions:
        row = _row_below_imports(facts, lines)
        return [_between([*function, "", "", f"{name}()"], row, 1, lines)]
    calls = _calls(source, facts, name, functions)
    if calls is None:
        return None
    if guard is None:
        return [_between(function, _row_below_imports(facts, lines), 2, lines), *calls]
    row = lines.attached_above(source.row(guard.span.start))
    return [_between(function, row, 2, lines), *calls]


def _calls(
    source: Source, facts: FileFacts, name: str, functions: tuple[str, ...]
) -> list[Edit] | None:
    """The edits that make functions call a validator, and the main guard where it calls neither;
    None where one cannot be made, or none is needed."""
    calls = [call_in_function(source, facts, function, name) for function in functions]
    if facts.layout.guard is not None and facts.calls_of_guard.isdisjoint({name, *functions}):
        calls.append(call_in_guard(source, facts, name))
    found = [call for call in calls if call is not None]
    return found if found and len(found) == len(calls) else None


def rewrite_validator(source: Source, facts: FileFacts, context: Context) -> list[Edit] | None:
    """Write a managed validator anew; where its name changes, its calls follow."""
    policy = context.policy
    block = next((b for b in facts.blocks if b.kind == VALIDATOR), None)
    if policy is None or block is None:
        return None
    name = policy.validation.function
    text = render_validator(policy, context.rulebook, context.uses_pytorch)
    content = source.newline.join([VALIDATOR_MARK, *text.splitlines()])
    edits = [Edit(block.span, content)]
    if block.name != name:
        for call in facts.calls:
            if call.name == block.name and call.span.start not in range(
                block.span.start, block.span.end
            ):
                edits.append(Edit(Span(call.span.start, call.span.start + len(block.name)), name))
    return edits


def call_validator(
    source: Source, facts: FileFacts, name: str, functions: tuple[str, ...]
) -> list[Edit] | None:
    """Call a validator that the file defines or imports but does not run."""
    if facts.layout.guard is not None or functions:
        return _calls(source, facts, name, functions)
    lines = Lines(source, facts)
    defined = [f.span for f in facts.functions_named(lambda other: other == name)]
    row = lines.rows(defined[-1])[-1] + 1 if defined else _row_below_imports(facts, lines)
    return [_between([f"{name}()"], row, 2 if defined else 1, lines)]


def call_in_function(source: Source, facts: FileFacts, function: str, name: str) -> Edit | None:
    """The edit that makes a function call another one first: behind its docstring, and behind the
    statement that reads its options from the command line, if it has one."""
    node = facts.reading.functions_by_name.get(function)
    if node is None or not node.body:
        return None
    lines = Lines(source, facts)
    first = docstring_of(node.body) is not None
    above = [number for number, one in enumerate(node.body) if _reads_options(one)]
    number = above[-1] + 1 if above else int(first)
    if number == len(node.body):
        return None
    near = node.body[number - 1] if number else node.body[0]
    indent = source.data[lines.start(source.row(near.span.start)) : near.span.start]
    if not lines.is_alone(near.span) or indent.strip() or not indent:
        return None
    row = source.row(near.span.start) if not number else lines.rows(near.span)[-1] + 1
    if not number:
        row = lines.attached_above(row)
    at = lines.start(row)
    return Edit(Span(at, at), f"{indent.decode(source.encoding)}{name}(){source.newline}")


def _reads_options(statement: p.Statement) -> bool:
    """Whether a statement reads the options of the command line."""
    called = (node.function for node in expressions((statement,)) if isinstance(node, p.Call))
    return any(isinstance(one, p.Attribute) and one.name in _READERS for one in called)


def call_in_guard(source: Source, facts: FileFacts, name: str) -> Edit | None:
    """The edit that makes a call the first statement of the main guard."""
    guard = facts.layout.guard
    if guard is None or source.slice(guard.first) == f"{name}()":
        return None
    lines = Lines(source, facts)
    newline = source.newline
    first = source.row(guard.first.start)
    line_start = lines.start(first)
    indent = source.data[line_start : guard.first.start].decode(source.encoding)
    if not indent.strip():
        head = _last_header_row(source, guard.first, lines)
        at = lines.start(head + 1)
        return Edit(Span(at, at), f"{indent}{name}(){newline}")
    colon = source.data.rfind(b":", guard.span.start, guard.first.start)
    if colon < 0:
        return None
    step = "    "
    return Edit(Span(colon + 1, guard.first.start), f"{newline}{step}{name}(){newline}{step}")


def complete_validator(
    source: Source, facts: FileFacts, context: Context, name: str, missing: tuple[str, ...]
) -> list[Edit] | None:
    """Put the checks that a hand-written validator lacks in front of its own."""
    function = next(iter(facts.functions_named(lambda other: other == name)), None)
    if function is None or context.policy is None:
        return None
    lines = Lines(source, facts)
    row = source.row(function.body.start)
    indent = source.data[lines.start(row) : function.body.start].decode(source.encoding)
    if indent.strip() or not indent:
        return None
    body = render_controls(context.policy, context.rulebook, context.uses_pytorch, missing)
    imports = [m for m in ("os", "torch") if f"{m}." in body and not _bound(facts, m)]
    text: list[str] = []
    for number, module in enumerate(imports):
        if number and is_stdlib(imports[number - 1]) and not is_stdlib(module):
            text.append("")
        text.append(f"    import {module}")
    if imports:
        text.append("")
    text += body.splitlines()
    shifted = [indent + line[4:] if line else line for line in text]
    at = lines.start(lines.attached_above(row))
    return [Edit(Span(at, at), source.newline.join(shifted) + source.newline)]


def _bound(facts: FileFacts, module: str) -> bool:
    return any(i.module == module and module in i.bound for i in facts.layout.imports)


def _last_header_row(source: Source, first: Span, lines: Lines) -> int:
    """The row of the colon of ``if …:``, above the comments and blanks of its body."""
    row = source.row(first.start) - 1
    while lines.is_blank(row) or lines.is_comment(row):
        row -= 1
    return row


def _row_below_imports(facts: FileFacts, lines: Lines) -> int:
    """The row behind the last module-level import and our header, whichever is later."""
    ends = [found.statement for found in facts.layout.imports]
    ends += [block.span for block in facts.blocks]
    if facts.layout.prologue_end:
        ends.append(Span(0, facts.layout.prologue_end))
    return max((lines.rows(span)[-1] for span in ends), default=0) + 1


def _between(text: list[str], row: int, least_below: int, lines: Lines) -> Edit:
    """Insert rows as a top-level definition: two blank rows above, and below at least some."""
    source = lines.source
    newline = source.newline
    top, bottom = row - 1, row
    while lines.is_blank(top):
        top -= 1
    while lines.is_blank(bottom):
        bottom += 1
    span = Span(lines.start(top + 1), lines.start(bottom))
    above = 2 if top >= 1 else 0
    if bottom > lines.last:
        ended = source.data.endswith((b"\n", b"\r"))
        content = newline * above + newline.join(text) + (newline if ended else "")
        if not ended:
            content = newline + content
        return Edit(span, content)
    below = max(least_below, bottom - top - 1)
    return Edit(span, newline * above + newline.join(text) + newline * (below + 1))
