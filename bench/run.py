"""Times gpu-lint beside its peers, in one run, the commands in turn.

    python -m venv .bench
    .bench/bin/pip install . ruff ast-grep-cli semgrep fixit matplotlib
    python -m venv .bench/torchfix && .bench/torchfix/bin/pip install torchfix
    .bench/bin/python bench/run.py && .bench/bin/python bench/plot.py

(TorchFix needs an older LibCST than we do, so it has an environment of its own; the Python should
be one that was built with optimizations, as distributions do) fetches the pinned wheels from PyPI
into a directory outside of any repository, writes ``bench/results.json`` and prints the table;
``bench/plot.py`` draws it. What takes long runs fewer times, or on a subset, and says so. Peers
that are not installed beside this Python are left out, and named. Times are whole processes, wall
clock, the median of the rounds with the least and the most.

Then it checks the public trees and the hostile shapes that must end (:mod:`ends`, :mod:`shapes`),
and writes their table, with the ratios that must not grow, into ``bench/README.md``; it ends with
1 if one of them goes beyond what it is allowed. ``--only`` runs one part, and keeps the figures
that ``bench/results.json`` has of the others; ``--trees FOLDER`` takes the trees from there.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import ends

HERE = Path(__file__).resolve().parent
CORPUS = Path(tempfile.gettempdir()) / "gpu-lint-bench"
BIN = Path(sys.executable).parent
WHEELS = {
    "transformers": "5.17.0",
    "diffusers": "0.42.1",
    "ultralytics": "8.4.190",
    "torch": "2.9.1",
}
PLATFORM = ["--platform", "macosx_11_0_arm64", "--python-version", "3.11"]
"""Of torch, the smallest wheel is fetched: its Python files are the same."""
SUBSET = "transformers/transformers/pipelines"
"""What the slow peers are run on: 28 files, 10,703 lines."""
ONE_FILE = "transformers/models/llama/modeling_llama.py"
LARGE_FILE = "transformers/trainer.py"
"""It names devices, so that what it imports is looked at too."""
EMPTY_FILES = 41_000
POLICY = """\
[gpu]
name = "RTX 3090"
visible-devices = "1"
device-order = "PCI_BUS_ID"
alloc-conf = "max_split_size_mb:1024"
min-memory-gib = 20
[header]
required-in = "gpu-files"
"""
PATTERNS = """\
id: gpu
language: python
rule:
  any:
    - pattern: 'os.environ["CUDA_VISIBLE_DEVICES"] = $X'
    - pattern: '$X.cuda($Y)'
    - pattern: 'torch.cuda.set_device($X)'
    - pattern: 'torch.device($X)'
"""
PARTS = ("peers", "ratios", "trees", "shapes")
"""``ratios`` are those of the peers' commands that a ratio is made of."""
LIMIT = 60.0
"""Seconds after which a command is ended; its time then only says that it takes longer."""
SEMGREP = """\
rules:
  - id: gpu
    languages: [python]
    severity: WARNING
    message: gpu
    pattern-either:
      - pattern: os.environ["CUDA_VISIBLE_DEVICES"] = $X
      - pattern: $X.cuda($Y)
      - pattern: torch.cuda.set_device($X)
      - pattern: torch.device($X)
"""


