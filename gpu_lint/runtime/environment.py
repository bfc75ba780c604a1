"""The environment variables that decide which GPU a process uses."""

from __future__ import annotations

import os
from collections.abc import Mapping

from gpu_lint.variables import ALIASES, HEADER_VARIABLES

POLICY_VARIABLES = (
    *HEADER_VARIABLES,
    *ALIASES,
    "NVIDIA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
)
"""Those of a policy, and those that hide or choose GPUs beside them."""


def without_policy(env: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which nothing chooses a GPU yet."""
    return {name: value for name, value in env.items() if _name(name) not in POLICY_VARIABLES}


def _name(name: str) -> str:
    """Return a variable's name as it is compared: Windows knows no small letters in it."""
    return name.upper() if os.name == "nt" else name
