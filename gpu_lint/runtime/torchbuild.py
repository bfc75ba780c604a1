"""What the project's PyTorch was built for, asked in a process of its own.

That process runs with ``-I`` in an empty directory, writes nothing and sees no GPU: nothing of the
tree is imported, and CUDA is not initialised, for the list of architectures is a constant of the
build.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from gpu_lint.records import record
from gpu_lint.runtime.cards import Card, Machine
from gpu_lint.runtime.remarks import Level, Remark

_SECONDS = 120
"""How long ``import torch`` may take; from a cold network disk it does take a minute."""
_MARK = "gpu-lint-torch:"
_ASK = f"""
import json
import os
try:
    import torch
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    found = None
else:
    flags = getattr(torch._C, "_cuda_getArchFlags", lambda: None)() or ""
    version = torch.version
    found = [torch.__version__, version.cuda, getattr(version, "hip", None), flags.split()]
os.write(1, ("\\n" + {_MARK!r} + json.dumps(found) + "\\n").encode())
"""
_ARCH = re.compile(r"(sm|compute)_([0-9]+)([0-9])([a-z]?)")


@record
class TorchBuild:
    """The PyTorch of one Python."""

    python: str
    version: str
    """Empty where PyTorch is not installed there, or could not be asked."""
    cuda: str
    """The CUDA that it was built with; empty for a build without."""
    hip: str
    archs: tuple[str, ...]
    failure: str = ""
    """Why it could not be asked, in one line."""


def ask_torch(python: Path, environ: Mapping[str, str]) -> TorchBuild:
    """Return what a Python's PyTorch was built for."""
    nothing = TorchBuild(str(python), "", "", "", ())
    try:
        with tempfile.TemporaryDirectory(prefix="gpu-lint-") as empty:
            done = subprocess.run(
                [python, "-I", "-B", "-c", _ASK],
                cwd=empty,
                env={**environ, "CUDA_VISIBLE_DEVICES": "-1"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=_SECONDS,
            )
    except subprocess.TimeoutExpired:
        return _failed(nothing, f"`import torch` did not end within {_SECONDS} seconds")
    except OSError as error:
        return _failed(nothing, f"it cannot be run: {error.strerror or error}")
    answers = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if not answers:
        said = done.stderr.strip().splitlines()
        return _failed(nothing, said[-1] if said else f"it ended with status {done.returncode}")
    found = json.loads(answers[-1].removeprefix(_MARK))
    if found is None:
        return nothing
    version, cuda, hip, archs = found
    return TorchBuild(str(python), version, cuda or "", hip or "", tuple(archs))


def _failed(build: TorchBuild, why: str) -> TorchBuild:
    return TorchBuild(build.python, "", "", "", (), why)


def torch_remarks(
    build: TorchBuild, machine: Machine | None, cards: tuple[Card, ...]
) -> Iterator[Remark]:
    """Yield what a build makes of the driver and of the cards that a policy chooses."""
    if build.failure:
        yield Remark(Level.WARNING, f"torch could not be asked: {build.failure}")
    elif not build.version:
        text = "torch is not installed there (a user's own site-packages are not looked at)"
        yield Remark(Level.NOTE, text, "gpu-lint doctor --python PYTHON")
    elif build.hip:
        yield Remark(
            Level.WARNING, f"torch {build.version} is built for ROCm: it uses no NVIDIA card"
        )
    elif not build.cuda:
        text = f"torch {build.version} is built without CUDA: it uses no card at all"
        yield Remark(Level.WARNING, text, "install a CUDA build: https://pytorch.org/get-started")
    else:
        yield from _of_cuda(build, machine, cards)


def _of_cuda(
    build: TorchBuild, machine: Machine | None, cards: tuple[Card, ...]
) -> Iterator[Remark]:
    if machine is not None and _major(machine.cuda) and _major(build.cuda) > _major(machine.cuda):
        text = f"torch needs CUDA {build.cuda}, the driver runs {machine.cuda} at most"
        advice = f"update the driver, or install a torch for CUDA {_major(machine.cuda)}"
        yield Remark(Level.FAILS, text, advice)
    elif machine is not None and machine.cuda:
        text = f"torch's CUDA {build.cuda} runs on this driver (CUDA {machine.cuda})"
        yield Remark(Level.OK, text)
    for card in cards:
        if card.capability is None or not build.archs:
            continue
        name = "sm_{}{}".format(*card.capability)
        if runs_on(build.archs, card.capability):
            yield Remark(Level.OK, f"torch has code for card {card.index} ({name})")
        else:
            text = (
                f"torch {build.version} has no code for card {card.index} ({name}): it is built "
                f"for {' '.join(build.archs)}"
            )
            yield Remark(Level.FAILS, text, f"install a torch that is built for {name}")


def runs_on(archs: tuple[str, ...], capability: tuple[int, int]) -> bool:
    """Return whether code for some architectures runs on a card: binary code on cards of the same
    major number and no smaller minor one, PTX (``compute_``) on all later ones. Of ``sm_90a`` and
    its like, only the very card (CUDA C++ Programming Guide, Application Compatibility)."""
    for arch in archs:
        match = _ARCH.fullmatch(arch)
        if match is None:
            continue
        kind, major, minor, suffix = match[1], int(match[2]), int(match[3]), match[4]
        built = major, minor
        if suffix == "a" and capability == built:
            return True
        if suffix != "a" and kind == "sm" and major == capability[0] and minor <= capability[1]:
            return True
        if not suffix and kind == "compute" and built <= capability:
            return True
    return False


def _major(version: str) -> int:
    first = version.partition(".")[0]
    return int(first) if first.isdigit() else 0
