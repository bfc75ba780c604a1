"""What the choice of a device looks like in the bytes of a file.

Names are looked up among the words of the file, which takes the same time for ten as for ten
thousand, and only where one occurs it is looked at what stands around it. Patterns begin with fixed
bytes where they can: searching for these is some fifty times as fast as trying a pattern at every
place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from gpu_lint.facts.handedtext import TOO_LONG, HandedText, place_of_argument, says_more
from gpu_lint.facts.knowledge import Api, Framework
from gpu_lint.facts.skim import line_start
from gpu_lint.facts.spellings import DEVICE_WORDS, GAP, GIVEN, JOINED, LISTED, NUMBER
from gpu_lint.facts.words import Vocabulary, Words, words_of
from gpu_lint.records import record

_GENERAL_NAMES = frozenset({b"to", b"device"})
_GENERAL_KEYWORDS = frozenset({"device", "map_location", "index"})
_GIVING = tuple(tuple(part.encode() for part in row) for row in GIVEN)
_GAP, _INDEX_BEGINS = GAP.encode(), NUMBER.encode()
_INDEX = rb"(?:" + _INDEX_BEGINS + rb"|[A-Z][A-Z\d_]+\b|int\(|\(\s*(?:\w+\s*:=\s*)?\d|\[\s*\d)"
_INDEX_NAME = rb"\w*(?:gpu|GPU|dev_id|device_id|(?:idx|index|rank|ordinal)(?![a-z]))\w*\s*[,)]"
_NUMBERED_NAME = rb"(?:s|_?(?:ids?|idx|index|num|number|no|nr|ordinal|rank|to_use))?"
"""What may stand behind ``gpu`` in the name of a number that says which."""
_ANNOTATION = rb"\s*(?::[ \t]*[\w.\[\]| ]+)?"
_PASSED_ON = rb"(?!\s*(?:kwargs\.(?:get|pop)\(|getattr\())"
_ALL_ON_ONE = (
    rb"\{\s*(?:\"\"|'')\s*:\s*"
    rb"(?:(?:\w+\.)+device|(?:torch\.device\()?[\"'](?:cpu|cuda|disk|meta|mps)[\"']\)?)\s*\}"
)
"""A device map that puts everything on the first device, on none, or where something else is."""
_NO_INDEX = (
    rb"(?!\s*(?:None\b|\.\.\.|[\"'](?:auto|balanced|balanced_low_0|sequential|cpu|cuda|mps)[\"']|"
    + _ALL_ON_ONE
    + rb"))"
)
"""Not followed by what surely names no device other than the first."""
_GIVEN = rb"(?:[\"']\s*:|\s*=(?!=))" + _NO_INDEX + _PASSED_ON
_ANY_NUMBER = rb"\s*=" + _GAP + rb"[\[(\"'\s]*\d"
"""What stands behind a keyword that names a device by its number, the first one too."""
_NUMBER = rb"\((?:[^)]*[,(=])?" + _GAP + _INDEX_BEGINS
_CALL = rb"\("
"""What stands behind a keyword, and behind the name of a call: a number other than 0, or
anything."""
_NAMES_NONE = re.compile(rb"\s*(?:\)|\*|(?:None|True|False|0)\s*[,)]|\w+\s*=[^=])")
"""An argument that is not there, comes from outside, or names no device other than the first."""
_ELSEWHERE = re.compile(rb"\s*(?:\w+\.)+device\s*[,)]")
"""An argument that is where something else is: what put it there says so elsewhere."""
_HANDED = re.compile(rb"\s*([a-z_]*device)\s*[,)]")
"""An argument that is a plain name for a device, of whatever kind."""
_NO_NUMBER = rb"(?:None|True|False|0)\s*[,)]|[{\[]"
_GPU_NAMES = (b"gpu", b"GPU", b"device", b"DEVICE")
_SPEAKING = ("device", "DEVICE", "gpu", "memory", "tensor", "provider")
"""Parts of the keywords that tell of devices by themselves; others do beside their call alone."""
_COMMON = "torch"
"""The framework that most others hand their devices to: it need not be mentioned."""

_GIVEN_NAMES = [
    (word, fixed, re.compile(giving + rb"\s*(?:\w+\.)*(\w+)\b")) for word, fixed, giving in _GIVING
]
_NUMBERED = re.compile(
    rb"[ \t]*(?::[ \t]*[\w.\[\]| ]+)?="
    rb"[ \t]*(?:[\[({][^=]{0,300}?[:,\[({])?[\[({\s]*" + _INDEX_BEGINS
)
"""What stands behind a name bound to a number other than 0, or to a list or dict of such."""
_NEVER_BOUND = {b"None", b"int", b"bool", b"float", b"str"}
_DEFINING = re.compile(rb"\b(?:def|class)[ \t]+\Z")
_GIVEN_ON = re.compile(rb"\s*(?:\w+\.)*(\w+)\s*[,)\n]")
_LONGEST_COMMENT = 1_000
"""Bytes of a line that are looked at to see that it is a comment."""
_MOST_FUNCTIONS = 50
"""Functions with a parameter of one name whose calls are looked at."""
_IMPORTING = re.compile(rb"import\b[ \t]*(?:\([^)]{0,2000}\)|[^\n]*)")
_PARAMETERS = re.compile(rb"\bdef[ \t]+(\w+)[ \t]*\(([^)]*)")
_CLASSES = re.compile(rb"\bclass[ \t]+(\w+)")
_NUMBERED_OR_NO_CALL = rb"(?:\([^)]{0,400}(?<![\w.])(?:[1-9]\d*|[A-Z][A-Z\d_]+)\s*[,)\]]|\s*[,)\]])"
_WORD_BEFORE = re.compile(rb"\w\Z")


@record
class _Spelling:
    """How a row of the tables is spelt with one name."""

    name: bytes
    behind: bytes
    """What stands behind the name, as a pattern."""
    framework: str
    beside: frozenset[bytes] = frozenset()
    """Words of which one must be there, too; none where the name says enough."""
    position: int | None = None
    """The argument of the call that names the device; None for what is no such call."""
    keyword: bytes = b""
    """The keyword that it may be given by instead."""
    passed_on: bool = False
    """The name is a keyword: given under itself, it does not count."""

    def places(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Where it stands, each with the name that the device is handed on by; empty where it is
        named otherwise."""
        for match in _matches(data, self.name, _pattern(self.name, self.behind)):
            start, end = match.span()
            if _DEFINING.search(data, max(start - 9, 0), start) or _in_comment(data, start):
                continue
            if self.passed_on:
                given = _GIVEN_ON.match(data, end)
                if given is not None and given.group(1) == self.name:
                    continue
            handed = b""
            if self.position is not None:
                argument = _argument(data, end, self.position, self.keyword)
                if argument is None or _ELSEWHERE.match(data, argument):
                    continue
                found = _HANDED.match(data, argument)
                handed = found.group(1) if found is not None else b""
            yield start, handed


