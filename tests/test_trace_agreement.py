"""Composed programs under the recorder: it names the line that the stand-ins and check name.

``GPU_LINT_TRACED=500`` runs more of them; on GPUs it is ``rules/evidence/trace_programs.py``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import fakecuda
from tests.differential.programs import Composer, Seeded
from tests.differential.traced import disagreements
from tests.test_differential import TWINS, explain

SEEDS = range(int(os.environ.get("GPU_LINT_TRACED", "24")))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_line_is_what_the_stand_ins_and_check_say(
    seed: int, tmp_path: Path, fakedriver: Path
) -> None:
    program = Composer(Seeded(seed)).program()
    log = tmp_path / "log.jsonl"
    env = {
        **fakecuda.environment(log),
        **TWINS,
        "LD_LIBRARY_PATH": str(fakedriver),
        "FAKECUDA_DRIVER": "libcuda.so.1",
    }
    found = disagreements(program, tmp_path / "project", env, log)
    assert found == [], explain(program, found)
