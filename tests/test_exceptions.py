"""What keeps a header from running: statements that may raise before it, in the same ``try``."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import check_text

POLICY: dict[str, Any] = {
    "gpu": {"name": "RTX 3090", "visible-devices": "1", "device-order": "PCI_BUS_ID"},
    "header": {"required-in": "gpu-files"},
    "validation": {"required-in": "never"},
}
HEADER = (
    'os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
)
USE = 'import torch\n\nprint(torch.zeros(1, device="cuda"))\n'
PREPARED = """import collections
import logging
import logging.config
import os
import shutil
import sys
import time
import warnings
from pathlib import Path

log = logging.getLogger(__name__)


def unknown():
    from elsewhere import found

    return found()


"""

MAY_RAISE = [
    'int("high")', 'float("high")', "os.no_such", "max([])", "min(sys.argv[1:])", "None.name",
    '"{x}".format(y=1)', '"{} {}".format(1)', 'logging.config.fileConfig("x.ini")',
    'logging.basicConfig(filename="/x/y.log")', 'logging.FileHandler("/x/y.log")', "dict([1])",
    "[1].remove(2)", "[1].index(2)", "[].pop()", '{}.pop("a")', "1 / 0", '"a" + 1', "never_bound",
    'getattr(os, "no_such")', "[1][3]", '{"a": 1}["b"]', 'open("x")', 'os.makedirs("x")',
    'int(os.environ.get("LEVEL", "1"))', r'b"\xff".decode()', "unknown()", "next(iter([]))",
    'os.environ["LEVEL"]', "import nosuch", "assert os.environ.get('LEVEL')", "a, b = (1,)",
    'shutil.copy("a", "b")', 'os.environ.pop("LEVEL")', 'del os.environ["LEVEL"]',
    "os.environ.pop(sys.argv[0])", "del os.environ[input()]", '"abc".index("z")', '"abc"[5]',
    "chr(-1)", 'ord("ab")', '",".join([1])', 'sum(["a"])', 'd = {}; del d["a"]',
    "several = []; del several[0]",
]  # fmt: skip
SOUND = [
    "import json", "level = 1", 'level = int("3")', 'level = float("1.5")', "level = max([1, 2])",
    "min(1, 2)", "max([], default=1)", 'print("x")', '"{} {x}".format(1, x=2)', "dict(a=1)",
    "here = os.path.dirname(os.path.abspath(__file__))", "logging.basicConfig(level=logging.INFO)",
    'log.info("x")', "numbers = []; numbers.append(1)", 'd = {"a": 1}; d.pop("a")', "4 % 2",
    'os.environ.pop("LEVEL", None)', 'os.environ["LEVEL"] = "1"; del os.environ["LEVEL"]',
    '"abc".index("b")', '"abc"[1:9]', "chr(65)", 'd = {"a": 1}; del d["a"]',
    "several = [1]; del several[0]", '"a".zfill(3)',
    'd = {}; d.pop("b", None)', 'str(1) + "a"', 'sys.stdout.write("x")', "time.time()",
    'warnings.filterwarnings("ignore")', "here = Path(__file__)", 'os.environ.get("LEVEL")',
    'os.getenv("LEVEL", "1")', "[n for n in (1, 2)]", "sorted([2, 1])", "x = lambda: 1",
    "collections.defaultdict(list)", "[1].remove(1)", "a, b = (1, 2)", "a, *b = (1,)", "__name__",
    'getattr(log, "level", 1)', "class Level: high = 1", "pass", '"a text"',
]  # fmt: skip


def found(line: str, handler: str = "except Exception:\n    pass\n") -> set[str]:
    body = "".join(f"    {part}\n" for part in [*line.split("; "), *HEADER.splitlines()])
    return {f.code for f in check_text(f"{PREPARED}try:\n{body}{handler}{USE}", POLICY).findings}


@pytest.mark.parametrize("line", MAY_RAISE)
def test_what_may_raise_leaves_the_header_out(line: str) -> None:
    assert "GPU101" in found(line)
    assert "GPU101" not in found(line, "finally:\n    pass\n")


@pytest.mark.parametrize("line", SOUND)
def test_what_does_not_raise_does_not(line: str) -> None:
    assert "GPU101" not in found(line)
