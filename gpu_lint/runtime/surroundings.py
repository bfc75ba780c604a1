"""Where the process runs (container, WSL, Windows), and what cannot be known there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from gpu_lint.runtime.cards import Machine
from gpu_lint.runtime.remarks import Level, Remark
from gpu_lint.source import read_start

_MARKS = (".dockerenv", "run/.containerenv")
_GROUPS = (b"docker", b"kubepods", b"containerd", b"libpod", b"lxc")
_LONGEST = 1 << 14


def surroundings(
    machine: Machine | None, environ: Mapping[str, str], root: Path = Path("/")
) -> Iterator[Remark]:
    """Yield what the surroundings make unknowable; ``root`` is the file system's."""
    container, wsl = is_container(environ, root), is_wsl(root)
    if container:
        text = (
            "in a container: the driver shows the cards that it was given, and gives the host's "
            "numbers of processes, which mean nothing here"
        )
        yield Remark(Level.NOTE, text)
        if machine is None or not machine.cards:
            text = "the container was given no card"
            yield Remark(Level.NOTE, text, "start it with the cards: docker run --gpus all …")
    if wsl:
        text = "in WSL: the driver is that of Windows; the memory of a process is not available"
        yield Remark(Level.NOTE, text)
        if machine is None:
            advice = "install the NVIDIA driver in Windows, none in WSL; then `wsl --shutdown`"
            yield Remark(Level.NOTE, "WSL finds no driver of Windows", advice)
    if machine is None or wsl:
        return
    listed = [one for card in machine.cards for one in card.processes or ()]
    if any(one.memory_mib is None for one in listed):
        where = "the driver model WDDM gives none" if sys.platform == "win32" else "not available"
        yield Remark(Level.NOTE, f"the memory of single processes: {where}")
    if not container and any(not _is_here(one.pid, root) for one in listed):
        text = "some processes on the cards have no number here: another pid namespace's"
        yield Remark(Level.NOTE, text)


def is_container(environ: Mapping[str, str], root: Path) -> bool:
    """Return whether this is a container, by what Docker, Podman, Kubernetes and LXC leave."""
    if "container" in environ or "KUBERNETES_SERVICE_HOST" in environ:
        return True
    groups = read_start(root / "proc/1/cgroup", _LONGEST)
    return any((root / mark).exists() for mark in _MARKS) or any(m in groups for m in _GROUPS)


def is_wsl(root: Path) -> bool:
    """Return whether this is Linux under Windows."""
    return b"microsoft" in read_start(root / "proc/version", _LONGEST).lower()


def _is_here(pid: int, root: Path) -> bool:
    """Return whether a process is listed here; where none are listed, nothing is known."""
    processes = root / "proc"
    return not os.path.isdir(processes / "self") or (processes / str(pid)).exists()
