"""Which functions a part of a module calls, by their names: told from its text alone."""

from __future__ import annotations

from collections.abc import Mapping

from gpu_lint.facts import program as p
from gpu_lint.facts.outcomes import is_main_guard
from gpu_lint.facts.walk import expressions


def functions_of(program: p.Program) -> dict[str, p.Function]:
    """The functions of the module itself, by their names; of several of one name, the last."""
    return {one.name: one for one in program.body if isinstance(one, p.Function)}


def guarded(program: p.Program) -> p.Block:
    """The statements behind the main guard; none without one."""
    for statement in program.body:
        if isinstance(statement, p.If) and is_main_guard(statement.test):
            return statement.body
    return ()


def run_on_import(program: p.Program) -> p.Block:
    """The statements of the module itself that run when it is imported; no definitions."""
    return tuple(
        one
        for one in program.body
        if not isinstance(one, (p.Function, p.Class))
        and not (isinstance(one, p.If) and is_main_guard(one.test))
    )


def names_called(block: p.Block, functions: Mapping[str, p.Function]) -> frozenset[str]:
    """The last names of all that a block calls, or hands to what it calls, as ``run(main)`` does;
    and of what those of the module's ``functions`` call that it calls so."""
    found: set[str] = set()
    waiting = [block]
    while waiting:
        for name in _called(waiting.pop()) - found:
            found.add(name)
            if (function := functions.get(name)) is not None:
                waiting.append(function.body)
    return frozenset(found)


def _called(block: p.Block) -> set[str]:
    found = set()
    for node in expressions(block):
        if isinstance(node, p.Call):
            if isinstance(node.function, p.Name):
                found.add(node.function.id)
            elif isinstance(node.function, p.Attribute):
                found.add(node.function.name)
            found.update(one.value.id for one in node.arguments if isinstance(one.value, p.Name))
    return found
