"""What we know: rules, framework tables and templates, read from the TOML files in ``rules/``.

The files are data; nothing in them is executed. In a checkout they stand beside the package,
in a wheel inside it. A project's own rule packs have the form of framework files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from gpu_lint.errors import ConfigError, Problem
from gpu_lint.facts.knowledge import Api, DeviceArgument, Framework, Knowledge
from gpu_lint.records import record
from gpu_lint.rulebundle import RuleFiles, read_rule_files
from gpu_lint.rulefiles import (
    FRAMEWORK_FILE,
    RULE_FILE,
    VARIABLE_FILE,
    check_file,
    check_pack,
)
from gpu_lint.toml import located, parse_toml
from gpu_lint.variables import Variable

_PYTORCH = "torch"
"""The key of the libraries that bring PyTorch in."""


class Severity(str, Enum):
    """How bad a finding is. ``off`` rules run only where they are selected by name."""

    ERROR = "error"
    WARNING = "warning"
    OFF = "off"


@record
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


@record
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


@record
class Pack:
    """A rule pack of a project, as it was read."""

    path: str
    text: str


@dataclass(frozen=True)
class Rulebook:
    """Everything in ``rules/``."""

    root: Path
    rules: dict[str, Rule]
    digest: str
    """SHA-256 over the files read."""
    files: RuleFiles
    base: Rulebook | None = None
    """What this was extended from."""
    own: tuple[Framework, ...] = ()
    """What it was extended with."""

    @cached_property
    def knowledge(self) -> Knowledge:
        """What is known of frameworks and variables; a run that finds nothing new needs none."""
        if self.base is not None:
            return self.base.knowledge.with_own(self.own)
        frameworks, variables, libraries = self.files.knowledge()
        return Knowledge.of(
            tuple(map(_framework, frameworks)),
            tuple(map(_variable, variables["variable"])),
            tuple(_libraries(libraries)),
        )

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

    def with_packs(self, packs: tuple[Pack, ...]) -> Rulebook:
        """This, with what a project's rule packs describe; made once for the same packs.

        Raises :class:`ConfigError` that names file, line and key.
        """
        if not packs:
            return self
        if packs not in self._extended:
            digest = hashlib.sha256(self.digest.encode())
            for pack in packs:
                digest.update(repr(pack).encode())
            own = tuple(map(pack_of, packs))
            extended = replace(self, digest=digest.hexdigest(), base=self, own=own)
            self._extended[packs] = extended
        return self._extended[packs]

    @cached_property
    def _extended(self) -> dict[tuple[Pack, ...], Rulebook]:
        return {}

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
    files = read_rule_files(root)
    rules = {rule.code: rule for table in files.rules for rule in _trusted_rules(table)}
    return Rulebook(root, dict(sorted(rules.items())), files.digest, files)


def variables_of(table: dict[str, Any], path: Path, text: str) -> tuple[Variable, ...]:
    """The variables in the table of a file. Raises :class:`ConfigError`."""
    with _located(path, text):
        check_file(table, VARIABLE_FILE)
    return tuple(map(_variable, table["variable"]))


def _variable(entry: dict[str, Any]) -> Variable:
    return Variable(
        name=entry["name"],
        accepts=entry["accepts"],
        choices=tuple(entry.get("choices", ())),
        ignores_case=entry.get("ignores-case", False),
        read_by=entry["read-by"],
        otherwise=entry["otherwise"],
        evidence=entry["evidence"],
    )


def _trusted_rules(table: dict[str, Any]) -> Iterator[Rule]:
    """The rules of a file of ours, which a test has checked."""
    return (_rule(entry, table.get("policy", {})) for entry in table["rule"])


def rules_of(table: dict[str, Any], path: Path, text: str) -> tuple[Rule, ...]:
    """The rules in the table of a rule file. Raises :class:`ConfigError`."""
    with _located(path, text):
        check_file(table, RULE_FILE)
    policies: dict[str, dict[str, Any]] = table.get("policy", {})
    return tuple(_rule(entry, policies) for entry in table["rule"])


def framework_of(table: dict[str, Any], path: Path, text: str) -> Framework:
    """The framework in the table of a framework file. Raises :class:`ConfigError`."""
    with _located(path, text):
        check_file(table, FRAMEWORK_FILE)
    return _framework(table)


def pack_of(pack: Pack) -> Framework:
    """What a project's rule pack describes. Raises :class:`ConfigError`."""
    path = Path(pack.path)
    table = parse_toml(pack.text, path)
    with _located(path, pack.text):
        check_pack(table)
    return _framework(table)


@contextmanager
def _located(path: Path, text: str) -> Iterator[None]:
    """Say where a key stands that cannot be obeyed."""
    try:
        yield
    except Problem as problem:
        raise located(problem, path, text) from problem


def _rule(entry: dict[str, Any], policies: dict[str, dict[str, Any]]) -> Rule:
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
        for example in entry["examples"]
    )
    return Rule(
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
        uses_pytorch=head.get("pytorch", False),
        uses_mask=head.get("uses-mask", True),
        import_freezes=head.get("import-freezes", False),
        reexports=head.get("reexports", False),
        submodules=tuple(head.get("submodules", ())),
        apis=apis,
        checked_against=head.get("checked-against", ""),
        evidence=head.get("evidence", ""),
    )


def _libraries(table: dict[str, list[str]]) -> Iterator[Framework]:
    """The libraries of a table that names them by the frameworks that they bring in."""
    with_pytorch = frozenset(table[_PYTORCH])
    for module in sorted({module for modules in table.values() for module in modules}):
        yield Framework.undescribed(module, uses_pytorch=module in with_pytorch)


def _apis(row: dict[str, Any], framework: str) -> Iterator[Api]:
    devices = tuple(
        DeviceArgument(
            kind=device["kind"],
            position=device.get("position"),
            keyword=device.get("keyword"),
            key=device.get("key"),
            after=device.get("after"),
            variable=device.get("variable"),
        )
        for device in row.get("devices", ())
    )
    unless = row.get("unless")
    for name in row["names"]:
        yield Api(
            name=name,
            framework=framework,
            method=row.get("method", False),
            attribute=row.get("attribute", False),
            devices=devices,
            freezes=row.get("freezes", "never"),
            allocates=row.get("allocates", "never"),
            counts=row.get("counts", ""),
            returns=row.get("returns", ""),
            unless=(unless["variable"], unless["value"]) if unless else None,
            physical=row.get("numbering") == "physical",
            versions=row.get("versions", ""),
            evidence=row.get("evidence", ""),
            bad=row.get("bad", "").lstrip("\n"),
            good=row.get("good", "").lstrip("\n"),
        )
