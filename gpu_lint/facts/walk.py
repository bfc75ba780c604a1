"""Going through a program's statements and expressions, in source order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from gpu_lint.facts import program as p


def _all_are(statement: p.Statement) -> bool:
    return True


def statements(
    body: p.Block, wanted: Callable[[p.Statement], bool] = _all_are
) -> Iterator[p.Statement]:
    """Every statement, nested ones included; with ``wanted``, no other and none in another."""
    for statement in body:
        if wanted(statement):
            yield statement
            for inner in blocks(statement):
                yield from statements(inner, wanted)


def last_name(node: p.Expression) -> str:
    """Return the name, or the last of a dotted one, that an expression is; empty for another."""
    if isinstance(node, p.Attribute):
        return node.name
    return node.id if isinstance(node, p.Name) else ""


def blocks(statement: p.Statement) -> Iterator[p.Block]:
    """The suites of a compound statement, in order."""
    match statement:
        case p.If() | p.For() | p.While():
            yield statement.body
            yield statement.orelse
        case p.Try():
            yield statement.body
            for handler in statement.handlers:
                yield handler.body
            yield statement.orelse
            yield statement.finalbody
        case p.Match():
            yield from statement.cases
        case p.With() | p.Function() | p.Class():
            yield statement.body


def expressions(
    body: p.Block, wanted: Callable[[p.Statement], bool] = _all_are
) -> Iterator[p.Expression]:
    """Every expression of the statements in a block, subexpressions included."""
    for statement in statements(body, wanted):
        for node in own_expressions(statement):
            yield from subexpressions(node)


def own_expressions(statement: p.Statement) -> list[p.Expression]:
    """The expressions that belong to a statement itself, not to its suites."""
    found: list[p.Expression] = []
    for name in _fields_of(type(statement)):
        _collect(getattr(statement, name), found)
    return found


def subexpressions(node: p.Expression) -> Iterator[p.Expression]:
    """An expression and everything below it."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(children(node))


def children(node: p.Expression) -> list[p.Expression]:
    """The expressions right below one."""
    found: list[p.Expression] = []
    for name in _fields_of(type(node)):
        _collect(getattr(node, name), found)
    return found


def mentioned_names(body: p.Block) -> frozenset[str]:
    """Every name and attribute name that a block mentions."""
    return frozenset(
        node.id if isinstance(node, p.Name) else node.name
        for node in expressions(body)
        if isinstance(node, (p.Name, p.Attribute))
    )


def plain_names(body: p.Block) -> frozenset[str]:
    """Every plain name that a block mentions."""
    return frozenset(node.id for node in expressions(body) if isinstance(node, p.Name))


def _fields_of(cls: type[Any]) -> tuple[str, ...]:
    found = _FIELDS.get(cls)
    if found is None:
        found = _FIELDS[cls] = _compute_fields(cls)
    return found


def _compute_fields(cls: type[Any]) -> tuple[str, ...]:
    skipped = {"span", "found", "body", "orelse", "finalbody", "handlers", "cases"}
    if cls in (p.Conditional, p.Lambda):
        skipped = {"span"}
    return tuple(f.name for f in fields(cls) if f.name not in skipped)


def _collect(value: Any, found: list[p.Expression]) -> None:
    """Add the expressions in a field, looking through tuples and the small records between."""
    cls = type(value)
    if cls is tuple:
        for item in value:
            _collect(item, found)
    elif cls in _BETWEEN:
        for name in _fields_of(cls):
            _collect(getattr(value, name), found)
    elif cls in _NODES:
        found.append(value)


_BETWEEN = frozenset({p.Argument, p.Parameter, p.Generator, p.Pattern})
_NODES = frozenset(
    cls for cls in vars(p).values() if is_dataclass(cls) and "span" in {f.name for f in fields(cls)}
)
_FIELDS: dict[type[Any], tuple[str, ...]] = {}


def bound_names(target: p.Expression) -> tuple[str, ...]:
    """The plain names that an assignment target binds."""
    if isinstance(target, p.Name):
        return (target.id,)
    if isinstance(target, p.Sequence):
        return tuple(name for item in target.items for name in bound_names(item))
    if isinstance(target, p.Opaque):
        return tuple(name for child in target.children for name in bound_names(child))
    return ()
