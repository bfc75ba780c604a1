"""What recording costs a program: the same code bare and under the recorder, in turn.

    python bench/recorder.py [--rounds 5] [--python PYTHON]

Seconds of a million iterations before CUDA is initialised, and after it; of ``import torch`` where
it is installed. Without a GPU the stand-in driver of the tests is used, which needs Linux and gcc.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from gpu_lint.runtime.tracing import recorded_environment  # noqa: E402

_TIMED = """\
import time
{before}
began = time.perf_counter()
{code}
print(time.perf_counter() - began)
"""
_LOOP = """\
import ctypes, math
libc = ctypes.CDLL(None)
def g():
    pass
def f():
    for i in range(1_000_000):
        {}
f()
"""
_LOOPS = {
    "arithmetic": _LOOP.format("i += i"),
    "builtin calls": _LOOP.format("len('x')"),
    "methods of builtin types": _LOOP.format("'x'.upper()"),
    "Python calls": _LOOP.format("g()"),
    "calls of the standard library's C": _LOOP.format("math.sqrt(2)"),
    "calls of other C": _LOOP.format("libc.abs(2)"),
}
_FREEZE = "import ctypes\nctypes.CDLL('libcuda.so.1').cuInit(0)"


def seconds(python: str, code: str, before: str, env: dict[str, str]) -> float:
    done = subprocess.run(
        [python, "-c", _TIMED.format(before=before, code=code)],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def driver(folder: Path) -> dict[str, str]:
    """The variables that make a driver found: none where there is one."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        library = folder / "libcuda.so.1"
        source = REPOSITORY / "tests" / "fakedriver" / "cuda.c"
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
        return {"LD_LIBRARY_PATH": str(folder)}
    return {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(options.python, options.rounds, {**os.environ, **driver(Path(folder))})


def compare(python: str, rounds: int, bare: dict[str, str]) -> None:
    """Print a row for each kind of code."""
    cases = [(name, code, "") for name, code in _LOOPS.items()]
    cases += [
        (f"{name}, after", _LOOPS[name], _FREEZE) for name in ("Python calls", "calls into C")
    ]
    if subprocess.run([python, "-c", "import torch"], capture_output=True).returncode == 0:
        cases.append(("import torch", "import torch", ""))
    print("| code | bare s | recorded s | ratio |\n|---|---|---|---|")
    for name, code, before in cases:
        found: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(rounds):
            for recorded in (False, True):
                with tempfile.TemporaryDirectory() as folder:
                    env = bare
                    if recorded:
                        env = recorded_environment(bare, Path(folder), Path.cwd())
                    found[recorded].append(seconds(python, code, before, env))
                time.sleep(0.02)
        plain, watched = (statistics.median(found[recorded]) for recorded in (False, True))
        print(f"| {name} | {plain:.3f} | {watched:.3f} | {watched / plain:.2f} |", flush=True)


if __name__ == "__main__":
    main()
