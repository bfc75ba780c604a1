"""Stand-ins for the processes that a program starts: each child runs in this process, in turn.

A forked child goes on with all that its parent has, and fails where its parent has initialised
CUDA already. A spawned one imports the main file anew, under its parent's environment. What
``subprocess`` starts runs under the environment that it is given.
"""

from __future__ import annotations

import concurrent.futures
import importlib
import os
import runpy
import subprocess
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import _fakecuda  # type: ignore[import-not-found]


@contextmanager
def silent() -> Iterator[None]:
    """Log nothing meanwhile: what is done is not the program's doing."""
    log = _fakecuda.log
    _fakecuda.log = lambda event, **facts: None
    try:
        yield
    finally:
        _fakecuda.log = log


class Processes:
    """The processes of one program."""

    def __init__(self, main: str, modules: frozenset[str]) -> None:
        """``main`` is the file that was started, ``modules`` are loaded whatever a program does."""
        self._main = main
        self._modules = modules
        self.failed: list[str] = []
        """What ended children before their end."""

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Have the program meet the stand-ins."""
        loaded = sys.modules.get("multiprocessing")
        real = {name: getattr(subprocess, name) for name in ("run", "check_call", "Popen")}
        sys.modules["multiprocessing"] = self._multiprocessing()
        concurrent.futures.ProcessPoolExecutor = self._executor  # type: ignore
        subprocess.run = self._run  # type: ignore[assignment]
        subprocess.check_call = lambda command, **kw: self._run(command, check=True, **kw)  # type: ignore
        subprocess.Popen = self._popen  # type: ignore
        try:
            yield
        finally:
            del sys.modules["multiprocessing"], concurrent.futures.ProcessPoolExecutor
            if loaded is not None:
                sys.modules["multiprocessing"] = loaded
            for name, function in real.items():
                setattr(subprocess, name, function)

    # --- children ------------------------------------------------------------------------

    def call(self, method: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function in a child process, which is started by a method; what it returns."""
        if method == "fork":
            with self._child(None):
                return function(*args, **kwargs)
        with self._child(dict(os.environ)):
            module = function.__module__
            if module == "__main__":
                names = runpy.run_path(self._main, run_name="__mp_main__")
                found = names[function.__name__]
            else:
                found = getattr(importlib.import_module(module), function.__name__)
            return found(*args, **kwargs)

    def program(self, command: Sequence[str], environment: Mapping[str, str] | None) -> int:
        """Run a Python program to its end; its exit status."""
        root, text = os.path.dirname(self._main), command[1]
        is_text = text == "-c"
        with self._child(dict(os.environ if environment is None else environment)):
            sys.argv = command[1:] if is_text else [os.path.join(root, text), *command[2:]]
            try:
                if is_text:
                    exec(compile(command[2], "-c", "exec"), {"__name__": "__main__"})
                else:
                    runpy.run_path(sys.argv[0], run_name="__main__")
            except SystemExit as ended:
                return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
            except Exception as error:
                self.failed.append(f"{text}: {error!r}")
                return 1
        return 0

    @contextmanager
    def _child(self, environment: dict[str, str] | None) -> Iterator[None]:
        """Be another process: a fresh one under an environment, or (None) a copy of this one."""
        driver, torch = _fakecuda.DRIVER, sys.modules.get("torch")
        before = dict(os.environ), dict(vars(driver)), list(sys.argv), dict(sys.modules)
        state = dict(vars(torch._state)) if torch is not None else {}
        if environment is None:
            driver.native = dict(driver.native)
            driver.inherited = driver.inherited or driver.frozen
        else:
            for name in set(sys.modules) - self._modules - {"multiprocessing", "__main__"}:
                del sys.modules[name]
            driver.__init__()
            with silent():
                os.environ.clear()
                os.environ.update(environment)
        try:
            yield
        finally:
            with silent():
                os.environ.clear()
                os.environ.update(before[0])
            vars(driver).clear()
            vars(driver).update(before[1])
            sys.argv[:] = before[2]
            for name in set(sys.modules) - before[3].keys():
                del sys.modules[name]
            sys.modules.update(before[3])
            if torch is not None:
                vars(torch._state).update(state)

    # --- what a program sees ---------------------------------------------------------------

    def _multiprocessing(self, method: str = "fork") -> Any:
        """The module, or one of its contexts."""
        module = types.ModuleType("multiprocessing")
        chosen = [method]

        def start(
            function: Callable[..., Any], args: Iterable[Any], kwargs: Mapping[str, Any]
        ) -> int:
            try:
                self.call(chosen[0], function, *args, **kwargs)
            except Exception as error:
                self.failed.append(f"{function.__name__}(): {error!r}")
                return 1
            return 0

        class Process:
            exitcode: int | None = None

            def __init__(
                self,
                target: Callable[..., Any],
                args: Iterable[Any] = (),
                kwargs: Mapping[str, Any] | None = None,
            ) -> None:
                self._work = target, args, kwargs or {}

            def start(self) -> None:
                self.exitcode = start(*self._work)

            def join(self, timeout: float | None = None) -> None:
                pass

        class Pool:
            def __init__(inner, processes: int | None = None) -> None:
                pass

            def map(inner, function: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
                return [self.call(chosen[0], function, item) for item in items]

            def apply(inner, function: Callable[..., Any], args: Iterable[Any] = ()) -> Any:
                return self.call(chosen[0], function, *args)

            def __enter__(inner) -> Any:
                return inner

            def __exit__(inner, *error: object) -> None:
                pass

        def set_start_method(method: str, force: bool = False) -> None:
            chosen[0] = method

        module.__dict__.update(
            Process=Process,
            Pool=Pool,
            get_context=self._multiprocessing,
            set_start_method=set_start_method,
        )
        return module

    def _executor(self, max_workers: int | None = None, mp_context: Any = None) -> Any:
        pool = (mp_context or self._multiprocessing()).Pool(max_workers)

        class Executor:
            def submit(self, function: Callable[..., Any], *args: Any) -> Any:
                future: concurrent.futures.Future[Any] = concurrent.futures.Future()
                try:
                    future.set_result(pool.apply(function, args))
                except Exception as error:
                    future.set_exception(error)
                return future

            def map(self, function: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
                return list(pool.map(function, items))

            def __enter__(self) -> Any:
                return self

            def __exit__(self, *error: object) -> None:
                pass

        return Executor()

    def _run(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        check: bool = False,
        **options: Any,
    ) -> subprocess.CompletedProcess[str]:
        if command[0] == "nvidia-smi":
            return _fakecuda.nvidia_smi(command)  # type: ignore[no-any-return]
        status = self.program(command, env)
        if check and status:
            raise subprocess.CalledProcessError(status, command)
        return subprocess.CompletedProcess(command, status, "", "")

    def _popen(self, command: Sequence[str], **options: Any) -> Any:
        status = self._run(command, **options).returncode
        return types.SimpleNamespace(returncode=status, wait=lambda timeout=None: status)
