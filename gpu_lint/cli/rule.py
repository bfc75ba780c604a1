"""``gpu-lint rule``: what the rules say."""

from __future__ import annotations

import click

from gpu_lint.rulebook import Rule, load_rulebook


@click.command()
@click.argument("code", required=False)
def rule(code: str | None) -> int:
    """Explain a rule by its code or name, or list them all."""
    rulebook = load_rulebook()
    if code is not None:
        click.echo(_page(rulebook.rule(code)))
        return 0
    for found in rulebook.rules.values():
        policy = "P" if found.needs_policy else " "
        click.echo(
            f"{found.code} {policy} {found.severity.value:8} {found.fix:7} "
            f"{found.name}: {found.summary}"
        )
    return 0


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
