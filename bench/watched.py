"""Runs small projects in processes that note the GPUs that they and all their children touch.

Needs Linux; on real GPUs nvidia-smi and what the projects import, else ``tests/fakecuda``.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
WATCHING = REPOSITORY / "tests" / "differential" / "watching.py"
SITE = REPOSITORY / "tests" / "fakecuda" / "site"
_DECIDING = ("CUDA_VISIBLE", "CUDA_DEVICE_ORDER", "PYTORCH_", "NVIDIA_", "FAKECUDA_")
_LONGEST = 120
"""Seconds after which a program is stopped."""


@dataclass(slots=True)
class Ran:
    """What a program did."""

    status: int = -1
    """-1 if it was stopped."""
    error: str = ""
    printed: list[str] = field(default_factory=list)
    touched: list[str] = field(default_factory=list)
    """UUIDs of the GPUs that it and its children have used."""
    late: int = 0
    """Writes of another mask after CUDA was initialised."""


def missing(files: dict[str, str]) -> set[str]:
    """The packages that a project imports and this machine lacks."""
    names = {name for text in _python(files) for name in _imported(ast.parse(text))}
    own = {name.partition("/")[0].removesuffix(".py") for name in files}
    names -= sys.stdlib_module_names | own | {"torch"}
    return {name for name in names if importlib.util.find_spec(name) is None}


def _python(files: dict[str, str]) -> list[str]:
    return [text for name, text in files.items() if name.endswith(".py")]


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def watched_python(directory: Path, gpus: int) -> Path:
    """An interpreter whose every process notes the GPUs that it touches; with stand-ins if some
    number of them is given."""
    venv.EnvBuilder(with_pip=False, symlinks=True).create(directory)
    lines = [f"import site; site.addsitedir({path!r})" for path in sys.path if "-packages" in path]
    if gpus:
        order, names = ",".join(map(str, range(gpus))), ",".join(["NVIDIA H200"] * gpus)
        machine = {"FAKECUDA_NAMES": names, "FAKECUDA_FASTEST": order}
        lines = [str(SITE), f"import os; os.environ.update({machine!r})", "import _fakecuda"]
        lines.append(_running(SITE / "sitecustomize.py"))
    (packages,) = (directory / "lib").glob("python*/site-packages")
    (packages / "watching.pth").write_text("\n".join([*lines, _running(WATCHING)]) + "\n")
    return directory / "bin" / "python"


def _running(file: Path) -> str:
    return f"import runpy; runpy.run_path({str(file)!r})"


def run(files: dict[str, str], python: Path, arguments: Sequence[str] = ()) -> Ran:
    """Run a project's ``run.py``, and return what it and its children did."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_DECIDING)}
    kept |= {"PATH": f"{python.parent}:{kept['PATH']}", "PYTHONDONTWRITEBYTECODE": "1"}
    kept |= {"OMP_NUM_THREADS": "1", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    ran = Ran()
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory).resolve()
        write(root, files)
        log = root / "gpus.jsonl"
        log.touch()
        try:
            done = subprocess.run(
                [str(python), "run.py", *arguments],
                cwd=root,
                env=kept,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_LONGEST,
            )
            ran.status, ran.error = done.returncode, done.stderr.strip()[-300:]
            ran.printed = done.stdout.splitlines()
        except subprocess.TimeoutExpired:
            ran.error = "it was stopped"
        for line in log.read_text(encoding="utf-8").splitlines():
            facts: dict[str, Any] = json.loads(line)
            ran.touched = sorted({*ran.touched, *facts["touched"]})
            ran.late += sum(1 for before, after in facts["late"] if before != after)
    return ran


def machine_gpus(stand_ins: int) -> list[str]:
    """The UUIDs of the machine's GPUs, in PCI order."""
    if stand_ins:
        return [f"GPU-{n}0000000-0000-0000-0000-00000000000{n}" for n in range(stand_ins)]
    asked = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()


def read_options(documentation: str, programs: int) -> argparse.Namespace:
    """Read the command line of a script that runs so many programs unless it is told otherwise."""
    parser = argparse.ArgumentParser(description=documentation.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--programs", type=int, default=programs)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seconds", type=float, default=480, help="when no more are started")
    parser.add_argument("--stand-ins", type=int, default=0, metavar="N")
    return parser.parse_args()
