"""What ``.env`` files say, as python-dotenv reads them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from gpu_lint.facts.values import UNKNOWN, Known, Pairs, Value

_NAME = ".env"
"""The file that ``load_dotenv()`` looks for, in the directory of its caller and those above."""
_LINE = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?(?P<name>[^\s=#'"]+|'[^']+')[ \t]*=
    (?:[ \t]*'(?P<single>(?:[^'\\]|\\.)*)'
    |[ \t]*"(?P<double>(?:[^"\\]|\\.)*)"
    |(?P<plain>[^\n]*))""",
    re.VERBOSE | re.MULTILINE,
)
_COMMENT = re.compile(r"(?<!\s)\s+#.*")


def dotenv_paths(file: str, home: str) -> Iterator[str]:
    """The places of a file's ``.env``, nearest first: beside it, and above as far as ``home``."""
    directory = os.path.dirname(file)
    yield os.path.join(directory, _NAME)
    while directory.startswith(home + os.sep):
        directory = os.path.dirname(directory)
        yield os.path.join(directory, _NAME)


def entries_of(data: bytes) -> Pairs:
    """The names and values of a ``.env`` file; a value with ``${`` or an escape is not known."""
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    found: list[tuple[Value, Value]] = []
    for match in _LINE.finditer(text):
        value = match["single"] or match["double"] or ""
        if match["plain"] is not None:
            value = _COMMENT.sub("", match["plain"]).strip()
        known = "${" not in value and "\\" not in value
        found.append((Known(match["name"].strip("'")), Known(value) if known else UNKNOWN))
    return Pairs(tuple(found))
