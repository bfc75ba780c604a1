"""GitLab Code Quality (a subset of the Code Climate format)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from gpu_lint.findings import FileFindings
from gpu_lint.reports import ReportOptions, shown_path
from gpu_lint.rulebook import Severity


def render(results: Iterable[FileFindings], options: ReportOptions) -> str:
    entries = []
    seen: set[str] = set()
    for result in results:
        path = shown_path(result.path, options.base)
        for finding in result.findings:
            start = result.source.location(finding.span.start)
            end = result.source.location(finding.span.end)
            line = result.source.line(start.row).strip()
            fingerprint = _fingerprint(path, finding.code, line, 0)
            count = 0
            while fingerprint in seen:
                count += 1
                fingerprint = _fingerprint(path, finding.code, line, count)
            seen.add(fingerprint)
            entries.append(
                {
                    "check_name": finding.code,
                    "description": f"{finding.code}: {finding.message}",
                    "severity": "major" if finding.severity is Severity.ERROR else "minor",
                    "fingerprint": fingerprint,
                    "location": {
                        "path": path,
                        "positions": {
                            "begin": {"line": start.row, "column": start.column},
                            "end": {"line": end.row, "column": end.column},
                        },
                    },
                }
            )
    return json.dumps(entries, indent=2) + "\n"


def _fingerprint(path: str, code: str, line: str, count: int) -> str:
    """The same for the same fault when lines above it come and go."""
    return hashlib.sha256(
        "\0".join((path, code, line, str(count))).encode(errors="backslashreplace")
    ).hexdigest()
