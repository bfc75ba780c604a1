"""The configuration: schema, nearest file, overrides, excludes, suppressions."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import jsonschema
import pytest

from gpu_lint.discovery import discover
from gpu_lint.engine import Engine
from gpu_lint.facts.knowledge import Knowledge
from gpu_lint.masks import read_mask, same_mask
from gpu_lint.policy import json_schema
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import SettingsFinder
from gpu_lint.toml import read_toml
from tests.conftest import ROOT, check_text, codes

Project: TypeAlias = "Callable[[dict[str, str | bytes]], Path]"
POLICY = (
    '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\n[header]\nrequired-in = "all"\n'
)

FREEZES = ("always", "never", "on-gpu", "unless-cpu", "without-device", "on-enter", "maybe")


def check(root: Path, **options: object) -> dict[str, list[str]]:
    finder = SettingsFinder(load_rulebook(), options=options)
    files = discover([root], finder).files
    found = {result.path: result.findings for result in Engine(finder).check(files).files}
    return {p.relative_to(root).as_posix(): [f.code for f in found.get(p, ())] for p in files}


def test_shipped_schema_is_that_of_the_keys() -> None:
    shipped = json.loads((ROOT / "gpu_lint" / "gpu-lint.schema.json").read_text("utf-8"))
    assert shipped == json_schema()


@pytest.mark.parametrize("path", ["fixtures/superwhisper/before/gpu-lint.toml"])
def test_policies_of_the_fixtures_fit_the_schema(path: str) -> None:
    jsonschema.validate(read_toml(ROOT / path)[0], json_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"gpu": {"visible-device": "1"}}, json_schema())


def test_nearest_configuration_wins_and_either_file_may_hold_it(project: Project) -> None:
    root = project(
        {
            "pyproject.toml": "[tool.gpu-lint]\n" + POLICY.replace("[", "[tool.gpu-lint."),
            "a.py": "import torch\n",
            "sub/gpu-lint.toml": "ignore = ['GPU1']\n",
            "sub/b.py": "import torch\n",
            "other/pyproject.toml": "[project]\nname = 'x'\n",
            "other/c.py": "import torch\n",
        }
    )
    found = check(root)
    assert found["a.py"] == found["other/c.py"] == ["GPU101", "GPU103"]
    assert found["sub/b.py"] == []


def test_overrides_give_other_files_another_gpu(project: Project) -> None:
    override = '[[overrides]]\npaths = ["training/**"]\ngpu = { visible-devices = "0,1" }\n'
    text = 'import os\n\nos.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\nos.environ["CUDA_VISIBLE_DEVICES"] = "0,1"\n'
    root = project({"gpu-lint.toml": POLICY + override, "training/a.py": text, "b.py": text})
    found = check(root)
    assert found["training/a.py"] == []
    assert found["b.py"] == ["GPU102"]


def test_required_in_takes_globs_and_kinds_of_files(project: Project) -> None:
    files: dict[str, str | bytes] = {
        "plain.py": "x = 1\n",
        "gpu.py": "import torch\n",
        "main.py": "import torch\nif __name__ == '__main__':\n    pass\n",
        "pkg/cli.py": "import torch\n",
        "pyproject.toml": '[project.scripts]\nrun = "pkg.cli:main"\n',
    }
    root = project(files)
    expected = {
        "all": {"plain.py", "gpu.py", "main.py", "pkg/cli.py"},
        "gpu-files": {"gpu.py", "main.py", "pkg/cli.py"},
        "entry-points": {"main.py", "pkg/cli.py"},
        "never": set(),
    }
    for where, names in expected.items():
        text = POLICY.replace('"all"', f'"{where}"') + '[validation]\nrequired-in = "never"\n'
        (root / "gpu-lint.toml").write_text(text, "utf-8")
        assert {name for name, found in check(root).items() if found} == names
    text = POLICY.replace('"all"', '["pkg/*"]') + '[validation]\nrequired-in = "never"\n'
    (root / "gpu-lint.toml").write_text(text, "utf-8")
    assert {name for name, found in check(root).items() if found} == {"pkg/cli.py"}


def test_gitignore_exclude_and_explicit_paths(project: Project) -> None:
    bad = "import os\nos.environ['CUDA_VISIBLE_DEVICES'] = 1\n"
    root = project(
        {
            ".git/HEAD": "",
            ".gitignore": "generated/\n*.gen.py\n",
            "generated/a.py": bad,
            "b.gen.py": bad,
            "old/c.py": bad,
            "venv/d.py": bad,
            "e.py": bad,
            "notes.txt": bad,
            "sub/.gitignore": "!keep.gen.py\n",
            "sub/keep.gen.py": bad,
            "gpu-lint.toml": 'exclude = ["old/**"]\n',
        }
    )
    assert set(check(root)) == {"e.py", "sub/keep.gen.py"}
    finder = SettingsFinder(load_rulebook())
    named = [root / "old" / "c.py", root / "b.gen.py"]
    assert set(discover(named, finder).files) == set(named)
    assert discover(named, finder, force_exclude=True).files == [root / "b.gen.py"]


def test_ignore_files_above_the_project_have_no_say(project: Project) -> None:
    root = project({".gitignore": "*.py\n", "repo/.git/HEAD": "", "repo/sub/a.py": "x = 1\n"})
    assert set(check(root / "repo" / "sub")) == {"a.py"}
    (root / "repo" / ".gitignore").write_text("sub/\n", "utf-8")
    assert check(root / "repo") == {}


def test_per_file_ignores(project: Project) -> None:
    bad = "import os\nos.environ['CUDA_VISIBLE_DEVICES'] = 1\n"
    config = '[per-file-ignores]\n"tests/*" = ["GPU1"]\n'
    root = project({"gpu-lint.toml": config, "tests/a.py": bad, "b.py": bad})
    assert check(root) == {"tests/a.py": [], "b.py": ["GPU112"]}


BAD = "os.environ['CUDA_VISIBLE_DEVICES'] = 1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{BAD}  # gpu-lint: ignore[GPU112] a reason", []),
        (f"{BAD}  # gpu-lint: ignore[GPU1]", []),
        (f"{BAD}  # gpu-lint: ignore[invalid-value]", []),
        (f"{BAD}  # gpu-lint: ignore", []),
        (f"{BAD}  # noqa: GPU112", []),
        (f"{BAD}  # noqa: E501, GPU112", []),
        (f"# gpu-lint: ignore[GPU112]\n{BAD}", []),
        (f"# gpu-lint: ignore-file\n{BAD}", []),
        (f"{BAD}  # gpu-lint: ignore-file[GPU112]", []),
        (f"{BAD}  # noqa", ["GPU112"]),
        (f"{BAD}  # noqa: E501", ["GPU112"]),
        (f"{BAD}  # gpu-lint: ignore[GPU201]", ["GPU002", "GPU112"]),
        (f"{BAD}  # gpu-lint: ignore[GPU112, GPU201]", ["GPU002"]),
        (f"{BAD}  # gpu-lint: ignore[GPU998]", ["GPU003", "GPU112"]),
        (f"# gpu-lint: ignore[GPU112]\n\n{BAD}", ["GPU002", "GPU112"]),
        (f"x = '# gpu-lint: ignore-file'\n{BAD}", ["GPU112"]),
        ("x = 1  # gpu-lint: ignore", ["GPU002"]),
        ("x = 1  # noqa: GPU112", ["GPU002"]),
        ("# gpu-lint: ignored words in prose", []),
    ],
)
def test_suppressions(text: str, expected: list[str]) -> None:
    result = check_text(f"import os\n{text}\n")
    assert sorted(code for code, _ in codes(result)) == expected


def test_a_suppression_of_a_rule_that_does_not_run_is_left_alone() -> None:
    text = f"import os\n{BAD}  # gpu-lint: ignore[GPU201]\n"
    assert [c for c, _ in codes(check_text(text, ignore=["GPU201"]))] == ["GPU112"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("1", " 1", True), ("1", "01", True), ("1", "+1", True), ("1,0", "1, 0", True),
     ("1", "0", False), ("0,1", "1,0", False), ("1", "1,0", False), ("1", "1,-1", True)],
)  # fmt: skip
def test_masks_are_compared_as_device_lists(one: str, other: str, same: bool) -> None:
    assert same_mask(one, other) is same


@pytest.mark.parametrize(
    ("value", "devices", "fault"),
    [  # rules/evidence/cuda-facts.md, section 3
        ("0", "0", False), ("1", "1", False), (" 1", "1", False), ("1 ", "1", False),
        ("01", "1", False), ("+1", "1", False), ("1, 0", "1,0", False), ("", "", False),
        ("-1", "", False), ("5", "5", False), ("all", "", True), ("none", "", True),
        ("cuda:1", "", True), ("'1'", "", True), ("NoDevFiles", "", False), ("abc,1", "", True),
        ("0,-1,1", "0", True), ("1,abc", "1", True), ("1;0", "1", True), ("1 0", "1", True),
        ("1.5", "1", True), ("0x1", "0", True), ("1,1", "", True), ("gpu-ab", "", True),
        ("GPU-8d1f4a52", "GPU-8d1f4a52", False), ("GPU-8d1f4a52,0", "GPU-8d1f4a52", True),
        ("1,-1", "1", False), ("0,", "0", False), ("GPU-ab, GPU-cd", "GPU-ab", True),
        (" GPU-ab", "", True), ("GPU-ab ,GPU-cd ", "GPU-ab,GPU-cd", False), ("[1]", "", True),
    ],
)  # fmt: skip
def test_masks_are_read_as_cuda_reads_them(value: str, devices: str, fault: bool) -> None:
    reading = read_mask(value)
    assert ",".join(reading.devices) == devices
    assert bool(reading.fault) is fault


def test_every_framework_row_says_where_its_claims_come_from() -> None:
    knowledge: Knowledge = load_rulebook().knowledge
    assert len(knowledge.frameworks) >= 10
    for framework in knowledge.frameworks:
        assert framework.evidence
        assert framework.checked_against
        for api in framework.apis:
            assert api.evidence, api.name
            assert api.freezes in FREEZES
            root = api.name.partition(".")[0]
            modules = {module.partition(".")[0] for module in framework.modules}
            known = api.method or api.attribute or root in modules
            assert known or root in sys.stdlib_module_names
