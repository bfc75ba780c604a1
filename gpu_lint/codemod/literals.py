"""Small rewrites in place: a literal, an index, a weak assignment, a run of moved lines."""

from __future__ import annotations

import re

from gpu_lint.codemod.header import Removal, environ_expression, place_lines
from gpu_lint.codemod.lines import Lines
from gpu_lint.facts.filefacts import FileFacts
from gpu_lint.findings import Edit
from gpu_lint.remedies import (
    AssignPlainly,
    MoveSettings,
    Renumber,
    ReplaceLiteral,
    SetAtModuleLevel,
    UseVisible,
)
from gpu_lint.source import Source, Span
from gpu_lint.templates import python_string

_STRING = re.compile(r"""(?:[rRuU]?)("|')(?!\1\1)([^"'\\\n]*)\1""")
_NUMBER = re.compile(r"\+?\d+")


def replace_literal(source: Source, remedy: ReplaceLiteral) -> list[Edit] | None:
    """Put a string in the place of a literal, in the quotes that the literal has."""
    old = source.slice(remedy.span)
    match = _STRING.fullmatch(old)
    if match:
        quote = match.group(1)
        if quote in remedy.value or "\\" in remedy.value:
            return None
        return [Edit(remedy.span, f"{quote}{remedy.value}{quote}")]
    if _NUMBER.fullmatch(old):
        return [Edit(remedy.span, python_string(remedy.value))]
    return None


def renumber(source: Source, remedy: Renumber) -> list[Edit] | None:
    """Put another index into the literal that decides a selector, if it stands in this file."""
    return [] if remedy.span is None else renumbered(source, remedy.span, remedy.index)


def renumbered(source: Source, span: Span, index: int) -> list[Edit] | None:
    """Put another index into a literal such as ``1`` or ``"cuda:1"``: only its digits change."""
    old = source.slice(span)
    digits = list(re.finditer(r"\d+", old))
    if len(digits) != 1 or re.search(r"\d[xXoObB_.eE]", old):
        return None
    start = span.start + len(old[: digits[0].start()].encode(source.encoding))
    return [Edit(Span(start, start + len(digits[0].group())), str(index))]


def use_visible(source: Source, remedy: UseVisible) -> list[Edit] | None:
    """Replace a list such as ``[0, 1]`` by the list of the visible indices."""
    old = source.slice(remedy.span)
    if not re.fullmatch(r"\[\s*\d+\s*(?:,\s*\d+\s*)*,?\s*\]", old):
        return None
    return [Edit(remedy.span, f"[{', '.join(map(str, range(remedy.count)))}]")]


def set_at_module_level(
    source: Source, facts: FileFacts, remedy: SetAtModuleLevel
) -> list[Edit] | None:
    """Write a variable once more where it is in time; the function stays as it is."""
    anchor = facts.layout.anchor
    lines = Lines(source, facts)
    removal = Removal()
    environ, import_edits = environ_expression(source, facts, lines, anchor, removal)
    if environ is None:
        return None
    text = f"{environ}[{python_string(remedy.variable)}] = {python_string(remedy.value)}"
    return place_lines([text], anchor, facts, lines, removal.rows, import_edits)


def assign_plainly(source: Source, facts: FileFacts, remedy: AssignPlainly) -> list[Edit] | None:
    """Replace a weak form by ``os.environ[...] = "..."``."""
    for expression, bound_at in facts.layout.environ:
        if bound_at < remedy.span.start:
            key, value = python_string(remedy.variable), python_string(remedy.value)
            return [Edit(remedy.span, f"{expression}[{key}] = {value}")]
    return None


def move_settings(source: Source, facts: FileFacts, remedy: MoveSettings) -> list[Edit] | None:
    """Move statements before the first import from outside the standard library."""
    anchor = facts.layout.anchor
    lines = Lines(source, facts)
    removal = Removal()
    text: list[str] = []
    spans = [span for span in remedy.statements if span.start > anchor]
    if not spans:
        return None
    used: set[int] = set()
    for span in spans:
        if not lines.is_alone(span):
            return None
        rows = lines.rows(span)
        for row in range(lines.attached_above(rows[0]), rows[-1] + 1):
            if row not in used:
                used.add(row)
                text.append(source.line(row).rstrip())
    environ, import_edits = environ_expression(source, facts, lines, anchor, removal)
    bound = [name for name, at in facts.layout.environ if at < anchor]
    needs = {name for span in spans for name in _environ_names(source.slice(span))}
    if environ is None or (bound and not needs <= set(bound)):
        return None
    if not bound and needs != {"os.environ"}:
        return None
    edits = place_lines(text, anchor, facts, lines, used | removal.rows, import_edits)
    for span, index in remedy.indices:
        changed = renumbered(source, span, index)
        if changed is None:
            return None
        edits += changed
    return edits


def _environ_names(text: str) -> list[str]:
    """The expressions before the subscripts and updates of a statement's text."""
    return re.findall(r"^\s*([A-Za-z_][\w.]*?)\s*(?:\[|\.update|\|=)", text)
