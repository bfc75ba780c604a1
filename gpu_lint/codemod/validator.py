"""The validator: written, completed, called."""

from __future__ import annotations

import libcst as cst

from gpu_lint.checks.context import Context
from gpu_lint.codemod.callplace import CallPlaces, given_to
from gpu_lint.codemod.cut import cut_out, rendered, rewrite
from gpu_lint.codemod.lines import Lines
from gpu_lint.facts import program as p
from gpu_lint.facts.calling import guarded
from gpu_lint.facts.filefacts import FileFacts
from gpu_lint.facts.functions import docstring_of
from gpu_lint.facts.markers import VALIDATOR, VALIDATOR_MARK
from gpu_lint.facts.reading import Reading
from gpu_lint.findings import Edit
from gpu_lint.source import Span
from gpu_lint.templates import render_controls, render_validator


def insert_validator(context: Context, functions: tuple[str, ...]) -> list[Edit] | None:
    """Write the validator above the main guard, or below the imports, and call it: behind the guard
    and in the ``functions`` that installed commands call, or else at module level."""
    policy, facts = context.policy, context.facts
    if policy is None:
        return None
    if any(block.kind == VALIDATOR for block in facts.blocks):
        return rewrite_validator(context)
    name, guard = policy.validation.function, facts.layout.guard
    if name in facts.layout.names:
        return None
    lines = Lines(facts.reading)
    function = _function(context)
    if function is None:
        return None
    if guard is None and not functions:
        row = _row_below_imports(facts, lines)
        return [_between(f"{function}\n\n\n{name}()", row, 1, lines)]
    calls = _calls(context, name, functions)
    if calls is None:
        return None
    if guard is None:
        return [_between(function, _row_below_imports(facts, lines), 2, lines), *calls]
    row = lines.attached_above(lines.source.row(guard.span.start))
    return [_between(function, row, 2, lines), *calls]


def _calls(context: Context, name: str, functions: tuple[str, ...]) -> list[Edit] | None:
    """The edits that make functions call a validator, and the main guard where it calls neither;
    None where one cannot be made, or none is needed."""
    facts, knowledge = context.facts, context.rulebook.knowledge
    places = CallPlaces(facts.file, facts.reading, knowledge, context.function_behind)
    calls = [
        _call_in_function(places, facts.reading.functions_by_name.get(function), name)
        for function in functions
    ]
    if facts.layout.guard is not None and facts.calls_of_guard.isdisjoint({name, *functions}):
        calls.append(_call_behind_guard(places, name))
    found = [call for call in calls if call is not None]
    return found if found and len(found) == len(calls) else None


def rewrite_validator(context: Context) -> list[Edit] | None:
    """Write a managed validator anew; where its name changes, its calls follow."""
    policy, facts = context.policy, context.facts
    block = next((b for b in facts.blocks if b.kind == VALIDATOR), None)
    if policy is None or block is None:
        return None
    name, source = policy.validation.function, facts.reading.source
    function = _function(context)
    if function is None:
        return None
    indent = Lines(facts.reading).indent
    edits = [Edit(block.span, rendered(function, source.newline, indent))]
    for call in facts.calls:
        if call.name == block.name != name and call.span not in block.span:
            called = Span(call.span.start, call.span.start + len(block.name.encode()))
            edit = rewrite(facts.reading, called, lambda old: cst.Name(name))
            if edit is None:
                return None
            edits += edit
    return edits


def call_validator(context: Context, name: str, functions: tuple[str, ...]) -> list[Edit] | None:
    """Call a validator that the file defines or imports but does not run."""
    facts = context.facts
    if facts.layout.guard is not None or functions:
        return _calls(context, name, functions)
    lines = Lines(facts.reading)
    defined = [f.span for f in facts.functions_named(lambda other: other == name)]
    row = lines.rows(defined[-1])[-1] + 1 if defined else _row_below_imports(facts, lines)
    return [_between(f"{name}()", row, 2 if defined else 1, lines)]


