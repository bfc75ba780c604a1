"""Texts, numbers and lines that would take for ever, or that no parser expects: each ends at once,
with a verdict."""

from __future__ import annotations

import pytest

from gpu_lint.facts.dotenv import entries_of
from gpu_lint.facts.kinds import shown
from gpu_lint.facts.needles import needles_for
from gpu_lint.facts.ranktext import gives_global_rank
from gpu_lint.facts.soundness import cannot_be_joined
from gpu_lint.facts.values import Items, Known, Pairs, Value
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


ONE, TWO = Known("1"), Known("2")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Items("set", (ONE,)), "{'1'}"),
        (Items("set", (ONE, TWO)), None),
        (Items("list", (Items("set", (TWO, ONE)),)), None),
        (Pairs(((ONE, ONE), (TWO, TWO), (ONE, TWO))), "{'1': '2', '2': '2'}"),
        (Pairs(((Items("tuple", ()), ONE),)), None),
    ],
)
def test_what_a_container_looks_like_as_text(value: Value, text: str | None) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(
    ("left", "operator", "right", "raises"),
    [
        (b"%d", "%", 0, False),
        (b"%d", "%", "%", False),
        ("%d", "%", 0, False),
        (4, "%", 0, True),
        (4, "//", 2, False),
        ("a", "+", 1, True),
    ],
)
def test_what_surely_raises(left: object, operator: str, right: object, raises: bool) -> None:
    assert cannot_be_joined(Known(left), operator, Known(right)) is raises  # type: ignore[arg-type]


MANY = ", ".join(f'"VAR_{number}": "x"' for number in range(300))
LOOPS = {
    "items": "for k, v in D.items():\n    os.environ[k] = v\n",
    "keys": "for k in D:\n    os.environ[k] = D[k]\n",
    "a list of names": "for k in list(D):\n    os.environ[k] = 'x'\n",
    "removed": "for k in D:\n    os.environ.pop(k, None)\n",
}


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_many_names_of_which_none_is_the_masks(loop: str) -> None:
    text = f"{MASKED}D = {{{MANY}}}\n{loop}torch.cuda.init()\n"
    assert codes(check_text(text)) == []
    text = text.replace('"VAR_7"', '"CUDA_VISIBLE_DEVICES"')
    assert dict(codes(check_text(text))).keys() & {"GPU111", "GPU118"}


LATE = """torch.cuda.init()
os.environ["CUDA_VISIBLE_DEVICES"] = "0"
"""
FOREVER = "def g():\n    while True:\n        yield 1\n"
GOES_ON = {
    "a generator without an end, left": f"{FOREVER}for b in g():\n    break\n",
    "its first item": f"{FOREVER}x = next(g())\n",
    "left by a return": f"{FOREVER}def f():\n    for b in g():\n        return b\nf()\n",
    "that raises at its end": "def g():\n    yield 1\n    raise ValueError\nfor b in g():\n    break\n",
    "that ends by a count": "def g():\n    i = 0\n    while True:\n        i += 1\n"
    "        if i > 3:\n            return\n        yield 1\nfor b in g():\n    pass\n",
    "a loop that ends by a count": "i = 0\nwhile True:\n    i += 1\n    if i > 3:\n        break\n",
    "by a higher one": "i = 0\nwhile 1:\n    i += 1\n    if i > 300:\n        break\n",
    "in a function": "def f():\n    i = 0\n    while True:\n        i += 1\n"
    "        if i == 50:\n            return i\nf()\n",
}


@pytest.mark.parametrize("program", GOES_ON.values(), ids=GOES_ON)
def test_what_stands_behind_a_loop_that_ends_late_is_run(program: str) -> None:
    assert "GPU107" in dict(codes(check_text(f"import os\nimport torch\n{program}{LATE}")))


@pytest.mark.parametrize(
    "program",
    [
        "while True:\n    print(1)\n",
        "while True:\n    for i in range(3):\n        break\n",
        "while True:\n    def f():\n        return 1\n",
    ],
)
def test_what_stands_behind_a_loop_without_an_end_is_not(program: str) -> None:
    assert codes(check_text(f"import os\nimport torch\n{program}{LATE}")) == []


def test_the_mask_may_be_named_by_bytes_alone() -> None:
    text = "import os, torch\nKEY = b'CUDA_VISIBLE_DEVICES'\ntorch.cuda.init()\n"
    text += "os.environb[KEY] = b'1'\n"
    assert codes(check_text(text)) == [("GPU107", 4)]
