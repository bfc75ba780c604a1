"""Reading TOML, and finding the line of a key again for an error message."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from gpu_lint.errors import ConfigError, Problem, SourceError
from gpu_lint.source import LARGEST_TEXT, read_bytes

_BESIDE_KEYS = re.compile(r"[^\w.\s-]+")
_LONG_STRING = re.compile(r"(\"\"\"|''').*?\1", re.DOTALL)
_MOST_DOTS = 1_000
"""Python's TOML parser takes a time that grows with the square of the parts of a key."""


def _loads(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):  # many runs read none
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


def read_toml(path: Path) -> tuple[dict[str, Any], str]:
    """A TOML file's table and its text.

    Raises :class:`ConfigError` that names the file, and the line where TOML itself is wrong.
    """
    text = read_text(path)
    return parse_toml(text, path), text


def read_text(path: Path) -> str:
    """A TOML file's text. Raises :class:`ConfigError` that names the file."""
    try:
        return read_bytes(path, LARGEST_TEXT).decode("utf-8-sig")
    except SourceError as error:
        raise ConfigError(f"{path}: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8; TOML files must be") from error


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """The table of a file's text. Raises :class:`ConfigError` that names the file."""
    if any(part.count(".") > _MOST_DOTS for part in _BESIDE_KEYS.split(text)):
        raise ConfigError(f"{path}: cannot be read: a key has more than {_MOST_DOTS} parts")
    try:
        return _loads(text)
    except RecursionError as error:
        raise ConfigError(f"{path}: cannot be read: it is nested too deeply") from error
    except ValueError as error:  # also for a number with thousands of digits
        raise ConfigError(f"{path}: is not valid TOML: {error}") from error


def located(problem: Problem, path: Path, text: str, prefix: tuple[str, ...] = ()) -> ConfigError:
    """The problem with the file and line of its key; ``prefix`` leads to the table it is in."""
    line = line_of(text, (*prefix, *problem.keys))
    place = f"{path}:{line}" if line else str(path)
    return ConfigError(f"{place}: {dotted(problem.keys)}: {problem}")


def dotted(keys: tuple[str | int, ...]) -> str:
    """The way to a key in words: ``api[2].names``, counted from 1."""
    parts = [f"[{key + 1}]" if isinstance(key, int) else f".{key}" for key in keys]
    return "".join(parts).removeprefix(".")


def parse_value(text: str) -> Any:
    """A single TOML value; bare words are taken as strings, as a shell user expects."""
    try:
        return _loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def line_of(text: str, keys: tuple[str | int, ...]) -> int | None:
    """The line (from 1) on which a key is set, where that can be told.

    ``keys`` is the way to it; a number counts the tables of an array. Of a table in a value, the
    line of the value is told.
    """
    lines = _LONG_STRING.sub(_blank, text).splitlines()
    table: tuple[str | int, ...] = ()
    arrays: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(lines, start=1):
        header = re.match(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$", line)
        if header:
            name = _split(header.group(2))
            table = name
            if header.group(1) == "[[":
                arrays[name] = arrays.get(name, -1) + 1
                if any(isinstance(key, int) for key in keys):
                    table = (*name, arrays[name])
            if table == keys:
                return number
            continue
        entry = re.match(
            r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"))*)\s*=""", line
        )
        if entry:
            here = (*table, *_split(entry.group(1)))
            if here == keys or (here == keys[: len(here)] and _may_hold(keys[len(here) :], line)):
                return number
    return None


def _may_hold(rest: tuple[str | int, ...], line: str) -> bool:
    """Whether a value that begins on a line may be where the rest of a way leads."""
    return isinstance(rest[0], int) or str(rest[-1]) in line


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match.group())


def _split(dotted: str) -> tuple[str, ...]:
    parts = re.findall(r"""[\w-]+|"[^"]*"|'[^']*'""", dotted)
    return tuple(part.strip("\"'") for part in parts)
