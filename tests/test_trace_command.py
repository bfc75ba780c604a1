"""The command line of ``gpu-lint trace``: exit status, document, bad input."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import Result

from tests import fakecuda
from tests.conftest import run_cli
from tests.fakedriver import be_on_machine
from tests.test_trace import BIG, RIGHT, SMALL, USE

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = json.loads((ROOT / "gpu_lint" / "runtime" / "trace.schema.json").read_text("utf-8"))
POLICY = (
    '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\nname = "RTX 3090"\n'
    '[header]\nrequired-in = "never"\n[validation]\nrequired-in = "never"\n'
)
Run = Callable[..., Result]


@pytest.fixture
def trace(tmp_path: Path, fakedriver: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Traces a program of one file, in a project with or without a policy."""
    root = tmp_path / "project"
    (root / ".git").mkdir(parents=True)

    def run(text: str, *options: str, policy: str = POLICY, words: tuple[str, ...] = ()) -> Result:
        (root / "app.py").write_text(text, encoding="utf-8")
        if policy:
            (root / "gpu-lint.toml").write_text(policy, encoding="utf-8")
        monkeypatch.chdir(root)
        be_on_machine(monkeypatch, fakedriver, FAKECUDA_DRIVER="libcuda.so.1")
        monkeypatch.setenv("PYTHONPATH", str(fakecuda.SITE))
        return run_cli("trace", *options, "--", *(words or (sys.executable, "app.py")))

    return run


def document(trace: Run, text: str, **more: Any) -> dict[str, Any]:
    done = trace(text, "--json", "trace.json", **more)
    found: dict[str, Any] = json.loads(Path("trace.json").read_text(encoding="utf-8"))
    jsonschema.validate(found, SCHEMA)
    assert done.exit_code == found["exit_status"]
    return found


def test_the_document_of_a_right_program(trace: Run) -> None:
    found = document(trace, RIGHT + USE)
    assert (found["schema"], found["verdict"], found["reasons"]) == (
        "gpu-lint.trace/1",
        "as-demanded",
        [],
    )
    (process,) = found["processes"]
    assert process["kind"] == "command"
    assert [one["effective"] for one in process["mask_writes"]] == [True, True]
    assert (process["freeze"]["mask"], process["freeze"]["line"]) == ("1", 5)
    assert [one["uuid"] for one in process["touched"]] == [BIG]


def test_the_document_of_a_late_mask(trace: Run) -> None:
    found = document(trace, "import torch\ntorch.cuda.is_available()\n" + RIGHT + USE)
    assert found["verdict"] == "violated"
    assert [one["agrees"] for one in found["static"] if one["code"] == "GPU107"] == [True, True]
    assert found["missed"] == []
    assert [one["uuid"] for one in found["processes"][0]["visible"]] == [BIG, SMALL]


def test_secrets_on_the_command_line_are_not_kept(trace: Run) -> None:
    words = (sys.executable, "app.py", "--token", "hunter2")
    assert "hunter2" not in json.dumps(document(trace, RIGHT + USE, words=words))


@pytest.mark.parametrize(
    ("text", "options", "status", "line"),
    [
        (RIGHT + USE, ["--check"], 0, "as demanded"),
        (RIGHT + USE + "raise SystemExit(3)\n", ["--check"], 1, "as demanded"),
        (RIGHT + USE + "raise SystemExit(3)\n", [], 3, "as demanded"),
        (USE, ["--check"], 1, "violated: "),
        (USE, [], 0, "violated: "),
        ("print('RTX 3090 ✅')\n", ["--check"], 1, "unproven: no process initialised CUDA"),
        (USE + RIGHT, ["--check"], 1, "app.py:5: CUDA_VISIBLE_DEVICES=1, too late"),
        (USE + RIGHT, ["--check", "--no-line"], 1, "too late"),
        (USE + RIGHT, ["--check", "-q"], 1, "gpu-lint: violated"),
    ],
)
def test_status_and_what_is_said(
    text: str, options: list[str], status: int, line: str, trace: Run
) -> None:
    done = trace(text, *options)
    assert done.exit_code == status
    assert line in done.stderr


def test_an_override_of_the_entry_file_counts(trace: Run) -> None:
    policy = (
        POLICY
        + '[[overrides]]\npaths = ["app.py"]\ngpu = {visible-devices = "0,1", name = "RTX"}\n'
    )
    both = RIGHT.replace('"1"', '"0,1"') + USE
    assert trace(both, "--check", policy=policy).exit_code == 0
    assert trace(RIGHT + USE, "--check", policy=policy).exit_code == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("no-such-command-here",), "no-such-command-here"),
        (("./app.py",), "app.py"),
        ((".",), "."),
    ],
)
def test_a_command_that_cannot_be_started_is_one_line(
    words: tuple[str, ...], message: str, trace: Run
) -> None:
    done = trace(RIGHT + USE, words=words)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_bad_input_is_one_line(trace: Run) -> None:
    assert "needs a policy" in trace(USE, "--check", policy="").stderr
    assert trace(USE, "--check", policy="").exit_code == 2
    assert trace(USE, "--json", "no/such/folder.json").exit_code == 2
    assert run_cli("trace").exit_code == 2


def test_an_index_that_the_machine_lacks_is_not_proven(trace: Run) -> None:
    policy = POLICY.replace('"1"', '"7"').replace('name = "RTX 3090"\n', "")
    done = trace(RIGHT + USE, "--check", policy=policy)
    assert done.exit_code == 1
    assert "the policy's GPU 7 is not here: this machine has 2 GPUs" in done.stderr


PACK = """\
[framework]
name = "ours"
modules = ["ours"]

[[api]]  # seen at {file}:3
names = ["ours.warm"]
freezes = "always"
evidence = "observed by gpu-lint trace"
"""


def test_calls_that_no_table_knows_are_learnt(trace: Run, tmp_path: Path) -> None:
    library = tmp_path / "site-packages"
    library.mkdir()
    (library / "ours.py").write_text("import torch\ndef warm():\n    torch.cuda.init()\n", "utf-8")
    text = f"import sys; sys.path.insert(0, {str(library)!r})\nimport ours\nours.warm()\n"
    assert trace(text, "--learn", "pack.toml").exit_code == 0
    learnt = Path("pack.toml").read_text(encoding="utf-8")
    assert learnt == PACK.format(file=Path("app.py").resolve())
    with_pack = 'extend-rules = ["pack.toml"]\n'
    late = "import os, ours\nours.warm()\n" + RIGHT
    Path("late.py").write_text(late, encoding="utf-8")
    assert run_cli("check", "--select", "GPU107", "late.py").exit_code == 0
    Path("gpu-lint.toml").write_text(with_pack, encoding="utf-8")
    assert run_cli("check", "--select", "GPU107", "late.py").exit_code == 1


def test_known_calls_are_not_learnt(trace: Run) -> None:
    done = trace(USE, "--learn", "pack.toml")
    assert "nothing to learn" in done.stderr
    assert not Path("pack.toml").exists()
