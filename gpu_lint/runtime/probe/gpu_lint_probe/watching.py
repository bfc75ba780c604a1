"""Asks, after each call into C, whether CUDA has been initialised, until it has."""

from __future__ import annotations

import sys
import threading
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from .driver import NOT_INITIALIZED
from .places import Place, line_of

if TYPE_CHECKING:
    from .recorder import Recorder

_SAMPLED = 1_000
"""Of so many calls of Python functions one switches its place off, so that places in hot loops soon
cost nothing. Should such a place call C later, what that does is seen at the next call."""
_MONITORING: Any = getattr(sys, "monitoring", None)  # from Python 3.12 on


class Monitored:
    """Watches calls into C through ``sys.monitoring``: Python 3.12 and newer."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._tool: int | None = None

    def start(self) -> None:
        for tool in (5, 4, 3, 2, 1, 0):  # what debuggers, coverage and profilers use, last
            if _MONITORING.get_tool(tool) is None:
                _MONITORING.use_tool_id(tool, "gpu-lint")
                self._tool = tool
                break
        else:
            self._recorder.write("limit", text="no tool id is free: the line is not found")
            return
        events = _MONITORING.events
        count, reference = self._recorder.driver.asked()
        disable, plain, not_initialized = _MONITORING.DISABLE, _is_plain, NOT_INITIALIZED
        function, left = type(_is_plain), _SAMPLED
        last_code: CodeType | None = None
        last_offset = 0

        def called(code: CodeType, offset: int, callee: Any, argument: Any) -> Any:
            nonlocal left, last_code, last_offset
            if type(callee) is function:
                left -= 1
                if left:
                    return None
                left = _SAMPLED
                return disable
            if plain(callee):
                return disable
            if count(reference) != not_initialized:
                self._late(sys._getframe(1), last_code, last_offset)
            last_code, last_offset = code, offset
            return None

        def returned(code: CodeType, offset: int, callee: Any, argument: Any) -> Any:
            if count(reference) != not_initialized:
                is_certain = last_code is code and last_offset == offset  # nothing in between
                self._recorder.froze(sys._getframe(1), "call", _named(callee), is_certain, [])

        _MONITORING.register_callback(self._tool, events.CALL, called)
        _MONITORING.register_callback(self._tool, events.C_RETURN, returned)
        _MONITORING.register_callback(self._tool, events.C_RAISE, returned)
        _MONITORING.set_events(self._tool, events.CALL)

    def _late(self, frame: FrameType, code: CodeType | None, offset: int) -> None:
        """CUDA was initialised since the last call, by something that is no call into C."""
        others: list[Place] = []
        if code is not None:
            others = self._recorder.places.lines_since(code, line_of(code, offset), frame)
        self._recorder.froze(frame, "before a call", "", False, others)

    @property
    def is_watching(self) -> bool:
        return self._tool is not None

    def stop(self) -> None:
        if self._tool is None:
            return
        events = _MONITORING.events
        _MONITORING.set_events(self._tool, 0)
        for event in (events.CALL, events.C_RETURN, events.C_RAISE):
            _MONITORING.register_callback(self._tool, event, None)
        _MONITORING.free_tool_id(self._tool)
        self._tool = None


class Profiled:
    """Watches every event of a profiler, since calls through ctypes raise none of their own:
    Python 3.11 and older."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._last: tuple[CodeType, int] | None = None
        self._profile: Any = None

    def start(self) -> None:
        count, reference = self._recorder.driver.asked()
        not_initialized = NOT_INITIALIZED

        def profile(frame: FrameType, event: str, argument: Any) -> None:
            if count(reference) != not_initialized:
                self._detected(frame, event, argument)
                return
            here = frame.f_back if event == "return" else frame
            if here is not None:
                self._last = here.f_code, here.f_lineno

        self._profile = profile
        sys.setprofile(profile)
        threading.setprofile(profile)

    def _detected(self, frame: FrameType, event: str, argument: Any) -> None:
        """CUDA was initialised since the last event, by what one frame did."""
        recorder = self._recorder
        if recorder.is_frozen:
            sys.setprofile(None)  # of a thread that went on
            return
        here = (frame.f_back or frame) if event == "call" else frame
        api = _named(argument) if event.startswith("c_") and event != "c_call" else ""
        others: list[Place] = []
        if recorder.places.ours(here) and self._last is not None:
            others = recorder.places.lines_since(*self._last, here)
        lines = {line for _, line in [*others, recorder.places.place(here)]}
        recorder.froze(here, event, api, len(lines) == 1, others)

    @property
    def is_watching(self) -> bool:
        """Whether the program has set no profiler of its own in our place."""
        return sys.getprofile() is self._profile

    def stop(self) -> None:
        if sys.getprofile() is self._profile:
            sys.setprofile(None)
        if getattr(threading, "_profile_hook", None) is self._profile:
            threading.setprofile(None)


def _is_plain(callee: Any) -> bool:
    """Whether what is called is a builtin, or a method of a builtin type, which does nothing to
    GPUs; a place that calls one of them rarely calls something else. Of other objects no attribute
    is asked: that may run the program's own code."""
    kind = type(callee)
    if kind is type:
        return callee in _PLAIN_TYPES
    if kind is _FUNCTION:
        owner = callee.__self__
        if owner is _BUILTINS:
            return callee.__name__ not in _CALLING
        return type(owner) in _PLAIN_TYPES or callee.__module__ in _PLAIN_MODULES
    return kind is _DESCRIPTOR and callee.__objclass__ in _PLAIN_TYPES


_BUILTINS = sys.modules["builtins"]
_FUNCTION, _DESCRIPTOR = type(len), type(str.join)
_CALLING = frozenset(("exec", "eval", "__import__", "map", "filter", "sorted", "min", "max", "sum"))
_PLAIN_MODULES = frozenset(getattr(sys, "stdlib_module_names", ())) - frozenset(
    (
        "_ctypes",
        "_imp",
        "_functools",
        "_asyncio",
        "_thread",
        "_heapq",
        "_bisect",
        "builtins",
        "atexit",
    )
)
"""Modules of the standard library whose functions call nothing of the program or of others."""
_PLAIN_TYPES = frozenset(
    (
        int, float, bool, str, bytes, bytearray, list, tuple, dict, set, frozenset, range, slice,
        enumerate, zip, reversed, complex, object, type(None),
    )
)  # fmt: skip


def _named(callee: Any) -> str:
    """The qualified name of what was called."""
    try:
        module = getattr(callee, "__module__", None)
        owner = getattr(callee, "__self__", None)
        if module is None and isinstance(owner, type(sys)):
            module = owner.__name__
        name = getattr(callee, "__qualname__", None) or getattr(callee, "__name__", None)
    except Exception:
        module = name = None
    if not isinstance(name, str):
        name = type(callee).__name__
    return f"{module}.{name}" if module else name
