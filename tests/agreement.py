"""Whether Python's own parser and LibCST make the same of a file."""

from __future__ import annotations

import ast
from dataclasses import fields, is_dataclass

from gpu_lint.facts import program as p
from gpu_lint.facts.knowledge import Knowledge
from gpu_lint.facts.layout import statement_spans
from gpu_lint.facts.reading import read_file
from gpu_lint.facts.skim import Unskimmable, skim
from gpu_lint.source import Source, Span


def difference(one: object, other: object, path: str = "") -> str:
    """Where two programs differ; empty if they do not."""
    if type(one) is not type(other):
        return f"{path}: {one!r:.200} is not {other!r:.200}"
    if isinstance(one, p.Suite) and isinstance(other, p.Suite):
        return difference(one.content, other.content, path)
    if isinstance(one, tuple) and isinstance(other, tuple):
        if len(one) != len(other):
            return f"{path}: {one!r:.200} is not {other!r:.200}"
        pairs = enumerate(zip(one, other, strict=True))
        return next((d for n, (a, b) in pairs if (d := difference(a, b, f"{path}[{n}]"))), "")
    if is_dataclass(one) and not isinstance(one, (Span, type)):
        names = [field.name for field in fields(one)]
        found = (difference(getattr(one, n), getattr(other, n), f"{path}.{n}") for n in names)
        return next((d for d in found if d), "")
    return "" if one == other or one != one else f"{path}: {one!r} is not {other!r}"


def disagreement(source: Source, knowledge: Knowledge) -> str:
    """What the two ways of reading a file differ in; empty if in nothing, or if Python's own
    parser does not read it.

    All facts are told from what is compared here. Raises :class:`gpu_lint.errors.SyntaxFault`
    and :class:`gpu_lint.errors.SourceError`.
    """
    try:
        ast.parse(source.text)
    except (SyntaxError, ValueError, RecursionError):
        return ""
    quick = read_file(source, knowledge)
    reference = read_file(source, knowledge, reference=True)
    if found := difference(quick.program.body, reference.program.body):
        return found
    if statement_spans(quick.program.body) != statement_spans(reference.program.body):
        return "the places of statements"
    for name in ("comments", "imported", "layout"):
        if getattr(quick, name) != getattr(reference, name):
            return name
    try:
        skimmed = skim(source.data)
    except Unskimmable:
        return ""
    if skimmed.imported != reference.imported:
        return "the imports that are skimmed"
    if skimmed.guard not in (None, reference.layout.guard is not None):
        return "the guard that is skimmed"
    return ""