def complete_validator(context: Context, name: str, missing: tuple[str, ...]) -> list[Edit] | None:
    """Put the checks that a hand-written validator lacks in front of its own."""
    facts, policy = context.facts, context.policy
    function = next(iter(facts.functions_named(lambda other: other == name)), None)
    if function is None or policy is None:
        return None
    source = facts.reading.source
    lines = Lines(facts.reading)
    row = source.row(function.body.start)
    indent = source.slice(Span(lines.start(row), function.body.start))
    if indent.strip() or not indent:
        return None
    body = render_controls(policy, context.rulebook, context.uses_pytorch, missing)
    if body is None:
        return None
    for modules in (("torch",), ("os", "subprocess")):
        used = [name for name in modules if f"{name}." in body and not _bound(facts, name)]
        if used:
            imports = "".join(f"    import {name}\n" for name in used)
            body = f"{imports}\n{body}"
    whole = rendered(f"def f():\n{body}\n", source.newline, indent)
    at = lines.start(lines.attached_above(row))
    return [Edit(Span(at, at), whole.partition(source.newline)[2])]


def _bound(facts: FileFacts, module: str) -> bool:
    return any(i.module == module and module in i.bound for i in facts.layout.imports)


def _function(context: Context) -> str | None:
    assert context.policy is not None
    text = render_validator(context.policy, context.rulebook, context.uses_pytorch)
    return None if text is None else f"{VALIDATOR_MARK}\n{text}"


def _call_in_function(places: CallPlaces, function: p.Function | None, name: str) -> Edit | None:
    """The edit that makes a function call another one first: behind its docstring and the names
    that it declares, and behind what reads its options from the command line, if it does so before
    a GPU may be used."""
    if function is None or not function.body:
        return None
    first = int(docstring_of(function.body) is not None)
    while first < len(function.body) and isinstance(function.body[first], p.Global):
        first += 1
    number = places.behind_options(function.body, given_to(function)) or first
    return None if number == len(function.body) else _call_at(places, function.body, number, name)


def _call_at(places: CallPlaces, body: p.Block, number: int, name: str) -> Edit | None:
    """The edit that makes a call behind so many statements of a block."""
    source, lines = places.reading.source, Lines(places.reading)
    near = body[number - 1] if number else body[0]
    indent = source.slice(Span(lines.start(source.row(near.span.start)), near.span.start))
    if not lines.is_alone(near.span) or indent.strip() or not indent:
        return None
    row = source.row(near.span.start) if not number else lines.rows(near.span)[-1] + 1
    at = lines.start(row if number else lines.attached_above(row))
    return Edit(Span(at, at), f"{indent}{name}(){source.newline}")


def _call_behind_guard(places: CallPlaces, name: str) -> Edit | None:
    """The edit that makes what stands behind the main guard call a function: where it has read its
    options, or where the function that it calls has, or else first of all."""
    body = guarded(places.reading.program)
    number, main = places.behind_options(body), places.main_of(body)
    call = None
    if number is not None and number < len(body):
        call = _call_at(places, body, number, name)
    elif number is None and main is not None:
        call = _call_in_function(places, main, name)
    return call or _call_in_guard(places.reading, name)


def _call_in_guard(reading: Reading, name: str) -> Edit | None:
    """The edit that makes a call the first statement of the main guard."""
    source, guard = reading.source, reading.layout.guard
    if guard is None or source.slice(guard.first) == f"{name}()":
        return None
    cut = cut_out(source, Span(guard.span.start, guard.first.end))
    if cut is None:
        return None
    suite = cst.ensure_type(cut.module.body[0], cst.If).body
    if isinstance(suite, cst.IndentedBlock):
        indent = suite.indent or cut.module.default_indent
        at = cut.span(suite.header).end
        return Edit(Span(at, at), f"{indent}{name}(){source.newline}")
    blanks = cst.ensure_type(suite, cst.SimpleStatementSuite).leading_whitespace
    step = source.newline + cut.module.default_indent
    return Edit(cut.span(blanks), f"{step}{name}(){step}")


def _row_below_imports(facts: FileFacts, lines: Lines) -> int:
    """The row behind the last module-level import and our header, whichever is later."""
    ends = [found.statement for found in facts.layout.imports]
    ends += [block.span for block in facts.blocks]
    if facts.layout.prologue_end:
        ends.append(Span(0, facts.layout.prologue_end))
    return max((lines.rows(span)[-1] for span in ends), default=0) + 1


def _between(code: str, row: int, least_below: int, lines: Lines) -> Edit:
    """Insert code as a top-level definition: two blank rows above, and below at least some."""
    gap = lines.gap(row)
    text = rendered(code, lines.source.newline, lines.indent)
    return lines.fill(gap, text, 2, max(least_below, gap.stop - row))
