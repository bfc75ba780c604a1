"""The grammar of PYTORCH_CUDA_ALLOC_CONF.

Behaviour measured: ``rules/evidence/cuda-facts.md``, sections 5 and 9 (torch 2.11): a key or
value that it does not know ends the program. The keys are those that torch 2.11 accepts or
torch 2.13 reads (``c10/core/AllocatorConfig.h``, ``c10/cuda/CUDAAllocatorConfig.h`` and
``libc10.so`` of its wheel): what some version knows is no finding.
"""

from __future__ import annotations

import difflib
import re

from gpu_lint.digits import number_in

KEYS = (
    "backend",
    "expandable_segments",
    "garbage_collection_threshold",
    "graph_capture_record_stream_reuse",
    "large_segment_size_mb",
    "max_non_split_rounding_mb",
    "max_split_size_mb",
    "per_process_memory_fraction",
    "pinned_free_catch_all",
    "pinned_max_cached_size_mb",
    "pinned_max_round_threshold_mb",
    "pinned_num_register_threads",
    "pinned_reserve_segment_size_mb",
    "pinned_use_background_threads",
    "pinned_use_cuda_host_register",
    "pinned_use_hip_host_register",
    "release_lock_on_cudamalloc",
    "release_lock_on_hipmalloc",
    "roundup_power2_divisions",
    "throw_on_cudamalloc_oom",
)
_BOOLEANS = frozenset(
    {
        "expandable_segments",
        "graph_capture_record_stream_reuse",
        "pinned_use_background_threads",
        "pinned_use_cuda_host_register",
        "release_lock_on_cudamalloc",
        "release_lock_on_hipmalloc",
        "throw_on_cudamalloc_oom",
    }
)
_LEAST_SPLIT_MB = 20


def fault(text: str) -> str:
    """What PyTorch rejects in a value; empty when it accepts all of it."""
    for key, value in _entries(text):
        if value is None:
            return f"{key!r} lacks its ':value' (the program dies)"
        if key not in KEYS:
            close = difflib.get_close_matches(key.lower(), KEYS, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            return f"PyTorch does not know the key {key!r} (the program dies){hint}"
        if key in _BOOLEANS and value not in ("True", "False"):
            return f"{key} must be True or False, not {value!r} (the program dies)"
        if key == "max_split_size_mb" and (number_in(value) or 0) < _LEAST_SPLIT_MB:
            return (
                f"max_split_size_mb must be a number of at least {_LEAST_SPLIT_MB}, not {value!r}"
            )
        if key == "garbage_collection_threshold" and not _is_fraction(value):
            return f"garbage_collection_threshold must lie between 0 and 1, not {value!r}"
    return ""


def correction(text: str) -> str | None:
    """The value that was certainly meant, where it can be told."""
    entries = []
    for part in text.split(","):
        key, _, value = part.replace("=", ":", 1).partition(":")
        key, value = key.strip().lower(), value.strip()
        close = [key] if key in KEYS else difflib.get_close_matches(key, KEYS, n=2, cutoff=0.85)
        if len(close) != 1:
            return None
        key = close[0]
        value = value.capitalize() if key in _BOOLEANS else value
        entries.append(f"{key}:{value}")
    fixed = ",".join(entries)
    return fixed if fixed != text and not fault(fixed) else None


def same(one: str, other: str) -> bool:
    """Whether two values configure the same."""
    return sorted(map(str, _entries(one))) == sorted(map(str, _entries(other)))


def _entries(text: str) -> list[tuple[str, str | None]]:
    """``key:value`` pairs; a value in brackets may hold commas."""
    entries: list[tuple[str, str | None]] = []
    for part in _split(text):
        if part.strip():
            key, colon, value = part.partition(":")
            entries.append((key.strip(), value.strip() if colon else None))
    return entries


def _split(text: str) -> list[str]:
    """The parts between commas that are in no brackets."""
    bracketed = False
    starts = [0]
    for mark in re.finditer(r"[\[\],]", text):
        if mark.group() != ",":
            bracketed = mark.group() == "["
        elif not bracketed:
            starts.append(mark.end())
    ends = [start - 1 for start in starts[1:]]
    return [text[start:end] for start, end in zip(starts, [*ends, len(text)], strict=True)]


def _is_fraction(value: str) -> bool:
    try:
        return 0.0 < float(value) < 1.0
    except ValueError:
        return False
