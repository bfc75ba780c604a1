"""What is asked of the files of a project: answers that come from above, as facts need them.

:mod:`gpu_lint.relevance` gives them for a run; facts know neither policy nor configuration.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gpu_lint.facts.skimmed import Skimmed
from gpu_lint.facts.touch import Touch
from gpu_lint.records import record
from gpu_lint.source import Span

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


@record
class Behind:
    """What a file imports, and loads a framework by, before it imports the policy's module."""

    text: str
    span: Span
    through_project: bool
    """The framework is loaded by a module of the project."""


@record
class PolicyModule:
    """The module that holds the header, as one file would import it."""

    name: str
    """Its dotted name."""
    file: str = ""
    """Its absolute path; empty where there is no place for it."""
    is_new: bool = False
    """There is no such file yet."""
    is_bare: bool = False
    """It holds nothing but imports and a docstring, if that."""
    is_judged: bool = False
    """What it lacks is found in it, by this run."""
    fault: str = ""
    """Why no fix makes the file import it, in words."""
    imported_at: tuple[Span, ...] = ()
    """The statements at module level by which the file imports it."""
    behind: Behind | None = None
    """What makes the first of them come too late."""

    @property
    def is_in_time(self) -> bool:
        """Whether the file imports it before any framework, as far as its own text shows."""
        return bool(self.imported_at) and self.behind is None

    @property
    def answers_for_file(self) -> bool:
        """Whether what the file lacks is a fault of the module, and reported there."""
        return self.is_in_time and self.is_judged


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
