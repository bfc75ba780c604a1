"""Runs projects before and after plain ``fix`` on real GPUs, and holds the two against each other.

    python bench/outcomes.py OUT.json [--programs 200] [--first 0] [--seconds 480] [--stand-ins N]

Composes projects as their owners write them (``tests/differential/owners.py``), with the machine's
GPU for the one that the policy names, and asks what ``tests/test_outcome_property.py`` asks with
stand-ins: what ran to its end still does and touches no GPU but the policy's that it did not touch
before; no finding is new; where nothing is left to find it touches the policy's alone. The policy's
GPU is 1, which on a machine with one GPU names none. Needs Linux, nvidia-smi, PyTorch and pytest.
Prints what it found, and ends with 1 if a fix was wrong.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from watched import Ran, machine_gpus, missing, read_options, run, watched_python

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from tests.differential.outcome import POLICY, Trial, disagreements, ended, try_fix  # noqa: E402
from tests.differential.owners import Owned, Owners  # noqa: E402
from tests.differential.programs import Seeded  # noqa: E402

NAME = "H200"
"""What stands for the name of the policy's GPU in projects and policy."""
GPU: dict[str, Any] = {k: v for k, v in POLICY["gpu"].items() if k != "forbidden"}


def compose(first: int, count: int, directory: Path) -> Iterator[tuple[int, Trial]]:
    """Projects that this machine can run, each with what ``fix`` makes of it."""
    seed = first
    while count:
        owned = Owners(Seeded(seed)).project()
        named = {name: text.replace("3090", NAME) for name, text in owned.files.items()}
        if not missing(named):
            policy = {**POLICY, "gpu": {**GPU, "name": NAME}}
            yield seed, try_fix(Owned(named, owned.argv), directory / str(seed), policy)
            count -= 1
        seed += 1


def observed(ran: Ran, gpus: list[str]) -> dict[str, Any]:
    """What a run did, as the comparison takes it: GPUs by their physical indices."""
    return {
        "error": ran.error if ran.status else "",
        "status": ran.status,
        "failed": [],
        "printed": ran.printed,
        "touched": sorted(gpus.index(uuid) for uuid in ran.touched),
    }


def main() -> int:
    options = read_options(__doc__, 200)
    started = time.monotonic()
    gpus = machine_gpus(options.stand_ins)

    def judged(one: tuple[int, Trial]) -> dict[str, Any] | None:
        seed, trial = one
        if time.monotonic() - started > options.seconds:
            return None
        words = trial.project.argv.split()
        before, after = (
            observed(run(project.files, python, words), gpus)
            for project in (trial.project, trial.fixed)
        )
        return {
            "seed": seed,
            "changed": trial.is_changed,
            "before": before,
            "after": after,
            "wrong": disagreements(trial, before, after),
        }

    with tempfile.TemporaryDirectory() as directory:
        python = watched_python(Path(directory, "python"), options.stand_ins)
        trials = list(compose(options.first, options.programs, Path(directory, "fixed")))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            rows = [row for row in pool.map(judged, trials) if row is not None]
    wrong = {row["seed"]: row["wrong"] for row in rows if row["wrong"]}
    facts = {
        "gpus": gpus,
        "python": platform.python_version(),
        "system": platform.platform(),
        "programs": len(rows),
        "not run": len(trials) - len(rows),
        "changed by fix": sum(row["changed"] for row in rows),
        "ran to their end before": sum(ended(row["before"]) for row in rows),
        "ran to their end after": sum(ended(row["after"]) for row in rows),
        "seconds": round(time.monotonic() - started),
        "wrong": wrong,
    }
    lines = ",\n".join(map(json.dumps, rows))
    options.out.write_text(f'{{"meta": {json.dumps(facts)},\n"programs": [\n{lines}\n]}}\n')
    print(json.dumps(facts, indent=1))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
