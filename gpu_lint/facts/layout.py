"""The shape of a module: where its imports, docstring and main guard stand."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from gpu_lint.facts import program as p
from gpu_lint.facts.model import Guard, Layout, ModuleImport
from gpu_lint.facts.outcomes import is_main_guard
from gpu_lint.facts.walk import blocks, bound_names
from gpu_lint.source import Span


def layout_of(program: p.Program) -> Layout:
    """The layout of a whole file."""
    imports: list[ModuleImport] = []
    environ: list[tuple[str, int]] = []
    names: set[str] = set()
    guard = None
    for top in program.body:
        if isinstance(top, p.Import):
            imports += _imports(top, top)
            environ += _environ_names(top)
            names.update([name.bound for name in top.names])
            continue
        for statement in _at_module_level(top):
            if isinstance(statement, p.Import):
                imports += _imports(statement, top)
            names.update(_bound(statement))
        if isinstance(top, p.If) and is_main_guard(top.test) and top.body:
            if guard is None or not guard.starts:
                guard = Guard(top.span, top.body[0].span, _starts_something(top))
    statements = tuple(statement.span for statement in program.body)
    prologue_end = _prologue_end(program.body)
    return Layout(
        prologue_end=prologue_end,
        statements=statements,
        imports=tuple(imports),
        guard=guard,
        environ=tuple(environ),
        names=frozenset(names),
        anchor=_anchor(prologue_end, statements, imports, guard),
    )


def _starts_something(guard: p.If) -> bool:
    """Whether what stands behind a main guard is more than ``pass``, and than imports in place of
    which there are others where the file is imported."""
    chooses = any(isinstance(one, p.Import) for one in guard.orelse)
    idle = (p.Pass, p.Import) if chooses else p.Pass
    return not all(isinstance(one, idle) for one in guard.body)


def _at_module_level(statement: p.Statement) -> Iterator[p.Statement]:
    """A statement and those nested in its branches, but not in functions or classes."""
    yield statement
    if not isinstance(statement, (p.Function, p.Class)):
        for block in blocks(statement):
            for inner in block:
                yield from _at_module_level(inner)


def _prologue_end(body: p.Block) -> int:
    end = 0
    for number, statement in enumerate(body):
        docstring = (
            number == 0
            and isinstance(statement, p.Evaluate)
            and isinstance(statement.value, p.Literal)
            and isinstance(statement.value.value, str)
        )
        future = isinstance(statement, p.Import) and statement.names[0].module == "__future__"
        if not docstring and not future:
            break
        end = statement.span.end
    return end


def _imports(statement: p.Import, top: p.Statement) -> Iterator[ModuleImport]:
    from_import = bool(statement.names and statement.names[0].name)
    modules: dict[str, list[str]] = {}
    for name in statement.names:
        modules.setdefault("." * name.level + name.module, []).append(name.bound)
    for module, bound in modules.items():
        direct = statement is top and len(modules) == 1
        yield ModuleImport(module, tuple(bound), statement.span, top.span, direct, from_import)


def _environ_names(statement: p.Import) -> Iterator[tuple[str, int]]:
    for name in statement.names:
        if name.level == 0 and name.module == "os":
            if not name.name:
                yield f"{name.bound}.environ", statement.span.start
            elif name.name == "environ":
                yield name.bound, statement.span.start
        elif name.level == 0 and name.module.startswith("os.") and not name.name:
            if name.bound == "os":
                yield "os.environ", statement.span.start


def _bound(statement: p.Statement) -> Iterator[str]:
    match statement:
        case p.Import():
            yield from (name.bound for name in statement.names)
        case p.Assign():
            for target in statement.targets:
                yield from bound_names(target)
        case p.Function() | p.Class():
            yield statement.name
        case p.For():
            yield from bound_names(statement.target)


def is_stdlib(module: str) -> bool:
    """Whether an import is of the standard library (relative imports are not)."""
    root = module.partition(".")[0]
    return root in sys.stdlib_module_names or root == "__future__"


def _anchor(
    prologue_end: int,
    statements: tuple[Span, ...],
    imports: list[ModuleImport],
    guard: Guard | None,
) -> int:
    """Where a header belongs: before the first import that is not of the standard library. Where
    that stands behind the main guard, below all definitions, it is below the first imports."""
    first = next((found for found in imports if not is_stdlib(found.module)), None)
    if first is not None and (guard is None or first.statement != guard.span):
        return first.statement.start
    leading = {found.statement for found in imports if found.span == found.statement}
    for statement in statements:
        if statement.start >= prologue_end and statement not in leading:
            return statement.start
    return statements[-1].end if statements else prologue_end


def statement_spans(
    body: p.Block, inside: Callable[[Span], bool] = lambda span: True
) -> tuple[Span, ...]:
    """The spans of statements in source order; those nested in a statement if ``inside`` it is
    wanted."""
    found: list[Span] = []
    for statement in body:
        found.append(statement.span)
        if inside(statement.span):
            for block in blocks(statement):
                found += statement_spans(block, inside)
    return tuple(found)
