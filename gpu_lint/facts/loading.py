"""Which frameworks a program loads: an import in a function counts where that may be called.

A module may bring a framework in by functions that a program never calls: a server that takes its
logger from such a module uses no GPU. What may be called is told by names alone, so that too much
counts rather than too little; see :mod:`gpu_lint.facts.callables`.

It is seldom looked into: most programs load a framework outside of functions.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from gpu_lint.errors import SourceError
from gpu_lint.facts.callables import Callables, Code, Part, callables_of, whole
from gpu_lint.facts.limits import deep_recursion
from gpu_lint.facts.reach import Reachability
from gpu_lint.facts.words import words_of

if TYPE_CHECKING:
    from gpu_lint.facts.importgraph import ImportGraph
    from gpu_lint.facts.reading import Reading

_ABOUT_GPU = re.compile(rb"cuda|gpu|device|accelerat|rocm|xpu|nccl", re.IGNORECASE)
_USED_BY_NAME = frozenset({"torch"})
"""Frameworks that use a GPU only where one is named, or by a method such as ``pin_memory``."""
_MOST_FILES = 400
"""Files that are looked into for one program: of one that imports more, all is taken as called."""


class Loading:
    """What the programs of an import graph load."""

    def __init__(self, graph: ImportGraph) -> None:
        self._graph = graph
        self._reach = Reachability(self._run_on_import)
        self._callables: dict[str, Callables] = {}
        self._found: dict[str, frozenset[str]] = {}
        self._begun: dict[frozenset[str], _Search] = {}
        """How far programs are followed by what they import themselves: many import the same."""

    def frameworks(self, file: str) -> frozenset[str]:
        """The frameworks that a program loads which may run any code of a file. Where PyTorch is
        one of them, those that only functions bring in count, too, whether called or not."""
        if file not in self._found:
            self._found[file] = self._frameworks(file)
        return self._found[file]

    def way(self, file: str) -> tuple[str, ...]:
        """The files through which such a program loads a framework, and its name; empty if it
        loads none."""
        search = _Search(self, self._graph, file)
        search.run(bool)
        return search.way()

    def may_use_gpu(self, file: str) -> bool:
        """Whether a file may use a GPU when it is started: what then may run names one, or calls
        what uses one unasked."""
        search = _Search(self, self._graph, file)
        if not search.run_as_program():
            return True
        using = frozenset[bytes]().union(*map(self._using_unasked, search.found))
        return any(word in using or self._is_about_gpu(word) for word in search.named)

    def _is_about_gpu(self, word: bytes) -> bool:
        """Whether a word names a GPU, or what does something with one; the name of an environment
        variable does not."""
        found = _ABOUT_GPU.search(word) is not None
        return found and not self._graph.needles.is_variable(word.decode())

    def _using_unasked(self, framework: str) -> frozenset[bytes]:
        """Names of a framework's listed calls that use a GPU, or may, where none is named."""
        rows = self._graph.knowledge.by_name[framework].apis
        if framework in _USED_BY_NAME:
            rows = tuple(row for row in rows if row.method and row.freezes == "always")
        return frozenset(
            row.name.rpartition(".")[2].encode() for row in rows if row.freezes != "on-gpu"
        )

    def _frameworks(self, file: str) -> frozenset[str]:
        mentioned, own = self._graph.reached_frameworks(file), self._graph.frameworks(file)
        if own == mentioned or self._has_pytorch(own):
            return mentioned
        mask = 0
        for other in self._graph.edges(file):
            mask |= self._reach.mask(other)
        surely = own.union(name for name, users in self._users.items() if users & mask)
        if surely == mentioned or self._has_pytorch(surely):
            return mentioned
        search = self._search_of(frozenset(self._graph.edges(file))).go_on_from(file)
        return mentioned if search.run(self._has_pytorch) else frozenset(search.found)

    def _search_of(self, imported: frozenset[str]) -> _Search:
        """How far a program is followed by what it imports itself: from where the file leads that
        brings in most, which many programs import."""
        if imported not in self._begun:
            if len(imported) > 1:
                largest = max(imported, key=lambda one: (self._reach.mask(one).bit_count(), one))
                search = self._search_of(frozenset((largest,))).go_on_from("")
            else:
                search = _Search(self, self._graph, "")
            search.load(sorted(imported), self._has_pytorch)
            self._begun[imported] = search
        return self._begun[imported]

    def _has_pytorch(self, names: Iterable[str]) -> bool:
        return not self._pytorch.isdisjoint(names)

    @cached_property
    def _pytorch(self) -> frozenset[str]:
        """The frameworks that use PyTorch."""
        every = self._graph.knowledge.by_name
        return frozenset(name for name, framework in every.items() if framework.uses_pytorch)

    def _run_on_import(self, file: str) -> Iterable[str]:
        """The files that run when another is imported, by what it imports outside of functions."""
        edges = self._graph.edges(file)
        skimmed = self._graph.skimmed(file)
        if not edges or skimmed is None or not any(one.is_deferred for one in skimmed.imported):
            return edges
        run = (self._graph.run_by(file, one) for one in skimmed.imported if not one.is_deferred)
        return dict.fromkeys(other for several in run for other in several if other != file)

    @cached_property
    def _users(self) -> dict[str, int]:
        """The files that bring each framework in outside of functions, as bits."""
        found: dict[str, int] = {}
        everything = 0
        for file in self._graph.files:
            for other in (file, *self._graph.edges(file)):
                everything |= self._reach.mask(other)
        for file in self._reach.names(everything):
            skimmed = self._graph.skimmed(file)
            for one in skimmed.imported if skimmed is not None else ():
                framework = None if one.is_deferred else self._graph.framework_of(file, one)
                if framework is not None:
                    found[framework] = found.get(framework, 0) | self._reach.bit(file)
        return found

    def code_of(self, file: str) -> Code:
        """All code of a file as one."""
        skimmed = self._graph.skimmed(file)
        imported = skimmed.imported if skimmed is not None else ()
        return whole(self._graph.data(file) or b"", imported)

    def callables(self, file: str) -> Callables:
        """What a file runs when it is imported, and what may be called of it then."""
        if file not in self._callables:
            reading = self._reading(file)
            self._callables[file] = (
                Callables(self._unread(file)) if reading is None else callables_of(reading)
            )
        return self._callables[file]

    def _reading(self, file: str) -> Reading | None:
        try:
            with deep_recursion():
                return self._graph.reading(file)
        except SourceError:
            return None

    def _unread(self, file: str) -> Code:
        """All that a file may bring in of which no more is known: it may call anything."""
        skimmed = self._graph.skimmed(file)
        return Code(frozenset(), skimmed.imported if skimmed is not None else (), True)


