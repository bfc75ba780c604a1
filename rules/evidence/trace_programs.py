"""Trace composed programs on a machine with GPUs: the recorder and check must name one line.

The programs are those of tests/differential/programs.py, by their seeds.
Usage, from the repository: python rules/evidence/trace_programs.py OUT.json [PROGRAMS]
"""

import concurrent.futures
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from tests.differential.programs import Composer, Seeded  # noqa: E402
from tests.differential.traced import disagreements  # noqa: E402

DECIDING = ("CUDA_V", "CUDA_D", "PYTORCH_", "NVIDIA_V")


def trace(seed: int) -> list[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(DECIDING)}
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        return disagreements(Composer(Seeded(seed)).program(), Path(folder), env, None)


def main(out: str, programs: int = 100) -> None:
    with concurrent.futures.ProcessPoolExecutor(8) as pool:
        found = dict(enumerate(pool.map(trace, range(programs))))
    wrong = {seed: lines for seed, lines in found.items() if lines}
    result = {"python": platform.python_version(), "programs": programs, "disagreements": wrong}
    Path(out).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:3]))
