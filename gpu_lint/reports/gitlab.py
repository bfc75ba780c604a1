"""GitLab Code Quality (a subset of the Code Climate format).

Paths are relative to the root of the repository. A path that could not be checked is an entry
without a rule, ``unchecked``, on line 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from gpu_lint.findings import FileFindings
from gpu_lint.reports import ReportOptions
from gpu_lint.reports.naming import path_from, to_json
from gpu_lint.rulebook import Severity
from gpu_lint.source import Location

_UNCHECKED = "unchecked"
_TOP = Location(1, 1)


def render(results: Iterable[FileFindings], options: ReportOptions) -> str:
    entries = []
    seen: set[str] = set()

    def add(path: str, code: str, line: str, text: str, severity: str, *at: Location) -> None:
        count = 0
        while (fingerprint := _fingerprint(path, code, line, count)) in seen:
            count += 1
        seen.add(fingerprint)
        entries.append(_entry(path, code, text, severity, fingerprint, *at))

    for result in results:
        path = path_from(result.path, options.root)
        for finding in result.findings:
            start = result.source.location(finding.span.start)
            end = result.source.location(finding.span.end)
            line = result.source.line(start.row).strip()
            severity = "major" if finding.severity is Severity.ERROR else "minor"
            add(path, finding.code, line, finding.message, severity, start, end)
    for trouble in options.troubles:
        path = path_from(trouble.path, options.root)
        add(path, _UNCHECKED, "", f"this path {trouble.message}", "critical", _TOP, _TOP)
    return to_json(entries)


def _entry(
    path: str, code: str, text: str, severity: str, fingerprint: str, start: Location, end: Location
) -> dict[str, Any]:
    return {
        "check_name": code,
        "description": f"{code}: {text}",
        "severity": severity,
        "fingerprint": fingerprint,
        "location": {
            "path": path,
            "positions": {
                "begin": {"line": start.row, "column": start.column},
                "end": {"line": end.row, "column": end.column},
            },
        },
    }


def _fingerprint(path: str, code: str, line: str, count: int) -> str:
    """The same for the same fault when lines above it come and go."""
    return hashlib.sha256(
        "\0".join((path, code, line, str(count))).encode(errors="backslashreplace")
    ).hexdigest()
