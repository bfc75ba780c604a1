"""Imports that a module can do without: it catches that one fails, or asks before if it would."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gpu_lint.facts import program as p
from gpu_lint.facts.functions import ends_program
from gpu_lint.facts.walk import blocks, own_expressions, statements, subexpressions
from gpu_lint.source import Span

_CAUGHT = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


def optional_import(
    program: p.Program, is_wanted: Callable[[str], bool]
) -> tuple[str, Span] | None:
    """The first import of a wanted module outside of functions, by name and place, where the module
    goes on whichever of them fails; None where one must succeed, or there is none."""
    first: tuple[str, Span] | None = None
    for statement, is_optional in _imports(program.body, False):
        for name in statement.names:
            if not name.level and is_wanted(name.module):
                if not is_optional:
                    return None
                first = first or (name.module, statement.span)
    return first


def _imports(body: p.Block, is_optional: bool) -> Iterator[tuple[p.Import, bool]]:
    """The imports of a block outside of functions, and whether it goes on where one fails."""
    for statement in body:
        if isinstance(statement, p.Function):
            continue
        if isinstance(statement, p.Import):
            yield statement, is_optional
            continue
        words = _words_of(statement)
        first = is_optional or "find_spec" in words
        if isinstance(statement, p.Try):
            first = is_optional or any(map(_goes_on, statement.handlers))
        for number, inner in enumerate(blocks(statement)):
            if number or "TYPE_CHECKING" not in words:
                yield from _imports(inner, is_optional if number else first)


def _words_of(statement: p.Statement) -> frozenset[str]:
    """The names in what an ``if`` asks."""
    if not isinstance(statement, p.If):
        return frozenset()
    nodes = (node for one in own_expressions(statement) for node in subexpressions(one))
    return frozenset(
        node.id if isinstance(node, p.Name) else node.name
        for node in nodes
        if isinstance(node, (p.Name, p.Attribute))
    )


def _goes_on(handler: p.Handler) -> bool:
    """Whether a handler catches that an import fails, and lets the program go on."""
    catches = not handler.types or not _CAUGHT.isdisjoint(handler.types)
    return catches and not any(map(ends_program, statements(handler.body)))
