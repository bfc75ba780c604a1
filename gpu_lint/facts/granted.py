"""Code that Ray runs in processes of its own, and how many GPUs these are shown there.

``@ray.remote(num_gpus=1)`` gives each task or actor a mask of one device, whose index is 0, however
many the machine has. Public: docs.ray.io, "Accelerator support".
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from gpu_lint.facts import program as p
from gpu_lint.facts.grantedtext import may_be_granted
from gpu_lint.facts.walk import statements
from gpu_lint.source import Span


def granted_gpus(program: p.Program, data: bytes) -> Iterator[tuple[Span, int]]:
    """Yield the spans of functions and classes that Ray runs, each with the number of devices that
    it shows them; those without a GPU, or with a number that is not known, are left out."""
    if not may_be_granted(data):
        return
    modules, names = _names_of_ray(program)
    for statement in statements(program.body):
        if isinstance(statement, (p.Function, p.Class)):
            for decorator in statement.decorators:
                count = _count(decorator, modules, names)
                if count:
                    yield statement.span, count


def _names_of_ray(program: p.Program) -> tuple[frozenset[str], frozenset[str]]:
    """The names that are bound to Ray, and those that are bound to its ``remote``."""
    bound = [
        name
        for statement in statements(program.body)
        if isinstance(statement, p.Import)
        for name in statement.names
        if name.module == "ray" and not name.level
    ]
    modules = frozenset(name.bound for name in bound if not name.name)
    return modules, frozenset(name.bound for name in bound if name.name == "remote")


def _count(node: p.Expression, modules: frozenset[str], names: frozenset[str]) -> int:
    """The number of devices that a decorator asks for; 0 for none, and for another decorator."""
    if not isinstance(node, p.Call):
        return 0
    match node.function:
        case p.Attribute(base=p.Name(id=module), name="remote") if module in modules:
            pass
        case p.Name(id=name) if name in names:
            pass
        case _:
            return 0
    for argument in node.arguments:
        if argument.keyword == "num_gpus" and isinstance(argument.value, p.Literal):
            asked = argument.value.value
            return ceil(asked) if isinstance(asked, (int, float)) and asked > 0 else 0
    return 0
