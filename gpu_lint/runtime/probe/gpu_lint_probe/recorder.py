"""Records what a process does to GPUs: writes of the mask, the line that fixes it, the cards used.

No error of it reaches the program. Each event is one line of JSON, written as it happens, so that a
process that is killed has told what it knew. How each fact is found, and what that costs, stands in
``docs/runtime.md``.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import json
import os
import sys
import threading
import time
from types import FrameType
from typing import Any

from .driver import Driver, Memory, native_value
from .places import Place, Places, each_once
from .watching import Monitored, Profiled

MASK, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"
WATCHED = frozenset(
    (
        MASK, ORDER, "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF", "NVIDIA_VISIBLE_DEVICES",
        "PYTORCH_NVML_BASED_CUDA_CHECK", "HIP_VISIBLE_DEVICES",
    )
)  # fmt: skip
"""The variables whose writes are recorded; the values of others are not looked at."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.1
"""Seconds between two looks at which cards have a context."""
_MOST_CANDIDATES = 50
"""Lines that are named, of those that may have initialised CUDA."""
_IDLE = ("threading.py", "queue.py", "selectors.py", "socketserver.py", "subprocess.py")
"""Where threads stand that wait."""
_CHILDREN = frozenset(
    (
        "subprocess.Popen", "os.posix_spawn", "os.spawn", "os.exec", "os.system", "os.startfile",
        "pty.spawn",
    )
)  # fmt: skip
"""Audit events of processes that are started."""


