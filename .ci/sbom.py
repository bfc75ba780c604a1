"""Write what gpu-lint consists of as a CycloneDX SBOM, in JSON.

    python .ci/sbom.py [FILE]        by default dist/gpu-lint.cdx.json

Installs gpu-lint with its pinned dependencies into an environment of its own and lists that.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def environment(directory: Path, *installs: tuple[str, ...]) -> Path:
    """The scripts of a fresh environment into which something was installed."""
    venv.create(directory, with_pip=True, symlinks=os.name != "nt")
    scripts = directory / ("Scripts" if os.name == "nt" else "bin")
    for arguments in installs:
        command = [str(scripts / "python"), "-m", "pip", "install", "-q", *arguments]
        subprocess.run(command, cwd=ROOT, check=True)
    return scripts


def main() -> None:
    out = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist" / "gpu-lint.cdx.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        pinned = ("--require-hashes", "-r")
        ours = environment(
            Path(name) / "ours", (*pinned, ".ci/runtime.txt"), ("--no-deps", str(ROOT))
        )
        remove_pip = [str(ours / "python"), "-m", "pip", "uninstall", "-q", "-y", "pip"]
        subprocess.run(remove_pip, check=True)
        tools = environment(Path(name) / "tools", (*pinned, ".ci/audit.txt"))
        command = [str(tools / "cyclonedx-py"), "environment", str(ours / "python")]
        command += ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible"]
        command += ["--output-format", "JSON", "--output-file", str(out)]
        subprocess.run(command, check=True)
    print(out)


if __name__ == "__main__":
    main()
