"""Names that were meant to be a variable, and names that mean something of their own."""

from __future__ import annotations

import pytest

from gpu_lint.variables import MASK, ORDER, misspelt
from tests.conftest import check_text, codes

NEAR = {
    "CUDA_VISIBLE": MASK, "CUDA_AVAILABLE_DEVICES": MASK, "CUDA_DEVICES_VISIBLE": MASK,
    "CUDA_VISIBLE_GPUS": MASK, "CUDA_VISIBLE_GPU": MASK, "VISIBLE_CUDA_DEVICES": MASK,
    "CUDA_VISIBLE_DEVICE": MASK, "CUDA_VISABLE_DEVICES": MASK, "cuda_visible_devices": MASK,
    "CUDA_GPU_ORDER": ORDER, "CUDA_ORDER_DEVICE": ORDER,
}  # fmt: skip
OWN = [
    "CUDA_AVAILABLE", "CUDA_DEVICES", "CUDA_DEVICE", "CUDA_GPU", "MY_CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICES_AVAILABLE", "VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "CUDA_HOME",
    "CUDA_VISIBLE_DEVICES_BEFORE", "_CUDA_VISIBLE_DEVICES", "CUDA_VISIBLE_LAYERS", "CUDA_ORDER",
    "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "HIP_VISIBLE_DEVICES", "CUDA_MODULE_LOADING",
]  # fmt: skip


@pytest.mark.parametrize(("name", "meant"), NEAR.items())
def test_a_name_that_is_nearly_right(name: str, meant: str) -> None:
    assert misspelt(name) == meant


@pytest.mark.parametrize("name", OWN)
def test_a_name_of_its_own(name: str) -> None:
    assert misspelt(name) is None


@pytest.mark.parametrize("name", NEAR)
@pytest.mark.parametrize(
    "program",
    [
        "import os\nos.environ['{}'] = '1'\n",
        "import os\nos.system('{}=1 python a.py')\n",
        "import subprocess\nsubprocess.run(['env', '{}=1', 'python', 'a.py'])\n",
        "import os\nos.system('export {}=1; python a.py')\n",
        "import subprocess\nsubprocess.run(['a'], env={{'{}': '1'}})\n",
    ],
    ids=["environ", "command", "words", "export", "env"],
)
def test_it_is_found_where_it_is_written(name: str, program: str) -> None:
    assert ("GPU114", 2) in codes(check_text(program.format(name)))


@pytest.mark.parametrize("name", ["CUDA_AVAILABLE", "MY_CUDA_VISIBLE_DEVICES"])
def test_another_name_in_a_command_is_left_alone(name: str) -> None:
    assert codes(check_text(f"import os\nos.system('{name}=1 python a.py')\n")) == []
