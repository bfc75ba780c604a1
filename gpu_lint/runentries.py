"""Checks the ``[[runtime.entry]]`` tables of a configuration: commands that ``verify`` runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from gpu_lint.closest import closest
from gpu_lint.errors import Problem
from gpu_lint.records import record

TIMEOUT_SECONDS = 600.0
_LONGEST_SECONDS = 7 * 24 * 3600
_WHERE = ("runtime", "entry")
_DOCS = {
    "name": "What reports call it.",
    "command": "The command with its arguments; a string is split as a shell would, without one.",
    "timeout": "Seconds after which it is ended.",
    "needs": "Modules without which it is not started.",
    "run": "Run it in every `gpu-lint verify` that names no files, not only with `--mode run`.",
    "cwd": "The directory in which it runs, from that of the configuration on.",
}
_REQUIRED = ("name", "command")


@record
class RunEntry:
    """A command that a project wants to be verified."""

    name: str
    command: tuple[str, ...]
    timeout: float = TIMEOUT_SECONDS
    """In seconds."""
    needs: tuple[str, ...] = ()
    """Dotted names of modules."""
    run: bool = False
    cwd: str = "."


def check_entries(value: Any, kind_name: Mapping[type, str]) -> None:
    """Raise :class:`Problem` for the first key of the tables that is wrong."""
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Problem(_WHERE, "must be an array of tables: [[runtime.entry]]")
    names: set[str] = set()
    for number, table in enumerate(value):
        for key in table:
            if key not in _DOCS:
                raise Problem((*_WHERE, number, key), _unknown(key))
        for key in _REQUIRED:
            if key not in table:
                raise Problem((*_WHERE, number), f"lacks {key}")
        for key, item in table.items():
            if fault := _fault(key, item, kind_name):
                raise Problem((*_WHERE, number, key), fault)
        if table["name"] in names:
            raise Problem((*_WHERE, number, "name"), f"{table['name']!r} is the name of two")
        names.add(table["name"])


def entries_of(value: list[dict[str, Any]]) -> tuple[RunEntry, ...]:
    """Return the entries of checked tables."""
    return tuple(
        RunEntry(
            table["name"],
            _split(table["command"]),
            float(table.get("timeout", TIMEOUT_SECONDS)),
            tuple(table.get("needs", ())),
            table.get("run", False),
            table.get("cwd", "."),
        )
        for table in value
    )


def entries_schema(doc: str) -> dict[str, Any]:
    """Return the JSON schema of the array."""
    text = {"type": "string", "minLength": 1}
    shapes: dict[str, dict[str, Any]] = {
        "command": {"oneOf": [text, {"type": "array", "items": {"type": "string"}, "minItems": 1}]},
        "timeout": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": _LONGEST_SECONDS,
            "default": TIMEOUT_SECONDS,
        },
        "needs": {"type": "array", "items": {"type": "string"}, "default": []},
        "run": {"type": "boolean", "default": False},
        "cwd": {**text, "default": "."},
    }
    return {
        "description": doc,
        "type": "array",
        "items": {
            "type": "object",
            "required": list(_REQUIRED),
            "additionalProperties": False,
            "properties": {
                key: {"description": doc, **shapes.get(key, text)} for key, doc in _DOCS.items()
            },
        },
        "default": [],
    }


def _split(command: str | list[str]) -> tuple[str, ...]:
    return tuple(shlex.split(command) if isinstance(command, str) else command)


def _fault(key: str, value: Any, kind_name: Mapping[type, str]) -> str:
    """Return what is wrong with the value of a key; empty where nothing is."""
    kind = kind_name.get(type(value), "a date or a time")
    if key == "command":
        return _fault_of_command(value, kind)
    if key == "run":
        return "" if isinstance(value, bool) else f"must be true or false, not {kind}"
    if key == "timeout":
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return f"must be a number of seconds, not {kind}"
        is_right = 0 < value <= _LONGEST_SECONDS
        return "" if is_right else f"{value} is not accepted; accepted: up to {_LONGEST_SECONDS} s"
    if key == "needs":
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            return f"must be a list of module names, not {kind}"
        wrong = [one for one in value if not all(part.isidentifier() for part in one.split("."))]
        return f"{wrong[0]!r} is no module's name, such as `torch`" if wrong else ""
    if not isinstance(value, str):
        return f"must be a string, not {kind}"
    return "" if value.strip() else "must not be empty"


def _fault_of_command(value: Any, kind: str) -> str:
    if isinstance(value, str):
        try:
            is_empty = not shlex.split(value)
        except ValueError as error:
            return f"cannot be split into arguments: {str(error).lower()}; a list needs no quotes"
    elif isinstance(value, list) and all(isinstance(one, str) for one in value):
        is_empty = not value or not value[0]
    else:
        return f"must be a string or a list of strings, not {kind}"
    return "names no command" if is_empty else ""


def _unknown(key: str) -> str:
    close = closest(key, _DOCS)
    if close:
        return f"unknown key; did you mean {close[0]!r}?"
    return f"unknown key; accepted: {', '.join(sorted(_DOCS))}"
