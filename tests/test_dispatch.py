"""Commands: what a command line chooses among is called by the program, each on its own path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import check_files, codes

POLICY: dict[str, Any] = {
    "gpu": {
        "name": "RTX 3090",
        "visible-devices": "1",
        "device-order": "PCI_BUS_ID",
        "alloc-conf": "max_split_size_mb:1024",
    },
    "header": {"required-in": "gpu-files"},
    "validation": {"required-in": "never"},
}
SET = """\
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    os.environ["CUDA_VISIBLE_DEVICES"] = "1"
    os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "max_split_size_mb:1024"
"""
USE = "    import torch\n\n    torch.zeros(1).cuda()\n\n\n"
TRAIN = f"def train(args=None):\n{SET}{USE}"
GUARD = 'if __name__ == "__main__":\n    '
IMPORTS = "import argparse\nimport os\nimport sys\n\n\n"
PARSER = "p = argparse.ArgumentParser()\n    s = p.add_subparsers()\n    "
METHODS = "class App:\n" + "".join(
    f"    {line}\n" if line else "\n" for line in f"def train(self):\n{SET}{USE}".splitlines()
)
TYPER = "import typer\n\napp = typer.Typer()\n\n\n"
ALL = ["GPU101", "GPU103", "GPU105"]

RIGHT = {
    "typer": f"{TYPER}@app.command()\n{TRAIN}{GUARD}app()\n",
    "typer, called in code": f"{TYPER}{TRAIN}app.command()(train)\n{GUARD}app()\n",
    "typer.run": f"import typer\n\n\n{TRAIN}{GUARD}typer.run(train)\n",
    "typer.run, whose result ends the program": "import typer\n\n\n"
    f"{TRAIN}{GUARD}sys.exit(typer.run(train))\n",
    "the callback of an app sets all": f"{TYPER}@app.callback()\ndef prepare():\n{SET}\n\n"
    f"@app.command()\ndef train():\n{USE}{GUARD}app()\n",
    "a helper sets all": f"import typer\n\n\ndef pick():\n{SET}\n\ndef main():\n    pick()\n{USE}"
    f"{GUARD}typer.run(main)\n",
    "click": f"import click\n\n\n@click.command()\n{TRAIN}cli = click.Group()\n"
    f"cli.add_command(train)\n{GUARD}cli()\n",
    "a group of click": f"import click\n\n\n@click.group()\ndef cli():\n    pass\n\n\n"
    f"@cli.command()\n{TRAIN}{GUARD}cli()\n",
    "a group that sets all": f"import click\n\n\n@click.group()\ndef cli():\n{SET}\n\n"
    f"@cli.command()\ndef train():\n{USE}{GUARD}cli()\n",
    "fire": f"import fire\n\n\n{TRAIN}{GUARD}fire.Fire(train)\n",
    "fire by its name": f"from fire import Fire\n\n\n{TRAIN}{GUARD}Fire(train)\n",
    "fire with a dict": f'import fire\n\n\n{TRAIN}{GUARD}fire.Fire({{"train": train}})\n',
    "fire with a class": f"import fire\n\n\n{METHODS}{GUARD}fire.Fire(App)\n",
    "fire with an object": f"import fire\n\n\n{METHODS}{GUARD}fire.Fire(App())\n",
    "fire with the module": f"import fire\n\n\n{TRAIN}{GUARD}fire.Fire()\n",
    "fire in main()": f"import fire\n\n\n{TRAIN}def main():\n    fire.Fire(train)\n\n\n{GUARD}main()\n",
    "absl": f"from absl import app\n\n\n{TRAIN}{GUARD}app.run(train)\n",
    "tyro": f"import tyro\n\n\n{TRAIN}{GUARD}tyro.cli(train)\n",
    "set_defaults": f"{TRAIN}{GUARD}{PARSER}s.add_parser('train').set_defaults(func=train)\n"
    "    args = p.parse_args()\n    args.func(args)\n",
    "set_defaults of one among several": f"{TRAIN}def show(args):\n    print(args)\n\n\n"
    f"{GUARD}{PARSER}s.add_parser('train').set_defaults(func=train)\n"
    "    s.add_parser('show').set_defaults(func=show)\n"
    "    args = p.parse_args()\n    args.func(args)\n",
    "set_defaults where a command may lack": f"{TRAIN}{GUARD}{PARSER}"
    "s.add_parser('train').set_defaults(func=train)\n    args = p.parse_args()\n"
    '    if hasattr(args, "func"):\n        args.func(args)\n',
    "Flask": "from flask import Flask\n\napp = Flask(__name__)\n\n\n"
    f'@app.cli.command("train")\n{TRAIN}',
    "a table": f'{TRAIN}COMMANDS = {{"train": train}}\n{GUARD}COMMANDS[sys.argv[1]]()\n',
    "a table that may lack it": f"{TRAIN}COMMANDS = dict(train=train)\n"
    f"{GUARD}command = COMMANDS.get(sys.argv[1])\n    if command is None:\n"
    "        sys.exit(2)\n    command()\n",
    "a table of its own decorator": "COMMANDS = {}\n\n\ndef command(f):\n"
    f"    COMMANDS[f.__name__] = f\n    return f\n\n\n@command\n{TRAIN}"
    f"{GUARD}COMMANDS[sys.argv[1]]()\n",
}
WRONG = {
    "one command of two": f"{TYPER}@app.command()\n{TRAIN}@app.command()\ndef test():\n{USE}"
    f"{GUARD}app()\n",
    "what sets all is no command": f"{TYPER}def prepare():\n{SET}\n\n@app.command()\n"
    f"def train():\n{USE}{GUARD}app()\n",
    "one of a dict": f"import fire\n\n\n{TRAIN}def test():\n{USE}"
    f'{GUARD}fire.Fire({{"train": train, "test": test}})\n',
    "one function of a parser": f"{TRAIN}def test(args):\n{USE}{GUARD}{PARSER}"
    "s.add_parser('train').set_defaults(func=train)\n"
    "    s.add_parser('test').set_defaults(func=test)\n"
    "    args = p.parse_args()\n    args.func(args)\n",
    "a function that nothing calls": TRAIN,
}


def found(root: Path, program: str) -> list[str]:
    (result,) = check_files(root, {"run.py": IMPORTS + program}, POLICY).values()
    return [code for code, _ in codes(result)]


@pytest.mark.parametrize("program", RIGHT.values(), ids=RIGHT.keys())
def test_a_command_that_sets_all_before_its_own_import(program: str, tmp_path: Path) -> None:
    assert found(tmp_path, program) == []


@pytest.mark.parametrize("program", WRONG.values(), ids=WRONG.keys())
def test_a_command_that_does_not_is_found(program: str, tmp_path: Path) -> None:
    assert found(tmp_path, program) == ALL


@pytest.mark.parametrize(
    ("before", "codes_found"),
    [
        ("    import torch\n\n    torch.cuda.is_available()\n", ["GPU107", "GPU107"]),
        ("    import torch\n", ["GPU108", "GPU108"]),
    ],
)
def test_the_order_in_a_command_counts(before: str, codes_found: list[str], tmp_path: Path) -> None:
    lines = "".join(SET.splitlines(keepends=True)[:2])
    program = f"{TYPER}@app.command()\ndef train():\n{before}{lines}{USE}{GUARD}app()\n"
    assert [code for code in found(tmp_path, program) if code != "GPU105"] == codes_found


@pytest.mark.parametrize(("body", "is_found"), [(SET + USE, False), (USE, True)])
def test_an_installed_command_calls_its_function(body: str, is_found: bool, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\n[project.scripts]\nx = "run:main"\n'
    )
    assert found(tmp_path, f"def main():\n{body}") == (ALL if is_found else [])


def test_a_command_of_another_file(tmp_path: Path) -> None:
    files = {
        "run.py": f"import typer\nimport sub\n\napp = typer.Typer()\napp.add_typer(sub.app)\n{GUARD}app()\n",
        "sub.py": f"import os\n{TYPER}@app.command()\n{TRAIN}",
    }
    assert [codes(one) for one in check_files(tmp_path, files, POLICY).values()] == [[], []]
