"""``gpu-lint check``: report findings."""

from __future__ import annotations

from dataclasses import replace

import click

from gpu_lint.cli.options import (
    Options,
    exit_status,
    finder_for,
    lint_options,
    run_engine,
    show_findings,
    show_noops,
    show_overridden,
    stdin_source,
)
from gpu_lint.engine import Engine
from gpu_lint.errors import ConfigError, SourceError
from gpu_lint.rulebook import load_rulebook


@click.command()
@click.option(
    "--untrusted",
    is_flag=True,
    help="Let nothing in the tree change its own check (needs --config FILE from outside of it, "
    "or --isolated).",
)
@lint_options
def check(options: Options, untrusted: bool) -> int:
    """Check files and directories (default: the current one); `-` reads standard input."""
    if untrusted:
        from gpu_lint.untrusted import Overridden

        options = replace(options, overridden=Overridden())
    rulebook = load_rulebook()
    finder = finder_for(options, rulebook)
    source = stdin_source(options)
    if source is not None:
        finder.learn([source.path])
        if not options.quiet:
            show_noops(finder)
        try:
            results = [Engine(finder).check_source(source)]
        except SourceError as error:
            raise ConfigError(f"{source.path} {error}") from error
        show_overridden(options, results, rulebook)
        show_findings(options, results, rulebook)
        return exit_status(options, results, False, finder)
    run = run_engine(
        options,
        finder,
        lambda engine, found: engine.check(found.files, found.named, found.importers),
    )
    show_overridden(options, run.files, rulebook)
    show_findings(options, run.files, rulebook, run.clean, run.troubles)
    return exit_status(options, run.files, bool(run.troubles), finder)
