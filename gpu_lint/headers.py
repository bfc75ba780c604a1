"""Headers that all files have alike: with them, no file need be run to know what is set.

Where every file that mentions a header variable does so in a managed block, the block is the one
that the policy's template makes, and nothing but the standard library is imported above it, each
process has the policy's values from its first statement to its last.
"""

from __future__ import annotations

from collections.abc import Iterable

from gpu_lint.facts.layout import is_stdlib
from gpu_lint.facts.markers import HEADER_BEGIN, HEADER_END
from gpu_lint.facts.skim import Unskimmable, skim
from gpu_lint.policy import Policy
from gpu_lint.rulebook import Rulebook
from gpu_lint.source import Span
from gpu_lint.templates import render_header

_EVERYWHERE = ("all", "gpu-files")
"""Where a header must be for a file to be judged by its own alone."""
_BEGIN, _END = HEADER_BEGIN.encode(), HEADER_END.encode()


class SettledHeaders:
    """Finds the header of a file, if it is the one that all files have."""

    def __init__(self, policies: Iterable[Policy | None], rulebook: Rulebook) -> None:
        """``policies`` are those in force for the files of the run."""
        self._accepted: frozenset[str] = frozenset()
        found = set()
        for policy in {id(policy): policy for policy in policies}.values():
            if (
                policy is None
                or policy.header_template is not None
                or policy.header.module
                or policy.header.required_in not in _EVERYWHERE
            ):
                return
            found.add(tuple(render_header(policy, rulebook, alloc) for alloc in (True, False)))
        if len(found) == 1:
            self._accepted = frozenset(found.pop())

    def span_in(self, data: bytes) -> Span | None:
        """The header of a file, its markers included."""
        start = data.find(_BEGIN) if self._accepted else -1
        end = data.find(_END, start)
        if start < 0 or end < 0 or (start and data[start - 1] not in b"\r\n"):
            return None
        lines = data[start + len(_BEGIN) : end].decode("utf-8", "replace").splitlines()
        if "\n".join(lines[1:]) not in self._accepted or data.find(_BEGIN, end) >= 0:
            return None
        above = _imported(data[:start])
        if above is None or not all(not level and is_stdlib(module) for module, level in above):
            return None
        return Span(start, end + len(_END))


def _imported(data: bytes) -> list[tuple[str, int]] | None:
    """The modules that some lines import, and how many dots stand before; None if that cannot be
    told."""
    try:
        return [(one.module, one.level) for one in skim(data).imported]
    except Unskimmable:
        pass
    import ast

    from gpu_lint.facts.quiet import parse_quietly

    try:
        tree = parse_quietly(data.decode("utf-8-sig"), "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found: list[tuple[str, int]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found.append((node.module or "", node.level))
        elif isinstance(node, ast.Import):
            found += [(alias.name, 0) for alias in node.names]
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            called = node.func.id if isinstance(node.func, ast.Name) else called
            if called in ("import_module", "__import__"):
                return None
    return found
