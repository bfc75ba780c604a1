"""Call every public function of torch.cuda, torch.accelerator and torch.backends that takes no
argument, or an index, each in a fresh process, and note what it did to the CUDA driver.

Of each: how the call ended, whether the driver was initialised by it, whether it allocated; then
a mask that hides every GPU is written, and what torch and the driver count is noted.
Usage: python probe_freeze.py OUT.json
"""

import concurrent.futures
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIST = r'''
import importlib, inspect, json, pkgutil, torch, warnings
warnings.simplefilter("ignore")
roots = ["torch.cuda", "torch.accelerator", "torch.backends"]
modules = set(roots)
for root in roots:
    for found in pkgutil.walk_packages(importlib.import_module(root).__path__, root + "."):
        if not any(part.startswith("_") for part in found.name.split(".")):
            modules.add(found.name)
calls = []
for name in sorted(modules):
    try:
        module = importlib.import_module(name)
    except Exception:
        continue
    for attribute in sorted({*dir(module), *dir(getattr(module, "m", module))}):
        value = getattr(module, attribute, None)
        if attribute.startswith("_") or not callable(value):
            continue
        home = getattr(value, "__module__", "") or ""
        if inspect.ismodule(value) or not home.startswith("torch"):
            continue
        if isinstance(value, type) and issubclass(value, BaseException):
            continue
        try:
            parameters = list(inspect.signature(value).parameters.values())
        except (TypeError, ValueError):
            parameters = None
        plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        if parameters is None:
            forms = ["", "0"]
        else:
            needed = [p for p in parameters if p.default is p.empty and p.kind in plain]
            takes = [p for p in parameters if p.kind in plain]
            device = bool(takes) and takes[0].name in ("device", "device_index", "idx", "index")
            forms = [] if needed else [""]
            if len(needed) == 1 or (device and not needed):
                forms.append("0")
        calls += [f"{name}.{attribute}({form})" for form in forms]
print("RESULT " + json.dumps(calls))
'''
CHILD = r'''
import json, os, sys, warnings
import driver
warnings.simplefilter("ignore")
call = sys.argv[1]
import importlib, torch
importlib.import_module(call.partition("(")[0].rpartition(".")[0])
imported = driver.is_initialised()
try:
    value = eval(call)
    ended = "ok " + repr(value)[:80]
except BaseException as error:
    ended = type(error).__name__ + ": " + str(error).split("\n")[0][:160]
frozen = driver.is_initialised()
torch_initialised = torch.cuda.is_initialized()
try:
    allocated = torch.cuda.memory_reserved() if torch_initialised else 0
except Exception:
    allocated = 0
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
counted = torch.cuda.device_count()
print("\nRESULT " + json.dumps({
    "ended": ended, "imported": imported, "frozen": frozen, "torch_initialised": torch_initialised,
    "allocated": allocated, "count_behind_mask": counted, "driver_behind_mask": len(driver.visible()),
}), flush=True)
os._exit(0)
'''
MORE = {  # a program, and what it prints: questions that composed programs raise
    "no device: is_available, then the mask is lifted": (
        "import os; os.environ['CUDA_VISIBLE_DEVICES'] = ''\nimport torch, driver\n"
        "a = torch.cuda.is_available()\nb = driver.is_initialised()\n"
        "os.environ['CUDA_VISIBLE_DEVICES'] = '0'\n"
        "show(available=a, initialised=b, count=torch.cuda.device_count(), driver=len(driver.visible()),"
        " again=torch.cuda.is_available())"
    ),
    "no device: cuInit twice": (
        "import os, ctypes; os.environ['CUDA_VISIBLE_DEVICES'] = ''\nimport driver\n"
        "a = driver._CUDA.cuInit(0)\nos.environ['CUDA_VISIBLE_DEVICES'] = '0'\n"
        "b = driver._CUDA.cuInit(0)\nshow(first=a, second=b, driver=len(driver.visible()))"
    ),
    "no device: torch.cuda.init fails, then the mask is lifted": (
        "import os; os.environ['CUDA_VISIBLE_DEVICES'] = ''\nimport torch, driver\n"
        "a = attempt(torch.cuda.init)\nb = driver.is_initialised()\n"
        "os.environ['CUDA_VISIBLE_DEVICES'] = '0'\n"
        "show(init=a, initialised=b, again=attempt(torch.cuda.init), driver=len(driver.visible()))"
    ),
    "no device: zeros on cuda:0 fails, then the mask is lifted": (
        "import os; os.environ['CUDA_VISIBLE_DEVICES'] = ''\nimport torch, driver\n"
        "a = attempt(lambda: torch.zeros(1, device='cuda:0'))\nb = driver.is_initialised()\n"
        "os.environ['CUDA_VISIBLE_DEVICES'] = '0'\n"
        "show(use=a, initialised=b, again=attempt(lambda: torch.zeros(1, device='cuda:0')),"
        " driver=len(driver.visible()))"
    ),
    "no device: get_device_name(0) fails, then the mask is lifted": (
        "import os; os.environ['CUDA_VISIBLE_DEVICES'] = ''\nimport torch, driver\n"
        "a = attempt(lambda: torch.cuda.get_device_name(0))\nb = driver.is_initialised()\n"
        "os.environ['CUDA_VISIBLE_DEVICES'] = '0'\n"
        "show(use=a, initialised=b, again=attempt(lambda: torch.cuda.get_device_name(0)),"
        " driver=len(driver.visible()))"
    ),
    "no device: accelerator.is_available, then the mask is lifted": (
        "import os; os.environ['CUDA_VISIBLE_DEVICES'] = ''\nimport torch, driver\n"
        "a = torch.accelerator.is_available()\nb = driver.is_initialised()\n"
        "os.environ['CUDA_VISIBLE_DEVICES'] = '0'\n"
        "show(available=a, initialised=b, driver=len(driver.visible()))"
    ),
    "count kept: device_count after init, mask written": (
        "import os, torch, driver\ntorch.cuda.init()\nos.environ['CUDA_VISIBLE_DEVICES'] = '-1'\n"
        "a = torch.cuda.device_count()\ndel os.environ['CUDA_VISIBLE_DEVICES']\n"
        "show(behind_mask=a, lifted=torch.cuda.device_count())"
    ),
    "no device: cupy and torch each": (
        "import os; os.environ['CUDA_VISIBLE_DEVICES'] = ''\nimport torch, driver, cupy\n"
        "a = torch.cuda.is_available()\nos.environ['CUDA_VISIBLE_DEVICES'] = '0'\n"
        "show(torch=a, cupy=attempt(cupy.cuda.runtime.getDeviceCount), again=torch.cuda.is_available())"
    ),
    "with torch.cuda.device(0)": (
        "import torch, driver\na = torch.cuda.device(0)\nb = driver.is_initialised()\n"
        "with a:\n    pass\nshow(made=b, entered=driver.is_initialised())"
    ),
    "with torch.accelerator.device_index(0)": (
        "import torch, driver\na = torch.accelerator.device_index(0)\nb = driver.is_initialised()\n"
        "with a:\n    pass\nshow(made=b, entered=driver.is_initialised())"
    ),
    "torch.Generator('cuda') under no device": (
        "import os; os.environ['CUDA_VISIBLE_DEVICES'] = ''\nimport torch, driver\n"
        "a = attempt(lambda: torch.Generator('cuda'))\nshow(made=a, initialised=driver.is_initialised())"
    ),
}
SHOW = r'''
import json
def show(**kw): print("\nRESULT " + json.dumps(kw), flush=True)
def attempt(f):
    try:
        return "ok " + str(f())[:120]
    except BaseException as error:
        return type(error).__name__ + ": " + str(error).split("\n")[0][:160]
'''


def run(code: str, *arguments: str) -> object:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CUDA_V", "CUDA_D", "PYTORCH_"))}
    kept["PYTHONPATH"] = str(HERE)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], env=kept, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=90,
        )
    except subprocess.TimeoutExpired:
        return {"ended": "timeout"}
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line.removeprefix("RESULT "))
    return {"ended": f"rc {done.returncode} {done.stderr.strip()[-200:]}"}


def main(out: str) -> None:
    calls = run(LIST)
    assert isinstance(calls, list), calls
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = dict(zip(calls, pool.map(lambda call: run(CHILD, call), calls)))
        more = dict(zip(MORE, pool.map(lambda code: run(SHOW + code), MORE.values())))
    import torch

    meta = {
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "torch": torch.__version__, "python": platform.python_version(), "system": platform.platform(),
    }
    rows = ",\n".join(f"{json.dumps(call)}: {json.dumps(row)}" for call, row in results.items())
    others = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in more.items())
    Path(out).write_text(
        f'{{"meta": {json.dumps(meta)},\n"calls": {{\n{rows}\n}},\n"more": {{\n{others}\n}}}}\n'
    )
    print(json.dumps(meta), len(calls), "calls")


if __name__ == "__main__":
    main(sys.argv[1])
