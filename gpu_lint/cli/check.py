"""``gpu-lint check``: report findings."""

from __future__ import annotations

import click

from gpu_lint.cli.options import (
    Options,
    exit_status,
    finder_for,
    lint_options,
    run_engine,
    show_findings,
    show_noops,
    stdin_source,
)
from gpu_lint.engine import Engine
from gpu_lint.errors import ConfigError, SourceError
from gpu_lint.rulebook import load_rulebook


@click.command()
@lint_options
def check(options: Options) -> int:
    """Check files and directories (default: the current one); `-` reads standard input."""
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
        show_findings(options, results, rulebook)
        return exit_status(options, results, False, finder)
    run = run_engine(
        options,
        finder,
        lambda engine, found: engine.check(found.files, found.named, found.importers),
    )
    show_findings(options, run.files, rulebook, run.clean, len(run.troubles))
    return exit_status(options, run.files, bool(run.troubles), finder)
