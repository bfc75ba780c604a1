"""What was measured on a machine with GPUs, against what is claimed without one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gpu_lint.facts.model import Certainty
from tests.differential.compare import START, disagreements, judge, observe, project_of
from tests.differential.programs import Program
from tests.test_differential import explain, run_under_fakecuda

EVIDENCE = Path(__file__).parents[1] / "rules" / "evidence"
MEASURED = json.loads((EVIDENCE / "torch_calls.json").read_text(encoding="utf-8"))
CALLS = MEASURED["calls"]
RECORDS = {
    path.name: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(EVIDENCE.glob("programs_*.json"))
}
a_record = pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS.keys())


def _programs(record: dict[str, Any]) -> list[tuple[Program, dict[str, Any]]]:
    return [(Program(row["files"], row["plain"]), row) for row in record["programs"]]


def _machine(record: dict[str, Any]) -> dict[str, str]:
    """The stand-ins' environment for the machine of a record."""
    gpus = record["meta"]["gpus"]
    order = ",".join(map(str, range(len(gpus))))
    return {"FAKECUDA_NAMES": ",".join(gpus), "FAKECUDA_FASTEST": order}


@a_record
def test_every_program_ran_to_its_end_and_watching_changed_nothing(record: dict[str, Any]) -> None:
    programs = _programs(record)
    assert len(programs) == 500
    assert [row["seed"] for _, row in programs if row["error"]] == []
    assert record["meta"]["which then differed"] == []


@a_record
def test_what_is_said_is_what_cuda_does(record: dict[str, Any]) -> None:
    gpus = len(record["meta"]["gpus"])
    for program, row in _programs(record):
        found = disagreements(program, judge(program, gpus), observe(program, row))
        assert found == [], explain(program, [f"seed {row['seed']}", *found])


@a_record
def test_stand_ins_do_what_cuda_does(record: dict[str, Any]) -> None:
    programs = _programs(record)
    ran = run_under_fakecuda([program for program, _ in programs], _machine(record))
    for (program, row), result in zip(programs, ran, strict=True):
        writes = [{key: w[key] for key in ("file", "line", "frozen")} for w in result["writes"]]
        found = [result["printed"], writes, result["visible"]]
        measured = [row["printed"], row["writes"], row["visible"]]
        assert found == measured, explain(program, [f"seed {row['seed']}"])


def test_stand_ins_answer_every_call_as_torch_did() -> None:
    calls = [c for c in CALLS if CALLS[c]["ended"].startswith("ok") and c.count(".") == 2]
    probe = (
        "import os, torch\nif {name!r} in vars({module}):\n    {call}\n"
        '    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"\n    print(torch.cuda.device_count())\n'
    )
    programs = []
    for call in calls:
        module, _, name = call.partition("(")[0].rpartition(".")
        programs.append(
            Program({"run.py": probe.format(call=call, module=module, name=name)}, True)
        )
    compared = 0
    one_gpu = _machine({"meta": MEASURED["meta"]})
    for call, ran in zip(calls, run_under_fakecuda(programs, one_gpu), strict=True):
        assert ran["error"] == "", (call, ran["error"])
        if ran["writes"]:
            compared += 1
            found = ran["writes"][0]["frozen"], int(ran["printed"][-1])
            assert found == (CALLS[call]["frozen"], CALLS[call]["count_behind_mask"]), call
    assert compared > 30


@pytest.mark.parametrize("call", [call for call in CALLS if CALLS[call]["ended"].startswith("ok")])
def test_rows_say_what_was_measured(call: str) -> None:
    measured: dict[str, Any] = CALLS[call]
    module = call.partition("(")[0].rpartition(".")[0]
    project = project_of({"run.py": f"import torch\nimport {module}\n{call}\n"})
    end = project.run(START).end
    assert end.frozen.certainty is (Certainty.ALWAYS if measured["frozen"] else Certainty.NEVER)
    allocates = Certainty.ALWAYS if measured["allocated"] else Certainty.NEVER
    assert end.allocated.certainty is allocates


@pytest.mark.skipif(sys.platform != "linux", reason="the driver is asked as on Linux")
@pytest.mark.parametrize("gpus", ["1", "2"])
def test_promises_are_held_against_the_cards_that_each_process_touches(
    gpus: str, tmp_path: Path
) -> None:
    script = Path(__file__).parents[1] / "bench" / "promises.py"
    options = ["--programs", "6", "--stand-ins", gpus]
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "out.json"), *options],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert record["meta"]["programs"] == 6
    touched = {tuple(row["touched"]) for row in record["programs"]}
    assert len(touched) > 1, touched


@pytest.mark.skipif(sys.platform != "linux", reason="the driver is asked as on Linux")
def test_fixes_are_held_against_the_cards_that_programs_touch_before_and_after(
    tmp_path: Path,
) -> None:
    script = Path(__file__).parents[1] / "bench" / "outcomes.py"
    options = ["--programs", "6", "--stand-ins", "2"]
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "out.json"), *options],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert record["meta"]["ran to their end before"] > 1
    assert any(row["changed"] for row in record["programs"])
