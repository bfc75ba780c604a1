"""``gpu-lint fix``: rewrite files to the policy."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gpu_lint.cli.options import (
    Options,
    exit_status,
    finder_for,
    journal,
    lint_options,
    run_engine,
    show_findings,
    show_noops,
    show_troubles,
    stdin_source,
)
from gpu_lint.cli.output import is_terminal, show, tell, write_bytes
from gpu_lint.cli.terminal import width_of
from gpu_lint.engine import Engine, Run
from gpu_lint.errors import ConfigError, SourceError
from gpu_lint.findings import FixedFile
from gpu_lint.reports import shown_path
from gpu_lint.reports.summary import diff, migration, plural
from gpu_lint.rulebook import Rulebook, load_rulebook
from gpu_lint.writing import Writing

_MOST_LEFTOVERS = 20


@click.command()
@click.option("--diff", "show_diff", is_flag=True, help="Print what would change, change nothing.")
@click.option("--all-or-nothing", is_flag=True, help="If one file fails, change none.")
@click.option("--unsafe-fixes", is_flag=True, help="Apply fixes that may change more than the GPU.")
@lint_options
def fix(options: Options, show_diff: bool, all_or_nothing: bool, unsafe_fixes: bool) -> int:
    """Apply safe fixes; what remains is reported. `-` reads standard input, prints the result."""
    rulebook = load_rulebook()
    finder = finder_for(options, rulebook)
    source = stdin_source(options)
    if source is not None:
        try:
            finder.learn([source.path])
            if not options.quiet:
                show_noops(finder)
            fixed = Engine(finder).fix_source(source, unsafe=unsafe_fixes)
        except SourceError as error:
            raise ConfigError(f"{source.path} {error}") from error
        if show_diff:
            _print_diff([fixed])
        else:
            write_bytes(fixed.after.source.data)
        status = exit_status(options, [fixed.after], False, finder)
        return _status_of_diff(options, status, [fixed]) if show_diff else status
    writing = None if show_diff else Writing(journal(), all_or_nothing)

    run = run_engine(
        options,
        finder,
        lambda engine, found: engine.fix(
            found.files,
            found.named,
            found.importers,
            unsafe=unsafe_fixes,
            writing=writing,
            blocked=bool(found.troubles),
        ),
    )
    if writing is None:
        _print_diff(run.fixed)
    else:
        _show_written(options, writing, run)
        show_findings(options, run.files, rulebook, run.clean, run.troubles)
    _show_dropped(run.fixed)
    if not options.quiet and any(file.changed for file in run.fixed):
        _show_leftovers(run.fixed)
        _show_tables(run.fixed, rulebook, show_diff)
    status = exit_status(options, run.files, bool(run.troubles), finder)
    return _status_of_diff(options, status, run.fixed) if show_diff else status


def _status_of_diff(options: Options, status: int, fixed: list[FixedFile]) -> int:
    """1 where something would change, though nothing would be left to find."""
    would_change = any(file.changed for file in fixed) and not options.exit_zero
    return max(status, int(would_change))


def _print_diff(fixed: list[FixedFile]) -> None:
    """Print a patch; on a terminal, one that cannot command it."""
    for file in fixed:
        if file.changed:
            text = diff(file, Path.cwd())
            if is_terminal():
                show(line.removesuffix("\r") for line in text.removesuffix("\n").split("\n"))
            else:
                write_bytes(text.encode(file.after.source.encoding, "backslashreplace"))


def _show_written(options: Options, writing: Writing, run: Run) -> None:
    written = run.written
    if written is not None and written.changed:
        show_troubles(written.notices)
        if not options.quiet:
            tell(
                f"gpu-lint: {plural(len(written.changed), 'file')} changed; "
                f"`gpu-lint undo {written.run}` takes it back"
            )
    elif writing.all_or_nothing and run.troubles:
        tell("gpu-lint: no file was changed, as --all-or-nothing demands")


def _show_dropped(fixed: list[FixedFile]) -> None:
    for file in fixed:
        path = shown_path(file.before.path, Path.cwd())
        for why in file.dropped:
            tell(f"gpu-lint: {path}: a fix was not applied ({why})")


def _show_leftovers(fixed: list[FixedFile]) -> None:
    """List the comments and strings that still name what was replaced: only their owner knows."""
    from gpu_lint.reports.replaced import leftovers

    found = list(leftovers(fixed))
    if found:
        tell("gpu-lint: not changed, but they still name a device or mask that was replaced:")
    for file, left in found[:_MOST_LEFTOVERS]:
        tell(f"  {shown_path(file.after.path, Path.cwd())}:{left.row}: {left.text}")
    if (more := len(found) - _MOST_LEFTOVERS) > 0:
        tell(f"  and {plural(more, 'line')} more")


def _show_tables(fixed: list[FixedFile], rulebook: Rulebook, dry: bool) -> None:
    from gpu_lint.reports.filetable import by_file

    width = width_of(sys.stderr)
    heading = "Would fix" if dry else "Fixed"
    for line in (
        heading,
        *migration(fixed, rulebook, width),
        "",
        *by_file(fixed, Path.cwd(), width),
    ):
        tell(line)
