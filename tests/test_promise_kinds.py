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
SCRIPT = "import subprocess, sys\nsubprocess.run([sys.executable, 'a.py'])\n"
ORDERED = 'import os\nos.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n'
FILTERED = "import os\nos.environ = {{k: v for k, v in os.environ.items() if k != '{}'}}\n"
PUT = "import os\ndef put(gpu):\n    os.environ['CUDA_VISIBLE_DEVICES'] = gpu\n"
PREPARED = (
    f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {CODE}], preexec_fn={{}})\n"
)
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
REMOVING = f"""import subprocess, sys
subprocess.run([sys.executable, "-c", {CODE.replace("import", "import os; os.environ.pop('CUDA_VISIBLE_DEVICES', None); import", 1)}])
"""
UNMASKED = f"env = dict(os.environ)\ndel env['CUDA_VISIBLE_DEVICES']\n{LAUNCH}launch(env)\n"
LOADS = "import llama_cpp\nllama_cpp.Llama(model_path='m')\n"
WHILE = "import unittest.mock\n{}unittest.mock.patch.dict(os.environ, {{'CUDA_VISIBLE_DEVICES': '0'}}){}\n"
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
    "a child behind the order alone": ({"run.py": ORDERED + STARTS}, ("run.py", "GPU207", 4)),
    "a child behind the allocator's setting": (
        {"run.py": f"import os\nos.environ['PYTORCH_CUDA_ALLOC_CONF'] = 'max_split_size_mb:1024'\n{STARTS}"},
        ("run.py", "GPU207", 4),
    ),
    "a child before the mask in another file": (
        {"run.py": f"{ORDERED}{STARTS}__import__('part')\n{USE}", "part.py": HEADER},
        ("run.py", "GPU207", 4),
    ),
    "a script before the mask in another file": (
        {"run.py": f"{SCRIPT}import part\n{USE}", "part.py": HEADER},
        ("run.py", "GPU207", 2),
    ),
    "a script of a function, before the mask in another file": (
        {
            "run.py": f"import os\ndef go():\n    os.system('python a.py')\ngo()\nimport part\n{USE}",
            "part.py": HEADER,
        },
        ("run.py", "GPU207", 3),
    ),
    "a script on one path, before the mask in another file": (
        {
            "run.py": f"import os, sys\nif sys.argv[1:]:\n    os.system('python a.py')\nimport part\n{USE}",
            "part.py": HEADER,
        },
        ("run.py", "GPU207", 3),
    ),
    "another file's function before a child's program": (
        {
            "run.py": f"{HEADER}from helper import drop\n{PREPARED.format('drop')}",
            "helper.py": f"import os\n{DROP}",
        },
        ("run.py", "GPU207", 7),
    ),
    "a partial function before a child's program": (
        {
            "run.py": f"{HEADER}import functools, helper\n"
            + PREPARED.format('functools.partial(helper.put, "0")'),
            "helper.py": PUT,
        },
        ("run.py", "GPU207", 7),
    ),
    "a method of the environment before a child's program": (
        {"run.py": HEADER + PREPARED.format("os.environ.clear")},
        ("run.py", "GPU207", 6),
    ),
    "a removal before a child's program": (
        {
            "run.py": f"{HEADER}import functools\n"
            + PREPARED.format('functools.partial(os.environ.pop, "CUDA_VISIBLE_DEVICES")')
        },
        ("run.py", "GPU207", 7),
    ),
    "a method of another file's object before a child's program": (
        {
            "run.py": f"{HEADER}from helper import Job\n{PREPARED.format('Job().first')}",
            "helper.py": "import os\nclass Job:\n    def first(self):\n"
            "        del os.environ['CUDA_VISIBLE_DEVICES']\n",
        },
        ("run.py", "GPU207", 7),
    ),
    "a child's order by a filtered environment": (
        {"run.py": f"{HEADER}import part\n{LAUNCH}order = os.environ.get('APP', 'FASTEST_FIRST')\n"
         "launch({**os.environ, 'CUDA_DEVICE_ORDER': order})\n",
         "part.py": FILTERED.format("CUDA_DEVICE_ORDER")},
        ("run.py", "GPU207", 8),
    ),
    "an environment that is replaced without the order": (
        {"run.py": f"{HEADER}import part\n{LAUNCH}launch(None)\n",
         "part.py": FILTERED.format("CUDA_DEVICE_ORDER")},
        ("part.py", "GPU118", 2),
    ),
    "an environment that is replaced without the allocator's setting": (
        {"run.py": f"{HEADER}import part\n{USE}", "part.py": FILTERED.format("PYTORCH_CUDA_ALLOC_CONF")},
        ("part.py", "GPU118", 2),
    ),
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
    "a partial function with the right mask before a child's program": {
        "run.py": HEADER + PUT + "import functools\n"
        + PREPARED.format('functools.partial(put, "1")')
    },
    "a function with the right mask before a child's program": {
        "run.py": HEADER + PUT + PREPARED.format('lambda: put("1")')
    },
    "a removal of another variable before a child's program": {
        "run.py": f"{HEADER}import functools\n"
        + PREPARED.format('functools.partial(os.environ.pop, "DEBUG", None)')
    },
    "a function of the system before a child's program": {
        "run.py": HEADER + PREPARED.format("os.setsid")
    },
    "an unknown function before a child's program": {
        "run.py": f"{HEADER}from elsewhere import first\n{PREPARED.format('first')}"
    },
    "another file's function before a tool": {
        "run.py": f"{HEADER}from helper import drop\nimport subprocess\n"
        "subprocess.run(['git', 'gc'], preexec_fn=drop)\n",
        "helper.py": f"import os\n{DROP}",
    },
    "a script behind the mask in another file": {
        "run.py": f"import part\n{SCRIPT}{USE}",
        "part.py": HEADER,
    },
    "a script of the project that sets the mask itself": {
        "run.py": f"{SCRIPT}import part\n{USE}",
        "part.py": HEADER,
        "a.py": HEADER + USE,
    },
    "a script that a function starts which nothing calls": {
        "run.py": f"import os\ndef go():\n    os.system('python a.py')\nimport part\n{USE}",
        "part.py": HEADER,
    },
    "a tool before the mask in another file": {
        "run.py": f"import os\nos.system('python -m pip install x')\nimport part\n{USE}",
        "part.py": HEADER,
    },
    "a child behind the mask in another file": {
        "run.py": f"{ORDERED}__import__('part')\n{STARTS}{USE}", "part.py": HEADER
    },
    "a child that is given the mask, behind the order alone": {
        "run.py": f"{ORDERED}{LAUNCH}launch({{**os.environ, 'CUDA_VISIBLE_DEVICES': '1'}})\n"
    },
    "a filtered copy that is not the environment": {
        "run.py": f"{HEADER}import part\n{LAUNCH}launch(None)\n",
        "part.py": FILTERED.format("CUDA_DEVICE_ORDER").replace("os.environ =", "kept ="),
    },
    "another dict for a while": {
        "run.py": f"{HEADER}import part\npart.run()\n{USE}",
        "part.py": "import os\ndef run():\n    saved = os.environ\n"
        "    os.environ = {'CUDA_DEVICE_ORDER': 'FASTEST_FIRST'}\n    os.environ = saved\n",
    },
    "another dict for a while, in a module": {
        "run.py": f"{HEADER}import part\n{USE}",
        "part.py": "import os\nsaved = os.environ\n"
        "os.environ = {'CUDA_VISIBLE_DEVICES': '0'}\nos.environ = saved\n",
    },
    "a filtered environment of other names, put back": {
        "run.py": f"{HEADER}saved = os.environ\n"
        "os.environ = {k: v for k, v in os.environ.items() if k != 'DEBUG'}\n"
        f"os.environ = saved\n{USE}",
    },
}  # fmt: skip
MASKS = "import os, sys\nos.environ['CUDA_VISIBLE_DEVICES'] = '{}'\nif sys.argv[1:]:\n" \
    "    os.environ['CUDA_VISIBLE_DEVICES'] = {}\n"  # fmt: skip
