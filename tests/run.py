"""Install what the checks need into an environment of its own, then run all of them.

``python tests/run.py`` works on a fresh machine with Python, pip and git; CI calls it too.
Arguments are passed on to pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = Path(os.environ.get("GPU_LINT_TEST_ENV", ROOT / ".test-env"))
SCRIPTS = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")


def run(*command: str) -> None:
    print("+", " ".join(command), flush=True)
    path = f"{SCRIPTS}{os.pathsep}{os.environ.get('PATH', '')}"
    python = str(SCRIPTS / "python")
    done = subprocess.run([python, "-m", *command], cwd=ROOT, env={**os.environ, "PATH": path})
    if done.returncode:
        sys.exit(done.returncode)


def main() -> None:
    if sys.version_info < (3, 10):  # noqa: UP036 - it may be run with any Python
        sys.exit("gpu-lint needs Python 3.10 or newer; run this with one, such as python3.12")
    if not (ENVIRONMENT / "pyvenv.cfg").exists():
        venv.create(ENVIRONMENT, with_pip=True, symlinks=os.name != "nt")
    install = ("pip", "install", "--quiet", "--disable-pip-version-check")
    run(*install, "--require-hashes", "-r", ".ci/requirements.txt")
    run(*install, "--no-deps", "--no-build-isolation", "-e", ".")
    run("ruff", "check", ".")
    run("ruff", "format", "--check", ".")
    run("mypy")
    run("pytest", "-q", "-n", "2", *sys.argv[1:])


if __name__ == "__main__":
    main()
