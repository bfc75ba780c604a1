"""Which files must carry a header or a validator, which are entry points, and why."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from gpu_lint.discovery import discover
from gpu_lint.engine import Engine
from gpu_lint.journal import Journal
from gpu_lint.relevance import ENTRY_POINT
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import SettingsFinder
from gpu_lint.writing import Writing
from tests.conftest import ROOT, check_files, engine_for, fix_files, run_cli, write_files

Files = dict[str, str]
HEADER = (
    "import os\n\n"
    'os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n'
    'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
)
INDENTED = HEADER.partition("\n\n")[2].replace("os.environ[", "    os.environ[")
HELPER = f"import os\n\n\ndef choose():\n{INDENTED}"
GUARD = 'if __name__ == "__main__":\n    pass\n'
MAIN = 'if __name__ == "__main__":\n    main()\n'
IN_MAIN = "def main():\n    {}\n    import torch\n    torch.zeros(1).cuda()\n\n\n" + MAIN


def policy(header: Any = "all", validation: Any = "never") -> dict[str, Any]:
    return {
        "gpu": {"visible-devices": "1", "device-order": "PCI_BUS_ID"},
        "header": {"required-in": header},
        "validation": {"required-in": validation},
    }


def with_code(root: Path, files: Files, wanted: str, asked: dict[str, Any]) -> set[str]:
    """The files in which a rule finds something."""
    found = check_files(root, files, asked)
    return {name for name, one in found.items() if wanted in {f.code for f in one.findings}}


# --- each file itself --------------------------------------------------------------------------

ITSELF: dict[str, tuple[Files, bool]] = {
    "own statements": ({"run.py": HEADER + "import torch\n"}, True),
    "own statements in the guard": (
        {
            "run.py": "import os\n\n\ndef main():\n    import torch\n    torch.cuda.init()\n\n\n"
            'if __name__ == "__main__":\n' + INDENTED + "    main()\n"
        },
        True,
    ),
    "a function of its own that is called": (
        {"run.py": HELPER + "\n\nchoose()\nimport torch\n"},
        True,
    ),
    "a function of another file that is called": (
        {"env.py": HELPER, "run.py": "from env import choose\n\nchoose()\nimport torch\n"},
        True,
    ),
    "a function behind another one": (
        {
            "env.py": HELPER,
            "more.py": "import env\n\n\ndef all_of_it():\n    env.choose()\n",
            "run.py": "import more\n\nmore.all_of_it()\nimport torch\n",
        },
        True,
    ),
    "a module that does it": ({"env.py": HEADER, "run.py": "import env\nimport torch\n"}, True),
    "a module behind another one": (
        {"env.py": HEADER, "first.py": "import env\n", "run.py": "import first\nimport torch\n"},
        True,
    ),
    "a module that does it and imports the framework": (
        {"env.py": HEADER + "import torch\n", "run.py": "import env\nimport torch\n"},
        True,
    ),
    "a module that is imported in the guard": (
        {
            "env.py": HEADER,
            "run.py": "def main():\n    import torch\n    torch.cuda.init()\n\n\n"
            'if __name__ == "__main__":\n    import env\n\n    main()\n',
        },
        True,
    ),
    "a module, in a file that others import": (
        {
            "env.py": HEADER,
            "lib.py": "import env\nimport torch\n",
            "run.py": HEADER + "import lib\n",
        },
        True,
    ),
    "an import in a function": (
        {"env.py": HEADER, "run.py": IN_MAIN.format("import env")},
        False,
    ),
    "an import in a function, by name": (
        {
            "env.py": HEADER,
            "run.py": "import importlib\n\n\n"
            + IN_MAIN.format('importlib.import_module("env")'),
        },
        False,
    ),
    "an import in a function of a module that uses a GPU, too": (
        {"env.py": HEADER + "import torch\n", "run.py": IN_MAIN.format("import env")},
        False,
    ),
    "an import in a function of another file": (
        {
            "env.py": HEADER,
            "more.py": "def choose():\n    import env\n",
            "run.py": "import more\n\nmore.choose()\nimport torch\n",
        },
        False,
    ),
    "an import in a method": (
        {
            "env.py": HEADER,
            "run.py": "class App:\n    def __init__(self):\n        import env\n        import torch\n"
            '\n\nif __name__ == "__main__":\n    App()\n',
        },
        False,
    ),
    "an import behind the framework": (
        {"env.py": HEADER, "run.py": "import torch\nimport env\n"},
        False,
    ),
    "a module that is imported on one path alone": (
        {"env.py": HEADER, "run.py": "import sys\n\nif sys.argv[1:]:\n    import env\nimport torch\n"},
        False,
    ),
    "what another program of the project does": (
        {"lib.py": "import torch\n", "run.py": HEADER + "import lib\n"},
        False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("required_in", ["all", "gpu-files"])
@pytest.mark.parametrize("name", ITSELF)
def test_each_file_must_set_the_header_itself(tmp_path: Path, name: str, required_in: str) -> None:
    files, does = ITSELF[name]
    asked = "lib.py" if "lib.py" in files else "run.py"
    found = with_code(tmp_path, files, "GPU101", policy(required_in))
    assert (asked not in found) is does


@pytest.mark.parametrize(
    "name", [name for name, (files, _) in ITSELF.items() if "lib.py" not in files]
)
def test_of_entry_points_it_is_asked_what_is_in_effect(tmp_path: Path, name: str) -> None:
    files, does = ITSELF[name]
    late = "behind the framework", "on one path alone"
    started = files["run.py"] + ("" if "__main__" in files["run.py"] else GUARD)
    found = with_code(tmp_path, {**files, "run.py": started}, "GPU101", policy("entry-points"))
    assert ("run.py" in found) is (not does and name.endswith(late))


def test_a_managed_header_that_all_others_have_counts_where_it_is_imported(tmp_path: Path) -> None:
    """Where all headers are alike no file is run for its own, but one that has none may be."""
    headed = dict.fromkeys(("a.py", "b.py", "env.py"), "import torch\n")
    asked = policy("gpu-files")
    paths = write_files(tmp_path, headed)
    engine_for(asked).fix(paths, unsafe=False, writing=Writing(Journal(tmp_path / "state")))
    files = {name: (tmp_path / name).read_text() for name in headed}
    files["direct.py"] = "import env\nimport torch\n"
    files["late.py"] = "import torch\n\n\ndef load():\n    import env\n"
    files["called.py"] = IN_MAIN.format("import env")
    assert with_code(tmp_path, files, "GPU101", asked) == {"late.py", "called.py"}


BEFORE = ROOT / "fixtures" / "superwhisper" / "before"
AFTER = ROOT / "fixtures" / "superwhisper" / "after"


@pytest.mark.parametrize(
    "migrated",
    [
        ("LLM", "LUXA_TTS", "Orchestrator", "STT", "TTS", "benchmarks", "utils"),
        ("LLM", "STT", "TTS", "validate_gpu_config.py"),
        ("tests", "test_tts_fixed.py", "test_cuda.py"),
    ],
)
def test_the_files_that_are_left_to_migrate_are_those_that_are_named(
    tmp_path: Path, migrated: tuple[str, ...]
) -> None:
    root = tmp_path / "project"
    shutil.copytree(BEFORE, root)
    left = set()
    for path in BEFORE.rglob("*.py"):
        name = path.relative_to(BEFORE)
        if name.parts[0] in migrated:
            shutil.copy(AFTER / name, root / name)
        elif name.name != "validate_gpu_config.py":  # which has a header already
            left.add(name.as_posix())
    finder = SettingsFinder(load_rulebook())
    found = Engine(finder).check(discover([root], finder).files)
    header = {"GPU101", "GPU102", "GPU103", "GPU105", "GPU107", "GPU108"}
    assert {
        one.path.relative_to(root).as_posix()
        for one in found.files
        if header & {finding.code for finding in one.findings}
    } == left


# --- entry points ------------------------------------------------------------------------------

USES = "import torch\n\n\ndef main():\n    torch.zeros(1).cuda()\n"
CONSTANTS = (
    "import torch\n\nHAS_CUDA = torch.cuda.is_available()\n"
    'DEVICE = torch.device("cuda" if HAS_CUDA else "cpu")\nCOUNT = torch.cuda.device_count()\n'
    "NAME = torch.cuda.get_device_name(0) if HAS_CUDA else None\n"
    "MEMORY = torch.cuda.get_device_properties(0).total_memory\n"
)
WORKS = {
    "a main guard": USES + "\n\n" + MAIN,
    "a call at module level": USES + "\n\nmain()\n",
    "memory of a GPU": "import torch\nx = torch.zeros(1).cuda()\n",
    "memory of a GPU, where there is one": "import torch\nx = torch.zeros(1)\n"
    'if torch.cuda.is_available():\n    x = x.to("cuda")\n',
    "a listed call of a framework": "from faster_whisper import WhisperModel\n"
    'm = WhisperModel("small", device="cuda")\n',
    "a device that is chosen": "import torch\ntorch.cuda.set_device(0)\n",
    "CUDA is initialised": "import torch\ntorch.cuda.init()\n",
}
WORKS_NOT = {
    "constants that are asked for": CONSTANTS,
    "a shebang": "#!/usr/bin/env python3\n" + USES,
    "an import": "import torch\n",
    "an import that freezes": "import torch_geometric\n",
    "a class with a default": 'import torch\n\n\ndef f(device="cuda:0"):\n    pass\n',
}
IDLE = {
    "a main guard that holds a place": USES + "\n\n" + GUARD,
    "a main guard that chooses how to import": "import torch\n\n"
    'if __name__ == "__main__":\n    from part import *\nelse:\n    from .part import *\n\n\n'
    "def main():\n    torch.zeros(1).cuda()\n",
}
"""Modules that others import, and that are not meant to be started."""
STARTED = {
    "a main guard that imports what works": USES
    + '\n\nif __name__ == "__main__":\n    import b\n\n    b.a.main()\n',
    "two main guards": IDLE["a main guard that chooses how to import"] + "\n\n" + MAIN,
    "a main guard that works, or else imports": USES
    + '\n\nif __name__ == "__main__":\n    main()\nelse:\n    import b\n',
}
NO_GPU = {
    "convert.py": "import csv\nimport sys\n\n\ndef main():\n    print(list(csv.reader(sys.stdin)))\n"
    "\n\n" + MAIN,
    "setup.py": "from setuptools import setup\n\nif __name__ == '__main__':\n    setup(name='x')\n",
    "install.py": "import subprocess\nimport sys\n\n\ndef main():\n    subprocess.run([sys.executable,"
    ' "-m", "pip", "install", "torch"])\n\n\n' + MAIN,
    "server.py": "from fastapi import FastAPI\nimport uvicorn\n\napp = FastAPI()\n\n"
    'if __name__ == "__main__":\n    uvicorn.run(app)\n',
    "mcp_server.py": "from mcp.server.fastmcp import FastMCP\n\nmcp = FastMCP('x')\n\n"
    'if __name__ == "__main__":\n    mcp.run()\n',
    "tool.py": "import click\n\n\n@click.command()\ndef main():\n    print('cuda:1')\n\n\n" + MAIN,
    "docs/conf.py": "project = 'x'\nextensions = []\n",
}
TOOLS = {
    "setup.py": "import torch\nfrom setuptools import setup\nfrom torch.utils.cpp_extension import "
    "CUDAExtension\n\ntorch.zeros(1).cuda()\nsetup(ext_modules=[CUDAExtension('a', ['a.cu'])])\n",
    "docs/conf.py": "import torch\n\nextensions = ['sphinx.ext.autodoc']\n\n" + MAIN.replace("main()", "pass"),
    "hubconf.py": "import torch\n\ndependencies = ['torch']\n\n\ndef net():\n    return 1\n",
}  # fmt: skip


@pytest.mark.parametrize("name", [*WORKS, *WORKS_NOT])
def test_what_is_started_and_works_with_a_gpu_is_an_entry_point(tmp_path: Path, name: str) -> None:
    text = WORKS.get(name) or WORKS_NOT[name]
    asked = policy("entry-points", "entry-points")
    for code in ("GPU101", "GPU301"):
        found = with_code(tmp_path, {"a.py": text}, code, asked)
        assert found == ({"a.py"} if name in WORKS else set()), code


@pytest.mark.parametrize("name", [name for name in WORKS if "guard" not in name])
def test_a_module_that_others_import_is_none_by_what_it_does(tmp_path: Path, name: str) -> None:
    files = {"a.py": WORKS[name], "b.py": "import a\n" + MAIN.replace("main()", "pass")}
    assert with_code(tmp_path, files, "GPU301", policy("never", "entry-points")) == {"b.py"}


@pytest.mark.parametrize("name", [*IDLE, *STARTED])
def test_a_module_that_others_import_is_one_if_its_guard_starts_something(
    tmp_path: Path, name: str
) -> None:
    files = {"a.py": IDLE.get(name) or STARTED[name], "b.py": "import a\n"}
    found = with_code(tmp_path, files, "GPU301", policy("never", "entry-points"))
    assert found == (set() if name in IDLE else {"a.py"})
    assert with_code(tmp_path, {"a.py": files["a.py"]}, "GPU301", policy("never", "entry-points"))


def test_a_main_module_is_one(tmp_path: Path) -> None:
    files = {"pkg/__init__.py": "", "pkg/__main__.py": "from . import app\n", "pkg/app.py": USES}
    asked = policy("never", "entry-points")
    assert with_code(tmp_path, files, "GPU301", asked) == {"pkg/__main__.py"}


@pytest.mark.parametrize("required_in", ["gpu-files", "entry-points", "never"])
def test_files_that_reach_no_gpu_and_those_for_tools_stay_as_they_are(
    tmp_path: Path, required_in: str
) -> None:
    for files in (NO_GPU, TOOLS):
        assert fix_files(tmp_path, files, policy(required_in, "entry-points")) == files
        assert fix_files(tmp_path, files, policy(required_in, "gpu-files")) == files


@pytest.mark.parametrize("required_in", ["all", ["*.py"]])
def test_where_all_files_are_named_they_get_the_header_alone(
    tmp_path: Path, required_in: str | list[str]
) -> None:
    for files in (NO_GPU, TOOLS):
        after = fix_files(tmp_path, files, policy(required_in, required_in))
        for name, text in after.items():
            assert text.count('os.environ["CUDA_VISIBLE_DEVICES"] = "1"') == 1, name
            assert "validate_gpu" not in text, name
            assert text.count("import torch") == files[name].count("import torch"), name
        assert fix_files(tmp_path, after, policy(required_in, required_in)) == after


def test_what_only_looks_like_a_file_for_a_tool_is_none(tmp_path: Path) -> None:
    files = {
        "setup.py": USES + "\n\n" + MAIN,
        "conf.py": "import torch\nbatch_size = 1\n" + MAIN.replace("main()", "pass"),
    }
    assert with_code(tmp_path, files, "GPU301", policy("never", "entry-points")) == set(files)


def test_a_file_for_a_tool_that_the_configuration_names_is_one(tmp_path: Path) -> None:
    asked = {**policy("never", "entry-points"), "entry-points": ["setup.py"]}
    assert with_code(tmp_path, TOOLS, "GPU301", asked) == {"setup.py"}


# --- commands ----------------------------------------------------------------------------------

DECLARED: dict[str, Files] = {
    "project.scripts": {"pyproject.toml": '[project.scripts]\nx = "pkg.cli:main"\n'},
    "project.gui-scripts": {"pyproject.toml": '[project.gui-scripts]\nx = "pkg.cli:main"\n'},
    "with an extra": {"pyproject.toml": '[project.scripts]\nx = "pkg.cli:main [gpu]"\n'},
    "poetry": {"pyproject.toml": '[tool.poetry.scripts]\nx = "pkg.cli:main"\n'},
    "poetry, a table": {
        "pyproject.toml": '[tool.poetry.scripts]\nx = {reference = "pkg.cli:main", type = "console"}\n'
    },
    "setup.cfg": {
        "setup.cfg": "[options.entry_points]\nconsole_scripts =\n    # it\n    x = pkg.cli:main\n"
    },
    "setup.cfg, a colon": {
        "setup.cfg": "[metadata]\nname: x\n[options.entry_points]\nconsole-scripts:\n  x=pkg.cli:main\n"
    },
    "setup.cfg, gui": {"setup.cfg": "[options.entry_points]\ngui_scripts = x = pkg.cli:main\n"},
    "setup.py": {
        "setup.py": "from setuptools import setup\nsetup(\n    entry_points={\n"
        "        'console_scripts': ['x=pkg.cli:main'],\n    },\n)\n"
    },
    "setup.py, one text": {
        "setup.py": "from setuptools import setup\nsetup(entry_points='''\n    [console_scripts]\n"
        "    x = pkg.cli:main\n    [other]\n    y = pkg:z\n    ''')\n"
    },
    "setup.py, a name": {
        "setup.py": "from setuptools import setup\nPOINTS = {'gui_scripts': ('x = pkg.cli:main',)}\n"
        "setup(entry_points=POINTS)\n"
    },
    "above": {"pyproject.toml": "", "setup.cfg": "[options.entry_points]\nconsole_scripts = x = pkg.cli:main\n"},
}  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository, which is the current directory."""
    write_files(tmp_path, {".git/HEAD": ""})
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("root", ["", "src", "sub", "sub/src"])
@pytest.mark.parametrize("name", DECLARED)
def test_the_function_of_a_command_must_call_the_validator(
    here: Path, name: str, root: str
) -> None:
    top = root.removesuffix("src").strip("/")
    declared = {f"{top}/{file}".lstrip("/"): text for file, text in DECLARED[name].items()}
    write_files(here, declared)
    files = {f"{root}/pkg/{file}".lstrip("/"): text for file, text in
             {"__init__.py": "", "cli.py": USES, "other.py": USES}.items()}  # fmt: skip
    asked = policy("entry-points", "entry-points")
    cli = f"{root}/pkg/cli.py".lstrip("/")
    for code in ("GPU101", "GPU301"):
        assert with_code(here, files, code, asked) == {cli}, code
    after = fix_files(here, files, asked)
    assert [file for file in files if after[file] != files[file]] == [cli]
    assert "def main():\n    validate_gpu()\n    torch.zeros(1).cuda()\n" in after[cli]
    assert not check_files(here, after, asked)[cli].findings


