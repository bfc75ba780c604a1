"""The signs of code that Ray runs in processes which it shows a number of GPUs."""

from __future__ import annotations

import re

GRANTED = b"num_gpus"
"""The argument by which a task or an actor asks for GPUs."""
_ASKED = re.compile(rb"\bremote\s*\([^()]*\bnum_gpus\s*=")
_ASKED_AGAIN = re.compile(rb"\.options\s*\([^()]*\bnum_gpus\b")
"""A task or actor that is given another number where it is started."""


def may_be_granted(data: bytes) -> bool:
    """Whether a file may hold code that Ray shows a number of GPUs which the file alone decides."""
    return GRANTED in data and _ASKED.search(data) is not None and _ASKED_AGAIN.search(data) is None
