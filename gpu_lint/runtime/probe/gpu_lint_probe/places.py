"""Where a program is: the lines of its project, not of libraries."""

from __future__ import annotations

import os
import sysconfig
from types import CodeType, FrameType, FunctionType
from typing import Any, Iterable, List

Place = List[Any]
"""A file and a line, as JSON holds them."""
_HERE = os.path.dirname(os.path.abspath(__file__))
_DEEPEST_STACK = 12
_MOST_LINES = 50
"""Lines in a row that may have initialised CUDA which are named."""


class Places:
    """Tells the code of a project, below a root, from that of libraries."""

    def __init__(self, root: str) -> None:
        self._root = os.path.join(os.path.realpath(root), "")
        paths = sysconfig.get_paths()
        named = [paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")]
        folders = {os.path.realpath(path) for path in [*named, os.path.dirname(os.__file__)]}
        self._libraries = tuple(os.path.join(path, "") for path in folders)
        self._is_ours: dict[str, bool | None] = {}

    def ours(self, frame: FrameType) -> bool:
        """Whether a frame is the project's code, not a library's."""
        name = frame.f_code.co_filename
        if name not in self._is_ours:
            self._is_ours[name] = self._of_project(name)
        known = self._is_ours[name]
        if known is None:
            return frame.f_globals.get("__name__") == "__main__"
        return known

    def _of_project(self, name: str) -> bool | None:
        """Whether a file is the project's; None for text without one, which the frame tells."""
        if name in ("<string>", "<stdin>"):
            return None
        if name.startswith("<") or os.path.dirname(os.path.abspath(name)) == _HERE:
            return False
        real = os.path.realpath(name)
        if "site-packages" in real or "dist-packages" in real:
            return False
        return real.startswith(self._root) and not real.startswith(self._libraries)

    def place(self, frame: FrameType | None) -> Place:
        """File and line of the project that execution is at; else of the outermost code."""
        last = None
        while frame is not None:
            if self.ours(frame):
                return [_file(frame), frame.f_lineno]
            if not frame.f_code.co_filename.startswith("<frozen"):
                last = frame
            frame = frame.f_back
        return [_file(last), last.f_lineno] if last is not None else ["", 0]

    def lines_since(self, code: CodeType, line: int, frame: FrameType) -> list[Place]:
        """The lines of the project that may have run since a place, until a frame came where it
        is: all between, in one function."""
        name = code.co_filename
        if code is frame.f_code:
            first, last = sorted((line, frame.f_lineno))
            last = min(last, first + _MOST_LINES)
            return [[_file(frame), number] for number in range(first, last + 1)]
        return [[os.path.abspath(name), line]] if self._of_project(name) is True else []

    def stack(self, frame: FrameType | None) -> list[str]:
        """What was called, innermost first, without our own and the interpreter's frames."""
        found: list[str] = []
        while frame is not None and len(found) < _DEEPEST_STACK:
            code = frame.f_code
            name = code.co_filename
            if os.path.dirname(name) != _HERE and not name.startswith("<frozen"):
                module = frame.f_globals.get("__name__", "")
                function = _function_of(frame)
                found.append(f"{_file(frame)}:{frame.f_lineno} {module}.{function}")
            frame = frame.f_back
        return found


def _function_of(frame: FrameType) -> str:
    """The qualified name of the function that runs. Before Python 3.11 only that of a module's own
    function is known; of others the place is left open: ``<>.name``."""
    code = frame.f_code
    name = getattr(code, "co_qualname", None)
    if name is not None:
        return str(name)
    found = frame.f_globals.get(code.co_name)
    is_of_module = isinstance(found, FunctionType) and found.__code__ is code
    return code.co_name if is_of_module or code.co_name == "<module>" else f"<>.{code.co_name}"


def line_of(code: CodeType, offset: int) -> int:
    for start, end, line in code.co_lines():
        if start <= offset < end:
            return line or code.co_firstlineno
    return code.co_firstlineno


def each_once(places: Iterable[Place]) -> list[Place]:
    return [list(one) for one in dict.fromkeys(map(tuple, places)) if one[1]]


def _file(frame: FrameType) -> str:
    name = frame.f_code.co_filename
    return name if name.startswith("<") else os.path.abspath(name)
