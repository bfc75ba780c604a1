"""Composes projects that have the right header, and then something that may undo it.

``run.py`` is started. Each way to write, remove, guard, hand on or use what decides about GPUs is
one line of a table (:mod:`tests.differential.forms`, :mod:`tests.differential.uses`), and stands in
the project with a key and a value that matter or with those that do not, so that a wrong program
and a right one differ in no more than that.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field

from tests.differential import forms, uses
from tests.differential.forms import Form
from tests.differential.owners import MASK, Owned
from tests.differential.programs import Chooser

ORDER = "CUDA_DEVICE_ORDER"
ALLOC = "PYTORCH_CUDA_ALLOC_CONF"
NEUTRAL = "OMP_NUM_THREADS"
ELSEWHERE = {
    "APP_CONFIG": '{"gpu": "0"}', "APP_GPU": "0", "APP_ORDER": "FASTEST_FIRST", "APP_SETUP": "1",
    "argv": "--gpu 0",
}  # fmt: skip
"""What some machines give a program that asks for it: variables, and the words behind its name."""
_PINS = ("torch==2.1.2\n", "numpy\ntorch>=2.4,<2.5\n", "torch==2.11.0\n")
_USE = 'torch.zeros(1, device="cuda")'


@dataclass
class _Piece:
    """Lines that do one thing, with what they need above them."""

    lines: list[str]
    definitions: list[str] = field(default_factory=list)
    modules: set[str] = field(default_factory=set)

    def followed_by(self, other: _Piece) -> _Piece:
        return _Piece(
            self.lines + other.lines,
            self.definitions + other.definitions,
            self.modules | other.modules,
        )

    def renamed(self, suffix: str) -> _Piece:
        """The same, with names of its own for what it defines."""
        if not self.defined:
            return self
        own = re.compile(rf"(?<!\.)\b(?:{'|'.join(sorted(self.defined))})\b(?!=)")
        lines, definitions = (
            [own.sub(rf"\g<0>{suffix}", line) for line in several]
            for several in (self.lines, self.definitions)
        )
        return _Piece(lines, definitions, self.modules)

    @property
    def defined(self) -> set[str]:
        """The names that the definitions bind."""
        lines = [_put_in(line, ["pass"]) for line in self.definitions]
        found: set[str] = set()
        for node in ast.parse("\n".join(each for several in lines for each in several)).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Assign):
                found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.ImportFrom):
                found |= {alias.asname or alias.name for alias in node.names}
        return found

    @property
    def text(self) -> str:
        imports = [f"import {name}" for name in sorted({"os", "sys"} | self.modules)]
        return "\n".join([*imports, "", *self.definitions, *self.lines]) + "\n"


class Promises:
    """Writes one project."""

    def __init__(self, chooser: Chooser, card: int = 1) -> None:
        """``card`` is the policy's GPU, 0 or 1."""
        self._pick = chooser.pick
        self._wanted = {ORDER: "PCI_BUS_ID", MASK: str(card), ALLOC: "max_split_size_mb:1024"}
        self._pieces = 0
        self._files: dict[str, str] = {}
        self.forms: list[str] = []
        """The names of the forms that were taken."""
        self.is_harmless = True
        """Nothing in the project would be wrong, whether it runs or not."""

    @property
    def is_temporary(self) -> bool:
        """A mask is written for a while, and what was there is put back."""
        return any(form in forms.TEMPORARY for form in self.forms)

    @property
    def is_known(self) -> bool:
        """No variable's name is known to the run alone."""
        return forms.UNKNOWN_KEYS.isdisjoint(self.forms)

    def project(self) -> Owned:
        """A project, with at most three things that may undo its header."""
        places: tuple[list[_Piece], ...] = ([], [], [])
        for _ in range(self._pick((0, 1, 1, 1, 1, 2, 2, 3))):
            place = self._pick((0, 1, 1, 2, 2))
            places[place].append(self._disturbance(place))
        torch = _Piece(["import torch"])
        header = self._header()
        pieces = [*places[0], header, *places[1], torch, *places[2], self._use()]
        whole = pieces[0]
        for piece in pieces[1:]:
            whole = whole.followed_by(piece)
        if self._pick((True, *[False] * 7)):
            self._files["requirements.txt"] = self._pick(_PINS)
        return Owned({**self._files, "run.py": whole.text})

    # --- the header ------------------------------------------------------------------------

    def _header(self) -> _Piece:
        """The right header: as it is taught, or by what may leave it out."""
        form = self._pick(("plain", "plain", "plain", "around", "value", "write", "file"))
        plain = [f'os.environ["{key}"] = "{value}"' for key, value in self._wanted.items()]
        if form == "value":
            value = self._made(forms.VALUES, k=MASK, v=self._wanted[MASK])
            self.is_harmless &= self.forms[-1] in forms.RIGHT_VALUES
            value.lines[:] = [plain[0], plain[2], f'os.environ["{MASK}"] = {value.lines[0]}']
            return self._parted(value)
        if form == "write":
            pieces = [self._made(forms.WRITES, k=key, v=v) for key, v in self._wanted.items()]
            self.is_harmless &= forms.TEMPORARY.isdisjoint(self.forms)
            return self._parted(pieces[0].followed_by(pieces[1]).followed_by(pieces[2]))
        if form == "around":
            return self._parted(self._around(_Piece(plain), matters=True))
        return self._in_a_file(_Piece(plain)) if form == "file" else _Piece(plain)

    # --- what may undo it ------------------------------------------------------------------

    def _disturbance(self, place: int) -> _Piece:
        """A write or a removal: of what matters or not, in place or in something; or a child."""
        if self._pick((True, *[False] * 9)):
            self.is_harmless &= place > 0
            return self._child(own=True)
        key = self._pick((MASK, MASK, MASK, ORDER, NEUTRAL))
        value = self._value_of(key)
        table = self._pick((forms.WRITES, forms.WRITES, forms.REMOVALS))
        if table is forms.REMOVALS and key in self._wanted:
            self.is_harmless = False
        matters = key in self._wanted
        piece = self._made(table, k=key, v=value)
        if self._pick((True, False)):
            piece = self._around(piece, matters)
        return self._in_a_file(piece) if self._pick((False, False, True)) else self._parted(piece)

    def _value_of(self, key: str) -> str:
        """A value for a variable, right or wrong."""
        value = self._pick(("PCI_BUS_ID", "FASTEST_FIRST") if key == ORDER else ("0", "1"))
        self.is_harmless &= self._wanted.get(key, value) == value
        return value

    # --- what uses the GPU -------------------------------------------------------------------

    def _use(self) -> _Piece:
        """What uses the GPU: this process, or a child under an environment made for it."""
        form = self._pick(
            ("plain", "plain", "function", "selector", "selector", "engines", "child", "child")
        )
        if form == "function":
            return _Piece(["work()"], ["def work():", f"    return {_USE}"])
        if form == "selector":
            return self._selector()
        if form == "engines":
            return self._engines()
        return self._child(own=False) if form == "child" else _Piece([_USE])

    def _selector(self) -> _Piece:
        table = self._pick((*[uses.SELECTORS] * 5, uses.MASK_AS_INDEX))
        index = self._pick((0, 0, 1))
        self.is_harmless &= index == 0 and table is uses.SELECTORS
        return self._parted(self._made(table, i=str(index)), is_late=True)

    def _engines(self) -> _Piece:
        """Two or three, and perhaps another mask between them."""
        whole = self._engine()
        for _ in range(self._pick((1, 1, 2))):
            if self._pick((True, False)):
                self.is_harmless = False
                value = self._pick(("0", "1"))
                whole = whole.followed_by(self._made(forms.WRITES, k=MASK, v=value))
            whole = whole.followed_by(self._engine())
        return whole

    def _engine(self) -> _Piece:
        index = self._pick((0, 0, 0, 1))
        self.is_harmless &= index == 0
        piece = self._made(uses.ENGINES, i=str(index))
        lines = [*(f"import {name}" for name in sorted(piece.modules)), *piece.lines]
        return _Piece(lines, piece.definitions)

    def _child(self, own: bool) -> _Piece:
        """A child process that uses the GPU; under this one's ``own`` environment or another."""
        parts = {"c": forms.CODE, "k": MASK, "v": self._wanted[MASK], "w": self._wanted[MASK]}
        if not own:
            parts["k"] = key = self._pick((MASK, MASK, ORDER, NEUTRAL))
            parts["v"] = self._value_of(key)
            parts["w"] = self._wanted.get(key, parts["v"])
        form = self._pick(("copy", "copy", "shell", *(() if own else ("other", "worker"))))
        if form == "copy":
            return self._copied(parts, own)
        if form == "shell":
            command = "{p}" if own else self._pick(uses.COMMANDS)
            self.forms.append(command)
            self.is_harmless &= not command.startswith(_TAKING) or parts["k"] == NEUTRAL
            self.is_harmless &= "env -i" not in command
            python = f'python -c "{forms.CODE}"'
            text = repr(command.format(p=python, **parts))
            return self._parted(self._made(uses.SHELLS, t=text))
        if form == "other":
            piece = self._parted(self._made(uses.OTHERS, **parts))
            self.is_harmless &= self.forms[-1] not in uses.TAKING or parts["k"] == NEUTRAL
            return piece
        table = self._pick((forms.WRITES, forms.REMOVALS))
        self.is_harmless &= table is forms.WRITES or parts["k"] == NEUTRAL
        first = self._made(table, **parts)
        worker = self._made(uses.WORKERS, **parts)
        whole = _within(first, worker)
        in_place = any("preexec_fn" in line for line in whole.lines)
        return whole if in_place else self._parted(whole)

    def _copied(self, parts: dict[str, str], own: bool) -> _Piece:
        copy = _Piece(["env = None"]) if own else self._made(forms.COPIES, **parts)
        if not own:
            taken = {parts["k"]} if self.forms[-1] in forms.TAKING else set()
            taken |= {MASK} if self.forms[-1] in forms.TAKING_THE_MASK else set()
            self.is_harmless &= taken <= {NEUTRAL}
        starts = uses.STARTS
        if "env = None" not in copy.lines and self._pick((True, False, False)):
            starts = uses.STARTS_WITH_ONE
        return copy.followed_by(self._parted(self._made(starts, **parts)))

    # --- putting together -------------------------------------------------------------------

    def _made(self, table: dict[str, Form], **parts: str) -> _Piece:
        name = self._pick(sorted(table))
        self.forms.append(name)
        self.is_harmless &= name not in forms.BLAMED
        modules, definitions, lines = table[name]
        if "k" in parts:
            first, _, last = parts["k"].partition("_")
            parts = {**parts, "kl": parts["k"].lower(), "k1": first, "k2": last}
            parts["app"] = "APP_ORDER" if parts["k"] == ORDER else "APP_GPU"
            parts |= self._files_of(name, parts)
        filled = [
            [line.replace("{lines}", "{{lines}}").format(**parts) for line in several]
            for several in (lines, definitions)
        ]
        return _Piece(*filled, {*modules.split()}).renamed(self._suffix())

    def _files_of(self, name: str, parts: dict[str, str]) -> dict[str, str]:
        """The names of the files that a form reads, which are written."""
        if name not in forms.READING:
            return {}
        kind, names = forms.READING[name], {}
        for each in ("env", "json"):
            names[each] = f"settings{self._suffix()}.{each}"
        file = names.get(kind, kind)
        entry = '{{"{k}": "{v}"}}\n' if kind == "json" else "{k}={v}\n"
        self._files[file] = self._files.get(file, "") + entry.format(**parts)
        return names

    def _around(self, inner: _Piece, matters: bool) -> _Piece:
        name = self._pick(sorted(forms.AROUND))
        self.forms.append(name)
        self.is_harmless &= not matters or name not in forms.LEAVING_OUT
        modules, definitions, lines = forms.AROUND[name]
        statements = {
            "{works}": self._pick(forms.WORKS),
            "{fails}": self._pick(forms.FAILS),
        }
        filled = []
        for several in (lines, definitions):
            for mark, statement in statements.items():
                several = [line.replace(mark, statement) for line in several]
            filled.append(several)
        outer = _Piece(*filled, {"json", *modules.split()}).renamed(self._suffix())
        return _within(inner, outer)

    def _parted(self, piece: _Piece, is_late: bool = False) -> _Piece:
        """The piece, or what is left of it where its definitions stand in another file;
        ``is_late``: it is imported where the lines are."""
        defined = piece.defined
        if any("device" in line for line in piece.definitions):
            return piece  # what selects a device is a file that must set the header itself
        if not defined or "{t}" in piece.lines or self._pick((True, True, False)):
            return piece
        name = f"helper{self._suffix()}"
        self._files[f"{name}.py"] = _Piece([], piece.definitions, piece.modules).text
        if self._pick((True, False, False)):
            inner, name = name, f"helper{self._suffix()}"
            self._files[f"{name}.py"] = f"from {inner} import {', '.join(sorted(defined))}\n"
        line = f"from {name} import {', '.join(sorted(defined))}"
        if is_late:
            return _Piece([line, *piece.lines], [], piece.modules)
        return _Piece(piece.lines, [line], piece.modules)

    def _in_a_file(self, piece: _Piece) -> _Piece:
        """What imports a file that holds the piece, or that imports such a file."""
        form = self._pick(tuple(forms.IMPORTS))
        name = f"part{self._suffix()}"
        path, line = (part.format(m=name) for part in forms.IMPORTS[form])
        self._files[path] = piece.text
        if "/" in path:
            self.is_harmless &= forms.READING.keys().isdisjoint(self.forms)  # it is read elsewhere
            self._files.setdefault(f"{name}/__init__.py", "")
        if self._pick((True, False, False)):
            self._files[f"{name}_first.py"] = f"import importlib\n{line}\n"
            line = f"import {name}_first"
        modules = {"importlib"} if "importlib" in line else set()
        return _Piece([line], [], modules)

    def _suffix(self) -> str:
        self._pieces += 1
        return str(self._pieces)


_TAKING = ("env -u", "env --unset", "env -i", "unset", "nice env -u")


def _within(inner: _Piece, outer: _Piece) -> _Piece:
    """The inner lines in the place of ``{lines}``."""
    above, below = (
        [each for line in several for each in _put_in(line, inner.lines)]
        for several in (outer.definitions, outer.lines)
    )
    return _Piece(below, inner.definitions + above, inner.modules | outer.modules)


def _put_in(line: str, lines: list[str]) -> list[str]:
    """The lines in the place of ``{lines}``, as far indented."""
    return [line.replace("{lines}", each) for each in lines] if "{lines}" in line else [line]
