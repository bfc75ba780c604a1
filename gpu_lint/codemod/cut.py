"""Cuts statements out of a file as LibCST trees, and turns new nodes into edits of its bytes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TypeVar

import libcst as cst

from gpu_lint.errors import SourceError, SyntaxFault
from gpu_lint.facts import program as p
from gpu_lint.facts.reading import Reading
from gpu_lint.facts.tree import Tree, parse_expression, parse_statements
from gpu_lint.facts.walk import blocks, own_expressions
from gpu_lint.findings import Edit
from gpu_lint.source import Source, Span

N = TypeVar("N", bound=cst.CSTNode)
_COMPOUND = (p.If, p.For, p.While, p.Try, p.With, p.Match, p.Function, p.Class)


class Cut:
    """A piece of a file as a tree."""

    def __init__(self, tree: Tree) -> None:
        self.module = tree.module
        self.span = tree.span
        self._by_span = {
            tree.span(node): node
            for node in tree.nodes
            if isinstance(node, (cst.BaseExpression, cst.FormattedStringText))
        }

    def node(self, span: Span) -> cst.CSTNode | None:
        """Return the expression, or the text in an f-string, that takes up a span of the file."""
        return self._by_span.get(span)

    def edit(self, old: cst.CSTNode, new: cst.CSTNode) -> Edit:
        """Return the edit that puts one node in the place of another; parentheses around the old
        one stay."""
        if isinstance(old, cst.BaseExpression) and old.lpar:
            new = new.with_changes(lpar=(), rpar=())
        return Edit(self.span(old), self.module.code_for_node(new))


def cut_out(source: Source, span: Span) -> Cut | None:
    """Return whole statements; None where LibCST would not give them back as they are."""
    return _cut(source, span, False)


def cut_around(reading: Reading, span: Span) -> Cut | None:
    """Return the innermost simple statement around a span, or the expression there in the head of
    a compound one; None where LibCST would not give it back as it is."""
    found = _innermost(reading.program.body, span)
    return None if found is None else _cut(reading.source, *found)


@lru_cache(maxsize=8)
def _cut(source: Source, span: Span, is_expression: bool) -> Cut | None:
    try:
        tree = parse_expression(source, span) if is_expression else parse_statements(source, span)
    except (SourceError, SyntaxFault):
        return None
    return Cut(tree) if tree.module.code == tree.text else None


def _innermost(body: p.Block, span: Span) -> tuple[Span, bool] | None:
    """What to cut out around a span, and whether that is an expression."""
    last = bisect_right(body, span.start, key=lambda one: one.span.start)
    first = last - 1
    while first > 0 and span in body[first - 1].span:  # of several that were made of one
        first -= 1
    for statement in body[max(first, 0) : last]:
        if span not in statement.span:
            continue
        if not isinstance(statement, _COMPOUND):
            return statement.span, False
        for expression in own_expressions(statement):
            if span in expression.span:
                return expression.span, True
        for block in blocks(statement):
            if found := _innermost(block, span):
                return found
    return None


def node_at(reading: Reading, span: Span) -> cst.CSTNode | None:
    """Return the node of a file that takes up a span; None where it cannot be cut out."""
    cut = cut_around(reading, span)
    return cut.node(span) if cut is not None else None


def rewrite(
    reading: Reading, span: Span, change: Callable[[cst.CSTNode], cst.CSTNode | None]
) -> list[Edit] | None:
    """Return the edit that puts another node in the place of the one that takes up a span; None
    where there is no such node, or none to put there."""
    cut = cut_around(reading, span)
    old = cut.node(span) if cut is not None else None
    new = change(old) if old is not None else None
    return [cut.edit(old, new)] if cut and old and new else None


def within(node: cst.CSTNode, kind: type[N]) -> Iterator[N]:
    """Yield the nodes of a kind that a node is or holds, in source order."""
    if isinstance(node, kind):
        yield node
    for child in node.children:
        yield from within(child, kind)


@lru_cache(maxsize=64)
def rendered(code: str, newline: str, indent: str = "    ") -> str:
    """Return code of ours with the ends of line and the indentation of the file that it is put
    into; most files of a run have the same."""
    module = cst.parse_module(code)
    return module.with_changes(default_newline=newline, default_indent=indent).code
