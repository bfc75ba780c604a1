"""The vocabulary of facts: what a file does to its GPU, in execution order, free of policy.

Every span is a half-open range of byte offsets into the file as read. Facts are frozen, so
that they can be cached and sent to other processes; checks see nothing else of a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from gpu_lint.facts.program import Comment
from gpu_lint.facts.values import Value
from gpu_lint.source import Span


class Certainty(IntEnum):
    """Whether something happens on no path, some path, or every path."""

    NEVER = 0
    MAYBE = 1
    ALWAYS = 2


class Reach(IntEnum):
    """How execution is shown to get somewhere."""

    UNCALLED = 0
    """Inside a function that nothing in the file calls."""
    CALLED = 1
    """Inside a function that module-level code calls."""
    MODULE = 2
    """Module-level code itself, class bodies included."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """What froze CUDA, allocated memory or brought a framework in: its words and place."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Mark:
    """How certainly something has happened before a moment, and what did it first."""

    certainty: Certainty = Certainty.NEVER
    trigger: Trigger | None = None


class Form(Enum):
    """How an environment variable is written."""

    ASSIGN = "assignment"
    UPDATE = "update()"
    SETDEFAULT = "setdefault()"
    IF_UNSET = "only if not already set"
    PUTENV = "putenv()"
    REMOVE = "removal"


@dataclass(frozen=True, slots=True)
class Written:
    """A value a variable may hold at a moment; ``span`` is None for what the parent set."""

    value: Value | None
    """None: not set by this program, so inherited from the parent process; or removed."""
    span: Span | None = None
    weak: bool = False
    """Whether the parent process's value would win, or the value never reaches CUDA."""


INHERITED = Written(None)


@dataclass(frozen=True, slots=True)
class Setting:
    """A write to an environment variable, with what is true just before it."""

    variable: str
    value: Value | None
    """None for a removal."""
    form: Form
    span: Span
    """The whole statement."""
    key_span: Span
    value_span: Span
    reach: Reach
    function: str
    """Name of the enclosing function; empty at module level."""
    top_level: bool
    """The statement stands directly in the module, under no condition."""
    peers: int
    """How many variables the statement writes; 0 where it does other things as well."""
    frozen: Mark
    allocated: Mark
    imported: Mark
    imported_here: Mark
    """Frameworks imported in the same function before it; equal to ``imported`` in a module."""
    before: tuple[Written, ...]
    """What the variable may hold before."""
    undisturbed: bool
    """Nothing that could use the previous value ran since it was written."""
    conditional: bool
    names: frozenset[str]
    """Every plain name that the statement mentions."""
    imports_framework_later: bool = False
    """The enclosing function itself imports a framework after the write."""


class Shape(Enum):
    """What a device argument holds."""

    ONE = "one device"
    MANY = "several devices"
    COUNT = "a number of devices"


@dataclass(frozen=True, slots=True)
class Index:
    """A logical device index (from 0); ``span`` is the literal that decides it, if one does."""

    number: int
    span: Span | None


@dataclass(frozen=True, slots=True)
class Selector:
    """A device named to a known API, or to a ``device`` parameter."""

    api: str
    shape: Shape
    indices: tuple[Index, ...]
    count: int
    """How many devices are asked for."""
    span: Span
    """The argument."""
    reach: Reach
    masks: tuple[Written, ...]
    """The values of CUDA_VISIBLE_DEVICES in effect there, one per path."""
    needs: int
    """A guard on the way (``device_count() > 1``) lets it run only with so many devices."""
    complete: bool
    """Whether every device asked for is known."""


class Outcome(Enum):
    """What a branch does when it gives up."""

    RAISES = "raises"
    EXITS = "exits"
    SKIPS = "skips"
    LEAVES_GPU = "falls back to the CPU"


@dataclass(frozen=True, slots=True)
class CountTest:
    """``device_count() <operator> number`` that decides a branch."""

    span: Span
    operator: str
    number: int
    if_true: Outcome | None
    if_false: Outcome | None
    masks: tuple[Written, ...]
    reach: Reach


@dataclass(frozen=True, slots=True)
class ModuleImport:
    """An import that runs at module level, however deeply it is nested in branches there."""

    module: str
    bound: tuple[str, ...]
    span: Span
    statement: Span
    """The module's own statement that contains it."""
    direct: bool
    """It is that statement itself."""
    star_or_from: bool


@dataclass(frozen=True, slots=True)
class Guard:
    """``if __name__ == "__main__":``."""

    span: Span
    first: Span
    """First statement of its body."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a codemod may put things."""

    prologue_end: int
    """Byte offset behind the docstring and ``from __future__`` imports; 0 if there are none."""
    statements: tuple[Span, ...]
    imports: tuple[ModuleImport, ...]
    guard: Guard | None
    environ: tuple[tuple[str, int], ...]
    """Expressions that mean ``os.environ`` at module level, with the offset that binds them."""
    names: frozenset[str]
    """Every name that the file binds at module level."""


@dataclass(frozen=True, slots=True)
class FunctionFacts:
    """A module-level function, as a candidate for a validator."""

    name: str
    span: Span
    body: Span
    """From the first statement (a docstring excepted) to the end."""
    docstring: Span | None
    environment: frozenset[tuple[str, str]]
    """(variable, constant) pairs that it compares."""
    strings: frozenset[str]
    """Constants that it compares with something else."""
    checks_memory: bool
    checks_availability: bool
    fails: str
    """``raises``, ``exits``, ``returns`` (a value) or ``prints``."""
    swallows: bool
    """A ``try`` around its checks catches what they raise and goes on."""


@dataclass(frozen=True, slots=True)
class LocalCall:
    """A call of a function of this file, or of one imported from outside the frameworks."""

    name: str
    span: Span
    reach: Reach
    ignored: bool
    """Its result is thrown away."""


@dataclass(frozen=True, slots=True)
class ManagedBlock:
    """A header between our markers or a validator below ours: what became of what a fix wrote."""

    kind: str
    """``header`` or ``validator``."""
    span: Span
    """The markers included."""
    text: str
    """The lines between the markers, or of the function; newlines as ``\\n``."""
    name: str = ""
    """The function's name."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Everything that is known of one file."""

    comments: tuple[Comment, ...]
    layout: Layout
    framework_names: frozenset[str]
    first_use: Trigger | None
    """The first import of a framework, or the first freeze."""
    at_first_use: tuple[tuple[str, tuple[Written, ...]], ...]
    """What the header variables may hold then (or at the end, if there is no such moment)."""
    settings: tuple[Setting, ...]
    selectors: tuple[Selector, ...]
    count_tests: tuple[CountTest, ...]
    functions: tuple[FunctionFacts, ...]
    imported_functions: frozenset[str]
    calls: tuple[LocalCall, ...]
    module_freeze: Trigger | None
    referenced: frozenset[str]
    """Names that are mentioned, and functions that others call: decorated ones and methods."""
    blocks: tuple[ManagedBlock, ...]
    compared: frozenset[str]
    """String constants that the file compares with something."""
    children: tuple[Span, ...]
    """Calls that may start another process, which inherits the environment."""
    statements: tuple[Span, ...]
    """Every simple statement and compound header, for the proof of a fix."""

    def holds(self, variable: str) -> tuple[Written, ...]:
        """What a header variable may hold at the first use of a framework."""
        return dict(self.at_first_use).get(variable, (INHERITED,))
