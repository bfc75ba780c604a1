"""Reading TOML, and finding the line of a key again for an error message."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from gpu_lint.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


_BESIDE_KEYS = re.compile(r"[^\w.\s-]+")
_MOST_DOTS = 1_000
"""Python's TOML parser takes a time that grows with the square of the parts of a key."""


def read_toml(path: Path) -> tuple[dict[str, Any], str]:
    """A TOML file's table and its text.

    Raises :class:`ConfigError` that names the file, and the line where TOML itself is wrong.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8; TOML files must be") from error
    if any(part.count(".") > _MOST_DOTS for part in _BESIDE_KEYS.split(text)):
        raise ConfigError(f"{path}: cannot be read: a key has more than {_MOST_DOTS} parts")
    try:
        return tomllib.loads(text), text
    except RecursionError as error:
        raise ConfigError(f"{path}: cannot be read: it is nested too deeply") from error
    except ValueError as error:  # also for a number with thousands of digits
        raise ConfigError(f"{path}: is not valid TOML: {error}") from error


def parse_value(text: str) -> Any:
    """A single TOML value; bare words are taken as strings, as a shell user expects."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def line_of(text: str, keys: tuple[str, ...]) -> int | None:
    """The line (from 1) on which a dotted key is set, where that can be told."""
    lines = text.splitlines()
    table: tuple[str, ...] = ()
    for number, line in enumerate(lines, start=1):
        header = re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$", line)
        if header:
            table = _split(header.group(1))
            if table == keys:
                return number
            continue
        entry = re.match(
            r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"))*)\s*=""", line
        )
        if entry:
            here = (*table, *_split(entry.group(1)))
            if here == keys or (here == keys[: len(here)] and keys[-1] in line):
                return number
    return None


def _split(dotted: str) -> tuple[str, ...]:
    parts = re.findall(r"""[\w-]+|"[^"]*"|'[^']*'""", dotted)
    return tuple(part.strip("\"'") for part in parts)
