"""The rows of ``rules/frameworks``: each has a program with a fault that it tells of, and one
without, under the mask ``1``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from gpu_lint.facts.knowledge import Api
from gpu_lint.rulebook import framework_of, load_rulebook, rules_of
from gpu_lint.rulefiles import SCHEMAS
from gpu_lint.toml import read_toml
from tests.conftest import ROOT, check_files, codes

BOOK = load_rulebook()
FILES = sorted((ROOT / "rules" / "frameworks").glob("*.toml"))
POLICY = {
    "gpu": {"visible-devices": "1", "device-order": "PCI_BUS_ID"},
    "header": {"required-in": "never"},
    "validation": {"required-in": "never"},
}
TELLING = {"GPU107", "GPU201", "GPU202", "GPU203", "GPU204", "GPU207"}
"""The rules that a row can make speak."""


def rows() -> list[Api]:
    """One row for each place in the tables."""
    found: dict[tuple[str, str, str], Api] = {}
    for framework in BOOK.knowledge.frameworks:
        for api in framework.apis:
            found.setdefault((api.framework, api.bad, api.evidence), api)
    return list(found.values())


def told(tmp_path: Path, program: str) -> list[tuple[str, int]]:
    """The findings in a program, under the policy that demands the mask ``1``."""
    found = check_files(tmp_path, {"run.py": program}, POLICY)["run.py"]
    return [one for one in codes(found) if one[0] in TELLING]


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.framework}-{row.name}")
def test_the_bad_example_of_a_row_is_found_and_the_good_one_is_not(
    row: Api, tmp_path: Path
) -> None:
    assert row.bad, "every row has a program with a fault"
    assert row.good, "every row has a program without one"
    assert len(told(tmp_path, row.bad)) == 1
    assert told(tmp_path, row.good) == []


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.framework}-{row.name}")
def test_without_the_row_its_bad_example_says_nothing(row: Api, tmp_path: Path) -> None:
    """The example shows this row, not another."""
    words = {api.name.rpartition(".")[2] for api in same_place(row)}
    assert any(re.search(rf"\b{word}\b", row.bad) for word in words)


def same_place(row: Api) -> list[Api]:
    """The names of one row."""
    framework = next(f for f in BOOK.knowledge.frameworks if f.name == row.framework)
    return [api for api in framework.apis if (api.bad, api.evidence) == (row.bad, row.evidence)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_framework_file_is_well_formed_and_says_where_its_rows_are_from(path: Path) -> None:
    table, text = read_toml(path)
    framework = framework_of(table, path, text)
    jsonschema.validate(table, SCHEMAS["framework"]())
    assert framework.checked_against
    assert framework.evidence
    assert all(api.evidence for api in framework.apis)


@pytest.mark.parametrize("path", sorted((ROOT / "rules").glob("GPU*.toml")), ids=lambda p: p.stem)
def test_a_rule_file_is_well_formed(path: Path) -> None:
    table, text = read_toml(path)
    assert rules_of(table, path, text)
    jsonschema.validate(table, SCHEMAS["rule"]())


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_shipped_schemas_are_those_of_the_fields(kind: str) -> None:
    shipped = json.loads((ROOT / "rules" / f"{kind}.schema.json").read_text("utf-8"))
    assert shipped == SCHEMAS[kind]()
    jsonschema.Draft202012Validator.check_schema(shipped)
