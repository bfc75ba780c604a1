"""Libraries that bring a GPU framework in, which no table describes: they make a file a GPU file,
and what their calls do is admitted not to be known."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gpu_lint.rulebook import load_rulebook
from gpu_lint.toml import read_toml
from tests.conftest import ROOT, check_files, codes, fix_files, run_cli, write_files

KNOWLEDGE = load_rulebook().knowledge
MASK = 'import os\n\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
LINE = "{} described by no table: which GPU their calls use is not known"
POLICY: dict[str, Any] = {
    "gpu": {"visible-devices": "1", "device-order": "PCI_BUS_ID", "min-memory-gib": 20},
    "header": {"required-in": "gpu-files"},
    "validation": {"required-in": "entry-points", "function": "validate_gpu"},
}
HELPERS = (
    "einops", "safetensors", "safetensors.torch", "huggingface_hub", "tokenizers", "datasets",
    "jaxtyping", "pyannote.core", "openff.toolkit", "optree", "ml_dtypes", "wandb", "tiktoken",
    "tensorflow_datasets", "onnx", "numba", "scipy", "PIL",
)  # fmt: skip
"""What uses no GPU, or can do without the framework that it also knows."""


def names() -> list[str]:
    return [library.name for library in KNOWLEDGE.libraries]


def test_at_least_two_hundred_libraries_are_known_beside_the_tables() -> None:
    assert len(set(names())) == len(names()) >= 200
    tables = {framework.name for framework in KNOWLEDGE.frameworks}
    roots = {module.partition(".")[0] for f in KNOWLEDGE.frameworks for module in f.modules}
    for name in names():
        assert all(part.isidentifier() for part in name.split("."))
        assert name not in tables
        assert name.partition(".")[0] not in roots | sys.stdlib_module_names
        found = KNOWLEDGE.framework_of(f"{name}.part")
        assert found is not None
        assert found.name == name


def test_the_file_of_the_libraries_is_sorted_and_says_what_each_brings_in() -> None:
    table, _ = read_toml(ROOT / "rules" / "libraries.toml")
    for modules in table.values():
        assert modules == sorted(set(modules))
    for library in KNOWLEDGE.libraries:
        assert library.uses_pytorch is (library.name in table["torch"])


@pytest.mark.parametrize("name", ["fastai", "faiss", "open_clip", "unsloth", "dgl", "optax"])
def test_a_mask_after_a_library_is_set_after_a_gpu_import(name: str, tmp_path: Path) -> None:
    if name not in names():
        pytest.fail(f"{name} is no library that we know")
    found = check_files(
        tmp_path, {"run.py": f"import {name}\n{MASK}", "ok.py": f"{MASK}import {name}\n"}
    )
    assert codes(found["run.py"]) == [("GPU108", 4)]
    assert codes(found["ok.py"]) == []
    assert found["run.py"].libraries == found["ok.py"].libraries == (name,)


@pytest.mark.parametrize("name", HELPERS)
def test_a_helper_brings_no_gpu_in(name: str, tmp_path: Path) -> None:
    files = {
        "run.py": f"import {name}\n{MASK}",
        "main.py": f"import {name}\n\nif __name__ == '__main__':\n    print({name.partition('.')[0]})\n",
    }
    assert [codes(one) for one in check_files(tmp_path / "a", files).values()] == [[]]
    for one in check_files(tmp_path / "b", files, POLICY).values():
        assert codes(one) == []
        assert one.libraries == ()


@pytest.mark.parametrize(
    "line",
    [
        "from pyannote.audio import Pipeline",
        "import nemo.collections.asr as asr",
        "from open_clip import create_model",
        "try:\n    import exllamav2\nexcept ImportError:\n    exllamav2 = None",
    ],
)
def test_under_a_policy_a_file_with_a_library_is_a_gpu_file(line: str, tmp_path: Path) -> None:
    text = f"{line}\n\n\ndef use():\n    return 1\n"
    found = check_files(tmp_path, {"used.py": text, "other.py": "import used\n"}, POLICY)
    assert [code for code, _ in codes(found["used.py"])] == ["GPU101", "GPU103"]


OURS: dict[str, dict[str, str]] = {
    "a package beside the program": {"fastai/__init__.py": "", "fastai/vision.py": "x = 1\n"},
    "a module beside the program": {"fastai.py": "vision = 1\n"},
    "a package of the project": {"src/fastai/__init__.py": "", "src/fastai/vision.py": "x = 1\n"},
}


@pytest.mark.parametrize("name", OURS)
def test_a_file_of_the_project_is_not_the_library_of_its_name(name: str, tmp_path: Path) -> None:
    files = OURS[name] | {"run.py": f"from fastai import vision\n{MASK}", "pyproject.toml": ""}
    found = check_files(tmp_path, {f: t for f, t in files.items() if f.endswith(".py")})
    assert codes(found["run.py"]) == []
    assert all(one.libraries == () for one in found.values())


def test_what_the_projects_package_of_that_name_does_is_followed(tmp_path: Path) -> None:
    files = {
        "fastai/__init__.py": "import torch\n\ntorch.cuda.init()\n",
        "run.py": f"import fastai\n{MASK}",
    }
    assert codes(check_files(tmp_path, files)["run.py"]) == [("GPU115", 4)]


def test_a_call_of_a_library_may_raise_as_any_other(tmp_path: Path) -> None:
    text = (
        "import os\nimport {0}\n\ntry:\n    {0}.setup()\n"
        '    os.environ["CUDA_VISIBLE_DEVICES"] = "1"\nexcept Exception:\n    pass\n'
        "import torch\n\ntorch.zeros(1, device='cuda:0')\n"
    )
    found = check_files(tmp_path, {"a.py": text.format("faiss"), "b.py": text.format("helper")})
    left_out = {code for code, _ in codes(found["b.py"])}
    assert left_out <= {code for code, _ in codes(found["a.py"])}


def test_a_fix_asks_torch_only_where_the_library_requires_it(tmp_path: Path) -> None:
    main = "\n\nif __name__ == '__main__':\n    print(1)\n"
    files = {"a.py": f"import fastai{main}", "b.py": f"import faiss{main}"}
    fix_files(tmp_path, files, POLICY)
    with_torch, without = (tmp_path / "a.py").read_text(), (tmp_path / "b.py").read_text()
    assert "torch.cuda" in with_torch
    assert "torch" not in without
    assert "nvidia-smi" in without
    found = check_files(tmp_path, {name: (tmp_path / name).read_text() for name in files}, POLICY)
    assert [codes(one) for one in found.values()] == [[], []]


def test_a_library_is_admitted_and_the_run_is_not_called_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = "faiss", "open_clip", "fastai", "dgl", "unsloth", "captum"
    files = {"run.py": MASK + "import models\n", "a.py": "x = 1\n"}
    files["models.py"] = "".join(f"import {name}\n" for name in several)
    write_files(tmp_path, files)
    monkeypatch.chdir(tmp_path)
    named = "captum, dgl, faiss, fastai, open_clip and 1 more"
    lines = f"Described by no table: {named}; which GPU their calls use is not known.\n"
    for options in (["--no-cache"], [], [], ["-j", "2", "--no-cache"]):
        done = run_cli("check", "--isolated", *options)
        assert done.exit_code == 0
        assert done.stderr == f"{lines}No findings in 3 files checked.\n"
        counted = run_cli("check", "--isolated", "--statistics", *options)
        assert LINE.format("6 GPU libraries") in counted.stdout
    assert run_cli("check", "--isolated", "a.py").stderr == "All clear: 1 file checked.\n"
    assert run_cli("check", "--isolated", "--quiet").stderr == ""


def test_json_names_the_libraries_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, {"a.py": f"import faiss\n{MASK}", "b.py": f"import torch\n{MASK}"})
    monkeypatch.chdir(tmp_path)
    found = json.loads(run_cli("check", "--isolated", "--output-format", "json").stdout)
    named = {Path(one["filename"]).name: one["undescribed_libraries"] for one in found}
    assert named == {"a.py": ["faiss"], "b.py": []}


def test_a_library_that_a_rule_pack_describes_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = (
        '[framework]\nname = "our faiss"\nmodules = ["faiss"]\n\n[[api]]\n'
        'names = ["faiss.index_cpu_to_gpu"]\n'
        'devices = [{ kind = "index", position = 1, keyword = "device" }]\n'
    )
    text = f"{MASK}import faiss\n\nfaiss.index_cpu_to_gpu(None, 1, None)\n"
    files = {"run.py": text, "pack.toml": pack, "gpu-lint.toml": 'extend-rules = ["pack.toml"]\n'}
    write_files(tmp_path, files)
    monkeypatch.chdir(tmp_path)
    done = run_cli("check", "--output-format", "concise")
    assert "run.py:6:30: GPU201" in done.stdout
    assert "Described by no table" not in done.stderr


BROKEN = f"{MASK}x = (\n"


def test_a_file_with_a_syntax_error_is_not_counted_as_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, {"a.py": BROKEN, "b.py": "x = 1\n", "c.py": MASK})
    monkeypatch.chdir(tmp_path)
    for options in (["--no-cache"], [], [], ["-j", "2", "--no-cache"]):
        done = run_cli("check", "--isolated", *options)
        assert done.stderr == "1 finding in 1 file (2 checked).\n"
        ignored = run_cli("check", "--isolated", "--ignore", "GPU001", *options)
        lines = ["Not checked, for a syntax error: a.py.", "No findings in 2 files checked."]
        assert ignored.stderr.splitlines() == lines
    alone = run_cli("check", "--isolated", "a.py", "--ignore", "GPU001")
    assert alone.stderr.splitlines()[1:] == ["No findings in 0 files checked."]
