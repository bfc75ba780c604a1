"""What a file's verdict owes to the other files of its project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gpu_lint.cli import main
from gpu_lint.discovery import discover
from gpu_lint.engine import Engine
from gpu_lint.findings import Applicability, FileFindings
from gpu_lint.journal import Journal
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import SettingsFinder
from gpu_lint.writing import Writing
from tests.conftest import check_files, codes, engine_for, fix_files, write_files

MASK = 'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
LOOKS = "import torch\nREADY = torch.cuda.is_available()\n"
"""A module that freezes CUDA when it is imported."""
GUARD = 'if __name__ == "__main__":\n    pass\n'
Files = dict[str, str]


def found(root: Path, files: Files, **options: Any) -> list[tuple[str, int, str]]:
    """(file, line, code) of every finding."""
    results = check_files(root, files, **options).items()
    return [(name, line, code) for name, result in results for code, line in codes(result)]


def only(results: dict[str, FileFindings]) -> Any:
    (finding,) = [finding for result in results.values() for finding in result.findings]
    return finding


# --- imports ---------------------------------------------------------------------------------

IMPORTS: dict[str, tuple[str, Files, str]] = {
    "a module of a package": (
        "import app.models",
        {"app/__init__.py": "", "app/models.py": LOOKS},
        "app/models.py",
    ),
    "a name from it": (
        "from app.models import READY",
        {"app/__init__.py": "", "app/models.py": LOOKS},
        "app/models.py",
    ),
    "a submodule by from": (
        "from app import models as m",
        {"app/__init__.py": "", "app/models.py": LOOKS},
        "app/models.py",
    ),
    "everything": ("from models import *", {"models.py": LOOKS}, "models.py"),
    "a namespace package": ("import app.models", {"app/models.py": LOOKS}, "app/models.py"),
    "what __init__ re-exports": (
        "from app import READY",
        {"app/__init__.py": "from .models import READY\n", "app/models.py": LOOKS},
        "app/__init__.py → app/models.py",
    ),
    "a package's own __init__ on the way": (
        "from app.small import ONE",
        {"app/__init__.py": LOOKS, "app/small.py": "ONE = 1\n"},
        "app/__init__.py",
    ),
    "src layout": (
        "import app.models",
        {"pyproject.toml": "", "src/app/__init__.py": "", "src/app/models.py": LOOKS},
        "src/app/models.py",
    ),
    "importlib with a literal": (
        "import importlib\nimportlib.import_module('models')",
        {"models.py": LOOKS},
        "models.py",
    ),
    "importlib, relative": (
        "from importlib import import_module\nimport_module('.models', package='app')",
        {"app/__init__.py": "", "app/models.py": LOOKS},
        "app/models.py",
    ),
    "__import__": ("__import__('models')", {"models.py": LOOKS}, "models.py"),
    "in try": (
        "try:\n    import models\nexcept ImportError:\n    models = None",
        {"models.py": LOOKS},
        "models.py",
    ),
    "in a function that is called": (
        "def load():\n    import models\nload()",
        {"models.py": LOOKS},
        "models.py",
    ),
    "a cycle": (
        "import one",
        {"one.py": "import two\n", "two.py": "import one\n" + LOOKS},
        "one.py → two.py",
    ),
    "a chain of three": (
        "import one",
        {"one.py": "import two\n", "two.py": "import three\n", "three.py": LOOKS},
        "one.py → two.py → three.py",
    ),
}


@pytest.mark.parametrize(("line", "files", "way"), IMPORTS.values(), ids=IMPORTS.keys())
def test_the_chain_of_an_import(
    line: str, files: Files, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    python = {**files, "run.py": f"import os\n{line}\n{MASK}"}
    results = check_files(tmp_path, {"pyproject.toml": "", **python})
    finding = only(results)
    assert finding.code == "GPU115"
    assert finding.severity.value == "error"
    assert (
        f"(run.py → {way} → torch.cuda.is_available(), {way.rpartition(' ')[2]}:" in finding.message
    )


def test_relative_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = {
        "app/__init__.py": "",
        "app/models.py": LOOKS,
        "app/cli/__init__.py": "",
        "app/cli/__main__.py": "import os\nfrom ..models import READY\n" + MASK,
    }
    finding = only(check_files(tmp_path, files))
    assert finding.message.startswith(
        "`import ..models` on line 2 (app/cli/__main__.py → app/models.py → torch.cuda"
    )


NO_FAULT: dict[str, Files] = {
    "the mask comes first": {"m.py": LOOKS, "run.py": "import os\n" + MASK + "import m\n"},
    "a module sets it in time": {
        "m.py": LOOKS,
        "env.py": "import os\n" + MASK,
        "run.py": "import env\nimport m\n" + GUARD,
    },
    "a helper of another module is called in time": {
        "m.py": LOOKS,
        "env.py": "import os\ndef choose(card):\n"
        '    os.environ["CUDA_VISIBLE_DEVICES"] = str(card)\n',
        "run.py": "import env\nenv.choose(1)\nimport m\n",
    },
    "only for the type checker": {
        "m.py": LOOKS,
        "run.py": "import os\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import m\n" + MASK,
    },
    "in a function that nothing calls": {
        "m.py": LOOKS,
        "run.py": "import os\ndef load():\n    import m\n" + MASK,
    },
    "behind the imported module's own guard": {
        "m.py": 'if __name__ == "__main__":\n    import torch\n    torch.cuda.init()\n',
        "run.py": "import os\nimport m\n" + MASK,
    },
    "in a function that the importer does not call": {
        "m.py": "def use():\n    import torch\n    torch.cuda.init()\n",
        "run.py": "import os\nimport m\n" + MASK,
    },
    "another project's module of that name": {
        "one/pyproject.toml": "",
        "one/m.py": LOOKS,
        "two/pyproject.toml": "",
        "two/run.py": "import os\nimport m\n" + MASK,
    },
    "a cycle back to the program sets it in time": {
        "m.py": "import run\n" + LOOKS,
        "run.py": "import os\nimport m\n" + MASK,
    },
}


@pytest.mark.parametrize("files", NO_FAULT.values(), ids=NO_FAULT.keys())
def test_an_import_that_is_no_fault(files: Files, tmp_path: Path) -> None:
    assert found(tmp_path, files) == []


def test_a_framework_that_a_module_brings_in_is_a_warning(tmp_path: Path) -> None:
    files = {"m.py": "import torch\n", "run.py": "import os\nimport m\n" + MASK}
    finding = only(check_files(tmp_path, files))
    assert (finding.code, finding.severity.value) == ("GPU115", "warning")


def test_a_call_into_another_module_that_freezes_is_named(tmp_path: Path) -> None:
    files = {
        "m.py": "class Model:\n    def __init__(self):\n        import torch\n"
        "        torch.cuda.init()\n",
        "run.py": "import os\nfrom m import Model\nModel()\n" + MASK,
    }
    finding = only(check_files(tmp_path, files))
    assert finding.code == "GPU107"
    assert "m.py:4)" in finding.message


def test_an_import_on_one_path_is_a_may(tmp_path: Path) -> None:
    run = "import os, sys\nif sys.argv[1:]:\n    import m\n" + MASK
    finding = only(check_files(tmp_path, {"m.py": LOOKS, "run.py": run}))
    assert finding.severity.value == "warning"
    assert "may already have" in finding.message


# --- modules that set the mask ---------------------------------------------------------------


def test_too_late_from_every_entry_point(tmp_path: Path) -> None:
    late = "import m\nimport env\n" + GUARD
    files = {"m.py": LOOKS, "env.py": "import os\n" + MASK, "a.py": late, "b.py": late}
    assert found(tmp_path / "all", files) == [("env.py", 2, "GPU116")]
    files["b.py"] = "import env\nimport m\n" + GUARD
    assert found(tmp_path / "one", files) == []


def test_a_constant_mask_forced_on_importers_is_reported_on_demand(tmp_path: Path) -> None:
    files = {"env.py": "import os\n" + MASK, "run.py": "import env\nimport torch\n" + GUARD}
    assert found(tmp_path / "a", files) == []
    assert found(tmp_path / "b", files, select=["GPU117"]) == [("env.py", 2, "GPU117")]
    polite = {**files, "env.py": "import os\n" + MASK.replace('] = "1"', "] = os.sys.argv[1]")}
    assert found(tmp_path / "c", polite, select=["GPU117"]) == []


def test_a_header_in_the_entry_point_covers_what_it_imports(tmp_path: Path) -> None:
    policy = {"gpu": {"visible-devices": "1", "device-order": "PCI_BUS_ID"}}
    policy["header"] = {"required-in": "entry-points"}
    files = {
        "m.py": "import torch\ndef go():\n    return torch.zeros(1).cuda()\n",
        "run.py": "import m\nif __name__ == '__main__':\n    m.go()\n",
    }
    names = {name for name, _, _ in found(tmp_path / "a", files, policy=policy)}
    assert names == {"run.py"}
    policy["header"] = {"required-in": "gpu-files"}
    names = {name for name, _, _ in found(tmp_path / "b", files, policy=policy)}
    assert names == {"m.py", "run.py"}  # run.py is a GPU file by what it imports


# --- values across files -----------------------------------------------------------------------

VALUES: dict[str, Files] = {
    "a module's constant": {
        "conf.py": "GPU = 1\n",
        "run.py": "import conf\ntorch.cuda.set_device(conf.GPU)\n",
    },
    "from a module": {
        "conf.py": 'DEVICE = "cuda:1"\n',
        "run.py": "from conf import DEVICE as d\ntorch.zeros(1).to(d)\n",
    },
    "a class's attribute": {
        "conf.py": "class Settings:\n    gpu = 1\n",
        "run.py": "from conf import Settings\ntorch.cuda.set_device(Settings.gpu)\n",
    },
    "a dataclass's field": {
        "conf.py": "from dataclasses import dataclass\n@dataclass\nclass S:\n    gpu: int = 1\n",
        "run.py": "from conf import S\ntorch.cuda.set_device(S().gpu)\n",
    },
    "a named tuple's field": {
        "conf.py": "import typing\nclass S(typing.NamedTuple):\n    gpu: int = 1\n",
        "run.py": "from conf import S\ntorch.cuda.set_device(S().gpu)\n",
    },
    "an enum's member": {
        "conf.py": "import enum\nclass Card(enum.IntEnum):\n    FAST = 1\n",
        "run.py": "from conf import Card\ntorch.cuda.set_device(Card.FAST.value)\n",
    },
    "a dict": {
        "conf.py": 'CARDS = {"fast": 1}\n',
        "run.py": "import conf\ntorch.cuda.set_device(conf.CARDS.get('fast', 0))\n",
    },
    "what a function returns": {
        "conf.py": "def card():\n    return 1\n",
        "run.py": "import conf\ntorch.cuda.set_device(conf.card())\n",
    },
    "keyword arguments": {
        "conf.py": 'WHERE = dict(device="cuda:1")\n',
        "run.py": "import conf\ntorch.zeros(1, **conf.WHERE)\n",
    },
    "a range": {"run.py": "for i in range(2):\n    torch.zeros(1).to(f'cuda:{i}')\n"},
    "appended to a list": {
        "run.py": "cards = []\nsame = cards\nsame.append(1)\nfor card in cards:\n"
        "    torch.cuda.set_device(card)\n"
    },
    "put into another module's list": {
        "conf.py": "CARDS = []\n",
        "more.py": "import conf\nconf.CARDS.append(1)\n",
        "run.py": "import conf\nimport more\nfor card in conf.CARDS:\n"
        "    torch.cuda.set_device(card)\n",
    },
    "a global": {
        "run.py": "CARD = 0\ndef f():\n    global CARD\n    CARD = 1\nf()\n"
        "torch.cuda.set_device(CARD)\n"
    },
    "one arm of a conditional": {
        "run.py": "import sys\ntorch.cuda.set_device(1 if sys.argv[1:] else 0)\n"
    },
    "the default of getenv": {"run.py": "torch.cuda.set_device(int(os.getenv('CARD', '1')))\n"},
    "argparse's default": {
        "run.py": "import argparse\np = argparse.ArgumentParser()\n"
        "p.add_argument('--gpu', type=int, default=1)\n"
        "torch.cuda.set_device(p.parse_args().gpu)\n"
    },
    "click's default": {
        "run.py": "import click\n@click.command()\n@click.option('--gpu', default=1)\n"
        "def main(gpu):\n    torch.cuda.set_device(gpu)\nmain()\n"
    },
    "typer's default": {
        "run.py": "import typer\ndef main(gpu: int = typer.Option(1)):\n"
        "    torch.cuda.set_device(gpu)\ntyper.run(main)\n"
    },
}
NO_VALUE: dict[str, str] = {
    "an option without a default": "import argparse\np = argparse.ArgumentParser()\n"
    "p.add_argument('--gpu', type=int)\ntorch.cuda.set_device(p.parse_args().gpu)\n",
    "a default that fits": "torch.cuda.set_device(int(os.getenv('CARD', '0')))\n",
    "a configuration file": "import json\ntorch.cuda.set_device(json.load(open('x'))['gpu'])\n",
    "as many as there are": "for i in range(torch.cuda.device_count()):\n"
    "    torch.zeros(1).to(f'cuda:{i}')\n",
    "asked before": "if torch.cuda.device_count() > 1:\n    torch.cuda.set_device(1)\n",
    "assigned again": "card = 1\ncard = 0\ntorch.cuda.set_device(card)\n",
    "in a dict that has changed": "conf = {'gpu': 1}\nconf.update(gpu=0)\n"
    "torch.cuda.set_device(conf['gpu'])\n",
    "in a list that a function changes": "cards = [1]\ndef f():\n    cards.clear()\nf()\n"
    "for card in cards:\n    torch.cuda.set_device(card)\n",
    "only compared": "import sys\nif sys.argv[1] == 'cuda:1':\n    print('cuda:1')\n",
}


@pytest.mark.parametrize("files", VALUES.values(), ids=VALUES.keys())
def test_a_known_index_that_does_not_exist(files: Files, tmp_path: Path) -> None:
    files = {**files, "run.py": "import os\n" + MASK + "import torch\n" + files["run.py"]}
    assert [code for _, _, code in found(tmp_path, files)] == ["GPU201"]


@pytest.mark.parametrize("program", NO_VALUE.values(), ids=NO_VALUE.keys())
def test_an_index_that_may_well_exist(program: str, tmp_path: Path) -> None:
    files = {"run.py": "import os\n" + MASK + "import torch\n" + program}
    assert [item for item in found(tmp_path, files) if item[2] == "GPU201"] == []


PARSER = (
    "import argparse, os\np = argparse.ArgumentParser()\np.add_argument('--gpu', type=int)\n"
    "p.add_argument('--other', type=int)\nargs = p.parse_args()\n"
    "os.environ['CUDA_VISIBLE_DEVICES'] = str(args.gpu)\nimport torch\n"
)
FOLLOWS = {
    "the same arithmetic": (
        PARSER.replace("str(args.gpu)", "str(args.gpu % 8)")
        + "torch.cuda.set_device(f'cuda:{args.gpu % 8}')\n",
        'set_device("cuda:0")',
    ),
    "a number": (PARSER + "torch.cuda.set_device(args.gpu)\n", "set_device(0)"),
    "an f-string": (PARSER + 'torch.zeros(1).to(f"cuda:{args.gpu}")\n', '.to("cuda:0")'),
    "percent": (PARSER + "torch.zeros(1).to('cuda:%d' % args.gpu)\n", '.to("cuda:0")'),
    "a sum": (PARSER + "torch.zeros(1).to('cuda:' + str(args.gpu))\n", '.to("cuda:0")'),
    "TensorFlow's names": (
        PARSER + "import tensorflow as tf\nwith tf.device('/gpu:{}'.format(args.gpu)):\n    pass\n",
        'tf.device("/gpu:0")',
    ),
    "a parameter": (
        "import os\ndef main(gpu):\n    os.environ['CUDA_VISIBLE_DEVICES'] = str(gpu)\n"
        "    import torch\n    torch.cuda.set_device(gpu)\n",
        "set_device(0)",
    ),
    "an item of a configuration": (
        "import json, os\nconf = json.load(open('x'))\n"
        "os.environ['CUDA_VISIBLE_DEVICES'] = str(conf['gpu'])\n"
        "import torch\ntorch.cuda.set_device(conf['gpu'])\n",
        "set_device(0)",
    ),
    "by way of a name": (
        PARSER + "card = args.gpu\ntorch.cuda.set_device(card)\n",
        "set_device(0)",
    ),
}
DOES_NOT_FOLLOW = {
    "the mask gave the index, and is removed": "import os, torch\n"
    "rank = int(os.environ.pop('CUDA_VISIBLE_DEVICES'))\ntorch.cuda.set_device(rank)\n",
    "other arithmetic": PARSER + "torch.cuda.set_device(args.gpu % 4)\n",
    "another option": PARSER + "torch.cuda.set_device(args.other)\n",
    "set to another value before": PARSER + "args.gpu = 0\ntorch.cuda.set_device(args.gpu)\n",
    "the mask is a list that contains it": PARSER.replace("str(args.gpu)", "'0,' + str(args.gpu)")
    + "torch.cuda.set_device(args.gpu)\n",
    "the count of devices": PARSER
    + "torch.cuda.set_device(args.gpu % torch.cuda.device_count())\n",
    "in a log message": PARSER + "print(f'cuda:{args.gpu}')\n",
    "in another branch": "import os, sys\nimport torch\ngpu = int(sys.argv[1])\n"
    "if gpu > 3:\n    os.environ['CUDA_VISIBLE_DEVICES'] = str(gpu)\n"
    "else:\n    torch.cuda.set_device(gpu)\n",
}


@pytest.mark.parametrize(("program", "fixed"), FOLLOWS.values(), ids=FOLLOWS.keys())
def test_the_index_follows_the_mask(program: str, fixed: str, tmp_path: Path) -> None:
    assert [code for _, _, code in found(tmp_path, {"run.py": program})] == ["GPU208"]
    assert fix_files(tmp_path, {"run.py": program})["run.py"] == program
    after = fix_files(tmp_path, {"run.py": program}, unsafe=True)["run.py"]
    assert fixed in after
    assert len(after.splitlines()) == len(program.splitlines())


@pytest.mark.parametrize("program", DOES_NOT_FOLLOW.values(), ids=DOES_NOT_FOLLOW.keys())
def test_the_index_does_not_follow_the_mask(program: str, tmp_path: Path) -> None:
    assert [i for i in found(tmp_path, {"run.py": program}) if i[2] == "GPU208"] == []


# --- child processes -----------------------------------------------------------------------------

CHILDREN = {
    "a long text in a dict": 'S = {"a": """\nCUDA_VISIBLE_DEVICES=0 t\n"""}\nsubprocess.run(S["a"], shell=True)',
    "env": 'subprocess.run(["train"], env={**os.environ, "CUDA_VISIBLE_DEVICES": "0"})',
    "env by dict": 'subprocess.Popen("train", env=dict(os.environ, CUDA_VISIBLE_DEVICES="0"))',
    "env by a copy": "env = os.environ.copy()\nenv['CUDA_VISIBLE_DEVICES'] = '0'\n"
    "subprocess.check_call(['train'], env=env)",
    "env by |": 'subprocess.run(["train"], env=os.environ | {"CUDA_VISIBLE_DEVICES": "0"})',
    "a command": 'os.system("CUDA_VISIBLE_DEVICES=0 python train.py")',
    "a command in a shell": 'subprocess.run("CUDA_VISIBLE_DEVICES=0 python t.py", shell=True)',
    "a command behind cd": "os.system(\"cd x && CUDA_VISIBLE_DEVICES='0' python train.py\")",
    "the program env": 'subprocess.run(["env", "CUDA_VISIBLE_DEVICES=0", "python", "t.py"])',
    "exec": 'os.execvpe("python", ["python", "t.py"], {**os.environ, "CUDA_VISIBLE_DEVICES": "0"})',
    "nothing of the environment": 'subprocess.run([sys.executable, "t.py"], env={"PATH": "/bin"})',
    "accelerate's option": 'subprocess.run(["accelerate", "launch", "--gpu_ids", "0", "t.py"])',
}
NO_CHILD_FAULT = {
    "the same mask": 'subprocess.run(["t"], env={**os.environ, "CUDA_VISIBLE_DEVICES": "1"})',
    "no GPU for the child": 'subprocess.run(["t"], env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})',
    "inherited": 'subprocess.run(["python", "train.py"])',
    "another variable": 'subprocess.run(["t"], env={**os.environ, "OMP_NUM_THREADS": "1"})',
    "a tool without a GPU": 'subprocess.run(["git", "status"], env={"PATH": "/bin"})',
    "unknown": 'subprocess.run(["t"], env={**os.environ, "CUDA_VISIBLE_DEVICES": sys.argv[1]})',
    "a text about it": 'print("CUDA_VISIBLE_DEVICES=0 python train.py")',
    "torchrun for one": 'subprocess.run(["torchrun", "--nproc-per-node=1", "train.py"])',
}


@pytest.mark.parametrize("line", CHILDREN.values(), ids=CHILDREN.keys())
def test_a_child_with_another_mask(line: str, tmp_path: Path) -> None:
    files = {"run.py": "import os, subprocess, sys\n" + MASK + line + "\n"}
    assert [code for _, _, code in found(tmp_path, files)] == ["GPU207"]


@pytest.mark.parametrize("line", NO_CHILD_FAULT.values(), ids=NO_CHILD_FAULT.keys())
def test_a_child_that_is_in_order(line: str, tmp_path: Path) -> None:
    files = {"run.py": "import os, subprocess, sys\n" + MASK + line + "\n"}
    assert found(tmp_path, files) == []


FORK = (
    "import multiprocessing as mp\nimport torch\ndef work():\n    torch.zeros(1).cuda()\n"
    "torch.cuda.is_available()\n"
)


@pytest.mark.parametrize(
    ("line", "faults"),
    [
        ("mp.Process(target=work).start()", 1),
        ("mp.set_start_method('spawn')\nmp.Process(target=work).start()", 0),
        ("mp.get_context('spawn').Process(target=work).start()", 0),
        ("mp.Process(target=print).start()", 0),
    ],
)
def test_a_fork_behind_a_freeze(line: str, faults: int, tmp_path: Path) -> None:
    assert [c for _, _, c in found(tmp_path, {"run.py": FORK + line + "\n"})] == ["GPU207"] * faults


# --- changes that belong together --------------------------------------------------------------

GROUP = {
    "models.py": 'import torch\nok = torch.cuda.is_available()\nDEVICE = "cuda:1"\n'
    "def load():\n    return torch.zeros(1).to(DEVICE)\n",
    "run.py": "import os\nimport models\n" + MASK + "models.load()\n",
}


def test_mask_and_index_change_together_across_files(tmp_path: Path) -> None:
    after = fix_files(tmp_path, GROUP)
    assert after["run.py"].index("CUDA_VISIBLE") < after["run.py"].index("import models")
    assert 'DEVICE = "cuda:0"' in after["models.py"]
    assert fix_files(tmp_path, after) == after


LEFT_OUT = {
    "suppressed": (
        {"models.py": GROUP["models.py"].replace("to(DEVICE)", "to(DEVICE)  # noqa: GPU201")},
        {},
    ),
    "not selected": ({}, {"ignore": ["GPU201"]}),
    "unknown": (
        {"models.py": GROUP["models.py"].replace("zeros(1).to(DEVICE)", "cuda.Stream(input())")},
        {},
    ),
}


@pytest.mark.parametrize(("changed", "options"), LEFT_OUT.values(), ids=LEFT_OUT.keys())
def test_what_cannot_be_judged_makes_the_group_unsafe_and_is_named(
    changed: Files, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    results = check_files(tmp_path, {**GROUP, **changed}, **options)
    (late,) = [f for f in results["run.py"].findings if f.code == "GPU115"]
    assert late.fix is None or late.fix.applicability is Applicability.UNSAFE
    assert "models.py:5" in late.note


def test_under_a_policy_the_header_is_applied_and_they_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    policy = {
        "gpu": {"visible-devices": "1", "device-order": "PCI_BUS_ID"},
        "validation": {"required-in": "never"},
    }
    files = {**GROUP, **LEFT_OUT["unknown"][0]}
    files["run.py"] += GUARD
    results = check_files(tmp_path, files, policy)
    (late,) = [f for f in results["run.py"].findings if f.code == "GPU115"]
    assert late.fix is not None
    assert late.fix.applicability is Applicability.SAFE
    assert "models.py:5" in late.note


def test_nothing_changes_where_one_file_of_the_group_is_not_in_the_run(tmp_path: Path) -> None:
    paths = write_files(tmp_path, GROUP)
    chosen = [path for path in paths if path.name == "run.py"]
    run = engine_for().fix(chosen, unsafe=False, writing=Writing(Journal(tmp_path / "state")))
    assert run.troubles == []
    assert {p.name: p.read_text() for p in paths} == GROUP


def test_a_registry_that_functions_fill_is_not_empty(tmp_path: Path) -> None:
    policy = {
        "gpu": {"visible-devices": "1", "device-order": "PCI_BUS_ID"},
        "validation": {"required-in": "entry-points"},
    }
    files = {
        "registry.py": "KNOWN = []\ndef register(cls):\n    KNOWN.append(cls())\n"
        "def find(name):\n    for one in KNOWN:\n        if one.match(name):\n"
        "            return one\n    raise ValueError(name)\n"
        "class Small:\n    def match(self, name):\n        return name == 's'\nregister(Small)\n",
        "run.py": "import torch\nfrom registry import find\nMODEL = find('s')\n"
        "if __name__ == '__main__':\n    torch.zeros(1).cuda()\n",
    }
    after = fix_files(tmp_path, files, policy)
    assert after["run.py"].count("    validate_gpu()\n") == 1
    assert fix_files(tmp_path, after, policy) == after


def test_a_validator_that_nothing_would_call_is_not_put_in(tmp_path: Path) -> None:
    policy = {
        "gpu": {"visible-devices": "1", "device-order": "PCI_BUS_ID"},
        "validation": {"required-in": "entry-points"},
    }
    run = "import torch\nraise SystemExit('not yet')\nif __name__ == '__main__':\n    torch.zeros(1)\n"
    after = fix_files(tmp_path, {"run.py": run}, policy)
    assert "begin header" in after["run.py"]
    assert "validate_gpu" not in after["run.py"]
    assert fix_files(tmp_path, after, policy) == after


# --- part of a project ---------------------------------------------------------------------------


def test_a_part_of_the_files_gets_the_verdicts_of_the_whole(tmp_path: Path) -> None:
    files = {
        **GROUP,
        "pkg/__init__.py": "from .deep import READY\n",
        "pkg/deep.py": LOOKS,
        "other.py": "import os\nfrom pkg import READY\n" + MASK,
        "conf.py": "GPU = 1\n",
        "third.py": "import os\n" + MASK + "import torch, conf\ntorch.cuda.set_device(conf.GPU)\n",
    }
    paths = write_files(tmp_path, files)
    whole = {r.path: r.findings for r in engine_for().check(paths).files}
    for path in paths:
        if path.name in ("run.py", "other.py", "third.py"):
            (alone,) = engine_for().check([path]).files
            assert [(f.code, f.message, f.span) for f in alone.findings] == [
                (f.code, f.message, f.span) for f in whole[path]
            ]
            assert alone.findings


def test_a_file_that_cannot_be_read_is_no_reason_to_stop(tmp_path: Path) -> None:
    files = {"m.py": "def broken(:\n", "run.py": "import os\nimport m\nimport torch\n" + MASK}
    paths = write_files(tmp_path, files)
    (alone,) = engine_for().check([p for p in paths if p.name == "run.py"]).files
    assert [code for code, _ in codes(alone)] == ["GPU108"]


# --- gpu-lint graph ----------------------------------------------------------------------------


def graph(root: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> str:
    monkeypatch.chdir(root)
    return CliRunner().invoke(main, ["graph", *options]).output


DRAWN = {
    **GROUP,
    "env.py": "import os, sys\nos.environ['CUDA_DEVICE_ORDER'] = sys.argv[1]\n",
    "late.py": "import models\nimport env\n" + GUARD,
    "unrelated.py": "import json\n",
    "lib/unused.py": "import torch\n",
    "lib/user.py": "from lib import unused\n",
}


def test_graph_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path, DRAWN)
    text = graph(tmp_path, monkeypatch)
    assert (
        text
        == """\
