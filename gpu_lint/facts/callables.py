"""What a file runs when it is imported, and which of its functions may be called, by their names.

A function may be called by its own name, a method also by that of its class: code with an object
may call all of its methods. What something calls unseen counts as run: what a decorator hands on,
what a module does for a name that it lacks, and methods of classes that register themselves.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable

from gpu_lint.facts import program as p
from gpu_lint.facts.outcomes import is_main_guard
from gpu_lint.facts.reading import Reading
from gpu_lint.facts.skim import Unskimmable, all_long_strings, line_start
from gpu_lint.facts.skimmed import Imported
from gpu_lint.facts.walk import blocks, last_name, own_expressions
from gpu_lint.facts.words import words_of, words_of_name
from gpu_lint.records import record
from gpu_lint.source import Span

_HANDING_ON_NOTHING = frozenset(
    {
        *("property", "cached_property", "setter", "getter", "deleter"),
        *("staticmethod", "classmethod", "abstractmethod", "override", "overload", "final"),
        *("cache", "lru_cache", "contextmanager", "asynccontextmanager", "wraps"),
        *("dataclass", "total_ordering"),
    }
)
"""Decorators by which nothing gets to know a function that it would call."""
_REGISTERING = frozenset({"__subclasses__", "__init_subclass__"})
"""By which a class gets to know the classes that are derived from it."""
_LOOKING_UP = re.compile(
    rb"(?<![\w.])(?:eval|exec)\("
    rb"|\bsys\.modules\b|\b(?:globals|getmembers|import_module|__import__|instantiate)\b"
    rb"|\b(?:unittest|pytest|absltest|nose2?)\.main\b|\bdoctest\.test(?:mod|file)\b|\bfire\.Fire\b"
    rb"|\b(?:TestLoader|defaultTestLoader|run_tests|run_module_suite)\b"
)
"""What finds functions by their names: in Hydra's configuration and among a file's tests, too."""
_LOOKING_UP_NAMES = frozenset(
    {("unittest", "main"), ("pytest", "main"), ("fire", "Fire"), ("doctest", "testmod")}
)
"""The same, imported by itself."""
_OF_MODULE = re.compile(rb"\bgetattr\(\s*([\w.]+)\s*,\s*(?![\s\"'])|\b([\w.]+)\.__dict__\b")
"""The same, where it is done with a module: ``getattr`` by a name that is not written there."""
_METACLASS = re.compile(rb"\bmetaclass\s*=\s*([\w.]+)")
_RESTORING = re.compile(rb"\btorch\.(?:jit\.|hub\.)?load\(")
_ALIAS = re.compile(rb"\bas\s+(\w+)")


@record
class Code:
    """What some code brings in, and all that it names."""

    words: frozenset[bytes] = frozenset()
    imported: tuple[Imported, ...] = ()
    looks_up: bool = False
    """It may call functions of modules by names that stand nowhere."""
    restores: bool = False
    """It may bring back what was saved, on the device that it was saved from."""


@record
class Part:
    """A function of a module, or a method of a class in one."""

    names: frozenset[bytes]
    """Each of these may mean it."""
    code: Code


@record
class Callables:
    """What a file runs when it is imported, and what may be called then."""

    on_import: Code
    functions: tuple[Part, ...] = ()
    behind_guard: Code = Code()
    """What it runs besides when it is started."""


def whole(data: bytes, imported: tuple[Imported, ...]) -> Code:
    """All code of a file as one, whether it runs on import or not; comments count, too."""
    return _code(_without(data, _plain_imports(data, imported)), imported, _bound(data, imported))


def callables_of(reading: Reading) -> Callables:
    """What a file runs when it is imported, and what may be called of it then."""
    finder = _Finder(reading)
    finder.look_through(reading.program.body, frozenset(), False)
    return finder.found()


def _code(
    text: bytes,
    imported: Iterable[Imported],
    modules: frozenset[bytes],
    named: Iterable[bytes] = (),
) -> Code:
    """What some text brings in and names; ``modules`` are names that may be those of modules."""
    imported = tuple(imported)
    looks_up = _LOOKING_UP.search(text) is not None or any(
        (base or other).partition(b".")[0] in modules for base, other in _OF_MODULE.findall(text)
    )
    looks_up = looks_up or any((one.module, one.name) in _LOOKING_UP_NAMES for one in imported)
    restores = _RESTORING.search(text) is not None
    return Code(words_of(text).union(named), imported, looks_up, restores)


def _bound(data: bytes, imported: Iterable[Imported]) -> frozenset[bytes]:
    """The names that imports bind."""
    found = {(one.name or one.module.partition(".")[0]).encode() for one in imported}
    for start, end in {(one.start, one.end) for one in imported}:
        found.update(_ALIAS.findall(data, start, end))
    return frozenset(found)


def _plain_imports(data: bytes, imported: Iterable[Imported]) -> list[Span]:
    """What imports something under its own name: that does not mean that the name is used."""
    return [one.span for one in imported if not _ALIAS.search(data, one.start, one.end)]


def _without(data: bytes, spans: Iterable[Span]) -> bytes:
    """The text of a file with blanks for some of it."""
    parts: list[bytes] = []
    done = 0
    for span in sorted(spans):
        if span.start >= done:
            parts += [data[done : span.start], b" " * (span.end - span.start)]
            done = span.end
    return b"".join((*parts, data[done:]))


def _strings_alone(data: bytes) -> list[Span]:
    """The long strings that begin a line, such as docstrings."""
    try:
        found = all_long_strings(data)
    except Unskimmable:
        return []
    return [one for one in found if not data[line_start(data, one.start) : one.start].strip()]


class _Finder:
    """Goes through one file."""

    def __init__(self, reading: Reading) -> None:
        data = reading.source.data
        self._imported = sorted(reading.imported, key=lambda one: one.start)
        self._starts = [one.start for one in self._imported]
        self._modules = _bound(data, reading.imported)
        comments = (comment.span for comment in reading.comments)
        plain = _plain_imports(data, reading.imported)
        self._data = _without(data, (*comments, *_strings_alone(data), *plain))
        self._functions: list[tuple[frozenset[bytes], Span]] = []
        self._called_unseen: list[Span] = []
        self._left_out: list[Span] = []
        """What names nothing when the file is imported, in order."""
        self._guarded: list[Span] = []
        self._named: set[bytes] = set()
        """What it names nevertheless."""

    def found(self) -> Callables:
        parts: list[bytes] = []
        done = 0
        for span in self._left_out:
            parts.append(self._data[done : span.start])
            done = span.end
        text = b"\n".join((*parts, self._data[done:]))
        unseen = frozenset(self._imported_in(self._called_unseen))
        imported = [one for one in self._imported if not one.is_deferred or one in unseen]
        return Callables(
            _code(text, imported, self._modules, self._named),
            tuple(Part(names, self._code_in(span)) for names, span in self._functions),
            self._code_in(*self._guarded),
        )

    def _code_in(self, *spans: Span) -> Code:
        text = b"\n".join(self._data[span.start : span.end] for span in spans)
        return _code(text, self._imported_in(spans), self._modules)

    def _imported_in(self, spans: Iterable[Span]) -> list[Imported]:
        """What some parts of the file import."""
        found: list[Imported] = []
        for span in spans:
            first = bisect_left(self._starts, span.start)
            found += self._imported[first : bisect_left(self._starts, span.end)]
        return found

    def look_through(self, body: p.Block, names: frozenset[bytes], unseen: bool) -> None:
        """Look through a suite; its functions may also be called by some ``names``, and ``unseen``
        says whether something may do so without naming them."""
        for one in body:
            match one:
                case p.Function():
                    self._add_function(one, names, unseen)
                case p.Class():
                    self._add_class(one, names, unseen)
                case p.Assign() if any(last_name(target) == "__all__" for target in one.targets):
                    self._left_out.append(one.span)
                case p.If() if is_main_guard(one.test):
                    guarded = Span(one.span.start, one.body[-1].span.end)
                    self._left_out.append(guarded)
                    self._guarded.append(guarded)
                    self.look_through(one.orelse, names, unseen)
                case _:
                    for suite in blocks(one):
                        self.look_through(suite, names, unseen)

    def _add_function(self, one: p.Function, names: frozenset[bytes], unseen: bool) -> None:
        is_special = one.name.startswith("__") and one.name.endswith("__")
        if unseen or _hands_on(one.decorators) or (is_special and not names):
            self._called_unseen.append(one.span)
            return
        self._left_out.append(one.span)
        for expression in own_expressions(one):  # decorators and defaults run on import
            self._named |= words_of(self._data[expression.span.start : expression.span.end])
        if one.name in _REGISTERING:
            self._named.update(words_of_name(one.name))
        own = frozenset() if is_special else words_of_name(one.name)
        self._functions.append((names | own, one.span))

    def _add_class(self, one: p.Class, names: frozenset[bytes], unseen: bool) -> None:
        head = Span(one.span.start, one.body[0].span.start)
        self._left_out.append(head)
        for expression in own_expressions(one):
            self._named |= words_of(self._data[expression.span.start : expression.span.end])
        unseen = unseen or _hands_on(one.decorators) or _has_metaclass(one, self._data)
        registered = frozenset(map(str.encode, _REGISTERING)) if one.bases else frozenset()
        self.look_through(one.body, names | registered | words_of_name(one.name), unseen)


def _hands_on(decorators: Iterable[p.Expression]) -> bool:
    """Whether something may call what is decorated without naming it."""
    return any(
        last_name(one.function if isinstance(one, p.Call) else one) not in _HANDING_ON_NOTHING
        for one in decorators
    )


def _has_metaclass(one: p.Class, data: bytes) -> bool:
    """Whether a class is made by another one than ``type``, which may keep it."""
    head = data[one.span.start : one.body[0].span.start]
    return (found := _METACLASS.search(head)) is not None and not found[1].endswith(b"ABCMeta")
