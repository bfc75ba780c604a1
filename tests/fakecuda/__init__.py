"""Runs programs against stand-ins for GPU libraries that behave as CUDA was measured to.

``site/`` goes on the path of a fresh process; ``site/_fakecuda.py`` is the driver.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SITE = Path(__file__).resolve().parent / "site"
_VARIABLES = ("CUDA_", "PYTORCH_", "FAKECUDA_", "NVIDIA_")


@dataclass(frozen=True)
class Outcome:
    """One run: what it did to the GPUs, and how it ended."""

    events: tuple[dict[str, Any], ...]
    status: int | None
    """None if it was stopped."""
    output: str

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]


def environment(log: Path, *path: Path) -> dict[str, str]:
    """The environment of a run: none of the variables that decide about GPUs is set."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_VARIABLES)}
    kept["PYTHONPATH"] = os.pathsep.join(map(str, (SITE, *path)))
    kept["PYTHONDONTWRITEBYTECODE"] = "1"
    kept["PYTHONIOENCODING"] = "utf-8"
    kept["FAKECUDA_LOG"] = str(log)
    return kept


def run_program(file: Path, root: Path, seconds: float = 20, **machine: str) -> Outcome:
    """Run a file as a program, from a project's root, on a ``machine`` that ``FAKECUDA_`` variables
    describe."""
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log.jsonl"
        try:
            done = subprocess.run(
                [sys.executable, str(file)],
                cwd=root,
                env={**environment(log, root), **machine},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
            )
            status, output = done.returncode, done.stdout + done.stderr
        except subprocess.TimeoutExpired as stopped:
            status, output = None, (stopped.stdout or b"") + (stopped.stderr or b"")
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        events = tuple(json.loads(line) for line in lines)
        return Outcome(events, status, output.decode("utf-8", "replace"))
