"""The comments by which what a fix wrote is found again."""

from __future__ import annotations

from collections.abc import Iterator

from gpu_lint.facts import program as p
from gpu_lint.facts.model import ManagedBlock
from gpu_lint.source import Source, Span

HEADER = "header"
VALIDATOR = "validator"
MARKER = b"# gpu-lint: "
"""What every one of our comments begins with."""
HEADER_BEGIN = "# gpu-lint: begin header"
HEADER_END = "# gpu-lint: end header"
VALIDATOR_MARK = "# gpu-lint: validator"


def managed_blocks(
    program: p.Program, comments: tuple[p.Comment, ...], source: Source
) -> Iterator[ManagedBlock]:
    """Headers between their two markers, and functions right below theirs."""
    begin: p.Comment | None = None
    functions = {s.span.start: s for s in program.body if isinstance(s, p.Function)}
    for comment in comments:
        if not comment.own_line:
            continue
        if comment.text == HEADER_BEGIN:
            begin = comment
        elif comment.text == HEADER_END and begin is not None:
            inner = source.slice(Span(begin.span.end, comment.span.start))
            text = "\n".join(inner.splitlines()[1:]).rstrip()
            yield ManagedBlock(HEADER, Span(begin.span.start, comment.span.end), text)
            begin = None
        elif comment.text == VALIDATOR_MARK:
            row = source.row(comment.span.start)
            if row < len(source.line_starts):
                function = functions.get(source.line_starts[row])
                if function is not None:
                    text = "\n".join(source.slice(function.span).splitlines()).rstrip()
                    span = Span(comment.span.start, function.span.end)
                    yield ManagedBlock(VALIDATOR, span, text, function.name)
