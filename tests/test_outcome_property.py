"""Composed projects, fixed by plain ``fix`` and run before and after: what a fix may change.

``GPU_LINT_OUTCOMES=5000 pytest -n 2 tests/test_outcome_property.py`` is the long campaign; about
three in five projects run to their end.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.differential.outcome import Trial, disagreements, explain, shrunk, try_fix
from tests.differential.owners import Owned, Owners
from tests.differential.programs import Program, Seeded
from tests.test_differential import run_under_fakecuda

SEEDS = int(os.environ.get("GPU_LINT_OUTCOMES", "150"))
_AT_ONCE = 50
_TWO_CARDS = {"FAKECUDA_FASTEST": "1,0"}
"""Of the stand-ins' machine: CUDA's own order puts the RTX 3090 first, PCI's the RTX 5060 Ti."""


def run(projects: list[Owned]) -> list[dict[str, Any]]:
    programs = [Program({**one.files, "argv": one.argv}, plain=False) for one in projects]
    return run_under_fakecuda(programs, _TWO_CARDS)


def judged(project: Owned, directory: Path) -> tuple[Trial, dict[str, Any], dict[str, Any]]:
    trial = try_fix(project, directory)
    before, after = run([project, trial.fixed])
    return trial, before, after


@pytest.mark.parametrize("first", range(0, SEEDS, _AT_ONCE))
def test_a_fix_changes_for_the_worse_nothing_that_worked(first: int, tmp_path: Path) -> None:
    seeds = range(first, min(first + _AT_ONCE, SEEDS))
    projects = [Owners(Seeded(seed)).project() for seed in seeds]
    trials = [try_fix(one, tmp_path / str(seed)) for seed, one in zip(seeds, projects, strict=True)]
    ran = run([*projects, *(trial.fixed for trial in trials)])
    for seed, trial, before, after in zip(
        seeds, trials, ran[: len(seeds)], ran[len(seeds) :], strict=True
    ):
        if found := disagreements(trial, before, after):
            pytest.fail(f"seed {seed}: {found}\n{explained(trial.project, tmp_path / 'smaller')}")


def explained(project: Owned, directory: Path) -> str:
    """A project with which a fix is wrong, made small, and what happens with it."""
    tried = 0

    def is_wrong(one: Owned) -> bool:
        nonlocal tried
        tried += 1
        return bool(disagreements(*judged(one, directory / str(tried))))

    trial, before, after = judged(shrunk(project, is_wrong), directory / "smallest")
    return explain(trial, before, after, disagreements(trial, before, after))


RIGHT = 'os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
WRONG_FIXES: dict[str, tuple[str, str, str]] = {
    "an index that no longer exists": (
        'import os\nimport torch\ntorch.zeros(1).to("cuda:1")\n',
        "import os\n" + RIGHT + 'import torch\ntorch.zeros(1).to("cuda:1")\n',
        "it no longer runs to its end: _fakecuda.AcceleratorError",
    ),
    "the order without the mask": (
        "import os\nimport torch\ntorch.zeros(1).cuda()\n",
        "import os\n" + RIGHT.splitlines(keepends=True)[0] + "import torch\n"
        "torch.zeros(1).cuda()\n",
        "it touches [0], which it did not touch before",
    ),
    "a use that fails where it is caught": (
        'import torch\ntry:\n    torch.zeros(1).cuda(1)\n    print("WORKED", 1)\n'
        'except Exception:\n    print("FAILED", 1)\n',
        "import os\n" + RIGHT + "import torch\ntry:\n    torch.zeros(1).cuda(1)\n"
        '    print("WORKED", 1)\nexcept Exception:\n    print("FAILED", 1)\n',
        "FAILED 1: it worked",
    ),
    "a child that fails": (
        "import multiprocessing as mp\nimport torch\ndef work():\n    torch.zeros(1).cuda()\n"
        'if __name__ == "__main__":\n    p = mp.Process(target=work)\n    p.start()\n',
        "import multiprocessing as mp\nimport torch\ndef work():\n    torch.zeros(1).cuda()\n"
        'if __name__ == "__main__":\n    torch.cuda.is_available()\n'
        "    p = mp.Process(target=work)\n    p.start()\n",
        "work(): RuntimeError('Cannot re-initialize CUDA",
    ),
    "a finding that was not there": (
        "import os\nimport torch\nx = 1\n",
        "import os\nimport torch\nx = torch.cuda.is_available()\n" + RIGHT,
        "GPU107 is new in run.py",
    ),
}


@pytest.mark.parametrize("case", WRONG_FIXES.values(), ids=WRONG_FIXES.keys())
def test_a_wrong_fix_is_noticed(case: tuple[str, str, str], tmp_path: Path) -> None:
    text, fixed, why = case
    project = Owned({"run.py": text})
    first = try_fix(project, tmp_path / "first")
    second = try_fix(Owned({"run.py": fixed}), tmp_path / "second")
    trial = replace(
        first, fixed=second.project, left=second.found, hidden=second.found, again=False
    )
    before, after = run([project, trial.fixed])
    assert any(why in one for one in disagreements(trial, before, after))
    assert why in explain(trial, before, after, disagreements(trial, before, after))


def test_a_card_that_nothing_says_is_noticed(tmp_path: Path) -> None:
    trial, before, after = judged(Owned({"run.py": "x = 1\n"}), tmp_path)
    assert not disagreements(trial, before, after)
    assert disagreements(trial, before, {**after, "touched": [0, 1]})


def test_a_project_is_made_small() -> None:
    files = {
        "part.py": "import os\n\n\ndef load():\n    x = 1\n    return x\n",
        "run.py": "import part\nif part:\n    y = 2\n    z = 3\nelse:\n    y = 4\n",
    }
    small = shrunk(Owned(files, "--cpu"), lambda one: "z = 3" in one.files["run.py"])
    assert small == Owned({"run.py": "z = 3\n"})