class Ways(NamedTuple):
    """How a file names devices; false of one that surely names none."""

    itself: bool = False
    """It does so by itself."""
    handed: bool = False
    """It gives on what it is given."""
    frameworks: frozenset[str] = frozenset()
    """It does so in the way of frameworks that it does not mention."""


class DeviceText:
    """Finds in a file what may name a device other than the first, or ask how many there are."""

    def __init__(self, frameworks: Iterable[Framework]) -> None:
        self._spellings: dict[bytes, list[_Spelling]] = {}
        self._roots: dict[str, frozenset[bytes]] = {}
        """The words that mention each framework."""
        self._everywhere: set[str] = set()
        """The frameworks that need not be mentioned."""
        apis: list[Api] = []
        for framework in frameworks:
            apis += framework.apis
            roots = {module.partition(".")[0].encode() for module in framework.modules}
            self._roots[framework.name] = frozenset(roots)
            if framework.own or framework.name == _COMMON:
                self._everywhere.add(framework.name)
            for api in framework.apis:
                for spelling in _spellings(api):
                    known = self._spellings.setdefault(spelling.name, [])
                    if spelling not in known:
                        known.append(spelling)
        self._names = frozenset(self._spellings)
        self.handed = HandedText(apis)
        general = [*_general()]
        self._by_word = [one for one in general if one.word]
        self._by_part = [one for one in general if one.part]

    @property
    def parts(self) -> frozenset[bytes]:
        """The parts of words that are asked for."""
        return frozenset(one.part for one in self._by_part)

    def use(self, vocabulary: Vocabulary) -> None:
        """Ask words of a vocabulary, which must have :attr:`parts`."""
        self._all_parts = vocabulary.parts(*self.parts)
        self._asked = [(vocabulary.parts(one.part), one) for one in self._by_part]

    def places(self, data: bytes, words: Words) -> Iterator[int]:
        """The offsets at which a call or a text names one by itself or hands one on, in the way
        of whatever framework."""
        yield from self._general_places(data, words)
        for spelling in self._spelt(words.each):
            for place, _ in spelling.places(data):
                yield place

    def ways(self, data: bytes, words: Words) -> Ways:
        """How a file names devices. Errs to one side: it may do so of no other file."""
        if next(self._general_places(data, words), None) is not None or _numbered(data, words):
            return Ways(True)
        found: set[str] = set()
        handed = False
        numbered: dict[bytes, bool] = {}
        for spelling in self._spelt(words.each):
            framework = spelling.framework
            known = framework in self._everywhere or not words.each.isdisjoint(
                self._roots[framework]
            )
            if framework in found and not known:
                continue
            for _, name in spelling.places(data):
                if name and name not in numbered:
                    numbered[name] = _may_be_numbered(data, name)
                if name and not numbered[name]:
                    handed = True
                elif known:
                    return Ways(True)
                else:
                    found.add(framework)
        return Ways(False, handed, frozenset(found))

    def passes_on(self, data: bytes, words: Words) -> bool:
        """Whether a file may select what a value says that comes from elsewhere."""
        return self.handed.is_in(data, words.each)

    def _general_places(self, data: bytes, words: Words) -> Iterator[int]:
        asked = [one for one in self._by_word if one.word in words.each]
        if words.have(self._all_parts):
            asked += [one for parts, one in self._asked if words.have(parts)]
        for one in asked:
            for match in _matches(data, one.fixed, one.pattern):
                if not _in_comment(data, match.start()):
                    yield match.start()

    def _spelt(self, words: frozenset[bytes]) -> Iterator[_Spelling]:
        for word in words & self._names:
            for spelling in self._spellings[word]:
                if not spelling.beside or not spelling.beside.isdisjoint(words):
                    yield spelling


