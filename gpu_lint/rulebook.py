"""What we know: rules, framework tables and templates, read from the TOML files in ``rules/``.

The files are data; nothing in them is executed. In a checkout they stand beside the package,
in a wheel inside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from gpu_lint.errors import ConfigError
from gpu_lint.facts.knowledge import Api, DeviceArgument, Framework, Knowledge
from gpu_lint.toml import read_toml


class Severity(str, Enum):
    """How bad a finding is. ``off`` rules run only where they are selected by name."""

    ERROR = "error"
    WARNING = "warning"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Example:
    """A program that breaks a rule, one that does not, and what a fix makes of the first."""

    title: str
    bad: str
    good: str
    fixed: str
    files: dict[str, str]
    """Other files of the project, by their paths; the example itself is ``run.py``."""
    fixed_files: dict[str, str]
    """What a fix makes of those that it changes."""
    lines: tuple[int, ...]
    policy: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of the catalogue."""

    code: str
    name: str
    severity: Severity
    summary: str
    what: str
    why: str
    evidence: str
    needs_policy: bool
    fix: str
    since: str
    check: str
    needles: frozenset[str]
    """What a file must show for the rule to speak of it: names of :class:`Touch`; ``policy`` for
    whatever a policy may demand a header or a validator of; ``read`` for every file that is read
    for some other reason."""
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Rulebook:
    """Everything in ``rules/``."""

    root: Path
    rules: dict[str, Rule]
    knowledge: Knowledge
    digest: str
    """SHA-256 over the files read."""

    @cached_property
    def codes(self) -> tuple[str, ...]:
        return tuple(sorted(self.rules))

    def rule(self, code: str) -> Rule:
        """The rule of a code (``GPU101``) or name (``missing-visible-devices``)."""
        wanted = code.strip()
        for rule in self.rules.values():
            if wanted.upper() == rule.code or wanted.lower() == rule.name:
                return rule
        raise ConfigError(f"there is no rule {code!r}; `gpu-lint rule` lists them")

    def matching(self, prefix: str) -> tuple[str, ...]:
        """The codes that a selector such as ``GPU1`` or ``ALL`` stands for, perhaps none."""
        if prefix == "ALL":
            return self.codes
        by_name = [rule.code for rule in self.rules.values() if rule.name == prefix]
        return tuple(by_name) or tuple(c for c in self.codes if prefix and c.startswith(prefix))

    def template(self, name: str) -> str:
        """The text of a built-in template."""
        if name not in self._templates:
            self._templates[name] = (self.root / "templates" / name).read_text(encoding="utf-8")
        return self._templates[name]

    @cached_property
    def _templates(self) -> dict[str, str]:
        return {}


def rules_directory() -> Path:
    """Where ``rules/`` is: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    for candidate in (package / "rules", package.parent / "rules"):
        if (candidate / "frameworks").is_dir():
            return candidate
    raise ConfigError(f"{package}: the rule files are missing; install gpu-lint again")


@cache
def load_rulebook() -> Rulebook:
    """Read the built-in rulebook, once per process."""
    root = rules_directory()
    digest = hashlib.sha256()
    rules: dict[str, Rule] = {}
    frameworks: list[Framework] = []
    for path in sorted(root.glob("GPU*.toml")):
        table, text = read_toml(path)
        digest.update(text.encode())
        for rule in rules_of(table, path):
            rules[rule.code] = rule
    for path in sorted((root / "frameworks").glob("*.toml")):
        table, text = read_toml(path)
        digest.update(text.encode())
        frameworks.append(framework_of(table, path))
    return Rulebook(root, rules, Knowledge.of(tuple(frameworks)), digest.hexdigest())


_MALFORMED = (KeyError, TypeError, AttributeError, ValueError)


def rules_of(table: dict[str, Any], path: Path) -> tuple[Rule, ...]:
    """The rules in the table of a rule file. Raises :class:`ConfigError`."""
    try:
        return tuple(_rules(table))
    except _MALFORMED as error:
        raise ConfigError(f"{path}: {_what_is_wrong(error)}") from error


def framework_of(table: dict[str, Any], path: Path) -> Framework:
    """The framework in the table of a framework file. Raises :class:`ConfigError`."""
    try:
        return _framework(table)
    except _MALFORMED as error:
        raise ConfigError(f"{path}: {_what_is_wrong(error)}") from error


def _what_is_wrong(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"the key {error} is missing"
    return f"a key is of the wrong type, or has a value that is not accepted ({error})"


def _rules(table: dict[str, Any]) -> Iterator[Rule]:
    policies: dict[str, dict[str, Any]] = table.get("policy", {})
    for entry in table["rule"]:
        examples = tuple(
            Example(
                title=example["title"],
                bad=example["bad"],
                good=example.get("good", ""),
                fixed=example.get("fixed", ""),
                files=example.get("files", {}),
                fixed_files=example.get("fixed-files", {}),
                lines=tuple(example.get("lines", ())),
                policy=policies[example["policy"]] if "policy" in example else {},
            )
            for example in entry.get("examples", ())
        )
        yield Rule(
            code=entry["code"],
            name=entry["name"],
            severity=Severity(entry["severity"]),
            summary=entry["summary"],
            what=entry["what"].strip(),
            why=entry["why"].strip(),
            evidence=entry["evidence"],
            needs_policy=entry.get("needs-policy", False),
            fix=entry["fix"],
            since=entry["since"],
            check=entry["check"],
            needles=frozenset(entry["needles"]),
            examples=examples,
        )


def _framework(table: dict[str, Any]) -> Framework:
    head = table["framework"]
    name = head["name"]
    apis = tuple(api for row in table.get("api", ()) for api in _apis(row, name))
    return Framework(
        name=name,
        modules=tuple(head["modules"]),
        uses_pytorch=head["pytorch"],
        uses_mask=head.get("uses-mask", True),
        import_freezes=head["import-freezes"],
        reexports=head["reexports"],
        submodules=tuple(head.get("submodules", ())),
        apis=apis,
        checked_against=head["checked-against"],
        evidence=head["evidence"],
    )


def _apis(row: dict[str, Any], framework: str) -> Iterator[Api]:
    devices = tuple(
        DeviceArgument(
            kind=device["kind"],
            position=device.get("position"),
            keyword=device.get("keyword"),
            after=device.get("after"),
        )
        for device in row.get("devices", ())
    )
    unless = row.get("unless")
    for name in row["names"]:
        yield Api(
            name=name,
            framework=framework,
            method=row.get("method", False),
            devices=devices,
            freezes=row.get("freezes", "never"),
            allocates=row.get("allocates", "never"),
            counts=row.get("counts", ""),
            returns=row.get("returns", ""),
            unless=(unless["variable"], unless["value"]) if unless else None,
            evidence=row["evidence"],
        )
