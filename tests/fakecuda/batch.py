"""Runs many small programs in one process, each from a fresh start; JSON in, JSON out.

Run as a script with ``site/`` on the path. Input: a list of programs, each a dict of files, of
which ``run.py`` is started; its ``"argv"``, if it has one, is the words after the program's name.
Output: what each printed and did, and the physical GPUs that it and its children touched.
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
from processes import Processes, silent  # type: ignore[import-not-found]

_QUERIES = frozenset({"torch.cuda.get_device_properties"})
"""What asks the driver for a GPU's name and size, and does nothing on it."""


def run(files: dict[str, str]) -> dict[str, Any]:
    """Run one program: its printed lines, its writes to the mask, what is visible at its end."""
    files = dict(files)
    words = files.pop("argv", "").split()
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

    environ = os.environ
    saved = dict(os.environ), list(sys.path), frozenset(sys.modules), list(sys.argv)
    processes = Processes(os.path.join(root, "run.py"), saved[2])
    real = _fakecuda.log, builtins.print, atexit.register
    _fakecuda.DRIVER.__init__()
    _fakecuda.log = log
    builtins.print = lambda *words, **kwargs: printed.append(" ".join(map(str, words)))
    atexit.register = register  # type: ignore[assignment]
    sys.path.insert(0, root)
    directory = os.getcwd()
    os.chdir(root)
    sys.argv[:] = [os.path.join(root, "run.py"), *words]
    importlib.invalidate_caches()
    error, status = "", 0
    with processes.in_place():
        try:
            runpy.run_path(os.path.join(root, "run.py"), run_name="__main__")
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
        except BaseException:
            error = traceback.format_exc()
        for function, args, kwargs in reversed(waiting):
            function(*args, **kwargs)
    uses = [e for e in events if e["event"] == "use" and e["api"] not in _QUERIES]
    touched = sorted({use["physical"] for use in uses if "physical" in use})
    freezes = [e for e in events if e["event"] == "freeze"]
    with contextlib.suppress(RuntimeError):
        _fakecuda.DRIVER.initialise("the end")
    visible = _fakecuda.DRIVER.visible
    _fakecuda.log, builtins.print, atexit.register = real  # type: ignore[assignment]
    for name in set(sys.modules) - saved[2]:
        del sys.modules[name]
    os.environ = environ  # noqa: B003
    with silent():
        os.environ.clear()
        os.environ.update(saved[0])
    os.chdir(directory)
    sys.path[:] = saved[1]
    sys.argv[:] = saved[3]
    shutil.rmtree(root)
    writes = [e for e in events if e["event"] == "write" and e["key"] == _fakecuda.MASK]
    return {
        "printed": printed,
        "writes": writes,
        "visible": visible,
        "error": error,
        "status": status,
        "failed": processes.failed,
        "touched": touched,
        "freezes": freezes,
    }


if __name__ == "__main__":
    json.dump([run(files) for files in json.load(sys.stdin)], sys.stdout)
