"""Where a device is named: fields, maps, options of frameworks; and programs close to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import VOICE_POLICY, check_files, codes

POLICY = {**VOICE_POLICY, "header": {"required-in": "never"}}

FAULTS: dict[str, tuple[dict[str, str], list[tuple[str, str, int]]]] = {
    "a dataclass field with a default": (
        {
            "run.py": (
                "import torch\n"
                "from dataclasses import dataclass, field\n"
                "@dataclass\n"
                "class C:\n"
                '    device: str = field(default="cuda:1")\n'
                "print(torch.zeros(1, device=C().device))"
            )
        },
        [("run.py", "GPU201", 5)],
    ),
    "a dataclass field with a factory": (
        {
            "run.py": (
                "import torch\n"
                "from dataclasses import dataclass, field\n"
                "@dataclass\n"
                "class C:\n"
                '    device: str = field(default_factory=lambda: "cuda:1")\n'
                "print(torch.zeros(1, device=C().device))"
            )
        },
        [("run.py", "GPU201", 5)],
    ),
    "a dataclass field that is a number": (
        {
            "run.py": (
                "import torch\n"
                "import dataclasses\n"
                "@dataclasses.dataclass\n"
                "class C:\n"
                "    gpu: int = dataclasses.field(default=1)\n"
                "torch.cuda.set_device(C().gpu)"
            )
        },
        [("run.py", "GPU201", 5)],
    ),
    "a factory of a list": (
        {
            "run.py": (
                "import torch\n"
                "from dataclasses import dataclass, field\n"
                "@dataclass\n"
                "class C:\n"
                "    gpus: list = field(default_factory=lambda: [0, 1])\n"
                "torch.nn.DataParallel(torch.nn.Linear(1,1), device_ids=C().gpus)"
            )
        },
        [("run.py", "GPU204", 6)],
    ),
    "a pydantic field": (
        {
            "run.py": (
                "import torch\n"
                "from pydantic import BaseModel, Field\n"
                "class C(BaseModel):\n"
                '    device: str = Field("cuda:1", description="d")\n'
                "print(torch.zeros(1, device=C().device))"
            )
        },
        [("run.py", "GPU201", 4)],
    ),
    "a pydantic field by keyword": (
        {
            "run.py": (
                "import torch\n"
                "from pydantic import BaseModel, Field\n"
                "class C(BaseModel):\n"
                '    device: str = Field(default="cuda:1")\n'
                "c = C()\n"
                "print(torch.zeros(1, device=c.device))"
            )
        },
        [("run.py", "GPU201", 4)],
    ),
    "a plain field of a model": (
        {
            "run.py": (
                "import torch\n"
                "from pydantic import BaseModel\n"
                "class C(BaseModel):\n"
                "    gpu: int = 1\n"
                "torch.cuda.set_device(C().gpu)"
            )
        },
        [("run.py", "GPU201", 4)],
    ),
    "a field that the caller gives": (
        {
            "run.py": (
                "import torch\n"
                "from pydantic import BaseModel\n"
                "class C(BaseModel):\n"
                "    gpu: int = 0\n"
                "torch.cuda.set_device(C(gpu=1).gpu)"
            )
        },
        [("run.py", "GPU201", 5)],
    ),
    "an annotated field": (
        {
            "run.py": (
                "import torch\n"
                "from typing import Annotated\n"
                "from pydantic import BaseModel, Field\n"
                "class C(BaseModel):\n"
                '    device: Annotated[str, Field(description="x")] = "cuda:1"\n'
                "print(torch.zeros(1, device=C().device))"
            )
        },
        [("run.py", "GPU201", 5)],
    ),
    "attr.ib": (
        {
            "run.py": (
                "import torch\n"
                "import attr\n"
                "@attr.s\n"
                "class C:\n"
                '    device = attr.ib(default="cuda:1")\n'
                "print(torch.zeros(1, device=C().device))"
            )
        },
        [("run.py", "GPU201", 5)],
    ),
    "a field of attrs": (
        {
            "run.py": (
                "import torch\n"
                "from attrs import define, field\n"
                "@define\n"
                "class C:\n"
                '    device: str = field(default="cuda:1")\n'
                "print(torch.zeros(1, device=C().device))"
            )
        },
        [("run.py", "GPU201", 5)],
    ),
    "a named tuple": (
        {
            "run.py": (
                "import torch\n"
                "from typing import NamedTuple\n"
                "class C(NamedTuple):\n"
                '    device: str = "cuda:1"\n'
                "print(torch.zeros(1, device=C().device))"
            )
        },
        [("run.py", "GPU201", 4)],
    ),
    "a factory that is a function": (
        {
            "run.py": (
                "import torch\n"
                "from dataclasses import dataclass, field\n"
                "def card():\n"
                '    return "cuda:1"\n'
                "@dataclass\n"
                "class C:\n"
                "    device: str = field(default_factory=card)\n"
                "print(torch.zeros(1, device=C().device))"
            )
        },
        [("run.py", "GPU201", 4)],
    ),
    "a dataclass field that the caller gives": (
        {
            "run.py": (
                "import torch\n"
                "from dataclasses import dataclass, field\n"
                "@dataclass\n"
                "class C:\n"
                '    device: str = field(default="cuda:0")\n'
                'print(torch.zeros(1, device=C("cuda:1").device))'
            )
        },
        [("run.py", "GPU201", 6)],
    ),
    "a map of places": (
        {
            "run.py": (
                'import torch\nstate = torch.load("n.pth", map_location={"cuda:0": "cuda:1"})'
            )
        },
        [("run.py", "GPU201", 2)],
    ),
    "a map of places by its name": (
        {
            "run.py": (
                "import torch\n"
                'M = {"cuda:0": "cuda:1"}\n'
                'state = torch.load("n.pth", map_location=M)'
            )
        },
        [("run.py", "GPU201", 2)],
    ),
    "visible_device_list": (
        {
            "run.py": (
                "import tensorflow as tf\n"
                "config = tf.compat.v1.ConfigProto()\n"
                'config.gpu_options.visible_device_list = "1"\n'
                "s = tf.compat.v1.Session(config=config)"
            )
        },
        [("run.py", "GPU201", 3)],
    ),
    "GPUOptions": (
        {
            "run.py": (
                "import tensorflow as tf\n"
                'g = tf.GPUOptions(visible_device_list="1")\n'
                "s = tf.Session(config=tf.ConfigProto(gpu_options=g))"
            )
        },
        [("run.py", "GPU201", 2)],
    ),
    "two in a list": (
        {
            "run.py": (
                "import tensorflow.compat.v1 as tf\n"
                'g = tf.GPUOptions(per_process_gpu_memory_fraction=.5, visible_device_list="0,1")\n'
                "s = tf.Session(config=tf.ConfigProto(gpu_options=g))"
            )
        },
        [("run.py", "GPU204", 2)],
    ),
    "visible_device_list of a number": (
        {
            "run.py": (
                "import tensorflow as tf\n"
                "N = 1\n"
                "config = tf.compat.v1.ConfigProto()\n"
                "config.gpu_options.visible_device_list = str(N)\n"
                "s = tf.compat.v1.Session(config=config)"
            )
        },
        [("run.py", "GPU201", 2)],
    ),
    "jax_cuda_visible_devices": (
        {
            "run.py": (
                'import jax\njax.config.update("jax_cuda_visible_devices", "1")\njax.devices()'
            )
        },
        [("run.py", "GPU201", 2)],
    ),
    "two for JAX": (
        {"run.py": ('from jax import config\nconfig.update("jax_cuda_visible_devices", "0,1")\n')},
        [("run.py", "GPU204", 2)],
    ),
    "a dict of keywords": (
        {"run.py": ('import torch\nKW = {"device": "cuda:1"}\ntorch.zeros(1, **KW)')},
        [("run.py", "GPU201", 2)],
    ),
    "a dict() of keywords": (
        {"run.py": ("import torch\nKW = dict(device=1)\ntorch.zeros(1, **KW)")},
        [("run.py", "GPU201", 2)],
    ),
    "an attribute that a module's __getattr__ gives": (
        {
            "run.py": ("import torch\nimport cfg\nprint(torch.zeros(1, device=cfg.DEVICE))"),
            "cfg.py": (
                "def __getattr__(name):\n"
                '    if name == "DEVICE":\n'
                '        return "cuda:1"\n'
                "    raise AttributeError(name)\n"
            ),
        },
        [("run.py", "GPU201", 3)],
    ),
    "a name that a module's __getattr__ gives": (
        {
            "run.py": (
                "import torch\nfrom cfg import DEVICE\nprint(torch.zeros(1, device=DEVICE))"
            ),
            "cfg.py": ('def __getattr__(name):\n    return {"DEVICE": "cuda:1"}[name]\n'),
        },
        [("run.py", "GPU201", 3)],
    ),
    "easyocr": (
        {"run.py": ('import easyocr\neasyocr.Reader(["en"], gpu="cuda:1")')},
        [("run.py", "GPU201", 2)],
    ),
    "paddle": (
        {"run.py": ('import paddle\npaddle.set_device("gpu:1")')},
        [("run.py", "GPU201", 2)],
    ),
    "LangChain": (
        {
            "run.py": (
                "from langchain_community.llms import LlamaCpp\n"
                'LlamaCpp(model_path="m", n_gpu_layers=-1, main_gpu=1)'
            )
        },
        [("run.py", "GPU201", 2)],
    ),
    "LangChain's chat model": (
        {
            "run.py": (
                "from langchain_community.chat_models import ChatLlamaCpp\n"
                'ChatLlamaCpp(model_path="m", main_gpu=1)'
            )
        },
        [("run.py", "GPU201", 2)],
    ),
    "LlamaIndex": (
        {
            "run.py": (
                "from llama_index.llms.llama_cpp import LlamaCPP\n"
                'LlamaCPP(model_path="m", model_kwargs={"main_gpu": 1})'
            )
        },
        [("run.py", "GPU201", 2)],
    ),
    "ONNX Runtime GenAI": (
        {
            "run.py": (
                "import onnxruntime_genai as og\n"
                'c = og.Config("m")\n'
                "c.clear_providers()\n"
                'c.append_provider("cuda")\n'
                'c.set_provider_option("cuda", "device_id", "1")\n'
                "m = og.Model(c)"
            )
        },
        [("run.py", "GPU201", 5)],
    ),
    "gpus of Lightning": (
        {"run.py": ("import pytorch_lightning as pl\npl.Trainer(gpus=[1])")},
        [("run.py", "GPU201", 2)],
    ),
    "how many gpus of Lightning": (
        {"run.py": ("from pytorch_lightning import Trainer\nTrainer(gpus=2)")},
        [("run.py", "GPU204", 2)],
    ),
    "gpus as a text": (
        {"run.py": ('import pytorch_lightning as pl\npl.Trainer(gpus="1,")')},
        [("run.py", "GPU201", 2)],
    ),
    "devices as a text": (
        {"run.py": ('import lightning.pytorch as pl\npl.Trainer(accelerator="gpu", devices="1,")')},
        [("run.py", "GPU201", 2)],
    ),
    "all on the second": (
        {"run.py": ('from llama_cpp import Llama\nLlama("m", tensor_split=[0.0, 1.0])')},
        [("run.py", "GPU204", 2)],
    ),
    "shares for two": (
        {"run.py": ('from llama_cpp import Llama\nLlama("m", tensor_split=[0.5, 0.5])')},
        [("run.py", "GPU204", 2)],
    ),
}
NOOP: dict[str, dict[str, str]] = {
    "field 0": {
        "run.py": (
            "import torch\n"
            "from dataclasses import dataclass, field\n"
            "@dataclass\n"
            "class C:\n"
            '    device: str = field(default="cuda:0")\n'
            "print(torch.zeros(1, device=C().device))"
        )
    },
    "field given 0": {
        "run.py": (
            "import torch\n"
            "from dataclasses import dataclass, field\n"
            "@dataclass\n"
            "class C:\n"
            '    device: str = field(default="cuda:1")\n'
            'print(torch.zeros(1, device=C(device="cuda:0").device))'
        )
    },
    "field other": {
        "run.py": (
            "import torch\n"
            "from pydantic import BaseModel, Field\n"
            "class C(BaseModel):\n"
            "    workers: int = Field(1)\n"
            "print(C().workers)\n"
            "torch.zeros(1).cuda()"
        )
    },
    "map_location 0": {
        "run.py": ('import torch\nstate = torch.load("n.pth", map_location={"cuda:1": "cuda:0"})')
    },
    "map cpu": {
        "run.py": ('import torch\nstate = torch.load("n.pth", map_location={"cuda:1": "cpu"})')
    },
    "vdl 0": {
        "run.py": (
            "import tensorflow as tf\n"
            "config = tf.compat.v1.ConfigProto()\n"
            'config.gpu_options.visible_device_list = "0"\n'
            "s = tf.compat.v1.Session(config=config)"
        )
    },
    "jax 0": {
        "run.py": (
            "import jax\n"
            'jax.config.update("jax_cuda_visible_devices", "0")\n'
            'jax.config.update("jax_platform_name", "cuda")\n'
            "jax.devices()"
        )
    },
    "jax all": {"run.py": ('import jax\njax.config.update("jax_cuda_visible_devices", "all")')},
    "hex0": {"run.py": ("import torch\nprint(torch.zeros(1, device=0x0))")},
    "getattr mod 0": {
        "run.py": ("import torch\nimport cfg\nprint(torch.zeros(1, device=cfg.DEVICE))"),
        "cfg.py": (
            "def __getattr__(name):\n"
            '    if name == "DEVICE":\n'
            '        return "cuda:0"\n'
            "    raise AttributeError(name)\n"
        ),
    },
    "easyocr": {"run.py": ('import easyocr\neasyocr.Reader(["en"], gpu=True)')},
    "easyocr False": {"run.py": ('import easyocr\neasyocr.Reader(["en"], gpu=False)')},
    "easyocr pos": {"run.py": ('import easyocr\neasyocr.Reader(["en"], True)')},
    "paddle": {
        "run.py": (
            "import paddle\n"
            'paddle.set_device("gpu")\n'
            'paddle.set_device("gpu:0")\n'
            'paddle.set_device("cpu")'
        )
    },
    "lc": {
        "run.py": (
            "from langchain_community.llms import LlamaCpp\n"
            'LlamaCpp(model_path="m", n_gpu_layers=-1, main_gpu=0, n_batch=512)'
        )
    },
    "pl": {"run.py": ("import pytorch_lightning as pl\npl.Trainer(gpus=1)")},
    "pl0": {
        "run.py": (
            "import pytorch_lightning as pl\n"
            "pl.Trainer(gpus=[0])\n"
            "pl.Trainer(gpus=-1)\n"
            "pl.Trainer(gpus=0)\n"
            "pl.Trainer(gpus=None)\n"
            'pl.Trainer(gpus="0,")'
        )
    },
    "Llama split 1": {"run.py": ('from llama_cpp import Llama\nLlama("m", tensor_split=[1.0])')},
    "Llama split 1b": {
        "run.py": ('from llama_cpp import Llama\nLlama("m", tensor_split=[1.0, 0.0])')
    },
    "og": {
        "run.py": (
            "import onnxruntime_genai as og\n"
            'c = og.Config("m")\n'
            'c.set_provider_option("cuda", "device_id", "0")\n'
            "m = og.Model(c)"
        )
    },
}


def found(root: Path, files: dict[str, str]) -> list[tuple[str, str, int]]:
    """(file, code, line) of every finding under the policy of one card."""
    results = check_files(root, files, POLICY)
    return [(name, *one) for name, result in results.items() for one in codes(result)]


@pytest.mark.parametrize(("files", "expected"), FAULTS.values(), ids=FAULTS.keys())
def test_a_device_that_does_not_exist(
    files: dict[str, str], expected: list[tuple[str, str, int]], tmp_path: Path
) -> None:
    assert found(tmp_path, files) == expected


@pytest.mark.parametrize("files", NOOP.values(), ids=NOOP.keys())
def test_a_device_that_exists(files: dict[str, str], tmp_path: Path) -> None:
    assert found(tmp_path, files) == []
