"""What the choice of a device looks like in the bytes of a file.

Searching for a fixed string is some fifty times as fast as trying a pattern at every place. So
each pattern has anchors, one of which is in whatever it matches, and begins with fixed bytes
where it can.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from gpu_lint.facts.knowledge import Api

_GENERAL_NAMES = frozenset({"to", "device"})
_GENERAL_KEYWORDS = frozenset({"device", "map_location", "index"})
_GIVING = (
    (b".to(", rb"\.to\("),
    (b"device", rb"device(?<!\wdevice)\s*="),
    (b"map_location", rb"map_location(?<!\wmap_location)\s*="),
)
"""What stands before a device: an anchor, and the pattern."""
_INDEX = rb"(?:[1-9]|[A-Z][A-Z\d_]+\b|\(\s*\d|\[\s*\d)"
_INDEX_NAME = rb"\w*(?:gpu|GPU|dev_id|device_id|(?:idx|index|rank|ordinal)(?![a-z]))\w*\s*[,)]"
_NUMBERED_NAME = rb"(?:s|_?(?:ids?|idx|index|num|number|no|nr|ordinal|rank|to_use))?"
"""What may stand behind ``gpu`` in the name of a number that says which."""
_ANNOTATION = rb"\s*(?::[ \t]*[\w.\[\]| ]+)?"
_PASSED_ON = rb"(?!\s*(?:kwargs\.(?:get|pop)\(|getattr\())"
_A_DEVICE = rb"(?!\s*(?:\w+\.)+device\s*[,)])"
"""Not followed by where something else is: what put it there says so elsewhere."""
_NO_INDEX = rb"(?!\s*(?:None\b|[\"'](?:auto|balanced|balanced_low_0|sequential|cpu|cuda)[\"']))"
"""Not followed by what surely names no device other than the first."""
_GPU_NAMES = (b"gpu", b"GPU", b"device", b"DEVICE")
_LEAST_PART = 5
"""Bytes: a shorter part of a name stands in too many other words."""

_GIVEN_NAMES = [
    (anchor, re.compile(giving + rb"\s*(?:\w+\.)*(\w+)\b")) for anchor, giving in _GIVING
]
_NUMBERED = re.compile(rb"[ \t]*(?::[ \t]*[\w.\[\]| ]+)?=[ \t]*[\[(]?[ \t]*[1-9]")
_NEVER_BOUND = {b"None", b"int", b"bool", b"float", b"str"}
_DEFINING = re.compile(rb"\b(?:def|class)[ \t]+\Z")
_GIVEN_ON = re.compile(rb"\s*(?:\w+\.)*(\w+)\s*[,)\n]")
_WORD_BEFORE = re.compile(rb"\w+\Z")


class DeviceText:
    """Finds in a file what may name a device other than the first, or ask how many there are."""

    def __init__(self, apis: Iterable[Api]) -> None:
        apis = tuple(apis)
        called, named, keywords = _names(apis)
        lists = {
            api.name.rpartition(".")[2] for api in apis if api.returns.startswith(("gpus", "ind"))
        }
        self._patterns = [
            *_general(),
            *map(_numbered_call, sorted(named)),
            *((((name + "(").encode(),), _called(name)) for name in sorted(lists)),
        ]
        self._calls = _AnyOf(called, rb"\(" + _A_DEVICE + rb"\s*[^\s)]")
        behind = rb"(?:[\"']\s*:|\s*=(?!=))" + _NO_INDEX + _PASSED_ON
        self._keywords = _AnyOf(keywords, behind, passed_on=True)

    def places(self, data: bytes) -> Iterator[int]:
        """The offsets at which a call or a text names one by itself."""
        for anchors, pattern in self._patterns:
            if any(anchor in data for anchor in anchors):
                for match in pattern.finditer(data):
                    yield match.start()
        yield from self._calls.places(data)
        yield from self._keywords.places(data)

    def found_in(self, data: bytes) -> bool:
        """Whether there is any. Errs to one side: true of every file that names one."""
        return next(self.places(data), None) is not None or _numbered(data)


class _AnyOf:
    """Any of many names, with something behind it."""

    def __init__(self, names: set[str], behind: bytes, passed_on: bool = False) -> None:
        """With ``passed_on``, a name that is given under itself does not count."""
        self._names = frozenset(name.encode() for name in names)
        self._parts = [
            (part, re.compile(part + rb"(\w*)" + behind)) for part in _shared_parts(names)
        ]
        self._passed_on = passed_on

    def places(self, data: bytes) -> Iterator[int]:
        for part, pattern in self._parts:
            if part in data:
                for match in pattern.finditer(data):
                    before = _WORD_BEFORE.search(data, max(match.start() - 80, 0), match.start())
                    start = before.start() if before is not None else match.start()
                    name = data[start : match.end(1)]
                    if name not in self._names or _DEFINING.search(data, max(start - 9, 0), start):
                        continue
                    if self._passed_on:
                        given = _GIVEN_ON.match(data, match.end())
                        if given is not None and given.group(1) == name:
                            continue
                    yield start


def _numbered(data: bytes) -> bool:
    """Whether a name that is bound to a number other than 0 is given as a device."""
    given: set[bytes] = set()
    for anchor, pattern in _GIVEN_NAMES:
        if anchor in data:
            given.update(pattern.findall(data))
    return any(_is_numbered(data, name) for name in given - _NEVER_BOUND)


def _is_numbered(data: bytes, name: bytes) -> bool:
    """Whether a name is bound to a number other than 0."""
    at = data.find(name)
    while at >= 0:
        end = at + len(name)
        if _NUMBERED.match(data, end) and not _WORD_BEFORE.search(data, max(at - 1, 0), at):
            return True
        at = data.find(name, end)
    return False


_Pattern: TypeAlias = "tuple[tuple[bytes, ...], re.Pattern[bytes]]"


def _general() -> Iterator[_Pattern]:
    kinds = tuple(kind + b":" for kind in (b"cuda", b"CUDA", b"Cuda", b"gpu", b"GPU", b"Gpu"))
    yield kinds, re.compile(rb"(?i:cuda|gpu):(?:[1-9]|[{%\"'])")
    yield (
        (b"'cuda'", b'"cuda"'),
        re.compile(rb"cuda[\"']\s*,\s*(?:index\s*=|(?![A-Za-z_]\w*\s*=[^=])[^\s)\]}\"'])"),
    )
    for anchor, giving in _GIVING:
        given = rb"\s*(?:\w+\.)*(?:" + _INDEX + b"|" + _INDEX_NAME + b")"
        yield (anchor,), re.compile(giving + given)
    yield (b"device(",), re.compile(rb"device(?<![\w \t]device)\(\s*(?:\d|[A-Za-z_]\w*\s*[),])")
    for name in _GPU_NAMES:
        number = _NUMBERED_NAME.upper() if name.isupper() else _NUMBERED_NAME
        yield (name,), re.compile(name + number + _ANNOTATION + rb"=\s*[1-9]")
    yield (b"device_count",), re.compile(rb"device_count")


def _numbered_call(name: str) -> _Pattern:
    """A call of a name with a number other than 0 among its arguments."""
    word = name.encode()
    start = word + rb"(?<!\w" + word + rb")\("
    return (word + b"(",), re.compile(start + rb"[^)]*[,(=]\s*[1-9]\d*\s*[,)]")


def _called(name: str) -> re.Pattern[bytes]:
    return re.compile(name.encode() + rb"\(")


def _names(apis: Iterable[Api]) -> tuple[set[str], set[str], set[str]]:
    """The calls whose name says that a device is chosen, those that only a number makes say so,
    and the keywords that say so."""
    called: set[str] = set()
    named: set[str] = set()
    keywords: set[str] = set()
    for api in apis:
        for device in api.devices:
            if device.after is not None and device.keyword in _GENERAL_KEYWORDS:
                continue
            entry = device.key or device.keyword
            if entry is not None and device.kind != "device":
                keywords.add(entry)
            if device.position is not None and device.key is None:
                name = api.name.rpartition(".")[2]
                (named if device.kind == "device" else called).add(name)
    return called - _GENERAL_NAMES, named - _GENERAL_NAMES, keywords - _GENERAL_KEYWORDS


def _shared_parts(names: set[str]) -> list[bytes]:
    """A few texts of which every name has one: the parts of names that most of them share."""
    waiting = set(names)
    found: list[str] = []
    while waiting:
        shared: dict[str, int] = {}
        for name in waiting:
            parts = [part for part in name.split("_") if len(part) >= _LEAST_PART]
            for part in parts or [name]:
                shared[part] = shared.get(part, 0) + 1
        best = max(sorted(shared), key=lambda part: (shared[part], len(part)))
        found.append(best)
        waiting = {name for name in waiting if best not in name}
    return [part.encode() for part in found]
