"""Source that would break a parser, recognised before it is parsed; how deep we follow.

LibCST's native parser ends the whole process on deep nesting and on very long chains of
operators, so such files must never reach it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from gpu_lint.errors import SourceError
from gpu_lint.records import record


@record
class Limits:
    """How much of a file is given to a parser."""

    file_bytes: int = 4 << 20
    brackets: int = 200
    """In one another; LibCST's parser ends the process at some 1,400."""
    operators: int = 2_000
    """Between two commas, brackets or line ends outside brackets; it does so at some 20,000."""

    def check_size(self, data: bytes) -> None:
        """Raises :class:`SourceError` for a file that is too large to be parsed."""
        if len(data) > self.file_bytes:
            raise SourceError(
                f"cannot be checked: it has {len(data) >> 20} MiB, and files of more than "
                f"{self.file_bytes >> 20} are not parsed (limits.file-mib)"
            )


USUAL = Limits()
_DEEPEST_RECURSION = 10_000
"""Python frames: enough for a text of 3,000 lines that is one implicit concatenation."""

_TOKEN = re.compile(
    r"""
    (?P<string>(?:[rRbBuUfFtT]{0,2})  # one that does not end is no program: its end is anywhere
        (?:'''(?:\\.|[^\\])*?(?:'''|\\?\Z)|\"\"\"(?:\\.|[^\\])*?(?:\"\"\"|\\?\Z)
        |'(?:\\.|[^'\\\n])*'?|"(?:\\.|[^"\\\n])*"?))
    |(?P<comment>\#[^\r\n]*)
    |(?P<open>[(\[{])
    |(?P<close>[)\]}])
    |(?P<operator>[-+*/%@&|^<>=.~]+|\b(?:and|or|not|if|in|is|await|lambda)\b)
    |(?P<end>[,;:]|\\?\r?\n)
    """,
    re.VERBOSE | re.DOTALL,
)


def check_limits(text: str, limits: Limits = USUAL) -> None:
    """Raises :class:`SourceError` for source that is nested or chained too far to be parsed."""
    if text.count("(") + text.count("[") + text.count("{") < limits.brackets and (
        len(text) < 2 * limits.operators
    ):
        return
    depth = 0
    chains = [0]
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "open":
            depth += 1
            chains.append(0)
            if depth > limits.brackets:
                what = f"more than {limits.brackets} brackets"
                raise _too_complex(text, match.start(), what, "limits.brackets")
        elif kind == "close" and depth:
            depth -= 1
            chains.pop()
        elif kind == "operator":
            chains[-1] += len(match.group()) if not match.group().isalpha() else 1
            if chains[-1] > limits.operators:
                what = f"more than {limits.operators} operators"
                raise _too_complex(text, match.start(), what, "limits.operators")
        elif kind == "end" and (match.group() in ",;:" or not depth):
            if not match.group().startswith("\\"):
                chains[-1] = 0


def _too_complex(text: str, character: int, what: str, key: str) -> SourceError:
    row = text.count("\n", 0, character) + 1
    return SourceError(
        f"cannot be checked: line {row} nests or chains {what} in one expression ({key})"
    )


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Let what is nested deeply be followed; beyond that it is a :class:`SourceError`."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _DEEPEST_RECURSION))
    try:
        yield
    except RecursionError as error:
        raise SourceError("cannot be checked: it is nested too deeply to be followed") from error
    finally:
        sys.setrecursionlimit(limit)
