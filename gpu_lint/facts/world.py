"""What a run can ask about the rest of the project."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from gpu_lint.facts import program as p
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.imports import Located
from gpu_lint.facts.knowledge import Knowledge
from gpu_lint.facts.reading import Reading
from gpu_lint.facts.values import Bound, FunctionValue, Key, Pairs, Value
from gpu_lint.source import Span

if TYPE_CHECKING:
    from gpu_lint.facts.summaries import Summary


@dataclass(eq=False, slots=True)
class Function:
    """A function or lambda that a run has met; ``scopes`` is where it was defined."""

    node: p.Function | p.Lambda
    file: str
    scopes: tuple[int, ...]
    owner: Key | None = None
    patches: tuple[Bound, ...] = ()
    """What patches the environment while it runs."""
    needs: int = 0
    """With fewer devices a mark of it skips it."""
    wrapper: FunctionValue | None = None
    """What a decorator replaced it by that may skip it."""


@dataclass(eq=False, slots=True)
class Class:
    """A class that a run has met."""

    node: p.Class
    file: str
    frame: int
    """The frame of its own attributes."""
    bases: tuple[Key, ...] = ()
    attributes: dict[str, Value] = field(default_factory=dict)
    """What its objects' attributes may be, whenever that is."""
    is_filled: bool = False
    """The environment, or a file, may fill in its fields in place of their defaults."""
    needs: int = 0
    """With fewer devices a mark of it skips its tests."""

    @property
    def key(self) -> Key:
        """By which values name it."""
        return self.file, self.node.span.start


class World(Protocol):
    """The project around a run: its files, and what was found out about them before."""

    @property
    def knowledge(self) -> Knowledge:
        """What is known of frameworks."""

    @property
    def functions(self) -> dict[Key, Function]:
        """Functions of the modules that have been summarised."""

    @property
    def classes(self) -> dict[Key, Class]:
        """Classes of the modules that have been summarised."""

    def reading(self, file: str) -> Reading | None:
        """What a file says by itself; None for one that cannot be read."""

    def locate(self, importer: str, module: str, level: int) -> tuple[Located, ...]:
        """The files of the project that an import runs, outermost package first."""

    def submodule(self, file: str, name: str) -> str | None:
        """The file of a package's submodule."""

    def packages_around(self, file: str) -> tuple[Located, ...]:
        """The packages that a module stands in, the outermost first."""

    def listed_by(self, file: str) -> tuple[Located, ...]:
        """The modules that a file finds in directories, where it may import what it finds."""

    def dotenv(self, file: str) -> Pairs | None:
        """The entries of the ``.env`` file nearest above a file; None where there is none."""

    def decides(self, file: str) -> bool:
        """Whether a file, or what it imports, mentions a variable that decides about GPUs."""

    def mentions(self, file: str) -> bool:
        """Whether a file mentions such a variable itself."""

    def called_by_commands(self, file: str) -> tuple[str, ...]:
        """The functions of a file that installed commands call."""

    def may_matter(self, file: str) -> bool:
        """Whether a module may do something with a GPU, or may just hold values."""

    def summary(self, file: str) -> Flow | None:
        """The state that importing a module leaves, alone; None while that is being found."""

    def words_in(self, function: Function) -> frozenset[bytes]:
        """Every word of a function's text, the names it mentions among them."""

    def variables_in(self, function: Function) -> tuple[str, ...]:
        """The variables among the mask and the order that a function's text mentions."""

    def mentions_gpu(self, function: Function) -> bool:
        """Whether a function's text mentions a GPU."""

    def selects(self, file: str, span: Span) -> bool:
        """Whether a part of a file's text may name or count devices."""

    def does_something(self, file: str, span: Span) -> bool:
        """Whether a part of a file's text may set, select, count or start anything."""

    def frame_of(self, file: str) -> int:
        """The frame of a module's own names."""

    def new_frame(self) -> int:
        """A frame that nothing uses yet."""

    def frame_in(self, part: object, number: int) -> int:
        """The frame that a part of a program makes as its first (0), second, ...: the same
        whenever it is run."""

    @property
    def summaries(self) -> dict[object, list[Summary]]:
        """What parts of programs did, by the part and what it depends on."""
