"""Which files give another one a number that it takes for a device.

``load(1)`` names no device in its bytes; what says so is the file in which ``load`` moves something
to its parameter. From each place in which a file selects what it is given, the search goes back to
the callers, through a few files, up to a number. It looks at files that import one another alone.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from gpu_lint.facts.giventext import Given, GivenText, Head, Parameter, given_at
from gpu_lint.facts.handedtext import TOO_LONG, place_of_argument

if TYPE_CHECKING:
    from gpu_lint.facts.importgraph import ImportGraph

_MOST_STEPS = 5
"""Bindings and calls between the number and the device."""
_MOST_NEAR = 40
"""Files that are looked into for what one is given."""
_MOST_VALUES = 500
"""Values that are looked at for one file: where its numbers come from in more ways, it is a part of
a library (of torch's files all but five take fewer than 260)."""
_NEVER = frozenset({b"dtype", b"shape", b"type", b"weight", b"data", b"format", b"size"})
"""Attributes that hold no device in any object."""


class HandedNumbers:
    """Numbers that files of an import graph give one another as devices."""

    def __init__(self, graph: ImportGraph) -> None:
        self.graph = graph
        self._texts: dict[str, GivenText] = {}
        self._near: dict[str, tuple[str, ...]] = {}
        self._around: dict[str, tuple[str, ...]] = {}
        self.all_givers: dict[str, frozenset[str]] = {}
        """What is known already of which files give each file a number."""
        self._starts: dict[str, frozenset[str]] = {}
        self._imported: dict[str, frozenset[bytes]] = {}

    def adopt(self, other: HandedNumbers) -> None:
        """Take over what was found out about the same files."""
        self.all_givers, self._texts = other.all_givers, other._texts
        self._near, self._around = other._near, other._around

    def givers(self, file: str) -> frozenset[str]:
        """The files, perhaps itself, in which the number stands that a file takes for a device."""
        if file not in self.all_givers:
            self.all_givers[file] = _Search(self).of(file)
        return self.all_givers[file]

    def starts_giving(self, file: str) -> frozenset[str]:
        """The programs in whose run a file may be given such a number."""
        return frozenset(
            start
            for giver in self.givers(file)
            for start in (self.near(file) if giver == file else self._starts_of(giver))
        )

    def _starts_of(self, giver: str) -> frozenset[str]:
        """The programs that run a file, and itself; where these are many, it is a part of a
        library, and only those that import it."""
        if giver not in self._starts:
            starts = self.graph.starts_reaching(giver)
            are_few = len(starts) <= _MOST_NEAR
            self._starts[giver] = frozenset((giver, *(starts if are_few else self.near(giver))))
        return self._starts[giver]

    def text(self, file: str) -> GivenText:
        """What values come from in a file."""
        if file not in self._texts:
            self._texts[file] = GivenText(self.graph.data(file) or b"")
        return self._texts[file]

    def sources(self, file: str, name: bytes) -> Collection[str]:
        """The files from which a file may have a name: those that it imports, if it imports that
        name, or all names of one."""
        if file not in self._imported:
            skimmed = self.graph.skimmed(file)
            imported = skimmed.imported if skimmed is not None else ()
            self._imported[file] = frozenset(one.name.encode() for one in imported if one.name)
        names = self._imported[file]
        is_renamed = b" as " + name in self.text(file).data
        return self.graph.edges(file) if is_renamed or {name, b"*"} & names else ()

    def near(self, file: str) -> tuple[str, ...]:
        """A file, and those that import it or a package that passes it on. Where these are many,
        it is a part of a library, whose numbers are none of one machine's."""
        if file not in self._near:
            found = {file: None}
            waiting = [file]
            for one in waiting:
                importers = self.graph.importers.get(one, ())
                if len(found) + len(importers) > _MOST_NEAR:
                    continue
                for other in importers:
                    if other not in found:
                        found[other] = None
                        if other.endswith("__init__.py"):
                            waiting.append(other)
            self._near[file] = tuple(found)
        return self._near[file]

    def around(self, file: str) -> tuple[str, ...]:
        """The files from which an attribute of an object may come that a file is given: those near
        it, and what these import."""
        if file not in self._around:
            found = dict.fromkeys(self.near(file))
            for one in self.near(file):
                edges = self.graph.edges(one)
                if len(found) + len(edges) <= _MOST_NEAR:
                    found.update(dict.fromkeys(edges))
            self._around[file] = tuple(found)
        return self._around[file]


class _Search:
    """The search for the numbers that one file is given."""

    def __init__(self, numbers: HandedNumbers) -> None:
        self._numbers = numbers
        self._seen: set[tuple[object, ...]] = set()
        self._found: set[str] = set()
        self._left = _MOST_VALUES

    def of(self, file: str) -> frozenset[str]:
        """The files in which the numbers stand."""
        data, needles = self._numbers.text(file).data, self._numbers.graph.needles
        for at in needles.selections(data):
            self._follow(file, at, _MOST_STEPS)
        for keyword in needles.keywords_unpacked(data):
            self._part(file, keyword.encode(), _MOST_STEPS)
        return frozenset(self._found)

    def _follow(self, file: str, at: int, steps: int) -> None:
        """Look where the value at a byte offset comes from."""
        if self._left <= 0:
            return
        self._left -= 1
        self._look_at(file, at, given_at(self._numbers.text(file).data, at), steps)

    def _look_at(self, file: str, at: int, given: Given, steps: int) -> None:
        if given.number:
            self._found.add(file)
        if not steps:
            return
        for name in given.names:
            self._name(file, at, name, steps - 1)
        for part in given.parts:
            self._part(file, part, steps - 1)
        for name in given.calls:
            if self._is_new("call", file, name):
                for other in (file, *self._numbers.sources(file, name)):
                    for start in self._numbers.text(other).returned(name):
                        self._follow(other, start, steps - 1)

    def _is_new(self, *what: object) -> bool:
        is_new = what not in self._seen
        self._seen.add(what)
        return is_new

    def _name(self, file: str, at: int, name: bytes, steps: int) -> None:
        """Look where the value of a name comes from, at a byte offset."""
        text = self._numbers.text(file)
        for head in text.around(at):
            parameter = text.parameter(head, name)
            if self._is_new("name", file, head.start, name):
                if parameter is not None:
                    self._parameter(file, head, parameter, steps)
                for value in text.bound(name, head.end, text.end_of(head)):
                    self._follow(file, value, steps)
            if parameter is not None:
                return
        if self._is_new("name", file, name):
            values = list(text.bound(name, 0, len(text.data)))
            for value in values:
                self._follow(file, value, steps)
            for other in () if values else self._numbers.sources(file, name):
                elsewhere = self._numbers.text(other)
                for value in elsewhere.bound(name, 0, len(elsewhere.data)):
                    self._follow(other, value, steps)

    def _parameter(self, file: str, head: Head, parameter: Parameter, steps: int) -> None:
        """Look what the callers of a function give a parameter."""
        if parameter.default is not None:
            self._follow(file, parameter.default, steps)
        if parameter.position is None:
            return
        for other in self._numbers.near(file):
            text = self._numbers.text(other)
            for start in text.calls(head.name):
                at = place_of_argument(text.data, start, parameter.position, parameter.name)
                if at is not None and at != TOO_LONG:
                    self._follow(other, at, steps)
        for value in self._numbers.text(file).options(parameter.name):
            self._follow(file, value, steps)

    def _part(self, file: str, part: bytes, steps: int) -> None:
        """Look what an attribute, an entry or an option of a name is given."""
        if part in _NEVER or not self._is_new("part", file, part):
            return
        for other in self._numbers.around(file):
            has_number, values = self._numbers.text(other).part(part)
            if has_number:
                self._found.add(other)
            for value in values:
                self._follow(other, value, steps)
