"""``gpu-lint undo``: take back what a fix has changed."""

from __future__ import annotations

from pathlib import Path

import click

from gpu_lint.cli.options import journal, show_troubles
from gpu_lint.errors import ConfigError, JournalError
from gpu_lint.journal import Journal, RunRecord, State
from gpu_lint.printable import printable
from gpu_lint.reports import shown_path
from gpu_lint.reports.summary import plural
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import SettingsFinder
from gpu_lint.undo import Standing, standing
from gpu_lint.undo import undo as take_back
from gpu_lint.writing import Writing


@click.command()
@click.argument("run", required=False)
@click.option("--list", "show", is_flag=True, help="Show the runs, or the files of RUN.")
@click.option("--force", is_flag=True, help="Give back even files that were edited since.")
@click.option("--all-or-nothing", is_flag=True, help="If one file fails, change none.")
def undo(run: str | None, show: bool, force: bool, all_or_nothing: bool) -> int:
    """Take back RUN of `fix`, or the last one in this project: byte for byte."""
    kept = journal()
    if show and run is None:
        return _list_runs(kept)
    record = kept.find(run) if run is not None else _last(kept)
    if show:
        return _list_files(record)
    done = take_back(record, Writing(kept, all_or_nothing), force=force)
    show_troubles(done.troubles + done.notices)
    again = f" (itself run {done.run})" if done.run is not None else ""
    click.echo(
        f"gpu-lint: {plural(len(done.done), 'file')} as before run {record.id}{again}", err=True
    )
    return 2 if done.troubles else 0


def _last(kept: Journal) -> RunRecord:
    """The last run that can be taken back of those that took place in the project of the current
    directory, or changed a file of it."""
    finder = SettingsFinder(load_rulebook())
    try:
        project = finder.project_of(finder.root / "x").resolve()
    except ConfigError:  # a policy that was broken since is no reason to lose anything
        project = finder.root.resolve()
    for record in reversed(kept.records()):
        if record.undoes is None and record.state is not State.UNDONE:
            changed = [Path(record.root), *(Path(entry.path) for entry in record.entries)]
            if any(path.is_relative_to(project) for path in changed):
                for error in kept.damaged(record.sequence):
                    raise JournalError(
                        f"{error}. It is of a later run, here or elsewhere; `gpu-lint undo "
                        f"{record.id}` takes back the last one that can be read"
                    )
                return record
    for error in kept.damaged():
        raise error
    raise ConfigError(
        f"there is no run to take back in {project}; `gpu-lint undo --list` shows those of "
        "other projects"
    )


def _list_runs(kept: Journal) -> int:
    for record in reversed(kept.records()):
        what = "fix" if record.undoes is None else f"undo of {record.undoes}"
        state = {State.BEGUN: "stopped half-way", State.DONE: "", State.UNDONE: "undone"}
        parts = (
            record.id,
            f"{record.started:%Y-%m-%d %H:%M}",
            plural(len(record.entries), "file"),
            record.root,
            what,
            state[record.state],
        )
        click.echo(printable("  ".join(part for part in parts if part)))
    damaged = kept.damaged()
    for error in damaged:
        click.echo(f"gpu-lint: {printable(str(error))}", err=True)
    return 2 if damaged else 0


def _list_files(record: RunRecord) -> int:
    for entry in record.entries:
        state: Standing = standing(entry)[0]
        click.echo(f"{printable(shown_path(Path(entry.path), Path.cwd()))}: {state.value}")
    return 0
