"""The report for people: the line, a caret, why, and what a fix would do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from gpu_lint.findings import Applicability, FileFindings, Finding
from gpu_lint.printable import Line, Painted, painted, printable, text_of
from gpu_lint.reports import ReportOptions, shown_path
from gpu_lint.rulebook import Severity
from gpu_lint.source import Location, Source

_WIDEST = 160


def render(results: Iterable[FileFindings], options: ReportOptions) -> str:
    paint = partial(painted, color=options.color)
    blocks = []
    for result in results:
        path = shown_path(result.path, options.base)
        for finding in result.findings:
            blocks.append(text_of(_block(path, result.source, finding, paint)))
    return "\n".join(blocks)


def _block(
    path: str, source: Source, finding: Finding, paint: Callable[..., Painted]
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
    text, start, width = _excerpt(source, finding, place)
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


def _excerpt(source: Source, finding: Finding, place: Location) -> tuple[str, int, int]:
    """The line of ``place``, where a finding starts; where the caret goes in it, and how wide."""
    line = source.line_at(finding.span.start).replace("\t", " ")
    end = source.location(finding.span.end)
    width = end.column - place.column if end.row == place.row else len(line) - place.column + 1
    start = place.column - 1
    if start > _WIDEST // 2 and len(line) > _WIDEST:
        cut = start - _WIDEST // 2
        line, start = "…" + line[cut + 1 :], start - cut
    shown = printable(line[:_WIDEST])
    start = len(printable(line[:start]))
    return shown, start, max(1, min(width, len(shown) - start))
