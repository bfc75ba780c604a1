"""Random programs: the verdict before the run, and the run under fakecuda, must agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.differential.compare import disagreements, judge, mays, observe
from tests.differential.programs import Composer, Program, Seeded
from tests.fakecuda import environment

SEEDS = range(int(os.environ.get("GPU_LINT_PROGRAMS", "300")))
BATCH = Path(__file__).parent / "fakecuda" / "batch.py"
TWINS = {"FAKECUDA_FASTEST": "0,1", "FAKECUDA_NAMES": "NVIDIA H200,NVIDIA H200"}


def run_under_fakecuda(programs: list[Program]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [sys.executable, str(BATCH)],
            input=json.dumps([program.files for program in programs]).encode(),
            env={**environment(Path(directory) / "log"), **TWINS, "FAKECUDA_LOG": ""},
            capture_output=True,
        )
    assert done.returncode == 0, done.stderr.decode()
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def explain(program: Program, found: list[str]) -> str:
    files = "\n".join(f"--- {name}\n{text}" for name, text in program.files.items())
    return "\n".join([*found, files])


def test_what_is_said_is_what_happens() -> None:
    programs = [Composer(Seeded(seed)).program() for seed in SEEDS]
    undecided = answers = 0
    for seed, program, ran in zip(SEEDS, programs, run_under_fakecuda(programs), strict=True):
        assert ran["error"] == "", explain(program, [f"seed {seed}", ran["error"]])
        verdict, observed = judge(program), observe(program, ran)
        found = disagreements(program, verdict, observed)
        assert found == [], explain(program, [f"seed {seed}", *found])
        if not program.plain:
            may, of = mays(verdict, observed)
            undecided, answers = undecided + may, answers + of
    print(f"may: {undecided} of {answers} verdicts on programs with unknown branches")


CASES: dict[str, dict[str, str]] = {}


@pytest.mark.parametrize("files", CASES.values(), ids=CASES.keys())
def test_found_on_the_way(files: dict[str, str]) -> None:
    program = Program(files, plain=True)
    (ran,) = run_under_fakecuda([program])
    assert ran["error"] == ""
    assert disagreements(program, judge(program), observe(program, ran)) == []
