"""Fixes large amounts of other people's code under a strict policy, and takes it back.

    .bench/bin/python bench/corpus.py [TREE ...]

Without arguments: the standard libraries of this Python and of those beside it (pyenv), and the
wheels of ``bench/run.py`` with numpy, scipy, Django, sympy and pandas. Of every tree a copy is
made, in which

1. ``gpu-lint fix`` runs with a header demanded everywhere and a validator in entry points;
2. every changed file must parse, and be the old one but for what a fix puts in: with the lines of
   the managed blocks, ``import os`` and the validator's call taken out, nothing but blank lines
   may differ (files in which a setting or a device was rewritten are compared by syntax tree,
   without the statements that name one);
3. a second run must change nothing;
4. ``gpu-lint undo`` must give back every byte.

Prints a line for each tree and ends with 1 if anything failed.
"""

from __future__ import annotations

import ast
import copy
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from run import POLICY, WHEELS, fetch_wheel

MORE = {
    "numpy": "2.2.6",
    "scipy": "1.15.3",
    "django": "5.2.8",
    "sympy": "1.14.0",
    "pandas": "2.3.3",
}
STRICT = POLICY.replace('"gpu-files"', '"all"')
OURS = re.compile(r"import os( as \w+)?|import torch|validate_gpu\(\)")
NAMED = re.compile(r"CUDA_|PYTORCH_|cuda|device|gpu|validate_gpu|environ|attr='to'", re.IGNORECASE)
SUITES = {"body", "orelse", "finalbody", "handlers", "cases"}
IMPORTED = {ast.dump(ast.parse(f"import {name}").body[0]) for name in ("os", "torch")}


@dataclass
class Tree:
    """A copy of some code."""

    name: str
    source: Path
    root: Path
    failures: list[str] = field(default_factory=list)
    count: int = 0
    changed: int = 0

    def files(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and path.name != "gpu-lint.toml"
        }

    def copy(self) -> None:
        for path in self.source.rglob("*.py"):
            relative = path.relative_to(self.source)
            if "site-packages" in relative.parts or not path.is_file():
                continue
            target = self.root / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        (self.root / "gpu-lint.toml").write_text(STRICT, "utf-8")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "GPU_LINT_STATE_DIR": str(self.root.parent / "state")}
        # Not in the tree: what is there may be called like Python's own modules.
        return subprocess.run(
            [sys.executable, "-m", "gpu_lint", *arguments],
            cwd=self.root.parent,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
        )

    def check(self) -> str:
        self.copy()
        before = self.files()
        start = perf_counter()
        fixed = self.run("fix", "tree", "--no-cache", "--exit-zero", "--statistics")
        seconds = perf_counter() - start
        after = self.files()
        if "Traceback" in fixed.stderr or "internal error" in fixed.stderr:
            self.failures.append(fixed.stderr[-2000:])
        refused = sum(line.startswith("gpu-lint: ") for line in fixed.stderr.splitlines())
        if before.keys() != after.keys():
            self.failures.append(f"files came or went: {before.keys() ^ after.keys()}")
        changed = [name for name in before if before[name] != after[name]]
        rewritten = 0
        for name in changed:
            verdict = compare(before[name], after[name])
            rewritten += verdict == "rewritten"
            if verdict not in ("", "rewritten"):
                self.failures.append(f"{name}: {verdict}")
        self.count, self.changed = len(before), len(changed)
        self.run("fix", "tree", "-q", "--no-cache", "--exit-zero")
        again = self.files()
        self.failures += [f"{name}: changed again" for name in after if again[name] != after[name]]
        undone = self.run("undo", "--all-or-nothing")
        if changed and (undone.returncode or self.files() != before):
            self.failures.append(f"not undone: {undone.stderr[-300:]}")
        return (
            f"{self.name}: {len(before)} files, {len(changed)} changed ({rewritten} not by "
            f"insertions alone), {refused} lines of trouble, {seconds:.0f} s, "
            f"{len(self.failures)} failures"
        )


