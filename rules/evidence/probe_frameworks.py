"""What calls of frameworks besides PyTorch do to the mask: each is one fresh process.

    python rules/evidence/probe_frameworks.py [OUTPUT]

needs a machine with two NVIDIA GPUs. For each call: it runs with no mask set, then the process sets
``CUDA_VISIBLE_DEVICES=1`` and asks the driver how many devices there are. One: the call left the
mask open. Two: it had frozen it. The same call naming device 1 runs under the mask ``1`` from the
start: does it fail, and how? What a package that is not installed says is left out.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version

CALLS = {
    "cupy": [
        "import cupy; cupy.cuda.Device({n})",
        "import cupy; cupy.cuda.Device({n}).use()",
        "import cupy\nwith cupy.cuda.Device({n}): pass",
        "import cupy; cupy.cuda.Device({n}).mem_info",
        "import cupy; cupy.cuda.Device({n}).compute_capability",
        "import cupy; cupy.cuda.Device()",
        "import cupy; cupy.cuda.get_device_id()",
        "import cupy; cupy.cuda.runtime.setDevice({n})",
        "import cupy; cupy.cuda.runtime.getDevice()",
        "import cupy; cupy.cuda.runtime.getDeviceProperties({n})",
        "import cupy; cupy.cuda.runtime.getDeviceCount()",
        "import cupy; cupy.cuda.runtime.memGetInfo()",
        "import cupy; cupy.cuda.is_available()",
        "import cupy; cupy.zeros(1)",
        "import cupy; cupy.cuda.Stream()",
        "import cupy; cupy.cuda.MemoryPool()",
        "import cupy; cupy.get_default_memory_pool()",
        "import cupy; cupy.show_config()",
        "import cupyx; cupyx.empty_pinned(1)",
    ],
    "jax": [
        "import jax; jax.devices()[{n}]",
        "import jax; jax.devices('gpu')[{n}]",
        "import jax; jax.local_devices()[{n}]",
        "import jax; jax.device_count()",
        "import jax; jax.local_device_count()",
        "import jax; jax.default_backend()",
        "import jax; jax.random.key(0)",
        "import jax; jax.numpy.ones(1)",
        "import jax; jax.jit(lambda x: x)",
        "import jax; jax.config.update('jax_cuda_visible_devices', '{n}'); jax.devices()",
        "import jax; jax.device_put(1.0, jax.devices()[{n}])",
    ],
    "numba-cuda": [
        "from numba import cuda; cuda.select_device({n})",
        "from numba import cuda; cuda.gpus[{n}]",
        "from numba import cuda; cuda.gpus",
        "from numba import cuda; len(cuda.gpus)",
        "from numba import cuda; cuda.list_devices()[{n}]",
        "from numba import cuda; cuda.get_current_device()",
        "from numba import cuda; cuda.current_context({n})",
        "from numba import cuda; cuda.is_available()",
        "from numba import cuda; cuda.detect()",
        "from numba import cuda; cuda.to_device([1])",
        "from numba import cuda; cuda.device_array(1)",
        "from numba import cuda; cuda.synchronize()",
        "from numba import cuda\n@cuda.jit\ndef f(x): pass",
    ],
    "cuda-core": [
        "from cuda.core import Device; Device({n})",
        "from cuda.core import Device; Device({n}).set_current()",
        "from cuda.core import Device; Device()",
        "from cuda.core import Device; Device.get_all_devices()",
        "from cuda.core import system; system.get_num_devices()",
    ],
    "cuda-bindings": [
        "from cuda.bindings import runtime; assert not runtime.cudaSetDevice({n})[0].value",
        "from cuda.bindings import runtime; assert not runtime.cudaGetDeviceCount()[0].value",
        "from cuda.bindings import runtime; assert not runtime.cudaGetDeviceProperties({n})[0].value",
        "from cuda.bindings import driver; assert not driver.cuInit(0)[0].value",
        "from cuda.bindings import driver; driver.cuInit(0); assert not driver.cuDeviceGet({n})[0].value",
    ],
    "onnxruntime": [
        "import onnxruntime; onnxruntime.get_available_providers()",
        "import onnxruntime; onnxruntime.get_device()",
    ],
    "accelerate": [
        "from accelerate import Accelerator; Accelerator()",
        "from accelerate import PartialState; PartialState()",
        "from accelerate.utils import get_max_memory; get_max_memory()",
        "from accelerate import init_empty_weights\nwith init_empty_weights(): pass",
        "import torch; from accelerate import cpu_offload; cpu_offload(torch.nn.Linear(1, 1), {n})",
        "import torch; from accelerate import dispatch_model; "
        "dispatch_model(torch.nn.Linear(1, 1), {{'': {n}}})",
        "import torch; from accelerate import infer_auto_device_map; "
        "infer_auto_device_map(torch.nn.Linear(1, 1), {{{n}: '1GiB'}})",
    ],
    "lightning": [
        "from lightning.pytorch import Trainer; Trainer(accelerator='gpu', devices=[{n}], logger=False)",
        "from lightning.pytorch import Trainer; Trainer(accelerator='cpu', logger=False)",
        "from lightning.fabric import Fabric; Fabric(accelerator='cuda', devices=[{n}])",
        "from lightning.pytorch import seed_everything; seed_everything(1)",
    ],
    "pytorch-lightning": [
        "from pytorch_lightning import Trainer; Trainer(accelerator='gpu', devices=2, logger=False)",
    ],
    "transformers": [
        "from transformers import set_seed; set_seed(1)",
        "from transformers import TrainingArguments; TrainingArguments('/tmp/x').device",
        "from transformers import TrainingArguments; TrainingArguments('/tmp/x')",
    ],
    "torch": [
        "import torch; torch.distributed.is_nccl_available()",
        "import torch; torch.multiprocessing.set_start_method('spawn')",
        "import torch; torch.distributed.device_mesh.init_device_mesh",
        "import torch; torch.cuda.comm.broadcast(torch.zeros(1), devices=[0, {n}])",
        "import torch; torch.cuda.can_device_access_peer(0, {n})",
        "import torch; torch.cuda.set_rng_state(torch.get_rng_state(), {n})",
        "import torch; torch.cuda.get_rng_state({n})",
        "import torch; torch.cuda.default_generators[{n}]",
        "import torch; torch.Tensor([1]).cuda({n})",
        "import torch; torch.nn.Linear(1, 1, device='cuda:{n}')",
        "import torch; torch.utils.data.DataLoader([1], pin_memory=True)",
        "import torch; torch.random.fork_rng(devices=[{n}])",
        "import torch\nwith torch.random.fork_rng(devices=[{n}]): pass",
        "import torch\nwith torch.device('cuda:{n}'): pass",
        "import torch; torch.zeros(1).to(torch.device('cuda', {n}))",
    ],
    "triton": [
        "import triton; triton.runtime.driver.active.get_current_device()",
        "import triton; triton.testing.get_dram_gbps({n})",
    ],
    "nvidia-ml-py": [
        "import pynvml; pynvml.nvmlInit(); pynvml.nvmlDeviceGetHandleByIndex({n})",
        "import pynvml; pynvml.nvmlInit(); assert pynvml.nvmlDeviceGetCount() == 2",
    ],
}
COUNT = """
import ctypes, os
os.environ["CUDA_VISIBLE_DEVICES"] = "1"
cuda = ctypes.CDLL("libcuda.so.1")
count = ctypes.c_int(-1)
cuda.cuInit(0)
cuda.cuDeviceGetCount(ctypes.byref(count))
print("COUNT", count.value)
"""


def run(program: str, **environment: str) -> tuple[int, str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CUDA_")}
    kept |= {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", **environment}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=kept, timeout=240
    )
    return done.returncode, done.stdout, done.stderr


def probe(call: str) -> dict[str, object]:
    first, second = call.format(n=0), call.format(n=1)
    status, out, err = run(first + "\n" + COUNT)
    count = next((line.split()[1] for line in out.splitlines() if line.startswith("COUNT")), None)
    found: dict[str, object] = {"call": first}
    if count is None:
        found["failed"] = err.strip().splitlines()[-1:] or status
        return found
    found["freezes"] = {"1": False, "2": True}.get(count, f"the driver counts {count}")
    if first != second:
        status, _, err = run(second, CUDA_VISIBLE_DEVICES="1")
        last = [line for line in err.strip().splitlines() if line and not line.startswith(" ")]
        found["device 1 under the mask 1"] = "works" if status == 0 else (last or [status])[-1]
    return found


def main() -> None:
    versions = {}
    for package in CALLS:
        for name in (package, f"{package}-cuda13x"):
            try:
                versions[package] = f"{name} {version(name)}"
            except PackageNotFoundError:
                continue
    work = [(package, call) for package in versions for call in CALLS[package]]
    with ThreadPoolExecutor(8) as executor:
        results = list(executor.map(lambda one: probe(one[1]), work))
    report = {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
        "calls": {
            package: [r for (p, _), r in zip(work, results, strict=True) if p == package]
            for package in versions
        },
    }
    text = json.dumps(report, indent=1)
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w", encoding="utf-8") as file:
            file.write(text + "\n")
    else:
        print(text)


if __name__ == "__main__":
    main()
