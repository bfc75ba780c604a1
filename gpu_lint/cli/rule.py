"""``gpu-lint rule``: what the rules say."""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from typing import Any

import click

from gpu_lint.cli.output import show, write
from gpu_lint.cli.terminal import width_of
from gpu_lint.errors import ConfigError
from gpu_lint.reports.table import Column, table
from gpu_lint.rulebook import Rule, load_rulebook
from gpu_lint.rulefiles import SCHEMAS

_LISTED = (
    Column("code"),
    Column("P"),
    Column("severity"),
    Column("rule", least=12),
    Column("summary", least=24),
    Column("fix", least=8),
)


@click.command()
@click.argument("code", required=False)
@click.option("--all", "everything", is_flag=True, help="All rules, with their examples.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["markdown", "json"]),
    default="markdown",
    show_default=True,
    help="How to print a rule, or all of them.",
)
@click.option(
    "--schema",
    type=click.Choice(list(SCHEMAS)),
    help="Print the JSON schema of framework files (and rule packs), or of other files of rules.",
)
def rule(code: str | None, everything: bool, form: str, schema: str | None) -> int:
    """Explain a rule by its code or name, or list them all."""
    if schema is not None:
        write(json.dumps(SCHEMAS[schema](), indent=2) + "\n")
        return 0
    rulebook = load_rulebook()
    if code is not None and everything:
        raise ConfigError("give a rule or --all, not both")
    if code is not None or everything:
        rules = [rulebook.rule(code)] if code is not None else list(rulebook.rules.values())
        if form == "json":
            described = [_described(one) for one in rules]
            write(json.dumps(described if everything else described[0], indent=2) + "\n")
        else:
            show("\n\n".join(map(_page, rules)).split("\n"))
        return 0
    rows = [
        (
            found.code,
            "P" if found.needs_policy else "",
            found.severity.value,
            found.name,
            found.summary,
            found.fix,
        )
        for found in rulebook.rules.values()
    ]
    show(table(_LISTED, rows, width_of(sys.stdout)))
    show(["", "P: needs a policy.", "`gpu-lint rule CODE` explains a rule."])
    return 0


def _described(rule: Rule) -> dict[str, Any]:
    """A rule as JSON, with the keys of its file."""
    described = {field.name.replace("_", "-"): getattr(rule, field.name) for field in fields(rule)}
    described["severity"] = rule.severity.value
    described["needles"] = sorted(rule.needles)
    described["examples"] = [
        {field.name.replace("_", "-"): getattr(example, field.name) for field in fields(example)}
        for example in rule.examples
    ]
    return described


def _page(rule: Rule) -> str:
    lines = [
        f"# {rule.name} ({rule.code})",
        "",
        f"{rule.summary}",
        "",
        f"Severity: {rule.severity.value}. Fix: {rule.fix}. Since {rule.since}."
        + (" Needs a policy." if rule.needs_policy else ""),
        "",
        "## What it does",
        "",
        rule.what,
        "",
        "## Why is this bad?",
        "",
        rule.why,
        "",
        f"Evidence: {rule.evidence}",
    ]
    for example in rule.examples:
        lines += ["", f"## Example: {example.title}"]
        for name, text in example.files.items():
            lines += _code(text, f"`{name}`:")
        lines += _code(example.bad, "`run.py`:" if example.files else "")
        if example.fixed:
            lines += _code(example.fixed, "`gpu-lint fix` makes it:")
            for name, text in example.fixed_files.items():
                lines += _code(text, f"and `{name}`:")
        elif example.good:
            lines += _code(example.good, "Use instead:")
    return "\n".join(lines)


def _code(text: str, title: str) -> list[str]:
    return [*(["", title] if title else []), "", "```python", text.strip("\n"), "```"]
