"""Draw ``docs/check.svg``: what ``gpu-lint check`` prints for two files of the fixture."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "fixtures" / "superwhisper" / "before"
ARGUMENTS = ["check", "--select", "GPU107,GPU2", "test_cuda_debug.py", "STT"]


def main() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gpu_lint", *ARGUMENTS],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "FORCE_COLOR": "1", "PYTHONPATH": str(ROOT)},
        check=False,
    )
    console = Console(record=True, width=140, file=io.StringIO())
    console.print(Text("$ gpu-lint " + " ".join(ARGUMENTS), style="bold"))
    console.print(Text.from_ansi(done.stdout.rstrip() + "\n\n" + done.stderr.rstrip()))
    console.save_svg(str(ROOT / "docs" / "check.svg"), title="gpu-lint")


if __name__ == "__main__":
    main()
