"""The facts of one file: what it says by itself, and what happens when it runs."""

from __future__ import annotations

from collections.abc import Callable

from gpu_lint.facts.model import (
    INHERITED,
    Child,
    CountTest,
    Crossing,
    Fallback,
    FunctionFacts,
    Layout,
    LocalCall,
    ManagedBlock,
    Selector,
    Setting,
    Trigger,
    Written,
)
from gpu_lint.facts.program import Comment
from gpu_lint.facts.programrun import End
from gpu_lint.facts.reading import Reading
from gpu_lint.records import record


@record
class FileFacts:
    """Everything that is known of one file: what it says, and what happens when it runs."""

    reading: Reading
    file: str
    at_first_use: tuple[tuple[str, tuple[Written, ...]], ...] = ()
    """What the header variables may hold at the first import of a framework or the first
    freeze (or at the end, if there is no such moment), when the file is the program."""
    settings: tuple[Setting, ...] = ()
    """As they are reached when the file is the program."""
    reached_settings: tuple[Setting, ...] = ()
    """As they are reached from the entry points that run the file, itself included."""
    possible_settings: tuple[Setting, ...] = ()
    """Writes under names that are not known, which may mean a variable that was set before; as
    they are reached from the entry points."""
    selectors: tuple[Selector, ...] = ()
    crossings: tuple[Crossing, ...] = ()
    fallbacks: tuple[Fallback, ...] = ()
    count_tests: tuple[CountTest, ...] = ()
    calls: tuple[LocalCall, ...] = ()
    module_freeze: Trigger | None = None
    module_calls: tuple[str, ...] = ()
    """Names of calls that have to do with a GPU and are made when the file is run, wherever that is
    written; no imports."""
    may_inherit_mask: bool = True
    """Whether the parent process may decide which devices a program that runs the file sees, when
    it ends."""
    ends: tuple[End, ...] = ()
    """How the file ends as a program, if it may be started; and as what a child process imports
    first, if it starts any."""
    is_for_one_machine: bool = False
    """It gives up where processes run on several machines."""
    children: tuple[Child, ...] = ()
    """Calls that may start another process, which inherits the environment."""
    reached_frameworks: frozenset[str] = frozenset()
    """Frameworks that a program loads which may run any code of the file: an import in a function
    of another one counts where that may be called."""
    importers: tuple[str, ...] = ()
    """Files that import this one."""

    @property
    def reaches_gpu(self) -> bool:
        """The file, or one of the project that it imports, uses a framework; or it selects a
        device."""
        return bool(self.reached_frameworks or self.selectors)

    @property
    def comments(self) -> tuple[Comment, ...]:
        return self.reading.comments

    @property
    def layout(self) -> Layout:
        return self.reading.layout

    @property
    def framework_names(self) -> frozenset[str]:
        return self.reading.framework_names

    def functions_named(self, wanted: Callable[[str], bool]) -> list[FunctionFacts]:
        """The functions of the module itself whose names are wanted."""
        return [look() for name, look in self.reading.functions if wanted(name)]

    def calls_of(self, function: str) -> frozenset[str]:
        """The names of all that a function of the module calls, directly or by other functions of
        the module."""
        return self.reading.calls_of(function)

    @property
    def calls_of_guard(self) -> frozenset[str]:
        """The same of what stands behind the main guard."""
        return self.reading.calls_of_guard

    @property
    def calls_on_import(self) -> frozenset[str]:
        """The same of what runs when the module is imported."""
        return self.reading.calls_on_import

    @property
    def imported_functions(self) -> frozenset[str]:
        return self.reading.imported_functions

    @property
    def referenced(self) -> frozenset[str]:
        return self.reading.referenced

    @property
    def blocks(self) -> tuple[ManagedBlock, ...]:
        return self.reading.blocks

    @property
    def compared(self) -> frozenset[str]:
        return self.reading.compared

    def holds(self, variable: str) -> tuple[Written, ...]:
        """What a header variable may hold at the first use of a framework."""
        return dict(self.at_first_use).get(variable, (INHERITED,))
