"""A project's own rule packs: what its wrappers do with a GPU, told as data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpu_lint.errors import ConfigError
from gpu_lint.rulebook import Pack, load_rulebook
from gpu_lint.settings import SettingsFinder
from tests.conftest import run_cli, write_files

CONFIG = """
extend-rules = ["lint/*.toml"]

[gpu]
visible-devices = "1"
device-order = "PCI_BUS_ID"

[header]
required-in = "never"

[validation]
required-in = "never"
"""
PACK = """
[framework]
name = "ours"
modules = ["tools.gpu", "corp"]
reexports = true

[[api]]
names = ["tools.gpu.pick_gpu", "corp.gpu.pick"]
devices = [{ kind = "index", position = 0, keyword = "number" }]

[[api]]
names = ["tools.gpu.Worker"]
devices = [{ kind = "index", keyword = "gpu" }]

[[api]]
names = ["tools.gpu.Pool.start"]
devices = [{ kind = "count", position = 0, keyword = "workers" }]

[[api]]
names = ["place_on"]
method = true
devices = [{ kind = "index", position = 0 }]

[[api]]
names = ["tools.gpu.wake"]
freezes = "always"
"""
TOOLS = """
class Worker:
    def __init__(self, gpu):
        self.gpu = gpu


class Pool:
    def start(self, workers):
        pass


def pick_gpu(number):
    return number


def wake():
    pass
