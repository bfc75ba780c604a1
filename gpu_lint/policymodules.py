"""Finds the module that holds the header for the files that import it (``header.style``).

A module that is not there yet is planned where every program that runs the file would find it:
beside a script, above a package, or where the file's own imports are found.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from gpu_lint.facts.demands import Behind, PolicyModule
from gpu_lint.facts.imports import Located
from gpu_lint.globs import matches
from gpu_lint.relevance import EACH_FILE
from gpu_lint.source import Span

if TYPE_CHECKING:
    from gpu_lint.facts.importgraph import ImportGraph
    from gpu_lint.facts.skimmed import Imported
    from gpu_lint.reads import Read
    from gpu_lint.relevance import Relevance

_INLINE = 'set header.style = "inline" for it in an override'


class PolicyModules:
    """The policy's modules of the files of a run."""

    def __init__(
        self,
        graph: ImportGraph,
        relevance: Relevance,
        reads: Mapping[str, Read],
    ) -> None:
        """``reads`` are the files that are judged, and those that are to be made."""
        self._graph = graph
        self._relevance = relevance
        self._reads = reads
        self._found: dict[str, PolicyModule | None] = {}
        self._loaded: dict[str, str] = {}
        """The framework that each file loads where it is imported; empty for those that do not."""

    def of(self, file: str) -> PolicyModule | None:
        """The module that a file should import; None where the policy wants headers inline, or
        where the file is that module."""
        if file not in self._found:
            name = self._name(file)
            is_needed = name and not self.is_one(file)
            self._found[file] = self._find(file, name) if is_needed else None
        return self._found[file]

    def is_one(self, file: str) -> bool:
        """Whether a file is the policy's module for others: it has its name, and holds a header or
        nothing yet."""
        name = self._name(file)
        if not name:
            return False
        path = os.path.join(os.sep, *name.split("."))
        if not file.endswith((f"{path}.py", os.path.join(path, "__init__.py"))):
            return False
        return self._may_hold_header(file)

    def _name(self, file: str) -> str:
        policy = self._relevance.policy_of(file)
        return policy.header.module if policy is not None else ""

    # --- where it is ---------------------------------------------------------------------

    def _find(self, file: str, name: str) -> PolicyModule:
        framework = self._graph.knowledge.framework_of(name)
        if framework is not None and not framework.own:
            return PolicyModule(name, fault=f"{name} is a module of {framework.name}; name another")
        located = self._graph.locate(file, name, 0)
        if located and located[-1].file in self._graph.edges(file):
            return self._checked(file, name, located)
        package, _, last = name.rpartition(".")
        searched, home = self._roots(file), "" if package else self._home(file)
        roots = [root for root in searched if home in ("", root)]
        planned = self._existing(name, roots) or self._planned(package, last, roots)
        if planned:
            return self._checked(file, name, planned)
        shown = self._relevance.shown
        found = " and ".join(f"{shown(root)}/" for root in searched)
        found = f"modules are found in {found}" if found else "nothing says where modules are found"
        belongs = f"there is no package {package}" if package else f"it belongs in {shown(home)}/"
        why = f"`import {name}` is not sure to work in {shown(file)}: {found}, and {belongs}"
        return PolicyModule(name, fault=f"{why}; name another in header.style, or {_INLINE}")

    def _existing(self, name: str, roots: list[str]) -> tuple[Located, ...]:
        """The module below one of some directories, outermost package first; empty if none is."""
        found = (self._graph.imports.descend(root, name) for root in roots)
        return next((one for one in found if one and not one[-1].is_namespace), ())

    def _planned(self, package: str, last: str, roots: list[str]) -> tuple[Located, ...]:
        """The same of a module that is not there yet: where its package is."""
        imports = self._graph.imports
        for root in roots:
            directory = os.path.join(root, *package.split(".")) if package else root
            if not package or imports.holds_modules(directory):
                above = imports.descend(root, package) if package else ()
                return *above, Located(last, os.path.join(directory, f"{last}.py"))
        return ()

    def _checked(self, file: str, name: str, located: tuple[Located, ...]) -> PolicyModule:
        """The module at a place, and what speaks against it."""
        module = located[-1].file
        read = self._reads.get(module)
        is_new = read.is_new if read is not None else not os.path.exists(module)
        fault = self._loaded_before(file, name, located)
        shown = self._relevance.shown(module)
        if not fault and not self._is_for(file, module):
            fault = (
                f"{shown} is under another policy: name a module for {self._relevance.shown(file)} "
            )
            fault += "that the same override covers"
        if not fault and is_new and read is not None and not read.may_change:
            fault = f"{shown} is not there yet; `gpu-lint fix` makes it"
        if not fault and not is_new and not self._may_hold_header(module):
            fault = f"{shown} is there already and sets no GPU variable: "
            fault += "name another module in header.style, or delete that file"
        at = self._imported_at(file, module)
        behind = self._behind(file, module, at[0]) if at else None
        is_bare = is_new or self._is_bare(module)
        is_judged = read is not None and not is_new
        return PolicyModule(name, module, is_new, is_bare, is_judged, fault, at, behind)

    def _is_for(self, file: str, module: str) -> bool:
        """Whether the policy for a file wants of the module what the policy for that wants."""
        policies = map(self._relevance.policy_at, (file, module))
        wanted = [
            (one.gpu.visible_devices, one.gpu.device_order, one.gpu.alloc_conf, one.header_template)
            for one in policies
            if one is not None
        ]
        return len(wanted) == 2 and wanted[0] == wanted[1]

    def _may_hold_header(self, module: str) -> bool:
        """Whether a file holds a header, or nothing that is not in place beside one."""
        return self._is_bare(module) or self._graph.mentions(module)

    def _is_bare(self, module: str) -> bool:
        """Whether a file holds nothing but imports and a docstring, if that."""
        reading = self._graph.reading(module)
        if reading is None:
            return False
        layout = reading.layout
        imported = {found.statement for found in layout.imports}
        return all(
            statement.end <= layout.prologue_end or statement in imported
            for statement in layout.statements
        )

    def _loaded_before(self, file: str, name: str, located: tuple[Located, ...]) -> str:
        """Why the module comes too late wherever it is imported: a package that it is in loads a
        framework first."""
        for package in located[:-1]:
            inside = file.startswith(os.path.join(os.path.dirname(package.file), ""))
            if package.is_namespace or inside or self._will_import(package.file, located[-1].file):
                continue
            if framework := self._loads(package.file):
                return (
                    f"`import {name}` runs {self._relevance.shown(package.file)} first, which "
                    f"imports {framework}: name a module outside of that package in header.style"
                )
        return ""

    def _will_import(self, package: str, module: str) -> bool:
        """Whether a package imports the module itself, or must do so by the policy."""
        read, policy = self._reads.get(package), self._relevance.policy_of(package)
        if module in self._graph.edges(package):
            return True
        if read is None or policy is None:
            return False
        where = policy.header.required_in
        if isinstance(where, tuple):
            return matches(list(where), read.settings.relative(read.path))
        return where in EACH_FILE

    # --- where modules are found ---------------------------------------------------------

    def _home(self, file: str) -> str:
        """The directory of a module that is in no package: the topmost that holds modules, so that
        there is one for the whole project."""
        base = self._base(file)
        roots = self._graph.imports.roots(base)
        above = [r for r in roots if os.path.join(base, "").startswith(os.path.join(r, ""))]
        holding = filter(self._graph.imports.holds_modules, sorted(above, key=len))
        return next(holding, base)

    def _roots(self, file: str) -> list[str]:
        """The directories in which Python looks for modules in every program that runs a file:
        first those that are sure by how it is run, then those that its own imports show."""
        ways, own = self._ways(file), self._own_roots(file)
        roots = self._graph.imports.roots(os.path.dirname(file))
        sure = [root for root in roots if all(root in way for way in ways)]
        shown = [root for root in roots if all(root in way | own for way in ways)]
        return list(dict.fromkeys((*sure, *shown)))

    def _ways(self, file: str) -> list[set[str]]:
        """The directories in which modules are surely found, for each way to run a file."""
        base = self._base(file)
        ways = [
            self._roots_used(importer, file) or {base}
            for importer in self._graph.importers.get(file, ())
        ]
        if self._relevance.may_be_started(file, self._graph):
            ways.append(self._roots_of_program(file))
        return ways or [{base}]

    def _roots_of_program(self, file: str) -> set[str]:
        """The same where a file is started. One in a package may be started by its path or by its
        name: nothing is sure."""
        directory, base = os.path.dirname(file), self._base(file)
        by_name = os.path.basename(file).startswith(("__main__", "test_"))
        if by_name or self._relevance.scripts.calling(file, self._graph):
            return {base}
        return {directory} if directory == base else set()

    def _base(self, file: str) -> str:
        """The directory above the package that a file is in."""
        return self._graph.imports.roots(os.path.dirname(file))[0]

    def _own_roots(self, file: str) -> set[str]:
        """The directories in which the modules of the project are that a file imports itself,
        unless it changes ``sys.path`` when the header should have been run."""
        data, skimmed = self._graph.data(file) or b"", self._graph.skimmed(file)
        if b"sys.path" in data:
            reading = self._graph.reading(file)
            if reading is None or b"sys.path" in data[reading.layout.anchor :]:
                return set()
        imported = skimmed.imported if skimmed is not None else ()
        return {root for one in imported if (root := self._root(file, one))}

    def _roots_used(self, importer: str, file: str) -> set[str]:
        """The directories in which another file finds one that it imports."""
        skimmed = self._graph.skimmed(importer)
        return {
            root
            for one in (skimmed.imported if skimmed is not None else ())
            if file in self._graph.run_by(importer, one) and (root := self._root(importer, one))
        }

    def _root(self, file: str, one: Imported) -> str:
        """The directory in which an import of the project's is found; empty for others."""
        located = self._graph.locate(file, one.module, one.level)
        if not located:
            return ""
        if one.level:
            return self._base(file)
        first = located[0].file
        is_package = os.path.basename(first) == "__init__.py"
        return os.path.dirname(os.path.dirname(first) if is_package else first)

    # --- when it is imported -------------------------------------------------------------

    def _at_module_level(self, file: str) -> list[Imported]:
        """What a file imports in every run of it, in order."""
        reading, skimmed = self._graph.reading(file), self._graph.skimmed(file)
        if reading is None or skimmed is None:
            return []
        always = {found.span for found in reading.layout.imports if found.span == found.statement}
        return [one for one in skimmed.imported if one.span in always]

    def _imported_at(self, file: str, module: str) -> tuple[Span, ...]:
        if module not in self._graph.edges(file):
            return ()
        found = self._at_module_level(file)
        return tuple(
            dict.fromkeys(one.span for one in found if module in self._graph.run_by(file, one))
        )

    def _behind(self, file: str, module: str, at: Span) -> Behind | None:
        """What loads a framework before a file imports the module; None where something above may
        have run that already."""
        for one in self._at_module_level(file):
            if one.start >= at.start:
                return None
            run = self._graph.run_by(file, one)
            if any(module in self._graph.closure(other) for other in run):
                return None
            if self._uses_mask(one) or any(map(self._loads, run)):
                return Behind(f"import {'.' * one.level}{one.module}", one.span, bool(run))
        return None

    def _uses_mask(self, one: Imported) -> str:
        framework = self._graph.knowledge.framework_of(one.module) if not one.level else None
        return framework.name if framework is not None and framework.uses_mask else ""

    def _loads(self, file: str) -> str:
        """A framework that is loaded where a file of the project is imported; empty if none is."""
        if file not in self._loaded:
            self._loaded[file] = next(filter(None, self._all_loaded(file)), "")
        return self._loaded[file]

    def _all_loaded(self, file: str) -> Iterator[str]:
        waiting, seen = [file], {file}
        while waiting:
            current = waiting.pop()
            skimmed = self._graph.skimmed(current)
            for one in skimmed.imported if skimmed is not None else ():
                if not one.is_deferred:
                    yield self._uses_mask(one)
                    new = set(self._graph.run_by(current, one)) - seen
                    seen |= new
                    waiting += new
