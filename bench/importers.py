"""What it costs that files which import a named one are judged with it.

    python bench/importers.py TREE FILE...

copies a tree and times `gpu-lint check --no-cache FILE` in the copy, as a repository and without
one, where only the named file is judged: the least of some runs, in seconds of processor time, and
how many importers were judged. FILE is relative to TREE.
"""

from __future__ import annotations

import argparse
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

RUNS = 5
_COUNT = re.compile(r"gpu-lint: (\d+) files? that imports? ")


def check(file: str, root: Path) -> tuple[float, int]:
    """The least processor time of some runs, and the number of importers."""
    command = [sys.executable, "-m", "gpu_lint", "check", "--no-cache", file]
    least, count = float("inf"), 0
    for _ in range(RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        least = min(least, spent)
        found = _COUNT.search(done.stderr)
        count = int(found[1]) if found is not None else 0
    return least, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tree", type=Path)
    parser.add_argument("files", nargs="+")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory, "tree")
        shutil.copytree(given.tree, root)
        print(f"{'file':50} {'alone':>7} {'with importers':>15} {'importers':>10}")
        for file in given.files:
            alone, _ = check(file, root)
            (root / ".git").mkdir()
            together, count = check(file, root)
            (root / ".git").rmdir()
            print(f"{file:50} {alone:7.2f} {together:15.2f} {count:10}")


if __name__ == "__main__":
    main()