PLACED: dict[str, tuple[str, str]] = {
    "behind the docstring": (
        'import torch\n\n\ndef main():\n    """It."""\n\n    torch.zeros(1).cuda()\n',
        '    """It."""\n    validate_gpu()\n\n    torch.',
    ),
    "behind the options": (
        "import argparse\n\nimport torch\n\n\ndef main():\n    p = argparse.ArgumentParser()\n"
        "    args = p.parse_args()\n    # use it\n    torch.zeros(args.n).cuda()\n",
        "    args = p.parse_args()\n    validate_gpu()\n    # use it\n",
    ),
    "behind the options, on several lines": (
        "import argparse\n\nimport torch\n\n\ndef main():\n    p = argparse.ArgumentParser()\n"
        "    args, _ = p.parse_known_args(\n        None\n    )\n    torch.zeros(args.n).cuda()\n",
        "        None\n    )\n    validate_gpu()\n    torch.",
    ),
    "above a comment": (
        "import torch\n\n\ndef main():\n    # use it\n    torch.zeros(1).cuda()\n",
        "def main():\n    validate_gpu()\n    # use it\n",
    ),
    "below decorators": (
        "import click\nimport torch\n\n\n@click.command()\n@click.option('-n')\ndef main(n):\n"
        "    torch.zeros(n).cuda()\n",
        "def main(n):\n    validate_gpu()\n    torch.",
    ),
    "tabs": (
        "import torch\n\n\ndef main():\n\ttorch.zeros(1).cuda()\n",
        "def main():\n\tvalidate_gpu()\n\ttorch.",
    ),
    "in the function alone, where the guard calls it": (
        USES + "\n\n" + MAIN,
        '\n\n\nif __name__ == "__main__":\n    main()\n',
    ),
    "in both, where the guard does not": (
        USES + '\n\nif __name__ == "__main__":\n    print(1)\n',
        'if __name__ == "__main__":\n    validate_gpu()\n    print(1)\n',
    ),
}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("name", PLACED)
def test_where_the_call_stands(here: Path, name: str, newline: str) -> None:
    text, wanted = PLACED[name]
    write_files(here, {"pyproject.toml": '[project.scripts]\nx = "cli:main"\n'})
    path = here / "cli.py"
    path.write_bytes(text.replace("\n", newline).encode())
    engine = engine_for(policy("never", "entry-points"))
    engine.fix([path], unsafe=True, writing=Writing(Journal(here.parent / "state")))
    after = path.read_bytes().decode()
    assert after.count(newline) == after.count("\n")
    after = after.replace("\r\n", "\n")
    assert wanted in after
    assert after.count("    validate_gpu()\n") + after.count("\tvalidate_gpu()\n") == (
        2 if name.startswith("in both") else 1
    )
    ran = engine.fix([path], unsafe=True, writing=Writing(Journal(here.parent / "state")))
    assert not any(one.changed for one in ran.fixed)


