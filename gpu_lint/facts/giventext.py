"""Where a value that stands in a file's bytes may come from: numbers, names, attributes, calls.

Whether a number is given as a device in another file than the one that selects it is asked of every
file that selects what it is given. It is told without a syntax tree, function by function, and errs
to one side: more is taken for a number than is one.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import cached_property, lru_cache

from gpu_lint.facts.handedtext import TOO_LONG, place_of_argument
from gpu_lint.facts.skim import line_start
from gpu_lint.facts.words import words_of
from gpu_lint.records import record

_MOST_DEVICES = 64
"""A number from here on is the index of no GPU."""
_MOST_TERMS = 8
"""Parts of one expression that are looked at."""
_OPENING = re.compile(rb"[\s(\[]*(?:default\s*=\s*)?")
_NUMBER = re.compile(rb"([\"']?)(0[xXoObB]\w+|\d+)\b\1(?![.\w])")
_TEXT = re.compile(rb"[\"'][^\"'\n]*[\"']")
_CHAIN = re.compile(rb"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_SAME = frozenset(
    {b"int", b"str", b"min", b"max", b"next", b"iter", b"list", b"tuple", b"range", b"device"}
    | {b"cycle", b"field", b"Field", b"Option", b"Argument", b"reversed", b"sorted"}
)
"""Calls that return what they are given, or count up to it."""
_LOOKING_UP = frozenset({b"get", b"pop", b"getattr", b"getenv"})
_KEY = re.compile(rb"\(\s*(?:[\w.]+\s*,\s*)?[\"'](\w+)[\"']\s*(,)?")
_SUBSCRIPT = re.compile(rb"\[\s*(?:[\"'](\w+)[\"']|[^\[\]\n]*)\s*\]")
_CALLED = re.compile(rb"\((?:[^()\n]|\([^()\n]*\)){0,200}\)(?:(?:\.\w+)*\.(\w+)\b(?!\s*\())?")
"""A call, and the attribute that is taken of what it returns."""
_NO_NAMES = frozenset({b"None", b"True", b"False", b"self", b"cls", b"not", b"lambda", b"await"})
_GOES_ON = re.compile(rb"[\s)\]]*(?:\bor\b|\band\b|\bif\b[^\n]*?\belse\b)")
_NEXT = re.compile(rb"\s*,")
_ENDS = re.compile(rb"[ \t]*(?:[,)\]};\r\n#:!]|\Z)|\s*[)\]}]|\s+(?:for|if)\b")
_DEFINING = (b"def ", re.compile(rb"[ \t]*(\w+)[ \t]*\("))
_CLASS = (b"class ", re.compile(rb"[ \t]*(\w+)"))
"""What heads of functions and classes begin with, and what follows."""
_BEFORE_HEAD = (b"", b"async")
_MARKS = re.compile(rb"[(){}\[\],]|\"(?:[^\"\n\\]|\\.)*\"|'(?:[^'\n\\]|\\.)*'|#[^\n]*")
_PARAMETER = re.compile(rb"\s*(?:#[^\n]*\s*)*(\*{0,2})\s*(\w+)")
_LONGEST_HEAD = 6_000
_BOUND = re.compile(rb"[ \t]*(?::[^=\n]{0,80})?=(?!=)|[ \t]*:=")
_LOOPED = re.compile(rb"[ \t]+in\b")
_PART_BOUND = re.compile(
    rb"[\"']?\]?[ \t]*(?::[ \t]*[\w.\[\]| ,]{0,60}?)?=(?!=)|[\"'][ \t]*:|[\"'](?=[ \t]*,)"
)
_BINDS = rb"(?=[ \t]*[:=]|[ \t]+in\b)"
_GIVES = rb"(?=[\"'\]]|[ \t]*[:=])"
_QUOTED = rb"(?=[\"'])"
_IS_CALLED = rb"(?=\(|\s*,)"
"""What stands behind a word that is looked for, told before more of it is looked at."""
_RETURN = re.compile(rb"\breturn\b")
_HANDED = re.compile(rb"\s*,(?:\s*args\s*=\s*[(\[])?")
"""What stands between a function that is given to a call and what it is to be called with."""
_IN_WORD = re.compile(rb"\w")
_IMPORTING = (b"import", b"from")
_SHIFT = re.compile(rb"[ \t]*")


@record
class Given:
    """What an expression may stand for."""

    number: bool = False
    """It may be the index of a device other than the first."""
    names: tuple[bytes, ...] = ()
    """Names that it may be the value of."""
    parts: tuple[bytes, ...] = ()
    """Attributes of objects, and entries of dicts, that it may be the value of."""
    calls: tuple[bytes, ...] = ()
    """Functions that may have returned it."""

    @property
    def has_source(self) -> bool:
        """Whether it may come from elsewhere."""
        return bool(self.names or self.parts or self.calls)


def given_at(data: bytes, at: int) -> Given:
    """Return what the expression that begins at a byte offset may stand for. One that is computed
    from others stands for nothing."""
    number = False
    names: list[bytes] = []
    parts: list[bytes] = []
    calls: list[bytes] = []
    opened = 0
    for _ in range(_MOST_TERMS):
        opening = _OPENING.match(data, at)
        assert opening is not None
        opened += opening.group().count(b"(") + opening.group().count(b"[")
        at = opening.end()
        if found := _NUMBER.match(data, at):
            at = found.end()
            number = number or (_is_index(found.group(2)) and _is_whole(data, at))
        elif found := _TEXT.match(data, at):
            at = found.end()
        elif found := _CHAIN.match(data, at):
            at = found.end()
            before, _, last = found.group().rpartition(b".")
            following = data[at : at + 1]
            if following == b"(" and last in _SAME:
                continue
            if following == b"(" and last in _LOOKING_UP:
                key = _KEY.match(data, at)
                if key is None:
                    break
                parts.append(key.group(1))
                at, opened = key.end(), opened + 1
                if key.group(2):
                    continue
            elif following == b"(":
                if (called := _CALLED.match(data, at)) is None or not called.group(1):
                    calls.append(last)
                    break
                parts.append(called.group(1))
                at = called.end()
            elif following == b"[" and (key := _SUBSCRIPT.match(data, at)):
                at = key.end()
                (parts if key.group(1) or before else names).append(key.group(1) or last)
            elif last not in _NO_NAMES:
                (parts if before else names).append(last)
        else:
            break
        more = _GOES_ON.match(data, at) or (opened and _NEXT.match(data, at))
        if not more:
            if not _is_whole(data, at):
                return Given(number)
            break
        at = more.end()
    return Given(number, tuple(names), tuple(parts), tuple(calls))


def _is_index(text: bytes) -> bool:
    try:
        return 0 < int(text, 0) < _MOST_DEVICES
    except ValueError:
        return 0 < int(text) < _MOST_DEVICES if text.isdigit() else False


def _is_whole(data: bytes, at: int) -> bool:
    return _ENDS.match(data, at) is not None or _GOES_ON.match(data, at) is not None


@record
class Parameter:
    """A parameter of a function, as its text shows it."""

    name: bytes
    position: int | None
    """From 0, without ``self``; None for one that takes up several."""
    default: int | None
    """The byte offset of its default."""


@record
class Head:
    """The head of a function."""

    name: bytes
    """Of ``__init__``, its class."""
    start: int
    end: int
    """The byte offset behind the bracket that opens its parameters."""
    indent: int


class GivenText:
    """What values come from in one file."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._parameters: dict[int, dict[bytes, Parameter]] = {}
        self._parts: dict[bytes, tuple[bool, tuple[int, ...]]] = {}
        self._offsets: dict[tuple[bytes, bytes], list[int]] = {}

    @cached_property
    def heads(self) -> list[Head]:
        """The heads of its functions, in their order."""
        found = []
        for start, indent, name, end in self._defined(*_DEFINING):
            owner = self._class_around(start, indent) if name == b"__init__" else name
            found.append(Head(owner, start, end, indent))
        return found

    def _defined(
        self, word: bytes, rest: re.Pattern[bytes]
    ) -> Iterator[tuple[int, int, bytes, int]]:
        """Where lines stand that define something: the offset of the line, its indentation, the
        name, and the offset behind."""
        at = self.data.find(word)
        while at >= 0:
            line = line_start(self.data, at)
            before = self.data[line:at]
            if before.strip() in _BEFORE_HEAD and (found := rest.match(self.data, at + len(word))):
                indent = len(before) - len(before.lstrip())
                yield line, indent, found.group(1), found.end()
            at = self.data.find(word, at + len(word))

    def _class_around(self, at: int, indent: int) -> bytes:
        index = bisect_left(self._classes, (at,)) - 1
        while index >= 0 and self._classes[index][1] >= indent:
            index -= 1
        return self._classes[index][2] if index >= 0 else b"__init__"

    @cached_property
    def _classes(self) -> list[tuple[int, int, bytes]]:
        return [found[:3] for found in self._defined(*_CLASS)]

    @cached_property
    def _starts(self) -> list[int]:
        return [head.start for head in self.heads]

    def around(self, at: int) -> Iterator[Head]:
        """The functions around a byte offset, the innermost first."""
        start = line_start(self.data, at)
        shift = _SHIFT.match(self.data, start)
        indent = shift.end() - start if shift is not None else 0
        index = bisect_right(self._starts, at) - 1
        if index >= 0 and self.heads[index].start == start:
            indent += 1  # in the head itself
        while index >= 0 and indent:
            head = self.heads[index]
            if head.indent < indent:
                yield head
                indent = head.indent
            index -= 1

    def parameter(self, head: Head, name: bytes) -> Parameter | None:
        """The parameter of a function that has a name; None if there is none."""
        if head.start not in self._parameters:
            self._parameters[head.start] = {one.name: one for one in self._in_head(head)}
        return self._parameters[head.start].get(name)

    def _in_head(self, head: Head) -> Iterator[Parameter]:
        starts, depth, end = [head.end], 0, head.end
        for mark in _MARKS.finditer(self.data, head.end, head.end + _LONGEST_HEAD):
            kind, end = mark.group(), mark.start()
            if kind in (b"(", b"[", b"{"):
                depth += 1
            elif kind in (b")", b"]", b"}"):
                depth -= 1
                if depth < 0:
                    break
            elif kind == b"," and not depth:
                starts.append(mark.end())
        without = 0
        for number, (start, stop) in enumerate(zip(starts, [*starts[1:], end + 1], strict=True)):
            found = _PARAMETER.match(self.data, start, stop - 1)
            if found is None:
                continue
            if not number and found.group(2) in (b"self", b"cls"):
                without = 1
                continue
            equals = self.data.find(b"=", found.end(), stop - 1)
            yield Parameter(
                found.group(2),
                None if found.group(1) else number - without,
                equals + 1 if equals >= 0 else None,
            )

    def end_of(self, head: Head) -> int:
        """The byte offset at which a function's body ends."""
        index = bisect_right(self._starts, head.start)
        while index < len(self.heads) and self.heads[index].indent > head.indent:
            index += 1
        return self.heads[index].start if index < len(self.heads) else len(self.data)

    def bound(self, name: bytes, start: int, end: int) -> Iterator[int]:
        """The byte offsets of the values that a name is bound to in some part of the file."""
        for at in self._whole(name, _BINDS, start, end):
            behind = at + len(name)
            line = line_start(self.data, at)
            if (found := _BOUND.match(self.data, behind)) is not None:
                if found.group().endswith(b":=") or not self.data[line:at].strip():
                    yield found.end()
            elif self.data[line:at].endswith(b"for "):
                if (found := _LOOPED.match(self.data, behind)) is not None:
                    yield found.end()

    def part(self, name: bytes) -> tuple[bool, tuple[int, ...]]:
        """Whether an attribute, an entry, a keyword or an option of a name is given a number; and
        the byte offsets of the other values that attributes and entries of it have."""
        if name not in self._parts:
            places = list(self._given_to_part(name))
            if b"_" in name:
                places += self._given_to_part(name.replace(b"_", b"-"))
            given = [(place, is_kept, given_at(self.data, place)) for place, is_kept in places]
            self._parts[name] = (
                any(one.number for _, _, one in given),
                tuple(place for place, is_kept, one in given if is_kept and one.has_source),
            )
        return self._parts[name]

    def _given_to_part(self, name: bytes) -> Iterator[tuple[int, bool]]:
        """Where the values of what has a name begin, each with whether it is no argument."""
        for at in self._whole(name, _GIVES):
            found = _PART_BOUND.match(self.data, at + len(name))
            if found is None:
                continue
            if found.group() not in (b'"', b"'"):
                yield found.end(), self.data[max(at - 1, 0) : at] in (b".", b'"', b"'")
            elif self.data[max(at - 60, 0) : at].rpartition(b"(")[0].endswith(b"setattr"):
                yield self.data.find(b",", found.end()) + 1, True
            else:
                for default in self._default_behind(found.end()):
                    yield default, True

    def options(self, name: bytes) -> Iterator[int]:
        """The byte offsets of the defaults of the command's options of a name."""
        dashed = name.replace(b"_", b"-")
        for at in self._whole(dashed, _QUOTED):
            if self.data[at - 1 : at] == b"-":
                yield from self._default_behind(at + len(dashed) + 1)

    def _default_behind(self, at: int) -> Iterator[int]:
        """Where the default of an option is, given where its name ends."""
        found = place_of_argument(self.data, at, _MOST_DEVICES, b"default")
        if found is not None and found != TOO_LONG:
            yield found

    def calls(self, name: bytes) -> Iterator[int]:
        """The byte offsets at which the arguments of calls of a name begin, those too that are
        given to it by another call: ``partial(load, 1)``."""
        for at in self._whole(name, _IS_CALLED):
            behind = at + len(name)
            if self.data[behind : behind + 1] == b"(":
                before = self.data[max(at - 6, 0) : at]
                if not before.endswith((b"def ", b"class ")):
                    yield behind + 1
            elif (found := _HANDED.match(self.data, behind)) is not None:
                line = self.data[line_start(self.data, at) : at].lstrip()
                if not line.startswith(_IMPORTING):
                    yield found.end()

    def returned(self, name: bytes) -> Iterator[int]:
        """The byte offsets of the values that functions of a name return."""
        for head in self.heads:
            if head.name == name:
                for found in _RETURN.finditer(self.data, head.end, self.end_of(head)):
                    yield found.end()

    @cached_property
    def _words(self) -> frozenset[bytes]:
        """Every word of the file."""
        return words_of(self.data)

    def _whole(
        self, word: bytes, behind: bytes, start: int = 0, end: int = sys.maxsize
    ) -> list[int]:
        """The byte offsets of a word that is no part of a longer one, where a pattern matches
        ``behind`` it."""
        offsets = self._offsets.get((word, behind))
        if offsets is None:
            offsets = self._offsets[word, behind] = self._found(word, behind)
        return offsets[bisect_left(offsets, start) : bisect_left(offsets, end)]

    def _found(self, word: bytes, behind: bytes) -> list[int]:
        if self._words.isdisjoint(word.split(b"-")):
            return []
        found = (match.start() for match in _word(word, behind).finditer(self.data))
        return [at for at in found if not at or not _IN_WORD.match(self.data, at - 1)]


@lru_cache(maxsize=4096)
def _word(word: bytes, behind: bytes) -> re.Pattern[bytes]:
    """A word, behind which none goes on: beginning with plain letters, it is found fastest."""
    return re.compile(re.escape(word) + behind)
