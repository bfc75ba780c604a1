"""Which programs load a framework: an import in a function counts where that may be called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpu_lint.facts.reading import read_file
from gpu_lint.facts.skim import Unskimmable, skim
from gpu_lint.rulebook import load_rulebook
from gpu_lint.source import decode_source
from tests.agreement import disagreement
from tests.conftest import check_files, fix_files, run_cli, write_files

Files = dict[str, str]
MAIN = '\n\nif __name__ == "__main__":\n    main()\n'
GPU = "def gpu_memory():\n    import torch\n\n    return torch.cuda.mem_get_info()\n"
LOG = "def logger(name):\n    return name\n"
UTILS = f"import os\n\n\n{LOG}\n\n{GPU}"
SERVER = f'from utils import logger\n\n\ndef main():\n    print(logger("x")){MAIN}'


def program(imports: str, body: str) -> str:
    return f"{imports}\n\n\ndef main():\n    {body}{MAIN}"


ALONE: dict[str, Files] = {
    "a function whose name is not ASCII is not called": {
        "run.py": SERVER,
        "utils.py": UTILS.replace("gpu_memory", "größe"),
    },
    "a server takes its logger from a module with a torch helper": {
        "run.py": SERVER,
        "utils.py": UTILS,
    },
    "the name is imported and never used": {
        "run.py": SERVER.replace("import logger", "import gpu_memory, logger"),
        "utils.py": UTILS,
    },
    "all names are imported": {
        "run.py": SERVER.replace("import logger", "import *"),
        "utils.py": UTILS,
    },
    "a package hands the helper on": {
        "run.py": SERVER.replace("from utils", "from pkg"),
        "pkg/__init__.py": 'from .utils import gpu_memory, logger\n\n__all__ = ["gpu_memory", "logger"]\n',
        "pkg/utils.py": UTILS,
    },
    "only the self-test of the module calls the helper": {
        "run.py": SERVER,
        "utils.py": UTILS + '\n\nif __name__ == "__main__":\n    import torch\n\n    gpu_memory()\n',
    },
    "the helper imports a module of the project that loads torch": {
        "run.py": SERVER,
        "utils.py": f"{LOG}\n\ndef load():\n    from heavy import Model\n\n    return Model()\n",
        "heavy.py": "import torch\n\n\nclass Model:\n    pass\n",
    },
    "a class that nothing names": {
        "run.py": SERVER,
        "utils.py": f"{LOG}\n\nclass Model:\n    def load(self):\n        import torch\n\n"
        "        return torch.load\n",
    },
    "getattr of an object": {
        "run.py": 'from utils import logger\n\n\ndef main(name="x"):\n'
        "    print(getattr(logger(name), name))" + MAIN.replace("main()", 'main("y")'),
        "utils.py": UTILS,
    },
    "a decorator that only caches": {
        "run.py": SERVER,
        "utils.py": f"from functools import lru_cache\n\n\n{LOG}\n\n@lru_cache(maxsize=None)\n{GPU}",
    },
    "for type checkers": {
        "run.py": SERVER,
        "utils.py": "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import torch\n\n\n" + LOG,
    },
    "a click tool": {
        "run.py": "import click\n\nfrom utils import logger\n\n\n@click.command()\n"
        f"def main():\n    click.echo(logger('x')){MAIN}",
        "utils.py": UTILS,
    },
}  # fmt: skip
"""Programs that never load a framework."""
LOADING: dict[str, Files] = {
    "its own function imports torch": {"run.py": program("import os", "import torch")},
    "its main guard imports torch": {
        "run.py": 'import os\n\nif __name__ == "__main__":\n    import torch\n\n    torch.cuda.init()\n'
    },
    "it calls the helper": {
        "run.py": program("from utils import gpu_memory", "gpu_memory()"),
        "utils.py": UTILS,
    },
    "it calls the helper under another name": {
        "run.py": program("from utils import gpu_memory as memory", "memory()"),
        "utils.py": UTILS,
    },
    "it calls the helper of the module": {
        "run.py": program("import utils", "utils.gpu_memory()"),
        "utils.py": UTILS,
    },
    "a function that it calls calls the helper": {
        "run.py": program("import more", "more.report()"),
        "more.py": "from utils import gpu_memory\n\n\ndef report():\n    print(gpu_memory())\n",
        "utils.py": UTILS,
    },
    "the module calls the helper when it is imported": {
        "run.py": SERVER,
        "utils.py": UTILS + "\n\nMEMORY = gpu_memory()\n",
    },
    "the helper is a default": {
        "run.py": SERVER,
        "utils.py": f"{GPU}\n\ndef logger(name, measure=gpu_memory):\n    return measure()\n",
    },
    "a method, by an object": {
        "run.py": program("from utils import make", "make().load()"),
        "utils.py": "class Model:\n    def load(self):\n        import torch\n\n"
        "        return torch.load\n\n\ndef make():\n    return Model()\n",
    },
    "a constructor": {
        "run.py": program("from utils import Model", "Model()"),
        "utils.py": "class Model:\n    def __init__(self):\n        import torch\n\n"
        "        self.x = torch.zeros(1).cuda()\n",
    },
    "a method that a foreign base class calls": {
        "run.py": program("from utils import Handler", "serve(Handler)"),
        "utils.py": "from http.server import BaseHTTPRequestHandler\n\n\n"
        "class Handler(BaseHTTPRequestHandler):\n    def do_GET(self):\n        import torch\n",
    },
    "a registry, by a decorator": {
        "run.py": program("from utils import run", 'run("memory")'),
        "utils.py": "FOUND = {}\n\n\ndef register(f):\n    FOUND[f.__name__] = f\n    return f\n\n\n"
        f"def run(name):\n    return FOUND[name]()\n\n\n@register\n{GPU}",
    },
    "a registry, by a dict": {
        "run.py": program("from utils import TOOLS", 'TOOLS["memory"]()'),
        "utils.py": f'{GPU}\n\nTOOLS = {{"memory": gpu_memory}}\n',
    },
    "a registry of subclasses": {
        "run.py": program("from utils import Base", "Base.__subclasses__()[0]()"),
        "utils.py": "class Base:\n    pass\n\n\nclass Tool(Base):\n    def __init__(self):\n"
        "        import torch\n",
    },
    "a registry by a hook of the base class": {
        "run.py": program("from utils import FOUND", "FOUND[0]()"),
        "utils.py": "FOUND = []\n\n\nclass Base:\n    def __init_subclass__(cls):\n"
        "        FOUND.append(cls)\n\n\nclass Tool(Base):\n    def __init__(self):\n"
        "        import torch\n",
    },
    "a registry by a metaclass": {
        "run.py": program("from utils import FOUND", "FOUND[0]()"),
        "utils.py": "FOUND = []\n\n\nclass Meta(type):\n    def __init__(cls, *rest):\n"
        "        FOUND.append(cls)\n\n\nclass Tool(metaclass=Meta):\n    def __init__(self):\n"
        "        import torch\n",
    },
    "a function by a name in a variable": {
        "run.py": program("import sys\n\nimport utils", "getattr(utils, sys.argv[1])()"),
        "utils.py": UTILS,
    },
    "a function by a computed name": {
        "run.py": program("import sys\n\nimport utils", 'getattr(utils, f"gpu_{sys.argv[1]}")()'),
        "utils.py": UTILS,
    },
    "a function by its name in a text": {
        "run.py": program("import utils", 'getattr(utils, "gpu_memory")()'),
        "utils.py": UTILS,
    },
    "a function looked up in the module": {
        "run.py": program("from utils import call", 'call("memory")'),
        "utils.py": f'{GPU}\n\ndef call(name):\n    return globals()["gpu_" + name]()\n',
    },
    "a function of a module that is imported in a function": {
        "run.py": program("import sys", "import utils\n\n    getattr(utils, sys.argv[1])()"),
        "utils.py": UTILS,
    },
    "a function in the dict of the module": {
        "run.py": program("import sys\n\nimport utils", "utils.__dict__[sys.argv[1]]()"),
        "utils.py": UTILS,
    },
    "a function by an expression": {
        "run.py": program("import sys\n\nimport utils", 'eval("utils." + sys.argv[1])()'),
        "utils.py": UTILS,
    },
    "a function of the module itself, by its name": {
        "run.py": program("from utils import call", 'call("memory")'),
        "utils.py": f'import sys\n\n\n{GPU}\n\ndef call(name):\n'
        '    return getattr(sys.modules[__name__], "gpu_" + name)()\n',
    },
    "a command of click in another file": {
        "run.py": program("from commands import cli", "cli()"),
        "commands.py": "import click\n\n\n@click.group()\ndef cli():\n    pass\n\n\n"
        "@cli.command()\ndef train():\n    import torch\n\n    torch.cuda.init()\n",
    },
    "a route of a web server": {
        "run.py": program("import uvicorn\n\nfrom api import app", "uvicorn.run(app)"),
        "api.py": 'from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/")\n'
        "async def status():\n    import torch\n\n    return torch.cuda.mem_get_info()\n",
    },
    "a module that loads torch for a name that it lacks": {
        "run.py": program("import utils", "utils.Model()"),
        "utils.py": "def __getattr__(name):\n    import torch\n\n    return getattr(torch, name)\n",
    },
    "an import in a branch of the module": {
        "run.py": SERVER,
        "utils.py": f"import os\n\nif os.name:\n    import torch\n\n\n{LOG}",
    },
    "an import that may fail": {
        "run.py": SERVER,
        "utils.py": f"try:\n    import torch\nexcept ImportError:\n    torch = None\n\n\n{LOG}",
    },
    "an import in the body of a class": {
        "run.py": SERVER,
        "utils.py": f"class Model:\n    import torch\n\n\n{LOG}",
    },
    "a worker in a process of its own": {
        "run.py": program(
            "import multiprocessing\n\nfrom utils import gpu_memory",
            "multiprocessing.Process(target=gpu_memory).start()",
        ),
        "utils.py": UTILS,
    },
    "a module that cannot be parsed": {
        "run.py": SERVER,
        "utils.py": UTILS + "\n\ndef broken(:\n    pass\n",
    },
}  # fmt: skip
"""Programs that load one, however hidden: those must not lose what is demanded of them."""


def policy() -> dict[str, Any]:
    return {
        "gpu": {"visible-devices": "1", "device-order": "PCI_BUS_ID"},
        "header": {"required-in": "gpu-files"},
        "validation": {"required-in": "entry-points"},
    }


@pytest.mark.parametrize("name", [*ALONE, *LOADING])
def test_a_program_is_asked_for_what_it_may_load(tmp_path: Path, name: str) -> None:
    found = check_files(tmp_path, ALONE.get(name) or LOADING[name], policy())
    codes = {one.code for one in found["run.py"].findings}
    assert {"GPU101", "GPU301"} & codes == ({"GPU101", "GPU301"} if name in LOADING else set())


@pytest.mark.parametrize("name", ["a command of click in another file", "a route of a web server"])
def test_the_file_with_the_import_must_have_the_header(tmp_path: Path, name: str) -> None:
    found = check_files(tmp_path, LOADING[name], policy())
    assert {path for path, one in found.items() if one.findings} == {*LOADING[name]}


def test_the_validator_asks_the_driver_where_only_others_load_torch(tmp_path: Path) -> None:
    server = SERVER.replace("import logger\n", "import logger\nimport cupy\n")
    files = {"run.py": server, "utils.py": UTILS}
    named = {**policy(), "gpu": {**policy()["gpu"], "name": "RTX 3090"}}
    text = fix_files(tmp_path, files, named)["run.py"]
    assert "nvidia-smi" in text
    assert "import torch" not in text


def test_graph_says_why_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path, {"run.py": SERVER, "utils.py": UTILS, "more.py": "import run\n"})
    told = run_cli("graph", "--why", "run.py").stdout
    assert "no, torch is imported only in functions of what it imports" in told
    told = run_cli("graph", "--why", "utils.py").stdout
    assert "yes, it imports torch" in told


NET = (
    "import torch\n\n\nclass Net(torch.nn.Module):\n    pass\n\n\n"
    "def to_gpu(net):\n    return net.cuda()\n"
)
TESTS = (
    "import unittest\nfrom unittest import main\n" + NET + "\n\nclass Tests(unittest.TestCase):\n"
    "    def test_it(self):\n        to_gpu(Net())\n"
    '\n\nif __name__ == "__main__":\n    {}\n'
)
TESTED = NET + '\n\nif __name__ == "__main__":\n    {}\n'
ON_CPU: dict[str, Files] = {
    "a network and random numbers": {"net.py": TESTED.format("print(Net()(torch.zeros(1)))")},
    "the header is there already": {
        "net.py": 'import os\n\nos.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n'
        'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n' + TESTED.format("print(Net())")
    },
    "a comment and a docstring name a GPU": {
        "net.py": TESTED.format('"""On the GPU."""\n    print(Net())  # no cuda')
    },
    "a tokenizer": {
        "net.py": "from transformers import AutoTokenizer\n\n"
        + TESTED.format('print(AutoTokenizer.from_pretrained("x"))')
    },
    "a loader of data": {
        "net.py": "from torch.utils.data import DataLoader\n\n"
        + TESTED.format("print(list(DataLoader([1])))")
    },
    "a helper of another file that uses none": {
        "net.py": "import aid\n" + TESTED.format("aid.show(Net())"),
        "aid.py": "import torch\n\n\ndef show(net):\n    print(net)\n\n\n"
        "def bench(net):\n    net.cuda()\n",
    },
    "a part of what runs tests": {
        "net.py": "from unittest import mock\n" + TESTED.format("print(mock.Mock(), Net())")
    },
    "a regular expression": {
        "net.py": "import re\n" + TESTED.format('print(re.compile("x"), Net())')
    },
}
"""Modules that others import, with a test of their own that needs no GPU."""
ON_GPU: dict[str, Files] = {
    "its function is called": {"net.py": TESTED.format("to_gpu(Net())")},
    "any method may be called of a class that is used": {
        "net.py": TESTED.replace("    pass", "    def gpu(self):\n        self.cuda()").format(
            "print(Net())"
        )
    },
    "cuda is named": {"net.py": TESTED.format("print(Net().cuda())")},
    "a device in a text": {"net.py": TESTED.format('print(Net().to("cuda"))')},
    "a device from the options": {
        "net.py": "import sys\n" + TESTED.format("device = sys.argv[1]\n    Net().to(device)")
    },
    "memory that is pinned": {"net.py": TESTED.format("torch.zeros(1).pin_memory()")},
    "what was saved on a GPU": {"net.py": TESTED.format('print(torch.load("x.pt"))')},
    "a model of torch.hub": {"net.py": TESTED.format('print(torch.hub.load("x", "y"))')},
    "a helper of another file": {
        "net.py": "import aid\n" + TESTED.format("aid.bench(Net())"),
        "aid.py": "def bench(net):\n    net.cuda()\n",
    },
    "a part of the framework for GPUs": {
        "net.py": "from torch.cuda import init\n" + TESTED.format("init()")
    },
    "a library that takes a GPU unasked": {
        "net.py": TESTED.format('from vllm import LLM\n\n    LLM("x")')
    },
    "a trainer": {
        "net.py": TESTED.format("from lightning import Trainer\n\n    Trainer().fit(Net())")
    },
    "tests that are found by their names": {"net.py": TESTS.format("unittest.main()")},
    "tests that an imported name finds": {"net.py": TESTS.format("main()")},
    "tests that are loaded": {
        "net.py": TESTS.replace("from unittest import main\n", "").format(
            "suite = unittest.TestLoader().loadTestsFromName(__name__)\n"
            "    unittest.TextTestRunner().run(suite)"
        )
    },
    "functions that the command line names": {
        "net.py": "import fire\n" + TESTED.format("fire.Fire()")
    },
    "what a configuration names": {
        "net.py": TESTED.format("import hydra\n\n    hydra.utils.instantiate({})")
    },
}


@pytest.mark.parametrize("name", [*ON_CPU, *ON_GPU])
def test_the_test_of_a_module_needs_a_validator_if_it_may_use_a_gpu(
    tmp_path: Path, name: str
) -> None:
    files = {**(ON_CPU.get(name) or ON_GPU[name]), "app.py": "import net\n"}
    found = check_files(tmp_path, files, policy())["net.py"]
    assert ("GPU301" in {one.code for one in found.findings}) is (name in ON_GPU)
    alone = check_files(tmp_path, {**files, "app.py": ""}, policy())["net.py"]
    assert "GPU301" in {one.code for one in alone.findings}


DEFERRED: dict[str, tuple[str, list[bool]]] = {
    "a function": ("def f():\n    import a\nimport b\n", [True, False]),
    "an async method": ("class A:\n    import a\n    async def f(self):\n        import b\n", [False, True]),
    "a branch in a function": ("def f():\n    if x:\n        import a\n    import b\n", [True, True]),
    "a branch": ("if x:\n    import a\nelse:\n    import b\n", [False, False]),
    "a guard": ('if __name__ == "__main__":\n    import a\nelse:\n    import b\n', [True, False]),
    "a head on several lines": ("def f(\n    x,\n):\n    import a\nwhile (\n    x\n):\n    import b\n", [True, False]),
    "behind a string": ('def f():\n    """x\nif y:\n"""\n    import a\n', [True]),
    "behind a comment": ("def f():\n    x\n# if y:\n    import a\n", [True]),
    "behind a function": ("def f():\n    pass\ntry:\n    import a\nexcept X:\n    import b\n", [False, False]),
    "one statement behind another": ("def f():\n    x = 1; import a\ny = 1; import b\n", [True, False]),
    "Windows": ("def f():\r\n    import a\r\nimport b\r\n", [True, False]),
}  # fmt: skip


@pytest.mark.parametrize("name", DEFERRED)
def test_an_import_in_a_function_is_told_from_others(name: str) -> None:
    text, expected = DEFERRED[name]
    assert [one.is_deferred for one in skim(text.encode()).imported] == expected
    reading = read_file(decode_source(Path("a.py"), text.encode()), load_rulebook().knowledge)
    assert [one.is_deferred for one in reading.imported] == expected


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    x = [a\nfor a in b]\n    import c\n",
        "def f():\n    pass\nif (\n    x\n):\n    import a\n",
        'if "__main__" == __name__:\n    import a\n',
    ],
)
def test_where_indentation_may_mislead_the_file_is_parsed(text: str) -> None:
    with pytest.raises(Unskimmable):
        skim(text.encode())
    source = decode_source(Path("a.py"), text.encode())
    assert disagreement(source, load_rulebook().knowledge) == ""
