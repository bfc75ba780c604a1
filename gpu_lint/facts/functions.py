"""What a function checks before it lets a program use the GPU: the makings of a validator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from gpu_lint.facts import program as p
from gpu_lint.facts.model import FunctionFacts
from gpu_lint.facts.walk import expressions, last_name, statements, subexpressions
from gpu_lint.source import Span

_EXITS = frozenset({"exit", "_exit", "quit", "abort"})
_MEMORY = frozenset({"total_memory", "mem_get_info", "nvmlDeviceGetMemoryInfo"})
_AVAILABILITY = frozenset({"is_available", "nvmlInit", "get_device_properties", "device_count"})
_STARTERS = frozenset({"run", "call", "check_call", "check_output", "Popen", "popen", "getoutput"})
_ORDERS = frozenset({"<", "<=", ">", ">="})
_DRIVER, _DRIVERS_MEMORY = "nvidia-smi", "memory.total"
"""The program that asks the driver, and what it is asked for memory by."""
_CATCHES_ALL = frozenset({"Exception", "BaseException", "RuntimeError"})


def function_facts(program: p.Program) -> list[tuple[str, Callable[[], FunctionFacts]]]:
    """The functions that a module defines at its own level: a name, and what tells its facts."""
    return [
        (statement.name, partial(_facts, statement))
        for statement in program.body
        if isinstance(statement, p.Function)
    ]


def _facts(node: p.Function) -> FunctionFacts:
    names = _local_values(node.body)
    environment: set[tuple[str, str]] = set()
    strings: set[str] = set()
    memory = availability = False
    for found in expressions(node.body):
        if isinstance(found, p.Comparison):
            for side, other in ((found.left, found.right), (found.right, found.left)):
                behind = names.get(side.id) if isinstance(side, p.Name) else side
                if isinstance(behind, p.Literal) and isinstance(behind.value, str):
                    variable = _variable_read(other, names)
                    if variable is None:
                        strings.add(behind.value)
                    else:
                        environment.add((variable, behind.value))
            memory = memory or _compares_memory(found, names)
        elif isinstance(found, p.Call):
            availability = availability or _asks_for_gpu(found, names)
    docstring = docstring_of(node.body)
    first = node.body[1] if docstring and len(node.body) > 1 else node.body[0]
    return FunctionFacts(
        name=node.name,
        span=node.span,
        body=Span(first.span.start, node.span.end),
        docstring=docstring,
        environment=frozenset(environment),
        strings=frozenset(strings),
        checks_memory=memory,
        checks_availability=availability,
        fails=_failure(node.body),
        swallows=any(_swallows(s) for s in statements(node.body)),
    )


def docstring_of(body: p.Block) -> Span | None:
    """Return where the docstring of a block stands; None without one."""
    first = body[0]
    if isinstance(first, p.Evaluate) and isinstance(first.value, p.Literal):
        return first.span if isinstance(first.value.value, str) else None
    return None


def _local_values(body: p.Block) -> dict[str, p.Expression]:
    """The expression each local name was assigned last; enough to see what is compared."""
    values: dict[str, p.Expression] = {}
    for statement in statements(body):
        if isinstance(statement, p.Assign):
            for target in statement.targets:
                if isinstance(target, p.Name):
                    values[target.id] = statement.value
                elif isinstance(target, p.Sequence):
                    for item in target.items:
                        if isinstance(item, p.Name):
                            values[item.id] = statement.value
    return values


def _compares_memory(node: p.Comparison, names: dict[str, p.Expression]) -> bool:
    """Whether a comparison is about the memory of a GPU."""
    for found in _all_behind(node, names):
        if isinstance(found, p.Attribute) and found.name in _MEMORY:
            return True
        if node.operator in _ORDERS and _says(found, _DRIVERS_MEMORY):
            return True
    return False


def _asks_for_gpu(node: p.Call, names: dict[str, p.Expression]) -> bool:
    """Whether a call asks if there is a GPU."""
    called = last_name(node.function)
    if called not in _STARTERS:
        return called in _AVAILABILITY
    return any(
        _says(found, _DRIVER) for one in node.arguments for found in _all_behind(one.value, names)
    )


def _says(node: p.Expression, word: str) -> bool:
    """Whether an expression is a text with a word in it."""
    return isinstance(node, p.Literal) and isinstance(node.value, str) and word in node.value


def _all_behind(node: p.Expression, names: dict[str, p.Expression]) -> Iterator[p.Expression]:
    """An expression and everything below it, looking behind local names."""
    waiting, seen = [node], set()
    while waiting:
        for found in subexpressions(waiting.pop()):
            yield found
            if isinstance(found, p.Name) and found.id in names and found.id not in seen:
                seen.add(found.id)
                waiting.append(names[found.id])


def _variable_read(node: p.Expression, names: dict[str, p.Expression]) -> str | None:
    """The environment variable that an expression reads, if it is such a read."""
    if isinstance(node, p.Name) and node.id in names:
        node = names[node.id]
    key: p.Expression | None = None
    if isinstance(node, p.Call) and node.arguments:
        if last_name(node.function) in ("get", "getenv"):
            key = node.arguments[0].value
    elif isinstance(node, p.Subscript):
        key = node.key
    if isinstance(key, p.Literal) and isinstance(key.value, str) and key.value.isupper():
        return key.value
    return None


def ends_program(statement: p.Statement) -> bool:
    """Whether a statement raises, or calls what ends the program."""
    if isinstance(statement, (p.Raise, p.Assert)):
        return True
    if isinstance(statement, p.Evaluate) and isinstance(statement.value, p.Call):
        return last_name(statement.value.function) in _EXITS
    return False


def _failure(body: p.Block) -> str:
    """How a function tells that a check failed."""
    found = list(statements(body))
    if any(isinstance(statement, (p.Raise, p.Assert)) for statement in found):
        return "raises"
    if any(ends_program(statement) for statement in found):
        return "exits"
    if any(
        isinstance(s, p.Return) and isinstance(s.value, p.Literal) and s.value.value is False
        for s in found
    ):
        return "returns"
    return "prints"


def _swallows(statement: p.Statement) -> bool:
    """A ``try`` that raises inside and catches it without passing the failure on."""
    if not isinstance(statement, p.Try):
        return False
    if not any(isinstance(inner, (p.Raise, p.Assert)) for inner in statements(statement.body)):
        return False
    for handler in statement.handlers:
        catches = not handler.types or _CATCHES_ALL.intersection(handler.types)
        if catches and not any(ends_program(inner) for inner in statements(handler.body)):
            return not any(_returns_false(inner) for inner in statements(handler.body))
    return False


def _returns_false(statement: p.Statement) -> bool:
    return (
        isinstance(statement, p.Return)
        and isinstance(statement.value, p.Literal)
        and statement.value.value is False
    )
