"""Scores `fix` by what the owners of public programs would say of its diff.

    python bench/owners.py TREES [NAME ...] [--record]

TREES holds checkouts, each in a folder of its name, at the commits in ``bench/owners.jsonl``. That
says of each what its owner would say of every hunk that `fix --diff` offers under the policy below,
which `gpu-lint init` writes, with at most three lines of overrides: *as is*, *small edits* or
*reject*, and why. Each is fixed anew in a copy, and files whose hunks are no longer those that were
read are named: their verdict must be given again. ``--record`` takes note of the new hunks.
Prints the score, and ends with 1 if some hunks have not been read.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

RECORD = Path(__file__).with_name("owners.jsonl")
INIT = (
    *("--name", "RTX 3090"),
    *("--visible-devices", "1"),
    *("--device-order", "PCI_BUS_ID"),
    *("--alloc-conf", "max_split_size_mb:1024"),
    *("--min-memory-gib", "20"),
    *("--forbidden", "RTX 5060 Ti"),
    *("--required-in", "gpu-files"),
)
VERDICTS = ("as is", "small edits", "reject")
_MOST_OVERRIDES = 3
_SHOWN = 8
"""Files that are named of those whose hunks have changed."""
_FILE = re.compile(r"^--- (.+)\n\+\+\+ .+\n", re.MULTILINE)
_HUNK = re.compile(r"^@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Owned:
    """What the owner of a tree says of the hunks that were read."""

    tree: str
    """Owner and name on GitHub."""
    commit: str
    verdict: str
    reasons: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    """Lines of TOML that are put behind the policy."""
    findings: int = 0
    hunks: int = 0
    files: dict[str, str] = field(default_factory=dict)
    """The files that have hunks, each with the digest of them."""

    @property
    def name(self) -> str:
        return self.tree.partition("/")[2]


@dataclass(frozen=True, slots=True)
class Offered:
    """What `check` finds in a tree, and `fix` offers."""

    findings: int
    hunks: int
    files: dict[str, str]


def recorded() -> list[Owned]:
    """The trees in the record. Raises :class:`SystemExit` where one is not as it must be."""
    found = []
    for line in RECORD.read_text(encoding="utf-8").splitlines():
        plain = json.loads(line)
        for key in ("reasons", "overrides"):
            plain[key] = tuple(plain[key])
        one = Owned(**plain)
        if one.verdict not in VERDICTS or len(one.overrides) > _MOST_OVERRIDES:
            raise SystemExit(f"{RECORD.name}: {one.tree}: no such verdict, or too many overrides")
        found.append(one)
    return found


def offered(checkout: Path, overrides: tuple[str, ...]) -> Offered:
    """What `fix` offers in a copy of a checkout, configured as its owner would."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory, "tree")
        shutil.copytree(checkout, root, symlinks=True, ignore=shutil.ignore_patterns(".git"))
        config = root / "gpu-lint.toml"
        config.unlink(missing_ok=True)
        _gpu_lint(root, "init", *INIT)
        with config.open("a", encoding="utf-8") as file:
            file.writelines(f"\n{line}" for line in overrides)
        found = json.loads(
            _gpu_lint(root, "check", "--no-cache", "--output-format", "json", ".") or "[]"
        )
        files = dict(_files_in(_gpu_lint(root, "fix", "--diff", "--no-cache", ".")))
    hunks = sum(len(_HUNK.findall(diff)) for diff in files.values())
    return Offered(len(found), hunks, {name: _digest(diff) for name, diff in files.items()})


def _gpu_lint(root: Path, *arguments: str) -> str:
    """The standard output of a run. Raises :class:`SystemExit` where it failed."""
    command = [sys.executable, "-m", "gpu_lint", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def _files_in(diff: str) -> Iterator[tuple[str, str]]:
    """The files of a diff, each with its hunks."""
    heads = list(_FILE.finditer(diff))
    ends = [*(head.start() for head in heads), len(diff)][1:]
    for head, end in zip(heads, ends, strict=True):
        yield head[1], diff[head.end() : end]


def _digest(hunks: str) -> str:
    """Stands for hunks, wherever in their file they are."""
    return hashlib.sha256(_HUNK.sub("@@", hunks).encode()).hexdigest()[:12]


def changed(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """The files whose hunks differ."""
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trees", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--record", action="store_true", help="Take note of the new hunks.")
    given = parser.parse_args()
    result, unread = recorded(), 0
    print(f"{'tree':34} {'findings':>8} {'hunks':>6}  {'verdict':12} hunks since it was given")
    for number, one in enumerate(result):
        checkout = given.trees / one.name
        if (given.names and one.name not in given.names) or not checkout.is_dir():
            continue
        now = offered(checkout, one.overrides)
        new = changed(one.files, now.files)
        unread += bool(new)
        shown = f"{len(new)} files: {' '.join(new[:_SHOWN])}" if new else "as read"
        print(f"{one.tree:34} {now.findings:8} {now.hunks:6}  {one.verdict:12} {shown}")
        if given.record:
            result[number] = replace(one, **asdict(now))
            _write(result)
    score = Counter(one.verdict for one in result)
    print(", ".join(f"{name}: {score[name]}" for name in VERDICTS) + f" (of {len(result)})")
    return 1 if unread and not given.record else 0


def _write(result: list[Owned]) -> None:
    lines = (json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in result)
    RECORD.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