def compare(before: bytes, after: bytes) -> str:
    """Empty if only what a fix puts in was inserted, ``rewritten`` if settings or devices were
    rewritten and all else is the same, and otherwise what is wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            old = ast.parse(before)
        except (SyntaxError, ValueError):
            old = None
        try:
            new = ast.parse(after) if old is not None else None
        except (SyntaxError, ValueError) as error:
            return f"does not parse any more: {error}"
    if head(before) != head(after):
        return "another first line, encoding or end"
    if only_inserted(before, after):
        return ""
    if old is None or new is None:
        return "rewritten, and this Python does not read it"
    one, other = ([*remaining(tree)] for tree in (old, new))
    return "rewritten" if one == other else f"differs: {difference(one, other)}"


def head(data: bytes) -> tuple[object, ...]:
    """What must be as it was: who runs the file, how it is encoded, how it ends."""
    first = data.partition(b"\n")[0] if data.startswith(b"#!") else b""
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError:
        encoding = "none"
    return first, encoding, not data.strip() or data.endswith((b"\n", b"\r"))


def only_inserted(before: bytes, after: bytes) -> bool:
    """Whether the old lines stand in the new ones, in order, and all others are a fix's."""
    old = iter([*before.decode("latin-1").splitlines(), None])
    wanted = next(old)
    inside = validator = False
    for line in after.decode("latin-1").splitlines():
        if line.strip().startswith("# gpu-lint: begin"):
            inside = True
        elif line.strip().startswith("# gpu-lint: end"):
            inside = False
        elif line.startswith(("# gpu-lint: validator", "def validate_gpu(")):
            validator = True
        elif inside or (validator and line[:1] in ("", " ", "\t")):
            continue
        elif line == wanted:
            validator, wanted = False, next(old)
        elif line.strip() and not OURS.fullmatch(line.strip()):
            return False
        elif wanted is not None and not wanted.strip() and not line.strip():
            wanted = next(old)
    return wanted is None


def remaining(tree: ast.AST) -> Iterator[str]:
    """The statements without their suites, in order, but for those that name a setting or a
    device, or import what a fix may."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, (ast.stmt, ast.excepthandler, ast.match_case)):
            if isinstance(child, ast.FunctionDef) and child.name == "validate_gpu":
                continue
            own = copy.copy(child)
            for name in SUITES & {name for name, _ in ast.iter_fields(own)}:
                setattr(own, name, [])
            text = ast.dump(own)
            if not NAMED.search(text) and text not in IMPORTED:
                yield text
            yield from remaining(child)


def difference(one: list[str], other: list[str]) -> str:
    pairs = zip(one, other, strict=False)
    return next((f"{a[:200]} is not {b[:200]}" for a, b in pairs if a != b), "length")


def trees() -> Iterator[tuple[str, Path]]:
    here = Path(sys.base_prefix)
    for home in sorted({here, *here.parent.glob("[23].*")}):
        for library in home.glob("lib/python3.*"):
            if (library / "os.py").is_file():
                yield f"standard library of {home.name}", library
    for name, version in {**WHEELS, **MORE}.items():
        yield f"{name} {version}", fetch_wheel(name, version)


def main() -> int:
    chosen = [(Path(name).name, Path(name)) for name in sys.argv[1:]]
    failures = files = changed = 0
    start = perf_counter()
    for name, source in chosen or trees():
        with tempfile.TemporaryDirectory() as directory:
            tree = Tree(name, source, Path(directory) / "tree")
            tree.root.mkdir()
            print(tree.check(), flush=True)
        for failure in tree.failures[:20]:
            print(f"  {failure}", flush=True)
        failures += len(tree.failures)
        files += tree.count
        changed += tree.changed
    seconds = perf_counter() - start
    print(f"{files} files, {changed} changed, {failures} failures, {seconds:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
