"""LibCST trees of files, and of what is cut out of them, with the place of every node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, CodeSpan, MetadataWrapper

from gpu_lint.errors import SourceError, SyntaxFault
from gpu_lint.facts.deepstack import on_deep_stack
from gpu_lint.facts.limits import USUAL, Limits, check_for_libcst
from gpu_lint.records import record
from gpu_lint.source import Source, Span

_SHALLOW, _FEW_BRACKETS = 200, 10
"""Characters and brackets of a text that any stack is enough for: LibCST takes some 6 KiB for a
bracket and no more than 1 KiB for two other characters, which is 160 KiB together."""


@record
class Tree:
    """A parsed module; ``nodes`` are in the order in which they end."""

    module: cst.Module
    text: str
    """What was parsed. LibCST may not give all of it back."""
    nodes: Mapping[cst.CSTNode, CodeSpan]
    """With the places that they have in the rendered module, in bytes of UTF-8."""
    start: int
    """Byte offset in the file of the text."""
    places: tuple[Mapping[int, int], Mapping[int, int]] | None
    """Where what begins and what ends at a byte of the rendered module does so in the text; None
    where both are the same bytes."""

    @property
    def expression(self) -> cst.BaseExpression:
        """The expression that was parsed by itself."""
        line = cst.ensure_type(self.module.body[0], cst.SimpleStatementLine)
        return cst.ensure_type(line.body[0], cst.Expr).value

    def span(self, node: cst.CSTNode) -> Span:
        """Return the byte span of a node in the file, its own parentheses excepted."""
        found = self.nodes[node]
        start, end = found.start, found.start + found.length
        if self.places is not None:
            start, end = self.places[0][start], self.places[1][end]
        return Span(self.start + start, self.start + end)


def parse(source: Source, limits: Limits = USUAL) -> Tree:
    """Parse a file as a whole.

    Raises :class:`SyntaxFault` for a syntax error and :class:`SourceError` for what the parser
    must not be given, or cannot give back unchanged, so that no position could be trusted.
    """
    return _parsed(source.text, source.bom, source.encoding, limits)


def parse_statements(source: Source, span: Span) -> Tree:
    """Parse whole statements of a file. Raises as :func:`parse` does."""
    return replace(_parsed_again(source.slice(span), source.encoding), start=span.start)


def parse_expression(source: Source, span: Span) -> Tree:
    """Parse an expression of a file. Raises as :func:`parse` does."""
    text = f"({source.slice(span)})"
    return replace(_parsed_again(text, source.encoding), start=span.start - 1)


@lru_cache(maxsize=64)
def _parsed_again(text: str, encoding: str) -> Tree:
    """A piece of a file as a tree: many files say the same in many places."""
    return _parsed(text, 0, encoding)


def _parsed(text: str, start: int, encoding: str, limits: Limits = USUAL) -> Tree:
    check_for_libcst(text, limits)
    try:
        parsed = partial(cst.parse_module, text)
        module = parsed() if _is_shallow(text) else on_deep_stack(parsed)
    except cst.ParserSyntaxError as error:
        raise SyntaxFault(error.message, _character(text, error)) from error
    try:
        nodes = MetadataWrapper(module, unsafe_skip_copy=True).resolve(ByteSpanPositionProvider)
    except KeyError:  # of a node that it did not come to, for it is nested too deeply
        raise RecursionError from None
    end = "" if module.has_trailing_newline else module.default_newline  # which is counted, too
    same = nodes[module].length == len((text + end).encode())
    same = same and (encoding == "utf-8" or text.isascii())
    places = None if same else _places(module.code + end, text + end, encoding)
    return Tree(module, text, nodes, start, places)


def _is_shallow(text: str) -> bool:
    """Whether any thread's stack is large enough for LibCST to parse a text: for most statements
    that are cut out, of which a file may have thousands."""
    return len(text) <= _SHALLOW and sum(map(text.count, "([{")) <= _FEW_BRACKETS


def _places(code: str, text: str, encoding: str) -> tuple[dict[int, int], dict[int, int]]:
    """Return where each character of a rendered module begins and ends in the text that it was
    read from, by its offset in UTF-8.

    LibCST forgets some blanks, before the colon of ``except (A, B) :`` for one.
    """
    starts, ends = {}, {0: 0}
    rendered = at = index = 0
    for character in code:
        while text[index : index + 1] != character:
            if not (text[index : index + 1].isspace() or text[index : index + 1] == "\\"):
                raise SourceError(
                    "is not reproduced exactly by the parser; please report this file"
                )
            at += 1
            index += 1
        starts[rendered] = at
        rendered += len(character.encode())
        at += len(character.encode(encoding))
        index += 1
        ends[rendered] = at
    return {**starts, rendered: at}, ends


def _character(text: str, error: cst.ParserSyntaxError) -> int:
    lines = text.splitlines(keepends=True)
    before = sum(map(len, lines[: error.raw_line - 1]))
    return min(len(text), before + max(0, error.raw_column))