class Recorder:
    """What is recorded of this process."""

    def __init__(self, folder: str, root: str, began: float, finds_line: bool) -> None:
        self.folder, self.began, self.finds_line = folder, began, finds_line
        self.places = Places(root)
        self._watch: Monitored | Profiled | None = None
        self.driver = Driver()
        self.memory: Memory | None = None
        self.is_frozen = False
        self._cards: list[dict[str, Any]] = []
        self._touched: dict[int, str] = {}
        self._peak: dict[int, int] = {}
        self._lock = threading.Lock()
        self._held = {key: native_value(key) for key in (MASK, ORDER)}
        """What Python has written to the variables last, or what was there at the start."""
        self._open()

    # --- what is written -----------------------------------------------------------------

    def _open(self) -> None:
        name = f"{os.getpid()}-{time.monotonic_ns()}.jsonl"
        self._path = os.path.join(self.folder, name)
        self._reopen()

    def _reopen(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._file = os.open(self._path, flags, 0o600)
        self._identity = os.fstat(self._file)[1:3]

    def _is_open(self) -> bool:
        """Whether our file is; a program may close all files, and then get our number for one."""
        try:
            return os.fstat(self._file)[1:3] == self._identity
        except OSError:
            return False

    def write(self, event: str, **facts: Any) -> None:
        """Append an event to this process's file."""
        line = json.dumps({"event": event, "t": round(time.monotonic() - self.began, 6), **facts})
        with contextlib.suppress(OSError):  # the disk is full, or the trace is over
            if not self._is_open():
                self._reopen()
            os.write(self._file, line.encode("utf-8", "backslashreplace") + b"\n")

    def write_start(self, kind: str) -> None:
        self.write(
            "start",
            pid=os.getpid(),
            kind=kind,
            ancestors=_ancestors(),
            argv=_command_line(),
            python=sys.version.split()[0],
            executable=sys.executable,
            environment={key: os.environ[key] for key in sorted(WATCHED) if key in os.environ},
            driver=self.driver.error,
        )

    # --- writes, and children ------------------------------------------------------------

    def audit(self, event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        """Take note of writes to the environment, and of processes that are started."""
        if event in ("os.putenv", "os.unsetenv"):
            key = os.fsdecode(arguments[0])
            if key in WATCHED:
                value = os.fsdecode(arguments[1]) if event == "os.putenv" else None
                self.look_for_freeze("write", frame)
                self._held[key] = value
                file, line = self.places.place(frame)
                self.write("write", key=key, value=value, file=file, line=line, late=self.is_frozen)
        elif event in _CHILDREN:
            within = os.path.basename(frame.f_code.co_filename) == "subprocess.py"
            if event == "os.posix_spawn" and within:
                return  # told by Popen
            self.write(
                "child", how=event, argv=_argv_of(event, arguments), at=self.places.place(frame)
            )
            if event == "os.exec":
                self.end()

    def after_fork(self) -> None:
        """A forked child records for itself; what its parent initialised is not its own."""
        was_frozen, self.is_frozen = self.is_frozen, False
        self._cards, self._touched, self._peak, self.memory = [], {}, {}, None
        self._lock = threading.Lock()
        if self._is_open():
            os.close(self._file)
        self._open()
        self.write_start("fork")
        if self.driver.is_initialised():
            self.is_frozen = True
            self.write("limit", text="a forked child seems to go on with its parent's CUDA")
        elif was_frozen or self._watch is None:
            self.watch()

    # --- when CUDA is initialised --------------------------------------------------------

    def watch(self) -> None:
        """Ask after each call into C, until CUDA is initialised."""
        if not self.driver.is_there or not self.finds_line:
            return
        self._watch = Monitored(self) if sys.version_info >= (3, 12) else Profiled(self)
        self._watch.start()

    def look_for_freeze(self, how: str, frame: FrameType) -> None:
        """Take note if CUDA has been initialised since this was last looked at."""
        if not self.is_frozen and self.driver.is_initialised():
            self.froze(frame, how, "", False, [])

    def froze(
        self, frame: FrameType | None, how: str, api: str, is_certain: bool, others: list[Place]
    ) -> None:
        """CUDA has been initialised: note where, and what this process sees."""
        with self._lock:
            if self.is_frozen:
                return
            self.is_frozen = True
        self.stop_watching()
        file, line = self.places.place(frame)
        candidates = [[file, line], *others]
        if how != "asked":
            busy = self._busy_threads()
            is_certain = is_certain and not busy
            candidates += busy
        self._cards = self.driver.visible()
        self.write(
            "freeze",
            file=file,
            line=line,
            how=how,
            api=api,
            stack=self.places.stack(frame),
            mask=native_value(MASK),
            order=native_value(ORDER),
            certain=is_certain,
            candidates=each_once(candidates)[:_MOST_CANDIDATES],
            visible=self._cards,
        )
        with contextlib.suppress(RuntimeError):  # at the interpreter's end, or without threads
            _thread.start_new_thread(self._sample, ())  # which `threading` does not count

    def stop_watching(self) -> None:
        """Look no longer for the line that initialises CUDA."""
        if self._watch is not None:
            if not self._watch.is_watching:
                self.write("limit", text="a profiler of the program is in the place of ours")
            self._watch.stop()
            self._watch = None

    def _busy_threads(self) -> list[Place]:
        """Where the other threads are that do not wait: each may have initialised CUDA."""
        me = threading.get_ident()
        busy: list[Place] = []
        if threading.active_count() == 1:
            return busy
        for ident, frame in sys._current_frames().items():
            if ident != me and os.path.basename(frame.f_code.co_filename) not in _IDLE:
                busy.append(self.places.place(frame))
        return busy

    # --- which cards are used ------------------------------------------------------------

    def _sample(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                self.look()
                self._measure()
            except Exception as error:
                self.write("limit", text=f"cards are looked at no more before the end: {error}")
                return
            time.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 1.5)

    def look(self) -> None:
        """Note the cards that have got a context since this was last asked."""
        for ordinal in self.driver.in_use():
            if ordinal not in self._touched and ordinal < len(self._cards):
                self._touched[ordinal] = self._cards[ordinal]["uuid"]
                self.write("touch", evidence="primary context", **self._cards[ordinal])

    def _measure(self) -> None:
        """Note how much memory this process holds, where NVML tells, and where it holds some
        without a context that the driver tells of."""
        if self.memory is None:
            self.memory = Memory()
        for ordinal, card in enumerate(self._cards):
            held = self.memory.held_mib(card["uuid"])
            if held is None:
                continue
            if ordinal not in self._touched:
                self._touched[ordinal] = card["uuid"]
                self.write("touch", evidence="NVML", **card)
            if held > self._peak.get(ordinal, -1):
                self._peak[ordinal] = held

    def end(self) -> None:
        """Note what is known when the process ends, or becomes another program."""
        try:
            if not self.is_frozen and self.driver.is_initialised():
                self.froze(None, "end", "", False, [])
            self._note_writes_in_c()
            if self.is_frozen:
                self.look()
            for ordinal, uuid in self._touched.items():
                self.write("peak", uuid=uuid, mib=self._peak_of(ordinal))
            self.write("end")
        except Exception as error:
            self.write("limit", text=f"the recorder failed at the end: {error}")

    def _note_writes_in_c(self) -> None:
        """Note the variables that C code has changed behind Python's back, by ``setenv()``."""
        for key in (MASK, ORDER):
            value = native_value(key)
            if value != self._held.get(key):
                self._held[key] = value
                late = self.is_frozen
                self.write("write", key=key, value=value, file="", line=0, late=late)

    def _peak_of(self, ordinal: int) -> int | None:
        """The most memory in MiB that is known to have been held on a card."""
        known = [self._peak[ordinal]] if ordinal in self._peak else []
        torch = sys.modules.get("torch")
        with contextlib.suppress(Exception):
            if torch is not None and torch.cuda.is_initialized():
                known.append(int(torch.cuda.max_memory_reserved(ordinal)) >> 20)
        return max(known) if known else None


def _argv_of(event: str, arguments: tuple[Any, ...]) -> list[str]:
    """The command line of a process that is started, as far as the event tells it."""
    if event == "os.system":
        return [os.fsdecode(arguments[0])]
    argv = arguments[0]
    if event in ("subprocess.Popen", "os.exec", "os.posix_spawn"):
        argv = arguments[1]
    elif event == "os.spawn":
        argv = arguments[2]
    if isinstance(argv, (str, bytes, os.PathLike)):
        return [os.fsdecode(argv)]
    try:
        return [os.fsdecode(one) for one in argv]
    except TypeError:
        return [str(arguments[0])]


def _ancestors() -> list[int]:
    """The processes that this one descends from, nearest first, as far as the system tells."""
    found = [os.getppid()]
    while found[-1] > 1 and len(found) < 32:
        try:
            with open(f"/proc/{found[-1]}/stat", "rb") as stream:
                found.append(int(stream.read().rpartition(b")")[2].split()[1]))
        except (OSError, ValueError, IndexError):
            break
    return found


def _kind() -> str:
    """How this process was started, as its command line tells."""
    text = " ".join(_command_line())
    if "multiprocessing" in text:
        for name in ("resource_tracker", "forkserver"):
            if f"multiprocessing.{name}" in text:
                return name
        if "spawn_main" in text or "--multiprocessing-fork" in text:
            return "spawn"
    return "program"


def _command_line() -> list[str]:
    """The words with which this process was started."""
    argv = getattr(sys, "orig_argv", None) or [sys.executable, *getattr(sys, "argv", [])]
    return [str(one) for one in argv]


RECORDER: Recorder | None = None
"""The one of this process."""


def start() -> None:
    """Begin to record this process, where the environment says so."""
    global RECORDER
    folder = os.environ.get("GPU_LINT_TRACE")
    if not folder or RECORDER is not None or not os.path.isdir(folder):
        return
    RECORDER = recorder = Recorder(
        folder,
        os.environ.get("GPU_LINT_TRACE_ROOT") or os.getcwd(),
        float(os.environ.get("GPU_LINT_TRACE_BEGAN") or time.monotonic()),
        os.environ.get("GPU_LINT_TRACE_LINE") != "no",
    )
    recorder.write_start(_kind())

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(("os.", "subprocess.", "pty.")):
            try:
                recorder.audit(event, arguments, sys._getframe(1))
            except Exception as error:
                recorder.write("limit", text=f"the recorder failed at {event}: {error}")

    sys.addaudithook(audit)
    leave = os._exit

    def leave_recorded(status: int) -> None:
        recorder.end()
        leave(status)

    os._exit = leave_recorded  # type: ignore[assignment]
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=recorder.after_fork)
    atexit.register(recorder.end)
    recorder.watch()


def initialise() -> None:
    """Initialise the driver without a context, unless the program did, and note which cards this
    process sees."""
    if RECORDER is None or not RECORDER.driver.is_there or RECORDER.driver.is_initialised():
        return
    RECORDER.stop_watching()
    RECORDER.driver.initialise()
    if RECORDER.driver.is_initialised():
        RECORDER.froze(None, "asked", "", True, [])
