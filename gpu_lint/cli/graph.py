"""``gpu-lint graph``: who runs whom, where the mask is set, where CUDA is first touched."""

from __future__ import annotations

from pathlib import Path

import click

from gpu_lint.cli.options import finder_of, show_skipped, show_troubles
from gpu_lint.cli.output import write
from gpu_lint.discovery import discover
from gpu_lint.engine import Engine
from gpu_lint.reports.graph import GRAPH_FORMATS, render_graph
from gpu_lint.rulebook import load_rulebook


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--format", "form", type=click.Choice(GRAPH_FORMATS), default="text", show_default=True
)
@click.option("--all", "every_file", is_flag=True, help="Show files that reach no GPU, too.")
def graph(paths: tuple[Path, ...], form: str, every_file: bool) -> int:
    """Show entry points, imports, where the mask is set and where CUDA is first touched."""
    finder = finder_of((), False, {}, load_rulebook())
    discovered = discover(paths or (Path("."),), finder)
    finder.learn(discovered.files)
    found, troubles = Engine(finder).graph(discovered.files)
    show_troubles(discovered.troubles + troubles)
    show_skipped(discovered.skipped)
    write(render_graph(form, found, every_file))
    return 2 if discovered.troubles or troubles else 0
