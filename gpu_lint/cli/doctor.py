"""``gpu-lint doctor``: whether this machine fits the policy."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from gpu_lint.cli.options import finder_of, wants_color
from gpu_lint.cli.output import show, tell_all, write
from gpu_lint.cli.terminal import width_of
from gpu_lint.errors import ConfigError
from gpu_lint.output_files import check_output, write_output
from gpu_lint.rulebook import load_rulebook

_STDOUT = Path("-")


@click.command(
    epilog="Example: gpu-lint doctor && gpu-lint check, or, for a policy to start from: "
    "gpu-lint doctor --suggest > gpu-lint.toml"
)
@click.option(
    "--python",
    metavar="PYTHON",
    help="The Python that runs the project, to ask for torch (default: the active virtual "
    "environment, .venv, python3).",
)
@click.option("--suggest", "suggests", is_flag=True, help="Print a policy that fits this machine.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write what was found as JSON, too; - is standard output.",
)
@click.option(
    "--config",
    multiple=True,
    metavar="KEY=VALUE|FILE",
    help="Override one key, or use only this config file.",
)
@click.option("--isolated", is_flag=True, help="Read no configuration file.")
def doctor(
    python: str | None,
    suggests: bool,
    json_file: Path | None,
    config: tuple[str, ...],
    isolated: bool,
) -> int:
    """Compare this machine with the policy of the current directory; runs the project's Python.

    Reads driver, cards, torch's build and GPU variables without initialising CUDA. Of your code
    nothing runs: torch is imported by the project's Python in an empty directory. The exit status
    is 1 if the machine does not fit the policy or that cannot be proven.
    """
    if suggests:
        if json_file is not None:
            raise click.UsageError("--suggest and --json exclude each other")
        return _suggest()
    if json_file is not None and json_file != _STDOUT:
        check_output(json_file)
    from gpu_lint.runtime.doctor import Verdict, examine
    from gpu_lint.runtime.doctordocument import render
    from gpu_lint.runtime.doctortext import lines

    finder = finder_of(config, isolated, {}, load_rulebook())
    found = examine(finder, Path.cwd(), python, os.environ)
    if json_file == _STDOUT:
        write(render(found))
        tell_all(lines(found, width_of(sys.stderr), wants_color(sys.stderr)))
    else:
        show(lines(found, width_of(sys.stdout), wants_color(sys.stdout)))
        if json_file is not None:
            write_output(json_file, render(found))
    return 1 if found.verdict in (Verdict.UNPROVEN, Verdict.VIOLATED) else 0


def _suggest() -> int:
    """Print a policy. Raises :class:`ConfigError` where there is no card to choose."""
    from gpu_lint.runtime.cards import read_machine
    from gpu_lint.runtime.suggest import suggest

    suggestion = suggest(read_machine())
    if suggestion is None:
        raise ConfigError("the driver shows no card, so no policy can be suggested")
    write(suggestion.text)
    return 0
