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
"""

from __future__ import annotations

import argparse
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
from dataclasses import dataclass, field
from pathlib import Path

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


def fetch_wheel(name: str, version: str) -> Path:
    """Where the Python files of a wheel are; they are unpacked once."""
    target = CORPUS / name
    if target.is_dir():
        return target
    downloads = CORPUS / "wheels"
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(downloads)]
    which = ["--only-binary=:all:", *PLATFORM] if name == "torch" else []
    subprocess.run([*pip, *which, f"{name}=={version}"], check=True)
    wheel = next(downloads.glob(f"{name}-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        members = [member for member in archive.namelist() if member.endswith(".py")]
        archive.extractall(target, members)
    return target


def fetch() -> None:
    """Unpack the pinned wheels, once."""
    for name, version in WHEELS.items():
        fetch_wheel(name, version)
    empty = CORPUS / "empty"
    for number in range(0 if empty.is_dir() else EMPTY_FILES):
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


def subjects() -> tuple[list[Subject], list[str]]:
    """What is timed, and the peers that are missing."""
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
        for n in (2, 4, 8)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    fetch()
    timed, missing = subjects()
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
        ratios = [
            f"{medians[s.name] / medians[peer]:.2f}" if peer in medians else "–"
            for peer in ("ruff", "ast-grep")
        ]
        print(
            f"| {s.name} | {medians[s.name]:.2f} | {min(s.seconds):.2f} | {max(s.seconds):.2f} | "
            f"{s.peak_mib:.0f} | {' | '.join(ratios)} |"
        )
    for name in missing:
        print(f"not installed, left out: {name}")
    python = f"Python {platform.python_version()} ({os.path.realpath(sys.executable)})"
    machine = f"{platform.platform()}, {python}, {os.cpu_count()} CPUs"
    result = {
        "machine": machine,
        "wheels": WHEELS,
        "rounds": rounds,
        "missing": missing,
        "subjects": [
            {"name": s.name, "seconds": s.seconds, "peak-mib": round(s.peak_mib)} for s in timed
        ],
    }
    (HERE / "results.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
