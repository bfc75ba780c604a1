"""Puts the rule files into the wheel as JSON, too: see ``gpu_lint/rulebundle.py``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class RulesAsJson(BuildHookInterface):
    """Runs when a wheel is built; an editable install reads the TOML files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        from gpu_lint.rulebundle import write_json

        self._made = tempfile.TemporaryDirectory()
        for path in write_json(Path(self.root, "rules"), Path(self._made.name)):
            build_data["force_include"][str(path)] = f"gpu_lint/rules/{path.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self._made.cleanup()