WRONG_FOR_ANYBODY: dict[str, tuple[_Files, tuple[str, str, int]]] = {
    "a child without either of two masks": (
        {"run.py": MASKS.format(0, "'1'") + REMOVING}, ("run.py", "GPU207", 6)
    ),
    "a child's environment without either of two masks": (
        {"run.py": MASKS.format(0, "'1'") + UNMASKED}, ("run.py", "GPU207", 9)
    ),
    "a child without a mask that an option decides": (
        {"run.py": f"import os, sys\nos.environ['CUDA_VISIBLE_DEVICES'] = sys.argv[1]\n{REMOVING}"},
        ("run.py", "GPU207", 4),
    ),
    "a child without a mask that perhaps an option decides": (
        {"run.py": MASKS.format(0, "sys.argv[1]") + UNMASKED}, ("run.py", "GPU207", 9)
    ),
    "a child with another than either of two masks": (
        {"run.py": MASKS.format("0,1", "'2'") + LAUNCH
         + "launch({**os.environ, 'CUDA_VISIBLE_DEVICES': '3'})\n"},
        ("run.py", "GPU207", 7),
    ),
    "a patch behind what perhaps uses CUDA": (
        {"run.py": HEADER + WHILE.format(LOADS, ".start()")}, ("run.py", "GPU107", 8)
    ),
    "a patch around a use, behind what perhaps uses CUDA": (
        {"run.py": f"{HEADER}{WHILE.format(f'{LOADS}with ', ':')}    import torch\n"
         "    torch.zeros(1).cuda()\n"},
        ("run.py", "GPU107", 8),
    ),
    "a patch behind a use on one path": (
        {"run.py": f"{HEADER}import sys, torch\nif sys.argv[1:]:\n    torch.cuda.init()\n"
         f"{WHILE.format('with ', ':')}    torch.zeros(1).cuda()\n"},
        ("run.py", "GPU107", 9),
    ),
}  # fmt: skip
RIGHT_FOR_ANYBODY: dict[str, _Files] = {
    "a child with one of two masks": {
        "run.py": MASKS.format(0, "'1'") + LAUNCH
        + "launch({**os.environ, 'CUDA_VISIBLE_DEVICES': '1'})\n"
    },
    "a child without a mask that may hide the GPUs": {
        "run.py": MASKS.format(0, "''") + UNMASKED
    },
    "a child without what a parent may have set": {
        "run.py": "import os\nos.environ.setdefault('CUDA_VISIBLE_DEVICES', '0')\n" + UNMASKED
    },
    "a child without a mask that is set on one path": {
        "run.py": "import os, sys\nif sys.argv[1:]:\n"
        f"    os.environ['CUDA_VISIBLE_DEVICES'] = sys.argv[1]\n{UNMASKED}"
    },
    "a child with a mask that an option decides": {
        "run.py": f"import os, sys\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'\n{LAUNCH}"
        "launch({**os.environ, 'CUDA_VISIBLE_DEVICES': sys.argv[1]})\n"
    },
    "a child's order that is given, or this one": {
        "run.py": f"{HEADER}order = os.environ.get('APP_ORDER', 'PCI_BUS_ID')\n{LAUNCH}"
        "launch({**os.environ, 'CUDA_DEVICE_ORDER': order})\n"
    },
    "a patch for a child, behind a use": {
        "run.py": f"{HEADER}import torch\ntorch.cuda.init()\n{WHILE.format('with ', ':')}"
        f"    import subprocess, sys\n    subprocess.run([sys.executable, '-c', {CODE}])\n"
    },
    "a patch for a child, behind what perhaps uses CUDA": {
        "run.py": f"{HEADER}{LOADS}{WHILE.format('with ', ':')}"
        f"    import subprocess, sys\n    subprocess.run([sys.executable, '-c', {CODE}])\n"
    },
    "a patch before a use": {
        "run.py": f"import os\n{WHILE.format('', '.start()')}{LOADS}"
    },
    "a patch of another variable": {
        "run.py": HEADER + WHILE.format(LOADS, ".start()").replace("CUDA_VISIBLE_DEVICES", "OMP")
    },
}  # fmt: skip


def _found(
    tmp_path: Path, files: _Files, policy: dict[str, Any] | None
) -> list[tuple[str, str, int]]:
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


@pytest.mark.parametrize(
    ("files", "wanted"), WRONG_FOR_ANYBODY.values(), ids=WRONG_FOR_ANYBODY.keys()
)
def test_a_mask_that_is_dead_is_found_without_a_policy(
    files: _Files, wanted: tuple[str, str, int], tmp_path: Path
) -> None:
    assert _found(tmp_path, files, None) == [wanted]


@pytest.mark.parametrize("files", RIGHT_FOR_ANYBODY.values(), ids=RIGHT_FOR_ANYBODY.keys())
def test_what_is_right_or_not_known_is_silent_without_a_policy(
    files: _Files, tmp_path: Path
) -> None:
    assert _found(tmp_path, files, None) == []
