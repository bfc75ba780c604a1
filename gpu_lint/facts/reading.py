"""What one file says by itself: source → tree (LibCST) → program (ours) → reading."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from gpu_lint.errors import SourceError
from gpu_lint.facts import program as p
from gpu_lint.facts.functions import function_facts
from gpu_lint.facts.imports import named_module
from gpu_lint.facts.knowledge import Knowledge
from gpu_lint.facts.layout import layout_of, statement_spans
from gpu_lint.facts.limits import check_limits
from gpu_lint.facts.lowering import lower
from gpu_lint.facts.markers import managed_blocks
from gpu_lint.facts.model import Reading
from gpu_lint.facts.tree import parse
from gpu_lint.facts.walk import expressions, mentioned_names, statements
from gpu_lint.source import Source, Span

DEEPEST_RECURSION = 10_000
"""Python frames: enough for a text of 3,000 lines that is one implicit concatenation."""


def read_file(source: Source, knowledge: Knowledge) -> Reading:
    """Read what a file says.

    Raises :class:`SyntaxFault` for a syntax error and
    :class:`gpu_lint.errors.SourceError` for a file that cannot be checked.
    """
    check_limits(source.text)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, DEEPEST_RECURSION))
    try:
        return _reading(lower(parse(source), source), source, knowledge)
    except RecursionError as error:
        raise SourceError("cannot be checked: an expression in it is nested too deeply") from error
    finally:
        sys.setrecursionlimit(limit)


def _reading(program: p.Program, source: Source, knowledge: Knowledge) -> Reading:
    imported = tuple(_imported_names(program))
    named = frozenset(
        framework.name
        for module, _, _, _ in imported
        if (framework := knowledge.framework_of(module)) is not None
    )
    return Reading(
        program=program,
        layout=layout_of(program),
        imported=imported,
        framework_names=named,
        functions=tuple(function_facts(program)),
        imported_functions=_imported_functions(program, knowledge),
        referenced=mentioned_names(program.body) | _called_by_others(program),
        blocks=tuple(managed_blocks(program, source)),
        compared=frozenset(_compared(program)),
        statements=statement_spans(program.body),
        decides=any(variable in source.text for variable in knowledge.variables),
    )


def _imported_names(program: p.Program) -> Iterator[tuple[str, int, str, Span]]:
    for statement in statements(program.body):
        if isinstance(statement, p.Import):
            for name in statement.names:
                yield name.module, name.level, name.name, statement.span
    for node in expressions(program.body):
        if isinstance(node, p.Call) and node.arguments:
            function = node.function
            called = function.name if isinstance(function, p.Attribute) else ""
            called = function.id if isinstance(function, p.Name) else called
            if called in ("import_module", "__import__"):
                texts = [_literal_text(argument.value) for argument in node.arguments[:2]]
                module, level = named_module(texts[0], "".join(texts[1:]))
                if module:
                    yield module, level, "", node.span


def _literal_text(node: p.Expression) -> str:
    return node.value if isinstance(node, p.Literal) and isinstance(node.value, str) else ""


def _called_by_others(program: p.Program) -> frozenset[str]:
    """Functions that something outside the file calls: methods, and decorated ones."""
    top = {id(statement) for statement in program.body}
    return frozenset(
        statement.name
        for statement in statements(program.body)
        if isinstance(statement, p.Function) and (statement.decorators or id(statement) not in top)
    )


def _compared(program: p.Program) -> Iterator[str]:
    for node in expressions(program.body):
        if isinstance(node, p.Comparison):
            for side in (node.left, node.right):
                if isinstance(side, p.Literal) and isinstance(side.value, str):
                    yield side.value


def _imported_functions(program: p.Program, knowledge: Knowledge) -> frozenset[str]:
    return frozenset(
        name.bound
        for statement in statements(program.body)
        if isinstance(statement, p.Import)
        for name in statement.names
        if name.name and knowledge.framework_of(name.module) is None
    )
