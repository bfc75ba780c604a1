"""``gpu-lint verify``: run every entry point, and prove which GPU it ends on."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import click

from gpu_lint.cli.options import (
    finder_of,
    refuse_own_configuration,
    show_skipped,
    show_troubles,
)
from gpu_lint.cli.output import give, show, tell
from gpu_lint.cli.terminal import progress_bar, width_of
from gpu_lint.output_files import check_output
from gpu_lint.rulebook import load_rulebook

_PATH = click.Path(path_type=Path)


@click.command(
    short_help="Run code: prove which GPU each entry point ends on.",
    epilog="Example: gpu-lint verify app/ --python .venv --junit verify.xml",
)
@click.argument("files", nargs=-1, type=_PATH)
@click.option(
    "--mode", type=click.Choice(["import", "run"]), default="import", show_default=True,
    help="Import each entry point and then ask the driver, or run it; `run` needs FILES, or "
    "[[runtime.entry]] in the configuration.",
)  # fmt: skip
@click.option("--python", metavar="PYTHON", help="The Python, or its environment, to run with.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
    help="End each entry after that time; by default after 600 s, or what its table says.",
)  # fmt: skip
@click.option("--keep-env", is_flag=True, help="Leave CUDA_VISIBLE_DEVICES and the like as set.")
@click.option(
    "--no-gpu", type=click.Choice(["fail", "skip"]), default="fail", show_default=True,
    help="Without a GPU: end with 1, or with 0.",
)  # fmt: skip
@click.option("--json", "json_file", type=_PATH, metavar="FILE", help="Write a JSON document.")
@click.option("--junit", "junit_file", type=_PATH, metavar="FILE", help="Write JUnit XML.")
@click.option("--config", multiple=True, metavar="KEY=VALUE|FILE", help="As for check.")
@click.option("--isolated", is_flag=True, help="Read no configuration file.")
@click.option("--untrusted", is_flag=True, help="Run no command of a configuration.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--no-history", is_flag=True, help="Do not keep what was found.")
def verify(
    files: tuple[Path, ...],
    mode: str,
    python: str | None,
    timeout: float | None,
    keep_env: bool,
    no_gpu: str,
    json_file: Path | None,
    junit_file: Path | None,
    config: tuple[str, ...],
    isolated: bool,
    untrusted: bool,
    quiet: bool,
    no_history: bool,
) -> int:
    """This runs code: each entry point of FILES, one at a time; prove which GPU it ends on.

    FILES are files and directories; by default the current directory, with the commands of
    [[runtime.entry]]. Exit status 0 only if every entry is proved to see the policy's GPUs alone.
    """
    for file in (json_file, junit_file):
        if file is not None and str(file) != "-":
            check_output(file)
    began = time.monotonic()
    finder = finder_of(config, isolated, {}, load_rulebook())
    if untrusted:
        chosen = finder.spec.config_file
        refuse_own_configuration(
            None if chosen is None else Path(chosen), isolated, files or (Path("."),)
        )
    from gpu_lint.runtime.verifyrun import Request, verify_all

    request = Request(files, mode, python, timeout, keep_env, no_gpu == "skip", untrusted)
    with progress_bar(quiet) as progress:
        verified, discovered = verify_all(request, finder, os.environ, progress)
    show_troubles(discovered.troubles)
    if not verified.outcomes and not verified.skipped:
        return 2
    from gpu_lint.runtime.verifyreport import document, junit, limits, lines

    said = document(verified)
    said["seconds"] = round(time.monotonic() - began, 3)
    if json_file is not None:
        give(json_file, json.dumps(said, indent=2, ensure_ascii=False) + "\n")
    if junit_file is not None:
        give(junit_file, junit(verified))
    if not quiet:
        for line in limits(verified.outcomes):
            tell(f"gpu-lint: limit: {line}")
        shown = list(lines(verified, width_of(sys.stdout), Path.cwd()))
        if Path("-") in (json_file, junit_file):
            for line in shown:
                tell(line)
        else:
            show(shown)
        show_skipped(discovered, finder)
    if not no_history:
        from gpu_lint.cli.remember import keep

        keep("verify", said, finder.for_directory(Path.cwd()))
    if discovered.troubles:
        return 2
    return 0 if verified.verdict in ("as-demanded", "skipped") else 1
