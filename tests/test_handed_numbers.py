"""A bare number that one file gives another, which takes it for a device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpu_lint.discovery import discover
from gpu_lint.engine import Engine
from gpu_lint.facts.giventext import Given, GivenText, given_at
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import SettingsFinder

_BLOCK = (
    "import os\n\n# gpu-lint: begin header\n"
    'os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n'
    'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
    "# gpu-lint: end header\n\n"
)
_MASK = 'import os\n\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'


def _policy(header: str) -> str:
    return (
        '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\n'
        f'[header]\nrequired-in = "{header}"\n[validation]\nrequired-in = "never"\n'
    )


def _load(use: str, parameters: str = "d") -> str:
    return f"import torch\n\n\ndef load({parameters}):\n    {use}\n"


_TO = _load("return torch.zeros(1).to(d)")
_MODEL = (
    "import torch\n\n\nclass Model:\n    def __init__(self, gpu_id):\n"
    '        self.device = f"cuda:{gpu_id}"\n        self.w = torch.zeros(1).to(self.device)\n'
)
_HELD = (
    "import torch\n\n\nclass Model:\n    def __init__(self, n=0):\n        self.n = n\n\n"
    "    def go(self):\n        return torch.zeros(1).to(self.n)\n"
)
_PARSED = (
    "import argparse\nfrom m import load\n\np = argparse.ArgumentParser()\n"
    "p.add_argument('--gpu-id', type=int, default=1)\n"
)
GIVEN: dict[str, dict[str, str]] = {
    "by position": {"m.py": _TO, "run.py": "from m import load\n\nload(1)\n"},
    "to a name of a module": {"m.py": _TO, "run.py": "import m\n\nm.load(1)\n"},
    "by keyword": {"m.py": _TO, "run.py": "from m import load\n\nload(d=1)\n"},
    "by a keyword that says device": {
        "m.py": _TO.replace("(d)", "(device)"),
        "run.py": "from m import load\n\nload(device=1)\n",
    },
    "as a hexadecimal": {"m.py": _TO, "run.py": "from m import load\n\nload(0x1)\n"},
    "as a text": {"m.py": _MODEL, "run.py": "from m import Model\n\nModel('1')\n"},
    "to a class": {"m.py": _MODEL, "run.py": "from m import Model\n\nModel(1)\n"},
    "to a class that keeps it": {"m.py": _HELD, "run.py": "from m import Model\n\nModel(1).go()\n"},
    "to set_device": {
        "m.py": _load("torch.cuda.set_device(gpu_id)", "gpu_id"),
        "run.py": "from m import load\n\nload(1)\n",
    },
    "to a context manager": {
        "m.py": _load("with torch.cuda.device(d):\n        return torch.zeros(1).cuda()"),
        "run.py": "from m import load\n\nload(1)\n",
    },
    "to a joined text": {
        "m.py": _load('return torch.zeros(1).to("cuda:" + str(d))'),
        "run.py": "from m import load\n\nload(1)\n",
    },
    "to a formatted text": {
        "m.py": _load('return torch.zeros(1).to("cuda:%d" % d)'),
        "run.py": "from m import load\n\nload(1)\n",
    },
    "to a row's keyword": {
        "m.py": "from llama_cpp import Llama\n\n\ndef load(g):\n    return Llama('x', main_gpu=g)\n",
        "run.py": "from m import load\n\nload(1)\n",
    },
    "by partial": {
        "m.py": _TO,
        "run.py": "from functools import partial\nfrom m import load\n\npartial(load, 1)()\n",
    },
    "to a thread": {
        "m.py": _TO,
        "run.py": (
            "from threading import Thread\nfrom m import load\n\n"
            "Thread(target=load, args=(1,)).start()\n"
        ),
    },
    "through another file": {
        "m.py": _TO,
        "middle.py": "from m import load\n\n\ndef go(x):\n    return load(x)\n",
        "run.py": "from middle import go\n\ngo(1)\n",
    },
    "through two files": {
        "m.py": _TO,
        "a.py": "import m\n\n\ndef go(x):\n    return m.load(x)\n",
        "b.py": "import a\n\n\ndef start(which):\n    a.go(x=which)\n",
        "run.py": "import b\n\nb.start(1)\n",
    },
    "through packages": {
        "p/__init__.py": "from p.a import *\n",
        "p/a/__init__.py": "from p.a.m import load\n",
        "p/a/m.py": _TO,
        "run.py": "import p\n\np.load(1)\n",
    },
    "as a default": {
        "m.py": _TO.replace("(d):", "(d=1):"),
        "run.py": "from m import load\n\nload()\n",
    },
    "as a default of another file": {
        "m.py": _TO,
        "middle.py": "from m import load\n\n\ndef go(x=1):\n    return load(x)\n",
        "run.py": "from middle import go\n\ngo()\n",
    },
    "as a constant": {
        "settings.py": "GPU = 1\n",
        "m.py": _TO,
        "run.py": "from m import load\nfrom settings import GPU\n\nload(GPU)\n",
    },
    "as a constant of a module": {
        "settings.py": "GPU: int = 1\n",
        "m.py": _TO,
        "run.py": "import settings\nfrom m import load\n\nload(settings.GPU)\n",
    },
    "as an attribute of a configuration": {
        "conf.py": "class Cfg:\n    gpu = 1\n\n\ncfg = Cfg()\n",
        "m.py": _TO,
        "run.py": "from conf import cfg\nfrom m import load\n\nload(cfg.gpu)\n",
    },
    "as an attribute of what is given": {
        "conf.py": (
            "from dataclasses import dataclass\n\n\n@dataclass\nclass Cfg:\n    gpu: int = 1\n"
        ),
        "m.py": _load("return torch.zeros(1).to(cfg.gpu)", "cfg"),
        "run.py": "from conf import Cfg\nfrom m import load\n\nload(Cfg())\n",
    },
    "as an attribute that another file sets": {
        "m.py": _HELD,
        "run.py": "from m import Model\n\nmodel = Model()\nmodel.n = 1\nmodel.go()\n",
    },
    "as an entry": {
        "m.py": _load('return torch.zeros(1).to(c["gpu"])', "c"),
        "run.py": 'from m import load\n\nload({"gpu": 1})\n',
    },
    "as keywords": {
        "m.py": _load("return torch.zeros(1, **k)", "**k"),
        "run.py": "from m import load\n\nload(device=1)\n",
    },
    "as an option's default": {"m.py": _TO, "run.py": f"{_PARSED}load(p.parse_args().gpu_id)\n"},
    "as an option of what is given": {
        "m.py": _load("return torch.zeros(1).to(args.gpu_id)", "args"),
        "run.py": f"{_PARSED}load(p.parse_args())\n",
    },
    "as what a function returns": {
        "conf.py": "def pick():\n    return 1\n",
        "m.py": _TO,
        "run.py": "from conf import pick\nfrom m import load\n\nload(pick())\n",
    },
    "behind a guard": {
        "m.py": _TO,
        "run.py": (
            "from m import load\n\n\ndef main():\n    load(1)\n\n\n"
            'if __name__ == "__main__":\n    main()\n'
        ),
    },
    "in a loop": {
        "m.py": _TO,
        "run.py": "from m import load\n\nfor card in (0, 1):\n    load(card)\n",
    },
    "in the file itself": {"m.py": f"{_TO}\n\nload(1)\n"},
}
RIGHT: dict[str, dict[str, str]] = {
    "the first device": {"m.py": _TO, "run.py": "from m import load\n\nload(0)\n"},
    "a number for something else": {
        "m.py": _load("return torch.zeros(n).to(d)", "d, n"),
        "run.py": "from m import load\n\nload(0, 1)\n",
    },
    "another function of that name": {
        "m.py": _TO,
        "run.py": "import m\n\n\ndef load(n):\n    return n\n\n\nload(1)\n",
    },
    "a type": {
        "m.py": _TO,
        "run.py": "import torch\nfrom m import load\n\nload(torch.float16)\n",
    },
    "the processor": {"m.py": _TO, "run.py": "from m import load\n\nload('cpu')\n"},
    "a device that is there": {
        "m.py": _load(
            "if d < torch.cuda.device_count():\n        return torch.zeros(1).to(d)"
        ),
        "run.py": "from m import load\n\nload(1)\n",
    },
    "what has a method of that name": {
        "m.py": (
            "import torch\n\n\nclass Pipe:\n    def to(self, n):\n        return n\n\n\n"
            "def load(n):\n    return Pipe().to(n)\n"
        ),
        "run.py": "from m import load\n\nload(1)\n",
    },
    "replaced on the way": {
        "m.py": _load("d = 0\n    return torch.zeros(1).to(d)"),
        "run.py": "from m import load\n\nload(1)\n",
    },
}  # fmt: skip


def _found(files: dict[str, str], project: Any) -> list[tuple[str, str]]:
    """The files and codes of selectors that do not fit."""
    root: Path = project(files)
    finder = SettingsFinder(load_rulebook())
    run = Engine(finder).check(discover([root], finder).files)
    assert run.troubles == []
    return [
        (file.path.relative_to(root).as_posix(), finding.code)
        for file in run.files
        for finding in file.findings
        if finding.code.startswith("GPU2")
    ]


def _with(files: dict[str, str], policy: str, start: str = "") -> dict[str, str]:
    return {"gpu-lint.toml": policy, **{name: start + text for name, text in files.items()}}


def _selecting(files: dict[str, str]) -> str:
    return next(name for name in files if name.endswith("m.py"))


@pytest.mark.parametrize("files", GIVEN.values(), ids=GIVEN)
@pytest.mark.parametrize(
    ("start", "header"),
    [("", "never"), (_BLOCK, "all"), (_BLOCK.replace("# gpu-lint", "# ours"), "all")],
    ids=["bare", "managed", "own"],
)
def test_a_number_is_followed_into_the_file_that_selects_by_it(
    start: str, header: str, files: dict[str, str], project: Any
) -> None:
    found = _found(_with(files, _policy(header), start), project)
    assert found == [(_selecting(files), "GPU201")]


@pytest.mark.parametrize("files", GIVEN.values(), ids=GIVEN)
def test_a_number_is_followed_under_a_mask(files: dict[str, str], project: Any) -> None:
    first = "run.py" if "run.py" in files else "m.py"
    masked = {**files, first: _MASK + files[first]}
    assert _found(_with(masked, ""), project) == [(_selecting(files), "GPU201")]


@pytest.mark.parametrize("files", RIGHT.values(), ids=RIGHT)
@pytest.mark.parametrize(("start", "header"), [("", "never"), (_BLOCK, "all")])
def test_a_number_that_is_no_wrong_device_is_none(
    start: str, header: str, files: dict[str, str], project: Any
) -> None:
    assert _found(_with(files, _policy(header), start), project) == []


def test_the_fix_stands_where_the_number_does(project: Any) -> None:
    files = _with(GIVEN["by position"], _policy("never"))
    root: Path = project(files)
    finder = SettingsFinder(load_rulebook())
    paths = discover([root], finder).files
    safe = Engine(finder).fix(paths, unsafe=False, writing=None)
    assert [one for one in safe.fixed if one.changed] == []
    unsafe = Engine(finder).fix(paths, unsafe=True, writing=None)
    changed = [one.after for one in unsafe.fixed if one.changed]
    assert [(one.path.name, one.source.data) for one in changed] == [
        ("run.py", b"from m import load\n\nload(0)\n")
    ]


@pytest.mark.parametrize(
    ("expression", "given"),
    [
        ("1)", Given(number=True)),
        ("(1, 2))", Given(number=True)),
        ("0)", Given()),
        ("64)", Given()),
        ("1.5)", Given()),
        ("-1)", Given()),
        ("'1')", Given(number=True)),
        ("x)", Given(names=(b"x",))),
        ("int(x))", Given(names=(b"x",))),
        ("x or 1)", Given(number=True, names=(b"x",))),
        ("x if x else y)", Given(names=(b"x", b"y"))),
        ("a.b.c, 1)", Given(parts=(b"c",))),
        ("c['k'])", Given(parts=(b"k",))),
        ("c.get('k', 1))", Given(number=True, parts=(b"k",))),
        ("pick())", Given(calls=(b"pick",))),
        ("parse(a, b(c)).gpu)", Given(parts=(b"gpu",))),
        ("parse(a).get(b))", Given(calls=(b"parse",))),
        ("x + y)", Given()),
        ("x.shape[0] * 2)", Given()),
        ("range(2))", Given(number=True)),
        ("None)", Given()),
        ("", Given()),
    ],
)
def test_what_a_value_comes_from(expression: str, given: Given) -> None:
    assert given_at(expression.encode(), 0) == given


def test_a_name_is_looked_for_in_the_functions_around_it() -> None:
    data = b"class A:\n    def f(self, x, y=1):\n        def g(x): h(x)\n        return y\nx = 2\n"
    text = GivenText(data)
    assert [head.name for head in text.around(data.index(b"h(x)"))] == [b"g", b"f"]
    f = text.heads[0]
    assert (found := text.parameter(f, b"y")) is not None
    assert found.position == 1
    assert found.default is not None
    assert data[found.default : found.default + 1] == b"1"
    assert list(text.bound(b"x", 0, len(data))) == [data.index(b" 2")]
