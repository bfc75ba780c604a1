"""The report for people: the line, a caret, why, and what a fix would do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from gpu_lint.findings import Applicability, FileFindings, Finding
from gpu_lint.printable import Line, Painted, painted, text_of
from gpu_lint.reports import ReportOptions, shown_path
from gpu_lint.reports.cells import cells, window
from gpu_lint.rulebook import Severity
from gpu_lint.source import Location, Source

_WIDEST = 160
"""Cells of a line of source that are shown where there is no terminal."""
_NARROWEST = 20
"""Cells of a line of source that are shown in the narrowest terminal."""


def render(results: Iterable[FileFindings], options: ReportOptions) -> str:
    paint = partial(painted, color=options.color)
    blocks = []
    for result in results:
        path = shown_path(result.path, options.base)
        for finding in result.findings:
            block = _block(path, result.source, finding, paint, options.width or _WIDEST)
            blocks.append(text_of(block))
    return "\n".join(blocks)


def _block(
    path: str, source: Source, finding: Finding, paint: Callable[..., Painted], columns: int
) -> list[Line]:
    place = source.location(finding.span.start)
    color = "red" if finding.severity is Severity.ERROR else "yellow"
    head = paint(f"{finding.severity.value}[{finding.code}]", fg=color, bold=True)
    gutter = " " * len(str(place.row))
    bar = paint("|", fg="blue")
    arrow = paint("-->", fg="blue")
    equals = paint("=", fg="blue")
    out: list[Line] = [
        (head, paint(f": {finding.name}: {finding.message}", bold=True)),
        (gutter, arrow, f" {path}:{place.row}:{place.column}"),
    ]
    room = max(columns - len(gutter) - len(" | "), _NARROWEST)
    text, start, width = _excerpt(source, finding, place, room)
    if text.strip():
        caret = paint("^" * width, fg=color, bold=True)
        out += [
            (f"{gutter} ", bar),
            (paint(str(place.row), fg="blue"), " ", bar, f" {text}"),
            (f"{gutter} ", bar, " " * (start + 1), caret),
        ]
    if finding.note:
        out.append((f"{gutter} ", equals, f" why: {finding.note}"))
    if finding.fix is not None:
        safe = finding.fix.applicability is Applicability.SAFE
        how = "fix" if safe else "unsafe fix (--unsafe-fixes)"
        out.append((f"{gutter} ", equals, f" {how}: {finding.fix.message}"))
    return out


def _excerpt(source: Source, finding: Finding, place: Location, room: int) -> tuple[str, int, int]:
    """Return what is shown of the line of ``place``, where a finding starts, and the cells that
    stand before the caret and under it."""
    line = source.line_at(finding.span.start).replace("\t", " ")
    end = source.location(finding.span.end)
    first = place.column - 1
    last = end.column - 1 if end.row == place.row else len(line)
    parts = window(line[:first], line[first:last], line[last:], room)
    before, marked = cells(parts[0]), cells(parts[1])
    return "".join(parts), before, max(1, marked)
