"""Imports a file as its project would, then initialises CUDA's driver without using any card.

``gpu-lint verify`` starts it under the recorder: ``python gpu_lint_import.py ROOT MODULE FILE``.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys


def main(root: str, module: str, file: str) -> None:
    """Import a file, under a module's name if that finds it from the project's root."""
    sys.path[0] = root
    sys.argv = [file]
    found = importlib.util.find_spec(module) if module else None
    if found is not None and found.origin == file:
        importlib.import_module(module)
    else:
        spec = importlib.util.spec_from_file_location(module or "__imported__", file)
        if spec is None or spec.loader is None:
            raise ImportError(f"{file} cannot be imported")
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = loaded
        spec.loader.exec_module(loaded)
    recorder = sys.modules.get("gpu_lint_probe.recorder")
    if recorder is not None:
        recorder.initialise()


if __name__ == "__main__":
    main(*sys.argv[1:4])
