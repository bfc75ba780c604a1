"""The devices that a program names which a Python is handed as a text: ``python -c "…"``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from gpu_lint.facts.quiet import parse_quietly

_DEVICE = re.compile(r"cuda:(\d{1,3})")
_TELLING = frozenset({"format", "print"})
"""Functions that take the name of a device as a text like others."""
_CHOOSING = frozenset({"device", "set_device"})
"""Functions of ``torch.cuda`` that take the index of a device."""


def highest_index(text: str) -> int:
    """Return the highest index of a device that calls in a program are given; 0 where they are
    given none, or it cannot be read."""
    if "cuda" not in text:
        return 0
    try:
        tree = parse_quietly(text, "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return 0
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return max((index for call in calls for index in _indices(call)), default=0)


def _indices(call: ast.Call) -> Iterator[int]:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else ""
    name = function.id if isinstance(function, ast.Name) else name
    base = function.value if isinstance(function, ast.Attribute) else None
    is_of_cuda = isinstance(base, ast.Attribute) and base.attr == "cuda"
    takes_index = name == "cuda" or (is_of_cuda and name in _CHOOSING)
    for given in (*call.args, *(keyword.value for keyword in call.keywords)):
        constant = given.value if isinstance(given, ast.Constant) else None
        if type(constant) is int and takes_index:
            yield constant
        elif isinstance(constant, str) and name not in _TELLING:
            if found := _DEVICE.fullmatch(constant):
                yield int(found.group(1))
