"""Run doctor, trace and verify on a machine with two GPUs, and keep what they say.

Usage, from the repository: python rules/evidence/probe_runtime.py OUT.json
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DECIDING = ("CUDA_V", "CUDA_D", "PYTORCH_", "NVIDIA_V")
HEADER = (
    'import os\nos.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n'
    'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
)
WORK = 'import torch\nprint(float((torch.ones(64, 64, device="cuda:0") @ torch.ones(64, 64, device="cuda:0")).sum()))\n'
POLICY = (
    '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\n'
    '[header]\nrequired-in = "entry-points"\n[validation]\nrequired-in = "never"\n'
)
PROGRAMS = {
    "right": HEADER + WORK,
    "no header": WORK,
    "late": "import torch\ntorch.cuda.is_available()\n" + HEADER + WORK,
    "nothing": 'print("RTX 3090 ✅")\n',
    "both cards": 'import torch\ntorch.zeros(1, device="cuda:0")\ntorch.zeros(1, device="cuda:1")\n',
    "a context of its own": (
        HEADER + 'import ctypes\ncu = ctypes.CDLL("libcuda.so.1")\ncu.cuInit(0)\n'
        "d, c, p = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()\n"
        "cu.cuDeviceGet(ctypes.byref(d), 0)\ncu.cuCtxCreate_v2(ctypes.byref(c), 0, d)\n"
        "cu.cuMemAlloc_v2(ctypes.byref(p), 256 << 20)\nimport time\ntime.sleep(0.5)\n"
    ),
    "spawn": (
        HEADER + "import multiprocessing\ndef work():\n    import torch\n"
        "    torch.zeros(1, device='cuda:0')\nif __name__ == '__main__':\n"
        "    one = multiprocessing.get_context('spawn').Process(target=work)\n"
        "    one.start()\n    one.join()\n"
    ),
    "masks for children": (
        HEADER + "import subprocess, sys\nfor mask in '01':\n    subprocess.run([sys.executable, '-c', "
        "'import torch; torch.zeros(1, device=\"cuda\")'], env={**os.environ, 'CUDA_VISIBLE_DEVICES': mask})\n"
    ),
    "jax": "import jax\nn = len(jax.devices())\n" + HEADER + "print(jax.numpy.ones(3).sum())\n",
    "cupy": HEADER + "import cupy\na = cupy.zeros(10)\n",
    "numba": "from numba import cuda\ncuda.is_available()\n" + HEADER + "cuda.to_device([1])\n",
}
PIPELINE = {
    "stt.py": 'import torch\n\n\ndef hear():\n    return torch.ones(8, device="cuda:0")\n',
    "llm.py": 'import torch\n\n\ndef think(x):\n    return x @ torch.ones(8, 8, device="cuda:0")\n',
    "tts.py": "def speak(x):\n    return x.sum().item()\n",
    "app.py": "from llm import think\nfrom stt import hear\nfrom tts import speak\n\n"
    'if __name__ == "__main__":\n    print(speak(think(hear())))\n',
}
ENTRIES = POLICY + '[[runtime.entry]]\nname = "pipeline"\ncommand = ["python", "app.py"]\nrun = true\n'


def call(words: list, folder: Path, before: tuple = ()) -> dict:
    env = {k: v for k, v in os.environ.items() if not k.startswith(DECIDING)}
    env["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), env.get("PYTHONPATH", "")])
    env["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    done = subprocess.run(
        [*before, sys.executable, "-m", "gpu_lint", *words],
        cwd=folder, env=env, capture_output=True, text=True, timeout=300,
    )
    return {"status": done.returncode, "stdout": done.stdout[-3000:], "stderr": done.stderr[-3000:]}


def traced(folder: Path, text: str, before: tuple = ()) -> dict:
    (folder / "app.py").write_text(text)
    (folder / "gpu-lint.toml").write_text(POLICY)
    words = ["trace", "--check", "--no-history", "--json", "out.json", "--", sys.executable, "app.py"]
    said = call(words, folder, before)
    document = folder / "out.json"
    said["document"] = json.loads(document.read_text()) if document.exists() else None
    document.unlink(missing_ok=True)
    return said


def verified(folder: Path, files: dict) -> dict:
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "gpu-lint.toml").write_text(ENTRIES)
    python = ["--python", sys.executable]
    return {
        "import": call(["verify", "--no-history", *python, "app.py"], folder),
        "run": call(["verify", "--no-history", "--mode", "run", *python], folder),
    }


def main(out: str) -> None:
    found: dict = {"python": platform.python_version(), "trace": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        found["doctor"] = call(["doctor", "--python", sys.executable], folder)
        for title, text in PROGRAMS.items():
            if title in ("jax", "cupy", "numba") and find_spec(title) is None:
                continue
            found["trace"][title] = traced(folder, text)
        namespace = ("unshare", "--pid", "--fork", "--mount-proc")
        found["trace"]["late, in a pid namespace"] = traced(folder, PROGRAMS["late"], namespace)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        found["verify before"] = verified(folder, PIPELINE)
        found["fix"] = call(["fix", "."], folder)
        found["verify after"] = verified(folder, {})
    Path(out).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for title, said in found["trace"].items():
        print(title, said["status"], (said["document"] or {}).get("verdict"))
        print(said["stderr"])
    for title in ("doctor", "fix"):
        print(title, found[title])
    for title in ("verify before", "verify after"):
        print(title, json.dumps(found[title], indent=1))


if __name__ == "__main__":
    main(sys.argv[1])
