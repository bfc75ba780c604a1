"""Puts the rule files into the wheel: their documents and data, and the rules as JSON, too.

See ``gpu_lint/rulebundle.py``. The scripts in ``rules/evidence`` measured the data; they are in the
source distribution alone.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_SHIPPED = (".json", ".md", ".toml", ".txt")


class RulesAsJson(BuildHookInterface):
    """Runs when a wheel is built; an editable install reads the TOML files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        from gpu_lint.rulebundle import write_json

        rules = Path(self.root, "rules")
        for path in sorted(rules.rglob("*")):
            if path.suffix in _SHIPPED:
                name = path.relative_to(self.root).as_posix()
                build_data["force_include"][str(path)] = f"gpu_lint/{name}"
        self._made = tempfile.TemporaryDirectory()
        for path in write_json(rules, Path(self._made.name)):
            build_data["force_include"][str(path)] = f"gpu_lint/rules/{path.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self._made.cleanup()
