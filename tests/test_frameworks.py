"""The rows of ``rules/frameworks``: each has a program with a fault that it tells of, and one
without, under the mask ``1``."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from gpu_lint import allocator
from gpu_lint.allocator import Release
from gpu_lint.engine import Engine
from gpu_lint.facts.knowledge import Api, Knowledge
from gpu_lint.policy import check_table
from gpu_lint.rulebook import Rulebook, framework_of, load_rulebook, rules_of, variables_of
from gpu_lint.rulefiles import ALLOCATOR_FILE, SCHEMAS, check_file
from gpu_lint.settings import SettingsFinder
from gpu_lint.toml import read_toml
from tests.conftest import ROOT, check_text, codes, write_files

BOOK = load_rulebook()
FILES = sorted((ROOT / "rules" / "frameworks").glob("*.toml"))
POLICY = {
    "gpu": {"visible-devices": "1", "device-order": "PCI_BUS_ID"},
    "header": {"required-in": "never"},
    "validation": {"required-in": "never"},
}
TELLING = {"GPU107", "GPU201", "GPU202", "GPU203", "GPU204", "GPU207"}
"""The rules that a row can make speak."""
MEANS_THE_SAME = {
    "sentence_transformers.SentenceTransformer",
    "stanza.Pipeline",
    "paddleocr.PaddleOCR",
}
"""Rows whose only argument is ``device=``, which is read of any call alike."""


def rows() -> list[Api]:
    """One row for each place in the tables."""
    found: dict[tuple[str, str, str], Api] = {}
    for framework in BOOK.knowledge.frameworks:
        for api in framework.apis:
            found.setdefault((api.framework, api.bad, api.evidence), api)
    return list(found.values())


def name_of(row: Api) -> str:
    return f"{row.framework}-{row.name}"


def told(tmp_path: Path, program: str, book: Rulebook = BOOK) -> list[tuple[str, int]]:
    """The findings in a program, under the policy that demands the mask ``1``."""
    paths = write_files(tmp_path, {"run.py": program})
    keys = check_table(POLICY, lambda code: True)
    run = Engine(SettingsFinder(book, config_keys=keys, isolated=True)).check(paths, paths)
    found = [one for file in run.files for one in codes(file)]
    return [one for one in found if one[0] in TELLING]


@pytest.mark.parametrize("row", rows(), ids=name_of)
def test_the_bad_example_of_a_row_is_found_and_the_good_one_is_not(
    row: Api, tmp_path: Path
) -> None:
    assert row.bad, "every row has a program with a fault"
    assert row.good, "every row has a program without one"
    assert len(told(tmp_path, row.bad)) == 1
    assert told(tmp_path, row.good) == []


def speaks(row: Api) -> bool:
    """Whether a row by itself makes something a fault; the others say what a call is not."""
    return bool(row.devices or row.returns) or "never" not in (row.freezes, "")


@pytest.mark.parametrize("row", list(filter(speaks, rows())), ids=name_of)
def test_without_the_row_its_bad_example_is_not_found(row: Api, tmp_path: Path) -> None:
    if row.name in MEANS_THE_SAME:
        pytest.skip("the general reading of device= finds it, too")
    frameworks = tuple(
        replace(f, apis=tuple(a for a in f.apis if (a.bad, a.evidence) != (row.bad, row.evidence)))
        for f in BOOK.knowledge.frameworks
    )
    book = replace(BOOK)
    vars(book)["knowledge"] = Knowledge.of(frameworks)
    assert told(tmp_path, row.bad, book) == []


@pytest.mark.parametrize("row", rows(), ids=name_of)
def test_the_bad_example_of_a_row_calls_one_of_its_names(row: Api) -> None:
    framework = next(f for f in BOOK.knowledge.frameworks if f.name == row.framework)
    same = [a.name for a in framework.apis if (a.bad, a.evidence) == (row.bad, row.evidence)]
    words = {name.removesuffix(".__call__").rpartition(".")[2] for name in same}
    assert any(re.search(rf"\b{word}\b", row.bad) for word in words)


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


def test_the_file_of_variables_is_well_formed() -> None:
    path = ROOT / "rules" / "variables.toml"
    table, text = read_toml(path)
    assert {one.name for one in variables_of(table, path, text)} >= {"HIP_VISIBLE_DEVICES"}
    jsonschema.validate(table, SCHEMAS["variable"]())


ALLOCATOR = json.loads((ROOT / "rules" / "evidence" / "alloc_versions.json").read_text("utf-8"))
NOT_ITS_GRAMMAR = re.compile(r"backend:cudaMallocAsync|max_split_size_mb(=1024|:?|:1024[; ].*)")
"""Of the values that were probed: a backend that takes effect when PyTorch is imported alone, and
what releases before 2.0 pass over, but nobody means."""


def test_the_file_of_allocator_keys_is_well_formed() -> None:
    path = ROOT / "rules" / "allocator.toml"
    table, _ = read_toml(path)
    check_file(table, ALLOCATOR_FILE)
    jsonschema.validate(table, SCHEMAS["allocator"]())
    assert table["releases"] == [name.rpartition(".")[0] for name in ALLOCATOR["releases"]]
    assert [key["name"] for key in table["key"]] == sorted(allocator.keys())


@pytest.mark.parametrize("release", ALLOCATOR["releases"])
def test_an_allocator_setting_is_right_where_the_release_accepts_it(release: str) -> None:
    measured = ALLOCATOR["releases"][release]
    wrong = [
        (value, said, found)
        for value, said in measured.items()
        if not NOT_ITS_GRAMMAR.fullmatch(value)
        and (said == "accepted") == bool(found := allocator.fault(value, Release.of(release)))
    ]
    assert wrong == []
    assert len(measured) > 90


def test_without_a_release_a_setting_is_right_that_any_accepts() -> None:
    values = next(iter(ALLOCATOR["releases"].values()))
    for value in values:
        if not NOT_ITS_GRAMMAR.fullmatch(value):
            taken = [r for r, said in ALLOCATOR["releases"].items() if said[value] == "accepted"]
            assert bool(taken) == (allocator.fault(value) == ""), value


@pytest.mark.parametrize(
    ("value", "release", "meant"),
    [
        ("expandable_segments:true", None, "expandable_segments:True"),
        ("Backend=CUDAMallocAsync", None, "backend:cudaMallocAsync"),
        ("max_split_size:512", None, "max_split_size_mb:512"),
        ("max_split_size_mb:512,", None, None),
        ("expandable_segments:true", "2.0", None),
        ("max_split_size_mb:5", None, None),
        ("nonsense", None, None),
    ],
)
def test_an_allocator_setting_is_put_right_where_it_is_certain(
    value: str, release: str | None, meant: str | None
) -> None:
    assert allocator.correction(value, Release.of(release or "")) == meant


@pytest.mark.parametrize(
    "value", ["", ",", "a", "a:b:c", ":1", "[", "a:[1,2", "a:" + "9" * 5000, "é:1"]
)
def test_any_text_is_read_as_an_allocator_setting(value: str) -> None:
    assert isinstance(allocator.fault(value), str)
    assert allocator.correction(value) is None or value


VALUES = [
    ("TF_FORCE_GPU_ALLOW_GROWTH", "true", None),
    ("TF_FORCE_GPU_ALLOW_GROWTH", "True", None),
    ("TF_FORCE_GPU_ALLOW_GROWTH", "1", "true"),
    ("TF_FORCE_GPU_ALLOW_GROWTH", "perhaps", ""),
    ("XLA_PYTHON_CLIENT_PREALLOCATE", "false", None),
    ("XLA_PYTHON_CLIENT_PREALLOCATE", "FALSE", "false"),
    ("XLA_PYTHON_CLIENT_MEM_FRACTION", ".75", None),
    ("XLA_PYTHON_CLIENT_MEM_FRACTION", "75%", ""),
    ("XLA_CLIENT_MEM_FRACTION", "1.5", ""),
    ("XLA_PYTHON_CLIENT_ALLOCATOR", "platform", None),
    ("XLA_PYTHON_CLIENT_ALLOCATOR", "Platform", None),
    ("XLA_PYTHON_CLIENT_ALLOCATOR", "cuda_malloc", ""),
    ("HIP_VISIBLE_DEVICES", "0,1", None),
    ("HIP_VISIBLE_DEVICES", "", None),
    ("HIP_VISIBLE_DEVICES", "-1", None),
    ("HIP_VISIBLE_DEVICES", "cuda:0", ""),
    ("ROCR_VISIBLE_DEVICES", "0,GPU-4b2c1a9f-190c-4100-7a9b-3c0a5a0e0001", ""),
    ("ROCR_VISIBLE_DEVICES", "0,GPU-4b2c1a9f190c", None),
    ("ZE_AFFINITY_MASK", "0.1,1", None),
    ("ZE_AFFINITY_MASK", "gpu0", ""),
    ("NVIDIA_VISIBLE_DEVICES", "all", None),
    ("NVIDIA_VISIBLE_DEVICES", "0:1", None),
    ("NVIDIA_VISIBLE_DEVICES", "gpu0", ""),
]


@pytest.mark.parametrize(("name", "value", "meant"), VALUES)
def test_what_a_variable_accepts(name: str, value: str, meant: str | None) -> None:
    """``meant`` is None for a value that is accepted, else the correction, if there is one."""
    found = check_text(f'import os\n\nos.environ["{name}"] = "{value}"\n')
    assert codes(found) == ([] if meant is None else [("GPU112", 3)])
    if meant is not None:
        fix = found.findings[0].fix
        assert (fix.edits[0].content if fix else "") == (f'"{meant}"' if meant else "")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("TF_FORCE_GPU_ALOW_GROWTH", True),
        ("XLA_PYTHON_CLIENT_PREALOCATE", True),
        ("HIP_VISIBLE_DEVICE", True),
        ("xla_python_client_mem_fraction", True),
        ("TF_GPU_ALLOCATOR", False),
        ("XLA_FLAGS", False),
        ("MY_XLA_PYTHON_CLIENT_PREALLOCATE", False),
    ],
)
def test_a_name_that_is_nearly_that_of_a_variable(name: str, found: bool) -> None:
    told = check_text(f'import os\n\nos.environ["{name}"] = "true"\n')
    assert [code for code, _ in codes(told)] == (["GPU114"] if found else [])


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_shipped_schemas_are_those_of_the_fields(kind: str) -> None:
    shipped = json.loads((ROOT / "rules" / f"{kind}.schema.json").read_text("utf-8"))
    assert shipped == SCHEMAS[kind]()
    jsonschema.Draft202012Validator.check_schema(shipped)
