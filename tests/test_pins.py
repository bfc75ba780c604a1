"""The release of PyTorch that a project pins decides what its allocator settings mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_lint.pins import pinned_release
from tests.conftest import check_files, codes, run_cli

LOCK = '[[package]]\nname = "torchvision"\nversion = "0.19.0"\n\n[[package]]\nname = "torch"\nversion = "{}"\n'
POETRY = "[tool.poetry.dependencies]\ntorch = {}\n"
PROJECT = '[project]\nname = "x"\ndependencies = ["numpy", "torch{}"]\n'

PINS: dict[str, tuple[dict[str, str], str | None]] = {
    "requirements": ({"requirements.txt": "numpy\ntorch==2.0.1\n"}, "2.0 requirements.txt:2"),
    "with a build": (
        {"requirements.txt": "torch == 2.4.0+cu121  # CUDA\n"},
        "2.4 requirements.txt:1",
    ),
    "of a kind": ({"requirements-gpu.txt": "torch~=2.1.0\n"}, "2.1 requirements-gpu.txt:1"),
    "any patch": ({"requirements.txt": "torch==2.3.*\n"}, "2.3 requirements.txt:1"),
    "the same twice": (
        {"requirements.txt": "torch==2.4.0\n", "requirements-dev.txt": "torch==2.4.1\n"},
        "2.4 requirements-dev.txt:1",
    ),
    "a project": ({"pyproject.toml": PROJECT.format("==2.2.1")}, "2.2 pyproject.toml"),
    "poetry": ({"pyproject.toml": POETRY.format('"2.2.1"')}, "2.2 pyproject.toml"),
    "poetry's table": (
        {"pyproject.toml": POETRY.format('{version = "==2.2.1", source = "x"}')},
        "2.2 pyproject.toml",
    ),
    "locked": ({"uv.lock": LOCK.format("2.9.1")}, "2.9 uv.lock:7"),
    "locked before required": (
        {"uv.lock": LOCK.format("2.9.1"), "requirements.txt": "torch==2.0.1\n"},
        "2.9 uv.lock:7",
    ),
    "a range": ({"requirements.txt": "torch>=2.0.1\n"}, None),
    "a range of minors": ({"requirements.txt": "torch~=2.0\n"}, None),
    "poetry's range": ({"pyproject.toml": POETRY.format('"^2.2.1"')}, None),
    "with a condition": ({"requirements.txt": "torch==2.0.1; sys_platform == 'darwin'\n"}, None),
    "several": ({"requirements.txt": "torch==2.0.1\n", "requirements-b.txt": "torch==2.4\n"}, None),
    "another package": (
        {"requirements.txt": "torchvision==0.15.1\ntorch-geometric==2.0.1\n"},
        None,
    ),
    "a comment": ({"requirements.txt": "# torch==2.0.1\n"}, None),
    "no TOML": ({"pyproject.toml": "torch = ["}, None),
    "another table": ({"pyproject.toml": 'project = "torch==2.0.1"\n'}, None),
    "nothing": ({}, None),
}


@pytest.mark.parametrize(("files", "pin"), PINS.values(), ids=PINS.keys())
def test_which_release_is_pinned(files: dict[str, str], pin: str | None, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    found = pinned_release(tmp_path)
    assert (None if found is None else f"{found.release} {found.place}") == pin


def test_what_is_no_file_pins_nothing(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").mkdir()
    (tmp_path / "uv.lock").symlink_to(tmp_path / "missing")
    assert pinned_release(tmp_path) is None
    assert pinned_release(tmp_path / "missing") is None


OLD = 'import os\n\nos.environ["PYTORCH_CUDA_ALLOC_CONF"] = "expandable_segments:True"\nimport torch\n'
ALIAS = OLD.replace("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")
BOTH = OLD.replace("import torch", ALIAS.splitlines()[2] + "\nimport torch")
GUARDED = "import os\n\nif os.name == 'nt':\n    " + ALIAS.splitlines()[2] + "\nimport torch\n"


@pytest.mark.parametrize(
    ("program", "pin", "found"),
    [
        (OLD, "2.0.1", [("GPU112", 3)]),
        (OLD, "2.1.0", []),
        (OLD, "1.4.0", []),
        (OLD, "1.10.2", [("GPU112", 3)]),
        (ALIAS, "2.4.0", [("GPU110", 3)]),
        (ALIAS, "2.0.1", [("GPU110", 3)]),
        (ALIAS, "2.9.1", [("GPU110", 3)]),
        (ALIAS, "2.11.0", []),
        (BOTH, "2.4.0", []),
        (GUARDED, "2.4.0", []),
    ],
)
def test_the_pin_decides_what_is_read(
    program: str, pin: str, found: list[tuple[str, int]], tmp_path: Path
) -> None:
    (tmp_path / "requirements.txt").write_text(f"torch=={pin}\n")
    (result,) = check_files(tmp_path, {"app.py": program}).values()
    assert codes(result) == found
    for finding in result.findings:
        assert "requirements.txt:1 pins torch" in finding.message + finding.note


def test_a_policy_says_it_before_a_pin(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("torch==2.0.1\n")
    policy = {"gpu": {"visible-devices": "0", "device-order": "PCI_BUS_ID", "pytorch": "2.4"}}
    (result,) = check_files(tmp_path, {"app.py": OLD}, policy).values()
    assert "GPU112" not in dict(codes(result))


def test_another_pin_is_another_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text(OLD)
    (tmp_path / "requirements.txt").write_text("torch==2.0.1\n")
    assert run_cli("check", ".").exit_code == 1
    (tmp_path / "requirements.txt").write_text("torch==2.4.0\n")
    assert run_cli("check", ".").exit_code == 0


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_requirements_with_a_byte_order_mark(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes("torch==2.0.1\r\nnumpy\r\n".encode(encoding))
    found = pinned_release(tmp_path)
    assert found is not None
    assert f"{found.release} {found.place}" == "2.0 requirements.txt:1"
