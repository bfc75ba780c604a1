"""What the composed projects of ``test_promise.py`` brought up: each kind, wrong and right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import check_files, codes
from tests.differential.outcome import POLICY

HEADER = """import os
os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
os.environ["CUDA_VISIBLE_DEVICES"] = "1"
os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "max_split_size_mb:1024"
"""
USE = 'import torch\ntorch.zeros(1, device="cuda")\n'
DROP = 'def drop():\n    os.environ.pop("CUDA_VISIBLE_DEVICES", None)\n'
CODE = "\"import torch; torch.zeros(1, device='cuda')\""
LAUNCH = f"""import subprocess, sys
def launch(env):
    subprocess.run([sys.executable, "-c", {CODE}], env=env)
"""
SOON = f"""import asyncio, sys
async def launch(env):
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", {CODE}, env=env)
    await child.wait()
"""
STACK = "import contextlib\nwith contextlib.ExitStack() as stack:\n"
STARTS = f'import subprocess, sys\nsubprocess.run([sys.executable, "-c", {CODE}])\n'
PATCH = "import pytest\nmp = pytest.MonkeyPatch()\n"


def _patched(key: str) -> str:
    return f'import pytest\npytest.MonkeyPatch().setenv("{key}", "0")\n'


def _header(value: str) -> str:
    return HEADER.replace('"1"', value)


_Files = dict[str, str]
WRONG: dict[str, tuple[_Files, tuple[str, str, int]]] = {
    "a callback of a stack": (
        {"run.py": f"{HEADER}{DROP}{STACK}    stack.callback(drop)\n{USE}"},
        ("run.py", "GPU118", 6),
    ),
    "a callback with arguments": (
        {"run.py": f'{HEADER}{STACK}    stack.callback(os.environ.pop, "CUDA_VISIBLE_DEVICES")\n{USE}'},
        ("run.py", "GPU118", 7),
    ),
    "a callback that is perhaps registered": (
        {"run.py": f"{HEADER}{DROP}import sys\n{STACK}    if sys.argv[1:]:\n"
         f"        stack.callback(drop)\n{USE}"},
        ("run.py", "GPU118", 6),
    ),
    "a patch of a module": (
        {"run.py": f"{HEADER}import part\n{USE}", "part.py": _patched("CUDA_VISIBLE_DEVICES")},
        ("part.py", "GPU102", 2),
    ),
    "a removal by a patch": (
        {"run.py": f'{HEADER}{PATCH}mp.delenv("CUDA_VISIBLE_DEVICES")\n{USE}'},
        ("run.py", "GPU118", 7),
    ),
    "a patch that outlasts its function": (
        {"run.py": f"{HEADER}import pytest\ndef setup():\n    mp = pytest.MonkeyPatch()\n"
         f'    mp.setenv("CUDA_VISIBLE_DEVICES", "0")\nsetup()\n{USE}'},
        ("run.py", "GPU102", 8),
    ),
    "a child of another file's helper": (
        {"run.py": f"{HEADER}from helper import launch\n"
         'launch({**os.environ, "CUDA_VISIBLE_DEVICES": "0"})\n', "helper.py": LAUNCH},
        ("helper.py", "GPU207", 3),
    ),
    "a child of another file's coroutine": (
        {"run.py": f"{HEADER}import asyncio\nfrom helper import launch\nenv = os.environ.copy()\n"
         'env.pop("CUDA_VISIBLE_DEVICES")\nasyncio.run(launch(env))\n', "helper.py": SOON},
        ("helper.py", "GPU207", 3),
    ),
    "a child before a header in another file": (
        {"run.py": f"{STARTS}import part\n{USE}", "part.py": HEADER},
        ("run.py", "GPU207", 2),
    ),
    "a child of a program without a header": ({"run.py": STARTS}, ("run.py", "GPU207", 2)),
    "the mask's entries as an index": (
        {"run.py": f"{HEADER}try:\n    int(input())\n    os.environ.update(CUDA_VISIBLE_DEVICES='1')\n"
         "except ValueError:\n    pass\nimport torch\n"
         'numbers = [int(n) for n in os.getenv("CUDA_VISIBLE_DEVICES").split(",")]\n'
         "torch.zeros(1).cuda(numbers[0])\n"},
        ("run.py", "GPU201", 12),
    ),
    "a class's attributes": (
        {"run.py": f'{HEADER}class Settings:\n    CUDA_VISIBLE_DEVICES = "0"\n'
         "for key, value in vars(Settings).items():\n"
         '    if not key.startswith("_"):\n        os.environ[key] = value\n'
         f"{USE}"},
        ("run.py", "GPU102", 9),
    ),
    "all but the mask put back": (
        {"run.py": f"{HEADER}saved = dict(os.environ)\nsaved.pop('CUDA_VISIBLE_DEVICES')\n"
         f"os.environ.clear()\nos.environ.update(saved)\n{USE}"},
        ("run.py", "GPU118", 7),
    ),
    "parts of a text": (
        {"run.py": _header('"cuda:0".partition(":")[2]') + USE}, ("run.py", "GPU102", 3)
    ),
    "a text without a part": (
        {"run.py": _header('"gpu0".replace("gpu", "")') + USE}, ("run.py", "GPU102", 3)
    ),
}  # fmt: skip
RIGHT: dict[str, _Files] = {
    "a callback behind the use": {
        "run.py": f"{HEADER}{DROP}import torch\n{STACK}    stack.callback(drop)\n"
        '    torch.zeros(1, device="cuda")\n'
    },
    "a callback that removes another": {
        "run.py": f'{HEADER}{STACK}    stack.callback(os.environ.pop, "OMP_NUM_THREADS")\n{USE}'
    },
    "callbacks run in reverse": {
        "run.py": f"{HEADER}{DROP}def put():\n    os.environ['CUDA_VISIBLE_DEVICES'] = '1'\n{STACK}"
        f"    stack.callback(put)\n    stack.callback(drop)\n{USE}"
    },
    "a patch of another variable": {
        "run.py": f"{HEADER}import part\n{USE}", "part.py": _patched("OMP_NUM_THREADS")
    },
    "a patch that is undone": {
        "run.py": f'{HEADER}{PATCH}mp.delenv("CUDA_VISIBLE_DEVICES")\nmp.undo()\n{USE}'
    },
    "a patch with a context": {
        "run.py": f"{HEADER}import pytest\nwith pytest.MonkeyPatch.context() as mp:\n"
        f'    mp.delenv("CUDA_VISIBLE_DEVICES")\n{USE}'
    },
    "a helper that starts the same": {
        "run.py": f"{HEADER}from helper import launch\nlaunch(dict(os.environ))\n",
        "helper.py": LAUNCH,
    },
    "a helper that is called behind the header": {
        "run.py": f"{HEADER}from helper import launch\nlaunch(None)\n", "helper.py": LAUNCH
    },
    "a helper that nobody calls": {"helper.py": LAUNCH},
    "a child that asks for a version": {
        "run.py": "import subprocess, sys\nsubprocess.run([sys.executable, '-c', "
        "'import torch; print(torch.version.cuda)'])\n"
    },
    "a class's attributes of other names": {
        "run.py": f'{HEADER}class Settings:\n    OMP_NUM_THREADS = "4"\n'
        "for key, value in vars(Settings).items():\n"
        f"    if not key.startswith('_'):\n        os.environ[key] = value\n{USE}"
    },
    "another file's mask put back": {
        "run.py": f"{HEADER}import torch\nimport part\ntorch.zeros(1, device='cuda')\n",
        "part.py": "import os\ndef put(value):\n    saved = os.environ.get('CUDA_VISIBLE_DEVICES')\n"
        "    try:\n        os.environ['CUDA_VISIBLE_DEVICES'] = value\n        print(value)\n"
        "    finally:\n        os.environ.pop('CUDA_VISIBLE_DEVICES', None)\n"
        "        if saved is not None:\n            os.environ['CUDA_VISIBLE_DEVICES'] = saved\n"
        "put('1')\n",
    },
    "all put back": {
        "run.py": f"{HEADER}saved = dict(os.environ)\nsaved.pop('OMP_NUM_THREADS', None)\n"
        f"os.environ.clear()\nos.environ.update(saved)\n{USE}"
    },
    "a formatted command with quotes": {
        "run.py": f"{HEADER}GPU = '1'\n"
        'os.system(f"CUDA_VISIBLE_DEVICES={GPU} python -c \\"import torch\\"")\n'
    },
    "parts of a text": {"run.py": _header('"cuda:1".partition(":")[2]') + USE},
    "the last part of a text": {"run.py": _header('"cuda:1".rpartition(":")[-1]') + USE},
    "a text without a part": {"run.py": _header('"gpu1".replace("gpu", "")') + USE},
    "a text without its beginning": {"run.py": _header('"cuda:1".removeprefix("cuda:")') + USE},
}  # fmt: skip


def _found(tmp_path: Path, files: _Files, policy: dict[str, Any]) -> list[tuple[str, str, int]]:
    results = check_files(tmp_path, files, policy)
    return [
        (name, code, line)
        for name, result in results.items()
        for code, line in codes(result)
        if not code.startswith("GPU30")
    ]


@pytest.mark.parametrize(("files", "wanted"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_program_is_found(
    files: _Files, wanted: tuple[str, str, int], tmp_path: Path
) -> None:
    assert wanted in _found(tmp_path, files, POLICY)


@pytest.mark.parametrize("files", RIGHT.values(), ids=RIGHT.keys())
def test_a_right_program_close_to_it_is_silent(files: _Files, tmp_path: Path) -> None:
    assert _found(tmp_path, files, POLICY) == []
