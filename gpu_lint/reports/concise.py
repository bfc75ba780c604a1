"""One line per finding: ``path:row:column: CODE message``."""

from __future__ import annotations

from collections.abc import Iterable

from gpu_lint.findings import FileFindings
from gpu_lint.printable import text_of
from gpu_lint.reports import ReportOptions, shown_path


def render(results: Iterable[FileFindings], options: ReportOptions) -> str:
    lines = []
    for result in results:
        path = shown_path(result.path, options.base)
        for finding in result.findings:
            place = result.source.location(finding.span.start)
            mark = ""
            if finding.fix is not None:
                mark = "[*] " if finding.fix.applicability else "[unsafe fix] "
            lines.append(
                f"{path}:{place.row}:{place.column}: {finding.code} {mark}{finding.message}"
            )
    return text_of(lines)
