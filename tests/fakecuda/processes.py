"""Stand-ins for the processes that a program starts: each child runs in this process, in turn.

A forked child goes on with all that its parent has, and fails where its parent has initialised
CUDA already. A spawned one imports the main file anew, under its parent's environment. What
``subprocess`` starts runs under the environment that it is given.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
import io
import json
import os
import re
import runpy
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import _fakecuda  # type: ignore[import-not-found]

_POPEN, _RUN, _WAITPID = subprocess.Popen, _fakecuda.REAL_RUN, os.waitpid
_SILENT: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
_PYTHONS = frozenset({sys.executable, "python", "python3"})
_A_PYTHON = re.compile(rf"(?<![\w./-])(?:{re.escape(sys.executable)}|python3?)(?= |$)")
_NOTING = """#!{python} -IS
import json, os, sys
with open({log!r}, "a", encoding="utf-8") as stream:
    print(json.dumps([sys.argv, dict(os.environ)]), file=stream)
"""
_Call: TypeAlias = "tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]"


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
        self._statuses: dict[int, int] = {}
        """Of what ``posix_spawn()`` started, by its number."""
        self.failed: list[str] = []
        """What ended children before their end."""

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Have the program meet the stand-ins."""
        loaded = sys.modules.get("multiprocessing")
        there = [each for each in self._stand_ins() if hasattr(each[0], each[1])]
        real = [(module, name, getattr(module, name)) for module, name, _ in there]
        sys.modules["multiprocessing"] = self._multiprocessing()
        concurrent.futures.ProcessPoolExecutor = self._executor  # type: ignore
        for module, name, stand_in in there:
            setattr(module, name, stand_in)
        try:
            yield
        finally:
            del sys.modules["multiprocessing"], concurrent.futures.ProcessPoolExecutor
            if loaded is not None:
                sys.modules["multiprocessing"] = loaded
            for module, name, function in real:
                setattr(module, name, function)

    def _stand_ins(self) -> list[tuple[Any, str, Any]]:
        """What starts programs: ``subprocess.run()`` and its like go by ``Popen``, ``os.execle()``
        by ``os.execve()``, ``os.spawnle()`` by ``os._spawnvef()``."""
        return [
            (subprocess, "run", _RUN),
            (subprocess, "Popen", lambda command, **how: _Child(self, command, **how)),
            (os, "system", lambda text: self.start(text, shell=True) << 8),
            (os, "execv", lambda path, words: sys.exit(self.start(words))),
            (os, "execve", lambda path, words, env: sys.exit(self.start(words, env))),
            (os, "_spawnvef", lambda mode, path, words, env, function: self.start(words, env)),
            (os, "posix_spawn", self._posix_spawn),
            (os, "waitpid", self._waitpid),
            (asyncio, "create_subprocess_exec", self._exec_soon),
            (asyncio, "create_subprocess_shell", self._shell_soon),
        ]

    # --- children ------------------------------------------------------------------------

    def call(self, method: str, *calls: _Call) -> Any:
        """Call functions in a child process, which is started by a method; what the last returns."""
        result = None
        if method == "fork":
            with self._child(None):
                for function, args, kwargs in calls:
                    result = function(*args, **kwargs)
                return result
        with self._child(_fakecuda.DRIVER.environment()):
            names = runpy.run_path(self._main, run_name="__mp_main__")
            for function, args, kwargs in calls:
                module = function.__module__
                if module != "__main__":
                    names = vars(importlib.import_module(module))
                result = names[function.__name__](*args, **kwargs)
            return result

    def start(
        self,
        command: Sequence[str] | str,
        env: Mapping[str, str] | None = None,
        shell: bool = False,
        preexec_fn: Callable[[], object] | None = None,
    ) -> int:
        """Run a command to its end; its exit status.

        What is more than a Python program is run by the system itself, with a program in the place
        of Python that writes down its words and its environment: these run here then.
        """
        if command[0] in _PYTHONS and not (shell or preexec_fn):
            return self.program(command, env)
        with tempfile.TemporaryDirectory() as directory:
            python, log = os.path.join(directory, "python"), os.path.join(directory, "log")
            with open(python, "w", encoding="utf-8") as script:
                script.write(_NOTING.format(python=sys.executable, log=log))
            os.chmod(python, 0o700)
            words = [command] if isinstance(command, str) else command
            put = [_A_PYTHON.sub(lambda _: python, word) for word in words]
            done = _POPEN(
                put[0] if shell else put, env=env, shell=shell, preexec_fn=preexec_fn, **_SILENT
            )
            status = done.wait()
            if os.path.exists(log):
                with open(log, encoding="utf-8") as lines:
                    for line in lines:
                        status = self.program(*json.loads(line))
        return status

    def program(self, command: Sequence[str], environment: Mapping[str, str] | None) -> int:
        """Run a Python program to its end; its exit status."""
        root, text = os.path.dirname(self._main), command[1]
        is_text = text == "-c"
        driver = _fakecuda.DRIVER
        with self._child(driver.environment() if environment is None else dict(environment)):
            sys.argv = list(command[1:]) if is_text else [os.path.join(root, text), *command[2:]]
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
        bound, os.environ = os.environ, _fakecuda._ENVIRON
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
            os.environ = bound  # noqa: B003
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
                self.call(chosen[0], (function, tuple(args), dict(kwargs)))
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
            def __init__(
                inner,
                processes: int | None = None,
                initializer: Callable[..., Any] | None = None,
                initargs: Iterable[Any] = (),
            ) -> None:
                inner.first: list[_Call] = []
                if initializer is not None:
                    inner.first = [(initializer, tuple(initargs), {})]

            def map(inner, function: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
                return [inner.apply(function, (item,)) for item in items]

            def apply(inner, function: Callable[..., Any], args: Iterable[Any] = ()) -> Any:
                return self.call(chosen[0], *inner.first, (function, tuple(args), {}))

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

    def _executor(
        self,
        max_workers: int | None = None,
        mp_context: Any = None,
        initializer: Callable[..., Any] | None = None,
        initargs: Iterable[Any] = (),
    ) -> Any:
        pool = (mp_context or self._multiprocessing()).Pool(max_workers, initializer, initargs)

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

    def _posix_spawn(self, path: str, words: Sequence[str], env: Mapping[str, str]) -> int:
        pid = 10**9 + len(self._statuses)
        self._statuses[pid] = self.start(words, env)
        return pid

    def _waitpid(self, pid: int, options: int) -> tuple[int, int]:
        if pid in self._statuses:
            return pid, self._statuses.pop(pid) << 8
        return _WAITPID(pid, options)

    async def _exec_soon(self, *command: str, **how: Any) -> _Child:
        return _Child(self, command, waits=True, **how)

    async def _shell_soon(self, command: str, **how: Any) -> _Child:
        return _Child(self, command, waits=True, shell=True, **how)


class _Child:
    """A program that was started, and has ended; ``waits``: as :mod:`asyncio` has it."""

    def __init__(
        self,
        processes: Processes,
        command: Sequence[str] | str,
        env: Mapping[str, str] | None = None,
        shell: bool = False,
        preexec_fn: Callable[[], object] | None = None,
        waits: bool = False,
        **how: Any,
    ) -> None:
        self.args, self._waits = command, waits
        output = ""
        if command[0] == "nvidia-smi":
            self.returncode, output = 0, _fakecuda.nvidia_smi(command).stdout
        else:
            self.returncode = processes.start(command, env, shell, preexec_fn)
        self.stdout, self.stdin = io.BytesIO(output.encode()), None
        self._output = output if how.get("text") or how.get("encoding") else output.encode()

    def wait(self, timeout: float | None = None) -> Any:
        return _given(self.returncode) if self._waits else self.returncode

    def communicate(self, given: object = None, timeout: float | None = None) -> Any:
        both = (self._output, type(self._output)())
        return _given(both) if self._waits else both

    def poll(self) -> int:
        return self.returncode

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *error: object) -> None:
        pass


async def _given(value: Any) -> Any:
    return value
