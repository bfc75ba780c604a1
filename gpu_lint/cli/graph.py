"""``gpu-lint graph``: who runs whom, where the mask is set, where CUDA is first touched."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gpu_lint.cli.options import finder_of, show_skipped, show_troubles
from gpu_lint.cli.output import write
from gpu_lint.discovery import Discovered, discover
from gpu_lint.engine import Engine
from gpu_lint.errors import ConfigError, SourceError, Trouble
from gpu_lint.reports.graph import GRAPH_FORMATS, render_graph, render_why
from gpu_lint.rulebook import load_rulebook


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--format", "form", type=click.Choice(GRAPH_FORMATS), default="text", show_default=True
)
@click.option("--all", "every_file", is_flag=True, help="Show files that reach no GPU, too.")
@click.option(
    "--why",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Say what FILE is (entry point, GPU file), what is required of it, and why.",
)
def graph(paths: tuple[Path, ...], form: str, every_file: bool, why: Path | None) -> int:
    """Show entry points, imports, where the mask is set and where CUDA is first touched."""
    finder = finder_of((), False, {}, load_rulebook())
    named = () if why is None else (why,)
    discovered = discover((*(paths or (Path("."),)), *named), finder)
    finder.learn(discovered.files)
    if why is not None:
        return _tell_why(why, form, discovered, Engine(finder))
    found, troubles = Engine(finder).graph(discovered.files)
    show_troubles(discovered.troubles + troubles)
    show_skipped(discovered, finder)
    write(render_graph(form, found, every_file))
    return 2 if discovered.troubles or troubles else 0


def _tell_why(why: Path, form: str, discovered: Discovered, engine: Engine) -> int:
    """Print what is demanded of one file."""
    troubles = list(discovered.troubles)
    if form == "dot":
        raise ConfigError("--why is told as text or JSON: --format text or --format json")
    asked = next(
        (one for one in discovered.files if os.path.realpath(one) == os.path.realpath(why)), None
    )
    if asked is None and not troubles:
        troubles.append(Trouble(why, "is a directory; --why takes one file"))
    if asked is not None:
        try:
            name, answers = engine.why(discovered.files, asked)
            write(render_why(form, name, answers))
        except SourceError as error:
            troubles.append(Trouble(why, str(error)))
    show_troubles(troubles)
    return 2 if troubles else 0
