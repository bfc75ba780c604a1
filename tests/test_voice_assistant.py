"""The main job: the 40 files of the voice assistant, checked and migrated."""

from __future__ import annotations

import ast
import io
import json
import shutil
import subprocess
import sys
import tokenize
from collections import Counter
from pathlib import Path

import pytest

from gpu_lint.discovery import discover
from gpu_lint.engine import Engine, Run
from gpu_lint.findings import Applicability, FileFindings
from gpu_lint.journal import Journal
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import SettingsFinder
from gpu_lint.writing import Writing
from tests.conftest import ROOT

BEFORE = ROOT / "fixtures" / "superwhisper" / "before"
AFTER = ROOT / "fixtures" / "superwhisper" / "after"
NAMES = sorted(path.relative_to(BEFORE).as_posix() for path in BEFORE.rglob("*.py"))


def run(directory: Path, *, fix: bool = False) -> Run:
    finder = SettingsFinder(load_rulebook())
    files = discover([directory], finder).files
    engine = Engine(finder)
    if not fix:
        return engine.check(files)
    return engine.fix(files, unsafe=False, writing=Writing(Journal(directory.parent / "state")))


@pytest.fixture(scope="module")
def before() -> dict[str, FileFindings]:
    return {r.path.relative_to(BEFORE).as_posix(): r for r in run(BEFORE).files}


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("migration") / "project"
    shutil.copytree(BEFORE, copy)
    run(copy, fix=True)
    return copy


def found(result: FileFindings) -> set[tuple[str, str]]:
    """(code, stripped text of the line) of every finding."""
    return {
        (f.code, result.source.line(result.source.row(f.span.start)).strip())
        for f in result.findings
    }


def test_the_project_has_forty_files() -> None:
    assert len(NAMES) == 40


def test_every_file_but_the_one_with_all_three_variables_lacks_something(
    before: dict[str, FileFindings],
) -> None:
    header_codes = {"GPU101", "GPU102", "GPU103", "GPU105", "GPU107", "GPU108"}
    lacking = {n for n, r in before.items() if header_codes & {f.code for f in r.findings}}
    assert set(NAMES) - lacking == {"validate_gpu_config.py"}


@pytest.mark.parametrize(
    ("name", "code", "line"),
    [
        ("STT/vad_manager_optimized.py", "GPU201", 'target_device = "cuda:1"'),
        ("STT/vad_manager_optimized.py", "GPU201", "torch.cuda.set_device(1)"),
        ("STT/vad_manager_optimized.py", "GPU203", "if torch.cuda.device_count() < 2:"),
        ("test_cuda_debug.py", "GPU107", "os.environ['CUDA_VISIBLE_DEVICES'] = '1'"),
        ("test_validation_decouverte.py", "GPU107", "os.environ['CUDA_VISIBLE_DEVICES'] = '1'"),
        ("test_cuda.py", "GPU108", "os.environ['CUDA_VISIBLE_DEVICES'] = '1'"),
        (
            "TTS/tts_handler_piper_fixed.py",
            "GPU108",
            "os.environ['CUDA_DEVICE_ORDER'] = 'PCI_BUS_ID'",
        ),
        ("test_correction_validation_1.py", "GPU102", "os.environ['CUDA_VISIBLE_DEVICES'] = '0'"),
        ("LLM/llm_manager_enhanced.py", "GPU101", "from llama_cpp import Llama"),
        ("test_espeak_french.py", "GPU301", 'if __name__ == "__main__":'),
        ("validate_gpu_config.py", "GPU303", "def validate_rtx3090_configuration():"),
    ],
)
def test_fault_is_found_on_its_line(
    before: dict[str, FileFindings], name: str, code: str, line: str
) -> None:
    assert any(c == code and text.startswith(line) for c, text in found(before[name]))


def test_strings_that_are_compared_or_searched_for_are_no_selectors(
    before: dict[str, FileFindings],
) -> None:
    selectors = {
        (name, line) for name, r in before.items() for code, line in found(r) if code == "GPU201"
    }
    assert selectors == {
        ("STT/vad_manager_optimized.py", 'target_device = "cuda:1"'),
        ("STT/vad_manager_optimized.py", "torch.cuda.set_device(1)"),
    }


def test_fix_leaves_nothing_that_has_a_safe_fix(migrated: Path) -> None:
    left = [f for result in run(migrated).files for f in result.findings]
    assert [f for f in left if f.fix and f.fix.applicability is Applicability.SAFE] == []
    assert Counter(f.code for f in left) == {"GPU107": 2, "GPU118": 2, "GPU203": 1, "GPU301": 3}