_Chain: TypeAlias = "tuple[tuple[str, Part], _Chain | None]"
"""Functions with their files, the last one first; what is put before it leaves a chain as it is."""


def _all_of(chain: _Chain | None) -> list[tuple[str, Part]]:
    """The functions of a chain, in the order in which they came."""
    found: list[tuple[str, Part]] = []
    while chain is not None:
        found.append(chain[0])
        chain = chain[1]
    return found[::-1]


class _Search:
    """Follows one program through all that it may call."""

    def __init__(self, loading: Loading, graph: ImportGraph, start: str) -> None:
        self._loading = loading
        self._graph = graph
        self._start = start
        self.found: dict[str, str] = {}
        """Frameworks, each with the file that brings it in."""
        self.named: set[bytes] = set()
        self._imported_by: dict[str, str] = {}
        """The files that are loaded, each with the one that imports it."""
        self._not_named: dict[bytes, _Chain] = {}
        """Functions that nothing has named yet, by names of theirs: the last one, and those before
        it, which copies of a search share."""
        self._called: set[int] = set()
        self._looks_up = False
        self._restores = False
        self._waiting: deque[tuple[str, Code]] = deque()

    def run(self, is_enough: Callable[[Iterable[str]], bool]) -> bool:
        """Follow a program that may run any code of its file until the frameworks found are enough;
        returns whether they are, or the program is too large to tell."""
        self._waiting.append((self._start, self._loading.code_of(self._start)))
        return self._run(is_enough)

    def load(self, files: Iterable[str], is_enough: Callable[[Iterable[str]], bool]) -> None:
        """Follow what the program imports itself, without its own code."""
        for file in files:
            if file not in self._imported_by:
                self._imported_by[file] = self._start
                self._load(file)
        self._run(is_enough)

    def go_on_from(self, start: str) -> _Search:
        """A copy of this search, with a program whose own code is still to be followed."""
        other = _Search(self._loading, self._graph, start)
        other.found, other.named = self.found.copy(), self.named.copy()
        other._imported_by, other._not_named = self._imported_by.copy(), self._not_named.copy()
        other._called, other._waiting = self._called.copy(), self._waiting.copy()
        other._looks_up, other._restores = self._looks_up, self._restores
        return other

    def run_as_program(self) -> bool:
        """Follow a program from its main guard on; returns whether that tells all that it calls,
        and on which devices it makes what it has saved."""
        self._load(self._start)
        self._waiting.append((self._start, self._loading.callables(self._start).behind_guard))
        is_cut_short = self._run(lambda found: False)
        return not (is_cut_short or self._looks_up or self._restores)

    def _run(self, is_enough: Callable[[Iterable[str]], bool]) -> bool:
        known = -1
        while self._waiting:
            self._follow(*self._waiting.popleft())
            if len(self.found) != known:
                known = len(self.found)
                if is_enough(self.found):
                    return True
            if len(self._imported_by) > _MOST_FILES:
                return True
        return False

    def way(self) -> tuple[str, ...]:
        """The files through which the first framework was found, and its name."""
        if not self.found:
            return ()
        name, file = next(iter(self.found.items()))
        way = [name]
        while file != self._start:
            way.append(file)
            file = self._imported_by[file]
        return tuple(reversed(way))

    def _follow(self, file: str, code: Code) -> None:
        """Go on with what some code of a file imports and calls."""
        words = code.words
        for one in code.imported:
            if (framework := self._graph.framework_of(file, one)) is not None:
                self.found.setdefault(framework, file)
                words |= words_of(f"{one.module}.{one.name}".encode())
            for other in self._graph.run_by(file, one):
                if other not in self._imported_by and other != self._start:
                    self._imported_by[other] = file
                    self._load(other)
        for name in self._not_named.keys() & words:
            for holder, function in _all_of(self._not_named.pop(name)):
                self._call(holder, function)
        self.named |= words
        self._restores = self._restores or code.restores
        if code.looks_up and not self._looks_up:
            self._looks_up = True
            for waiting in [*self._not_named.values()]:
                for holder, function in _all_of(waiting):
                    self._call(holder, function)

    def _load(self, file: str) -> None:
        callables = self._loading.callables(file)
        self._waiting.append((file, callables.on_import))
        for function in callables.functions:
            if self._looks_up or not function.names.isdisjoint(self.named):
                self._call(file, function)
            for name in function.names:
                self._not_named[name] = (file, function), self._not_named.get(name)

    def _call(self, file: str, function: Part) -> None:
        if id(function) not in self._called:
            self._called.add(id(function))
            self._waiting.append((file, function.code))
