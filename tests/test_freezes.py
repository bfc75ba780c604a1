"""What makes CUDA read the mask: tests of several operands, and calls that are not measured."""

from __future__ import annotations

import pytest

from tests.conftest import check_text

FROZEN: dict[str, tuple[str, list[tuple[str, int, str]]]] = {
    "and x": (
        (
            "import os\n"
            "import torch\n"
            "ok = torch.cuda.is_available() and torch.version.hip is None\n"
            'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
            "torch.zeros(1).cuda()"
        ),
        [("GPU107", 4, "error")],
    ),
    "and in if": (
        (
            "import os\n"
            "import torch\n"
            "if torch.cuda.is_available() and torch.cuda.device_count() > 1:\n"
            "    print(1)\n"
            'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
            "torch.zeros(1).cuda()"
        ),
        [("GPU107", 5, "error")],
    ),
    "not and": (
        (
            "import os\n"
            "import sys\n"
            "import torch\n"
            'if not torch.cuda.is_available() or sys.argv[1] == "cpu":\n'
            '    print("no")\n'
            "else:\n"
            '    os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
            "torch.zeros(1).cuda()"
        ),
        [("GPU107", 7, "error")],
    ),
    "x and": (
        (
            "import os\n"
            "import sys\n"
            "import torch\n"
            "if len(sys.argv) > 1 and torch.cuda.is_available():\n"
            '    os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
            "torch.zeros(1).cuda()"
        ),
        [("GPU107", 5, "error")],
    ),
    "cond": (
        (
            "import os\n"
            "import sys\n"
            "import torch\n"
            'd = "cuda" if torch.cuda.is_available() and len(sys.argv) > 1 else "cpu"\n'
            'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
            "torch.zeros(1).cuda()"
        ),
        [("GPU107", 5, "error")],
    ),
    "config": (
        (
            "import os\n"
            "import torch\n"
            "print(torch.__config__.show())\n"
            'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
            "torch.zeros(1).cuda()"
        ),
        [("GPU107", 4, "error")],
    ),
    "ctypes": (
        (
            "import ctypes\n"
            "import os\n"
            'ctypes.CDLL("libcuda.so.1").cuInit(0)\n'
            'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
            "import torch\n"
            "torch.zeros(1).cuda()"
        ),
        [("GPU107", 4, "error")],
    ),
    "ctypes2": (
        (
            "import ctypes\n"
            "import os\n"
            'cuda = ctypes.CDLL("libcuda.so")\n'
            "cuda.cuInit(0)\n"
            'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
            "import torch\n"
            "torch.zeros(1).cuda()"
        ),
        [("GPU107", 5, "error")],
    ),
    "ctypes3": (
        (
            "import ctypes\n"
            "import os\n"
            'lib = ctypes.cdll.LoadLibrary("libcuda.so.1")\n'
            "if lib.cuInit(0) == 0:\n"
            "    pass\n"
            'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
            "import torch\n"
            "torch.zeros(1).cuda()"
        ),
        [("GPU107", 6, "error")],
    ),
    "llama": (
        (
            "import os\n"
            "from llama_cpp import Llama\n"
            'llm = Llama("m.gguf", n_gpu_layers=-1)\n'
            'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
            'llm("x")'
        ),
        [("GPU107", 4, "warning")],
    ),
    "vllm": (
        (
            "import os\n"
            "from vllm import LLM\n"
            'llm = LLM("m")\n'
            'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
            'llm.generate("x")'
        ),
        [("GPU107", 4, "warning")],
    ),
    "ort": (
        (
            "import os\n"
            "import onnxruntime as ort\n"
            's = ort.InferenceSession("m", providers=["CUDAExecutionProvider"])\n'
            'os.environ["CUDA_VISIBLE_DEVICES"] = "1"'
        ),
        [("GPU107", 4, "warning")],
    ),
    "ort2": (
        (
            "import os\n"
            "import onnxruntime as ort\n"
            's = ort.InferenceSession("m", providers=["CUDAExecutionProvider", "CPUExecutionProvider"])\n'
            'os.environ["CUDA_VISIBLE_DEVICES"] = "1"'
        ),
        [("GPU107", 4, "warning")],
    ),
    "dali": (
        (
            "import os\n"
            "from nvidia.dali import fn, pipeline_def\n"
            "\n"
            "@pipeline_def(batch_size=2, num_threads=1, device_id=0)\n"
            "def pipe():\n"
            "    return fn.random.uniform()\n"
            "\n"
            "p = pipe()\n"
            "p.build()\n"
            'os.environ["CUDA_VISIBLE_DEVICES"] = "1"'
        ),
        [("GPU107", 10, "warning")],
    ),
    "dali2": (
        (
            "import os\n"
            "from nvidia.dali.pipeline import Pipeline\n"
            "p = Pipeline(batch_size=2, num_threads=1, device_id=0)\n"
            "p.build()\n"
            'os.environ["CUDA_VISIBLE_DEVICES"] = "1"'
        ),
        [("GPU107", 5, "warning")],
    ),
    "pipeline": (
        (
            "import os\n"
            "from transformers import pipeline\n"
            'p = pipeline("x", device=0)\n'
            'os.environ["CUDA_VISIBLE_DEVICES"] = "1"'
        ),
        [("GPU107", 4, "error")],
    ),
    "pipeline2": (
        (
            "import os\n"
            "from transformers import pipeline\n"
            'p = pipeline("x", device="cuda")\n'
            'os.environ["CUDA_VISIBLE_DEVICES"] = "1"'
        ),
        [("GPU107", 4, "error")],
    ),
    "trainer": (
        (
            "import os\n"
            "from transformers import Trainer\n"
            't = Trainer(model="x")\n'
            "t.train()\n"
            'os.environ["CUDA_VISIBLE_DEVICES"] = "1"'
        ),
        [("GPU107", 5, "warning")],
    ),
    "or, else": (
        (
            "import os\n"
            "import sys\n"
            "import torch\n"
            "if len(sys.argv) > 1 or torch.cuda.is_available():\n"
            "    pass\n"
            "else:\n"
            '    os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
            "torch.zeros(1).cuda()"
        ),
        [("GPU107", 7, "error")],
    ),
    "or, body": (
        (
            "import os\n"
            "import sys\n"
            "import torch\n"
            "if len(sys.argv) > 1 or torch.cuda.is_available():\n"
            '    os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
            "torch.zeros(1).cuda()"
        ),
        [("GPU107", 5, "warning")],
    ),
    "and, else": (
        (
            "import os\n"
            "import sys\n"
            "import torch\n"
            "if len(sys.argv) > 1 and torch.cuda.is_available():\n"
            "    pass\n"
            "else:\n"
            '    os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
            "torch.zeros(1).cuda()"
        ),
        [("GPU107", 7, "warning")],
    ),
    "and in and": (
        (
            "import os\n"
            "import sys\n"
            "import torch\n"
            'if len(sys.argv) > 1 and (sys.argv[1] == "x" and torch.cuda.is_available()):\n'
            '    os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
            "torch.zeros(1).cuda()"
        ),
        [("GPU107", 5, "error")],
    ),
    "is_available() and something, in the branch": (
        (
            "import os\n"
            "import sys\n"
            "import torch\n"
            "if torch.cuda.is_available() and len(sys.argv) > 1:\n"
            '    os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
            "torch.zeros(1).cuda()"
        ),
        [("GPU107", 5, "error")],
    ),
}
OPEN: dict[str, str] = {
    "ort cpu": (
        "import os\n"
        "import onnxruntime as ort\n"
        's = ort.InferenceSession("m", providers=["CPUExecutionProvider"])\n'
        'os.environ["CUDA_VISIBLE_DEVICES"] = "1"'
    ),
    "config after": (
        "import os\n"
        'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
        "import torch\n"
        "print(torch.__config__.show())\n"
        "torch.zeros(1).cuda()"
    ),
    "llama after": (
        "import os\n"
        'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
        "from llama_cpp import Llama\n"
        'llm = Llama("m.gguf", n_gpu_layers=-1)'
    ),
    "ctypes other": (
        "import ctypes\n"
        "import os\n"
        'ctypes.CDLL("libc.so.6").getpid()\n'
        'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
        "import torch\n"
        "torch.zeros(1).cuda()"
    ),
    "pipeline cpu": (
        "import os\n"
        "from transformers import pipeline\n"
        'p = pipeline("x", device=-1)\n'
        'os.environ["CUDA_VISIBLE_DEVICES"] = "1"'
    ),
    "vllm after": (
        'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\nfrom vllm import LLM\nllm = LLM("m")'
    ),
}


@pytest.mark.parametrize(("program", "expected"), FROZEN.values(), ids=FROZEN.keys())
def test_a_mask_that_may_come_too_late(program: str, expected: list[tuple[str, int, str]]) -> None:
    result = check_text(program)
    found = [(f.code, result.source.row(f.span.start), f.severity.value) for f in result.findings]
    assert found == expected


@pytest.mark.parametrize("program", OPEN.values(), ids=OPEN.keys())
def test_a_mask_that_is_in_time(program: str) -> None:
    assert "GPU107" not in {finding.code for finding in check_text(program).findings}
