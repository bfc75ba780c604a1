"""Finds programs: the Python that runs a project, and those on PATH."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from gpu_lint.errors import ConfigError

IN_ENVIRONMENT = Path("Scripts", "python.exe") if os.name == "nt" else Path("bin", "python")
"""Where a virtual environment has its Python."""


def project_python(
    named: str | None,
    root: Path,
    environ: Mapping[str, str],
    configured: tuple[str, Path] | None = None,
) -> Path | None:
    """Return the Python that runs a project: the one that was named, else the one that the
    configuration names (with the directory that it counts from), that of the active virtual
    environment, of the project's ``.venv``, or ``python3`` of PATH; None where there is none.
    Raises :class:`ConfigError` for a named one that is not there."""
    chosen = ("--python", named, Path.cwd()) if named is not None else None
    if chosen is None and configured is not None:
        chosen = ("runtime.python", *configured)
    if chosen is None:
        return next((path for path in _usual(root, environ) if is_program(path)), None)
    origin, text, home = chosen
    found = Path(located(text, home, environ))
    if not found.is_absolute() or not is_program(found):
        raise ConfigError(f"{origin} {text}: there is no such program")
    return found


def located(text: str, home: Path, environ: Mapping[str, str]) -> str:
    """Return the path of an interpreter that a text names: a path, an environment's directory, or
    a command; the text itself where no such command is on PATH."""
    path = home / Path(text).expanduser()
    if path.is_dir():
        return str((path / IN_ENVIRONMENT).absolute())
    if path.exists() or os.path.dirname(text):
        return str(path.absolute())
    return str(next(filter(is_program, on_path(text, environ)), text))


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


def _usual(root: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    if active := environ.get("VIRTUAL_ENV"):
        yield Path(active) / IN_ENVIRONMENT
    yield root / ".venv" / IN_ENVIRONMENT
    yield from on_path("python3", environ)
    yield from on_path("python", environ)
