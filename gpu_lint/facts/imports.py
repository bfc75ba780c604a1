"""Which file of the project an import runs.

An import is looked up as Python would for whoever starts the program in the usual way: in the
directory above the importer's own package, beside a script, in the project's root, in its
``src``, and in the directories between. Names of the standard library and of known frameworks
are never the project's, except for a plain module right beside a script.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gpu_lint.errors import SourceError
from gpu_lint.facts import program as p
from gpu_lint.facts.knowledge import Knowledge
from gpu_lint.facts.listing import DEEP_MODULES, MODULES
from gpu_lint.facts.walk import subexpressions
from gpu_lint.records import record
from gpu_lint.repository import Confinement

_FOR_TOOLS = frozenset({"setup.py", "conftest.py", "noxfile.py"})
_ROOT_MARKS = frozenset({".git", ".hg", "pyproject.toml", "setup.py", "setup.cfg", "gpu-lint.toml"})

_MOST_LISTED = 500
"""Modules of one package that are looked at where a program imports all that it finds there."""


@record
class Located:
    """One module that an import runs: a file, or a directory that is a namespace package."""

    name: str
    """Its dotted name as the import says it."""
    file: str
    is_namespace: bool = False


def named_module(name: str, package: str) -> tuple[str, int]:
    """The module and the dots that ``import_module(name, package)`` means."""
    module = name.lstrip(".")
    level = len(name) - len(module)
    if level and package:
        above = package.split(".")[: -(level - 1) or None]
        return ".".join([*above, module]), 0
    return module, level


def module_at_path(call: p.Call) -> str:
    """The module that ``spec_from_file_location(name, path)`` means, as its importer would name it:
    by the texts of which the path is made. Empty where they do not end in a file of Python."""
    given = [argument.value for argument in call.arguments if argument.keyword == "location"]
    path = (given or [argument.value for argument in call.arguments[1:2]])[:1]
    texts = [
        node.value
        for argument in path
        for node in subexpressions(argument)
        if isinstance(node, p.Literal) and isinstance(node.value, str)
    ]
    parts = [part for part in "/".join(texts).split("/") if part not in ("", ".")]
    if not parts or not parts[-1].endswith(".py"):
        return ""
    return ".".join([*parts[:-1], parts[-1].removesuffix(".py")])


class EntriesOnDisk:
    """Lists directories, without what a link leads out of its tree."""

    def __init__(self, confinement: Confinement) -> None:
        self._confinement = confinement

    def __call__(self, directory: str) -> frozenset[str]:
        """The names in a directory; a directory's own name ends in a slash. Empty if unreadable."""
        try:
            self._confinement.directory(directory)
            with os.scandir(directory) as found:
                return frozenset(
                    entry.name + "/" * entry.is_dir()
                    for entry in found
                    if not entry.is_symlink() or self._stays(entry.path)
                )
        except (OSError, SourceError):
            return frozenset()

    def _stays(self, link: str) -> bool:
        try:
            self._confinement.file(link, link=True)
        except SourceError:
            return False
        return True


