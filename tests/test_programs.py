"""Whole programs, each with every finding on it: what ends on another GPU than the policy's, or on
none, is found where it goes wrong, and what is right is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpu_lint.discovery import discover
from gpu_lint.engine import Engine
from gpu_lint.policy import check_table
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import SettingsFinder
from gpu_lint.toml import read_toml
from tests.conftest import VOICE_POLICY

BOOK = load_rulebook()
DATA = Path(__file__).parent / "data" / "programs"
GPU_FILES: dict[str, Any] = {
    **VOICE_POLICY,
    "header": {"required-in": "gpu-files"},
    "validation": {"required-in": "never"},
}
POLICIES: dict[str, dict[str, Any] | None] = {
    "none": None,
    "gpu-files": GPU_FILES,
    "entry-points": {**GPU_FILES, "header": {"required-in": "entry-points"}},
    "children": {
        **GPU_FILES,
        "overrides": [{"paths": ["child.py"], "header": {"required-in": "never"}}],
    },
}
"""What a program is checked against; ``children`` demands nothing of ``child.py``."""
PROGRAMS = [
    pytest.param(program, id=f"{file.stem}/{program['name']}")
    for file in sorted(DATA.glob("*.toml"))
    for program in read_toml(file)[0]["program"]
]


def findings(root: Path, program: dict[str, Any]) -> list[tuple[str, int, str, str]]:
    """The findings on a program that is written below a directory: file, line (from 1), code and
    message of each."""
    policy = POLICIES[program.get("policy", "gpu-files")]
    for name, text in program["files"].items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    keys = check_table(policy or {}, lambda code: bool(BOOK.matching(code)))
    finder = SettingsFinder(BOOK, config_keys=keys, isolated=True, root=root)
    discovered = discover([root], finder)
    run = Engine(finder).check(discovered.files)
    assert discovered.troubles + run.troubles == []
    return sorted(
        (
            result.path.relative_to(root).as_posix(),
            result.source.row(one.span.start),
            one.code,
            one.message,
        )
        for result in run.files
        for one in result.findings
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_is_judged_by_where_it_ends(tmp_path: Path, program: dict[str, Any]) -> None:
    found = [f"{file}:{line} {code}" for file, line, code, _ in findings(tmp_path, program)]
    assert found == program["found"]


def test_a_program_is_named_once() -> None:
    names = [program.id for program in PROGRAMS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("header-guards/hd-async-not-awaited", "nothing is shown to run setup() before `torch.z"),
        ("header-guards/hd-thread-not-started", "nothing is shown to run setup() before `torch.z"),
        ("header-guards/hd-async-create-task", "`torch.zeros()` on line 16 has already fixed"),
        ("children/ch-env-order-dropped", "without CUDA_DEVICE_ORDER: the mask may mean another"),
        ("children/ch-env-order-fastest", "=FASTEST_FIRST, not PCI_BUS_ID: the mask may mean"),
        ("children/ch-unknown-env", "the mask of the child is not known; the policy demands '1'"),
        ("overwrite/ow-putenv-bytes", "but not os.environ, by which PyTorch counts the GPUs"),
    ],
)
def test_the_message_says_what_happens(tmp_path: Path, name: str, said: str) -> None:
    (program,) = (one.values[0] for one in PROGRAMS if one.id == name)
    assert any(said in message for _, _, _, message in findings(tmp_path, program))
