"""A late mask is for a child only where a child takes it over; other code nearby excuses nothing."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.conftest import check_text, codes

LATE = """
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import torch

print(torch.cuda.is_available())
os.environ["CUDA_VISIBLE_DEVICES"] = "1"
"""
LINE = 11
NO_CHILD = {
    "cpu_count": "print(multiprocessing.cpu_count())",
    "a lock": "lock = multiprocessing.Lock()",
    "the name of the process": "print(multiprocessing.current_process().name)",
    "threads": "with ThreadPoolExecutor() as pool:\n    pool.submit(print)",
    "a constant": "print(subprocess.PIPE)",
    "a tool": 'subprocess.run(["git", "status"])',
    "in a function that nothing calls": "def later():\n    subprocess.run(['python', 'a.py'])",
    "a child with a mask of its own": "subprocess.run(['python', 'a.py'], "
    "env={**os.environ, 'CUDA_VISIBLE_DEVICES': '1'})",
}
CHILD = {
    "run": 'subprocess.run(["python", "a.py"])',
    "a process": "def work():\n    pass\n\nmultiprocessing.Process(target=work).start()",
    "a pool": "pool = multiprocessing.Pool(2)",
    "an executor": "pool = ProcessPoolExecutor()",
    "in a function that is called": "def start():\n    subprocess.run(['python', 'a.py'])\n\nstart()",
    "a shell": 'os.system("python a.py")',
}


@pytest.mark.parametrize("line", NO_CHILD.values(), ids=NO_CHILD.keys())
def test_a_late_mask_is_reported_beside(line: str) -> None:
    assert codes(check_text(f"{LATE}{line}\n")) == [("GPU107", LINE)]


@pytest.mark.parametrize("line", CHILD.values(), ids=CHILD.keys())
def test_a_late_mask_is_for_a_child(line: str) -> None:
    assert codes(check_text(f"{LATE}{line}\n")) == []


SETS = """
import os
import subprocess
import torch

def choose():
    os.environ["CUDA_VISIBLE_DEVICES"] = "1"

print(torch.cuda.is_available())
"""


def test_a_function_that_sets_the_mask_does_so_where_it_is_called() -> None:
    start, call = "subprocess.run(['python', 'a.py'])\n", "choose()\n"
    assert codes(check_text(SETS + start + call)) == [("GPU107", 7)]
    assert codes(check_text(SETS + call + start)) == []


def test_a_rank_that_is_a_device_and_then_the_mask_is_not_for_children() -> None:
    source = """
    import os
    import torch

    torch.cuda.set_device(int(os.getenv("LOCAL_RANK", 0)))
    os.environ["CUDA_VISIBLE_DEVICES"] = os.getenv("LOCAL_RANK", "0")
    """
    assert ("GPU107", 6) in codes(check_text(dedent(source)))


def test_a_device_that_is_chosen_in_another_branch_excuses_nothing() -> None:
    source = """
    import os
    import torch


    def initialise(gpus, rank=None):
        if rank is not None:
            torch.cuda.set_device(rank)
        elif torch.cuda.is_available():
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(str(gpu) for gpu in gpus)
    """
    assert codes(check_text(dedent(source))) == [("GPU107", 10)]
