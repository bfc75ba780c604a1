"""The promise of a clean check, on composed projects. Under a policy, what has no finding runs on the
policy's GPU alone, and no mask is dead; without one, what has no finding has no mask that is dead.
What is right in every part has no finding, with a policy or without.

``GPU_LINT_PROMISES=5000 pytest -n 2 tests/test_promise.py`` is the long campaign. Each project runs
on two machines of stand-ins, whose CUDA counts the two cards in different orders; one of them gives
a program that asks for it another card.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import engine_for, write_files
from tests.differential.outcome import CARD, POLICY, ended
from tests.differential.owners import Owned
from tests.differential.programs import Program, Seeded
from tests.differential.promises import ELSEWHERE, Promises
from tests.test_differential import run_under_fakecuda

SEEDS = int(os.environ.get("GPU_LINT_PROMISES", "400"))
_AT_ONCE = 100
_MACHINES = ({"FAKECUDA_FASTEST": "1,0"}, {"FAKECUDA_FASTEST": "0,1"})
_HIDDEN = ("", "-1")
"""Masks that are meant to show no GPU."""


@dataclass(frozen=True)
class Outcome:
    """What became of a project on all machines."""

    is_right: bool
    """It ran to its end, on the policy's GPU alone, and no mask was dead."""
    is_dead: bool
    """Some mask that it wrote did not take effect."""


def outcomes(makers: list[Promises], projects: list[Owned]) -> list[Outcome]:
    """What becomes of each maker's project."""
    variables = {key: value for key, value in ELSEWHERE.items() if key != "argv"}
    first = run_under_fakecuda([Program(one.files, plain=False) for one in projects], _MACHINES[0])
    programs = [Program({**one.files, "argv": ELSEWHERE["argv"]}, False) for one in projects]
    second = run_under_fakecuda(programs, {**_MACHINES[1], **variables})
    return [
        Outcome(
            all(is_right(ran, maker.is_known) for ran in several),
            any(is_dead(ran, maker.is_known) for ran in several),
        )
        for maker, *several in zip(makers, first, second, strict=True)
    ]


def is_right(ran: dict[str, Any], is_known: bool = True) -> bool:
    return ended(ran) and ran["touched"] == [CARD] and not is_late(ran, is_known)


def is_late(ran: dict[str, Any], is_known: bool) -> bool:
    """Whether another mask was written than the one that CUDA had read, as far as it is known."""
    return is_known and any(
        write["frozen"] and write["value"] != write["read"] for write in ran["writes"]
    )


def is_dead(ran: dict[str, Any], is_known: bool) -> bool:
    """Whether a mask came too late, was taken away again, or shows nothing."""
    return is_late(ran, is_known) or any(
        freeze["written"] is not None
        and (
            freeze["mask"] != freeze["written"]
            or (not freeze["visible"] and freeze["mask"] not in _HIDDEN)
        )
        for freeze in ran["freezes"]
    )


def found(project: Owned, directory: Path, policy: dict[str, Any] | None) -> list[str]:
    """What is found but for what is wanted of an entry point's validator."""
    write_files(directory, project.files)
    run = engine_for(policy).check(sorted(directory.rglob("*.py")))
    assert run.troubles == []
    return [
        f"{finding.code} in {result.path.name}"
        for result in run.files
        for finding in result.findings
        if not finding.code.startswith("GPU30")
    ]


def broken(maker: Promises, outcome: Outcome, codes: list[str], alone: list[str]) -> str:
    """How the verdicts on a project break the promise; empty if they keep it.

    ``codes`` are found under the policy, ``alone`` without one.
    """
    if not outcome.is_right and not codes:
        return "it is wrong, and nothing is found"
    if outcome.is_dead and not maker.is_temporary and not alone:
        return "a mask of it is dead, and nothing is found without a policy"
    if outcome.is_right and maker.is_harmless and (codes or alone):
        return f"it is right, and blamed: {codes}, without a policy: {alone}"
    return ""


@pytest.mark.parametrize("first", range(0, SEEDS, _AT_ONCE))
def test_silence_is_a_promise(first: int, tmp_path: Path) -> None:
    seeds = range(first, min(first + _AT_ONCE, SEEDS))
    makers = [Promises(Seeded(seed)) for seed in seeds]
    projects = [maker.project() for maker in makers]
    kept = {True: 0, False: 0}
    for seed, maker, project, outcome in zip(
        seeds, makers, projects, outcomes(makers, projects), strict=True
    ):
        codes = found(project, tmp_path / str(seed), POLICY)
        alone = found(project, tmp_path / f"{seed} alone", None)
        if why := broken(maker, outcome, codes, alone):
            files = "\n".join(f"--- {name}\n{text}" for name, text in project.files.items())
            pytest.fail(f"seed {seed}: {why}\n{files}")
        kept[outcome.is_right] += 1
    assert min(kept.values()) > len(seeds) // 5, kept


def test_a_broken_promise_is_noticed(tmp_path: Path) -> None:
    header = 'os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\nos.environ["{}"] = "1"\n'
    use = 'import torch\ntorch.zeros(1, device="cuda")\n'
    right = Owned({"run.py": "import os\n" + header.format("CUDA_VISIBLE_DEVICES") + use})
    wrong = Owned({"run.py": "import os\n" + header.format("CUDA_VISIBLE_DEVICE") + use})
    late = Owned({"run.py": right.files["run.py"] + 'os.environ["CUDA_VISIBLE_DEVICES"] = "0"\n'})
    removed = "os.environ.pop('CUDA_VISIBLE_DEVICES')\n" + use
    gone = Owned({"run.py": "import os\n" + header.format("CUDA_VISIBLE_DEVICES") + removed})
    makers = [Promises(Seeded(0)) for _ in range(4)]
    assert outcomes(makers, [right, wrong, late, gone]) == [
        Outcome(is_right=True, is_dead=False),
        Outcome(is_right=False, is_dead=False),
        Outcome(is_right=False, is_dead=True),
        Outcome(is_right=False, is_dead=True),
    ]
    assert "GPU114 in run.py" in found(wrong, tmp_path, POLICY)
    maker, some = makers[0], ["GPU101 in run.py"]
    assert broken(maker, Outcome(False, False), [], []) == "it is wrong, and nothing is found"
    assert broken(maker, Outcome(True, False), some, []).startswith("it is right, and blamed")
    assert broken(maker, Outcome(True, False), [], some).startswith("it is right, and blamed")
    assert broken(maker, Outcome(False, True), some, []).startswith("a mask of it is dead")
    assert not broken(maker, Outcome(False, True), some, some)
    assert not broken(maker, Outcome(True, False), [], [])
