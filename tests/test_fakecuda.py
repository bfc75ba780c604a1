"""The 80 files of the voice assistant, run: the faults that are reported are real ones."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from gpu_lint.discovery import discover
from gpu_lint.engine import Engine
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import SettingsFinder
from tests.conftest import ROOT
from tests.fakecuda import Outcome, run_program

FIXTURE = ROOT / "fixtures" / "superwhisper"
REMOVING = (
    "test_cuda_debug.py",
    "test_validation_decouverte.py",
    "test_validation_rtx3090_detection.py",
    "test_validation_stt_manager_robust.py",
    "test_validation_tts_performance.py",
)
"""The files that take the mask away at some time."""
REPORT = ROOT / "tests" / "data" / "fakecuda-report.md"
WANTED = {
    "CUDA_VISIBLE_DEVICES": "1",
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    "PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:1024",
}
_MASK, _ORDER, _ALLOC = WANTED
HEADER = {
    "GPU101": {_MASK},
    "GPU102": {_MASK},
    "GPU103": {_ORDER},
    "GPU104": {_ORDER},
    "GPU105": {_ALLOC},
    "GPU106": {_ALLOC},
    "GPU108": {_MASK, _ORDER},
    "GPU110": {_MASK, _ORDER},
}
JUDGED = HEADER.keys() | {"GPU107", "GPU109", "GPU111", "GPU115", "GPU201"}


@dataclass(frozen=True)
class Ran:
    """A file with its findings and its run."""

    name: str
    outcome: Outcome
    findings: frozenset[tuple[str, int]]

    @property
    def codes(self) -> frozenset[str]:
        return frozenset(code for code, _ in self.findings)

    @property
    def physical(self) -> set[int]:
        return {use["physical"] for use in self.outcome.of("use") if "physical" in use}

    def shows(self, code: str) -> str:
        """How the run shows a fault; empty if it does not get there."""
        first = (self.outcome.of("framework") or self.outcome.of("exit") or [None])[0]
        if code in HEADER and first is not None:
            wrong = [k for k in WANTED if k in HEADER[code] and first["settings"][k] != WANTED[k]]
            when = f"`import {first['name']}`" if first["event"] == "framework" else "the end"
            return f"at {when} {', '.join(wrong)} not as demanded" if wrong else ""
        if code in ("GPU107", "GPU115", "GPU111"):
            lines = {line for found, line in self.findings if found == code}
            late = [w for w in self.outcome.of("write") if w["line"] in lines and w["frozen"]]
            return f"line {late[0]['line']} writes when CUDA is initialised" if late else ""
        if code == "GPU201":
            asked = [use for use in self.outcome.of("use") if use["index"] >= 1]
            return f"line {asked[0]['line']} asks for device {asked[0]['index']}" if asked else ""
        return ""


def run_all(which: str) -> dict[str, Ran]:
    root = FIXTURE / which
    finder = SettingsFinder(load_rulebook())
    results = Engine(finder).check(discover([root], finder).files).files
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda result: run_program(result.path, root), results))
    return {
        (name := result.path.relative_to(root).as_posix()): Ran(
            name,
            outcome,
            frozenset((f.code, result.source.row(f.span.start)) for f in result.findings),
        )
        for result, outcome in zip(results, outcomes, strict=True)
    }


@pytest.fixture(scope="module")
def before() -> dict[str, Ran]:
    return run_all("before")


@pytest.fixture(scope="module")
def after() -> dict[str, Ran]:
    return run_all("after")


def test_every_migrated_file_touches_the_right_gpu_and_no_other(after: dict[str, Ran]) -> None:
    assert len(after) == 40
    for ran in after.values():
        assert ran.outcome.status is not None, ran.name
        if "GPU118" in ran.codes:
            assert ran.name in REMOVING
            continue  # that is left to its owner
        assert ran.physical <= {1}, ran.name
        for freeze in ran.outcome.of("freeze"):
            assert freeze["visible"] == [1], (ran.name, freeze)
        ends = [] if ran.name in REMOVING else ran.outcome.of("exit")
        for event in ran.outcome.of("framework") + ends:
            assert WANTED.items() <= event["settings"].items(), ran.name
    assert sum(1 for ran in after.values() if ran.physical) >= 20


def test_every_reported_fault_is_seen_or_listed(before: dict[str, Ran]) -> None:
    assert len(before) == 40
    for ran in before.values():
        judged = ran.codes & JUDGED
        if judged - {"GPU201"}:
            assert any(ran.shows(code) for code in judged), (ran.name, sorted(judged))
    assert {0} <= set().union(*(ran.physical for ran in before.values()))


def test_the_report_of_the_runs_is_the_one_that_is_kept(
    before: dict[str, Ran], after: dict[str, Ran]
) -> None:
    assert report(before, after) == REPORT.read_text(encoding="utf-8")


def report(before: dict[str, Ran], after: dict[str, Ran]) -> str:
    lines = [
        "# The voice assistant under fakecuda",
        "",
        "40 files as they were and 40 as `gpu-lint fix` made them, each run as a program on two",
        "GPUs: physical 0 is the forbidden RTX 5060 Ti, 1 the mandatory RTX 3090, and CUDA's own",
        "order puts the 3090 first. `-` is a run that touches no GPU.",
        "`python -m tests.test_fakecuda` writes this file; the test compares it.",
        "",
        "| file | GPUs before | faults seen | not reached | GPUs after |",
        "|---|---|---|---|---|",
    ]
    for name, ran in before.items():
        judged = sorted(ran.codes & JUDGED)
        seen = [code for code in judged if ran.shows(code)]
        missed = [code for code in judged if not ran.shows(code)]
        lines.append(
            f"| {name} | {_gpus(ran)} | {' '.join(seen)} | {' '.join(missed)} "
            f"| {_gpus(after[name])} |"
        )
    return "\n".join(lines) + "\n"


def _gpus(ran: Ran) -> str:
    return ", ".join(map(str, sorted(ran.physical))) or "-"


if __name__ == "__main__":
    REPORT.write_text(report(run_all("before"), run_all("after")), encoding="utf-8")
    print(Path(REPORT))
