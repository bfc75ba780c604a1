"""How reports for other programs name files and write text, so that any of them can read it.

A name on disk is bytes; a report is UTF-8. A name that is not UTF-8 is written percent-encoded,
and stays apart from every other name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from gpu_lint.repository import repository_of


def report_root(here: Path, paths: Iterable[Path], workspace: str | None = None) -> Path:
    """Return the directory that CI systems take a report's paths to be relative to.

    It is the root of the repository that holds the named ``paths``: that of the directory
    ``here``, or else the one that they have in common. Where there is no repository (CI may
    check out without one) it is the ``workspace`` of the CI system, if ``here`` lies in it.
    """
    paths = list(paths)
    own = repository_of(here)
    if own is not None and all(path_below(path, own) is not None for path in paths):
        return own
    roots = {repository_of(path) for path in paths}
    common = roots.pop() if len(roots) == 1 else None
    if (root := common or own) is not None:
        return root
    if workspace and path_below(here, Path(workspace)) is not None:
        return Path(workspace)
    return here


def path_below(path: Path, root: Path) -> str | None:
    """Return ``path`` relative to ``root``, with forward slashes; None if it is not below it."""
    try:
        return PurePath(os.path.abspath(path)).relative_to(os.path.abspath(root)).as_posix()
    except ValueError:
        return None


def path_from(path: Path, root: Path) -> str:
    """Return ``path`` relative to ``root``, or absolute where it is not below it, as UTF-8 with
    forward slashes."""
    shown = path_below(path, root)
    return utf8_name(PurePath(os.path.abspath(path)).as_posix() if shown is None else shown)


def utf8_name(name: str) -> str:
    """Return a file's name as text that any program can read, different for different names.

    A name that is not UTF-8 is percent-encoded from its bytes; so is one that would be taken for
    such a name, because it is what percent-encoding makes of one.
    """
    data = os.fsencode(name)
    while True:
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            return quote(os.fsencode(name))
        decoded = unquote_to_bytes(data)
        if decoded == data:
            return name
        data = decoded


def utf8_text(text: str) -> str:
    """Return text without the lone surrogates that stand for bytes of a name; each is written as
    an escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def to_json(value: Any) -> str:
    """Return a JSON document in ASCII, in which every string is valid Unicode."""
    return json.dumps(_valid(value), indent=2) + "\n"


def _valid(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else utf8_text(value)
    if isinstance(value, dict):
        return {_valid(key): _valid(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_valid(inner) for inner in value]
    return value
