"""CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER as CUDA reads them.

Measured: ``rules/evidence/cuda-facts.md``, sections 3 and 4 (Linux, two GPUs).
"""

from __future__ import annotations

import re
from functools import lru_cache

from gpu_lint.records import record

DEVICE_ORDERS = ("PCI_BUS_ID", "FASTEST_FIRST")
_INDEX = re.compile(r"\+?([0-9]{1,18})(?![0-9])")
_AROUND = ("'", '"', "[", "(", "{")
"""What stands around a value where it is written, and does not belong into it."""
_UUID = re.compile(r"(?:GPU|MIG)-[0-9A-Za-z/-]+")
_NO_DEVICE_WORDS = frozenset({"nodevfiles", "none", "cpu", "void", "no"})


@record
class MaskReading:
    """What CUDA makes of a mask."""

    devices: tuple[str, ...]
    """The devices it shows, in order: physical indices in decimal, or UUIDs."""
    fault: str = ""
    """What is wrong with the value, in words; empty when nothing is."""
    by_accident: bool = False
    """It hides every GPU as was meant, but only because CUDA rejects it."""


@lru_cache(maxsize=64)
def read_mask(text: str) -> MaskReading:
    """Read a mask as CUDA does. Which of the devices exist is the machine's affair."""
    if text.strip() in ("", "-1", "NoDevFiles"):
        return MaskReading(())
    if text.strip().lower() in _NO_DEVICE_WORDS:
        return MaskReading((), f"{text!r} is no device: CUDA shows no GPU at all", True)
    devices: list[str] = []
    known: set[str] = set()
    entries = text.split(",")
    for position, entry in enumerate(entries):
        word = entry.strip()
        if entry[:1].isspace() and word.startswith(("GPU-", "MIG-")):
            return _cut(text, entry, devices)
        if word in ("", "-1") and position == len(entries) - 1:
            break
        if index := _INDEX.fullmatch(word):
            device = str(int(index.group(1)))
        elif _UUID.fullmatch(word) and not (devices and devices[0].isdigit()):
            device = word
        else:
            return _cut(text, word, devices)
        if devices and devices[0].isdigit() != device.isdigit():
            return _cut(text, word, devices)
        if device in known:
            return MaskReading((), f"device {device} is listed twice: CUDA error 101, no GPU works")
        devices.append(device)
        known.add(device)
    return MaskReading(tuple(devices))


def _cut(text: str, word: str, devices: list[str]) -> MaskReading:
    prefix = _INDEX.match(word)
    if prefix is not None and prefix.end() < len(word):
        seen = str(int(prefix.group(1)))
        shown = ",".join([*devices, seen])
        return MaskReading(
            (*devices, seen),
            f"CUDA stops in {word!r} at {word[prefix.end() :]!r} and shows only device {shown}",
        )
    if word[:1] in _AROUND:
        what = f"{word[:1]!r} is part of the value"
        shown = f"only device {','.join(devices)}" if devices else "no GPU at all"
        return MaskReading(tuple(devices), f"{what}: CUDA shows {shown}")
    if devices:
        shown = ",".join(devices)
        return MaskReading(tuple(devices), f"CUDA stops at {word!r} and shows only device {shown}")
    if word[:1].isspace():
        return MaskReading((), f"{word!r} begins with a blank: CUDA finds no such UUID")
    if word.lower().startswith(("gpu-", "mig-")):
        return MaskReading((), f"{word!r} is not how a UUID is written (GPU-…): no GPU is visible")
    return MaskReading((), f"{word!r} is neither an index nor a UUID: CUDA shows no GPU at all")


def certain_correction(text: str) -> str | None:
    """The mask that was certainly meant, where an invalid one leaves no doubt."""
    stripped = text.strip().strip("'\"")
    match = re.fullmatch(r"(?:cuda:|gpu:)?([0-9]{1,18})", stripped, re.IGNORECASE)
    if match:
        return match.group(1)
    if re.fullmatch(r"[0-9]{1,18}(?:(?:\s*[;,]\s*|\s+)[0-9]{1,18})+", stripped):
        numbers = re.findall(r"[0-9]+", stripped)
        return ",".join(numbers) if len(set(numbers)) == len(numbers) else None
    return None


def same_mask(one: str, other: str) -> bool:
    """Whether two masks show the same devices in the same order."""
    return read_mask(one) == read_mask(other)


def order_fault(text: str) -> str:
    """What is wrong with a CUDA_DEVICE_ORDER value; empty when nothing is."""
    if text in DEVICE_ORDERS:
        return ""
    return f"{text!r} is not accepted: CUDA error 101, no GPU works at all"


def certain_order(text: str) -> str | None:
    """The device order that was certainly meant."""
    meant = text.strip().upper().replace("-", "_").replace(" ", "_")
    return meant if meant in DEVICE_ORDERS else None