def _matches(data: bytes, fixed: bytes, pattern: re.Pattern[bytes]) -> Iterator[re.Match[bytes]]:
    """What ``pattern.finditer`` finds, given what all that matches begins with: to find fixed bytes
    takes a tenth of the time."""
    at = data.find(fixed)
    while at >= 0:
        match = pattern.match(data, at)
        if match is not None:
            yield match
        at = data.find(fixed, at + 1 if match is None else max(match.end(), at + 1))


def _in_comment(data: bytes, offset: int) -> bool:
    """Whether something stands on a line that is a comment as a whole."""
    least = max(offset - _LONGEST_COMMENT, 0)
    start = line_start(data, offset, least)
    return (start > least or not least) and data[start:offset].lstrip().startswith(b"#")


def _argument(data: bytes, start: int, position: int, keyword: bytes) -> int | None:
    """Where an argument of a call begins, given where the call's first does; None if it is not
    there, or names no device other than the first. A call too long to be looked through has it."""
    found = place_of_argument(data, start, position, keyword)
    if found == TOO_LONG:
        return start
    return None if found is None or _NAMES_NONE.match(data, found) else found


def _may_be_numbered(data: bytes, name: bytes) -> bool:
    """Whether a name for a device may stand for a number: it is bound to one, imported, or a
    parameter of something that is called with one, or handed on."""
    if _is_numbered(data, name):
        return True
    if any(re.search(rb"\b" + name + rb"\b", line) for line in _IMPORTING.findall(data)):
        return True
    functions = set()
    for found in _PARAMETERS.finditer(data):
        if name in words_of(found.group(2)):
            functions.add(found.group(1))
    if b"__init__" in functions:
        functions.update(_CLASSES.findall(data))
    functions.discard(b"__init__")
    if len(functions) > _MOST_FUNCTIONS:
        return True
    return any(_pattern(function, _NUMBERED_OR_NO_CALL).search(data) for function in functions)


