"""Finds programs: the Python that runs a project, and those on PATH."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from gpu_lint.errors import ConfigError


def project_python(named: str | None, root: Path, environ: Mapping[str, str]) -> Path | None:
    """Return the Python that runs a project: the one that was named, else that of the active
    virtual environment, of the project's ``.venv``, or ``python3`` of PATH; None where there is
    none. Raises :class:`ConfigError` for a named one that is not there."""
    if named is not None:
        found = _as_command(named, environ)
        if found is None:
            raise ConfigError(f"--python {named}: there is no such program")
        return found
    return next((path for path in _usual(root, environ) if is_program(path)), None)


def is_program(path: Path) -> bool:
    """Return whether a file can be run."""
    return path.is_file() and os.access(path, os.X_OK)


def on_path(name: str, environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the places of a program on PATH. Entries that depend on the current directory are left
    out: that may be a tree which is not trusted."""
    suffix = ".exe" if os.name == "nt" and not name.lower().endswith(".exe") else ""
    for entry in environ.get("PATH", os.defpath).split(os.pathsep):
        if os.path.isabs(entry):
            yield Path(entry, name + suffix)


def _as_command(named: str, environ: Mapping[str, str]) -> Path | None:
    has_directory = os.path.dirname(named) != ""
    places = [Path(os.path.abspath(named))] if has_directory else on_path(named, environ)
    return next(filter(is_program, places), None)


def _usual(root: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    inside = Path("Scripts", "python.exe") if os.name == "nt" else Path("bin", "python")
    if active := environ.get("VIRTUAL_ENV"):
        yield Path(active) / inside
    yield root / ".venv" / inside
    yield from on_path("python3", environ)
    yield from on_path("python", environ)
