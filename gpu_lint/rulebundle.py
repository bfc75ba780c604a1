"""The tables of the files in ``rules/``: their TOML, or the same as JSON, made with a wheel.

Python's TOML parser takes 25 times as long as that of JSON, and a hook should not wait for it. A
checkout has no JSON, so that what is edited there counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from gpu_lint.toml import parse_toml, read_text, read_toml

Table: TypeAlias = "dict[str, Any]"
RULES, KNOWLEDGE = "rules.json", "knowledge.json"


@dataclass(frozen=True)
class RuleFiles:
    """What the files say that came with the package."""

    digest: str
    """SHA-256 over the TOML files."""
    rules: list[Table]
    """One table for each file of rules."""
    knowledge: Callable[[], tuple[list[Table], Table, Table]]
    """Reads the tables of frameworks, that of variables, and that of libraries which no table of
    frameworks describes; most runs need none."""


def read_rule_files(root: Path) -> RuleFiles:
    """The tables of the files in a directory."""
    try:
        made = json.loads((root / RULES).read_bytes())
    except OSError:
        return from_toml(root)

    def knowledge() -> tuple[list[Table], Table, Table]:
        found = json.loads((root / KNOWLEDGE).read_bytes())
        return found["frameworks"], found["variables"], found["libraries"]

    return RuleFiles(made["digest"], made["rules"], knowledge)


def from_toml(root: Path) -> RuleFiles:
    """The tables of the TOML files in a directory."""
    digest = hashlib.sha256()
    rules = []
    for path in sorted(root.glob("GPU*.toml")):
        table, text = read_toml(path)
        digest.update(text.encode())
        rules.append(table)
    paths = [*sorted((root / "frameworks").glob("*.toml")), root / "variables.toml"]
    paths.append(root / "libraries.toml")
    texts = [(path, read_text(path)) for path in paths]
    for _, text in texts:
        digest.update(text.encode())
    digest.update((root / "allocator.toml").read_bytes())

    def knowledge() -> tuple[list[Table], Table, Table]:
        *frameworks, variables, libraries = (parse_toml(text, path) for path, text in texts)
        return frameworks, variables, libraries

    return RuleFiles(digest.hexdigest(), rules, knowledge)


def write_json(root: Path, target: Path) -> list[Path]:
    """Write the JSON of a directory's TOML files into another; the files that were made."""
    found = from_toml(root)
    frameworks, variables, libraries = found.knowledge()
    contents = {
        RULES: {"digest": found.digest, "rules": found.rules},
        KNOWLEDGE: {"frameworks": frameworks, "variables": variables, "libraries": libraries},
    }
    for name, content in contents.items():
        (target / name).write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")
    return [target / name for name in contents]
