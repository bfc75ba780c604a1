"""Builds the stand-in libraries in C, once for a test session."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

_SOURCES = Path(__file__).parent
_LIBRARIES = {"cuda": "libcuda.so.1"}


@functools.cache
def libraries() -> Path:
    """The directory of the libraries, for LD_LIBRARY_PATH; skips the test where none are built."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("the stand-in drivers need Linux and a C compiler")
    directory = Path(tempfile.mkdtemp(prefix="gpu-lint-drivers-"))
    for name, library in _LIBRARIES.items():
        source = str(_SOURCES / f"{name}.c")
        options = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
        subprocess.run([compiler, *options, "-o", str(directory / library), source], check=True)
    return directory
