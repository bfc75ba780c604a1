"""The vocabulary of facts: what a file does to its GPU, in execution order, free of policy.

Every span is a half-open range of byte offsets into the file as read. Facts are frozen, so
that they can be cached and sent to other processes; checks see nothing else of a file.
"""

from __future__ import annotations

from dataclasses import field, replace
from enum import Enum, IntEnum
from functools import lru_cache

from gpu_lint.facts.conditions import Condition
from gpu_lint.facts.values import Value, constants
from gpu_lint.records import record
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


@record
class Trigger:
    """What froze CUDA, allocated memory or brought a framework in: its words and place.

    A step on the way there, an import or a call that enters another file, is told the same
    way.
    """

    text: str
    span: Span
    file: str = ""
    via: tuple[Trigger, ...] = ()
    """The steps from the program's first file to this one."""
    is_import: bool = False
    under: tuple[Condition, ...] = field(default=(), compare=False)
    """The conditions of the branches in which it happened."""

    def behind(self, steps: tuple[Trigger, ...]) -> Trigger:
        """The same, reached by way of some steps more."""
        return replace(self, via=steps + self.via) if steps else self

    def seen_from(self, file: str) -> Trigger | None:
        """This, or the last step towards it that stands in a file; None if none does."""
        if self.file == file:
            return self
        return next((step for step in reversed(self.via) if step.file == file), None)


@record
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
    EXPORT = "export in a shell"
    REMOVE = "removal"
    POSSIBLE = "under a name that is not known"
    REBOUND = "another dict in place of os.environ"
    FOR_A_WHILE = "for a while"
    """It is taken back when a context manager, or a test, ends."""

    @property
    def reaches_cuda(self) -> bool:
        """Whether CUDA in the same process sees what is written."""
        return self not in (Form.PUTENV, Form.EXPORT)


@record(keeps_hash=True)
class Written:
    """A value a variable may hold at a moment; ``span`` is None for what this program does not
    write."""

    value: Value | None
    """None: not set by this program, so inherited from the parent process; or removed."""
    span: Span | None = None
    weak: bool = False
    """Whether the parent process's value would win, or the value never reaches CUDA."""
    file: str = ""
    hashed: int = field(init=False, compare=False, repr=False, default=0)

    @property
    def is_checked(self) -> bool:
        """The parent process has set it, and the program was shown to go on with this value
        alone."""
        return self.value is not None and self.span is None


INHERITED = Written(None)


@lru_cache(maxsize=100_000)
def _shown(written: Written) -> str:
    return repr(written)


@lru_cache(maxsize=10_000)
def in_order(held: frozenset[Written]) -> tuple[Written, ...]:
    """Return what a variable may hold in an order that does not depend on the run."""
    return tuple(sorted(held, key=_shown))


@record
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
    values: tuple[Value | None, ...] = ()
    """Every value that it was seen to write, the first one first; ``value`` is the last."""
    only_asked: bool = False
    """A GPU is asked for at most while it holds, and not used: of what is taken back."""
    chosen: bool = False
    """The process has chosen its device by ``set_device()`` on the way there."""

    @property
    def harmless(self) -> bool:
        """Whether the variable surely holds that value already."""
        known = constants(self.value) if self.value is not None else None
        if not known or len(known) != 1 or not self.before:
            return False
        for written in self.before:
            held = None if written.value is None or written.weak else constants(written.value)
            if not held or any(constant.value != known[0].value for constant in held):
                return False
        return True


class Shape(Enum):
    """What a device argument holds."""

    ONE = "one device"
    MANY = "several devices"
    COUNT = "a number of devices"


@record(keeps_hash=True)
class Index:
    """A logical device index (from 0); ``span`` is the literal that decides it, if one does."""

    number: int
    span: Span | None
    file: str = ""
    """The file of that literal."""
    hashed: int = field(init=False, compare=False, repr=False, default=0)


DEFAULT_OF = "default of "
"""What the ``api`` of a selector begins with that is the default of a parameter."""


@record
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
    inputs: tuple[Value, ...] = ()
    """Unknown but identified values that are used as an index, or are part of such a text."""
    bare: tuple[Value, ...] = ()
    """Those of them in whose place there is never anything else, such as a default."""
    also: tuple[Written, ...] = ()
    """Masks that show more devices, but must show this one, too: a count kept from before."""
    versions: str = ""
    """How releases of the framework number devices differently; empty where all do it alike."""
    frozen: Mark = Mark()
    """Where they do: what had made CUDA read the mask before."""

    @property
    def is_default(self) -> bool:
        """It is the default of a parameter: so far, nothing uses the device."""
        return self.api.startswith(DEFAULT_OF)