class Imports:
    """Looks imports up; every directory is read once."""

    def __init__(
        self,
        knowledge: Knowledge,
        entries: Callable[[str], frozenset[str]] | None = None,
        home: str | None = None,
    ) -> None:
        """``home`` is the directory that programs are run from: by default the current one;
        ``entries`` lists a directory: by default that on disk."""
        self.home = home or os.getcwd()
        self._knowledge = knowledge
        self._confinement = Confinement(Path(self.home))
        self._read_entries = entries or EntriesOnDisk(self._confinement)
        self._entries: dict[str, frozenset[str]] = {}
        self._expected: dict[str, set[str]] = {}
        """Files that will be there, by their directories."""
        self._roots: dict[str, tuple[str, ...]] = {}
        self._found: dict[tuple[str, str, int], tuple[Located, ...]] = {}
        self._run: dict[tuple[str, str, int, str], tuple[str, ...]] = {}
        self._bases: dict[tuple[str, int], str] = {}
        self._packages: dict[str, tuple[str, frozenset[str]] | None] = {}

    def expect(self, file: str) -> None:
        """Look imports up as if a file were there already; to be called before any is."""
        directory, name = os.path.split(file)
        self._expected.setdefault(directory, set()).add(name)

    def holds_modules(self, directory: str) -> bool:
        """Whether a directory has Python files right in it that are not there for a tool."""
        return any(name.endswith(".py") for name in self._names(directory) - _FOR_TOOLS)

    def locate(self, importer: str, module: str, level: int) -> tuple[Located, ...]:
        """The project's files that an import runs, outermost package first; empty if none."""
        base = self._base(importer, level)
        key = (base, module, level)
        if key not in self._found:
            self._found[key] = self._locate(base, module, level)
        return self._found[key]

    def holds(self, path: str) -> bool:
        """Whether a file of the tree has a path, which is absolute and normal."""
        directory, name = os.path.split(path)
        return name in self._names(directory)

    def run_by(self, importer: str, module: str, level: int, name: str) -> tuple[str, ...]:
        """The project's files that the import of one name runs, in their order; ``name`` is empty
        where the module itself is imported."""
        key = (self._base(importer, level), module, level, name)
        if key not in self._run:
            if name in (MODULES, DEEP_MODULES):
                self._run[key] = tuple(
                    part.file for part in self.modules_below(importer, module, level, name)
                )
                return self._run[key]
            located = self.locate(importer, module, level)
            files = [part.file for part in located if not part.is_namespace]
            submodule = self.submodule(located[-1].file, name) if located and name else None
            if submodule is not None and submodule.endswith(".py"):
                files.append(submodule)
            self._run[key] = tuple(files)
        return self._run[key]

    def modules_below(
        self, importer: str, module: str, level: int, which: str
    ) -> tuple[Located, ...]:
        """The modules that a package of the project holds, by their names; with those of the
        packages in it, if ``which`` says so."""
        located = self.locate(importer, module, level)
        found: list[Located] = []
        waiting = [located[-1]] if located else []
        while waiting and len(found) < _MOST_LISTED:
            package = self._package(waiting.pop().file)
            if package is None:
                continue
            directory, names = package
            for name in sorted(names):
                part = name.removesuffix("/").removesuffix(".py")
                is_module = name.endswith(".py") and part not in ("__init__", "__main__")
                child = self._child(directory, part, part) if is_module or "/" in name else None
                if child is None or (child.is_namespace and which == MODULES):
                    continue
                if not child.is_namespace:
                    found.append(child)
                if which == DEEP_MODULES and name.endswith("/"):
                    waiting.append(child)
        return tuple(found)

    def _base(self, importer: str, level: int) -> str:
        """The directory that an import is looked up from: the importer's own, or, with dots, that
        of the package that they mean; empty where the dots lead above the repository."""
        key = importer, level
        if key not in self._bases:
            above = self._base(importer, level - 1) if level > 1 else importer
            left = level > 1 and self._confinement.repository_of(above) == above
            self._bases[key] = "" if left or not above else os.path.dirname(above)
        return self._bases[key]

    def packages_around(self, file: str) -> tuple[Located, ...]:
        """The packages that a module stands in, the outermost first."""
        found: list[Located] = []
        directory, name = os.path.split(file)
        top = self._confinement.repository_of(directory)
        if name == "__init__.py":
            return ()
        while "__init__.py" in self._names(directory):
            found.append(Located("", os.path.join(directory, "__init__.py")))
            if directory == top:
                break
            directory = os.path.dirname(directory)
        names = [os.path.basename(os.path.dirname(one.file)) for one in reversed(found)]
        return tuple(
            replace(one, name=".".join(names[: number + 1]))
            for number, one in enumerate(reversed(found))
        )

    def submodule(self, file: str, name: str) -> str | None:
        """The file of a submodule of a package, given the package's own file or directory."""
        if file not in self._packages:
            self._packages[file] = self._package(file)
        package = self._packages[file]
        if package is None or (f"{name}.py" not in package[1] and f"{name}/" not in package[1]):
            return None
        found = self._child(package[0], name, name)
        return found.file if found is not None else None

    def _package(self, file: str) -> tuple[str, frozenset[str]] | None:
        """The directory of a package and the names in it, given its own file or directory."""
        directory, name = os.path.split(file) if file.endswith(".py") else (file, "__init__.py")
        return (directory, self._names(directory)) if name == "__init__.py" else None

    def _locate(self, directory: str, module: str, level: int) -> tuple[Located, ...]:
        if not directory:
            return ()
        if level:
            if not module:
                own = self._own(directory)
                return (replace(own, name="." * level),) if own is not None else ()
            found = self.descend(directory, module)
            return tuple(replace(part, name="." * level + part.name) for part in found)
        root = module.partition(".")[0]
        if not root or root in sys.stdlib_module_names:
            return ()
        framework = self._knowledge.framework_of(module)
        if framework is not None and not framework.may_be_ours:
            names = self._names(directory)
            beside = f"{root}.py" in names and "__init__.py" not in names
            return self.descend(directory, module) if beside else ()
        for place in self.roots(directory):
            found = self.descend(place, module)
            if found:
                return found
        return ()

    def _own(self, directory: str) -> Located | None:
        if "__init__.py" in self._names(directory):
            return Located(".", os.path.join(directory, "__init__.py"))
        return Located(".", directory, True)

    def descend(self, directory: str, module: str) -> tuple[Located, ...]:
        """Follow a dotted name down from a directory, as far as it leads."""
        found: list[Located] = []
        dotted = ""
        for part in module.split("."):
            dotted = f"{dotted}.{part}" if dotted else part
            child = self._child(directory, part, dotted)
            if child is None:
                return ()
            found.append(child)
            directory = os.path.join(directory, part)
        if all(one.is_namespace for one in found) and not self._holds_python(found[-1].file):
            return ()
        return tuple(found)

    def _child(self, directory: str, part: str, dotted: str) -> Located | None:
        names = self._names(directory)
        path = os.path.join(directory, part)
        if f"{part}/" in names and "__init__.py" in self._names(path):
            return Located(dotted, os.path.join(path, "__init__.py"))
        if f"{part}.py" in names:
            return Located(dotted, f"{path}.py")
        if f"{part}/" in names:
            return Located(dotted, path, True)
        return None

    def _holds_python(self, directory: str) -> bool:
        return any(name.endswith((".py", "/")) for name in self._names(directory))

    def roots(self, directory: str) -> tuple[str, ...]:
        """The directories that an absolute import of a file in a directory may start from."""
        if directory not in self._roots:
            package = directory
            top = self._confinement.repository_of(directory)
            while package != top and "__init__.py" in self._names(package):
                if os.path.dirname(package) == package:
                    break
                package = os.path.dirname(package)
            places = [package]
            above = package
            root = self._project_root(package)
            while above != root and os.path.dirname(above) != above:
                above = os.path.dirname(above)
                places.append(above)
            places += [os.path.join(root, "src"), directory]
            self._roots[directory] = tuple(dict.fromkeys(places))
        return self._roots[directory]

    def _project_root(self, directory: str) -> str:
        """The nearest directory above that looks like a project's root; without one, where the
        program is run from, if that is above; else the directory itself."""
        current = directory
        while True:
            names = self._names(current)
            if _ROOT_MARKS & names or ".git/" in names or ".hg/" in names:
                return current
            parent = os.path.dirname(current)
            if parent == current:
                inside = (directory + os.sep).startswith(self.home + os.sep)
                return self.home if inside else directory
            current = parent

    def _names(self, directory: str) -> frozenset[str]:
        if directory not in self._entries:
            expected = self._expected.get(directory, ())
            self._entries[directory] = self._read_entries(directory).union(expected)
        return self._entries[directory]
