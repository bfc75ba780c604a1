"""Stand-ins for the driver's libraries in C, and for ``nvidia-smi``, so that what asks them goes
the whole way: ctypes, the loader, a process.

``FAKECUDA_`` variables describe the machine, ``FAKEDRIVER_`` variables what is particular to the
driver (``nvml.c`` lists them).
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
LIBRARIES = {"nvml.c": "libnvidia-ml.so.1", "cuda.c": "libcuda.so.1"}
_OURS = ("CUDA_", "PYTORCH_", "FAKECUDA_", "FAKEDRIVER_", "NVIDIA_")
_OURS += ("VIRTUAL_ENV", "COLUMNS", "LD_LIBRARY_PATH", "container")


def missing_compiler() -> str:
    """Return why the stand-ins cannot be built here; empty where they can."""
    if sys.platform != "linux":
        return "the stand-ins of the driver are Linux libraries"
    return "" if shutil.which("gcc") else "there is no gcc to build the stand-ins of the driver"


def build_libraries(directory: Path) -> None:
    """Build the libraries, and put ``nvidia-smi`` beside them, in ``bin/``."""
    for source, library in LIBRARIES.items():
        command = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
        subprocess.run([*command, HERE / source, "-o", directory / library], check=True)
    script = directory / "bin" / "nvidia-smi"
    script.parent.mkdir()
    text = (HERE / "nvidia_smi.py").read_text(encoding="utf-8")
    script.write_text(f"#!{sys.executable} -IS\n{text}", encoding="utf-8")
    script.chmod(0o755)


def environment(libraries: Path | None, smi: Path | None = None, **machine: str) -> dict[str, str]:
    """Return the environment of a process on a machine: with NVML where ``libraries`` are, with
    ``nvidia-smi`` where ``smi`` is, and with none of the variables that decide about GPUs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    kept["PATH"] = os.pathsep.join([*([str(smi / "bin")] if smi else []), "/usr/bin", "/bin"])
    if libraries is not None:
        kept["LD_LIBRARY_PATH"] = str(libraries)
    return {**kept, **machine}


def be_on_machine(
    patch: pytest.MonkeyPatch,
    libraries: Path | None,
    smi: Path | None = None,
    **machine: str,
) -> None:
    """Have this process be on a machine, as :func:`environment` describes it for another one."""
    variables = environment(libraries, smi, **machine)
    for name in os.environ.keys() - variables.keys():
        patch.delenv(name)
    for name, value in variables.items():
        patch.setenv(name, value)
    if libraries is None:
        patch.setitem(sys.modules, "pynvml", None)
        return
    import pynvml  # type: ignore[import-untyped]

    patch.setattr(pynvml, "nvmlLib", ctypes.CDLL(str(libraries / LIBRARIES["nvml.c"])))
    patch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
