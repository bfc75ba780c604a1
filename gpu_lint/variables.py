"""Environment variables: what those beside CUDA's own accept, and names that were misspelt."""

from __future__ import annotations

import re
from functools import lru_cache

from gpu_lint.closest import closest
from gpu_lint.records import record

HEADER_VARIABLES = ("CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF")
MASK = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"
ALIASES = {"PYTORCH_ALLOC_CONF": "PYTORCH_CUDA_ALLOC_CONF"}
_OTHER_VARIABLES = frozenset(
    {
        "GPU_VISIBLE_DEVICES", "ONEAPI_DEVICE_SELECTOR", "ASCEND_RT_VISIBLE_DEVICES",
        "ASCEND_VISIBLE_DEVICES", "MUSA_VISIBLE_DEVICES", "TPU_VISIBLE_DEVICES",
        "TPU_VISIBLE_CHIPS", "XPU_VISIBLE_DEVICES", "MLU_VISIBLE_DEVICES",
        "PYTORCH_HIP_ALLOC_CONF", "PYTORCH_NPU_ALLOC_CONF", "PYTORCH_MUSA_ALLOC_CONF",
        "PYTORCH_NO_CUDA_MEMORY_CACHING", "HABANA_VISIBLE_DEVICES", "CUDA_DEVICE_MAX_CONNECTIONS",
    }
)  # fmt: skip
"""Names that are close to others and mean something themselves."""


@record
class Variable:
    """An environment variable that decides about GPUs, beside CUDA's own."""

    name: str
    accepts: str
    """``container`` (of NVIDIA's runtime), ``indices``, ``indices-or-uuids``, ``affinity`` (of
    Level Zero), ``choice`` or ``fraction`` (a number from 0 to 1)."""
    choices: tuple[str, ...]
    ignores_case: bool
    read_by: str
    """Who reads it, and when, in words."""
    otherwise: str
    """What comes of a value that is not accepted, in words."""
    evidence: str

    @property
    def reader(self) -> str:
        """Who reads it."""
        return self.read_by.partition(",")[0]

    def fault(self, text: str) -> str:
        """What is wrong with a value; empty where nothing is."""
        return "" if self._accepts(text) else f"{self._wanted()}; {self.otherwise}"

    def correction(self, text: str) -> str | None:
        """The value that was certainly meant, where there is no doubt."""
        truth = {"1": "true", "yes": "true", "on": "true", "0": "false", "no": "false"}
        meant = truth.get(text.strip().lower(), text.strip().lower())
        return meant if self.accepts == "choice" and meant in self.choices else None

    def _accepts(self, text: str) -> bool:
        if self.accepts == "choice":
            return (text.lower() if self.ignores_case else text) in self.choices
        if self.accepts == "fraction":
            return _is_fraction(text)
        if self.accepts == "container" and text.strip() in ("", "all", "none", "void"):
            return True
        if text.strip() in ("", "-1"):
            return True  # the idiom for none
        return all(_ENTRY[self.accepts].fullmatch(entry.strip()) for entry in text.split(","))

    def _wanted(self) -> str:
        if self.accepts == "choice":
            return f"accepted are {', '.join(self.choices)}"
        return {
            "fraction": "a number from 0 to 1 is wanted",
            "container": "indices or UUIDs with commas, all, none or void are wanted",
            "indices": "indices with commas are wanted",
            "indices-or-uuids": "indices or UUIDs with commas are wanted",
            "affinity": "indices with commas are wanted, perhaps with sub-devices (0.1)",
        }[self.accepts]


_ENTRY = {
    "container": re.compile(r"[0-9]+(:[0-9]+)?|(GPU|MIG)-[0-9A-Za-z/-]+"),
    "indices": re.compile(r"[0-9]+"),
    "indices-or-uuids": re.compile(r"[0-9]+|GPU-[0-9A-Za-z]+"),
    "affinity": re.compile(r"[0-9]+(\.[0-9]+)*"),
}


def _is_fraction(text: str) -> bool:
    try:
        return 0.0 <= float(text) <= 1.0
    except ValueError:
        return False


_DEVICES = frozenset({"DEVICE", "DEVICES", "GPU", "GPUS"})
_MEANINGS = {
    frozenset({"CUDA", "VISIBLE"}): MASK,
    frozenset({"CUDA", "VISIBLE", "DEVICES"}): MASK,
    frozenset({"CUDA", "DEVICES", "ORDER"}): ORDER,
}


@lru_cache(maxsize=4096)
def misspelt(name: str, others: tuple[str, ...] = ()) -> str | None:
    """The variable that a name was certainly meant to be, if it is not one itself.

    ``others`` are those known beside CUDA's and PyTorch's.
    """
    known = (*HEADER_VARIABLES, *ALIASES, *others)
    if name in known or name in _OTHER_VARIABLES or name.startswith("_"):
        return None  # a leading underscore is a name of the project's own
    folded = name.strip().upper().replace("-", "_").replace(" ", "_")
    if folded in known:
        return ALIASES.get(folded, folded)
    if folded in _OTHER_VARIABLES or len(folded) < 12:
        return None
    if (meant := _meant_by_words(folded.split("_"))) is not None:
        return meant
    close = closest(folded, known, least=0.9)
    return close[0] if close and _few_changes(folded, close[0]) else None


def _meant_by_words(words: list[str]) -> str | None:
    """The variable that has the same words in another order, or others for devices."""
    if words[:2] == ["CUDA", "AVAILABLE"] and len(words) > 2:
        words = ["CUDA", "VISIBLE", *words[2:]]
    said = frozenset("DEVICES" if word in _DEVICES else word for word in words)
    return _MEANINGS.get(said) if len(said) == len(words) else None


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
