"""``gpu-lint config``: the configuration in force, and where each key came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from gpu_lint.cli.options import finder_of, show_noops
from gpu_lint.cli.output import show, write
from gpu_lint.policy import KEYS, json_schema
from gpu_lint.rulebook import load_rulebook


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path), default=Path("."))
@click.option("--config", "config_values", multiple=True, metavar="KEY=VALUE|FILE")
@click.option("--isolated", is_flag=True, help="Read no configuration file.")
@click.option("--schema", is_flag=True, help="Print the JSON schema of the configuration.")
def config(path: Path, config_values: tuple[str, ...], isolated: bool, schema: bool) -> int:
    """Show the configuration in force for PATH and where each key came from."""
    if schema:
        write(json.dumps(json_schema(), indent=2) + "\n")
        return 0
    finder = finder_of(config_values, isolated, {}, load_rulebook())
    settings = finder.for_directory(path) if path.is_dir() else finder.for_file(path)
    flat, origins = settings.flat_for(path)
    lines = [f"# in force for {path}, relative to {settings.root}"]
    for key in KEYS:
        if key.name in flat:
            lines.append(f"{key.name} = {_toml(flat[key.name])}  # {origins.get(key.name, '')}")
        elif key.default is not None:
            lines.append(f"{key.name} = {_toml(key.default)}  # default")
    if settings.policy_for(path) is None:
        lines.append("# no gpu.visible-devices: rules that need a policy do not run")
    show_noops(finder)
    show(lines)
    return 0


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)
