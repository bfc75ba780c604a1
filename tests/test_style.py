"""The header in one module that files import: ``header.style = "module:pkg.gpu_policy"``."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from gpu_lint.cli import fix as fix_command
from gpu_lint.cli import main
from tests.conftest import run_cli
from tests.fakecuda import run_program
from tests.test_programrun import Apart, found_by

LINE = "import {}  # noqa: F401  # isort: skip\n"
IMPORT = LINE.format("gpu_policy")
IMPORT_PKG = LINE.format("pkg.gpu_policy")
DOC = '"""Choose the GPU; import this module before anything that may use one."""\n\n'
BLOCK = (
    "# gpu-lint: begin header\n"
    'os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n'
    'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
    'os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "max_split_size_mb:512"\n'
    "# gpu-lint: end header\n"
)
MODULE = f"{DOC}import os\n\n{BLOCK}"
SCRIPT = 'import torch\n\nif __name__ == "__main__":\n    torch.zeros(1).cuda()\n'
LIBRARY = "import torch\n\n\ndef load():\n    return torch.zeros(1).cuda()\n"
HEADER_CODES = {"GPU101", "GPU103", "GPU105", "GPU107", "GPU108", "GPU115", "GPU116"}


def policy(style: str = "module:gpu_policy", where: str = "gpu-files", mask: str = "1") -> str:
    return (
        f'[gpu]\nvisible-devices = "{mask}"\ndevice-order = "PCI_BUS_ID"\n'
        'alloc-conf = "max_split_size_mb:512"\n'
        f'[header]\nstyle = "{style}"\nrequired-in = "{where}"\n[validation]\nrequired-in = "never"\n'
    )


@dataclass
class Tree:
    """A project on disk, which is the current directory."""

    root: Path

    def write(self, files: dict[str, str | bytes]) -> None:
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    @property
    def files(self) -> dict[str, str]:
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes().decode()
            for path in sorted(self.root.rglob("*.py"))
        }

    def found(self, *arguments: str) -> list[tuple[str, str, int]]:
        """(file, code, line) of every finding."""
        done = run_cli("check", "--no-cache", "--output-format", "json", *arguments)
        assert done.exit_code in (0, 1), done.stderr
        return [
            (os.path.relpath(one["filename"], self.root).replace(os.sep, "/"), one["code"], row)
            for one in json.loads(done.stdout)
            if (row := one["location"]["row"])
        ]

    def fix(self, *arguments: str) -> str:
        """What is printed."""
        done = run_cli("fix", "--no-cache", "-j", "1", *arguments)
        assert "internal error" not in done.stderr, done.stderr
        assert "Traceback" not in done.output
        return done.output


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    monkeypatch.chdir(tmp_path)
    return Tree(tmp_path)


@dataclass(frozen=True)
class Case:
    """A project, and what a fix makes of it; what is not named stays as it is."""

    before: dict[str, str]
    after: dict[str, str]
    style: str = "module:gpu_policy"
    where: str = "gpu-files"
    other: dict[str, str] = field(default_factory=dict)
    """Files that are not Python."""


FIXED: dict[str, Case] = {
    "a script": Case(
        {"run.py": SCRIPT}, {"run.py": f"{IMPORT}\n{SCRIPT}", "gpu_policy.py": MODULE}
    ),
    "two scripts, one module": Case(
        {"a.py": SCRIPT, "b.py": f"import sys\n{SCRIPT}"},
        {
            "a.py": f"{IMPORT}\n{SCRIPT}",
            "b.py": f"import sys\n\n{IMPORT}\n{SCRIPT}",
            "gpu_policy.py": MODULE,
        },
    ),
    "scripts beside each other in a folder": Case(
        {"scripts/a.py": SCRIPT, "scripts/b.py": SCRIPT},
        {
            "scripts/a.py": f"{IMPORT}\n{SCRIPT}",
            "scripts/b.py": f"{IMPORT}\n{SCRIPT}",
            "scripts/gpu_policy.py": MODULE,
        },
    ),
    "a package in a flat layout": Case(
        {
            "pkg/__init__.py": "",
            "pkg/model.py": LIBRARY,
            "train.py": "from pkg.model import load\n\nload()\n",
        },
        {
            "pkg/model.py": f"{IMPORT_PKG}\n{LIBRARY}",
            "train.py": f"{IMPORT_PKG}\nfrom pkg.model import load\n\nload()\n",
            "pkg/gpu_policy.py": MODULE,
        },
        "module:pkg.gpu_policy",
    ),
    "a src layout, whose tests and scripts import the package": Case(
        {
            "src/pkg/__init__.py": "",
            "src/pkg/model.py": f"from . import config\n{LIBRARY}",
            "src/pkg/config.py": "SIZE = 1\n",
            "scripts/train.py": "from pkg.model import load\n\nload()\n",
        },
        {
            "src/pkg/model.py": f"{IMPORT_PKG}\nfrom . import config\n{LIBRARY}",
            "scripts/train.py": f"{IMPORT_PKG}\nfrom pkg.model import load\n\nload()\n",
            "src/pkg/gpu_policy.py": MODULE,
        },
        "module:pkg.gpu_policy",
        other={"pyproject.toml": '[project]\nname = "pkg"\n'},
    ),
    "a console script in a package": Case(
        {"src/pkg/__init__.py": "", "src/pkg/cli.py": f"{LIBRARY}\n\ndef main():\n    load()\n"},
        {
            "src/pkg/cli.py": f"{IMPORT_PKG}\n{LIBRARY}\n\ndef main():\n    load()\n",
            "src/pkg/gpu_policy.py": MODULE,
        },
        "module:pkg.gpu_policy",
        "entry-points",
        {"pyproject.toml": '[project]\nname = "p"\n[project.scripts]\np = "pkg.cli:main"\n'},
    ),
    "a package that loads a framework, which gets the import, too": Case(
        {
            "pkg/__init__.py": "from pkg.model import load\n",
            "pkg/model.py": LIBRARY,
            "train.py": "from pkg import load\n\nload()\n",
        },
        {
            "pkg/__init__.py": f"{IMPORT_PKG}\nfrom pkg.model import load\n",
            "pkg/model.py": f"{IMPORT_PKG}\n{LIBRARY}",
            "train.py": f"{IMPORT_PKG}\nfrom pkg import load\n\nload()\n",
            "pkg/gpu_policy.py": MODULE,
        },
        "module:pkg.gpu_policy",
    ),
    "a module that others import from above its folder": Case(
        {"lib/model.py": LIBRARY, "train.py": "from lib.model import load\n\nload()\n"},
        {
            "lib/model.py": f"{IMPORT}\n{LIBRARY}",
            "train.py": f"{IMPORT}\nfrom lib.model import load\n\nload()\n",
            "gpu_policy.py": MODULE,
        },
    ),
    "a docstring, a future import, a coding line": Case(
        {
            "run.py": "#!/usr/bin/env python3\n# -*- coding: utf-8 -*-\n"
            '"""Runs."""\n\nfrom __future__ import annotations\n\n' + SCRIPT
        },
        {
            "run.py": "#!/usr/bin/env python3\n# -*- coding: utf-8 -*-\n"
            f'"""Runs."""\n\nfrom __future__ import annotations\n\n{IMPORT}\n' + SCRIPT,
            "gpu_policy.py": MODULE,
        },
    ),
    "a header of its own that is wrong is replaced; its comment and `import os` that is used stay": Case(
        {
            "run.py": "import os\n\n# the big card\n"
            'os.environ["CUDA_VISIBLE_DEVICES"] = "0"\n'
            "import torch\n\nprint(os.getcwd(), torch.zeros(1).cuda())\n"
        },
        {
            "run.py": f"import os\n\n# the big card\n{IMPORT}\n"
            "import torch\n\nprint(os.getcwd(), torch.zeros(1).cuda())\n",
            "gpu_policy.py": MODULE,
        },
    ),
    "an `import os` that only the header used goes with it": Case(
        {"run.py": f'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = "0"\n{SCRIPT}'},
        {"run.py": f"{IMPORT}\n{SCRIPT}", "gpu_policy.py": MODULE},
    ),
    "a managed header with the policy's values is accepted": Case(
        {"run.py": f"import os\n\n{BLOCK}\n{SCRIPT}"}, {}
    ),
    "a module that is there is imported, not written": Case(
        {"run.py": SCRIPT, "gpu_policy.py": f"import os\n\n{BLOCK}\n\ndef check():\n    pass\n"},
        {"run.py": f"{IMPORT}\n{SCRIPT}"},
    ),
    "an empty module is filled": Case(
        {"run.py": SCRIPT, "gpu_policy.py": ""},
        {"run.py": f"{IMPORT}\n{SCRIPT}", "gpu_policy.py": f"import os\n\n{BLOCK}"},
    ),
    "a module that is imported late moves up": Case(
        {
            "run.py": "import torch\nimport gpu_policy\n\ntorch.zeros(1).cuda()\n",
            "gpu_policy.py": MODULE,
        },
        {"run.py": f"{IMPORT}\nimport torch\n\ntorch.zeros(1).cuda()\n"},
    ),
    "a module that is imported but was never written": Case(
        {"run.py": f"{IMPORT}\n{SCRIPT}"}, {"gpu_policy.py": MODULE}
    ),
    "a file that reaches no GPU": Case({"run.py": 'print("hello")\n'}, {}),
    "entry points alone": Case(
        {"lib.py": LIBRARY, "run.py": "import lib\n\nlib.load()\n"},
        {"run.py": f"{IMPORT}\nimport lib\n\nlib.load()\n", "gpu_policy.py": MODULE},
        where="entry-points",
    ),
    "a package whose name the file gives to something else": Case(
        {
            "pkg/__init__.py": "",
            "run.py": f"import pkg.other\n{LIBRARY}\n\ndef pkg():\n    load()\n\n\npkg()\n",
            "pkg/other.py": "",
            "train.py": f"{LIBRARY}\n\ndef pkg():\n    load()\n\n\npkg()\n",
        },
        {
            "run.py": f"{IMPORT_PKG}\nimport pkg.other\n{LIBRARY}\n\ndef pkg():\n    load()\n\n\npkg()\n",
            "train.py": "from pkg import gpu_policy  # noqa: F401  # isort: skip\n\n"
            f"{LIBRARY}\n\ndef pkg():\n    load()\n\n\npkg()\n",
            "pkg/gpu_policy.py": MODULE,
        },
        "module:pkg.gpu_policy",
    ),
    "indices change with the mask": Case(
        {"run.py": 'import torch\n\nx = torch.zeros(1).to("cuda:1")\n'},
        {
            "run.py": f'{IMPORT}\nimport torch\n\nx = torch.zeros(1).to("cuda:0")\n',
            "gpu_policy.py": MODULE,
        },
    ),
}


@pytest.mark.parametrize("name", FIXED)
def test_fix_writes_the_module_once_and_its_import_into_each_file(name: str, tree: Tree) -> None:
    case = FIXED[name]
    tree.write({"gpu-lint.toml": policy(case.style, case.where), **case.other, **case.before})
    printed = tree.fix("--diff")
    assert tree.files == case.before, "--diff changes nothing"
    assert ("/dev/null" in printed) is any(
        "gpu_policy" in new for new in case.after.keys() - case.before.keys()
    )
    tree.fix()
    after = {**case.before, **case.after}
    assert tree.files == after
    assert tree.found() == []
    tree.fix()
    assert tree.files == after, "twice is once"
    if case.after:
        assert run_cli("undo").exit_code == 0
        assert tree.files == case.before
        assert run_cli("undo", run_cli("undo", "--list").stdout.split()[0]).exit_code == 0
        assert tree.files == after


# --- check -------------------------------------------------------------------------------------

FREEZE = "torch.zeros(1).cuda()\n"
JUDGED: dict[str, tuple[dict[str, str], list[tuple[str, str, int]]]] = {
    "the module comes first": ({"run.py": f"{IMPORT}\n{SCRIPT}"}, []),
    "by another name": ({"run.py": f"import gpu_policy as gp\n\n{SCRIPT}"}, []),
    "through a module of the project": (
        {"setup_gpu.py": "import gpu_policy\n", "run.py": f"import setup_gpu\n\n{SCRIPT}"},
        [],
    ),
    "behind the standard library": ({"run.py": f"import os\nimport sys\n{IMPORT}{SCRIPT}"}, []),
    "not at all": (
        {"run.py": SCRIPT},
        [("run.py", code, 1) for code in ("GPU101", "GPU103", "GPU105")],
    ),
    "in a function alone": (
        {"run.py": f"def f():\n    import gpu_policy\n\n\n{SCRIPT}"},
        [("run.py", code, 5) for code in ("GPU101", "GPU103", "GPU105")],
    ),
    "behind a framework": (
        {"run.py": f"import torch\nimport gpu_policy\n\n{FREEZE}"},
        [("run.py", "GPU108", 2)],
    ),
    "behind a module of the project that imports a framework": (
        {
            "lib.py": f"{IMPORT}\n{LIBRARY}",
            "run.py": "import lib\nimport gpu_policy\n\nlib.load()\n",
        },
        [],
    ),
    "behind one that has no header": (
        {
            "lib.py": LIBRARY,
            "run.py": "import lib\nimport gpu_policy\n\nlib.load()\n",
        },
        [
            *(("lib.py", code, 1) for code in ("GPU101", "GPU103", "GPU105")),
            ("run.py", "GPU115", 2),
        ],
    ),
    "behind a freeze": (
        {"run.py": f"import torch\n\n{FREEZE}import gpu_policy\n"},
        [("run.py", "GPU107", 4)],
    ),
    "behind a freeze in one of two programs": (
        {
            "good.py": f"{IMPORT}\nimport torch\n\n{FREEZE}",
            "run.py": f"import torch\n\n{FREEZE}import gpu_policy\n",
        },
        [("run.py", "GPU107", 4)],
    ),
    "behind a header of its own": (
        {"run.py": f"import os\n\n{BLOCK}\nimport torch\nimport gpu_policy\n\n{FREEZE}"},
        [],
    ),
    "only for type checkers before it": (
        {
            "run.py": "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import torch\n"
            f"{IMPORT}import torch\n\n{FREEZE}"
        },
        [],
    ),
}


@pytest.mark.parametrize("where", ["gpu-files", "entry-points"])
@pytest.mark.parametrize("name", JUDGED)
def test_check_accepts_an_import_in_time_and_reports_a_late_one(
    name: str, where: str, tree: Tree
) -> None:
    files, expected = JUDGED[name]
    tree.write({"gpu-lint.toml": policy(where=where), "gpu_policy.py": MODULE, **files})
    found = tree.found()
    if where == "entry-points":
        expected = [one for one in expected if one[0] == "run.py"]
    assert found == expected
    tree.fix()
    assert tree.found() == []


def test_another_policy_is_reported_at_the_module_and_written_there(tree: Tree) -> None:
    tree.write({"gpu-lint.toml": policy(), "a.py": SCRIPT, "b.py": SCRIPT})
    tree.fix()
    migrated = tree.files
    tree.write({"gpu-lint.toml": policy(mask="0")})
    assert tree.found() == [("gpu_policy.py", "GPU102", 7)]
    tree.fix()
    assert tree.files == {
        **migrated,
        "gpu_policy.py": MODULE.replace('DEVICES"] = "1"', 'DEVICES"] = "0"'),
    }
    more = policy(mask="0").replace("max_split_size_mb:512", "max_split_size_mb:128")
    tree.write({"gpu-lint.toml": more})
    assert {file for file, _, _ in tree.found()} == {"gpu_policy.py"}
    tree.fix()
    assert tree.found() == []


def test_a_variable_that_the_policy_wants_now_is_reported_once(tree: Tree) -> None:
    less = policy().replace('alloc-conf = "max_split_size_mb:512"\n', "")
    tree.write({"gpu-lint.toml": less, "a.py": SCRIPT, "b.py": SCRIPT})
    tree.fix()
    assert "ALLOC" not in tree.files["gpu_policy.py"]
    tree.write({"gpu-lint.toml": policy()})
    assert tree.found() == [("gpu_policy.py", "GPU105", 6)]
    tree.fix()
    assert tree.files["gpu_policy.py"] == MODULE
    assert tree.found() == []


# --- where it cannot be ------------------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, str], str, str]] = {
    "another folder than the package's": (
        {"pkg/__init__.py": "", "tools/run.py": SCRIPT},
        "module:pkg.gpu_policy",
        "`import pkg.gpu_policy` is not sure to work in tools/run.py: modules are found in tools/, "
        "and there is no package pkg; name another",
    ),
    "no such package": (
        {"run.py": SCRIPT},
        "module:pkg.gpu_policy",
        "modules are found in ./, and there is no package pkg; ",
    ),
    "a path that is changed further down": (
        {
            "pkg/__init__.py": "",
            "pkg/m.py": "X = 1\n",
            "tools/run.py": "import torch\nimport sys\nsys.path.append('.')\nfrom pkg import m\n"
            "torch.zeros(1).cuda()\n",
        },
        "module:pkg.gpu_policy",
        "is not sure to work in tools/run.py",
    ),
    "a script in a package, which may be started either way": (
        {"pkg/__init__.py": "", "pkg/run.py": SCRIPT},
        "module:pkg.gpu_policy",
        "nothing says where modules are found, and there is no package pkg",
    ),
    "a folder of scripts below the module's": (
        {"lib.py": "X = 1\n", "tools/run.py": SCRIPT},
        "module:gpu_policy",
        "in tools/run.py: modules are found in tools/, and it belongs in ./; name another",
    ),
    "a file of the project's own": (
        {"run.py": SCRIPT, "gpu_policy.py": "def choose():\n    return 1\n"},
        "module:gpu_policy",
        "gpu_policy.py is there already and sets no GPU variable: name another module",
    ),
    "a package that loads a framework first": (
        {"pkg/__init__.py": "import torch\n", "run.py": f"import pkg\n{SCRIPT}"},
        "module:pkg.gpu_policy",
        "runs pkg/__init__.py first, which imports torch: name a module outside of that package",
    ),
    "a framework's module": ({"run.py": SCRIPT}, "module:torch.gpu", "is a module of torch"),
    "a broken file of the project's own": (
        {"run.py": SCRIPT, "gpu_policy.py": "def choose(:\n"},
        "module:gpu_policy",
        "gpu_policy.py is there already",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_where_the_module_cannot_be_one_line_says_why(name: str, tree: Tree) -> None:
    files, style, why = REFUSED[name]
    tree.write({"gpu-lint.toml": policy(style, "entry-points"), **files})
    printed = tree.fix()
    assert tree.files == files
    lines = [line for line in printed.splitlines() if why in line]
    assert lines
    assert all("= why: no fix: " in line for line in lines), lines


OTHER_GPU = (
    '[[overrides]]\npaths = ["training/**"]\ngpu = {{ visible-devices = "0" }}\n'
    'header = {{ style = "{}" }}\n'
)


@pytest.mark.parametrize(
    ("style", "why"),
    [
        ("module:pkg.gpu_policy", "pkg/gpu_policy.py is under another policy: name a module for "),
        ("module:training.gpu_policy", ""),
    ],
)
def test_files_with_another_gpu_need_a_module_of_their_own(
    style: str, why: str, tree: Tree
) -> None:
    first = "import pkg, training.data\n"
    files = {"pkg/__init__.py": "", "training/__init__.py": "", "training/data.py": "X = 1\n"}
    files |= {"run.py": f"import pkg\n{SCRIPT}", "training/run.py": f"{first}{SCRIPT}"}
    tree.write(
        {"gpu-lint.toml": policy("module:pkg.gpu_policy") + OTHER_GPU.format(style), **files}
    )
    printed = tree.fix()
    assert tree.files["pkg/gpu_policy.py"] == MODULE
    assert tree.files["run.py"] == f"{IMPORT_PKG}\n{files['run.py']}"
    if why:
        assert why in printed
        assert tree.files["training/run.py"] == files["training/run.py"]
    else:
        assert 'DEVICES"] = "0"' in tree.files["training/gpu_policy.py"]
        assert LINE.format("training.gpu_policy") in tree.files["training/run.py"]
        assert tree.found() == []


def test_a_wrong_value_is_corrected_where_the_module_cannot_be_imported(tree: Tree) -> None:
    run = f"import os\n\n{BLOCK}\n{SCRIPT}"
    tree.write(
        {"gpu-lint.toml": policy("module:pkg.gpu_policy"), "run.py": run.replace('"1"', '"0"')}
    )
    tree.fix()
    assert tree.files == {"run.py": run}


@pytest.mark.parametrize(
    ("style", "why"),
    [
        ("modul:x", "did you mean 'module:x'?"),
        ("module:", "names no module"),
        ("module", "names no module"),
        ("module:1bad.name", "'1bad' is no name of a module"),
        ("module:a..b", "'' is no name of a module"),
        ("module:class.x", "'class' is no name of a module"),
        ("module:os.gpu", "'os' is a module of Python's own"),
        ("module:pkg/gpu_policy.py", "write the module's name: 'module:pkg.gpu_policy'"),
        ("module:gpu_policy.py", "write the module's name: 'module:gpu_policy'"),
        ("in-line", "did you mean 'inline'?"),
        ("outline:x", 'accepted: "inline", or a module by its name'),
    ],
)
def test_a_style_that_cannot_be_is_one_line(style: str, why: str, tree: Tree) -> None:
    tree.write({"gpu-lint.toml": policy(style), "run.py": SCRIPT})
    done = run_cli("check")
    assert (done.exit_code, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "gpu-lint.toml:" in done.stderr
    assert "header.style" in done.stderr
    assert why in done.stderr


def test_init_offers_both_styles_and_takes_no_other(tree: Tree) -> None:
    options = ("init", "--visible-devices", "1", "--required-in", "gpu-files", "--force")
    for style in ("inline", "module:gpu_policy"):
        assert run_cli(*options, "--style", style).exit_code == 0
        assert f'header.style = "{style}"' in run_cli("config").stdout
    refused = run_cli(*options, "--style", "module:")
    assert refused.exit_code == 2
    assert "header.style: 'module:' names no module" in refused.stderr
    tree.write({"run.py": SCRIPT})
    tree.fix("--ignore", "GPU3")
    assert tree.files["run.py"] == f"{IMPORT}\n{SCRIPT}"


# --- writing -----------------------------------------------------------------------------------


def test_a_hook_that_names_one_file_makes_the_module_too(tree: Tree) -> None:
    tree.write({"gpu-lint.toml": policy(), "a.py": SCRIPT, "b.py": SCRIPT})
    tree.fix("a.py")
    assert tree.files == {"a.py": f"{IMPORT}\n{SCRIPT}", "b.py": SCRIPT, "gpu_policy.py": MODULE}
    tree.fix("b.py")
    assert tree.files["b.py"] == f"{IMPORT}\n{SCRIPT}"
    assert tree.files["gpu_policy.py"] == MODULE


def on_stdin(command: str, *more: str) -> Any:
    arguments = [command, *more, "--no-cache", "--stdin-filename", "run.py", "-"]
    return CliRunner().invoke(main, arguments, input=SCRIPT)


def test_standard_input_gets_the_import_only_where_the_module_is_there(tree: Tree) -> None:
    tree.write({"gpu-lint.toml": policy()})
    for more in ((), ("--unsafe-fixes",)):
        done = on_stdin("fix", *more)
        assert (done.exit_code, done.stdout) == (1, SCRIPT)
        assert tree.files == {}
    assert "gpu_policy.py is not there yet; `gpu-lint fix` makes it" in on_stdin("check").stdout
    tree.write({"gpu_policy.py": MODULE})
    done = on_stdin("fix")
    assert (done.exit_code, done.stdout) == (0, f"{IMPORT}\n{SCRIPT}")


def test_an_editor_is_offered_no_half_of_a_fix_that_makes_a_file(tree: Tree) -> None:
    """JSON and SARIF have no word for a new file: alone, the import would fail."""
    tree.write({"gpu-lint.toml": policy(), "run.py": SCRIPT})

    def offered() -> tuple[set[str], set[bool]]:
        reports = [run_cli("check", "--no-cache", "--output-format", f) for f in ("json", "sarif")]
        found, log = (json.loads(done.stdout) for done in reports)
        results = log["runs"][0]["results"]
        return {one["fix"]["applicability"] for one in found}, {"fixes" in r for r in results}

    assert offered() == ({"display"}, {False})
    tree.write({"gpu_policy.py": MODULE})
    assert offered() == ({"safe"}, {True})


@pytest.mark.parametrize("job", ["check", "fix"])
def test_other_processes_find_and_change_the_same(tree: Tree, job: str) -> None:
    tree.write({"gpu-lint.toml": policy(), "a.py": SCRIPT, "b.py": SCRIPT, "lib/m.py": LIBRARY})
    assert found_by(tree.root, Apart(), job) == found_by(tree.root, None, job)


@pytest.mark.parametrize("answers", [("n", "y", "y"), ("y", "n", "y"), ("y", "y", "n")])
def test_what_is_refused_leaves_no_file_that_imports_what_is_not_there(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, answers: tuple[str, ...]
) -> None:
    """Asked about the scripts, then the module; what was accepted and changes is asked again."""
    waiting, asked = iter(answers), []

    def prompt(text: str, **options: object) -> str:
        asked.append(text.split("(")[0])
        return next(waiting, "y")

    monkeypatch.setattr(click, "prompt", prompt)
    monkeypatch.setattr(fix_command, "_may_ask", lambda: True)
    tree.write({"gpu-lint.toml": policy(), "a.py": SCRIPT, "b.py": SCRIPT})
    tree.fix("--interactive")
    scripts = {
        name: f"{IMPORT}\n{SCRIPT}" if answer == "y" else SCRIPT
        for name, answer in zip(("a.py", "b.py"), answers, strict=False)
    }
    if answers[2] == "n":
        assert tree.files == {"a.py": SCRIPT, "b.py": SCRIPT}
    else:
        assert tree.files == {**scripts, "gpu_policy.py": MODULE}
    assert asked == [f"Change {name} " for name in ("a.py", "b.py", "gpu_policy.py")]


@pytest.mark.skipif(
    os.name == "nt" or (hasattr(os, "geteuid") and os.geteuid() == 0),
    reason="needs a directory that may not be written",
)
def test_in_a_directory_that_may_not_be_written_no_file_imports_the_module(tree: Tree) -> None:
    tree.write({"gpu-lint.toml": policy("module:pkg.gpu_policy"), "pkg/__init__.py": ""})
    tree.write({"run.py": f"import pkg\n{SCRIPT}"})
    before = tree.files
    (tree.root / "pkg").chmod(0o555)
    printed = tree.fix()
    (tree.root / "pkg").chmod(0o755)
    assert tree.files == before
    assert "pkg/gpu_policy.py, which it would import, was not written" in printed


def test_a_module_that_cannot_be_made_leaves_every_file_as_it_was(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.write({"gpu-lint.toml": policy(), "a.py": SCRIPT, "b.py": SCRIPT})
    real = os.replace

    def refuse(source: Any, target: Any) -> None:
        if os.path.basename(target) == "gpu_policy.py":
            raise PermissionError(13, "Permission denied")
        real(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    printed = tree.fix()
    assert tree.files == {"a.py": SCRIPT, "b.py": SCRIPT}
    assert printed.count("gpu_policy.py, which it would import, was not written") == 2


def test_line_ends_and_encodings_stay(tree: Tree) -> None:
    script = f"# -*- coding: latin-1 -*-\n# caf\u00e9\n{SCRIPT}".replace("\n", "\r\n")
    tree.write({"gpu-lint.toml": policy(), "run.py": script.encode("latin-1")})
    tree.fix()
    done = (tree.root / "run.py").read_bytes()
    line = IMPORT.replace("\n", "\r\n").encode()
    assert done == script.encode("latin-1").replace(b"import torch", line + b"\r\nimport torch")
    assert (tree.root / "gpu_policy.py").read_bytes() == MODULE.replace("\n", "\r\n").encode()


def test_a_template_of_the_projects_own_is_what_the_module_holds(tree: Tree) -> None:
    template = (
        'import os\n$environ["CUDA_DEVICE_ORDER"] = $device_order\n'
        '$environ["CUDA_VISIBLE_DEVICES"] = $visible_devices\nprint("card", $visible_devices)\n'
    )
    table = policy().replace("[header]", '[header]\ntemplate = "h.txt"')
    tree.write({"gpu-lint.toml": table, "h.txt": template, "run.py": SCRIPT})
    tree.fix()
    assert tree.files["gpu_policy.py"] == (
        f'{DOC}# gpu-lint: begin header\nimport os\nos.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n'
        'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\nprint("card", "1")\n# gpu-lint: end header\n'
    )


# --- what comes of it --------------------------------------------------------------------------


CLEAN = {
    "plain.py": "import torch\n\nprint(torch.zeros(1).cuda())\n",
    "stdlib.py": "import os\nimport sys\n\nimport torch\n\nprint(os, sys, torch.zeros(1).cuda())\n",
    "future.py": '"""Runs."""\n\nfrom __future__ import annotations\n\nimport numpy as np\nimport torch\n'
    "\nfrom pkg import model\n\nprint(np, model, torch.zeros(1).cuda())\n",
    "header.py": 'import os\n\nos.environ["CUDA_VISIBLE_DEVICES"] = "0"  # the big card\n\n'
    "import torch\n\nprint(torch.zeros(1).cuda())\n",
    "pkg/__init__.py": "",
    "pkg/model.py": LIBRARY,
}
TOOLS = (
    ("ruff", "check", "--isolated", "--no-cache", "-q", "--select", "E,F,I,W,RUF100"),
    ("ruff", "format", "--isolated", "--no-cache", "-q", "--check"),
    ("isort", "--check", "--profile", "black"),
    ("isort", "--check"),
    ("flake8", "--isolated", "--max-line-length", "88"),
    ("black", "-q", "--check"),
)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: " ".join(tool[:4]))
def test_what_was_clean_for_linters_formatters_and_sorters_stays_clean(
    tool: tuple[str, ...], tree: Tree
) -> None:
    if importlib.util.find_spec(tool[0]) is None:
        pytest.skip(f"{tool[0]} is not installed")
    tree.write({"gpu-lint.toml": policy("module:pkg.gpu_policy"), **CLEAN})
    command = [sys.executable, "-m", *tool, "."]
    was_clean = subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert was_clean or tool[0] == "flake8", "to it an inline header is code above imports (E402)"
    tree.fix()
    assert all(IMPORT_PKG in text for name, text in tree.files.items() if name in CLEAN and text)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", [n for n, c in FIXED.items() if c.after and "src" not in n])
def test_what_was_migrated_runs_on_the_policys_card(name: str, tree: Tree) -> None:
    case = FIXED[name]
    tree.write({"gpu-lint.toml": policy(case.style, case.where), **case.other, **case.before})
    tree.fix()
    elsewhere = tree.root / "elsewhere"  # nothing but the script's own directory is on its path
    elsewhere.mkdir()
    for file in ("run.py", "train.py", "a.py", "b.py", "scripts/a.py"):
        if (tree.root / file).exists():
            outcome = run_program(tree.root / file, elsewhere)
            assert outcome.status == 0, outcome.output
            used = {use["physical"] for use in outcome.of("use")}
            assert used == {1}, (file, outcome.events)