def _numbered(data: bytes, words: Words) -> bool:
    """Whether a name that is bound to a number other than 0 is given as a device."""
    given: set[bytes] = set()
    for word, fixed, pattern in _GIVEN_NAMES:
        if word in words.each:
            given.update(match.group(1) for match in _matches(data, fixed, pattern))
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


class _General(NamedTuple):
    """What names a device in whatever framework: a pattern, and what tells that it is worth looking
    for it."""

    pattern: re.Pattern[bytes]
    fixed: bytes
    """What all that matches begins with."""
    part: bytes = b""
    """This is part of a word in all that matches."""
    word: bytes = b""
    """This is a word in all that matches."""


def _general() -> Iterator[_General]:
    for kind in map(str.encode, DEVICE_WORDS):
        yield _General(re.compile(kind + rb":(?:0*[1-9]|[{%\"'])"), kind + b":", part=kind)
        apart = re.compile(kind + rb"(?:" + JOINED.encode() + rb"|" + LISTED.encode() + rb")")
        for quote in (b'"', b"'"):
            yield _General(apart, kind + quote, part=kind)
    indexed = rb"(?:index\s*=|(?![A-Za-z_]\w*\s*=[^=]|" + _NO_NUMBER + rb")[^\s)\]}\"'])"
    yield _General(re.compile(rb"cuda[\"']\s*,\s*" + indexed), b"cuda", part=b"cuda")
    for word, fixed, giving in _GIVING:
        given = _GAP + rb"(?:\w+\.)*(?:" + _INDEX + b"|" + _INDEX_NAME + b")"
        yield _General(re.compile(giving + given), fixed, word=word)
    device = rb"device(?<![\w \t]device)\(" + _GAP + rb"(?:\d|[A-Za-z_]\w*\s*[),])"
    yield _General(re.compile(device), b"device", word=b"device")
    for name in _GPU_NAMES:
        number = _NUMBERED_NAME.upper() if name.isupper() else _NUMBERED_NAME
        pattern = re.compile(name + number + _ANNOTATION + rb"=\s*" + _INDEX_BEGINS)
        yield _General(pattern, name, part=name)
    yield _General(re.compile(b"device_count"), b"device_count", part=b"device_count")


def _spellings(api: Api) -> Iterator[_Spelling]:
    """How a row is spelt: a call whose name says that a device is chosen, one that only a number
    makes say so, and keywords."""
    last = api.name.rpartition(".")[2].encode()
    if api.returns.startswith(("gpus", "ind")):
        yield _Spelling(last, rb"\(", api.framework)
    for device in api.devices:
        if api.versions and device.keyword is not None:
            beside = frozenset({api.framework.encode()})
            yield _Spelling(device.keyword.encode(), _ANY_NUMBER, api.framework, beside)
        if device.variable is not None:
            yield _Spelling(last, rb"\(", api.framework)
        if device.after is not None and device.keyword in _GENERAL_KEYWORDS:
            continue
        if device.after is not None and says_more(device.after):
            yield _Spelling(device.after.encode(), rb"[\"']", api.framework)
            continue
        entry = device.key or device.keyword
        if entry is not None and device.kind != "device" and entry not in _GENERAL_KEYWORDS:
            speaks = any(part in entry for part in _SPEAKING)
            beside = frozenset() if speaks else frozenset({last})
            yield _Spelling(entry.encode(), _GIVEN, api.framework, beside, passed_on=True)
        if device.position is not None and device.key is None and last not in _GENERAL_NAMES:
            if device.kind == "device":
                yield _Spelling(last, _NUMBER, api.framework)
            else:
                keyword = (device.keyword or "").encode()
                yield _Spelling(
                    last, _CALL, api.framework, position=device.position, keyword=keyword
                )


@cache
def _pattern(name: bytes, behind: bytes) -> re.Pattern[bytes]:
    """A whole word with something behind it, made when the word first occurs anywhere."""
    return re.compile(name + rb"(?<!\w" + name + rb")" + behind)
