"""What programs do to their environment: writers, mappings, removals, and what may replace a mask."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpu_lint.facts.dotenv import entries_of
from gpu_lint.facts.values import text_of
from gpu_lint.toml import read_toml
from tests.conftest import VOICE_POLICY, check_files, run_cli

CASES, _ = read_toml(Path(__file__).parent / "data" / "environment.toml")
POLICY: dict[str, Any] = {
    **VOICE_POLICY,
    "header": {"required-in": "gpu-files"},
    "validation": {"required-in": "never"},
}
HEADER = """\
import os
os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
os.environ["CUDA_VISIBLE_DEVICES"] = "1"
os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "max_split_size_mb:1024"
import torch
"""
USE = 'torch.zeros(1, device="cuda")\n'


def cases(kind: str) -> Any:
    """The cases of a kind, as parameters."""
    return [pytest.param(case, id=case["name"]) for case in CASES[kind]]


def found(
    tmp_path: Path, files: dict[str, str], policy: dict[str, Any] | None, behind: int = 0
) -> str:
    """What is found in some files: each code with its line from one, of a file alone ``behind`` its
    first lines; and the file's name where there are several and it is not ``run.py``."""
    told = set()
    for name, result in check_files(tmp_path, files, policy).items():
        shown = "" if len(files) == 1 or name == "run.py" else name.removesuffix(".py") + ":"
        for finding in result.findings:
            row = result.source.row(finding.span.start) - behind
            told.add((shown, row, finding.code))
    return " ".join(f"{shown}{code}@{row}" for shown, row, code in sorted(told))


@pytest.mark.parametrize("case", cases("replaced"))
def test_what_replaces_or_removes_the_header_is_found(tmp_path: Path, case: Any) -> None:
    files = {"run.py": HEADER + case["text"] + USE}
    assert found(tmp_path, files, POLICY, behind=5) == case["found"]
    assert found(tmp_path, files, None, behind=5) == case["without"]


@pytest.mark.parametrize("case", cases("kept"))
def test_what_leaves_the_header_alone_is_silent(tmp_path: Path, case: Any) -> None:
    files = {"run.py": HEADER + case["text"] + USE}
    assert found(tmp_path, files, POLICY) == ""
    assert found(tmp_path, files, None) == ""


@pytest.mark.parametrize("case", cases("headers"))
def test_a_header_is_right_however_it_is_written(tmp_path: Path, case: Any) -> None:
    assert found(tmp_path, {"run.py": case["text"] + USE}, POLICY) == ""


@pytest.mark.parametrize("case", cases("values"))
def test_a_value_that_may_have_been_replaced_is_not_known(tmp_path: Path, case: Any) -> None:
    assert found(tmp_path, {"run.py": case["text"]}, POLICY) == case["found"]


@pytest.mark.parametrize("case", cases("by_helpers"))
def test_what_a_helper_of_another_file_does_is_found(tmp_path: Path, case: Any) -> None:
    assert found(tmp_path, case["files"], POLICY) == case["found"]
    assert found(tmp_path, case["files"], None) == case["without"]


@pytest.mark.parametrize("case", cases("right"))
def test_programs_close_to_wrong_ones_are_silent(tmp_path: Path, case: Any) -> None:
    assert found(tmp_path, case["files"], POLICY) == ""
    assert found(tmp_path, case["files"], None) == ""


@pytest.mark.parametrize("case", cases("tests"))
def test_what_a_test_patches_counts_if_the_gpu_is_used_in_it(tmp_path: Path, case: Any) -> None:
    files = {"test_a.py": HEADER + case["text"]}
    assert found(tmp_path, files, POLICY, behind=5) == case["found"]
    assert found(tmp_path, files, None, behind=5) == case["without"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\n", {"A": "1"}),
        ("export A = 1 # c\r\nB=2", {"A": "1", "B": "2"}),
        ("# A=1\nA\nB=\n", {"B": ""}),
        ("A='x # y'\nB=\"z\"#c\n", {"A": "x # y", "B": "z"}),
        ("A=#x\nB= #x\n", {"A": "#x", "B": ""}),
        ("A=x=y\nA=2\n", {"A": "2"}),
        ('A="several\nlines"\nB=$C\n', {"A": "several\nlines", "B": "$C"}),
        ("A=${B}\n", {"A": None}),
    ],
)
def test_a_dotenv_file_is_read_as_python_dotenv_does(
    text: str, expected: dict[str, str | None]
) -> None:
    entries = entries_of(text.encode()).entries
    assert {text_of(key): text_of(value) for key, value in entries} == expected


@pytest.mark.parametrize(
    "path",
    ["", "Path(__file__).parent / '.env', ", "os.path.join(os.path.dirname(__file__), '.env'), "],
)
def test_what_is_found_depends_on_the_dotenv_file(
    path: str, project: Callable[[dict[str, str]], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    load = "from pathlib import Path\nfrom dotenv import load_dotenv\n"
    load += f"load_dotenv({path}override=True)\n"
    root = project({"run.py": HEADER + load + USE, ".env": "HF_TOKEN=1\n"})
    monkeypatch.chdir(root)
    assert run_cli("check").exit_code == 0
    (root / ".env").write_text("CUDA_VISIBLE_DEVICES=0\n")
    assert "GPU111" in run_cli("check").stdout
