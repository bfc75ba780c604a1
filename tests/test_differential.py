"""Random programs: the verdict before the run, and the run under fakecuda, must agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.differential.compare import disagreements, judge, mays, observe
from tests.differential.programs import Composer, Program, Seeded
from tests.fakecuda import environment

_T = TypeVar("_T")
SEEDS = range(int(os.environ.get("GPU_LINT_PROGRAMS", "300")))
BATCH = Path(__file__).parent / "fakecuda" / "batch.py"
TWINS = {"FAKECUDA_NAMES": "NVIDIA H200,NVIDIA H200", "FAKECUDA_FASTEST": "0,1"}


def run_under_fakecuda(
    programs: list[Program], machine: dict[str, str] = TWINS
) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [sys.executable, str(BATCH)],
            input=json.dumps([program.files for program in programs]).encode(),
            env={**environment(Path(directory) / "log"), **machine, "FAKECUDA_LOG": ""},
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


class Drawn:
    """Chooses as Hypothesis draws, so that a failing program is made small."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self._draw = draw

    def pick(self, options: Sequence[_T]) -> _T:
        return self._draw(st.sampled_from(list(options)))  # type: ignore[no-any-return]


@st.composite
def programs(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Program:
    return Composer(Drawn(draw)).program()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(programs(), min_size=1, max_size=4))
def test_hypothesis_finds_no_program_that_disagrees(several: list[Program]) -> None:
    for program, ran in zip(several, run_under_fakecuda(several), strict=True):
        assert ran["error"] == "", explain(program, [ran["error"]])
        found = disagreements(program, judge(program), observe(program, ran))
        assert found == [], explain(program, found)


WRITE = 'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
CASES: dict[str, dict[str, str]] = {
    "get_device_name compares its index with a count that lies": {
        "run.py": "import os, torch\ntorch.cuda.init()\n" + WRITE + "try:\n"
        '    torch.cuda.get_device_name(1)\n    print("WORKED", 1)\n'
        'except Exception:\n    print("FAILED", 1)\n'
    },
    "a framework that importlib brings in is named as well": {
        "run.py": 'import importlib\ntorch = importlib.import_module("torch")\n'
        'try:\n    torch.zeros(1).cuda(1)\n    print("WORKED", 1)\n'
        'except Exception:\n    print("FAILED", 1)\n'
    },
    "raising an exception on purpose is no accident": {
        "run.py": "import os, torch\ntry:\n    try:\n        raise ValueError('x')\n"
        "    except ValueError:\n        torch.cuda.is_available()\n"
        "except Exception:\n    pass\n" + WRITE
    },
    "a generator's rest runs behind the with statement": {
        "part.py": "import contextlib\nimport torch\n@contextlib.contextmanager\n"
        "def around():\n    yield 1\n    torch.accelerator.is_available()\n"
        "try:\n    with around():\n        pass\nexcept ValueError:\n    pass\n",
        "run.py": "import os\nimport part\n" + WRITE,
    },
    "an import that only a handler elsewhere could see fail": {
        "part.py": "import torch\ntorch.cuda.init()\n",
        "run.py": "import os\ndef load():\n    import part\ntry:\n    load()\n"
        "    raise ValueError('x')\nexcept Exception:\n    " + WRITE,
    },
    "an import in try whose handler takes just that": {
        "part.py": "try:\n    import torch\nexcept ImportError:\n    torch = None\n"
        "torch.cuda.init()\n",
        "run.py": "import os\ntry:\n    import part\nexcept ValueError:\n    pass\n" + WRITE,
    },
    "setdefault writes nothing where the variable is set": {
        "run.py": "import os, torch\ndef step():\n"
        '    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")\n'
        "step()\ntorch.cuda.init()\nstep()\n"
    },
    "naming a device that does not exist is no failure": {
        "run.py": "import os, torch\n" + WRITE + "try:\n"
        '    print(torch.device("cuda:1"))\nexcept KeyError:\n    torch.cuda.init()\n' + WRITE
    },
}


@pytest.mark.parametrize("files", CASES.values(), ids=CASES.keys())
def test_found_on_the_way(files: dict[str, str]) -> None:
    program = Program(files, plain=True)
    (ran,) = run_under_fakecuda([program])
    assert ran["error"] == ""
    assert disagreements(program, judge(program), observe(program, ran)) == []
