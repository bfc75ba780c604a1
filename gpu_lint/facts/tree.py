"""LibCST trees with positions: parsing, and the span of every node from one rendering.

LibCST's own position provider builds a metadata wrapper over a whole module. Rendering a tree
with a state that counts characters gives the same spans for any piece of a tree, whether a
module or one statement cut out of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import libcst as cst
from libcst._nodes.internal import CodegenState

from gpu_lint.errors import SourceError, SyntaxFault
from gpu_lint.facts.deepstack import on_deep_stack
from gpu_lint.facts.limits import USUAL, Limits, check_for_libcst
from gpu_lint.records import record
from gpu_lint.source import Source

_BLANKS = re.compile(r"(?:\s|\\\r?\n)*")


class _Misaligned(Exception):
    """A rendered token is not what the text says."""


class SpanRecorder(CodegenState):
    """Renders a tree along the text it was read from and notes each node's character span.

    LibCST forgets some blanks (before the colon of ``except (A, B) :``, inside ``f"{x !s}"``),
    so every token is looked for behind the blanks at the current position, never assumed.
    """

    def __init__(self, module: cst.Module, text: str, offset: int = 0) -> None:
        super().__init__(module.default_indent, module.default_newline)
        self.text = text
        self.position = offset
        self.spans: dict[int, tuple[int, int]] = {}
        self.comments: list[tuple[int, cst.Comment]] = []

    def add_token(self, value: str) -> None:
        if not self.text.startswith(value, self.position):
            blanks = _BLANKS.match(self.text, self.position)
            assert blanks is not None
            found = self.text.find(value, self.position, blanks.end() + len(value))
            if found < 0 and value.strip() == "":
                return
            if found < 0:
                raise _Misaligned
            self.position = found
        self.position += len(value)

    def add_indent_tokens(self) -> None:
        for token in self.indent_tokens:
            self.add_token(token)

    def before_codegen(self, node: cst.CSTNode) -> None:
        if isinstance(node, cst.Comment):
            self.comments.append((self.position, node))
        self.spans[id(node)] = (self.position, -1)

    def after_codegen(self, node: cst.CSTNode) -> None:
        start, end = self.spans[id(node)]
        if end < 0:
            self.spans[id(node)] = (start, self.position)

    @contextmanager
    def record_syntactic_position(
        self,
        node: cst.CSTNode,
        *,
        start_node: cst.CSTNode | None = None,
        end_node: cst.CSTNode | None = None,
    ) -> Iterator[None]:
        start = self.position
        yield
        end = self.position
        if start_node is not None:
            start = self.spans[id(start_node)][0]
        if end_node is not None:
            end = self.spans[id(end_node)][1]
        self.spans[id(node)] = (start, end)


@record
class Tree:
    """A parsed module and the character spans of its nodes, keyed by ``id(node)``."""

    module: cst.Module
    spans: dict[int, tuple[int, int]]
    comments: tuple[tuple[int, str], ...]


def parse(source: Source, limits: Limits = USUAL) -> Tree:
    """Parse a file as a whole.

    Raises :class:`SyntaxFault` for a syntax error and :class:`SourceError` for what the parser
    must not be given, or cannot give back unchanged, so that no position could be trusted.
    """
    check_for_libcst(source.text, limits)
    try:
        module = on_deep_stack(partial(cst.parse_module, source.text))
    except cst.ParserSyntaxError as error:
        raise SyntaxFault(error.message, _character(source.text, error)) from error
    recorder = SpanRecorder(module, source.text)
    try:
        for part in (*module.header, *module.body, *module.footer):
            part._codegen(recorder)
    except _Misaligned as error:
        raise SourceError("is not reproduced exactly by the parser; please report this file") from (
            error
        )
    comments = tuple((start, node.value) for start, node in recorder.comments)
    return Tree(module, recorder.spans, comments)


def parse_expression(text: str) -> tuple[Tree, cst.BaseExpression]:
    """Parse an expression that was cut out of a file; spans count from its start.

    Raises as :func:`parse` does.
    """
    wrapped = f"({text})"
    check_for_libcst(wrapped)
    try:
        node = on_deep_stack(partial(cst.parse_expression, wrapped))
    except cst.ParserSyntaxError as error:
        raise SyntaxFault(error.message, _character(wrapped, error)) from error
    recorder = SpanRecorder(cst.Module(()), wrapped)
    try:
        node._codegen(recorder)
    except _Misaligned as error:
        raise SourceError("is not reproduced exactly by the parser; please report this file") from (
            error
        )
    spans = {key: (start - 1, end - 1) for key, (start, end) in recorder.spans.items()}
    return Tree(cst.Module(()), spans, ()), node


def _character(text: str, error: cst.ParserSyntaxError) -> int:
    lines = text.splitlines(keepends=True)
    before = sum(map(len, lines[: error.raw_line - 1]))
    return min(len(text), before + max(0, error.raw_column))
