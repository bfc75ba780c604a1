"""Paths that a program makes of the directory of its own file, or of another one, and of names."""

from __future__ import annotations

from collections.abc import Sequence

from gpu_lint.facts.values import THIS_FILE, Input, Known, Text, Value, concatenate, text_of

_PARENT = ".parent"
_A_DIRECTORY = Input("a directory")
"""A directory that only the run will tell."""
_SAME_PATH = frozenset({"os.path.abspath", "os.path.realpath", "os.fspath", "pathlib.Path"})
_SAME_PATH_METHODS = frozenset({"absolute", "resolve", "as_posix"})
"""What gives the path of the same file."""
_JOINING = frozenset({"os.path.join", "pathlib.Path"})
PATH_CALLS = _SAME_PATH | _JOINING | {"os.path.dirname"}
"""Functions, by their dotted names, that make paths of others."""


def is_path(value: Value | None) -> bool:
    """Return whether a value is the path of this file, of a directory above it, or one that
    :func:`joined` made."""
    if isinstance(value, Text):
        value = value.parts[0]
    return isinstance(value, Input) and (
        value in (THIS_FILE, _A_DIRECTORY) or value.name.startswith(f"{THIS_FILE.name}{_PARENT}")
    )


def directory_of(path: Value | None) -> Value | None:
    """Return the directory of this file, or of one above it; None for any other path."""
    if isinstance(path, Input) and is_path(path) and path != _A_DIRECTORY:
        return Input(f"{path.name}{_PARENT}")
    return None


def joined(parts: Sequence[Value]) -> Value | None:
    """Return the path of names one below the other, the first of which may be any directory; None
    where the last one is not known."""
    first, *rest = parts
    if not rest or text_of(rest[-1]) is None:
        return None
    made = first if is_path(first) or text_of(first) else _A_DIRECTORY
    for part in rest:
        name = text_of(part)
        made = _A_DIRECTORY if name is None else concatenate((made, Known(f"/{name}")))
    return made


def path_made_by(name: str, given: Sequence[Value]) -> Value | None:
    """Return the path that one of :data:`PATH_CALLS` makes; None where it is not known."""
    if name == "os.path.dirname":
        return directory_of(given[0])
    if len(given) > 1:
        return joined(given) if name in _JOINING else None
    return given[0] if name in _SAME_PATH and is_path(given[0]) else None


def path_made_from(path: Value, method: str, given: Sequence[Value]) -> Value | None:
    """Return the path that a method of another one makes; None where it is not known."""
    if not is_path(path):
        return None
    if method == "with_name" and len(given) == 1:
        directory = directory_of(path)
        return joined((directory, *given)) if directory is not None else None
    if method == "joinpath" and given:
        return joined((path, *given))
    return path if method in _SAME_PATH_METHODS else None
