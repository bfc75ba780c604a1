"""Keeps runs of ``trace`` and ``verify`` in the user's history."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from gpu_lint.cli.options import state_directory
from gpu_lint.cli.output import tell
from gpu_lint.errors import HomelessError, StateError
from gpu_lint.runtime.history import History, PastRun
from gpu_lint.settings import Settings


def keep(command: str, document: Mapping[str, Any], settings: Settings) -> None:
    """Remember a run by its JSON document, which holds no secrets; say in one line if that cannot
    be done, which changes nothing else."""
    days, mib = settings.get("runtime.history.days"), settings.get("runtime.history.mib")
    try:
        history = History(state_directory(), days, mib)
    except (StateError, HomelessError) as error:
        tell(f"gpu-lint: no history is kept: {error}")
        return
    if warning := history.add(PastRun.of(command, document, os.environ)):
        tell(f"gpu-lint: {warning}")
