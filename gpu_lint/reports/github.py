"""GitHub Actions annotations."""

from __future__ import annotations

from collections.abc import Iterable

from gpu_lint.findings import FileFindings
from gpu_lint.printable import Line, Painted, text_of
from gpu_lint.reports import ReportOptions, shown_path


def render(results: Iterable[FileFindings], options: ReportOptions) -> str:
    lines: list[Line] = []
    for result in results:
        path = shown_path(result.path, options.base)
        for finding in result.findings:
            start = result.source.location(finding.span.start)
            end = result.source.location(finding.span.end)
            properties = {
                "title": f"gpu-lint ({finding.code})",
                "file": path,
                "line": str(start.row),
                "col": str(start.column),
                "endLine": str(end.row),
                "endColumn": str(end.column),
            }
            listed = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
            text = f"{path}:{start.row}:{start.column}: {finding.code} {finding.message}"
            command = Painted(f"::{finding.severity.value} ")
            lines.append((command, f"{listed}::{_data(text)}"))
    return text_of(lines)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
