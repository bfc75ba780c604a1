"""GitHub Actions annotations; paths are relative to the root of the repository."""

from __future__ import annotations

from collections.abc import Iterable

from gpu_lint.findings import FileFindings
from gpu_lint.printable import Line, Painted, text_of
from gpu_lint.reports import ReportOptions
from gpu_lint.reports.naming import path_from


def render(results: Iterable[FileFindings], options: ReportOptions) -> str:
    lines: list[Line] = []
    for result in results:
        path = path_from(result.path, options.root)
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
            text = f"{path}:{start.row}:{start.column}: {finding.code} {finding.message}"
            lines.append(_command(finding.severity.value, properties, text))
    for trouble in options.troubles:
        path = path_from(trouble.path, options.root)
        properties = {"title": "gpu-lint", "file": path}
        lines.append(_command("error", properties, f"{path} {trouble.message}"))
    return text_of(lines)


def _command(name: str, properties: dict[str, str], text: str) -> Line:
    listed = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return Painted(f"::{name} "), f"{listed}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
