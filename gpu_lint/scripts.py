"""Console and GUI scripts: which function of which file an installed command calls.

They are declared in ``pyproject.toml`` (``[project.scripts]``, ``[project.gui-scripts]``,
``[tool.poetry.scripts]``), in ``setup.cfg`` and in ``setup.py``, which is read as syntax and never
run. What cannot be read or is no such declaration says nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from gpu_lint.errors import ConfigError, SourceError
from gpu_lint.facts import program as p
from gpu_lint.facts.walk import expressions
from gpu_lint.records import record
from gpu_lint.repository import leads_outside
from gpu_lint.source import LARGEST_TEXT, read_bytes

if TYPE_CHECKING:
    from gpu_lint.facts.demands import Imported

DECLARING = ("pyproject.toml", "setup.cfg", "setup.py")
_KINDS = ("console_scripts", "gui_scripts")
_DOTTED = re.compile(r"[^\W\d][\w.]*")
_MOST_STEPS = 5
"""Files through which a name is followed that is imported from one into another."""
_MOST_SCRIPTS = 1_000
"""Commands of one declaring file that are looked at."""
_MOST_CALLS = 100
"""Commands that are remembered of one file."""


@record
class Script:
    """One command, and the function that it calls."""

    command: str
    module: str
    function: str
    """Its dotted name in the module; empty where the module alone is named."""
    declared_in: str
    """The file that says so."""


@record
class Call:
    """What a command calls in a file."""

    script: Script
    function: str
    """The name of a function or class of that file's own; empty where none is found there."""


@record
class _Bound:
    """What the names of a module mean, as its own statements bind them."""

    defined: frozenset[str]
    """Functions and classes."""
    imported: dict[str, p.ImportedName]


class DeclaredScripts:
    """Finds the commands that call something in a file: those declared in its directory or above
    it. Each declaring file is read once."""

    def __init__(self, top_of: Callable[[str], str]) -> None:
        """``top_of`` gives the highest directory that has a say in the files of a directory."""
        self._top_of = top_of
        self._read: set[str] = set()
        self._calls: dict[str, list[Call]] = {}
        self._bound: dict[str, _Bound | None] = {}

    def calling(self, file: str, graph: Imported) -> tuple[Call, ...]:
        """The commands that call something in a file."""
        directory = os.path.dirname(file)
        if directory not in self._read:
            top = self._top_of(directory)
            if not os.path.join(directory, "").startswith(os.path.join(top, "")):
                top = directory
            while directory not in self._read:
                self._read.add(directory)
                for name in DECLARING:
                    self._read_from(os.path.join(directory, name), top, graph)
                above = os.path.dirname(directory)
                if directory in (top, above):
                    break
                directory = above
        return tuple(self._calls.get(file, ()))

    def _read_from(self, path: str, top: str, graph: Imported) -> None:
        if not os.path.isfile(path) or (os.path.islink(path) and leads_outside(path, top)):
            return
        found: Iterable[Script] = ()
        roots: Iterable[str] = ()
        with suppress(SourceError, ConfigError, UnicodeDecodeError):
            if path.endswith(".py"):
                reading = graph.reading(path)
                if reading is not None:
                    found, roots = _of_setup_py(reading.program, path)
            else:
                text = read_bytes(path, LARGEST_TEXT).decode("utf-8-sig")
                read = _of_pyproject if path.endswith(".toml") else _of_setup_cfg
                found, roots = read(text, path)
        for script in islice(found, _MOST_SCRIPTS):
            for file in _files_of(script, os.path.dirname(path), roots):
                if os.path.isfile(file):
                    name = script.function.partition(".")[0]
                    at, function = self._defining(file, name, graph)
                    calls = self._calls.setdefault(at, [])
                    if len(calls) < _MOST_CALLS:
                        calls.append(Call(script, function))
                    break

    def _defining(self, file: str, name: str, graph: Imported) -> tuple[str, str]:
        """The file in which something is defined that a name means in a file, and its name there;
        the file itself, and no name, where that cannot be told."""
        at, wanted = file, name
        for _ in range(_MOST_STEPS if name else 0):
            if at not in self._bound:
                reading = graph.reading(at)
                self._bound[at] = None if reading is None else _bound_in(reading.program)
            bound = self._bound[at]
            if bound is None:
                break
            if wanted in bound.defined:
                return at, wanted
            one = bound.imported.get(wanted)
            if one is None:
                break
            files = graph.imports.run_by(at, one.module, one.level, one.name)
            if not files:
                break
            at, wanted = files[-1], one.name
        return file, ""


def _bound_in(program: p.Program) -> _Bound:
    defined = (one.name for one in program.body if isinstance(one, (p.Function, p.Class)))
    imported = {
        name.bound: name
        for one in program.body
        if isinstance(one, p.Import)
        for name in one.names
        if name.name not in ("", "*")
    }
    return _Bound(frozenset(defined), imported)