late.py  (entry point)
  |- 1: imports models.py
  |    |- 1: imports torch
  |    `- 2: torch.cuda.is_available(): CUDA is initialised
  `- 2: imports env.py
       `- 2: CUDA_DEVICE_ORDER = a value that only the run knows: too late
  => CUDA is first touched by torch.cuda.is_available() (late.py -> models.py:2)
  => CUDA_VISIBLE_DEVICES is then what the parent process says

lib/user.py  (may be started)
  `- 1: imports lib/unused.py
       `- 1: imports torch
  => CUDA is not touched by anything that is shown to run

run.py  (entry point)
  |- 2: imports models.py  (shown above)
  `- 3: CUDA_VISIBLE_DEVICES = '1': too late
  => CUDA is first touched by torch.cuda.is_available() (run.py -> models.py:2)
  => CUDA_VISIBLE_DEVICES is then what the parent process says

1 file that reaches no GPU not shown (--all shows everything)
"""
    )
    assert "unrelated.py  (no entry point imports it)" in graph(tmp_path, monkeypatch, "--all")


def test_graph_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path, DRAWN)
    table = json.loads(graph(tmp_path, monkeypatch, "--format", "json"))
    assert [start["file"] for start in table["entry_points"]] == ["late.py", "run.py"]
    assert [start["file"] for start in table["may_be_started"]] == ["lib/user.py"]
    files = {node["file"]: node for node in table["files"]}
    assert files["run.py"]["imports"] == [{"file": "models.py", "row": 2}]
    (write,) = files["run.py"]["writes"]
    assert (write["value"], write["row"], write["effect"]) == ("1", 3, "too late")
    start = table["entry_points"][1]
    assert start["first_touch"]["file"] == "models.py"
    assert [step["file"] for step in start["first_touch"]["via"]] == ["run.py"]
    assert start["masks"] == [None]


def test_graph_for_graphviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path, {**DRAWN, 'od"d.py': "import torch\n"})
    text = graph(tmp_path, monkeypatch, "--format", "dot")
    assert text.startswith("digraph gpu {\n")
    assert '  "run.py" -> "models.py" [label="2"];' in text
    assert "peripheries=2, color=red" in next(x for x in text.splitlines() if '"run.py" [' in x)
    assert '"od\\"d.py" [label="od\\"d.py\\l"' in text


def test_graph_says_what_it_could_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path, {"run.py": "import torch\n"})
    (tmp_path / "bad.py").write_bytes(b"\xff\xfe\xff")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["graph"])
    assert result.exit_code == 2
    assert "gpu-lint: bad.py" in result.output
    assert "run.py  (may be started)" in result.output


@pytest.mark.parametrize(
    ("line", "write", "mask"),
    [
        (
            "os.environ.setdefault('CUDA_VISIBLE_DEVICES', '0')",
            "= '0' unless the parent process sets it: in time",
            "what the parent process says, or else '0'",
        ),
        (
            "if 'CUDA_VISIBLE_DEVICES' not in os.environ: os.environ['CUDA_VISIBLE_DEVICES'] = '0'",
            "= '0' unless the parent process sets it: in time",
            "what the parent process says, or else '0'",
        ),
        (
            "os.putenv('CUDA_VISIBLE_DEVICES', '0')",
            "= '0' by putenv(), which the driver sees and PyTorch does not: in time",
            "'0' or what the parent process says",
        ),
        (
            "os.environ.setdefault('CUDA_VISIBLE_DEVICES', input())",
            "= a value that only the run knows unless the parent process sets it: in time",
            "what the parent process says, or else a value that only the run knows",
        ),
        ("os.environ['CUDA_VISIBLE_DEVICES'] = '0'", "= '0': in time", "'0'"),
    ],
)
def test_graph_says_where_the_parent_process_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, write: str, mask: str
) -> None:
    write_files(tmp_path, {"run.py": f"import os\n{line}\nimport torch\ntorch.cuda.init()\n"})
    lines = [part.strip(" |`-=>") for part in graph(tmp_path, monkeypatch).splitlines()]
    assert f"2: CUDA_VISIBLE_DEVICES {write}" in lines
    assert f"CUDA_VISIBLE_DEVICES is then {mask}" in lines


def test_graph_as_json_tells_a_default_from_a_mask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weak = "import os\nos.environ.setdefault('CUDA_VISIBLE_DEVICES', '0')\nimport torch\n"
    write_files(tmp_path, {"run.py": f"{weak}torch.cuda.init()\n"})
    table = json.loads(graph(tmp_path, monkeypatch, "--format", "json"))
    (start,) = table["entry_points"]
    assert (start["masks"], start["default"]) == ([None], "0")
    assert table["files"][0]["writes"][0]["weak"] is True


WHISPER = "from faster_whisper import WhisperModel\n"


@pytest.mark.parametrize(
    "call",
    [
        "WhisperModel('small', device='cuda')",
        "WhisperModel('small', 'auto')",
        "WhisperModel('small', device_index=1, device='cuda')",
    ],
)
def test_graph_shows_a_call_that_is_given_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    write_files(tmp_path, {"lib.py": f"{WHISPER}m = {call}\n", "run.py": "import lib\n"})
    text = graph(tmp_path, monkeypatch)
    assert "2: faster_whisper.WhisperModel(): CUDA may be initialised" in text
    assert (
        "=> CUDA may be first touched by faster_whisper.WhisperModel() (run.py -> lib.py:2)" in text
    )
    write_files(tmp_path, {"run.py": f"{WHISPER}\n\ndef f():\n    {call}\n\n\nf()\n"})
    text = graph(tmp_path, monkeypatch)
    assert "=> CUDA may be first touched by faster_whisper.WhisperModel() (run.py:5)" in text
    start = json.loads(graph(tmp_path, monkeypatch, "--format", "json"))["entry_points"][-1]
    assert (start["first_touch"]["row"], start["surely"]) == (5, False)


@pytest.mark.parametrize(
    "program",
    [
        f"{WHISPER}WhisperModel('small', device='cpu')\n",
        "import torch\nd = torch.device('cuda:1')\n",
        "import torch\ntorch.cuda.memory_allocated(0)\n",
        f"{WHISPER}\n\ndef f():\n    WhisperModel('small', device='cuda')\n",
    ],
)
def test_graph_shows_no_touch_where_no_gpu_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    write_files(tmp_path, {"run.py": program})
    assert "CUDA is not touched by anything" in graph(tmp_path, monkeypatch)


def test_graph_names_the_measured_touch_before_a_possible_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = f"{WHISPER}import torch\ntorch.cuda.init()\nWhisperModel('s', device='cuda')\n"
    write_files(tmp_path, {"run.py": program})
    text = graph(tmp_path, monkeypatch)
    assert "CUDA is first touched by torch.cuda.init() (run.py:3)" in text
    assert "may be initialised" not in text


# --- what is handed on -----------------------------------------------------------------------

MOVES = "import torch\n\n\ndef move(model, device):\n    return model.cuda(device)\n"
HEADED = "import os\n\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'\nimport torch\n\n"
SHOWN = {"gpu": {"visible-devices": "1", "device-order": "PCI_BUS_ID"},
         "header": {"required-in": "never"}, "validation": {"required-in": "never"}}  # fmt: skip


@pytest.mark.parametrize(
    ("run", "policy"),
    [
        (f"{HEADED}from lib import move\n\nmove(torch.nn.Linear(1, 1), 1)\n", {}),
        (f"{HEADED}import lib\n\nlib.move(torch.nn.Linear(1, 1), device=1)\n", {}),
        ("import lib\n\nlib.move(None, 'cuda:1')\n", SHOWN),
        ("from lib import move\n\nmove(None, device='cuda:1')\n", SHOWN),
    ],
)
def test_a_device_is_followed_into_the_file_that_hands_it_on(
    tmp_path: Path, run: str, policy: dict[str, Any]
) -> None:
    results = found(tmp_path, {"run.py": run, "lib.py": MOVES}, policy=policy)
    assert {code for _, _, code in results} == {"GPU201"}


def test_a_program_with_a_syntax_error_ends_nothing(tmp_path: Path) -> None:
    broken = f"import lib\n\nlib.move(None, 'cuda:1')\nif (\n{GUARD}"
    files = {"run.py": broken, "lib.py": f"{MOVES}\n\nmove(None, 'cuda:1')\n"}
    results = found(tmp_path, files, policy=SHOWN)
    assert {(name, code) for name, _, code in results} == {
        ("run.py", "GPU001"),
        ("lib.py", "GPU201"),
    }


# --- devices that other files name ------------------------------------------------------------

_TO = "import torch\n\n\ndef load(d):\n    return torch.zeros(1).to(d)\n"
HANDED: dict[str, tuple[Files, str]] = {
    "a parameter of any name": (
        {"m.py": _TO, "run.py": 'from m import load\n\nload("cuda:1")\n'},
        "m.py",
    ),
    "through a third file": (
        {
            "m.py": _TO,
            "middle.py": "from m import load\n\n\ndef go(x):\n    return load(x)\n",
            "run.py": 'from middle import go\n\ngo("cuda:1")\n',
        },
        "m.py",
    ),
    "through packages": (
        {
            "p/__init__.py": "from p.a import *\n",
            "p/a/__init__.py": "from p.a.m import load\n",
            "p/a/m.py": _TO,
            "run.py": 'import p\n\np.load("cuda:1")\n',
        },
        "p/a/m.py",
    ),
    "a constant of a module": (
        {
            "conf.py": 'WHERE = "cuda:1"\n',
            "run.py": "import torch\n\nimport conf\n\ntorch.zeros(1).to(conf.WHERE)\n",
        },
        "run.py",
    ),
    "a constant that a program passes on": (
        {
            "conf.py": 'WHERE = "cuda:1"\n',
            "m.py": _TO,
            "run.py": "from conf import WHERE\nfrom m import load\n\nload(WHERE)\n",
        },
        "m.py",
    ),
    "an entry": (
        {
            "m.py": _TO.replace(".to(d)", '.to(d["where"])'),
            "run.py": 'from m import load\n\nload({"where": "cuda:1"})\n',
        },
        "m.py",
    ),
    "a default": (
        {
            "conf.py": 'WHERE = "cuda:1"\n',
            "m.py": "from conf import WHERE\n" + _TO.replace("(d):", "(d=WHERE):"),
            "run.py": "from m import load\n\nload()\n",
        },
        "m.py",
    ),
    "an attribute": (
        {
            "m.py": (
                "import torch\n\n\nclass A:\n    def __init__(self, w):\n        self.w = w\n\n"
                "    def go(self):\n        return torch.zeros(1).to(self.w)\n"
            ),
            "run.py": 'from m import A\n\nA("cuda:1").go()\n',
        },
        "m.py",
    ),
    "an attribute that another file sets": (
        {
            "m.py": (
                'import torch\n\n\nclass A:\n    w = "cpu"\n\n'
                "    def go(self):\n        return torch.zeros(1).to(self.w)\n"
            ),
            "run.py": 'from m import A\n\na = A()\na.w = "cuda:1"\na.go()\n',
        },
        "m.py",
    ),
    "a keyword": (
        {
            "m.py": _TO.replace("zeros(1).to(d)", "zeros(1, device=d)"),
            "run.py": 'from m import load\n\nload("cuda:1")\n',
        },
        "m.py",
    ),
    "what a function returns": (
        {
            "conf.py": 'def pick():\n    return "cuda:1"\n',
            "m.py": _TO,
            "run.py": "from conf import pick\nfrom m import load\n\nload(pick())\n",
        },
        "m.py",
    ),
}
_BLOCK = (
    "import os\n\n# gpu-lint: begin header\n"
    'os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n'
    'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
    "# gpu-lint: end header\n\n"
)
_GPU_1 = (
    '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\n[header]\nrequired-in = "all"\n'
)


def _of_devices(files: Files, project: Any) -> list[str]:
    """The files in which an index is found that does not exist, in the whole project."""
    root = project(files)
    finder = SettingsFinder(load_rulebook())
    run = Engine(finder).check(discover([root], finder).files)
    assert run.troubles == []
    return [
        file.path.relative_to(root).as_posix()
        for file in run.files
        for finding in file.findings
        if finding.code == "GPU201"
    ]


@pytest.mark.parametrize(("files", "where"), HANDED.values(), ids=HANDED)
@pytest.mark.parametrize("start", ["", _BLOCK, _BLOCK.replace("# gpu-lint", "# ours")])
def test_a_device_that_another_file_names_is_found_with_any_header(
    start: str, files: Files, where: str, project: Any
) -> None:
    given = {name: start + text for name, text in files.items()}
    assert _of_devices({"gpu-lint.toml": _GPU_1, **given}, project) == [where]


@pytest.mark.parametrize(("files", "where"), HANDED.values(), ids=HANDED)
def test_a_device_that_another_file_names_is_found_under_a_mask(
    files: Files, where: str, project: Any
) -> None:
    masked = {**files, "run.py": f"import os\n\n{MASK}{files['run.py']}"}
    assert _of_devices(masked, project) == [where]
    right = {name: text.replace("cuda:1", "cuda:0") for name, text in masked.items()}
    assert _of_devices(right, project) == []


LOADED = (
    "import importlib.util\nimport os\nfrom pathlib import Path\n"
    'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\nimport torch\n'
    'spec = importlib.util.spec_from_file_location("other", {})\n'
    "module = importlib.util.module_from_spec(spec)\nspec.loader.exec_module(module)\n"
    "torch.zeros(1, device=module.DEVICE)\n"
)


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("'other.py'", "other.py"),
        ("location='./other.py'", "other.py"),
        ("os.path.join(os.path.dirname(__file__), 'other.py')", "other.py"),
        ("Path(__file__).parent / 'sub' / 'other.py'", "sub/other.py"),
    ],
)
def test_a_module_that_is_loaded_by_its_path_is_run(tmp_path: Path, path: str, file: str) -> None:
    other = "import os\n\nDEVICE = 'cuda:1'\nos.environ.pop('CUDA_VISIBLE_DEVICES', None)\n"
    found = check_files(tmp_path, {"run.py": LOADED.format(path), file: other})
    assert codes(found[file]) == [("GPU118", 4)]
    right = {"run.py": LOADED.format(path), file: "DEVICE = 'cuda:0'\n"}
    assert not any(result.findings for result in check_files(tmp_path, right).values())
    wrong = {"run.py": LOADED.format(path), file: "DEVICE = 'cuda:1'\n"}
    assert codes(check_files(tmp_path, wrong)["run.py"]) == [("GPU201", 9)]


@pytest.mark.parametrize("path", ["name", "'data.json'", "'missing.py'"])
def test_a_module_at_an_unknown_path_is_not(tmp_path: Path, path: str) -> None:
    found = check_files(tmp_path, {"run.py": "name = input()\n" + LOADED.format(path)})
    assert not found["run.py"].findings


# --- numbers of devices ------------------------------------------------------------------------

ENOUGH = (
    "import torch\n\n\ndef enough(n=2):\n    count = torch.cuda.device_count()\n"
    "    return count >= n\n"
)
NEEDS_TWO: dict[str, str] = {
    "it exits": "import sys\n\nfrom aid import enough\n\nif not enough():\n    sys.exit(1)\n",
    "it raises": "import aid\n\nif not aid.enough(4):\n    raise RuntimeError\n",
    "it asserts": "from aid import enough as two\n\nassert two()\n",
    "behind the main guard": "from aid import enough\n\nif __name__ == '__main__':\n"
    "    if not enough(n=2):\n        raise SystemExit\n",
    "its tests are skipped": "import pytest\nfrom aid import enough\n\n"
    "pytestmark = pytest.mark.skipif(not enough(), reason='two')\n",
}
NEEDS_ONE: dict[str, str] = {
    "one is enough": "from aid import enough\n\nif not enough(1):\n    raise RuntimeError\n",
    "it goes on": "from aid import enough\n\nif not enough():\n    print('slow')\n",
    "it gives up with two": "from aid import enough\n\nif enough():\n    raise RuntimeError\n",
    "it is not called": "from aid import enough\n\nif not enough:\n    raise RuntimeError\n",
    "it is called where the program never comes": "from aid import enough\n\n\ndef unused():\n"
    "    if not enough(1):\n        raise RuntimeError\n",
}
USES = "import torch\n\ntorch.zeros(1).cuda()\n"
WITH_HEADER = 'import os\nos.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n' + MASK
TWO_CARDS: dict[str, Any] = {
    "gpu": {"visible-devices": "1", "device-order": "PCI_BUS_ID"},
    "header": {"required-in": "gpu-files"},
    "validation": {"required-in": "never"},
}


@pytest.mark.parametrize("header", ["", WITH_HEADER], ids=["no header", "a header"])
@pytest.mark.parametrize("name", [*NEEDS_TWO, *NEEDS_ONE])
def test_a_function_of_another_file_that_compares_the_number_of_devices(
    tmp_path: Path, name: str, header: str
) -> None:
    text = NEEDS_TWO.get(name) or NEEDS_ONE[name]
    files = {"aid.py": header + ENOUGH, "run.py": header + USES + text}
    expected = [("aid.py", header.count("\n") + 6, "GPU203")] if name in NEEDS_TWO else []
    assert [one for one in found(tmp_path, files, policy=TWO_CARDS) if one[2] == "GPU203"] == (
        expected
    )
    if not header and name != "its tests are skipped":
        fixed = fix_files(tmp_path / "fix", files, TWO_CARDS)
        assert (fixed == files) is (name in NEEDS_TWO)