@dataclass
class Subject:
    """A command that is timed."""

    name: str
    command: list[str]
    fresh: Path | None = None
    """A directory that is deleted before every run."""
    most: int = sys.maxsize
    """Rounds it takes part in."""
    seconds: list[float] = field(default_factory=list)
    peak_mib: float = 0.0

    def run(self) -> None:
        """Run once; the exit status is not of interest here."""
        if self.fresh is not None:
            shutil.rmtree(self.fresh, ignore_errors=True)
        start = time.perf_counter()
        child = subprocess.Popen(
            self.command, cwd=CORPUS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        timer = threading.Timer(LIMIT, child.kill)
        timer.start()
        peak = 0.0
        if hasattr(os, "wait4"):
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            peak = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        else:
            child.wait()
        timer.cancel()
        self.seconds.append(time.perf_counter() - start)
        self.peak_mib = max(self.peak_mib, peak)


def fetch_wheel(
    name: str, version: str, target: Path | None = None, which: Sequence[str] = ()
) -> Path:
    """Where the Python files of a wheel are; they are unpacked once. ``which`` picks its build."""
    target = target or CORPUS / name
    if target.is_dir():
        return target
    if name == "torch" and not which:
        which = ("--only-binary=:all:", *PLATFORM)
    downloads = CORPUS / "wheels"
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(downloads)]
    subprocess.run([*pip, *which, f"{name}=={version}"], check=True)
    wheel = next(downloads.glob(f"{name.replace('-', '_')}-{version}-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        members = [member for member in archive.namelist() if member.endswith(".py")]
        archive.extractall(target, members)
    return target


def fetch_trees() -> Path:
    """The folder of the public trees that must end; they are unpacked once."""
    folder = CORPUS / "trees"
    for wheel in (*ends.TREES, ends.FIXED):
        fetch_wheel(wheel.project, wheel.version, folder / wheel.name, wheel.built)
    return folder


def fetch(names: Iterable[str] = WHEELS, empty_files: int = EMPTY_FILES) -> None:
    """Unpack the pinned wheels, once."""
    for name in names:
        fetch_wheel(name, WHEELS[name])
    empty = CORPUS / "empty"
    for number in range(0 if empty.is_dir() else empty_files):
        path = empty / f"p{number // 100}" / f"m{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (CORPUS / "policy.toml").write_text(POLICY)
    (CORPUS / "patterns.yml").write_text(PATTERNS)
    (CORPUS / "semgrep.yml").write_text(SEMGREP)


def copies_of_other_code(times: int) -> Path:
    """The corpus with its files that mention no GPU several times over."""
    target = CORPUS / f"grown{times}"
    if not target.is_dir():
        for path in sorted((CORPUS / "transformers").rglob("*.py")):
            relative = path.relative_to(CORPUS / "transformers")
            plain = b"torch" not in path.read_bytes()
            for number in range(times if plain else 1):
                copy = target / str(number) / relative
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
    return target


def subjects(times: Sequence[int] = (2, 4, 8)) -> tuple[list[Subject], list[str]]:
    """What is timed, and the peers that are missing; ``times`` are the copies of other code."""
    tool = str(BIN / "gpu-lint")
    lint = [tool, "check", "--isolated", "--output-format", "concise"]
    cold = [*lint, "--no-cache"]
    strict = [tool, "check", "--config", "policy.toml", "--output-format", "concise"]
    fix = [tool, "fix", "--diff", "--config", "policy.toml", "--no-cache", "-q"]
    cache = CORPUS / ".gpu-lint-cache"
    file = f"transformers/{ONE_FILE}"
    found = [
        Subject("gpu-lint, cold", [*cold, "transformers"]),
        Subject("gpu-lint, cold, writing its cache", [*lint, "transformers"], cache),
        Subject("gpu-lint, warm", [*lint, "--cache-dir", "warm", "transformers"]),
        Subject("gpu-lint, one file, cold", [*cold, file]),
        Subject("gpu-lint, one file, warm", [*lint, "--cache-dir", "warm", file]),
        Subject("gpu-lint, trainer.py, cold", [*cold, f"transformers/{LARGE_FILE}"]),
        Subject(f"gpu-lint, {EMPTY_FILES} empty files, cold", [*cold, "empty"]),
        Subject("gpu-lint, diffusers, cold", [*cold, "diffusers"]),
        Subject("gpu-lint, torch, cold", [*cold, "torch"], most=1),
        Subject("gpu-lint, ultralytics, cold", [*cold, "ultralytics"], most=1),
        Subject("gpu-lint, policy, cold", [*strict, "--no-cache", "transformers"]),
        Subject("gpu-lint, policy, one process", [*strict, "--no-cache", "-j", "1", "transformers"],
                most=1),
        Subject("gpu-lint, policy, warm", [*strict, "--cache-dir", "warm2", "transformers"],
                most=3),
        Subject("gpu-lint, policy, fix --diff", [*fix, "transformers"], most=1),
        Subject("gpu-lint, policy, diffusers, fix --diff", [*fix, "diffusers"], most=1),
        Subject("gpu-lint, subset, cold", [*cold, SUBSET]),
    ]  # fmt: skip
    found += [
        Subject(f"gpu-lint, other code {n} times, cold", [*cold, copies_of_other_code(n).name])
        for n in times
    ]
    quick = ["check", "--isolated", "--no-cache", "--select", "F,E9"]
    peers = {
        "ruff": ("ruff", [*quick, "transformers"], sys.maxsize),
        "ruff, torch": ("ruff", [*quick, "torch"], sys.maxsize),
        "ruff, subset": ("ruff", [*quick, SUBSET], sys.maxsize),
        "ast-grep": ("ast-grep", ["scan", "--rule", "patterns.yml", "transformers"], sys.maxsize),
        "ast-grep, subset": ("ast-grep", ["scan", "--rule", "patterns.yml", SUBSET], sys.maxsize),
        "Semgrep, subset": (
            "semgrep",
            ["scan", "--metrics", "off", "--disable-version-check", "--no-git-ignore", "--config",
             "semgrep.yml", SUBSET],
            2,
        ),
        "TorchFix, subset": ("torchfix", ["--select", "ALL", SUBSET], 2),
        "Fixit, subset": ("fixit", ["lint", SUBSET], 2),
    }  # fmt: skip
    missing = []
    for name, (program, arguments, most) in peers.items():
        own = BIN.parent / program / BIN.name / program  # an environment of its own
        path = BIN / program if (BIN / program).exists() else own
        if path.exists():
            found.append(Subject(name, [str(path), *arguments], most=most))
        else:
            missing.append(name)
    return found, missing


def time_peers(rounds: int, wanted: frozenset[str] | None) -> tuple[list[Subject], list[str]]:
    """Time the commands, or those of some names, in turn, and print the table."""
    if wanted is None:
        fetch()
        timed, missing = subjects()
    else:
        fetch(["transformers"], empty_files=0)
        timed, missing = subjects(times=())
        timed = [subject for subject in timed if subject.name in wanted]
        missing = [name for name in missing if name in wanted]
    for subject in timed:
        if subject.most == 1:
            continue
        looks = subprocess.run(subject.command, cwd=CORPUS, capture_output=True, text=True)
        if subject.name.startswith("gpu-lint"):
            if "no Python files" in looks.stderr or looks.returncode > 1:
                sys.exit(f"{subject.name}: {looks.stderr}")
    for number in range(rounds):
        for subject in timed:
            if number < subject.most:
                subject.run()
    medians = {s.name: statistics.median(s.seconds) for s in timed}
    print("| command | median s | least | most | peak MiB | of ruff | of ast-grep |")
    print("|---|---|---|---|---|---|---|")
    for s in timed:
        shares = [
            f"{medians[s.name] / medians[peer]:.2f}" if peer in medians else "–"
            for peer in ("ruff", "ast-grep")
        ]
        print(
            f"| {s.name} | {medians[s.name]:.2f} | {min(s.seconds):.2f} | {max(s.seconds):.2f} | "
            f"{s.peak_mib:.0f} | {' | '.join(shares)} |"
        )
    for name in missing:
        print(f"not installed, left out: {name}")
    return timed, missing


def machine() -> str:
    python = f"Python {platform.python_version()} ({os.path.realpath(sys.executable)})"
    return f"{platform.platform()}, {python}, {os.cpu_count()} CPUs"


def write(results: dict[str, Any]) -> bool:
    """Write ``results.json`` and the table of what must end; whether all limits are kept."""
    text = json.dumps(results, indent=1, ensure_ascii=False)
    (HERE / "results.json").write_text(text + "\n", encoding="utf-8")
    seconds = {one["name"]: statistics.median(one["seconds"]) for one in results["subjects"]}
    peaks = {one["name"]: one["peak-mib"] for one in results["subjects"]}
    rows = [ends.Result(**one) for part in ("trees", "shapes") for one in results.get(part, ())]
    rows += ends.ratios(seconds, peaks)
    python = f"Python {platform.python_version()}"
    where = f"{os.cpu_count()} CPUs, {platform.system()}, {platform.machine()}, {python}"
    measured = f"Measured {datetime.date.today()} ({where}).\n\n"
    ends.write_into(HERE / "README.md", measured + ends.table(rows))
    over = [row.name for row in rows if row.fault]
    print(f"{len(rows)} limits, {len(over)} not kept{': ' if over else ''}{'; '.join(over)}")
    return not over


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", action="append", choices=PARTS, help="one part; repeatable")
    parser.add_argument("--trees", type=Path, help="the folder of the public trees, unpacked")
    options = parser.parse_args()
    parts = options.only or ("peers", "trees", "shapes")
    tool = str(BIN / "gpu-lint")
    file = HERE / "results.json"
    results: dict[str, Any] = {"subjects": []}
    if options.only and file.is_file():
        results |= json.loads(file.read_text(encoding="utf-8"))
    results |= {"machine": machine(), "wheels": WHEELS}
    if "peers" in parts or "ratios" in parts:
        names = frozenset(name for one in ends.RATIOS for name in one[:2])
        timed, missing = time_peers(options.rounds, None if "peers" in parts else names)
        new = {s.name: {"name": s.name, "seconds": s.seconds, "peak-mib": round(s.peak_mib)}
               for s in timed}  # fmt: skip
        kept = [one for one in results["subjects"] if one["name"] not in new]
        results |= {"rounds": options.rounds, "missing": missing}
        results["subjects"] = [*new.values(), *kept]
    CORPUS.mkdir(parents=True, exist_ok=True)
    if "trees" in parts:
        (CORPUS / "policy.toml").write_text(POLICY)
        folder = options.trees.resolve() if options.trees else fetch_trees()
        checks = ends.trees(tool, folder, CORPUS, CORPUS / "policy.toml")
        results["trees"] = [asdict(one) for one in ends.measure(checks, min(options.rounds, 3))]
    if "shapes" in parts:
        checks = ends.hostile(tool, CORPUS)
        results["shapes"] = [asdict(one) for one in ends.measure(checks, 1)]
    return 0 if write(results) else 1


if __name__ == "__main__":
    sys.exit(main())
