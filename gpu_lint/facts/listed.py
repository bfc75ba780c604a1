"""The modules that a program finds while it runs: it lists a package, and imports what is there.

``for one in pkgutil.iter_modules(plugins.__path__): import_module(f"plugins.{one.name}")`` brings
in every module of ``plugins``, and so does a loop over ``Path(__file__).parent.glob("*.py")``.
Which these are stands in the directory. A package that only a caller knows is not followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import takewhile

from gpu_lint.facts import program as p
from gpu_lint.facts.listing import DEEP_MODULES, IMPORTERS, LISTINGS
from gpu_lint.facts.skimmed import Imported
from gpu_lint.facts.walk import expressions, last_name, statements
from gpu_lint.records import record

_SAME = frozenset(
    {"Path", "PurePath", "str", "fspath", "abspath", "realpath", "normpath", "resolve", "absolute"}
)
"""Calls that give a path of the same file."""
_DEEPEST = 20


def listed(program: p.Program) -> Iterator[Imported]:
    """The packages that a program lists, each as an import of its modules that stands where it is
    listed."""
    paths = _Paths(program)
    for node in expressions(program.body):
        if isinstance(node, p.Call) and (called := last_name(node.function)) in LISTINGS:
            found = paths.listed_by(node)
            if found is not None:
                every = DEEP_MODULES if "**" in found.parts else LISTINGS[called]
                module = ".".join(takewhile(_is_plain, found.parts))
                if module or found.level:
                    yield Imported(module, found.level, every, node.span.start, node.span.end)


def _is_plain(part: str) -> bool:
    return "*" not in part and "?" not in part and "[" not in part


@record
class _Path:
    """A path as an import statement names it: so many dots, and the names below."""

    level: int
    """Those of the directory of the file itself are 1; 0 for where the program is run."""
    parts: tuple[str, ...] = ()
    is_this_file: bool = False

    @property
    def above(self) -> _Path:
        """The directory that holds it."""
        if self.is_this_file:
            return _Path(1)
        if self.parts:
            return _Path(self.level, self.parts[:-1])
        return _Path(self.level + 1)

    def joined(self, text: str) -> _Path:
        """A path below it."""
        parts = tuple(part for part in re.split(r"[/\\]", text) if part not in ("", "."))
        return _Path(self.level, self.parts + parts)


class _Paths:
    """Reads expressions of one program as paths."""

    def __init__(self, program: p.Program) -> None:
        self._modules: dict[str, _Path] = {}
        """What names mean that imports bind."""
        self._assigned: dict[str, list[p.Expression]] = {}
        for statement in statements(program.body):
            if isinstance(statement, p.Import):
                for one in statement.names:
                    dotted = [*one.module.split("."), one.name]
                    if not one.name and one.bound == dotted[0]:
                        dotted = dotted[:1]  # `import a.b` binds `a`
                    parts = tuple(filter(None, dotted))
                    self._modules[one.bound] = _Path(one.level, parts)
            elif isinstance(statement, p.Assign) and not statement.operator:
                for target in statement.targets:
                    if isinstance(target, p.Name):
                        self._assigned.setdefault(target.id, []).append(statement.value)

    def listed_by(self, call: p.Call) -> _Path | None:
        """The directory, with a pattern perhaps, that a call lists."""
        given = [argument.value for argument in call.arguments if argument.keyword is None]
        base = call.function.base if isinstance(call.function, p.Attribute) else None
        if base is not None and (found := self.path(base)) is not None:
            return self._below(found, given[:1])
        return self.path(given[0]) if given else None

    def path(self, node: p.Expression, depth: int = 0) -> _Path | None:
        """The path that an expression gives; None where that is not known."""
        if depth > _DEEPEST:
            return None
        match node:
            case p.Literal(value=str(text)):
                return _Path(0).joined(text) if not text.startswith(("/", "..")) else None
            case p.Name(id="__file__"):
                return _Path(0, (), True)
            case p.Name(id="__path__"):
                return _Path(1)
            case p.Name():
                several = self._assigned.get(node.id, ())
                return self.path(several[0], depth + 1) if len(several) == 1 else None
            case p.Attribute(name="__path__"):
                return self._module(node.base, depth + 1)
            case p.Attribute(name="parent"):
                inner = self.path(node.base, depth + 1)
                return None if inner is None else inner.above
            case p.Sequence(items=(only,)):
                return self.path(only, depth + 1)
            case p.Binary(operator="/"):
                inner = self.path(node.left, depth + 1)
                return None if inner is None else self._below(inner, [node.right])
            case p.Call():
                return self._called(node, depth + 1)
            case _:
                return None

    def _called(self, node: p.Call, depth: int) -> _Path | None:
        called, given = last_name(node.function), [one.value for one in node.arguments]
        if isinstance(node.function, p.Attribute) and (called == "joinpath" or not given):
            given = [node.function.base, *given]
        if not given:
            return None
        inner = self.path(given[0], depth)
        if inner is None:
            return None
        if called == "dirname":
            return inner.above
        if called in _SAME:
            return self._below(inner, given[1:]) if given[1:] else inner
        return self._below(inner, given[1:]) if called in ("join", "joinpath") else None

    def _below(self, path: _Path, nodes: Iterable[p.Expression]) -> _Path | None:
        """A path below one, by the texts that are joined to it."""
        for node in nodes:
            if not isinstance(node, p.Literal) or not isinstance(node.value, str):
                return None
            path = path.joined(node.value)
        return path

    def _module(self, node: p.Expression, depth: int) -> _Path | None:
        """The package that an expression is; a name that is assigned may be that, too."""
        if isinstance(node, p.Attribute):
            above = self._module(node.base, depth)
            return None if above is None else above.joined(node.name)
        if not isinstance(node, p.Name) or depth > _DEEPEST:
            return None
        if node.id in self._modules:
            return self._modules[node.id]
        several = self._assigned.get(node.id, ())
        if len(several) != 1 or not isinstance(several[0], p.Call):
            return None
        call = several[0]  # package = import_module("plugins")
        text = call.arguments[0].value if call.arguments else None
        if last_name(call.function) not in IMPORTERS or not isinstance(text, p.Literal):
            return None
        return _Path(0, tuple(str(text.value).split(".")))
