"""What programs do to their environment: writers, mappings, removals, and what may replace a mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.conftest import VOICE_POLICY, check_files

POLICY: dict[str, Any] = {
    **VOICE_POLICY,
    "header": {"required-in": "gpu-files"},
    "validation": {"required-in": "never"},
}
HEADER = """\
import os
os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
os.environ["CUDA_VISIBLE_DEVICES"] = "1"
os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "max_split_size_mb:1024"
import torch
"""
USE = 'torch.zeros(1, device="cuda")\n'
MASK = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"
SETTINGS = (
    '{"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "1",'
    ' "PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:1024"}'
)
"""A right header, as a dict."""


def codes(
    tmp_path: Path, files: str | dict[str, str], policy: dict[str, Any] | None = None
) -> list[tuple[str, str, int]]:
    """The code and line of each finding, with its file, of a program (``run.py``) of some files."""
    given = {"run.py": files} if isinstance(files, str) else files
    found = []
    for name, result in sorted(check_files(tmp_path, given, policy).items()):
        for finding in result.findings:
            found.append((name, finding.code, result.source.row(finding.span.start)))
    return sorted(found, key=lambda one: (one[0], one[2], one[1]))


def after_header(text: str) -> str:
    """A program with the header, something between that and the first use (line 6 on), and that."""
    return HEADER + text + USE
