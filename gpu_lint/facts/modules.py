"""Imports: the modules of the project that a program brings in, run where it does so."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator
from functools import partial

from gpu_lint.facts import program as p
from gpu_lint.facts.calls import MOST_STATEMENTS, Calls, Frame
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.imports import Located, named_module
from gpu_lint.facts.model import Reach, Trigger
from gpu_lint.facts.reading import Reading
from gpu_lint.facts.skimmed import BEFORE_ALL
from gpu_lint.facts.summaries import Budget, Part
from gpu_lint.facts.values import UNKNOWN, ModuleValue, Symbol, Value
from gpu_lint.facts.walk import blocks
from gpu_lint.facts.world import World
from gpu_lint.source import Span


class Modules(Calls):
    """Runs what is imported: in place, or by the summary of a run of its own."""

    _still: bool
    """Nothing is set in the process, so that only devices are of interest."""
    _by_itself: bool
    """Imports that stand in functions are left out, and the run ends at the first use of a GPU: it
    is asked what the program has set by itself until then."""

    def __init__(self, world: World, file: str, *, follow_imports: bool) -> None:
        """``follow_imports`` runs the project's modules in place, not by their summaries."""
        super().__init__(world, file)
        self.start = file
        self.follow_imports = follow_imports

    @abstractmethod
    def bind(self, name: str, value: Value, flow: Flow) -> None:
        """Bind a name where execution is."""

    def run_import(self, node: p.Import, flow: Flow) -> None:
        """Run what an import statement brings in, and bind its names."""
        for name in node.names:
            located = self.world.locate(self.file, name.module, name.level)
            if located:
                self._import_ours(name, located, node.span, flow)
            elif name.level:
                relative = "." * name.level + name.module
                if name.name not in ("", "*"):
                    self.bind(name.bound, Symbol(f"{relative}.{name.name}"), flow)
            else:
                self._import_foreign(name, node.span, flow)

    def _import_foreign(self, name: p.ImportedName, span: Span, flow: Flow) -> None:
        self.import_module(name.module, span, flow)
        if name.name == "":
            root = name.module.partition(".")[0]
            whole = name.bound != root
            self.bind(name.bound, Symbol(name.module if whole else root), flow)
        elif name.name != "*":
            dotted = f"{name.module}.{name.name}"
            if dotted in self.knowledge.modules:
                self.import_module(dotted, span, flow)
            self.bind(name.bound, Symbol(dotted), flow)
        elif name.module == "os":
            self.bind("environ", Symbol("os.environ"), flow)

    def _import_ours(
        self, name: p.ImportedName, located: tuple[Located, ...], span: Span, flow: Flow
    ) -> None:
        for part in located:
            self._load(part, span, flow)
        if not flow.alive:
            return
        module, dots = located[-1].file, "." * name.level
        if name.name == "":
            whole = name.bound != name.module.partition(".")[0]
            self.bind(name.bound, ModuleValue(module if whole else located[0].file), flow)
        elif name.name == "*":
            flow.bind_public(self.scopes[-1], flow.names(self.world.frame_of(module)))
        else:
            found = self.member(module, name.name, flow)
            submodule = self.world.submodule(module, name.name) if found is None else None
            if submodule is not None:
                dotted = f"{name.module}.{name.name}" if name.module else name.name
                part = Located(dots + dotted, submodule, not submodule.endswith(".py"))
                self._load(part, span, flow)
                found = ModuleValue(submodule)
            symbol = Symbol(f"{dots}{name.module}.{name.name}")
            self.bind(name.bound, found or symbol, flow)

    def module_named(self, name: str) -> Value:
        located = self.world.locate(self.file, name, 0) if name else ()
        return ModuleValue(located[-1].file) if located else UNKNOWN

    def import_by_name(self, name: str, span: Span, flow: Flow, package: str = "") -> Value:
        module, level = named_module(name, package)
        located = self.world.locate(self.file, module, level)
        if not located:
            self.import_module(name, span, flow)
            return Symbol(name)
        for part in located:
            self._load(part, span, flow)
        return ModuleValue(located[-1].file)

    def run_packages(self, reading: Reading, flow: Flow) -> None:
        """Run what ``python -m`` runs before the program: the packages that it stands in. Whether
        it is started so is certain of a ``__main__.py`` and of a module with relative imports, and
        may be of one that imports its own package by name."""
        packages = self.world.packages_around(self.file)
        if not packages:
            return
        at_once = [one for one in reading.imported if not one.is_deferred]
        surely = os.path.basename(self.file) == "__main__.py" or any(one.level for one in at_once)
        root = packages[0].name
        if not surely and not any(one.module.partition(".")[0] == root for one in at_once):
            return
        before = flow if surely else flow.copy()
        for part in packages:
            self._load(part, BEFORE_ALL, before)
        if not surely:
            flow.join(before)

    def import_listed(self, span: Span, flow: Flow) -> None:
        for part in self.world.listed_by(self.file):
            if part.file != self.file:
                self._load(part, span, flow)

    def _load(self, module: Located, span: Span, flow: Flow) -> None:
        """Run a module of the project, unless that has been done on every path to here."""
        if not flow.alive:
            return
        if self._recording is not None:
            self._recording.asks_for_file(module.file)
        if module.file in flow.loaded:
            return
        if self._by_itself and self._running:
            return
        if module.is_namespace:
            flow.loaded |= {module.file}
            flow.touched |= {module.file}
            return
        if module.file in flow.touched:
            other = flow.copy()
            self._load_now(module, span, other)
            flow.loaded |= {module.file}
            flow.join(other)
            flow.loaded |= {module.file}
        else:
            self._load_now(module, span, flow)

    def _load_now(self, module: Located, span: Span, flow: Flow) -> None:
        step = Trigger(f"import {module.name}", span, self.file, self.steps, True)
        flow.loaded |= {module.file}
        flow.touched |= {module.file}
        if self._still and not self.world.may_matter(module.file):
            return
        reading = self.world.reading(module.file)
        if reading is None:
            return
        if not self.follow_imports:
            summary = self.world.summary(module.file)
            if summary is not None:
                use = summary.imported.trigger or summary.frozen.trigger
                if use is not None:
                    self.note_use(use.behind((*self.steps, step)), flow)
                flow.follow(summary, (*self.steps, step))
                flow.alive = summary.alive
            return
        if self._budget <= 0:
            may_load = self.reach is not Reach.UNCALLED
            is_too_much = self._budget <= -MOST_STATEMENTS
            self.note_cut_short(by_others=may_load and is_too_much)
            if may_load and not is_too_much:
                self._load_unfollowed(module.file, reading, step, flow)
            return
        saved = self._activation()
        self.steps = (*self.steps, step)
        if self.reach is not Reach.UNCALLED:
            self.reach = Reach.MODULE
        part, body = Part(("module", module.file)), reading.program.body
        self.run_part(part, self.steps, flow, lambda: self._run_module(module.file, body, flow))
        self._restore(saved)

    def _load_unfollowed(self, file: str, reading: Reading, step: Trigger, flow: Flow) -> None:
        """Do what a module may do that is not followed, since the program's budget is used up: run
        it where it mentions a variable that decides about GPUs, else import what it imports."""
        body = reading.program.body
        if not self.world.mentions(file):
            body = tuple(_imports_in(body))
        saved, path = self._activation(), flow.copy()
        self.steps = (*self.steps, step)
        self.reach = Reach.MODULE
        run = partial(self._run_module, file, body, path)
        self.run_part(Part(("unfollowed", file), Budget.NONE), self.steps, path, run)
        self._restore(saved)
        done = path.loaded
        flow.join(path)
        flow.loaded |= done

    def _run_module(self, file: str, body: p.Block, flow: Flow) -> None:
        """Run a module's body where it is imported."""
        self._move_to(file)
        frame = self.world.frame_of(file)
        if self._recording is not None:
            self._recording.own.add(frame)
            self._recording.lasting.add(frame)
        flow.open(frame)
        self.scopes = (frame,)
        self._frame, self._running, self._class_depth, self._owner = Frame(""), [], 0, None
        self._branches = 0
        times, self._times = self._times, 1
        self.block(body, flow)
        self._times = times


def _imports_in(body: p.Block) -> Iterator[p.Statement]:
    """The import statements of a module's body, outside of functions and classes."""
    for one in body:
        if isinstance(one, p.Import):
            yield one
        elif not isinstance(one, (p.Function, p.Class)):
            for suite in blocks(one):
                yield from _imports_in(suite)
