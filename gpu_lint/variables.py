"""Names of environment variables: those that mean the same, and those that were misspelt."""

from __future__ import annotations

import difflib
from functools import lru_cache

HEADER_VARIABLES = ("CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF")
MASK = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"
ALIASES = {"PYTORCH_ALLOC_CONF": "PYTORCH_CUDA_ALLOC_CONF"}
_OTHER_VARIABLES = frozenset(
    {
        "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES",
        "GPU_VISIBLE_DEVICES", "ONEAPI_DEVICE_SELECTOR", "ASCEND_RT_VISIBLE_DEVICES",
        "ASCEND_VISIBLE_DEVICES", "MUSA_VISIBLE_DEVICES", "TPU_VISIBLE_DEVICES",
        "TPU_VISIBLE_CHIPS", "XPU_VISIBLE_DEVICES", "MLU_VISIBLE_DEVICES",
        "PYTORCH_HIP_ALLOC_CONF", "PYTORCH_NPU_ALLOC_CONF", "PYTORCH_MUSA_ALLOC_CONF",
        "PYTORCH_NO_CUDA_MEMORY_CACHING", "HABANA_VISIBLE_DEVICES", "CUDA_DEVICE_MAX_CONNECTIONS",
    }
)  # fmt: skip


@lru_cache(maxsize=4096)
def misspelt(name: str) -> str | None:
    """The header variable that a name was certainly meant to be, if it is not one itself."""
    known = (*HEADER_VARIABLES, *ALIASES)
    if name in known or name in _OTHER_VARIABLES or name.startswith("_"):
        return None  # a leading underscore is a name of the project's own
    folded = name.strip().upper().replace("-", "_").replace(" ", "_")
    if folded in known:
        return ALIASES.get(folded, folded)
    if folded in _OTHER_VARIABLES or len(folded) < 12:
        return None
    close = difflib.get_close_matches(folded, known, n=1, cutoff=0.9)
    return close[0] if close and _few_changes(folded, close[0]) else None


def _few_changes(one: str, other: str) -> bool:
    """Whether the words of two names differ by two letters at most in each word."""
    words, others = one.split("_"), other.split("_")
    if len(words) != len(others):
        return one.replace("_", "") == other.replace("_", "")
    changes = [_distance(a, b) for a, b in zip(words, others, strict=True)]
    near = all(n <= (2 if len(b) > 4 else 1) for n, b in zip(changes, others, strict=True))
    return near and sum(n > 0 for n in changes) <= 2


def _distance(one: str, other: str) -> int:
    """Letters to insert, delete or replace; a swap of neighbours counts one."""
    rows = [list(range(len(other) + 1))]
    for i, a in enumerate(one, start=1):
        row = [i]
        for j, b in enumerate(other, start=1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]
