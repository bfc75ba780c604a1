"""Texts, numbers and lines that would take for ever, or that no parser expects: each ends at once,
with a verdict."""

from __future__ import annotations

import pytest

from gpu_lint.facts.dotenv import entries_of
from gpu_lint.facts.needles import needles_for
from gpu_lint.facts.ranktext import gives_global_rank
from gpu_lint.facts.values import Known
from gpu_lint.rulebook import load_rulebook
from tests.conftest import check_text, codes

MASKED = 'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\nimport torch\n'
PROGRAMS = {
    "a template of many unknown parts as a key": "a = input()\nd = {f'"
    + "{a}x" * 60
    + "b': '1'}\nv = d.get('"
    + "x" * 200
    + "', '1')\n",
    "a range that is too long for len()": "for i in range(9223372036854775808):\n    pass\n",
    "a text that no codec takes": "x = '\\ud800'.encode()\n",
    "a codec that takes it": "x = '\\ud83d'.encode('utf-8', 'surrogatepass')\n",
    "a command of 20,000 words": "import subprocess\n"
    'subprocess.run("nohup " * 20000 + "python x.py", shell=True)\n'
    f'subprocess.run("{"nohup " * 20000}python x.py", shell=True)\n',
}


@pytest.mark.parametrize("text", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_a_program_is_followed_to_its_end(text: str) -> None:
    found = check_text(MASKED + text + 'torch.zeros(1, device="cuda:1")\n')
    assert "GPU201" in [code for code, _ in codes(found)]


def test_a_long_line_of_data_beside_a_rank() -> None:
    line = b"D = {" + b"a:1," * 100_000 + b"}\n" + b"10:20:30," * 50_000
    assert not gives_global_rank(b"r = dist.get_rank()\n" + line)
    assert gives_global_rank(b"r = dist.get_rank()\n" + line + b"\ntorch.cuda.set_device(r)\n")


def test_a_long_run_of_blanks() -> None:
    blanks = " " * 200_000
    found = entries_of(f"A=b{blanks}c\n".encode())
    assert found.get("A") == Known(f"b{blanks}c")
    devices = f"d = ['cuda'{blanks}]\nx.to('cuda'{blanks})\n".encode()
    assert needles_for(load_rulebook().knowledge).touch(devices)
