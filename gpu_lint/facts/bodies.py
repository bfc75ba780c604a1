"""The bodies of functions until somebody looks into them: their trees, kept for a while, or nothing
but where they stand.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import ClassVar

from gpu_lint.facts import program as p
from gpu_lint.facts.limits import Limits
from gpu_lint.facts.walk import statements
from gpu_lint.source import Source, Span

_MOST_KEPT = 1_000_000
"""Bytes of the files whose trees are kept for a while."""


@dataclass
class Bodies:
    """The bodies of a file's functions that were left out when it was parsed."""

    limits: Limits
    whole: Callable[[], p.Program | None]
    """Reads the file the other way; None if that cannot be done either."""
    broken: bool = False
    """One that somebody looked into cannot be read: it does nothing."""

    @cached_property
    def _functions(self) -> dict[Span, p.Function]:
        program = self.whole()
        found = statements(program.body) if program is not None else ()
        return {one.span: one for one in found if isinstance(one, p.Function)}

    def read_otherwise(self, span: Span) -> tuple[p.Block, bool, bool]:
        """The content of a function that Python's own parser does not read."""
        function = self._functions.get(span)
        if function is None:
            self.broken = True
            return (), False, False
        return function.suite.content


class Trees:
    """The trees of a file's functions, until they are asked for, or other files were read since."""

    _recent: ClassVar[deque[Trees]] = deque()
    _total: ClassVar[int] = 0
    _lock: ClassVar[Lock] = Lock()  # a cluster's workers have several threads

    def __init__(self, size: int) -> None:
        self._size = size
        self.bodies: dict[int, list[ast.stmt]] = {}
        """By the offset of the line that the function begins on."""

    @classmethod
    def of(cls, source: Source) -> Trees:
        """Those of a file that is read now; what was read long ago lets go of its own."""
        found = cls(len(source.data))
        with cls._lock:
            cls._recent.append(found)
            cls._total += found._size
            while cls._total > _MOST_KEPT and len(cls._recent) > 1:
                oldest = cls._recent.popleft()
                cls._total -= oldest._size
                oldest.bodies.clear()
        return found
