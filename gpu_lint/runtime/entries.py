"""Finds what ``verify`` runs: the entry points of files, and the commands of a configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from gpu_lint.facts.graph import Program
from gpu_lint.policy import Policy
from gpu_lint.records import record
from gpu_lint.reports import shown_path
from gpu_lint.runentries import TIMEOUT_SECONDS, RunEntry, entries_of
from gpu_lint.runtime.pythons import Python
from gpu_lint.settings import Settings, SettingsFinder

IMPORT, RUN = "import", "run"
MODES = (IMPORT, RUN)
_IMPORTER = Path(__file__).parent / "probe" / "gpu_lint_import.py"
_ANY_PYTHON = ("python", "python3")


@record
class Entry:
    """One command to verify, and what it is judged by."""

    name: str
    command: tuple[str, ...]
    cwd: Path
    root: Path
    """The directory of the project, whose lines are named."""
    policy: Policy | None
    """That of its own file."""
    timeout: float
    """In seconds."""
    needs: tuple[str, ...] = ()
    module_path: str = ""
    """A directory in which its modules are looked for besides; empty for none."""
    sets_mask_later: bool = False
    """It is only imported, and may write the mask when it is run."""
    idle: str = ""
    """Why it is not to be run, since nothing could be proved so; empty where it is."""


def entries_of_files(
    programs: Mapping[Path, Program],
    finder: SettingsFinder,
    python: Python,
    mode: str,
    timeout: float | None,
) -> tuple[Entry, ...]:
    """Return the entries that start with files."""
    return tuple(
        _entry_of(path, program, finder, python, mode, timeout)
        for path, program in programs.items()
    )


def _entry_of(
    path: Path,
    program: Program,
    finder: SettingsFinder,
    python: Python,
    mode: str,
    timeout: float | None,
) -> Entry:
    file = Path(os.path.abspath(path))
    root = Path(os.path.abspath(finder.project_of(path)))
    top, module = _module_of(file)
    if mode == RUN:
        in_package = top != file.parent and module
        started = ("-m", module.removesuffix(".__main__")) if in_package else (str(file),)
        command: tuple[str, ...] = (python.path, *started)
    else:
        command = (python.path, str(_IMPORTER), str(top), module, str(file))
    standing = program.standing
    is_idle = mode == IMPORT and not (standing.entry_point or standing.gpu_file)
    return Entry(
        shown_path(path, Path.cwd()),
        command,
        root,
        root,
        finder.for_file(path).policy_for(path),
        TIMEOUT_SECONDS if timeout is None else timeout,
        module_path=str(top if mode == RUN else root),
        sets_mask_later=mode == IMPORT and program.writes_mask,
        idle="it reaches no GPU framework, so that importing it shows nothing" * is_idle,
    )


def _module_of(file: Path) -> tuple[Path, str]:
    """Return the directory from which a file is imported, and its dotted name there; no name where
    it has none."""
    parts, directory = [file.stem], file.parent
    while (directory / "__init__.py").is_file() and directory.parent != directory:
        parts.insert(0, directory.name)
        directory = directory.parent
    if parts[-1] == "__init__":
        parts.pop()
    return directory, ".".join(parts) if all(part.isidentifier() for part in parts) else ""


def configured_entries(
    settings: Settings, python: Python, mode: str, timeout: float | None
) -> Iterator[Entry]:
    """Yield the commands of a configuration that are to be run in a mode."""
    home = settings.home or settings.root
    for one in entries_of(settings.get("runtime.entry")):
        if one.run or mode == RUN:
            yield _configured(one, settings, home, python, timeout)


def _configured(
    one: RunEntry, settings: Settings, home: Path, python: Python, timeout: float | None
) -> Entry:
    program, *arguments = one.command
    cwd = home / one.cwd
    file = next((cwd / word for word in arguments if (cwd / word).is_file()), home / "x.py")
    return Entry(
        one.name,
        (python.path if program in _ANY_PYTHON else program, *arguments),
        cwd,
        home,
        settings.policy_for(file),
        one.timeout if timeout is None else timeout,
        one.needs,
    )
