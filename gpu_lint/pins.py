"""The release of PyTorch that a project pins: in a lock file, or in its requirements."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpu_lint.allocator import Release
from gpu_lint.errors import ConfigError
from gpu_lint.records import record
from gpu_lint.source import read_start
from gpu_lint.toml import parse_toml

_MOST_READ = 8 << 20
"""Bytes of a file that are looked at: a lock file may be long."""
_MOST_FILES = 32
_REQUIREMENTS = re.compile(r"requirements[\w.-]*\.txt")
_VERSION = r"(\d{1,3})\.(\d{1,3})(?:\.(?:\d{1,3}|\*))?(?:[.+-][\w.+-]*)?"
_PIN = re.compile(rf"\s*torch\s*(?:(?:==|===)\s*{_VERSION}|~=\s*(\d{{1,3}})\.(\d{{1,3}})\.\d+)\s*")
"""A requirement of one release, with any last number; none with a condition behind it."""
_LOCKED = re.compile(rf'^name = "torch"\r?\nversion = "{_VERSION}"', re.MULTILINE)
_OF_POETRY = re.compile(rf"={{0,2}}\s*{_VERSION}")


@record
class Pin:
    """A release that is pinned, and where."""

    release: Release
    place: str
    """The file's name, with the line (from 1) where it has one."""


def pinned_release(directory: Path) -> Pin | None:
    """Return the release that the files of a directory pin: its lock file, else its requirements
    where they agree; None where they do not say, or say different ones."""
    locked = _agreed(_in_lock(directory / "uv.lock"))
    if locked is not None:
        return locked
    return _agreed([*_in_requirements(directory), *_in_pyproject(directory)])


def _agreed(pins: list[Pin]) -> Pin | None:
    return pins[0] if len({pin.release for pin in pins}) == 1 else None


def _in_lock(path: Path) -> list[Pin]:
    text = _text(path)
    return [
        Pin(_release(match), f"{path.name}:{text.count(chr(10), 0, match.end()) + 1}")
        for match in _LOCKED.finditer(text)
    ]


def _in_requirements(directory: Path) -> Iterator[Pin]:
    try:
        names = sorted(filter(_REQUIREMENTS.fullmatch, os.listdir(directory)))
    except OSError:
        return
    for name in names[:_MOST_FILES]:
        for number, line in enumerate(_text(directory / name).splitlines(), start=1):
            if match := _PIN.fullmatch(line.partition(" #")[0]):
                yield Pin(_release(match), f"{name}:{number}")


def _in_pyproject(directory: Path) -> Iterator[Pin]:
    path = directory / "pyproject.toml"
    text = _text(path)
    if "torch" not in text:
        return
    try:
        table = parse_toml(text, path)
    except ConfigError:
        return  # it is no configuration of ours
    listed = _table(table, "project").get("dependencies")
    for required in listed if isinstance(listed, list) else ():
        if isinstance(required, str) and (match := _PIN.fullmatch(required)):
            yield Pin(_release(match), "pyproject.toml")
    wanted = _table(_table(_table(table, "tool"), "poetry"), "dependencies").get("torch")
    if isinstance(wanted, dict):
        wanted = wanted.get("version")
    if isinstance(wanted, str) and (match := _OF_POETRY.fullmatch(wanted)):
        yield Pin(_release(match), "pyproject.toml")


def _table(table: dict[str, Any], name: str) -> dict[str, Any]:
    found = table.get(name)
    return found if isinstance(found, dict) else {}


def _release(match: re.Match[str]) -> Release:
    major, minor = (part for part in match.groups() if part is not None)
    return Release(int(major), int(minor))


def _text(path: Path) -> str:
    data = read_start(path, _MOST_READ)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")  # as PowerShell writes what is redirected
    return data.decode("utf-8-sig", "replace")
