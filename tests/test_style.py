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

import pytest

from tests.conftest import run_cli
from tests.fakecuda import run_program

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
        "`import pkg.gpu_policy` is not sure to work in tools/run.py: there is no package tools/pkg",
    ),
    "no such package": ({"run.py": SCRIPT}, "module:pkg.gpu_policy", "there is no package pkg;"),
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
        "modules are found in no directory that is sure",
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
