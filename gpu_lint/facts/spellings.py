"""How a program spells the choice of a device: one table for the interpreter and the byte scan.

The interpreter (:mod:`~gpu_lint.facts.selection`, :mod:`~gpu_lint.facts.devices`) calls a value a
device by it, and the scan (:mod:`~gpu_lint.facts.devicetext`, :mod:`~gpu_lint.facts.handedtext`)
looks for it in the bytes, so that a file in which a device is chosen is never passed over.
"""

from __future__ import annotations

DEVICE_WORDS = ("cuda", "gpu", "CUDA", "GPU", "Cuda", "Gpu")
"""What stands before the colon of a device with an index: ``cuda:1``, ``/GPU:1``."""
DEVICE_KEYWORDS = frozenset({"device", "map_location", "target_device", "torch_device"})
"""Keywords that take a device in a call that no row describes."""
DEVICE_PARAMETER = r"(?:.*_)?device"
"""Parameters whose default is a device."""
NOT_A_GPU = frozenset({"cpu", "mps", "meta", "xpu", "hpu", "npu", "xla", "disk"})
"""Devices that are none of CUDA's, without their index."""
GIVEN = (
    ("to", ".to(", r"\.to\("),
    ("device", "device", r"device(?<!\wdevice)\s*="),
    ("map_location", "map_location", r"map_location(?<!\wmap_location)\s*="),
)
"""What stands before an index that is given as a device: a word, what the pattern begins with, and
the pattern."""

GAP = r"(?:\s|\\\r?\n|#[^\n]*\n)*"
"""What may stand between the tokens of an expression in brackets."""
NUMBER = r"(?:0*[1-9]|0[xXoObB])"
"""What an index other than 0 begins with."""
PIECE = r"[rRuUfFbB]{0,2}[\"']"
"""What a text begins with."""
JOINED = rf"[\"']{GAP}(?:\+{GAP})?(?:str\({GAP})?(?:{PIECE}:|{NUMBER})"
"""What stands behind a device's word whose index is in another text beside it."""
LISTED = rf"[\"']{GAP},{GAP}{PIECE}{NUMBER}"
"""What stands behind a device's word whose index is the next of a list of texts."""
