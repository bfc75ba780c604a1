"""Tell Python scripts that have no suffix by their first line, as pre-commit's identify does."""

from __future__ import annotations

import os
import re
import shlex

from gpu_lint.source import read_start

_LONGEST = 256
"""Bytes of a first line: systems take no longer one."""
_PYTHON = re.compile(r"(?:python|pypy)(?:\d[\d.]*)?t?\Z")
_ASSIGNMENT = re.compile(r"\w+=")


def is_python_script(path: str | os.PathLike[str], *, by_mode: bool = True) -> bool:
    """Return whether a regular file may be executed, unless not ``by_mode``, and its first line
    names Python.

    On Windows, where files have no mode, the first line alone decides.
    """
    if by_mode and not os.access(path, os.X_OK):
        return False
    start = read_start(os.fspath(path), _LONGEST)
    return start.startswith(b"#!") and names_python(start[2:])


def names_python(rest: bytes) -> bool:
    """Return whether what follows ``#!`` starts Python: itself, through ``env`` or with ``uv``."""
    line = rest.partition(b"\n")[0].decode("utf-8", "replace").strip()
    if not line.isprintable():
        return False
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    if words and os.path.basename(words[0]) == "env":
        del words[0]
        while words and (words[0].startswith("-") or _ASSIGNMENT.match(words[0])):
            del words[0]
    if not words:
        return False
    program = words[0].replace("\\", "/").rpartition("/")[2].removesuffix(".exe")
    return bool(_PYTHON.match(program)) or (program == "uv" and words[1:2] == ["run"])
