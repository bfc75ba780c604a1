"""What is asked of the files of a project: answers that come from above, as facts need them.

:mod:`gpu_lint.relevance` gives them for a run; facts know neither policy nor configuration.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gpu_lint.facts.skimmed import Skimmed
from gpu_lint.facts.touch import Touch
from gpu_lint.records import record

if TYPE_CHECKING:
    from gpu_lint.facts.imports import Imports
    from gpu_lint.facts.reading import Reading


class Matter(NamedTuple):
    """Which touches of a file rules will ask about."""

    under_settings: Touch
    """In a process in which a variable may be set."""
    otherwise: Touch


EVERYTHING = Matter(
    ~Touch.NOTHING,
    Touch.DEVICES | Touch.CHILDREN | Touch.FORKS | Touch.FREEZES | Touch.NUMBERING,
)


@record
class Standing:
    """What a file is, for what is demanded of it."""

    entry_point: str = ""
    """Why it is an entry point, in words; empty if it is none."""
    gpu_file: bool = False
    """It, or what it imports, uses a framework, or it selects a device; and it is not there for a
    tool that runs it for its own purposes, such as ``setup.py``."""
    called: tuple[str, ...] = ()
    """The functions of its own that installed commands call; empty for one that is not found."""

    def falls_under(self, where: str) -> bool:
        """Whether a ``required-in`` that is no list of globs means the file."""
        return {
            "all": True,
            "gpu-files": self.gpu_file,
            "entry-points": bool(self.entry_point),
            "never": False,
        }[where]


class Imported(Protocol):
    """What the import graph shows of each file."""

    @property
    def imports(self) -> Imports:
        """Looks up which files an import runs."""

    @property
    def importers(self) -> Mapping[str, Collection[str]]:
        """The files that import each file."""

    def reading(self, file: str) -> Reading | None:
        """What a file says; None if it cannot be read."""

    def skimmed(self, file: str) -> Skimmed | None:
        """What can be told of a file without reading it properly; None if it cannot be read."""

    def has_guard(self, file: str) -> bool:
        """Whether a file has a main guard."""

    def frameworks(self, file: str) -> frozenset[str]:
        """The frameworks that a file's own imports bring in."""

    def reached_frameworks(self, file: str) -> frozenset[str]:
        """The frameworks that a file, or what it imports, brings in, in functions too."""

    def way_to_framework(self, file: str) -> tuple[str, ...]:
        """The files through which a program that may run any code of a file loads a framework, and
        its name; empty if it loads none."""

    def may_use_gpu(self, file: str) -> bool:
        """Whether a file may use a GPU when it is started."""

    def mentions(self, file: str) -> bool:
        """Whether a file may write a variable that decides about GPUs."""

    def edges(self, file: str) -> Collection[str]:
        """The project's files that a file imports."""


class Demands(Protocol):
    """Tells what is asked of a file, by its absolute path."""

    def may_be_started(self, file: str, graph: Imported) -> bool:
        """Whether a file may be the one that a process starts with."""

    def called(self, file: str, graph: Imported) -> tuple[str, ...]:
        """The functions of a file that installed commands call."""

    def matter(self, file: str) -> Matter:
        """What rules will ask of a file."""

    def asks_itself(self, file: str) -> bool:
        """Whether a file must set the header's variables itself, even where another file of its
        process sets them."""


class NoDemands:
    """Nothing is asked in particular: programs are the files that no other imports."""

    def may_be_started(self, file: str, graph: Imported) -> bool:
        return file not in graph.importers

    def called(self, file: str, graph: Imported) -> tuple[str, ...]:
        return ()

    def matter(self, file: str) -> Matter:
        return EVERYTHING

    def asks_itself(self, file: str) -> bool:
        return False