REMOVING = [
    "test_cuda_debug.py",
    "test_validation_decouverte.py",
    "test_validation_rtx3090_detection.py",
    "test_validation_stt_manager_robust.py",
    "test_validation_tts_performance.py",
]


def test_every_header_is_safe_also_where_the_mask_is_removed(
    before: dict[str, FileFindings],
) -> None:
    assert [n for n, r in before.items() if "GPU118" in {f.code for f in r.findings}] == REMOVING
    unsafe = [
        (name, f.code)
        for name, result in before.items()
        for f in result.findings
        if f.fix is not None and f.fix.applicability is Applicability.UNSAFE
    ]
    assert unsafe == [
        ("test_cuda.py", "GPU301"),
        ("test_cuda_debug.py", "GPU301"),
        ("test_validation_decouverte.py", "GPU301"),
    ]


def test_behind_a_removed_mask_nothing_is_changed(migrated: Path) -> None:
    """Where no validator makes CUDA read the header, the removal is still reported."""
    left = {r.path.name: found(r) for r in run(migrated).files}
    for name in ("test_cuda_debug.py", "test_validation_decouverte.py"):
        old, new = (BEFORE / name).read_text("utf-8"), (migrated / name).read_text("utf-8")
        assert new.endswith(old[old.index("import torch") :])
        assert ("GPU118", "del os.environ['CUDA_VISIBLE_DEVICES']") in left[name]
        assert ("GPU107", "os.environ['CUDA_VISIBLE_DEVICES'] = '1'") in left[name]
    for name in REMOVING:
        old, new = (BEFORE / name).read_text("utf-8"), (migrated / name).read_text("utf-8")
        removals = old.count("del os.environ")
        assert removals > 0
        assert new.count("del os.environ") == removals


def test_fix_makes_exactly_the_after_tree(migrated: Path) -> None:
    for name in NAMES:
        assert (migrated / name).read_bytes() == (AFTER / name).read_bytes(), name


def test_second_fix_changes_nothing(migrated: Path) -> None:
    assert not any(file.changed for file in run(migrated, fix=True).fixed)


@pytest.mark.parametrize("name", NAMES)
def test_migration_keeps_every_definition_and_comment(name: str) -> None:
    old, new = (BEFORE / name).read_text("utf-8"), (AFTER / name).read_text("utf-8")
    compile(new, name, "exec")
    assert not definitions(old) - definitions(new)
    assert not comments(old) - comments(new)


def definitions(text: str) -> Counter[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return Counter(node.name for node in ast.walk(ast.parse(text)) if isinstance(node, kinds))


def comments(text: str) -> Counter[str]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return Counter(token.string for token in tokens if token.type == tokenize.COMMENT)


def test_migration_raises_no_new_ruff_finding() -> None:
    def ruff(directory: Path) -> Counter[tuple[str, str]]:
        command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache"]
        done = subprocess.run(
            [*command, "--output-format", "json", "."],
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
        return Counter(
            (Path(found["filename"]).relative_to(directory).as_posix(), found["code"])
            for found in json.loads(done.stdout)
        )

    assert not ruff(AFTER) - ruff(BEFORE)


def test_another_policy_moves_every_file_and_the_old_one_then_objects(
    migrated: Path, tmp_path: Path
) -> None:
    uuid = "GPU-8d1f4a52-3c0b-4f6e-9a7d-2b5c6e7f8091"
    for mask, name, function in (
        ("2", "RTX 4090", "validate_rtx4090_mandatory"),
        (uuid, "RTX 4090", "validate_rtx4090_mandatory"),
    ):
        copy = tmp_path / name / mask
        shutil.copytree(migrated, copy)
        policy = (copy / "gpu-lint.toml").read_text("utf-8")
        (copy / "old.toml").write_text(policy, "utf-8")
        policy = policy.replace("RTX 3090", name).replace('"1"', f'"{mask}"')
        policy = policy.replace("validate_rtx3090_mandatory", function)
        (copy / "gpu-lint.toml").write_text(policy, "utf-8")
        fixed = run(copy, fix=True).fixed
        assert {f.before.path.relative_to(copy).as_posix() for f in fixed if f.changed} == set(
            NAMES
        )
        assert not any(file.changed for file in run(copy, fix=True).fixed)
        for path in copy.rglob("*.py"):
            compile(path.read_text("utf-8"), str(path), "exec")
        finder = SettingsFinder(load_rulebook(), config_file=copy / "old.toml")
        old = Engine(finder).check(sorted(copy.rglob("*.py")))
        assert sum(1 for result in old.files if result.findings) == 40
