"""Numbers of cards: read from the mask, counted by nvidia-smi, given as ranks; without a policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import check_files, check_text, codes

ENTRIES: dict[str, tuple[dict[str, str], list[tuple[str, str, int]]]] = {
    "first f": (
        {
            "run.py": (
                "import os\n"
                "import torch\n"
                'n = os.environ["CUDA_VISIBLE_DEVICES"].split(",")[0]\n'
                'm = torch.nn.Linear(1, 1).to(f"cuda:{n}")'
            )
        },
        [("run.py", "GPU208", 4)],
    ),
    "first int": (
        {
            "run.py": (
                "import os\n"
                "import torch\n"
                'n = int(os.environ["CUDA_VISIBLE_DEVICES"].split(",")[0])\n'
                "torch.cuda.set_device(n)"
            )
        },
        [("run.py", "GPU208", 4)],
    ),
    "get default": (
        {
            "run.py": (
                "import os\n"
                "import torch\n"
                'card = os.environ.get("CUDA_VISIBLE_DEVICES", "0")\n'
                "torch.cuda.set_device(int(card))"
            )
        },
        [("run.py", "GPU208", 4)],
    ),
    "getenv": (
        {
            "run.py": (
                "import os\n"
                "import torch\n"
                'card = os.getenv("CUDA_VISIBLE_DEVICES", "0").split(",")\n'
                "torch.cuda.set_device(int(card[0]))"
            )
        },
        [("run.py", "GPU208", 4)],
    ),
    "by rank": (
        {
            "run.py": (
                "import os\n"
                "import torch\n"
                'rank = int(os.environ["LOCAL_RANK"])\n'
                'cards = os.environ["CUDA_VISIBLE_DEVICES"].split(",")\n'
                "torch.cuda.set_device(int(cards[rank]))"
            )
        },
        [("run.py", "GPU208", 5)],
    ),
    "vllm": (
        {
            "run.py": (
                "import os\n"
                "from vllm import LLM\n"
                'first = int(os.environ["CUDA_VISIBLE_DEVICES"].split(",")[0])\n'
                'llm = LLM("x", device=f"cuda:{first}")'
            )
        },
        [("run.py", "GPU208", 4)],
    ),
    "ids": (
        {
            "run.py": (
                "import argparse\n"
                "import os\n"
                "p = argparse.ArgumentParser()\n"
                'p.add_argument("--gpus")\n'
                "a = p.parse_args()\n"
                'os.environ["CUDA_VISIBLE_DEVICES"] = a.gpus\n'
                "import torch\n"
                'ids = [int(x) for x in a.gpus.split(",")]\n'
                "m = torch.nn.DataParallel(torch.nn.Linear(1, 1), device_ids=ids)"
            )
        },
        [("run.py", "GPU208", 9)],
    ),
    "ids default": (
        {
            "run.py": (
                "import argparse\n"
                "import os\n"
                "p = argparse.ArgumentParser()\n"
                'p.add_argument("--gpus", default="0")\n'
                "a = p.parse_args()\n"
                'os.environ["CUDA_VISIBLE_DEVICES"] = a.gpus\n'
                "import torch\n"
                'ids = [int(x) for x in a.gpus.split(",")]\n'
                'd = torch.device(f"cuda:{ids[0]}")\n'
                "torch.zeros(1, device=d)"
            )
        },
        [("run.py", "GPU208", 9)],
    ),
    "map": (
        {
            "run.py": (
                "import argparse\n"
                "import os\n"
                "p = argparse.ArgumentParser()\n"
                'p.add_argument("--gpus")\n'
                "a = p.parse_args()\n"
                'os.environ["CUDA_VISIBLE_DEVICES"] = a.gpus\n'
                "import torch\n"
                'ids = list(map(int, a.gpus.split(",")))\n'
                "torch.cuda.set_device(ids[0])"
            )
        },
        [("run.py", "GPU208", 9)],
    ),
    "fn": (
        {
            "run.py": (
                "import os\n"
                "import torch\n"
                "def pick():\n"
                '    v = os.environ.get("CUDA_VISIBLE_DEVICES")\n'
                "    if v:\n"
                '        return int(v.split(",")[0])\n'
                "    return 0\n"
                "torch.cuda.set_device(pick())"
            )
        },
        [("run.py", "GPU208", 8)],
    ),
    "partition": (
        {
            "run.py": (
                "import os\n"
                "import torch\n"
                'n = os.environ["CUDA_VISIBLE_DEVICES"].partition(",")[0]\n'
                'torch.zeros(1, device="cuda:" + n)'
            )
        },
        [("run.py", "GPU208", 4)],
    ),
    "char": (
        {
            "run.py": (
                "import os\n"
                "import torch\n"
                'n = os.environ["CUDA_VISIBLE_DEVICES"][0]\n'
                'torch.zeros(1, device="cuda:" + n)'
            )
        },
        [("run.py", "GPU208", 4)],
    ),
    "strip": (
        {
            "run.py": (
                "import os\n"
                "import torch\n"
                'n = os.environ["CUDA_VISIBLE_DEVICES"].strip()\n'
                'torch.zeros(1, device=f"cuda:{n}")'
            )
        },
        [("run.py", "GPU208", 4)],
    ),
    "loop": (
        {
            "run.py": (
                "import os\n"
                "import torch\n"
                'for n in os.environ["CUDA_VISIBLE_DEVICES"].split(","):\n'
                '    torch.zeros(1, device=f"cuda:{n}")'
            )
        },
        [("run.py", "GPU208", 4)],
    ),
    "uncalled fn2": (
        {
            "run.py": (
                "import os\n"
                "import torch\n"
                "def device():\n"
                '    v = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")\n'
                '    return torch.device(f"cuda:{v[0]}")\n'
            )
        },
        [("run.py", "GPU208", 5)],
    ),
    "mask entry": (
        {
            "run.py": (
                "import argparse\n"
                "import os\n"
                "p = argparse.ArgumentParser()\n"
                'p.add_argument("--gpus")\n'
                "a = p.parse_args()\n"
                'os.environ["CUDA_VISIBLE_DEVICES"] = a.gpus.split(",")[0]\n'
                "import torch\n"
                'torch.cuda.set_device(int(a.gpus.split(",")[0]))'
            )
        },
        [("run.py", "GPU208", 8)],
    ),
}
NO_ENTRIES: dict[str, dict[str, str]] = {
    "nvml": {
        "run.py": (
            "import os\n"
            "import pynvml\n"
            "import torch\n"
            "pynvml.nvmlInit()\n"
            'n = int(os.environ["CUDA_VISIBLE_DEVICES"].split(",")[0])\n'
            "h = pynvml.nvmlDeviceGetHandleByIndex(n)\n"
            "torch.zeros(1).cuda()"
        )
    },
    "count": {
        "run.py": (
            "import os\n"
            "import torch\n"
            'n = len(os.environ["CUDA_VISIBLE_DEVICES"].split(","))\n'
            "ids = list(range(n))\n"
            "m = torch.nn.DataParallel(torch.nn.Linear(1, 1), device_ids=ids)"
        )
    },
    "enumerate": {
        "run.py": (
            "import os\n"
            "import torch\n"
            'for i, n in enumerate(os.environ["CUDA_VISIBLE_DEVICES"].split(",")):\n'
            "    print(n)\n"
            '    torch.zeros(1, device=f"cuda:{i}")'
        )
    },
    "print": {
        "run.py": (
            "import os\n"
            "import torch\n"
            'print("cuda:" + os.environ["CUDA_VISIBLE_DEVICES"])\n'
            "torch.zeros(1).cuda()"
        )
    },
    "index of": {
        "run.py": (
            "import os\n"
            "import torch\n"
            'cards = os.environ["CUDA_VISIBLE_DEVICES"].split(",")\n'
            'torch.cuda.set_device(cards.index("1"))'
        )
    },
    "gpu_ids alone": {
        "run.py": (
            "import argparse\n"
            "import torch\n"
            "p = argparse.ArgumentParser()\n"
            'p.add_argument("--gpu_ids", default="0")\n'
            "a = p.parse_args()\n"
            'ids = [int(x) for x in a.gpu_ids.split(",")]\n'
            "torch.cuda.set_device(ids[0])\n"
            "m = torch.nn.DataParallel(torch.nn.Linear(1, 1), device_ids=ids)"
        )
    },
    "other split": {
        "run.py": (
            "import os\n"
            "import torch\n"
            'torch.cuda.set_device(int(os.environ["MY_GPU"].split(",")[0]))'
        )
    },
    "removed": {
        "run.py": (
            "import os\n"
            'n = int(os.environ.pop("CUDA_VISIBLE_DEVICES").split(",")[0])\n'
            "import torch\n"
            "torch.cuda.set_device(n)"
        )
    },
    "set then 0": {
        "run.py": (
            "import argparse\n"
            "import os\n"
            "p = argparse.ArgumentParser()\n"
            'p.add_argument("--gpus")\n'
            "a = p.parse_args()\n"
            'os.environ["CUDA_VISIBLE_DEVICES"] = a.gpus\n'
            "import torch\n"
            'ids = list(range(len(a.gpus.split(","))))\n'
            "m = torch.nn.DataParallel(torch.nn.Linear(1, 1), device_ids=ids)\n"
            "torch.cuda.set_device(0)"
        )
    },
    "env mask per child": {
        "run.py": (
            "import os, subprocess, sys\n"
            'for n in os.environ["CUDA_VISIBLE_DEVICES"].split(","):\n'
            '    subprocess.Popen([sys.executable, "w.py"], env={**os.environ, "CUDA_VISIBLE_DEVICES": n})'
        )
    },
    "batch size split": {
        "run.py": (
            "import argparse\n"
            "import torch\n"
            "p = argparse.ArgumentParser()\n"
            'p.add_argument("--size")\n'
            "a = p.parse_args()\n"
            'w, h = a.size.split(",")\n'
            "x = torch.zeros(int(w), int(h)).cuda()"
        )
    },
}
COUNTED: dict[str, tuple[dict[str, str], list[tuple[str, str, int]]]] = {
    "smi list": (
        {
            "run.py": (
                "import os\n"
                "import subprocess\n"
                'out = subprocess.check_output(["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"], text=True)\n'
                "free = [int(line) for line in out.split()]\n"
                'os.environ["CUDA_VISIBLE_DEVICES"] = str(free.index(max(free)))\n'
                "import torch\n"
                "torch.zeros(1).cuda()"
            )
        },
        [("run.py", "GPU119", 5)],
    ),
    "smi np": (
        {
            "run.py": (
                "import os\n"
                "import subprocess\n"
                "import numpy as np\n"
                'out = subprocess.run("nvidia-smi --query-gpu=memory.free --format=csv", shell=True, capture_output=True).stdout\n'
                "mem = np.array([int(x.split()[0]) for x in out.decode().splitlines()[1:]])\n"
                "best = np.argmax(mem)\n"
                'os.environ["CUDA_VISIBLE_DEVICES"] = f"{best}"\n'
                "import torch\n"
                "torch.zeros(1).cuda()"
            )
        },
        [("run.py", "GPU119", 7)],
    ),
    "smi tmp": (
        {
            "run.py": (
                "import os\n"
                "import numpy as np\n"
                'os.system("nvidia-smi -q -d Memory |grep -A4 GPU|grep Free >tmp")\n'
                'memory_gpu = [int(x.split()[2]) for x in open("tmp", "r").readlines()]\n'
                'os.environ["CUDA_VISIBLE_DEVICES"] = str(np.argmax(memory_gpu))\n'
                "import torch\n"
                "torch.zeros(1).cuda()"
            )
        },
        [("run.py", "GPU119", 5)],
    ),
    "popen": (
        {
            "run.py": (
                "import os\n"
                'lines = os.popen("nvidia-smi --query-gpu=index,memory.used --format=csv,noheader").read().strip().split("\\n")\n'
                'lines.sort(key=lambda l: int(l.split(",")[1].split()[0]))\n'
                'gpu = lines[0].split(",")[0]\n'
                'os.environ["CUDA_VISIBLE_DEVICES"] = gpu\n'
                "import torch\n"
                "torch.zeros(1).cuda()"
            )
        },
        [("run.py", "GPU119", 5)],
    ),
    "fn": (
        {
            "run.py": (
                "import os\n"
                "import subprocess\n"
                "def pick():\n"
                '    out = subprocess.check_output(["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"])\n'
                "    free = list(map(int, out.split()))\n"
                "    return max(range(len(free)), key=lambda i: free[i])\n"
                'os.environ["CUDA_VISIBLE_DEVICES"] = str(pick())\n'
                "import torch\n"
                "torch.zeros(1).cuda()"
            )
        },
        [("run.py", "GPU119", 7)],
    ),
    "nvml loop": (
        {
            "run.py": (
                "import os\n"
                "import pynvml\n"
                "pynvml.nvmlInit()\n"
                "best, most = 0, 0\n"
                "for i in range(pynvml.nvmlDeviceGetCount()):\n"
                "    m = pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(i))\n"
                "    if m.free > most:\n"
                "        best, most = i, m.free\n"
                'os.environ["CUDA_VISIBLE_DEVICES"] = str(best)\n'
                "import torch\n"
                "torch.zeros(1).cuda()"
            )
        },
        [("run.py", "GPU119", 9)],
    ),
    "nvml from": (
        {
            "run.py": (
                "import os\n"
                "from pynvml import *\n"
                "from pynvml import nvmlDeviceGetCount\n"
                "n = nvmlDeviceGetCount()\n"
                "free = []\n"
                "for i in range(n):\n"
                "    free.append((i, 1))\n"
                'os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(str(i) for i, _ in free[:2])\n'
                "import torch\n"
                "torch.zeros(1).cuda()"
            )
        },
        [("run.py", "GPU119", 8)],
    ),
    "gputil": (
        {
            "run.py": (
                "import os\n"
                "import GPUtil\n"
                'os.environ["CUDA_VISIBLE_DEVICES"] = str(GPUtil.getFirstAvailable()[0])\n'
                "import torch\n"
                "torch.zeros(1).cuda()"
            )
        },
        [("run.py", "GPU119", 3)],
    ),
    "gputil all": (
        {
            "run.py": (
                "import os\n"
                "import GPUtil\n"
                "gpus = GPUtil.getGPUs()\n"
                "best = min(gpus, key=lambda g: g.memoryUsed)\n"
                'os.environ["CUDA_VISIBLE_DEVICES"] = str(best.id)\n'
                "import torch\n"
                "torch.zeros(1).cuda()"
            )
        },
        [("run.py", "GPU119", 5)],
    ),
    "gpustat": (
        {
            "run.py": (
                "import os\n"
                "import gpustat\n"
                "stats = gpustat.GPUStatCollection.new_query()\n"
                "ids = [g.index for g in stats if g.memory_used < 100]\n"
                'os.environ["CUDA_VISIBLE_DEVICES"] = str(ids[0])\n'
                "import torch\n"
                "torch.zeros(1).cuda()"
            )
        },
        [("run.py", "GPU119", 5)],
    ),
    "class": (
        {
            "run.py": (
                "import os\n"
                "import subprocess\n"
                "class Picker:\n"
                "    def __init__(self):\n"
                '        self.out = subprocess.getoutput("nvidia-smi --query-gpu=memory.free --format=csv,noheader")\n'
                "    def best(self):\n"
                "        free = [int(l.split()[0]) for l in self.out.splitlines()]\n"
                "        return free.index(max(free))\n"
                "    def use(self):\n"
                '        os.environ["CUDA_VISIBLE_DEVICES"] = str(self.best())\n'
                "p = Picker()\n"
                "p.use()\n"
                "import torch\n"
                "torch.zeros(1).cuda()"
            )
        },
        [("run.py", "GPU119", 10)],
    ),
    "param": (
        {
            "run.py": (
                "import os\n"
                "import subprocess\n"
                "def use(card):\n"
                '    os.environ["CUDA_VISIBLE_DEVICES"] = str(card)\n'
                'out = subprocess.getoutput("nvidia-smi --query-gpu=memory.free --format=csv,noheader").splitlines()\n'
                "use(out.index(max(out)))\n"
                "import torch\n"
                "torch.zeros(1).cuda()"
            )
        },
        [("run.py", "GPU119", 4)],
    ),
    "uncalled": (
        {
            "run.py": (
                "import os\n"
                "import subprocess\n"
                "def set_gpu():\n"
                '    out = subprocess.getoutput("nvidia-smi --query-gpu=memory.free --format=csv,noheader").splitlines()\n'
                '    os.environ["CUDA_VISIBLE_DEVICES"] = str(out.index(max(out)))\n'
            )
        },
        [("run.py", "GPU119", 5)],
    ),
    "update": (
        {
            "run.py": (
                "import os\n"
                "import subprocess\n"
                'out = subprocess.getoutput("nvidia-smi --query-gpu=memory.free --format=csv,noheader").splitlines()\n'
                "os.environ.update(CUDA_VISIBLE_DEVICES=str(out.index(max(out))))\n"
                "import torch\n"
                "torch.zeros(1).cuda()"
            )
        },
        [("run.py", "GPU119", 4)],
    ),
}
NO_COUNTED: dict[str, dict[str, str]] = {
    "order": {
        "run.py": (
            "import os\n"
            "import subprocess\n"
            'os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n'
            'out = subprocess.getoutput("nvidia-smi --query-gpu=memory.free --format=csv,noheader").splitlines()\n'
            'os.environ["CUDA_VISIBLE_DEVICES"] = str(out.index(max(out)))\n'
            "import torch\n"
            "torch.zeros(1).cuda()"
        )
    },
    "order later": {
        "run.py": (
            "import os\n"
            "import subprocess\n"
            'out = subprocess.getoutput("nvidia-smi --query-gpu=memory.free --format=csv,noheader").splitlines()\n'
            'os.environ["CUDA_VISIBLE_DEVICES"] = str(out.index(max(out)))\n'
            'os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n'
            "import torch\n"
            "torch.zeros(1).cuda()"
        )
    },
    "order setdefault": {
        "run.py": (
            "import os\n"
            "import subprocess\n"
            'os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")\n'
            'out = subprocess.getoutput("nvidia-smi --query-gpu=memory.free --format=csv,noheader").splitlines()\n'
            'os.environ["CUDA_VISIBLE_DEVICES"] = str(out.index(max(out)))\n'
            "import torch\n"
            "torch.zeros(1).cuda()"
        )
    },
    "order other file": {
        "run.py": (
            "import order\n"
            "import os\n"
            "import subprocess\n"
            'out = subprocess.getoutput("nvidia-smi --query-gpu=memory.free --format=csv,noheader").splitlines()\n'
            'os.environ["CUDA_VISIBLE_DEVICES"] = str(out.index(max(out)))\n'
            "import torch\n"
            "torch.zeros(1).cuda()"
        ),
        "order.py": ('import os\nos.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n'),
    },
    "uuid": {
        "run.py": (
            "import os\n"
            "import subprocess\n"
            'out = subprocess.getoutput("nvidia-smi --query-gpu=uuid --format=csv,noheader").splitlines()\n'
            'os.environ["CUDA_VISIBLE_DEVICES"] = out[0]\n'
            "import torch\n"
            "torch.zeros(1).cuda()"
        )
    },
    "nvml uuid": {
        "run.py": (
            "import os\n"
            "import pynvml\n"
            "pynvml.nvmlInit()\n"
            "h = pynvml.nvmlDeviceGetHandleByIndex(1)\n"
            'os.environ["CUDA_VISIBLE_DEVICES"] = pynvml.nvmlDeviceGetUUID(h)\n'
            "import torch\n"
            "torch.zeros(1).cuda()"
        )
    },
    "count": {
        "run.py": (
            "import os\n"
            "import sys\n"
            "import pynvml\n"
            "pynvml.nvmlInit()\n"
            "n = pynvml.nvmlDeviceGetCount()\n"
            'os.environ["CUDA_VISIBLE_DEVICES"] = str(int(sys.argv[1]) % n)\n'
            "import torch\n"
            "torch.zeros(1).cuda()"
        )
    },
    "threshold": {
        "run.py": (
            "import os\n"
            "import subprocess\n"
            "import sys\n"
            'free = int(subprocess.getoutput("nvidia-smi --query-gpu=memory.free --format=csv,noheader,nounits -i 0"))\n'
            'os.environ["CUDA_VISIBLE_DEVICES"] = sys.argv[1] if free > 1000 else sys.argv[2]\n'
            "import torch\n"
            "torch.zeros(1).cuda()"
        )
    },
    "argv beside": {
        "run.py": (
            "import os\n"
            "import subprocess\n"
            "import sys\n"
            'print(subprocess.getoutput("nvidia-smi"))\n'
            'os.environ["CUDA_VISIBLE_DEVICES"] = sys.argv[1]\n'
            "import torch\n"
            "torch.zeros(1).cuda()"
        )
    },
    "const beside": {
        "run.py": (
            "import os\n"
            "import subprocess\n"
            'print(subprocess.getoutput("nvidia-smi"))\n'
            'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
            "import torch\n"
            "torch.zeros(1).cuda()"
        )
    },
    "after": {
        "run.py": (
            "import os\n"
            "import subprocess\n"
            "import torch\n"
            "torch.zeros(1).cuda()\n"
            'for i, line in enumerate(subprocess.getoutput("nvidia-smi -L").splitlines()):\n'
            "    print(i, line)"
        )
    },
    "same name elsewhere": {
        "run.py": (
            "import os\n"
            "import subprocess\n"
            "import sys\n"
            "def show():\n"
            '    gpu = subprocess.getoutput("nvidia-smi --query-gpu=index --format=csv")\n'
            "    print(gpu)\n"
            "def main():\n"
            "    gpu = sys.argv[1]\n"
            '    os.environ["CUDA_VISIBLE_DEVICES"] = gpu\n'
            "main()\n"
            "import torch\n"
            "torch.zeros(1).cuda()"
        )
    },
    "child": {
        "run.py": (
            "import os\n"
            "import subprocess\n"
            'out = subprocess.getoutput("nvidia-smi --query-gpu=memory.free --format=csv,noheader").splitlines()\n'
            "print(len(out))\n"
            "import torch\n"
            "torch.zeros(1).cuda()"
        )
    },
    "empty": {
        "run.py": (
            "import os\n"
            "import subprocess\n"
            'n = len(subprocess.getoutput("nvidia-smi --query-gpu=index --format=csv,noheader").splitlines())\n'
            'os.environ["CUDA_VISIBLE_DEVICES"] = str(n - 1)\n'
            "import torch\n"
            "torch.zeros(1).cuda()"
        )
    },
}
RANKS: dict[str, tuple[dict[str, str], list[tuple[str, str, int]]]] = {
    "get_rank": (
        {
            "run.py": (
                "import torch\n"
                "import torch.distributed as dist\n"
                'dist.init_process_group("nccl")\n'
                "rank = dist.get_rank()\n"
                "torch.cuda.set_device(rank)"
            )
        },
        [("run.py", "GPU210", 5)],
    ),
    "get_rank f": (
        {
            "run.py": (
                "import torch\n"
                "import torch.distributed as dist\n"
                'dist.init_process_group("nccl")\n'
                'm = torch.nn.Linear(1, 1).to(f"cuda:{dist.get_rank()}")'
            )
        },
        [("run.py", "GPU210", 4)],
    ),
    "get_rank dev": (
        {
            "run.py": (
                "import torch\n"
                "import torch.distributed as dist\n"
                'dist.init_process_group("nccl")\n'
                'd = torch.device("cuda", dist.get_rank())'
            )
        },
        [("run.py", "GPU210", 4)],
    ),
    "from": (
        {
            "run.py": (
                "import torch\n"
                "from torch.distributed import get_rank\n"
                "def f():\n"
                "    torch.cuda.set_device(get_rank())\n"
            )
        },
        [("run.py", "GPU210", 4)],
    ),
    "hvd": (
        {
            "run.py": (
                "import torch\n"
                "import horovod.torch as hvd\n"
                "hvd.init()\n"
                "torch.cuda.set_device(hvd.rank())"
            )
        },
        [("run.py", "GPU210", 4)],
    ),
    "hvd tf": (
        {
            "run.py": (
                "import tensorflow as tf\n"
                "import horovod.tensorflow as hvd\n"
                "hvd.init()\n"
                "config = tf.compat.v1.ConfigProto()\n"
                "config.gpu_options.visible_device_list = str(hvd.rank())"
            )
        },
        [("run.py", "GPU210", 5)],
    ),
    "slurm": (
        {
            "run.py": (
                'import os\nimport torch\ntorch.cuda.set_device(int(os.environ["SLURM_PROCID"]))'
            )
        },
        [("run.py", "GPU210", 3)],
    ),
    "ray": (
        {
            "run.py": (
                "import ray\n"
                "import torch\n"
                "@ray.remote(num_gpus=1)\n"
                "def work():\n"
                '    return torch.zeros(1, device=f"cuda:{ray.get_gpu_ids()[0]}")'
            )
        },
        [("run.py", "GPU202", 5)],
    ),
    "ray2": (
        {
            "run.py": (
                "import ray\n"
                "import torch\n"
                "@ray.remote(num_gpus=1)\n"
                "class A:\n"
                "    def __init__(self):\n"
                "        torch.cuda.set_device(ray.get_gpu_ids()[0])"
            )
        },
        [("run.py", "GPU202", 6)],
    ),
}
NO_RANKS: dict[str, dict[str, str]] = {
    "rank in the group of a machine": {
        "run.py": (
            "import torch\n"
            "import torch.distributed as dist\n"
            'dist.init_process_group("nccl")\n'
            "local = dist.new_subgroups()[0]\n"
            "torch.cuda.set_device(dist.get_rank(group=local))\n"
            "torch.zeros(1).to(dist.get_rank(local))"
        )
    },
    "given": {
        "run.py": (
            "import os\n"
            "import torch\n"
            "import torch.distributed as dist\n"
            'local = int(os.environ["LOCAL_RANK"])\n'
            'dist.init_process_group("gloo", rank=local)\n'
            "rank = dist.get_rank()\n"
            "torch.cuda.set_device(rank)"
        )
    },
    "given by spawn": {
        "run.py": (
            "import torch\n"
            "import torch.distributed as dist\n"
            "import torch.multiprocessing as mp\n"
            "def work(rank, size):\n"
            '    dist.init_process_group("nccl", rank=rank, world_size=size)\n'
            "    torch.cuda.set_device(dist.get_rank())\n"
            'if __name__ == "__main__":\n'
            "    mp.spawn(work, nprocs=2, args=(2,))"
        )
    },
    "mod": {
        "run.py": (
            "import torch\n"
            "import torch.distributed as dist\n"
            'dist.init_process_group("nccl")\n'
            "torch.cuda.set_device(dist.get_rank() % torch.cuda.device_count())"
        )
    },
    "local": {
        "run.py": (
            "import os\n"
            "import torch\n"
            "import torch.distributed as dist\n"
            'dist.init_process_group("nccl")\n'
            'torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))\n'
            "if dist.get_rank() == 0:\n"
            '    print("cuda:%d" % 0)'
        )
    },
    "hvd local": {
        "run.py": (
            "import torch\n"
            "import horovod.torch as hvd\n"
            "hvd.init()\n"
            "torch.cuda.set_device(hvd.local_rank())\n"
            "print(hvd.rank())"
        )
    },
    "div": {
        "run.py": (
            "import torch\n"
            "import torch.distributed as dist\n"
            'dist.init_process_group("nccl")\n'
            "r = dist.get_rank() // 2\n"
            "torch.cuda.set_device(r)"
        )
    },
    "ray": {
        "run.py": (
            "import ray\n"
            "import torch\n"
            "@ray.remote(num_gpus=1)\n"
            "def work():\n"
            "    print(ray.get_gpu_ids())\n"
            '    return torch.zeros(1, device="cuda:0")'
        )
    },
    "ray mask": {
        "run.py": (
            "import os\n"
            "import ray\n"
            "@ray.remote(num_gpus=1)\n"
            "def work():\n"
            '    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, ray.get_gpu_ids()))\n'
            "    import torch\n"
            '    return torch.zeros(1, device="cuda:0")'
        )
    },
}
FAULTS = [*ENTRIES.items(), *COUNTED.items(), *RANKS.items()]
NOOP = [*NO_ENTRIES.items(), *NO_COUNTED.items(), *NO_RANKS.items()]


def found(root: Path, files: dict[str, str]) -> list[tuple[str, str, int]]:
    """(file, code, line) of every finding without a policy."""
    results = check_files(root, files)
    return [(name, *one) for name, result in results.items() for one in codes(result)]


@pytest.mark.parametrize("case", [case for _, case in FAULTS], ids=[name for name, _ in FAULTS])
def test_a_number_that_means_another_card(
    case: tuple[dict[str, str], list[tuple[str, str, int]]], tmp_path: Path
) -> None:
    files, expected = case
    assert found(tmp_path, files) == expected


@pytest.mark.parametrize("files", [files for _, files in NOOP], ids=[name for name, _ in NOOP])
def test_a_number_that_is_right(files: dict[str, str], tmp_path: Path) -> None:
    assert found(tmp_path, files) == []


@pytest.mark.parametrize(
    ("policy", "when"),
    [
        (None, "they differ as soon as CUDA_VISIBLE_DEVICES is set"),
        ({"gpu": {"visible-devices": "1", "device-order": "PCI_BUS_ID"}}, "under the mask '1'"),
    ],
)
def test_a_message_says_when_the_numbers_differ(policy: dict[str, Any] | None, when: str) -> None:
    text = (
        "import pynvml\nimport torch\npynvml.nvmlInit()\n"
        "for i in range(pynvml.nvmlDeviceGetCount()):\n    torch.cuda.set_device(i)\n"
    )
    (found,) = (one for one in check_text(text, policy).findings if one.code == "GPU202")
    assert found.message.endswith(when)
