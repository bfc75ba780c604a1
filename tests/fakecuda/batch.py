"""Runs many small programs in one process, each from a fresh start; JSON in, JSON out.

Run as a script with ``site/`` on the path. Input: a list of programs, each a dict of files, of
which ``run.py`` is started. Output: what each printed and did.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import importlib
import json
import os
import runpy
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import _fakecuda  # type: ignore[import-not-found]


def run(files: dict[str, str]) -> dict[str, Any]:
    """Run one program: its printed lines, its writes to the mask, what is visible at its end."""
    root = tempfile.mkdtemp(prefix="program")
    for name, text in files.items():
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    printed: list[str] = []
    events: list[dict[str, Any]] = []
    waiting: list[Any] = []

    def log(event: str, **facts: Any) -> None:
        file, line = _fakecuda.place()
        name = os.path.relpath(file, root).replace(os.sep, "/") if file else ""
        events.append({"event": event, "file": name, "line": line, **facts})

    def register(function: Any, *args: Any, **kwargs: Any) -> Any:
        waiting.append((function, args, kwargs))
        return function

    saved = dict(os.environ), list(sys.path), set(sys.modules)
    real = _fakecuda.log, builtins.print, atexit.register
    _fakecuda.DRIVER.__init__()
    _fakecuda.log = log
    builtins.print = lambda *words, **kwargs: printed.append(" ".join(map(str, words)))
    atexit.register = register  # type: ignore[assignment]
    sys.path.insert(0, root)
    importlib.invalidate_caches()
    error = ""
    try:
        runpy.run_path(os.path.join(root, "run.py"), run_name="__main__")
    except SystemExit:
        pass
    except BaseException:
        error = traceback.format_exc()
    for function, args, kwargs in reversed(waiting):
        function(*args, **kwargs)
    with contextlib.suppress(RuntimeError):
        _fakecuda.DRIVER.initialise("the end")
    visible = _fakecuda.DRIVER.visible
    _fakecuda.log, builtins.print, atexit.register = real  # type: ignore[assignment]
    for name in set(sys.modules) - saved[2]:
        del sys.modules[name]
    os.environ.clear()
    os.environ.update(saved[0])
    sys.path[:] = saved[1]
    shutil.rmtree(root)
    writes = [e for e in events if e["event"] == "write" and e["key"] == _fakecuda.MASK]
    return {"printed": printed, "writes": writes, "visible": visible, "error": error}


if __name__ == "__main__":
    json.dump([run(files) for files in json.load(sys.stdin)], sys.stdout)
