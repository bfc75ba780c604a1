"""Reads the machine from the output of ``nvidia-smi``, where NVML cannot be asked."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from gpu_lint.errors import GpuLintError
from gpu_lint.runtime.cards import (
    NVIDIA_SMI,
    Card,
    CardProcess,
    Machine,
    NoDriver,
    in_pci_order,
    pci_address,
)
from gpu_lint.runtime.programs import is_program, on_path

_SECONDS = 30
"""How long one call may take; a machine without persistence mode loads its driver first."""
_FIELDS = (
    "index",
    "uuid",
    "pci.bus_id",
    "memory.total",
    "memory.used",
    "compute_mode",
    "driver_version",
)
_NEWER = ("mig.mode.current", "compute_cap")
"""Fields that older releases refuse."""
_AS_CSV = "--format=csv,noheader,nounits"
_CUDA = re.compile(r"CUDA (?:\w+ )?Version\s*:\s*([0-9]+\.[0-9]+)")
_GPU_LINE = re.compile(r"\s*GPU [0-9]+: .*\(UUID: (GPU-[^)]+)\)")
_MIG_LINE = re.compile(r"\s*MIG .*\(UUID: (MIG-[^)]+)\)")
_OF_WSL = Path("/usr/lib/wsl/lib/nvidia-smi")
"""Where WSL keeps the command, which is not always on PATH."""


class NoCommand(GpuLintError):
    """There is no ``nvidia-smi`` to ask."""


def read() -> Machine:
    """Return the driver and its cards as ``nvidia-smi`` tells. Raises :class:`NoCommand` where
    there is none, :class:`NoDriver` where it fails."""
    smi = _command()
    fields: tuple[str, ...] = (*_FIELDS, *_NEWER, "name")  # the name last: it may hold a comma
    done = _run(smi, f"--query-gpu={','.join(fields)}", _AS_CSV)
    if done.returncode and "not a valid field" in done.stdout + done.stderr:
        fields = (*_FIELDS, "name")
        done = _run(smi, f"--query-gpu={','.join(fields)}", _AS_CSV)
    if done.returncode:
        said = (done.stdout.strip() or done.stderr.strip()).splitlines()
        raise NoDriver(f"nvidia-smi failed: {said[0] if said else f'status {done.returncode}'}")
    rows = [
        dict(zip(fields, (cell.strip() for cell in line.split(",", len(fields) - 1)), strict=False))
        for line in done.stdout.splitlines()
        if line.strip()
    ]
    whole = [row for row in rows if "name" in row and row["index"].isdigit()]
    whole = [row for row in whole if row["uuid"].startswith("GPU-")]
    processes = _processes(smi)
    parts = _mig_parts(smi) if any(_given(row, "mig.mode.current") for row in whole) else {}
    return Machine(
        driver=next((row["driver_version"] for row in whole), ""),
        cuda=_cuda(smi),
        cards=in_pci_order([_card(row, processes, parts) for row in whole]),
        source=NVIDIA_SMI,
        unread=tuple(
            f"card {number} does not answer: nvidia-smi says {', '.join(row.values())}"
            for number, row in enumerate(rows)
            if row not in whole
        ),
    )


def _card(
    row: dict[str, str],
    processes: dict[str, list[CardProcess]] | None,
    parts: dict[str, list[str]],
) -> Card:
    major, _, minor = (_given(row, "compute_cap") or "").partition(".")
    mig = _given(row, "mig.mode.current")
    uuid = row["uuid"]
    return Card(
        index=int(row["index"]),
        uuid=uuid,
        name=row["name"],
        pci=pci_address(row["pci.bus_id"]),
        memory_mib=_number(row["memory.total"]),
        used_mib=_number(row["memory.used"]),
        compute_mode=_given(row, "compute_mode"),
        mig=None if mig is None else mig == "Enabled",
        mig_uuids=tuple(parts.get(uuid, ())),
        capability=(int(major), int(minor)) if major.isdigit() and minor.isdigit() else None,
        processes=None if processes is None else tuple(processes.get(uuid, ())),
    )


def _given(row: dict[str, str], field: str) -> str | None:
    """Return a cell; None where nvidia-smi has nothing: ``[N/A]``, ``[Not Supported]``."""
    text = row.get(field, "")
    return None if not text or text.startswith("[") or text == "N/A" else text


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _processes(smi: Path) -> dict[str, list[CardProcess]] | None:
    """Return the processes by the UUIDs of their cards; None where they are not available."""
    fields = "gpu_uuid,pid,used_gpu_memory,process_name"
    done = _run(smi, f"--query-compute-apps={fields}", _AS_CSV)
    if done.returncode:
        return None
    found: dict[str, list[CardProcess]] = {}
    for line in done.stdout.splitlines():
        cells = [cell.strip() for cell in line.split(",", 3)]
        if len(cells) == 4 and cells[1].isdigit():
            name = "" if cells[3].startswith("[") else cells[3]
            process = CardProcess(int(cells[1]), name, _number(cells[2]))
            found.setdefault(cells[0], []).append(process)
    return found


def _mig_parts(smi: Path) -> dict[str, list[str]]:
    """Return the UUIDs of MIG devices by those of their cards."""
    found: dict[str, list[str]] = {}
    card = ""
    for line in _run(smi, "-L").stdout.splitlines():
        if match := _GPU_LINE.match(line):
            card = match[1]
        elif match := _MIG_LINE.match(line):
            found.setdefault(card, []).append(match[1])
    return found


def _cuda(smi: Path) -> str:
    found = _CUDA.search(_run(smi, "-q", "-d", "COMPUTE").stdout)
    return found[1] if found else ""


def _command() -> Path:
    """Return the path of ``nvidia-smi``. Raises :class:`NoCommand`."""
    found = next(filter(is_program, (*on_path("nvidia-smi", os.environ), _OF_WSL)), None)
    if found is None:
        raise NoCommand("there is no nvidia-smi on PATH")
    return found


def _run(smi: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``nvidia-smi``. Raises :class:`NoDriver` where it cannot be run or never ends."""
    try:
        return subprocess.run(
            [smi, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise NoDriver(f"nvidia-smi did not answer within {_SECONDS} seconds") from None
    except OSError as error:
        raise NoDriver(f"nvidia-smi cannot be run: {error.strerror or error}") from error