@pytest.mark.parametrize(
    "function",
    [
        "def main(): torch.zeros(1).cuda()\n",
        "def main(): 'It.'; torch.zeros(1).cuda()\n",
        'def main():\n    """It."""\n',
        "def main():\n    return p.parse_args()\n",
    ],
)
def test_where_nothing_stands_below_no_call_is_put_in(here: Path, function: str) -> None:
    write_files(here, {"pyproject.toml": '[project.scripts]\nx = "cli:main"\n'})
    files = {"cli.py": f"import torch\n\n\n{function}"}
    (found,) = check_files(here, files, policy("never", "entry-points"))["cli.py"].findings
    assert (found.code, found.fix) == ("GPU301", None)


VALIDATOR = "def validate_gpu():\n    raise RuntimeError\n\n\n"
CALLED: dict[str, tuple[str, list[str]]] = {
    "by the function": ("import torch\n\n\n" + VALIDATOR + "def main():\n    validate_gpu()\n", []),
    "by one that it calls": (
        "import torch\n\n\n" + VALIDATOR + "def run():\n    validate_gpu()\n\n\ndef main():\n    run()\n",
        [],
    ),
    "imported": (
        "import torch\nfrom lib import validate_gpu\n\n\ndef main():\n    validate_gpu()\n",
        [],
    ),
    "when it is imported": ("import torch\n\n\n" + VALIDATOR + "validate_gpu()\n\n\ndef main():\n    pass\n", []),
    "by one that something else is given to call": (
        "import fire\nimport torch\n\n\n" + VALIDATOR + "def main():\n    validate_gpu()\n\n\n"
        'if __name__ == "__main__":\n    fire.Fire(main)\n',
        [],
    ),
    "by a function that is called when it is imported": (
        "import torch\n\n\n" + VALIDATOR + "def first():\n    validate_gpu()\n\n\nfirst()\n\n\n"
        "def main():\n    pass\n",
        [],
    ),
    "by another function that the guard calls": (
        "import torch\n\n\n" + VALIDATOR + "def other():\n    validate_gpu()\n\n\n"
        "def main():\n    pass\n\n\n" + 'if __name__ == "__main__":\n    other()\n',
        ["an installed command calls main(), which never calls validate_gpu()"],
    ),
    "by nothing": (
        "import torch\n\n\n" + VALIDATOR + "def main():\n    pass\n",
        ["validate_gpu() is here, but nothing calls it"],
    ),
    "behind the guard alone": (
        "import torch\n\n\n" + VALIDATOR + "def main():\n    pass\n\n\n"
        'if __name__ == "__main__":\n    validate_gpu()\n    main()\n',
        ["an installed command calls main(), which never calls validate_gpu()"],
    ),
    "by the function alone": (
        "import torch\n\n\n" + VALIDATOR + "def main():\n    validate_gpu()\n\n\n"
        'if __name__ == "__main__":\n    print(1)\n',
        ["what stands here never calls validate_gpu()"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLED)
def test_a_validator_counts_where_each_way_in_calls_it(here: Path, name: str) -> None:
    text, wanted = CALLED[name]
    write_files(here, {"pyproject.toml": '[project.scripts]\nx = "cli:main"\n'})
    files = {"cli.py": text, "lib.py": VALIDATOR}
    asked = policy("never", "entry-points")
    found = check_files(here, files, asked)["cli.py"].findings
    assert [one.message for one in found if one.code in ("GPU301", "GPU302")] == wanted
    after = fix_files(here, files, asked, unsafe=True)
    call = "validate_gpu()\n"
    assert after["cli.py"].count(call) == text.count(call) + len(wanted)
    again = check_files(here, after, asked)["cli.py"].findings
    assert not [one for one in again if one.code in ("GPU301", "GPU302")]


@pytest.mark.parametrize(
    "declared",
    [
        {"setup.cfg": "[options]\npackage_dir =\n    = lib\n[options.entry_points]\ngui_scripts=x=cli:main\n"},
        {"setup.py": "setup(package_dir={'': 'lib'}, entry_points={'console_scripts': 'x=cli:main'})\n"},
        {"pyproject.toml": '[project.scripts]\nx = "cli:main"\n[tool.setuptools.package-dir]\n"" = "lib"\n'},
        {"pyproject.toml": '[tool.poetry]\npackages = [{include = "cli.py", from = "lib"}]\n'
         '[tool.poetry.scripts]\nx = "cli:main"\n'},
    ],
)  # fmt: skip
def test_modules_are_where_the_project_says(here: Path, declared: Files) -> None:
    write_files(here, declared)
    asked = policy("never", "entry-points")
    assert with_code(here, {"lib/cli.py": USES, "other/cli.py": USES}, "GPU301", asked) == {
        "lib/cli.py"
    }


def test_a_command_is_followed_to_where_its_function_is_defined(here: Path) -> None:
    write_files(here, {"pyproject.toml": '[project.scripts]\nx = "pkg:run"\n'})
    files = {
        "pkg/__init__.py": "from pkg.app import main as run\n",
        "pkg/app.py": "from .real import main\n",
        "pkg/real.py": USES,
    }
    after = fix_files(here, files, policy("never", "entry-points"))
    assert [name for name in files if after[name] != files[name]] == ["pkg/real.py"]
    assert "def main():\n    validate_gpu()\n" in after["pkg/real.py"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", "[project.scripts\n"),
        ("pyproject.toml", "project = 1\ntool = []\n"),
        ("pyproject.toml", '[project]\nscripts = ["pkg.cli:main"]\n'),
        ("pyproject.toml", '[project.scripts]\nx = 1\ny = "pkg.cli main"\nz = "../pkg/cli:main"\n'),
        ("pyproject.toml", '[project.scripts]\nx = "no.such:main"\n'),
        ("setup.cfg", "[options.entry_points\nconsole_scripts = x = pkg.cli:main\n"),
        ("setup.cfg", "[metadata]\nname = x\n"),
        ("setup.cfg", "[options.entry_points]\nother =\n    x = pkg.cli:main\n"),
        ("setup.py", "def (\n"),
        ("setup.py", "raise SystemExit\nfrom setuptools import setup\nsetup(entry_points=find())\n"),
        ("setup.py", "(" * 100_000),
        ("setup.cfg", "[options]\na" + " " * 400_000 + "b\n"),
        ("pyproject.toml", f'[project.scripts]\nx = "a{" " * 400_000}b"\n'),
    ],
)  # fmt: skip
def test_what_declares_no_command_says_nothing(here: Path, name: str, text: str) -> None:
    write_files(here, {name: text})
    files = {"pkg/__init__.py": "", "pkg/cli.py": USES}
    assert with_code(here, files, "GPU301", policy("never", "entry-points")) == set()


def test_setup_py_is_read_and_never_run(here: Path) -> None:
    text = DECLARED["setup.py"]["setup.py"]
    write_files(here, {"setup.py": "open('ran', 'w').close()\n" + text})
    files = {"pkg/__init__.py": "", "pkg/cli.py": USES}
    asked = policy("never", "entry-points")
    assert with_code(here, files, "GPU301", asked) == {"pkg/cli.py"}
    assert not (here / "ran").exists()


@pytest.mark.skipif(os.name == "nt", reason="links and pipes are those of Unix")
def test_what_is_no_file_of_the_tree_declares_nothing(here: Path) -> None:
    outside = here.parent / "outside.toml"
    outside.write_text('[project.scripts]\nx = "pkg.cli:main"\n')
    (here / "pyproject.toml").symlink_to(outside)
    os.mkfifo(here / "setup.cfg")
    (here / "setup.py").mkdir()
    files = {"pkg/__init__.py": "", "pkg/cli.py": USES}
    assert with_code(here, files, "GPU301", policy("never", "entry-points")) == set()


def test_a_command_that_is_declared_later_is_seen_with_a_cache(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_files(here, {
        "gpu-lint.toml": '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\n',
        "pkg/__init__.py": "", "pkg/cli.py": USES, "run.py": "from pkg import cli\n",
    })  # fmt: skip
    assert run_cli("check", "--cache-dir", str(here / "cache")).exit_code == 0
    write_files(here, {"setup.cfg": DECLARED["setup.cfg"]["setup.cfg"]})
    done = run_cli("check", "--cache-dir", str(here / "cache"), "--output-format", "concise")
    assert "pkg/cli.py:4:1: GPU301" in done.stdout


# --- gpu-lint graph --why ----------------------------------------------------------------------

TOLD: dict[str, dict[str, str]] = {
    "cli.py": {
        "may be started": "yes, the command `x` calls its main() (pyproject.toml)",
        "entry point": "yes, the command `x` calls its main() (pyproject.toml)",
        "GPU file": "yes, it imports lib/models.py, which imports torch",
        "header": "required, header.required-in = 'gpu-files' (gpu-lint.toml:6); "
        "the file must set the variables itself",
        "validation": "required, validation.required-in = 'entry-points' (the default)",
    },
    "lib/models.py": {
        "may be started": "no, cli.py imports it, and it has no main guard",
        "entry point": "no, cli.py imports it, and it has no main guard",
        "GPU file": "yes, it imports torch",
        "run": "no, its text alone tells all that rules ask of it",
        "validation": "not required, validation.required-in = 'entry-points' (the default)",
    },
    "convert.py": {
        "may be started": "yes, it has a main guard",
        "entry point": "no, it has a main guard, but it reaches no GPU framework",
        "GPU file": "no, neither it nor what it imports uses a framework that the rules know",
        "header": "not required, header.required-in = 'gpu-files' (gpu-lint.toml:6)",
    },
    "setup.py": {
        "entry point": "no, setuptools runs it for its own purposes",
        "GPU file": "no, setuptools runs it for its own purposes",
        "run": "yes, it may do something with a GPU or with a variable that decides about GPUs",
    },
    "script.py": {
        "may be started": "yes, nothing imports it",
        "entry point": "yes, nothing imports it, and it calls cuda",
    },
    "constants.py": {
        "may be started": "yes, nothing imports it",
        "entry point": "no, it has no main guard, and works with no GPU when it is run",
    },
    "test_it.py": {"may be started": "no, tests are imported, and it has no main guard"},
    "named/one.py": {"entry point": "yes, `entry-points` names it"},
    "free/a.py": {
        "read": "no, no rule can find anything in it",
        "run": "no, its text alone tells all that rules ask of it",
        "header": "not required, no policy is in force for it",
        "validation": "not required, no policy is in force for it",
    },
    "all/a.py": {
        "header": "required, header.required-in = 'all' (all/gpu-lint.toml:5); "
        "the file must set the variables itself",
        "validation": "not required, it reaches no GPU; validation.required-in = 'a.py, b/**' "
        "(all/gpu-lint.toml:7)",
    },
}
GPU = '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\n[header]\nrequired-in = '
WHY: Files = {
    "gpu-lint.toml": 'entry-points = ["named/*"]\n' + GPU
    + '"gpu-files"\n',
    "pyproject.toml": '[project.scripts]\nx = "cli:main"\n',
    "cli.py": "from lib import models\n\n\ndef main():\n    models.f()\n",
    "lib/models.py": "import torch\n\n\ndef f():\n    torch.zeros(1).cuda()\n",
    "script.py": WORKS["memory of a GPU"],
    "constants.py": CONSTANTS,
    "convert.py": NO_GPU["convert.py"],
    "setup.py": TOOLS["setup.py"],
    "test_it.py": "import torch\n",
    "named/one.py": "import torch\n",
    "free/gpu-lint.toml": "exclude = []\n",
    "free/a.py": "x = 1\n",
    "all/gpu-lint.toml": GPU + '"all"\n[validation]\nrequired-in = ["a.py", "b/**"]\n',
    "all/a.py": "x = 1\n",
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_graph_says_why(here: Path, name: str) -> None:
    write_files(here, WHY)
    done = run_cli("graph", "--why", name)
    assert done.exit_code == 0
    first, *lines = done.stdout.splitlines()
    answers = dict(line.strip().split(": ", 1) for line in lines)
    assert first == name
    assert list(answers) == [
        "may be started", "entry point", "GPU file", "read", "run", "header", "validation",
    ]  # fmt: skip
    told = {question: answers[question].strip() for question in TOLD[name]}
    assert {q: a.replace(os.sep, "/") for q, a in told.items()} == TOLD[name]


def test_graph_says_why_as_json(here: Path) -> None:
    write_files(here, WHY)
    table = json.loads(run_cli("graph", "--why", "cli.py", "--format", "json").stdout)
    assert table["file"] == "cli.py"
    assert table["entry_point"] == TOLD["cli.py"]["entry point"]
    assert set(table) == {
        "file", "may_be_started", "entry_point", "gpu_file", "read", "run", "header", "validation",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--why", "nope.py"], "nope.py does not exist"),
        (["--why", "free"], "free is a directory; --why takes one file"),
        (["--why", "pyproject.toml"], "pyproject.toml is not Python"),
        (["--why", "bad.py"], "bad.py syntax error"),
        (["--why", "cli.py", "--format", "dot"], "--format text or --format json"),
    ],
)
def test_what_cannot_be_told_of_a_file_is_one_line(
    here: Path, arguments: list[str], said: str
) -> None:
    write_files(here, {**WHY, "bad.py": "def (\n"})
    done = run_cli("graph", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_init_says_what_an_entry_point_is(here: Path) -> None:
    assert run_cli("init", "--visible-devices", "1").exit_code == 0
    text = " ".join((here / "gpu-lint.toml").read_text("utf-8").replace("\n# ", " ").split())
    assert " ".join(ENTRY_POINT) in text
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    for word in ("a main guard", "`__main__.py`", "`entry-points` names"):
        assert word in readme


LIBRARY = "import torch\n\n\nclass Trainer:\n    def train(self):\n        main()\n\n\n" + (
    "def main():\n    torch.nn.Linear(1, 1).cuda()\n\n\ndef name():\n    return 'x'\n"
)
SERVED = {
    "a call of another module": "import lib\n\nlib.main()\n",
    "a call of an imported name": "from lib import main\n\nmain()\n",
    "a method of an object": "from lib import Trainer\n\nt = Trainer()\nt.train()\n",
    "a Flask app": "from flask import Flask\nimport lib\n\napp = Flask(__name__)\n",
    "a FastAPI app": "import fastapi\nimport lib\n\napp: fastapi.FastAPI = fastapi.FastAPI()\n",
}
NOT_SERVED = {
    "a call that asks for a name": "import lib\n\nprint(lib.name())\n",
    "a call that does nothing with a GPU": "import lib\n\nlib.name()\n",
    "an app without a GPU": "from flask import Flask\n\napp = Flask(__name__)\n",
    "an app that another file imports": "import lib\nfrom flask import Flask\n\napp = Flask('x')\n",
    "a class of that name": "import lib\n\n\nclass App(Flask):\n    pass\n",
}


@pytest.mark.parametrize("program", SERVED.values(), ids=SERVED.keys())
def test_what_is_started_without_a_guard(program: str, tmp_path: Path) -> None:
    found = check_files(tmp_path, {"run.py": program, "lib.py": LIBRARY}, policy("entry-points"))
    assert "GPU101" in {finding.code for finding in found["run.py"].findings}
    assert not found["lib.py"].findings


@pytest.mark.parametrize("program", NOT_SERVED.values(), ids=NOT_SERVED.keys())
def test_what_only_looks_like_a_start(program: str, tmp_path: Path) -> None:
    user = "import run\n\nprint(run.__name__)\n"
    files = {"run.py": program, "lib.py": LIBRARY, "user.py": user}
    assert not check_files(tmp_path, files, policy("entry-points"))["run.py"].findings
