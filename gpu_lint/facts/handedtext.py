"""What it looks like in the bytes of a file that a value is given on as a device.

The value may be a parameter, an attribute, an item, a name that is imported: where it comes from
is said in another file. That such a file matters is known when one that says so is found beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from gpu_lint.facts.knowledge import Api
from gpu_lint.facts.skim import line_start
from gpu_lint.facts.spellings import DEVICE_WORDS, JOINED

TOO_LONG = -1
_LONGEST_CALL = 2_000
"""Bytes of a call that are looked through for the commas between its arguments."""
_MARKS = re.compile(rb"[(){}\[\],]")
_KEYWORD = re.compile(rb"\s*(\w+)\s*=(?!=)\s*")
_GENERAL_KEYWORDS = ("device", "map_location")
"""Keywords that take a device in whatever call."""
_ENDS = (b"device",)
"""Keywords that others end with which do so, too: ``target_device``."""
_VALUE = (
    rb"\s*(?![A-Za-z]{0,2}[\"']|(?:None|True|False)\b|(?:torch|np|jnp|tf)\.(?!device\b)\w+\s*[,)]"
    rb"|(?:\w+\.)*\w*dtype\s*[,)=])[A-Za-z_(\[{*]"
)
"""Something that is no constant, and no type of numbers."""
_ANNOTATION = rb"(?:\s*:[ \t]*[\w.\[\]|, ]+?)?"
_GIVEN = re.compile(_VALUE)
_SPLAT = re.compile(rb"[^()]{0,400}?[(,]\s*\*")
_TO = re.compile(rb"\.to\(" + _VALUE)
_MAKING = re.compile(rb"device(?<!def device)\(" + _VALUE)
_UNPACKED = re.compile(rb"\*\*[A-Za-z_][\w.]*(?:\([^()\n]{0,100}\))?\s*,?\s*\)(?!\s*(?:->|:))")
"""A dict whose entries are a call's keywords; not one that a ``def`` takes up."""
_GENERAL = ((b".to(", _TO), (b"device(", _MAKING), (b"**", _UNPACKED))
_SPELT = tuple(
    (word + behind[:1], re.compile(word + behind))
    for word in map(str.encode, DEVICE_WORDS)
    for behind in (
        rb":(?:\{(?![}:])|(?:%[ds]|\{[^{}\"']*\})?[\"']\s*(?:\+|%|\.format\())\s*\(?[A-Za-z_]",
        rb"[\"']\s*,\s*(?:index\s*=\s*)?[A-Za-z_]",
    )
)
"""A device whose index is a value: ``f"cuda:{n}"``, ``"cuda:" + str(n)``, ``device("cuda", n)``."""
_NAMING = re.compile(r"\w_\w")
_SAYING = re.compile(rf"(?:{'|'.join(DEVICE_WORDS)})(?::0*[1-9]|{JOINED})".encode())
"""A device other than the first, in a text."""


