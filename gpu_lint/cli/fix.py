"""``gpu-lint fix``: rewrite files to the policy."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path

import click

from gpu_lint.cli.interactive import Answers, accepted
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
from gpu_lint.discovery import Discovered
from gpu_lint.engine import Engine, Run
from gpu_lint.errors import ConfigError, Interrupted, SourceError
from gpu_lint.findings import FixedFile
from gpu_lint.reports import shown_path
from gpu_lint.reports.summary import diff, migration, plural
from gpu_lint.rulebook import Rulebook, load_rulebook
from gpu_lint.writing import Writing

_MOST_ALIKE = 3
"""Fixes that are listed of those that were not applied for one reason."""
_MOST_LEFTOVERS = 20


@click.command()
@click.option("--diff", "show_diff", is_flag=True, help="Print what would change, change nothing.")
@click.option("--all-or-nothing", is_flag=True, help="If one file fails, change none.")
@click.option("--unsafe-fixes", is_flag=True, help="Apply fixes that may change more than the GPU.")
@click.option("--interactive", is_flag=True, help="Show what would change in each file, and ask.")
@lint_options
def fix(
    options: Options, show_diff: bool, all_or_nothing: bool, unsafe_fixes: bool, interactive: bool
) -> int:
    """Apply safe fixes; what remains is reported. `-` reads standard input, prints the result."""
    if interactive and show_diff:
        raise ConfigError("fix: --interactive shows each change before it asks; leave out --diff")
    if interactive and (Path("-") in options.paths or not _may_ask()):
        raise ConfigError("fix --interactive: there is no terminal to ask on")
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
    answers = Answers() if interactive else None
    discovered: list[Discovered] = []

    def work(engine: Engine, found: Discovered) -> Run:
        discovered.append(found)
        return engine.fix(
            found.files,
            found.named,
            found.importers,
            unsafe=unsafe_fixes,
            writing=None if answers is not None else writing,
            blocked=bool(found.troubles),
        )

    run = run_engine(options, finder, work)
    if answers is not None and writing is not None:
        run = _write_accepted(run, answers, discovered[0], Engine(finder), writing, unsafe_fixes)
    if writing is None:
        _print_diff(run.fixed)
    else:
        _show_written(options, writing, run)
        show_findings(options, run.files, rulebook, run.clean, run.troubles)
    _show_dropped(run.fixed)
    if not options.quiet and any(file.changed for file in run.fixed):
        _show_leftovers(run.fixed)
        _show_tables(run.fixed, rulebook, show_diff)
    if answers is not None and answers.interrupted:
        raise Interrupted(_what_was_accepted(run))
    status = exit_status(options, run.files, bool(run.troubles), finder)
    return _status_of_diff(options, status, run.fixed) if show_diff else status


def _may_ask() -> bool:
    """Return whether there is a terminal on which to ask."""
    return sys.stdin is not None and sys.stdin.isatty()


def _write_accepted(
    run: Run,
    answers: Answers,
    found: Discovered,
    engine: Engine,
    writing: Writing,
    unsafe: bool,
) -> Run:
    """Ask about what would change, and write what was accepted."""

    def again(refused: Collection[Path]) -> Run:
        files = [path for path in found.files if path not in refused]
        kept = (*found.importers, *sorted(refused))
        return engine.fix(files, found.named, kept, unsafe=unsafe, writing=None)

    troubles = run.troubles
    run = accepted(run, answers, again)
    run.troubles = list(troubles)
    engine.write(run, writing, bool(found.troubles))
    show_troubles(run.troubles[len(troubles) :])
    run.files = [one.after for one in run.fixed]
    return run


def _what_was_accepted(run: Run) -> str:
    written = run.written
    if written is None or not written.changed:
        return "interrupted; no file was changed"
    done = plural(len(written.changed), "file")
    return f"interrupted; what was accepted is done: {done} changed, the others are as they were"


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
    """Tell which fixes were not applied, and why: one that leaves out many others is named once for
    the first of them, then they are counted."""
    by_reason: dict[str, list[str]] = {}
    for file in fixed:
        for why in file.dropped:
            by_reason.setdefault(why, []).append(shown_path(file.before.path, Path.cwd()))
    for why, paths in by_reason.items():
        for path in paths[:_MOST_ALIKE]:
            tell(f"gpu-lint: {path}: a fix was not applied ({why})")
        if (more := len(paths) - _MOST_ALIKE) > 0:
            tell(f"gpu-lint: {plural(more, 'more file')}: a fix was not applied for that reason")


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
