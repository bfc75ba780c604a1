"""Starts the recorder in each Python process of a traced command.

``gpu-lint trace`` and ``verify`` put this directory on ``PYTHONPATH``. The ``sitecustomize`` of the
environment, which this one hides, runs afterwards. Standard library only, Python 3.8 or newer.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.util
import os
import sys


def _start_recorder() -> None:
    """Start it; what goes wrong with it is noted, and never the program's trouble."""
    try:
        importlib.import_module("gpu_lint_probe.recorder").start()
    except Exception as error:
        with contextlib.suppress(Exception):
            path = os.path.join(os.environ["GPU_LINT_TRACE"], f"{os.getpid()}.failed")
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(f"{type(error).__name__}: {error}")


def _run_hidden(here: str) -> None:
    """Run the ``sitecustomize`` that would be found without this one."""
    others = [path for path in sys.path if os.path.abspath(path) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


_HERE = os.path.dirname(os.path.abspath(__file__))
if os.environ.get("GPU_LINT_TRACE"):
    _start_recorder()
if _HERE in sys.path:
    sys.path.remove(_HERE)
    sys.path.append(_HERE)
_run_hidden(_HERE)
