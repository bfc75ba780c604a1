"""``gpu-lint undo``: take back what a fix has changed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from gpu_lint.cli.options import finder_of, journal, show_troubles
from gpu_lint.cli.output import show, tell
from gpu_lint.cli.terminal import width_of
from gpu_lint.errors import ConfigError, JournalError
from gpu_lint.journal import Journal, RunRecord, State
from gpu_lint.printable import printable
from gpu_lint.reports import shown_path
from gpu_lint.reports.summary import plural
from gpu_lint.reports.table import Column, table
from gpu_lint.rulebook import load_rulebook
from gpu_lint.undo import Standing, standing
from gpu_lint.undo import undo as take_back
from gpu_lint.writing import Writing

_LISTED = (
    Column(""),
    Column(""),
    Column(""),
    Column(""),
    Column(""),
    Column("", least=16),
)
"""Of a run: id, when it began, files, what it was, what became of it, project."""


@click.command()
@click.argument("run", required=False)
@click.option("--list", "listing", is_flag=True, help="Show the runs, or the files of RUN.")
@click.option("--force", is_flag=True, help="Give back even files that were edited since.")
@click.option("--all-or-nothing", is_flag=True, help="If one file fails, change none.")
def undo(run: str | None, listing: bool, force: bool, all_or_nothing: bool) -> int:
    """Take back RUN of `fix`, or the last one in this project: byte for byte."""
    kept = journal()
    if listing and run is None:
        return _list_runs(kept)
    record = kept.find(run) if run is not None else _last(kept)
    if listing:
        return _list_files(record)
    done = take_back(record, Writing(kept, all_or_nothing), force=force)
    show_troubles(done.troubles + done.notices)
    again = f" To undo this: gpu-lint undo {done.run}" if done.run is not None else ""
    files = plural(len(done.done), "file")
    tell(f"gpu-lint: Restored {files} changed by run {record.id}.{again}")
    return 2 if done.troubles else 0


def _last(kept: Journal) -> RunRecord:
    """The last run that can be taken back of those that took place in the project of the current
    directory, or changed a file of it; one that reaches into another project, if the user says so.
    """
    finder = finder_of((), False, {}, load_rulebook())
    try:
        project = finder.project_of(finder.root / "x").resolve()
    except ConfigError:  # a policy that was broken since is no reason to lose anything
        project = finder.root.resolve()
    for record in reversed(kept.records()):
        if record.undoes is None and record.state is not State.UNDONE:
            changed = [_real(record.root), *(_real(entry.path) for entry in record.entries)]
            if any(path.is_relative_to(project) for path in changed):
                for error in kept.damaged(record.sequence):
                    raise JournalError(
                        f"{error}. It is of a later run, here or elsewhere; `gpu-lint undo "
                        f"{record.id}` takes back the last one that can be read"
                    )
                if _reaches_elsewhere(record, project, finder.root.resolve()):
                    _ask(record, project)
                return record
    for error in kept.damaged():
        raise error
    raise ConfigError(
        f"nothing to undo in {project}; `gpu-lint undo --list` shows the runs of other projects"
    )


def _real(path: str) -> Path:
    return Path(os.path.realpath(path))


def _reaches_elsewhere(record: RunRecord, project: Path, here: Path) -> bool:
    """Whether a run took place in a project below this one, or changed files outside of it, and
    was not started from here."""
    root = _real(record.root)
    if root in (project, here):
        return False
    if root.is_relative_to(project):
        return True
    return not all(_real(entry.path).is_relative_to(project) for entry in record.entries)


def _ask(record: RunRecord, project: Path) -> None:
    """Ask whether a run of another project is meant. Raises :class:`ConfigError` where nobody can
    answer, or the answer is no."""
    files = plural(len(record.entries), "file")
    what = f"the last run that changed files in {project} took place in {record.root} ({files})"
    if not sys.stdin.isatty():
        raise ConfigError(
            f"{what}: run `gpu-lint undo` there, or name the run: `gpu-lint undo {record.id}`"
        )
    if not click.confirm(printable(f"gpu-lint: {what}; take it back?"), err=True):
        raise ConfigError("nothing was changed; `gpu-lint undo --list` shows all runs")


def _list_runs(kept: Journal) -> int:
    state = {State.BEGUN: "stopped half-way", State.DONE: "", State.UNDONE: "undone"}
    rows = [
        (
            record.id,
            f"{record.started:%Y-%m-%d %H:%M}",
            plural(len(record.entries), "file"),
            "fix" if record.undoes is None else f"undo of {record.undoes}",
            state[record.state],
            record.root,
        )
        for record in reversed(kept.records())
    ]
    show(table(_LISTED, rows, width_of(sys.stdout)))
    damaged = kept.damaged()
    for error in damaged:
        tell(f"gpu-lint: {error}")
    return 2 if damaged else 0


def _list_files(record: RunRecord) -> int:
    for entry in record.entries:
        state: Standing = standing(entry)[0]
        show([f"{shown_path(Path(entry.path), Path.cwd())}: {state.value}"])
    return 0