class HandedText:
    """Finds in a file what may give on a device that it is given."""

    def __init__(self, apis: Iterable[Api]) -> None:
        self._positions: dict[bytes, list[tuple[int, bytes]]] = {}
        """Where calls of a name take a device: the position, and the keyword."""
        keywords = set(_GENERAL_KEYWORDS)
        self._calls: dict[bytes, set[bytes]] = {}
        """The calls that take a device by a keyword, of keywords that not all do."""
        for api in apis:
            last = api.name.rpartition(".")[2].encode()
            for device in api.devices:
                keyword = device.key or device.keyword
                if keyword is not None:
                    keywords.add(keyword)
                    if keyword not in _GENERAL_KEYWORDS:
                        self._calls.setdefault(keyword.encode(), set()).add(last)
                if device.position is not None and not says_more(device.after):
                    place = device.position, (device.keyword or "").encode()
                    self._positions.setdefault(last, []).append(place)
        for general in (b"to", b"device"):
            self._positions.pop(general, None)
        self._keywords = frozenset(one.encode() for one in keywords)
        self._names = frozenset(self._positions)

    def is_in(self, data: bytes, words: frozenset[bytes]) -> bool:
        """Whether a file with certain words may do so; errs to one side."""
        if any(matches(data, fixed, pattern) for fixed, pattern in _GENERAL):
            return True
        if any(matches(data, word, _keyword(word)) for word in _ENDS):
            return True
        if any(matches(data, word, _keyword(word)) for word in self._keywords.intersection(words)):
            return True
        return any(
            self._is_given(data, name, *place)
            for name in self._names.intersection(words)
            for place in self._positions[name]
        )

    def places(self, data: bytes, words: frozenset[bytes]) -> Iterator[int]:
        """The offsets at which what is given on begins, each behind its keyword or bracket."""
        for fixed, pattern in (*_GENERAL[:-1], *_SPELT):
            yield from _ends(data, fixed, pattern)
        for word in {*_ENDS, *self._keywords.intersection(words)}:
            if word not in self._calls or not self._calls[word].isdisjoint(words):
                yield from _ends(data, word, _keyword(word) if word in _ENDS else _alone(word))
        for name in self._names.intersection(words):
            for position, keyword in self._positions[name]:
                yield from self._places_in_calls(data, name + b"(", position, keyword)

    def keywords_unpacked(self, data: bytes) -> tuple[str, ...]:
        """The keywords that name a device in any call, where a call of a file takes its keywords
        from a dict."""
        return _GENERAL_KEYWORDS if matches(data, *_GENERAL[-1]) else ()

    def _places_in_calls(
        self, data: bytes, call: bytes, position: int, keyword: bytes
    ) -> Iterator[int]:
        start = data.find(call)
        while start >= 0:
            start += len(call)
            at = place_of_argument(data, start, position, keyword)
            if at is not None and at != TOO_LONG and _GIVEN.match(data, at):
                yield at
            start = data.find(call, start)

    def _is_given(self, data: bytes, name: bytes, position: int, keyword: bytes) -> bool:
        """Whether a call of a name gives something on in one of its places."""
        call = name + b"("
        start = data.find(call)
        while start >= 0:
            start += len(call)
            at = place_of_argument(data, start, position, keyword)
            if at is not None and (at == TOO_LONG or _GIVEN.match(data, at)):
                return True
            if _SPLAT.match(data, start - 1):
                return True
            start = data.find(call, start)
        return False


def _ends(data: bytes, fixed: bytes, pattern: re.Pattern[bytes]) -> Iterator[int]:
    """The offset of the last byte of everything that a pattern matches; as :func:`matches`."""
    at = data.find(fixed)
    while at >= 0:
        if (found := pattern.match(data, at)) is not None:
            yield found.end() - 1
        at = data.find(fixed, at + 1)


@cache
def _keyword(name: bytes) -> re.Pattern[bytes]:
    """What gives a keyword, or an entry of a dict, a value that is no constant; made when the
    word first occurs anywhere."""
    given = rb"(?:[\"']\s*[:\]]|" + _ANNOTATION + rb"\s*=(?!=))"
    return re.compile(name + given + _VALUE)


@cache
def _alone(name: bytes) -> re.Pattern[bytes]:
    """The same for a keyword of that name, and no longer one."""
    return re.compile(rb"(?<!\w)" + _keyword(name).pattern)


def says_more(text: str | None) -> bool:
    """Whether a text beside a device is a name of its own: ``jax_cuda_visible_devices``."""
    return text is not None and _NAMING.search(text) is not None


def matches(data: bytes, fixed: bytes, pattern: re.Pattern[bytes]) -> bool:
    """Whether a pattern matches somewhere, given what all that it matches begins with: to find
    fixed bytes takes a tenth of the time."""
    at = data.find(fixed)
    while at >= 0:
        if pattern.match(data, at):
            return True
        at = data.find(fixed, at + 1)
    return False


def place_of_argument(data: bytes, start: int, position: int, keyword: bytes) -> int | None:
    """Return where an argument of a call begins, given where the call's first does: byte offsets.

    None if it is not there, and ``TOO_LONG`` for a call that is not looked through.
    """
    end = min(len(data), start + _LONGEST_CALL)
    depth = commas = 0
    begin, found = start, start if not position else None
    for mark in _MARKS.finditer(data, start, end):
        kind = mark.group()
        if kind in b"([{":
            depth += 1
        elif kind != b",":
            depth -= 1
        if depth < 0 or (kind == b"," and not depth):
            given = _KEYWORD.match(data, begin)
            if given is not None and given.group(1) == keyword:
                return given.end()
            if depth < 0:
                return found
            commas += 1
            begin = mark.end()
            found = begin if commas == position else found
    return TOO_LONG


def says_device(data: bytes) -> bool:
    """Whether a file holds the name of a device other than the first, such as ``cuda:1``."""
    return any(
        not data[line_start(data, found.start()) : found.start()].lstrip().startswith(b"#")
        for found in _SAYING.finditer(data)
    )
