"""The report for people: the line, a caret, why, and what a fix would do."""

from __future__ import annotations

from collections.abc import Iterable

import click

from gpu_lint.findings import Applicability, FileFindings, Finding
from gpu_lint.printable import printable
from gpu_lint.reports import ReportOptions, shown_path
from gpu_lint.rulebook import Severity
from gpu_lint.source import Location, Source

_WIDEST = 160


def render(results: Iterable[FileFindings], options: ReportOptions) -> str:
    def paint(text: str, **style: object) -> str:
        return click.style(text, **style) if options.color else text  # type: ignore[arg-type]

    blocks = []
    for result in results:
        path = printable(shown_path(result.path, options.base))
        for finding in result.findings:
            blocks.append(_block(path, result.source, finding, paint))
    return "\n".join(blocks)


def _block(path: str, source: Source, finding: Finding, paint: object) -> str:
    assert callable(paint)
    place = source.location(finding.span.start)
    color = "red" if finding.severity is Severity.ERROR else "yellow"
    head = paint(f"{finding.severity.value}[{finding.code}]", fg=color, bold=True)
    gutter = " " * len(str(place.row))
    bar = paint("|", fg="blue")
    arrow = paint("-->", fg="blue")
    out = [
        f"{head}{paint(f': {finding.name}: {finding.message}', bold=True)}",
        f"{gutter}{arrow} {path}:{place.row}:{place.column}",
    ]
    text, start, width = _excerpt(source, finding, place)
    if text.strip():
        caret = paint("^" * width, fg=color, bold=True)
        out += [
            f"{gutter} {bar}",
            f"{paint(str(place.row), fg='blue')} {bar} {text}",
            f"{gutter} {bar} {' ' * start}{caret}",
        ]
    if finding.note:
        out.append(f"{gutter} {paint('=', fg='blue')} why: {finding.note}")
    if finding.fix is not None:
        safe = finding.fix.applicability is Applicability.SAFE
        how = "fix" if safe else "unsafe fix (--unsafe-fixes)"
        out.append(f"{gutter} {paint('=', fg='blue')} {how}: {finding.fix.message}")
    return "\n".join(out) + "\n"


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
