"""Run composed programs on a machine with GPUs, each in a fresh process, and note what they did.

The programs are those of tests/differential/programs.py, by their seeds; what is noted of each
is what the stand-ins of tests/fakecuda note, so that three answers can be compared: the static
verdict, the stand-ins, and CUDA (tests/test_hardware.py).
Every fifth program runs a second time, unwatched: watching must not change what happens.
Usage, from the repository: python rules/evidence/run_programs.py OUT.json [PROGRAMS]
"""

import concurrent.futures
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
CHILD = r'''
import atexit, builtins, json, os, runpy, sys, traceback
import driver

root, watched = sys.argv[1], sys.argv[2] == "watched"
printed, writes, waiting = [], [], []
set_item = os._Environ.__setitem__

def is_decided():
    """Whether a mask written now comes too late.

    Where every GPU is hidden the driver fails and may be tried again, but torch keeps the
    failure. So a fork of this process lifts the mask and asks torch for its count.
    """
    if driver.is_initialised():
        return True
    if "torch" not in sys.modules:
        return False
    child = os.fork()
    if child == 0:
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
        os._exit(7 if sys.modules["torch"]._C._cuda_getDeviceCount() else 8)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (7, 8), status
    return status == 8

def visible():
    """The GPUs that the program may use from here on."""
    if "torch" in sys.modules and not driver.is_initialised():
        if not sys.modules["torch"]._C._cuda_getDeviceCount():
            return []
    return driver.visible()

def watch(self, key, value):
    if key != "CUDA_VISIBLE_DEVICES":
        set_item(self, key, value)
    else:
        before = is_decided()
        set_item(self, key, value)
        frame = sys._getframe(1)
        while not frame.f_code.co_filename.startswith(root):
            frame = frame.f_back
        name = os.path.relpath(frame.f_code.co_filename, root)
        writes.append({"file": name, "line": frame.f_lineno, "frozen": before})

def register(function, *args, **kwargs):
    waiting.append((function, args, kwargs))
    return function

if watched:
    os._Environ.__setitem__ = watch
real = builtins.print, atexit.register
builtins.print = lambda *words, **kwargs: printed.append(" ".join(map(str, words)))
atexit.register = register
sys.path.insert(0, root)
sys.argv = [os.path.join(root, "run.py")]
error = ""
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit:
    pass
except BaseException:
    error = traceback.format_exc()
builtins.print, atexit.register = real
own = [entry for entry in waiting if getattr(entry[0], "__code__", None) is not None
       and entry[0].__code__.co_filename.startswith(root)]
builtins.print = lambda *words, **kwargs: printed.append(" ".join(map(str, words)))
for function, args, kwargs in reversed(own):
    function(*args, **kwargs)
builtins.print = real[0]
seen = visible()
print("\nRESULT " + json.dumps(
    {"printed": printed, "writes": writes, "visible": seen, "error": error}), flush=True)
os._exit(0)
'''


def gpus() -> list[str]:
    """The UUIDs of the machine's GPUs, in PCI order."""
    listed = subprocess.run(
        ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"],
        capture_output=True, text=True, check=True,
    )
    return listed.stdout.split()


def run(files: dict[str, str], watched: bool) -> dict:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CUDA_V", "CUDA_D", "PYTORCH_"))}
    kept["PYTHONPATH"] = str(HERE)
    kept["PYTHONDONTWRITEBYTECODE"] = "1"
    with tempfile.TemporaryDirectory() as directory:
        root = os.path.realpath(directory)
        for name, text in files.items():
            path = Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        try:
            done = subprocess.run(
                [sys.executable, "-c", CHILD, root, "watched" if watched else "alone"],
                cwd=root, env=kept, capture_output=True, text=True, timeout=120,
            )
        except subprocess.TimeoutExpired:
            return {"printed": [], "writes": [], "visible": [], "error": "timeout"}
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line.removeprefix("RESULT "))
    error = f"rc {done.returncode} {done.stderr[-400:]}"
    return {"printed": [], "writes": [], "visible": [], "error": error}


def main(out: str, count: int) -> None:
    sys.path.insert(0, str(REPOSITORY))
    from tests.differential.programs import Composer, Seeded

    order = gpus()
    programs = [Composer(Seeded(seed)).program() for seed in range(count)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        ran = list(pool.map(lambda p: run(p.files, True), programs))
        again = list(pool.map(lambda p: run(p.files, False), programs[::5]))
    changed = []
    for result in ran + again:
        result["visible"] = [order.index(uuid) for uuid in result["visible"]]
    for seed, second in zip(range(0, count, 5), again):
        first = ran[seed]
        if any(first[key] != second[key] for key in ("printed", "visible", "error")):
            changed.append(seed)
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(len(order))]
    meta = {
        "gpus": names, "torch": torch.__version__, "python": platform.python_version(),
        "system": platform.platform(), "seeds": f"0 to {count - 1}",
        "run again unwatched": len(again), "which then differed": changed,
    }
    rows = [
        {"seed": seed, "files": program.files, "plain": program.plain, **result}
        for seed, (program, result) in enumerate(zip(programs, ran))
    ]
    text = ",\n".join(json.dumps(row) for row in rows)
    Path(out).write_text(f'{{"meta": {json.dumps(meta)},\n"programs": [\n{text}\n]}}\n')
    print(json.dumps(meta), "errors:", sum(bool(row["error"]) for row in rows))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 500)