class Outcome(Enum):
    """What a branch does when it gives up."""

    RAISES = "raises"
    EXITS = "exits"
    SKIPS = "skips"
    LEAVES_GPU = "falls back to the CPU"


@record
class Script:
    """A file of Python, or a module, as a command names it; a part of the path that is not known is
    a NUL."""

    name: str
    is_module: bool = False


@record
class Child:
    """A call that may start another process, and the mask that this gives it."""

    span: Span
    forks: bool
    """It goes on from this process's state, CUDA's included."""
    mask: Value | None = None
    """What the call itself sets CUDA_VISIBLE_DEVICES to; None where the child inherits it."""
    mask_span: Span | None = None
    """The literal that says so."""
    order: Value | None = None
    """The same of CUDA_DEVICE_ORDER."""
    uses_gpu: Certainty = Certainty.NEVER
    """Whether it is a Python that uses a GPU, as far as its command line says."""
    processes: int = 0
    """How many processes with a GPU of their own it starts, where it says so."""
    for_each_device: bool = False
    """It starts as many processes as the mask shows devices, each of which is given a rank."""
    copies: bool = False
    """It starts the same program again."""
    masks: tuple[Written, ...] = ()
    """The masks in effect in this process."""
    orders: tuple[Written, ...] = ()
    """The orders of devices in effect in it."""
    frozen: Mark = Mark()
    reach: Reach = Reach.MODULE
    handed: tuple[tuple[str, tuple[Written, ...]], ...] = ()
    """What each of the header's variables may hold when it is started."""
    scripts: tuple[Script, ...] = ()
    """The files and modules of Python that it runs; none where it may run anything else."""
    reaches_gpu: bool = True
    """It may use a GPU, as far as the project's own files say that it runs."""
    sets: frozenset[str] = frozenset()
    """The variables that the project's own file which it runs sets itself, before it uses a GPU."""
    ignored: Value | None = None
    """A mask that it is given, and that the launcher which it starts replaces by its own."""
    target: str = ""
    """The function of this file that the process runs; empty where it is none, or not known."""
    index: int = 0
    """The highest index of a device that a program names which it is handed as a text."""

    def takes_over(self, *variables: str) -> tuple[Written, ...]:
        """What this program has written to some variables when the process is started."""
        return tuple(
            one
            for name, held in self.handed
            if name in variables
            for one in held
            if one.span is not None
        )


@record
class Crossing:
    """An index of one numbering given to a call that counts by the other."""

    api: str
    source: str
    """Where the index came from, in words."""
    physical: bool
    """The index counts the machine's devices, the call those behind the mask."""
    span: Span
    """The argument."""
    masks: tuple[Written, ...]
    in_command: bool
    """The argument is a command, of which the index is a part."""


@record
class CountTest:
    """``device_count() <operator> number`` that decides a branch."""

    span: Span
    operator: str
    number: int
    if_true: Outcome | None
    if_false: Outcome | None
    masks: tuple[Written, ...]
    reach: Reach
    tried: bool = False
    """The program goes on where something is raised there: a handler around it catches it."""


@record
class Fallback:
    """``"cuda" if torch.cuda.is_available() else "cpu"``: without a GPU the program goes on."""

    span: Span
    gpu: Span
    """The part that is taken where there is a GPU."""


@record
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


@record
class Guard:
    """``if __name__ == "__main__":``."""

    span: Span
    first: Span
    """First statement of its body."""
    starts: bool = True
    """It starts something; else it holds a place for that, or only chooses what to import."""


@record
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
    anchor: int
    """Start of the statement before which a header belongs, or the file's end without one.

    That is the first that imports from outside the standard library; without such an import,
    the first behind the docstring and the leading imports."""


@record
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


@record
class LocalCall:
    """A call of a function of this file, or of one imported from outside the frameworks."""

    name: str
    span: Span
    reach: Reach
    ignored: bool
    """Its result is thrown away."""
    allocated: Mark = Mark()
    """What has allocated memory of a GPU before it."""
    held: tuple[tuple[str, tuple[Written, ...]], ...] = ()
    """What the variables that the function's text mentions may hold when it is called: the mask
    and the device order."""
    masks: tuple[Written, ...] = ()
    """The masks in effect then, if it mentions the mask."""


@record
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
