"""``gpu-lint trace``: run a command, and tell which GPUs it used and which line fixed the mask."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from gpu_lint.cli.options import finder_of
from gpu_lint.cli.output import give, tell
from gpu_lint.errors import ConfigError
from gpu_lint.output_files import check_output
from gpu_lint.rulebook import load_rulebook


@click.command(
    short_help="Run code: tell which GPUs a command used, and which line fixed the mask.",
    epilog="Example: gpu-lint trace --check -- python app.py --gpu 0",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
@click.option(
    "--check", "checks", is_flag=True,
    help="End with 0 only if it ended with 0 and did as the policy demands, else with 1.",
)  # fmt: skip
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write a JSON document.")
@click.option(
    "--learn", "learn_file", type=click.Path(path_type=Path),
    help="Write a rule pack of the calls that initialised CUDA and that no table knows.",
)  # fmt: skip
@click.option("--no-line", is_flag=True, help="Do not look for the line: costs nothing.")
@click.option("--config", multiple=True, metavar="KEY=VALUE|FILE", help="As for check.")
@click.option("--isolated", is_flag=True, help="Read no configuration file.")
@click.option("--quiet", "-q", is_flag=True, help="Print the verdict only.")
@click.option("--no-history", is_flag=True, help="Do not keep what was found.")
def trace(
    command: tuple[str, ...],
    checks: bool,
    json_file: Path | None,
    learn_file: Path | None,
    no_line: bool,
    config: tuple[str, ...],
    isolated: bool,
    quiet: bool,
    no_history: bool,
) -> int:
    """This runs code: COMMAND; tell which GPUs its processes used and which line fixed the mask.

    It runs with your rights. Put `--` before it.
    """
    for file in (json_file, learn_file):
        if file is not None and str(file) != "-":
            check_output(file)
    from gpu_lint.runtime.cards import NoDriver, read_machine
    from gpu_lint.runtime.demand import Verdict, judge
    from gpu_lint.runtime.trace import Trace, compare, document, entry_of, learnt, lines
    from gpu_lint.runtime.tracing import trace_here

    directory = Path.cwd()
    finder = finder_of(config, isolated, {}, load_rulebook())
    entry = entry_of(command, directory)
    at = entry or directory / "x.py"
    policy = finder.for_file(at).policy_for(at)
    if checks and policy is None:
        raise ConfigError(
            "trace --check needs a policy, and none is in force here; `gpu-lint init` writes one"
        )
    root = finder.project_of(at)
    traced = trace_here(command, env=dict(os.environ), root=root, finds_line=not no_line)
    judgement = None
    if policy is not None:
        try:
            machine = read_machine()
        except NoDriver:
            machine = None
        judgement = judge(traced, policy, machine)
    static, missed = compare(traced, entry, finder)
    told = Trace(traced, judgement, static, missed)
    if not quiet:
        for line in lines(told, directory):
            tell(f"gpu-lint: {line}")
    elif judgement is not None:
        tell(f"gpu-lint: {judgement.verdict.value}")
    if json_file is not None:
        give(json_file, json.dumps(document(told), indent=2, ensure_ascii=False) + "\n")
    if learn_file is not None:
        _learn(learn_file, learnt(traced, finder))
    if not no_history:
        from gpu_lint.cli.remember import keep

        keep("trace", document(told), finder.for_file(at))
    if not checks:
        return traced.ended.status
    assert judgement is not None
    is_right = judgement.verdict is Verdict.AS_DEMANDED and traced.ended.status == 0
    return 0 if is_right else 1


def _learn(file: Path, pack: str) -> None:
    if pack:
        give(file, pack)
    else:
        tell("gpu-lint: nothing to learn: every call that initialised CUDA is known, or none did")
