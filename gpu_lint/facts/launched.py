"""Children that are programs of the project itself: what their own files say of the GPU.

Such a file decides more than the call that starts it: it may reach no GPU at all, or set the mask
before it uses one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from gpu_lint.errors import SourceError
from gpu_lint.facts.commandlines import UNKNOWN_PART
from gpu_lint.facts.model import Child, Script, Written
from gpu_lint.facts.touch import Touch
from gpu_lint.facts.values import Known
from gpu_lint.variables import MASK, ORDER

if TYPE_CHECKING:
    from gpu_lint.facts.importgraph import ImportGraph
    from gpu_lint.facts.programrun import ProgramRun

_STARTING = Touch.CHILDREN | Touch.NEAR
"""What a file shows that may start another one."""
_USING = _STARTING | Touch.DEVICES | Touch.FREEZES
"""What a file shows that may use a GPU, itself or in a process that it starts."""
_FILE = re.compile(rb"(?<![\w.\\/-])[\w.\\/-]*\w\.py\b")
"""A path, from where it begins: inside one the search would begin anew at each letter."""
_MODULE = re.compile(rb"-m[\"',\s]+(\w[\w.]*)")


class Launched:
    """Finds the files of a project that its programs start, and what they do."""

    def __init__(self, graph: ImportGraph, run: Callable[[str], ProgramRun]) -> None:
        """``run`` gives the run of a file as the program."""
        self._graph = graph
        self._run = run
        self._mentioned: dict[str, frozenset[str]] = {}

    def completed(self, file: str, child: Child) -> Child:
        """A child that a file starts, with what the files that it runs say themselves; where one of
        them is not found, it stays as it is."""
        says = child.mask is not None or child.order is not None or child.uses_gpu
        if not says or child.copies or not child.scripts:
            return child
        found = [self.find(file, script) for script in child.scripts]
        known = [other for other in found if other is not None and other != file]
        if len(known) < len(found):
            return child
        using = list(filter(self._may_use_gpu, known))
        if not using:
            return replace(child, reaches_gpu=False)
        sets = (self._set_by(other, child) for other in using)
        return replace(child, sets=frozenset({MASK, ORDER}).intersection(*sets))

    def mentioned(self, file: str) -> frozenset[str]:
        """The files of the project that a file may start, as far as its text names them."""
        if file not in self._mentioned:
            named = self._named(file) if self._graph.touch(file) & _STARTING else ()
            found = (self.find(file, script) for script in named)
            self._mentioned[file] = frozenset(other for other in found if other is not None)
        return self._mentioned[file]

    def _named(self, file: str) -> Iterator[Script]:
        data = self._graph.data(file) or b""
        for name in set(_FILE.findall(data)):
            yield Script(name.decode())
        for name in set(_MODULE.findall(data)):
            yield Script(name.decode(), True)

    def find(self, file: str, script: Script) -> str | None:
        """The project's file that a program runs as a script; None where there is none, or several
        may be meant."""
        if script.is_module:
            located = self._graph.locate(file, script.name, 0)
            if not located or located[-1].is_namespace:
                return None
            last = located[-1].file
            is_package = os.path.basename(last) == "__init__.py"
            return self._graph.submodule(last, "__main__") if is_package else last
        name = _known_end(script.name)
        if not name:
            return None
        if os.path.isabs(name):
            return name if name in self._graph.files else None
        beside = {path for path in self._places(file, name) if self._graph.imports.holds(path)}
        if not beside:
            beside = {one for one in self._graph.files if one.endswith(os.sep + name)}
        return beside.pop() if len(beside) == 1 else None

    def _places(self, file: str, name: str) -> Iterator[str]:
        """Where a relative path may lead: from a file's directory, or from one above it."""
        home = self._graph.imports.home
        directory = os.path.dirname(file)
        yield os.path.normpath(os.path.join(directory, name))
        while directory.startswith(home + os.sep):
            directory = os.path.dirname(directory)
            yield os.path.normpath(os.path.join(directory, name))

    def _may_use_gpu(self, file: str) -> bool:
        """Whether a program may use a GPU, itself or in a process that it starts."""
        using = {one.name for one in self._graph.knowledge.frameworks if one.uses_mask}
        return any(
            self._graph.touch(other) & _USING or not using.isdisjoint(self._graph.frameworks(other))
            for other in self._graph.closure(file)
        )

    def _set_by(self, file: str, child: Child) -> frozenset[str]:
        """The variables that a program surely sets before it uses a GPU; a default counts where
        what starts it leaves the variable out."""
        try:
            if self._graph.reading(file) is None:
                return frozenset()
            run = self._run(file)
        except SourceError:
            return frozenset()
        if run.cut_short:
            return frozenset()
        held = ((MASK, run.end.masks, child.mask), (ORDER, run.end.orders, child.order))
        return frozenset(
            variable
            for variable, written, given in held
            if _is_set(written, is_left_out=given == Known(None))
        )


def _is_set(held: Iterable[Written], *, is_left_out: bool) -> bool:
    return all(one.value is not None and (not one.weak or is_left_out) for one in held)


def _known_end(path: str) -> str:
    """The end of a path behind all that is not known of it, if that is the path of a Python file;
    else an empty text."""
    _, unknown, end = path.replace("\\", "/").rpartition(UNKNOWN_PART)
    if unknown and not end.startswith("/"):
        return ""
    end = end.lstrip("/") if unknown else end
    return os.path.normpath(end) if end.endswith(".py") else ""
