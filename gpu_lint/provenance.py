"""Tells which files others write or keep: generated ones, vendored ones, those of a submodule.

They are reported like all others, but a fix there would be lost with their next version.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path

from gpu_lint.errors import SourceError
from gpu_lint.source import read_bytes

_VENDORED = frozenset({"third_party", "third-party", "thirdparty", "vendor", "_vendor", "vendored"})
"""Names of directories that hold copies of other projects."""
_HEAD = 4096
"""Bytes of a file in which it may say that it is generated."""
_MARK = re.compile(
    rb"(?<![\w@.])@generated\b"
    rb"|DO NOT (?:EDIT|MODIFY)(?!\w|\s+(?:below|above|after|beyond|past|anything)"
    rb"|\s+(?:the|this|these|those)\s+(?!file\b|module\b|script\b)\w)"
)
_MARK_IN_WORDS = re.compile(
    rb"(?i)\bgenerated\b(?s:.{0,200}?)\bdo not (?:edit|modify)\b"
    rb"|\bdo not (?:edit|modify)\b(?s:.{0,200}?)\bgenerated\b"
)
_DOCSTRING = re.compile(rb"[rRuU]?(\"\"\"|'''|\"|')")


def generated(data: bytes) -> str:
    """Return what a file says of being generated, in the comments and the docstring that it begins
    with; empty if it says nothing."""
    head = _head(data[:_HEAD])
    found = _MARK.search(head) or _MARK_IN_WORDS.search(head)
    if found is None:
        return ""
    words = found.group().decode("ascii", "replace")
    said = words if len(words) < 20 else "generated"
    return f"this file is generated ({said!r})"


def _head(data: bytes) -> bytes:
    """The comments and the docstring before the first statement."""
    kept: list[bytes] = []
    until = b""
    """What ends the docstring that has begun."""
    for line in data.splitlines():
        text = line.removeprefix(b"\xef\xbb\xbf").strip()
        if until:
            kept.append(text)
            if until in text:
                break
        elif not text or text.startswith(b"#"):
            kept.append(text)
        else:
            begun = _DOCSTRING.match(text)
            if begun is None:
                break
            kept.append(text)
            until = begun[1]
            if until in text[begun.end() :] or len(until) == 1:
                break
    return b"\n".join(kept)


def kept_elsewhere(directory: str, top: str, owned: Collection[str]) -> str:
    """Return why the files of a directory are another project's; empty if they are not.

    All paths are absolute. ``top`` is the root of the directory's repository or project. What is
    ``owned`` is not another's: the directory of the run, and one with a configuration of its own.
    """
    below = os.path.relpath(directory, top)
    parts = [] if below.startswith(os.pardir) or below == os.curdir else below.split(os.sep)
    for number, part in enumerate(parts, start=1):
        if part.lower() in _VENDORED and not _holds(os.path.join(top, *parts[:number]), owned):
            return f"this file is another project's copy (in {'/'.join(parts[:number])}/)"
    if not _holds(top, owned) and is_submodule(top):
        return f"this file belongs to the submodule {os.path.basename(top)}"
    return ""


def is_submodule(root: str) -> bool:
    """Return whether the repository at ``root`` is kept as a submodule of another."""
    try:
        link = read_bytes(Path(root, ".git"), 4096)
    except SourceError:
        return False  # a directory: a repository of its own
    named = os.fsdecode(link).replace("\\", "/")
    return named.startswith("gitdir:") and "/modules/" in named


def _holds(directory: str, paths: Collection[str]) -> bool:
    inside = os.path.join(directory, "")
    return any(path == directory or path.startswith(inside) for path in paths)
