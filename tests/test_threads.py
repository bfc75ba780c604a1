"""Threads run what they are given in this process: what that writes and uses counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import check_files
from tests.differential.outcome import POLICY

HEADER = (
    'os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n'
    'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
    'os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "max_split_size_mb:1024"\n'
)
DROP = 'def work(key="CUDA_VISIBLE_DEVICES"):\n    os.environ.pop(key, None)\n'
USE = 'torch.zeros(1, device="cuda")\n'
STARTS = {
    "thread": "threading.Thread(target=work).start()",
    "name": "thread = threading.Thread(target=work)\nthread.start()\nthread.join()",
    "args": 'threading.Thread(None, work, "t", ("CUDA_DEVICE_ORDER",)).start()',
    "list": "threads = [threading.Thread(target=work) for _ in range(2)]\n"
    "for thread in threads:\n    thread.start()",
    "timer": "threading.Timer(0.1, work).start()",
    "class": "class Worker(threading.Thread):\n    def run(self):\n        work()\nWorker().start()",
    "pool": "with ThreadPoolExecutor(1) as pool:\n    pool.submit(work)",
    "pool of names": "with ThreadPoolExecutor(1) as pool:\n"
    '    pool.map(work, ["CUDA_VISIBLE_DEVICES"])',
    "asyncio": "async def main():\n    await asyncio.to_thread(work)\nasyncio.run(main())",
    "executor": "async def main():\n    loop = asyncio.get_running_loop()\n"
    "    await loop.run_in_executor(None, work)\nasyncio.run(main())",
}
RIGHT = {
    "never started": "thread = threading.Thread(target=work)",
    "another variable": 'threading.Thread(target=work, args=("OMP_NUM_THREADS",)).start()',
    "a class that is no thread": "class Worker:\n    def run(self):\n        work()\n"
    "    def start(self):\n        pass\nWorker().start()",
    "a pool that is handed nothing": "pool = ThreadPoolExecutor(1)",
}


def found(directory: Path, lines: str, *, behind: str = USE) -> set[str]:
    imports = "import asyncio\nimport os\nimport threading\n"
    imports += "from concurrent.futures import ThreadPoolExecutor\n"
    text = imports + HEADER + "import torch\n" + DROP + lines + "\n" + behind
    (result,) = check_files(directory, {"run.py": text}, POLICY).values()
    return {one.code for one in result.findings if not one.code.startswith("GPU30")}


@pytest.mark.parametrize("lines", STARTS.values(), ids=STARTS.keys())
def test_what_a_thread_removes_is_found(tmp_path: Path, lines: str) -> None:
    assert found(tmp_path, lines) == {"GPU118"}


@pytest.mark.parametrize("lines", RIGHT.values(), ids=RIGHT.keys())
def test_what_no_thread_does_is_not(tmp_path: Path, lines: str) -> None:
    assert "GPU118" not in found(tmp_path, lines)


def test_a_header_may_be_written_in_a_thread(tmp_path: Path) -> None:
    text = (
        "import os\nimport threading\ndef work():\n    "
        + HEADER.replace("\n", "\n    ")
        + "\nthread = threading.Thread(target=work)\nthread.start()\nthread.join()\n"
        "import torch\n" + USE
    )
    (result,) = check_files(tmp_path, {"run.py": text}, POLICY).values()
    assert [one for one in result.findings if not one.code.startswith("GPU30")] == []


def test_a_thread_that_does_not_end_ends_nothing_else(tmp_path: Path) -> None:
    lines = "def loop():\n    while True:\n        pass\nthreading.Thread(target=loop).start()"
    assert found(tmp_path, lines, behind='torch.zeros(1, device="cuda:1")\n') == {"GPU201"}
