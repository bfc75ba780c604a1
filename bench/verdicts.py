"""Compares the findings of two versions of gpu-lint, file by file.

    python bench/verdicts.py OLD NEW TREE... [--config FILE] [--depth N] [--limit SECONDS]

runs both executables over each tree, as JSON and without a cache, once without any configuration
and once under a policy (``bench/run.py``'s, unless ``--config`` names another), and prints each
finding, fix, fault and exit status that only one of them has. Where the old version does not end
on a whole tree, ``--depth 1`` checks each of its folders and files on its own, ``--depth 2`` each
of theirs. Ends with 1 if anything differs, and with 2 if nothing could be compared somewhere.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from run import POLICY

Line: TypeAlias = "tuple[str, int, int, str, str]"
"""File, row, column, code, and the rest as one text."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one version said about one tree."""

    status: int
    found: Counter[Line]
    faults: tuple[str, ...]
    seconds: float

    @property
    def ended(self) -> bool:
        return self.status in (0, 1, 2)


def ask(tool: str, options: list[str], folder: Path, paths: list[str], limit: float) -> Answer:
    """What a version says about some paths of a folder, all of which it checks together."""
    command = [tool, "check", *options, "--no-cache", "--output-format", "json", *paths]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=folder, stdout=out, stderr=errors, start_new_session=True
        )
        try:
            status = child.wait(limit)
        except subprocess.TimeoutExpired:
            status = -1
        seconds = time.perf_counter() - start
        if status == -1:
            _end(child)
        out.seek(0)
        errors.seek(0)
        told = errors.read().splitlines()
        text = out.read()
    try:
        found = Counter(_line(one, folder) for one in json.loads(text))
    except ValueError:
        return Answer(status if status < 0 else -2, Counter(), tuple(told[-1:]), seconds)
    faults = tuple(sorted(line for line in told if line.startswith("gpu-lint:")))
    return Answer(status, found, faults, seconds)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a check and its workers."""
    if hasattr(os, "killpg"):
        import signal

        os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()
    child.wait()


def _line(finding: dict[str, object], folder: Path) -> Line:
    place = finding["location"]
    assert isinstance(place, dict)
    file = os.path.relpath(str(finding["filename"]), os.path.realpath(folder))
    rest = {key: finding[key] for key in ("severity", "message", "end_location", "fix")}
    text = json.dumps(rest, sort_keys=True, ensure_ascii=False)
    return (file, place["row"], place["column"], str(finding["code"]), text)


def parts_of(tree: Path, depth: int) -> Iterator[tuple[Path, list[str]]]:
    """What is checked on its own: folders, and all files beside them together."""
    if depth == 0:
        yield tree, ["."]
        return
    files = sorted(path.name for path in tree.glob("*.py"))
    if files:
        yield tree, files
    for folder in sorted(path for path in tree.iterdir() if path.is_dir()):
        if any(folder.rglob("*.py")):
            yield from parts_of(folder, depth - 1)


def told(line: Line) -> str:
    rest = json.loads(line[4])
    fix = f" [fix: {json.dumps(rest['fix'], ensure_ascii=False)}]" if rest["fix"] else ""
    return f"{line[0]}:{line[1]}:{line[2]}: {line[3]} {rest['message']}{fix}"


def compare(old: Answer, new: Answer, *, most: int) -> list[str]:
    """The lines that tell what differs, as a diff has them."""
    lines = []
    if old.status != new.status:
        lines += [f"- exit status {old.status}", f"+ exit status {new.status}"]
    lines += [f"- {line}" for line in old.faults if line not in new.faults]
    lines += [f"+ {line}" for line in new.faults if line not in old.faults]
    gone = [(line, "-") for line in (old.found - new.found).elements()]
    come = [(line, "+") for line in (new.found - old.found).elements()]
    lines += [f"{sign} {told(line)}" for line, sign in sorted(gone + come)]
    return [*lines[:most], f"  … {len(lines) - most} more"] if len(lines) > most else lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("old", help="gpu-lint executable")
    parser.add_argument("new", help="gpu-lint executable")
    parser.add_argument("trees", nargs="+", type=Path)
    parser.add_argument("--config", type=Path, help="policy to check under")
    parser.add_argument("--only", choices=("isolated", "policy"), help="one of the two ways")
    parser.add_argument("--depth", type=int, default=0, help="folders to go down first")
    parser.add_argument("--limit", type=float, default=600, help="seconds for one check")
    parser.add_argument("--most", type=int, default=200, help="lines shown of one difference")
    options = parser.parse_args()
    differing = silent = 0
    with tempfile.TemporaryDirectory() as scratch:
        policy = Path(scratch) / "policy.toml"
        policy.write_text(POLICY, encoding="utf-8")
        ways = {
            "isolated": ["--isolated"],
            "policy": ["--config", str((options.config or policy).resolve())],
        }
        for tree in options.trees:
            for folder, paths in parts_of(tree.resolve(), options.depth):
                for way in ways if options.only is None else (options.only,):
                    name = f"{folder} ({way}{'' if paths == ['.'] else ', its files'})"
                    old, new = (
                        ask(tool, ways[way], folder, paths, options.limit)
                        for tool in (os.path.abspath(options.old), os.path.abspath(options.new))
                    )
                    times = f"{old.seconds:.1f} s, {new.seconds:.1f} s"
                    if not old.ended or not new.ended:
                        silent += 1
                        which = [n for n, a in (("old", old), ("new", new)) if not a.ended]
                        print(f"{name}: no report: {' and '.join(which)} ({times})", flush=True)
                        for line in (*old.faults, *new.faults):
                            print(f"  {line}", flush=True)
                        continue
                    lines = compare(old, new, most=options.most)
                    differing += bool(lines)
                    verdict = "differ" if lines else "equal"
                    count = f"{sum(old.found.values())} and {sum(new.found.values())} findings"
                    print(f"{name}: {verdict}, {count}, {times}", flush=True)
                    if lines:
                        print("\n".join(lines), flush=True)
    print(f"{differing} differ, {silent} without a report")
    return 1 if differing else 2 if silent else 0


if __name__ == "__main__":
    sys.exit(main())
