"""Worker processes of this machine.

They are started where they pay, once, by a fresh Python (never by forking, which not every
system can do). Each is given one chunk of files at a time, and answers for several at once. Where
one dies, what it has not answered for is done again, file by file: so it is known which file a
worker died over, and only that one has no answer.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing import connection, get_context, parent_process, resource_tracker
from multiprocessing.reduction import ForkingPickler
from types import ModuleType
from typing import Any, TypeVar

from gpu_lint.interrupts import interrupts_held_back
from gpu_lint.work import Dealer, Doing, Failed, InOrder, Work

T = TypeVar("T")
_SPAWN = get_context("spawn")


_PAUSE = 0.05
"""Seconds for which answers are gathered before they are sent."""


@dataclass
class _Chunk:
    """Files to be answered for, in their order."""

    files: deque[str]
    one_by_one: bool = False
    """Every answer is sent at once, so that the first file is the one being worked on."""


@dataclass(eq=False)
class _Worker:
    number: int
    """From 0: no two that live have the same."""
    process: Any = None
    """None until it is started."""
    pipe: Any = None
    chunk: _Chunk = field(default_factory=lambda: _Chunk(deque()))
    """What is still to be answered for."""
    work: object = None
    """What it was told to do last."""


class Workers:
    """Up to ``count`` processes; use it as a context, which ends them all when it is left."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._idle: list[_Worker] = []
        self._all: list[_Worker] = []
        self._message: tuple[object, Any] | None = None
        """Some work, as it is sent."""

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._all:
            worker.process.kill()
        for worker in self._all:
            worker.process.join()
            worker.pipe.close()
        self._all = []
        self._idle = []

    def start(self) -> None:
        while len(self._all) < self.count:
            worker = next(one for one in self._free() if one.process is None)
            self._start(worker)
            self._idle.append(worker)

    def begin(self, work: Work[T]) -> None:
        """Let the processes that have been started get ready for some work."""
        for worker in self._idle:
            with contextlib.suppress(OSError):  # a dead one is found out when it is given files
                self._tell(worker, work)

    def _tell(self, worker: _Worker, work: Work[T]) -> None:
        if self._message is None or self._message[0] is not work:
            self._message = work, ForkingPickler.dumps(work)
        if worker.work is not work:
            worker.work = work
            worker.pipe.send_bytes(self._message[1])

    def each(
        self, work: Work[T], chunks: Iterable[Sequence[str]]
    ) -> Iterator[tuple[str, T | Failed]]:
        """Do some work on every file of every chunk; answers come as they are ready."""
        dealer = chunks if isinstance(chunks, Dealer) else InOrder(chunks)
        again: deque[_Chunk] = deque()
        busy: dict[connection.Connection[Any, Any], _Worker] = {}
        while True:
            for worker in list(self._free()):
                files = () if again else dealer.next_for(worker.number)
                if not again and not files:
                    continue
                worker.chunk = again.popleft() if again else _Chunk(deque(files))
                if worker.process is None:
                    self._start(worker)
                else:
                    self._idle.remove(worker)
                with contextlib.suppress(OSError):  # a dead one is found out below
                    self._tell(worker, work)
                    worker.pipe.send((list(worker.chunk.files), worker.chunk.one_by_one))
                busy[worker.pipe] = worker
            if not busy:
                return
            if isinstance(dealer, InOrder):
                dealer.look_ahead()  # while they are busy
            for pipe in connection.wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                waiting = worker.chunk.files
                try:
                    answers = worker.pipe.recv()
                except (EOFError, OSError):
                    del busy[worker.pipe]
                    code = self._bury(worker)
                    if worker.chunk.one_by_one:
                        yield waiting.popleft(), Failed(_died(code))
                    if waiting:
                        again.appendleft(_Chunk(waiting, one_by_one=True))
                    continue
                for answer in answers:
                    yield waiting.popleft(), answer
                if not waiting:
                    del busy[worker.pipe]
                    self._idle.append(worker)

    def _free(self) -> Iterator[_Worker]:
        """The processes that may be given files: idle ones first, then those to be started."""
        yield from sorted(self._idle, key=lambda worker: worker.number)
        taken = {worker.number for worker in self._all}
        yield from (_Worker(number) for number in range(self.count) if number not in taken)

    def _start(self, worker: _Worker) -> None:
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=_serve, args=(theirs, os.getcwd()), daemon=True)
        with _away_from_the_tree(), _without_main():
            if os.name != "nt":
                resource_tracker.ensure_running()  # when it is started, it lets Ctrl-C through
            with interrupts_held_back():
                process.start()
        theirs.close()
        worker.process, worker.pipe = process, ours
        self._all.append(worker)

    def _bury(self, worker: _Worker) -> int | None:
        """See a dead worker off; its exit code."""
        worker.process.join()
        worker.pipe.close()
        self._all.remove(worker)
        code: int | None = worker.process.exitcode
        return code


def _died(code: int | None) -> str:
    how = f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"
    return f"could not be checked: the worker process died over it ({how})"


@contextlib.contextmanager
def _away_from_the_tree() -> Iterator[None]:
    """While a process is started: a fresh Python looks for modules in the current directory
    first, which may be that of code which is not to be run."""
    here = os.getcwd()
    os.chdir(os.path.dirname(os.__file__))
    try:
        yield
    finally:
        os.chdir(here)


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """While a process is started: it would import the program that runs us first, which takes
    longer than our own work has to, and might do anything."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _end_with_parent() -> None:
    """End when who started us is gone, killed perhaps: nobody waits for the answer any more."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _serve(pipe: connection.Connection[Any, Any], directory: str) -> None:
    """Answer for files until the other side is gone; paths are relative to ``directory``."""
    import gc

    os.chdir(directory)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.disable()
    doing: Doing[object] | None = None
    if not pipe.poll():  # there is time to get ready for what will come sooner or later
        import_module("gpu_lint.judging")
    with contextlib.suppress(EOFError, OSError):
        while True:
            message = pipe.recv()
            if not isinstance(message, tuple):
                doing = Doing(message)
                doing.begin()
                continue
            assert doing is not None
            files, one_by_one = message
            answers: list[object] = []
            sent = time.monotonic()
            for number, file in enumerate(files, start=1):
                answers.append(doing(file))
                now = time.monotonic()
                if one_by_one or number == len(files) or now - sent > _PAUSE:
                    pipe.send(answers)
                    answers, sent = [], now
