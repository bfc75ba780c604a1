"""Whether importing a file may make CUDA read the mask, told from its bytes.

It may where a GPU is mentioned outside of functions, where something is called in the default of a
parameter, or in a function or class whose name is called at module level.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Iterator
from functools import cache

from gpu_lint.facts.prose import without_long_strings
from gpu_lint.facts.touch import Touch

GPU_WORDS = (b"cuda", b"CUDA", b"gpu", b"GPU", b"jax", b"jnp", b"cupy", b"numba", b"tensorflow",
             b"tf")  # fmt: skip
"""What a mention of a GPU has in it."""
_SHORT_WORD = b"tf"
"""It counts alone, and before a dot."""
_WORD_BEFORE = re.compile(rb"\w\Z")
_HEAD_END = re.compile(rb":(?=[ \t]*(?:#[^\n]*)?(?:\n|\Z))|\)[ \t]*(?:->[^\n:]*)?:")
_HEAD = re.compile(rb"(?:async\s+)?(def|class)\s+(\w+)")
_CALLED = re.compile(rb"\b(\w+)\s*\(|^@(?:\w+\.)*(\w+)", re.MULTILINE)
_PLAIN = re.compile(
    rb"\w+(?:[ \t]*:[^=()]*)? = (?:None|True|False|[\d._]+|'[^'\\]*'|\"[^\"\\]*\")\s*(?:#.*)?\Z"
)
"""A line that binds a name to a constant: formatted like this, it is no argument of a call."""
_BOTH = Touch.FREEZES | Touch.NEAR
_IMPORTING = re.compile(rb"(?:import|from)\b")


def found_on_import(data: bytes, words: Collection[bytes] = GPU_WORDS) -> Touch:
    """Whether importing a file may do so, and whether it comes by a mention of a GPU at all.

    Errs to one side. ``words`` are those of ``GPU_WORDS`` that are in it.
    """
    data = without_long_strings(data)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    mentions = gpu_mentions(data, words)
    return _reached(data, mentions) if mentions else Touch.NOTHING


def gpu_mentions(data: bytes, words: Collection[bytes] = GPU_WORDS) -> list[int]:
    """The offsets at which a GPU is mentioned, in order."""
    found: list[int] = []
    for word in words:
        text = word + b"." * (word == _SHORT_WORD)
        at = data.find(text)
        while at >= 0:
            if word != _SHORT_WORD or not _WORD_BEFORE.search(data, max(at - 1, 0), at):
                found.append(at)
            at = data.find(text, at + 1)
    found.sort()
    return found


def _reached(data: bytes, mentions: list[int]) -> Touch:
    """What comes of the mentions that are reached when the file is imported."""

    def mentioned(start: int, end: int) -> bool:
        at = bisect_left(mentions, start)
        return at < len(mentions) and mentions[at] < end

    inside: set[bytes] = set()
    """The names of what mentions one when it is called."""
    outside: list[bytes] = []
    """The lines that run on import."""
    classes: list[tuple[int, bytes]] = []
    """Those around a line: how far they are indented, and their names."""
    passed = Touch.NOTHING
    importing = False
    """The line goes on with an import."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        line = data[start:end]
        text = line.lstrip()
        start = end + 1
        if not text or text[:1] in b"#)":
            importing = importing and b")" not in text
            continue
        if importing:
            importing = b")" not in text
            continue
        indent = len(line) - len(text)
        while classes and classes[-1][0] >= indent:
            classes.pop()
        found = _HEAD.match(text)
        if found is not None:
            head = end - len(text)
            is_class = found.group(1) == b"class"
            if not is_class:
                behind = _end_of_suite(data, end, indent)
                if not mentioned(head, behind):
                    start = behind
                    continue
            start = body = _end_of_head(data, head)
            given = [default for default in _defaults(data, head, body) if mentioned(*default)]
            if any(is_class or data.find(b"(", *default) >= 0 for default in given):
                return _BOTH
            if given:
                passed = Touch.NEAR
            if is_class:
                classes.append((indent, found.group(2)))
                continue
            start = _end_of_suite(data, body, indent)
            if given or mentioned(body, start):
                inside.update(name for _, name in classes)
                inside.add(found.group(2))
            continue
        if _IMPORTING.match(text):
            importing = b"(" in text and b")" not in text
        elif mentioned(end - len(text), end):
            passed = Touch.NEAR
            if mentioned(end - len(text), _end_of_code(text, end)) and not _PLAIN.match(text):
                return _BOTH
        outside.append(text)
    called = _CALLED.findall(b"\n".join(outside)) if inside else []
    return passed if inside.isdisjoint(word for pair in called for word in pair) else _BOTH


def _defaults(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the defaults in the head of a definition may be: behind a ``=`` on the same line, or in
    the same parameter."""
    for between in (b"\n", b","):
        at = start
        while at < end:
            stop = data.find(between, at, end)
            stop = end if stop < 0 else stop
            equals = data.find(b"=", at, stop)
            if equals >= 0:
                yield equals, stop
            at = stop + 1


def _end_of_code(text: bytes, end: int) -> int:
    """Where the code of a line that ends at an offset does: before a comment in which, and before
    which, there are no quotes."""
    comment = text.find(b"#")
    plain = comment >= 0 and b"'" not in text and b'"' not in text
    return end - len(text) + comment if plain else end


def _end_of_head(data: bytes, start: int) -> int:
    """Where the head of a definition ends, behind its colon."""
    found = _HEAD_END.search(data, start)
    return found.end() if found is not None else len(data)


def _end_of_suite(data: bytes, start: int, indent: int) -> int:
    """Where a line begins that is indented no further than the definition above; comments and what
    closes a bracket do not count."""
    found = _dedent(indent).search(data, start)
    return found.start() + 1 if found is not None else len(data)


@cache
def _dedent(indent: int) -> re.Pattern[bytes]:
    return re.compile(rb"\n[ \t]{0,%d}[^\s#)\]}]" % indent)
