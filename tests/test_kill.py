"""A real ``fix`` that is killed at random moments: no file is ever torn, and all come back.

``GPU_LINT_KILLS=500 pytest tests/test_kill.py`` is the long version; the seed is printed, and
``GPU_LINT_SEED`` sets it.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import perf_counter

import pytest

KILLS = int(os.environ.get("GPU_LINT_KILLS", "6"))
SEED = int(os.environ.get("GPU_LINT_SEED", random.randrange(10**6)))
FILES = 400
POLICY = '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\nname = "x"\n[header]\nrequired-in = "all"\n'
BODIES = (
    "import torch\n\nprint(torch)\n",
    "'''Doc.'''\nimport sys\nx = 'é'\n",
    "\ufeffimport torch\r\nm.cuda(1)\r\n",
    "x = 1",
    "",
)


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir()}


class Tree:
    """A tree that is made anew for every kill, with a journal of its own."""

    def __init__(self, directory: Path) -> None:
        self.root, self.state = directory / "tree", directory / "state"
        self.fill()
        self.before = contents(self.root)
        start = perf_counter()
        assert self.start("fix").wait() == 0
        self.seconds = perf_counter() - start
        self.after = contents(self.root)
        assert sum(self.after[name] != data for name, data in self.before.items()) == FILES

    def fill(self) -> None:
        for directory in (self.root, self.state):
            shutil.rmtree(directory, ignore_errors=True)
        self.root.mkdir(parents=True)
        (self.root / "gpu-lint.toml").write_text(POLICY, encoding="utf-8")
        for number in range(FILES):
            body = BODIES[number % len(BODIES)].encode()
            (self.root / f"m{number}.py").write_bytes(body)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        call = [sys.executable, "-m", "gpu_lint", *arguments]
        call += ["-q", "--no-cache", "-j1", "--exit-zero"] if arguments == ("fix",) else []
        environment = {**os.environ, "GPU_LINT_STATE_DIR": str(self.state)}
        nowhere = subprocess.DEVNULL
        return subprocess.Popen(
            call, cwd=self.root, env=environment, stdout=nowhere, stderr=nowhere
        )

    def kill_at_random(self, process: subprocess.Popen[bytes], chance: random.Random) -> None:
        """Half of the times while it writes, else whenever."""
        delay = chance.uniform(0, self.seconds)
        if chance.random() < 0.5:
            runs = self.state / "runs"
            while process.poll() is None and not list(runs.glob("*.begun.zip")):
                pass
            delay = chance.uniform(0, self.seconds / 4)
        with suppress(subprocess.TimeoutExpired):
            process.wait(delay)
        process.kill()
        process.wait()

    def untorn(self) -> int:
        """How many files are new; every other is the old one."""
        new = 0
        for name, data in contents(self.root).items():
            if not name.endswith(".tmp"):
                assert data in (self.before[name], self.after[name]), name
                new += data != self.before[name]
        assert contents(self.root).keys() >= self.before.keys()
        return new


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return Tree(tmp_path_factory.mktemp("killed"))


@pytest.mark.parametrize("ending", ["undo", "rerun", "undo, killed too"])
def test_a_fix_that_is_killed_leaves_old_or_new_files_and_a_way_on(
    tree: Tree, ending: str, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(f"{SEED} {ending}")
    print(f"seed {SEED}")
    in_the_middle = 0
    for _ in range(-(-KILLS // 3)):
        tree.fill()
        tree.kill_at_random(tree.start("fix"), chance)
        new = tree.untorn()
        in_the_middle += 0 < new < FILES
        if ending == "rerun":
            assert tree.start("fix").wait() == 0
            assert contents(tree.root) == tree.after
            continue
        if ending == "undo, killed too":
            process = tree.start("undo")
            with suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0, tree.seconds))
            process.kill()
            process.wait()
            tree.untorn()
        status = tree.start("undo").wait()
        assert status == 0 or contents(tree.root) == tree.before
        assert contents(tree.root) == tree.before
    record_property("killed while it wrote", in_the_middle)
    print(f"{in_the_middle} of {-(-KILLS // 3)} runs were killed with some files written")
