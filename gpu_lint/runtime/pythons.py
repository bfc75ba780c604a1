"""Finds the Python that runs what is verified."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from gpu_lint.errors import ConfigError
from gpu_lint.records import record
from gpu_lint.runtime.programs import IN_ENVIRONMENT, located

OLDEST = (3, 8)
"""That the recorder runs in."""
_ASKED_SECONDS = 60
_VERSION = "import os, sys; os.write(1, b'gpu-lint %d %d' % sys.version_info[:2])"
_ANSWER = re.compile(rb"gpu-lint (\d+) (\d+)\s*\Z")
_MISSING = """\
import importlib.util, os, sys
for name in sys.argv[1:]:
    try:
        found = importlib.util.find_spec(name.partition(".")[0])
    except (ImportError, ValueError):
        found = None
    if found is None:
        os.write(1, name.encode() + b"\\n")
"""


@record
class Python:
    """An interpreter that was asked for its version."""

    path: str
    version: tuple[int, int]
    origin: str
    """Who chose it: ``--python``, ``runtime.python`` …"""

    def lacking(self, modules: Sequence[str], env: Mapping[str, str], cwd: Path) -> str:
        """Return the first of some modules whose package it does not find; empty if it finds all.
        Nothing of them is imported."""
        if not modules:
            return ""
        command = [self.path, "-c", _MISSING, *modules]
        try:
            done = subprocess.run(
                command,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_ASKED_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""  # what is wrong with it, the run will show
        return done.stdout.decode("utf-8", "replace").partition("\n")[0].strip()


def find_python(
    named: str | None,
    configured: tuple[str, Path] | None,
    project: Path | None,
    env: Mapping[str, str],
) -> Python:
    """Return the Python that the command line names, or else the one that the configuration does
    (with the directory that it counts from), that of the active environment, that of the project's
    ``.venv``, or the first on ``PATH``. Raises :class:`ConfigError`."""
    if named is not None:
        return _asked(located(named, Path.cwd(), env), "--python")
    if configured is not None:
        value, home = configured
        return _asked(located(value, home, env), "runtime.python")
    for origin, place in (
        ("VIRTUAL_ENV", env.get("VIRTUAL_ENV")),
        (".venv", None if project is None else project / ".venv"),
    ):
        if place and (found := Path(place) / IN_ENVIRONMENT).exists():
            return _asked(str(found.absolute()), origin)
    for name in ("python3", "python"):
        if found_on_path := shutil.which(name, path=env.get("PATH")):
            return _asked(found_on_path, "PATH")
    raise ConfigError("no Python was found on PATH; name one with --python")


def _asked(path: str, origin: str) -> Python:
    """Return an interpreter with its version. Raises :class:`ConfigError` if it gives none."""
    try:
        done = subprocess.run(
            [path, "-I", "-c", _VERSION],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ASKED_SECONDS,
        )
    except FileNotFoundError:
        raise ConfigError(f"{origin}: there is no Python {path!r}") from None
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{origin}: {path!r} gives no version; is it a Python?") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"{origin}: {path!r} cannot be run: {why}") from error
    answer = _ANSWER.search(done.stdout)
    if answer is None:
        raise ConfigError(f"{origin}: {path!r} is no Python: it gives no version")
    version = int(answer[1]), int(answer[2])
    if version < OLDEST:
        raise ConfigError(
            f"{origin}: {path!r} is Python {version[0]}.{version[1]}; verify needs "
            f"{OLDEST[0]}.{OLDEST[1]} or newer"
        )
    return Python(path, version, origin)
