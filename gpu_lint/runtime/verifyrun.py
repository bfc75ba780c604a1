"""Finds what is to be verified, and verifies it: the order of steps of ``gpu-lint verify``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gpu_lint.discovery import Discovered, discover
from gpu_lint.engine import Engine
from gpu_lint.errors import ConfigError
from gpu_lint.facts.graph import Program
from gpu_lint.progress import Progress
from gpu_lint.records import record
from gpu_lint.reports.summary import plural
from gpu_lint.runtime.cards import Machine, NoDriver, read_machine
from gpu_lint.runtime.entries import RUN, Entry, configured_entries, entries_of_files
from gpu_lint.runtime.environment import without_policy
from gpu_lint.runtime.pythons import Python, find_python
from gpu_lint.runtime.verify import Verified, verify
from gpu_lint.settings import Settings, SettingsFinder
from gpu_lint.untrusted import Overridden


@record
class Request:
    """What the command line asks for."""

    files: tuple[Path, ...]
    """Files and directories; without any, the current directory and the configuration's
    commands."""
    mode: str
    python: str | None
    timeout: float | None
    """In seconds, for every entry; None for what each has."""
    keeps_env: bool
    may_skip: bool
    """A machine without a GPU is no failure."""
    untrusted: bool
    """No command that a configuration names is run."""


def verify_all(
    request: Request, finder: SettingsFinder, env: Mapping[str, str], progress: Progress
) -> tuple[Verified, Discovered]:
    """Verify what is asked for; return what was found, and what was read for it.

    Raises :class:`ConfigError` where there is nothing to verify, no policy or no Python.
    """
    settings = finder.for_file(_place(request))
    python = _python(request, finder, settings, env)
    discovered, programs, unread = _look(request, finder, progress)
    commands: tuple[Entry, ...] = ()
    if not request.files and not request.untrusted:
        commands = tuple(configured_entries(settings, python, request.mode, request.timeout))
    started = entries_of_files(programs, finder, python, request.mode, request.timeout)
    entries = (*started, *commands)
    if not discovered.troubles:
        _check(request, len(discovered.files), entries)
    machine, why = _machine()
    skipped = why if machine is None and request.may_skip else ""
    env = dict(env) if request.keeps_env else without_policy(env)
    outcomes = []
    if not skipped:
        progress.begin("Verifying", len(entries))
        for entry in entries:
            outcomes.append(verify(entry, env, python, machine, why))
            progress.advance()
    verified = Verified(
        tuple(outcomes),
        len(discovered.files),
        len(discovered.files) - len(started) - unread,
        len(commands),
        request.mode,
        python,
        machine,
        skipped,
    )
    return verified, discovered


def _place(request: Request) -> Path:
    """Return a path in the directory whose configuration says what is common to all entries."""
    first = request.files[0] if request.files else Path(".")
    return first / "x.py" if first.is_dir() else first


def _python(
    request: Request, finder: SettingsFinder, settings: Settings, env: Mapping[str, str]
) -> Python:
    chosen = settings.get("runtime.python")
    project = None if request.untrusted else finder.project_of(_place(request))
    home = settings.home or settings.root
    return find_python(request.python, (chosen, home) if chosen else None, project, env)


def _look(
    request: Request, finder: SettingsFinder, progress: Progress
) -> tuple[Discovered, dict[Path, Program], int]:
    """Return the files that were asked for, what is started of them, and how many could not be
    read."""
    paths = request.files or (() if request.mode == RUN else (Path("."),))
    discovered = discover(
        paths,
        finder,
        respect_ignores=not request.untrusted,
        overridden=Overridden() if request.untrusted else None,
    )
    finder.learn(discovered.files)
    programs, troubles = Engine(finder, progress).programs(discovered.files, discovered.named)
    discovered.troubles += troubles
    return discovered, programs, len(troubles)


def _check(request: Request, files: int, entries: tuple[Entry, ...]) -> None:
    """Raise :class:`ConfigError` where nothing could be proved, whatever was run."""
    if not entries and request.mode == RUN and not request.files:
        raise ConfigError(
            "nothing to verify: --mode run needs FILES, or [[runtime.entry]] in the configuration"
        )
    if not entries:
        raise ConfigError(
            f"nothing to verify: of {plural(files, 'Python file')}, none is an entry point, "
            "which is started and reaches a GPU framework; `gpu-lint graph --all` shows what each "
            "does"
        )
    if all(entry.policy is None for entry in entries):
        raise ConfigError(
            "verify needs a policy, and none is in force here; `gpu-lint init` writes one"
        )


def _machine() -> tuple[Machine | None, str]:
    """Return the machine, or why there is none with a GPU."""
    try:
        machine = read_machine()
    except NoDriver as error:
        return None, str(error)
    return (machine, "") if machine.cards else (None, "the driver shows no GPU")
