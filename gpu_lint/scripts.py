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
    from gpu_lint.facts.reading import Reading

DECLARING = ("pyproject.toml", "setup.cfg", "setup.py")
_KINDS = ("console_scripts", "gui_scripts")
_REFERENCE = re.compile(r"([^\W\d][\w.]*)(?:\s*:\s*([^\W\d][\w.]*))?\s*(?:\[.*\])?\s*")
_MOST_STEPS = 5
"""Files through which a name is followed that is imported from one into another."""


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


class DeclaredScripts:
    """Finds the commands that call something in a file: those declared in its directory or above
    it. Each declaring file is read once."""

    def __init__(self, top_of: Callable[[str], str]) -> None:
        """``top_of`` gives the highest directory that has a say in the files of a directory."""
        self._top_of = top_of
        self._read: set[str] = set()
        self._calls: dict[str, list[Call]] = {}

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
        for script in found:
            for file in _files_of(script, os.path.dirname(path), roots):
                if os.path.isfile(file):
                    at, function = _defining(file, script.function.partition(".")[0], graph)
                    self._calls.setdefault(at, []).append(Call(script, function))
                    break


def _files_of(script: Script, directory: str, roots: Iterable[str]) -> Iterator[str]:
    """The files that a script's module may be, the likeliest first."""
    parts = script.module.split(".")
    for root in dict.fromkeys(("", "src", *roots)):
        module = os.path.normpath(os.path.join(directory, root, *parts))
        yield f"{module}.py"
        yield os.path.join(module, "__init__.py")


def _defining(file: str, name: str, graph: Imported) -> tuple[str, str]:
    """The file in which something is defined that a name means in a file, and its name there; the
    file itself, and no name, where that cannot be told."""
    at, wanted = file, name
    for _ in range(_MOST_STEPS if name else 0):
        reading = graph.reading(at)
        if reading is None:
            break
        if any(
            isinstance(one, (p.Function, p.Class)) and one.name == wanted
            for one in reading.program.body
        ):
            return at, wanted
        way = _import_of(wanted, at, reading, graph)
        if way is None:
            break
        at, wanted = way
    return file, ""


def _import_of(name: str, file: str, reading: Reading, graph: Imported) -> tuple[str, str] | None:
    """The file of the project that a file imports a name from, and the name there."""
    for statement in reading.program.body:
        if isinstance(statement, p.Import):
            for one in statement.names:
                if one.bound == name and one.name not in ("", "*"):
                    files = graph.imports.run_by(file, one.module, one.level, one.name)
                    if files and files[-1] != file:
                        return files[-1], one.name
    return None


# --- what the files say ------------------------------------------------------------------------


_Declared: TypeAlias = "tuple[list[Script], list[str]]"
"""Scripts, and the directories that modules are in."""


def _script(command: object, reference: object, declared_in: str) -> Iterator[Script]:
    match = _REFERENCE.fullmatch(reference.strip()) if isinstance(reference, str) else None
    if match is not None:
        yield Script(str(command).strip(), match[1], match[2] or "", declared_in)


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
    from configparser import Error, RawConfigParser

    parser = RawConfigParser(strict=False, delimiters=("=",))
    with suppress(Error):
        parser.read_string(text)
    lines = [parser.get("options.entry_points", kind, fallback="") for kind in _KINDS]
    places = parser.get("options", "package_dir", fallback="").splitlines()
    return list(_of_lines("\n".join(lines), path)), [
        root.strip() for _, equals, root in (place.partition("=") for place in places) if equals
    ]


def _of_lines(text: str, path: str) -> Iterator[Script]:
    for line in text.splitlines():
        command, equals, reference = line.partition("=")
        if equals:
            yield from _script(command, reference, path)


def _of_setup_py(program: p.Program, path: str) -> _Declared:
    found: list[Script] = []
    roots: list[str] = []
    for node in expressions(program.body):
        for argument in node.arguments if isinstance(node, p.Call) else ():
            value = _meant(argument.value, program)
            if argument.keyword == "entry_points":
                found += _of_entry_points(value, path)
            elif argument.keyword == "package_dir" and isinstance(value, p.Mapping):
                roots += filter(None, (_text(item) for _, item in value.items))
    return found, roots


def _meant(node: p.Expression, program: p.Program) -> p.Expression:
    """What an expression is, or what a name is bound to at module level."""
    if not isinstance(node, p.Name):
        return node
    meant: p.Expression = node
    for statement in program.body:
        if isinstance(statement, p.Assign) and not statement.operator:
            if any(isinstance(one, p.Name) and one.id == node.id for one in statement.targets):
                meant = statement.value
    return meant


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