def _files_of(script: Script, directory: str, roots: Iterable[str]) -> Iterator[str]:
    """The files that a script's module may be, the likeliest first."""
    parts = script.module.split(".")
    for root in dict.fromkeys(("", "src", *roots)):
        module = os.path.normpath(os.path.join(directory, root, *parts))
        yield f"{module}.py"
        yield os.path.join(module, "__init__.py")


# --- what the files say ------------------------------------------------------------------------


_Declared: TypeAlias = "tuple[list[Script], list[str]]"
"""Scripts, and the directories that modules are in."""


def _script(command: object, reference: object, declared_in: str) -> Iterator[Script]:
    if isinstance(reference, str):  # behind a bracket stand the extras that it needs
        module, _, function = map(str.strip, reference.partition("[")[0].partition(":"))
        if _DOTTED.fullmatch(module) and (not function or _DOTTED.fullmatch(function)):
            yield Script(str(command).strip(), module, function, declared_in)


def _of_pyproject(text: str, path: str) -> _Declared:
    from gpu_lint.toml import parse_toml

    table = parse_toml(text, Path(path))
    project, tool = _table(table, "project"), _table(table, "tool")
    poetry = _table(tool, "poetry")
    found: list[Script] = []
    for scripts in (_table(project, "scripts"), _table(project, "gui-scripts")):
        for command, reference in scripts.items():
            found += _script(command, reference, path)
    for command, said in _table(poetry, "scripts").items():
        told = said.get("reference", said.get("callable")) if isinstance(said, dict) else said
        found += _script(command, told, path)
    roots = list(_table(_table(tool, "setuptools"), "package-dir").values())
    packages = poetry.get("packages")
    for one in packages if isinstance(packages, list) else ():
        roots.append(one.get("from") if isinstance(one, dict) else None)
    return found, [root for root in roots if isinstance(root, str)]


def _table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = table.get(key)
    return found if isinstance(found, dict) else {}


def _of_setup_cfg(text: str, path: str) -> _Declared:
    found: list[Script] = []
    roots: list[str] = []
    for section, key, value in _values(text):
        if section == "options.entry_points" and key in _KINDS:
            found += _of_lines(value, path)
        elif section == "options" and key == "package_dir" and "=" in value:
            roots.append(value.partition("=")[2].strip())
    return found, roots


def _values(text: str) -> Iterator[tuple[str, str, str]]:
    """The lines of a configuration file that hold values: section, key and what it says.

    ``configparser`` takes a time that grows with the square of the length of a line.
    """
    section = key = ""
    for line in text.splitlines():
        value = line.strip()
        if not value or value[0] in "#;":
            continue
        if not line[0].isspace():
            key = ""
            if value[0] == "[":
                section = value[1:-1].strip() if value[-1] == "]" else ""
                continue
            end = min((at for at in map(value.find, "=:") if at >= 0), default=len(value))
            key, value = value[:end].strip().lower().replace("-", "_"), value[end + 1 :].strip()
        if key and value:
            yield section, key, value


def _of_lines(text: str, path: str) -> Iterator[Script]:
    for line in text.splitlines():
        command, equals, reference = line.partition("=")
        if equals:
            yield from _script(command, reference, path)


def _of_setup_py(program: p.Program, path: str) -> _Declared:
    found: list[Script] = []
    roots: list[str] = []
    literals = {
        target.id: one.value
        for one in program.body
        if isinstance(one, p.Assign) and not one.operator
        for target in one.targets
        if isinstance(target, p.Name)
    }
    for node in expressions(program.body):
        for argument in node.arguments if isinstance(node, p.Call) else ():
            value = argument.value
            if isinstance(value, p.Name):
                value = literals.get(value.id, value)
            if argument.keyword == "entry_points":
                found += _of_entry_points(value, path)
            elif argument.keyword == "package_dir" and isinstance(value, p.Mapping):
                roots += filter(None, (_text(item) for _, item in value.items))
    return found, roots


def _of_entry_points(node: p.Expression, path: str) -> Iterator[Script]:
    if isinstance(node, p.Mapping):
        for key, item in node.items:
            if key is not None and _text(key) in _KINDS:
                lines = item.items if isinstance(item, p.Sequence) else (item,)
                yield from _of_lines("\n".join(map(_text, lines)), path)
    else:
        kind = ""
        for line in map(str.strip, _text(node).splitlines()):
            if line.startswith("["):
                kind = line.strip("[] ")
            elif kind in _KINDS:
                yield from _of_lines(line, path)


def _text(node: p.Expression) -> str:
    return node.value if isinstance(node, p.Literal) and isinstance(node.value, str) else ""
