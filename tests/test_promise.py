"""The promise of a clean check, on composed projects: under a policy, what has no finding runs on the
policy's GPU alone; and what is right in every part has none.

``GPU_LINT_PROMISES=5000 pytest -n 2 tests/test_promise.py`` is the long campaign. Each project runs
on two machines of stand-ins, whose CUDA counts the two cards in different orders.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import check_files
from tests.differential.outcome import CARD, POLICY, ended
from tests.differential.owners import Owned
from tests.differential.programs import Program, Seeded
from tests.differential.promises import Promises
from tests.test_differential import run_under_fakecuda

SEEDS = int(os.environ.get("GPU_LINT_PROMISES", "600"))
_AT_ONCE = 100
_MACHINES = ({"FAKECUDA_FASTEST": "1,0"}, {"FAKECUDA_FASTEST": "0,1"})


def runs(projects: list[Owned]) -> list[bool]:
    """Whether each project runs to its end on the policy's GPU alone, on each machine."""
    programs = [Program(one.files, plain=False) for one in projects]
    machines = [run_under_fakecuda(programs, machine) for machine in _MACHINES]
    return [all(map(is_right, several)) for several in zip(*machines, strict=True)]


def is_right(ran: dict[str, Any]) -> bool:
    return ended(ran) and ran["touched"] == [CARD]


def found(project: Owned, directory: Path) -> list[str]:
    """What is found but for what is wanted of an entry point's validator."""
    results = check_files(directory, project.files, POLICY)
    return [
        f"{finding.code} in {name}"
        for name, result in results.items()
        for finding in result.findings
        if not finding.code.startswith("GPU30")
    ]


def broken(project: Owned, is_harmless: bool, right: bool, codes: list[str]) -> str:
    """How the verdict on a project breaks the promise; empty if it keeps it."""
    if not right and not codes:
        return "it is wrong, and nothing is found"
    if right and is_harmless and codes:
        return f"it is right, and blamed: {codes}"
    return ""


@pytest.mark.parametrize("first", range(0, SEEDS, _AT_ONCE))
def test_silence_is_a_promise(first: int, tmp_path: Path) -> None:
    seeds = range(first, min(first + _AT_ONCE, SEEDS))
    makers = [Promises(Seeded(seed)) for seed in seeds]
    projects = [maker.project() for maker in makers]
    kept = {True: 0, False: 0}
    for seed, maker, project, right in zip(seeds, makers, projects, runs(projects), strict=True):
        codes = found(project, tmp_path / str(seed))
        if why := broken(project, maker.is_harmless, right, codes):
            files = "\n".join(f"--- {name}\n{text}" for name, text in project.files.items())
            pytest.fail(f"seed {seed}: {why}\n{files}")
        kept[right] += 1
    assert min(kept.values()) > len(seeds) // 5, kept


def test_a_broken_promise_is_noticed(tmp_path: Path) -> None:
    header = 'os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\nos.environ["{}"] = "1"\n'
    use = 'import torch\ntorch.zeros(1, device="cuda")\n'
    right = Owned({"run.py": "import os\n" + header.format("CUDA_VISIBLE_DEVICES") + use})
    wrong = Owned({"run.py": "import os\n" + header.format("CUDA_VISIBLE_DEVICE") + use})
    assert runs([right, wrong]) == [True, False]
    assert "GPU114 in run.py" in found(wrong, tmp_path)
    assert broken(wrong, False, False, []) == "it is wrong, and nothing is found"
    assert broken(right, True, True, ["GPU101 in run.py"]).startswith("it is right, and blamed")
    assert not broken(wrong, False, False, ["GPU114 in run.py"])