"""
CALLS = [
    ("from tools.gpu import pick_gpu\n\npick_gpu(1)\n", ("GPU201", 3)),
    ("from tools.gpu import pick_gpu\n\npick_gpu(0)\n", None),
    ("from tools import gpu\n\ngpu.pick_gpu(number=2)\n", ("GPU201", 3)),
    ("from tools.gpu import Worker\n\nworker = Worker(gpu=1)\n", ("GPU201", 3)),
    ("from tools.gpu import Pool\n\nPool().start(2)\n", ("GPU204", 3)),
    ("from corp.gpu import pick\n\npick(1)\n", ("GPU201", 3)),
    ("from corp import pick\n\npick(1)\n", None),
    ("import corp\n\nmodel = corp.load()\nmodel.place_on(1)\n", ("GPU201", 4)),
    ("model = load()\nmodel.place_on(1)\n", None),
    ("from elsewhere import pick_gpu\n\npick_gpu(1)\n", None),
    (
        'import os\n\nfrom tools.gpu import wake\n\nwake()\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n',
        ("GPU107", 6),
    ),
]


def found_in(root: Path, *options: str) -> list[tuple[str, int]]:
    """The findings of a whole project."""
    result = run_cli("check", str(root), "--output-format", "json", "--no-cache", *options)
    assert result.exit_code in (0, 1), result.output
    return [(one["code"], one["location"]["row"]) for one in json.loads(result.stdout)]


@pytest.mark.parametrize(("program", "expected"), CALLS)
def test_a_pack_describes_the_calls_of_a_project(
    program: str, expected: tuple[str, int] | None, tmp_path: Path
) -> None:
    write_files(
        tmp_path,
        {
            "gpu-lint.toml": CONFIG,
            "lint/ours.toml": PACK,
            "tools/gpu.py": TOOLS,
            "tools/__init__.py": "",
            "run.py": program,
        },
    )
    assert found_in(tmp_path) == ([] if expected is None else [expected])


def test_workers_know_the_packs_too(tmp_path: Path) -> None:
    programs = {f"run{n}.py": CALLS[0][0] for n in range(40)}
    files = {"lint/ours.toml": PACK, "tools/gpu.py": TOOLS, "tools/__init__.py": ""}
    write_files(tmp_path, {"gpu-lint.toml": CONFIG, **files, **programs})
    assert found_in(tmp_path, "-j", "2") == [("GPU201", 3)] * 40


def test_a_pack_that_changes_makes_the_cache_forget(tmp_path: Path) -> None:
    files = {"tools/gpu.py": TOOLS, "tools/__init__.py": "", "run.py": CALLS[0][0]}
    write_files(tmp_path, {"gpu-lint.toml": CONFIG, "lint/ours.toml": PACK, **files})
    check = ("check", str(tmp_path), "--cache-dir", str(tmp_path / "cache"))
    assert run_cli(*check).exit_code == 1
    (tmp_path / "lint" / "ours.toml").write_text(PACK.replace("pick_gpu", "choose_gpu"))
    assert run_cli(*check).exit_code == 0


def test_packs_of_nested_configurations_hold_for_the_run(tmp_path: Path) -> None:
    inner = {f"part/{name}": text for name, text in {"lint/ours.toml": PACK}.items()}
    files = {"part/run.py": CALLS[5][0], "gpu-lint.toml": CONFIG.replace("extend-rules", "exclude")}
    write_files(tmp_path, {**inner, **files, "part/gpu-lint.toml": CONFIG})
    assert found_in(tmp_path) == [("GPU201", 3)]


WRONG = [
    ("[[api]]\nnames = ['a.b']\n", "", "framework: lacks the key 'framework'"),
    ("[framework]\nname = 'x'\n", ":1", "framework: lacks the key 'modules'"),
    ("[framework]\nname = 1\nmodules = ['a']\n", ":2", "framework.name: must be a string, not 1"),
    (
        "[framework]\nname = 'x'\nmodules = ['a b']\n",
        ":3",
        "framework.modules: must be a list of names such as 'package.module.name', not ['a b']",
    ),
    (
        "[framework]\nname = 'x'\nmodules = ['a']\n\n[[api]]\nnames = ['a.b']\n\n[[api]]\n"
        "names = ['a.c']\nfreezes = 'allways'\n",
        ":10",
        "api[2].freezes: 'allways' is not accepted; accepted: never, maybe, always,",
    ),
    (
        "[framework]\nname = 'x'\nmodules = ['a']\n\n[[api]]\nnames = ['a.b']\n"
        "devices = [{ kind = 'index', positon = 0 }]\n",
        ":7",
        "api[1].devices[1].positon: unknown key; did you mean 'position'?",
    ),
    (
        "[framework]\nname = 'x'\nmodules = ['a']\n\n[[api]]\nnames = ['pick_gpu']\n",
        ":6",
        "api[1].names: 'pick_gpu' lacks its module",
    ),
    ("[[rule]]\ncode = 'GPU900'\n", ":1", "rule: a project's rule pack describes its calls"),
    ("schema = 2\n[framework]\n", ":1", "schema: 2 is not known to this version; accepted: 1"),
    (
        "[framework]\nname = 'x'\nmodules = ['a']\n[[api]]\nnames = ['a.b']\nbad = '''\n[[api]]\n'''"
        "\n[[api]]\nnames = []\n",
        ":10",
        "api[2].names: must be a list of names",
    ),
    ("[framework\n", "", "is not valid TOML"),
]


@pytest.mark.parametrize(("text", "line", "message"), WRONG)
def test_what_is_wrong_in_a_pack_is_told_with_file_line_and_key(
    text: str, line: str, message: str, tmp_path: Path
) -> None:
    write_files(tmp_path, {"gpu-lint.toml": CONFIG, "lint/ours.toml": text, "run.py": "x = 1\n"})
    result = run_cli("check", str(tmp_path))
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert f"ours.toml{line}: {message}" in result.stderr


def test_a_glob_without_a_file_is_an_error(tmp_path: Path) -> None:
    write_files(tmp_path, {"gpu-lint.toml": CONFIG, "run.py": "x = 1\n"})
    result = run_cli("check", str(tmp_path))
    assert result.exit_code == 2
    assert "gpu-lint.toml:2: extend-rules: no file matches 'lint/*.toml'" in result.stderr


def test_the_same_packs_make_the_same_rulebook() -> None:
    book, packs = load_rulebook(), (Pack("x.toml", PACK),)
    assert book.with_packs(packs) is book.with_packs(packs)
    assert book.with_packs(()) is book
    assert book.with_packs(packs).digest != book.digest
    with pytest.raises(ConfigError, match=r"^y\.toml:1: framework"):
        book.with_packs((Pack("y.toml", "framework = 1\n"),))


def test_rules_can_be_listed_whole(tmp_path: Path) -> None:
    listed = json.loads(run_cli("rule", "--all", "--format", "json").stdout)
    assert [rule["code"] for rule in listed] == sorted(load_rulebook().codes)
    assert all(rule["examples"] for rule in listed)
    assert json.loads(run_cli("rule", "GPU202", "--format", "json").stdout) in listed
    pages = run_cli("rule", "--all").stdout
    assert all(f"({code})" in pages for code in load_rulebook().codes)
    assert run_cli("rule", "GPU101", "--all").exit_code == 2


def test_a_finder_without_packs_stays_as_it_is(tmp_path: Path) -> None:
    finder = SettingsFinder(load_rulebook(), root=tmp_path)
    finder.learn([tmp_path / "x.py"])
    assert finder.rulebook is load_rulebook()
