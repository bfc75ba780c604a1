"""Files that import the named ones: found, judged with them, and left as they are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from gpu_lint.discovery import discover
from gpu_lint.engine import Engine
from gpu_lint.facts.importgraph import ImportGraph
from gpu_lint.findings import FileFindings
from gpu_lint.importers import importers_of
from gpu_lint.reads import read_beside
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import SettingsFinder
from gpu_lint.source import read_bytes
from tests.conftest import ROOT, run_cli, write_files

Repository: TypeAlias = "Callable[[dict[str, str]], Path]"
MASK = 'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
FREEZES = "import torch\ntorch.cuda.init()\n"
POLICY = '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\n'


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """Writes the files of a repository and goes into it."""

    def write(files: dict[str, str]) -> Path:
        (tmp_path / ".git").mkdir()
        write_files(tmp_path, files)
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return write


def concise(*arguments: str) -> tuple[int, list[tuple[str, str]], str]:
    """Exit status, (file, code) of every finding, and standard error of the command line."""
    done = run_cli(*arguments, "--output-format", "concise", "--no-cache")
    lines = [line.split(":") for line in done.stdout.splitlines()]
    return done.exit_code, [(line[0], line[3].split()[0]) for line in lines], done.stderr


def test_a_mask_that_an_importer_reaches_too_late_fails_the_hook(repository: Repository) -> None:
    repository({"zmask.py": MASK, "app.py": f"{FREEZES}import zmask\n", "other.py": "x = 1\n"})
    status, found, told = concise("check", "--force-exclude", "zmask.py")
    assert (status, found) == (1, [("zmask.py", "GPU116")])
    assert "gpu-lint: 1 file that imports the named ones checked with them" in told


def test_a_fault_that_a_change_causes_in_an_importer_fails_the_hook(repository: Repository) -> None:
    app = f"import between\n{MASK}"
    repository({"heavy.py": FREEZES, "between.py": "import heavy\n", "app.py": app})
    assert concise("check", "heavy.py")[:2] == (1, [("app.py", "GPU115")])
    assert concise("check", "app.py")[:2] == (1, [("app.py", "GPU115")])


def test_a_header_that_a_module_no_longer_brings_fails_the_hook(repository: Repository) -> None:
    main = "import setup_gpu\nimport torch\nif __name__ == '__main__':\n    torch.cuda.init()\n"
    policy = f'{POLICY}[validation]\nrequired-in = "never"\n'
    repository({"gpu-lint.toml": policy, "setup_gpu.py": "x = 1\n", "main.py": main})
    status, found, _ = concise("check", "setup_gpu.py")
    assert status == 1
    assert ("main.py", "GPU101") in found


def test_a_fix_leaves_importers_as_they_are_and_reports_them(repository: Repository) -> None:
    app = f"import heavy\n{MASK}"
    root = repository({"heavy.py": f"{FREEZES}{MASK.replace('1', '0,,1')}", "app.py": app})
    status, found, _ = concise("fix", "heavy.py")
    assert status == 1
    assert ("app.py", "GPU115") in found
    assert (root / "app.py").read_text() == app


def test_a_fix_on_offer_changes_no_importer(repository: Repository) -> None:
    app = f"import heavy\n{MASK}heavy.torch.zeros(1).cuda(1)\n"
    repository({"heavy.py": FREEZES, "app.py": app})
    finder = SettingsFinder(load_rulebook())
    found = discover([Path("heavy.py")], finder)
    run = Engine(finder).check(found.files, found.named, importers_of(found.named, finder).files)
    fixes = [finding.fix for result in run.files for finding in result.findings if finding.fix]
    assert all(not fix.elsewhere for fix in fixes)


def test_without_a_repository_only_the_named_files_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, {"zmask.py": MASK, "app.py": f"{FREEZES}import zmask\n"})
    monkeypatch.chdir(tmp_path)
    assert concise("check", "zmask.py") == (0, [], "All clear: 1 file checked.\n")


def test_what_is_excluded_is_no_importer(repository: Repository) -> None:
    files = {"zmask.py": MASK, "old/app.py": f"{FREEZES}import zmask\n"}
    repository({**files, "gpu-lint.toml": 'exclude = ["old"]\n'})
    assert concise("check", "zmask.py")[:2] == (0, [])


def test_in_a_repository_that_is_too_large_no_importer_is_looked_for(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository({"zmask.py": MASK, "app.py": f"{FREEZES}import zmask\n", "other.py": ""})
    finder = SettingsFinder(load_rulebook())
    found = importers_of([Path("zmask.py")], finder, most=2)
    assert (found.files, found.too_large) == ((), (root,))
    monkeypatch.setattr("gpu_lint.importers.MOST_FILES", 2)
    status, _, told = concise("check", "zmask.py")
    assert status == 0
    assert f"{root} has more than 2 Python files" in told


def test_both_hooks_get_all_files_at_once() -> None:
    definitions = (ROOT / ".pre-commit-hooks.yaml").read_text("utf-8")
    assert definitions.count("- id:") == definitions.count("require_serial: true") == 2


# --- the same as the whole repository -----------------------------------------------------------

PROJECTS: dict[str, dict[str, str]] = {
    "chain": {"a.py": MASK, "b.py": "import a\n", "c.py": f"{FREEZES}import b\n", "d.py": FREEZES},
    "package": {
        "pkg/__init__.py": "from .deep import READY\n",
        "pkg/deep.py": f"{FREEZES}READY = torch.cuda.is_available()\n",
        "pkg/beside.py": "from . import deep\n",
        "main.py": f"import os\nfrom pkg import beside\n{MASK}",
        "tool.py": f"import os\nimport pkg.deep\n{MASK}",
    },
    "cycle": {"a.py": f"import b\n{MASK}", "b.py": f"import a\n{FREEZES}", "c.py": "import a\n"},
    "constants": {
        "conf.py": "GPU = 1\n",
        "run.py": f"{MASK}import torch, conf\ntorch.cuda.set_device(conf.GPU)\n",
        "far.py": f"{MASK}import run\n",
    },
    "src": {
        "src/lib/__init__.py": "",
        "src/lib/mask.py": MASK,
        "src/lib/sub/__init__.py": "",
        "src/lib/sub/use.py": f"{FREEZES}from .. import mask\n",
        "tests/test_use.py": "from lib.sub import use\n",
        "scripts/go.py": f"{FREEZES}from lib import mask\n",
    },
    "policy": {
        "gpu-lint.toml": POLICY,
        "header.py": f'import os\nos.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n{MASK}',
        "good.py": "import header\nimport torch\ntorch.cuda.init()\n",
        "bad.py": "import torch\nimport header\ntorch.zeros(1).cuda(1)\n",
    },
}


def found_in(results: list[FileFindings]) -> dict[str, list[tuple[str, str]]]:
    return {
        os.path.abspath(result.path): [(f.code, f.message) for f in result.findings]
        for result in results
    }


@pytest.mark.parametrize("name", PROJECTS)
def test_named_files_and_their_importers_get_the_verdict_of_the_whole(
    repository: Repository, name: str
) -> None:
    repository(PROJECTS[name])
    finder = SettingsFinder(load_rulebook())
    files = discover([Path(".")], finder).files
    whole = found_in(Engine(finder).check(files).files)
    assert any(whole.values())
    for path in files:
        importers = importers_of([path], finder).files
        found = found_in(Engine(finder).check([path], [path], importers).files)
        for file in map(os.path.abspath, (path, *importers)):
            assert found.get(file, []) == whole.get(file, []), (str(path), file)


TREES = [*PROJECTS, "superwhisper"]


@pytest.mark.parametrize("name", TREES)
def test_the_search_by_names_finds_what_the_whole_import_graph_says(
    repository: Repository, name: str
) -> None:
    files = PROJECTS.get(name)
    if files is None:
        before = ROOT / "fixtures" / "superwhisper" / "before"
        files = {
            path.relative_to(before).as_posix(): path.read_text("utf-8")
            for path in before.rglob("*.py")
        }
    root = repository(files)
    finder = SettingsFinder(load_rulebook())
    paths = list(root.rglob("*.py"))
    graph = ImportGraph(
        lambda: finder.rulebook.knowledge, lambda f: read_beside(f, finder), (), data=read_bytes
    )
    for path in paths:
        expected = {p for p in paths if p != path and str(path) in graph.closure(str(p))}
        found = importers_of([path], finder).files
        assert {root / one for one in found} == expected, path


def test_where_all_files_are_named_none_is_searched(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository(PROJECTS["chain"])
    monkeypatch.setattr("gpu_lint.importers.read_bytes", None)
    named = sorted(Path(".").glob("*.py"))
    assert importers_of(named, SettingsFinder(load_rulebook())).files == ()


def test_many_names_are_searched_for_at_once(repository: Repository) -> None:
    files = {f"m0_{i}.py": "" for i in range(60)}
    files |= {f"m{n}_{i}.py": f"import m{n - 1}_{i}\n" for n in (1, 2) for i in range(60)}
    repository(files)
    named = [Path(f"m0_{i}.py") for i in range(60)]
    assert len(importers_of(named, SettingsFinder(load_rulebook())).files) == 120
