"""New nodes for the expressions that name a device or a value."""

from __future__ import annotations

import re

import libcst as cst

from gpu_lint.codemod.cut import within
from gpu_lint.templates import python_string


def constant(value: str | int) -> cst.BaseExpression:
    """Return the literal of a text or of an index."""
    return cst.SimpleString(python_string(value)) if isinstance(value, str) else _index(value)


def _index(number: int) -> cst.Integer:
    return cst.Integer(str(number))


def with_text(node: cst.CSTNode, text: str) -> cst.CSTNode | None:
    """Return the literal of another text, in the quotes of the one that it replaces; None for what
    is no literal, and where these quotes cannot hold the text."""
    match node:
        case cst.Integer():
            return constant(text)
        case cst.SimpleString() as old:
            pass
        case cst.ConcatenatedString(left=cst.SimpleString() as old):
            if any(within(node, cst.Comment)):
                return None
        case _:
            return None
    start, quote = old.value[: len(old.prefix)], old.quote
    try:
        new = cst.SimpleString(f"{start}{quote}{text}{quote}")
        return new if new.evaluated_value == text else None
    except (cst.CSTValidationError, SyntaxError, ValueError):
        return None


def with_index(node: cst.CSTNode, index: int) -> cst.CSTNode | None:
    """Return the literal of a device, such as ``1`` or ``"cuda:1"``, with another index; None for
    what is none."""
    match node:
        case cst.Integer():
            return _index(index)
        case cst.SimpleString():
            text = node.evaluated_value
            new = _with_number(text, index) if isinstance(text, str) else None
            return None if new is None else with_text(node, new)
        case cst.ConcatenatedString():
            left, right = with_index(node.left, index), with_index(node.right, index)
            if (left is None) is not (right is None):
                return node.with_changes(left=left or node.left, right=right or node.right)
        case cst.FormattedStringText():
            new = _with_number(node.value, index)
            return None if new is None else node.with_changes(value=new)
    return None


def _with_number(text: str, number: int) -> str | None:
    """A text with another number in the place of its only one."""
    before, *numbers = re.split(r"(\d+)", text)
    return f"{before}{number}{numbers[1]}" if len(numbers) == 2 else None


def visible(node: cst.CSTNode, count: int) -> cst.CSTNode | None:
    """Return a list of indices as the list of so many devices, from 0; None for another one."""
    if not isinstance(node, cst.List) or any(within(node, cst.Comment)):
        return None
    if not all(isinstance(one.value, cst.Integer) for one in node.elements):
        return None
    return cst.List([cst.Element(_index(number)) for number in range(count)])
