"""JSON with ruff's field names, plus ``name``, ``severity`` and ``undescribed_libraries``: GPU
libraries that the file brings in, and which GPU their calls use is not known.

``url`` is null: a rule's page is what ``gpu-lint rule CODE`` prints.

Rows and columns count from 1, columns in characters.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gpu_lint.findings import FileFindings, Finding, Fix
from gpu_lint.reports import ReportOptions
from gpu_lint.reports.naming import to_json, utf8_name
from gpu_lint.source import Source


def render(results: Iterable[FileFindings], options: ReportOptions) -> str:
    entries = [_entry(result, finding) for result in results for finding in result.findings]
    return to_json(entries)


def _entry(result: FileFindings, finding: Finding) -> dict[str, Any]:
    source = result.source
    return {
        "cell": None,
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity.value,
        "message": finding.message,
        "filename": utf8_name(str(source.path.absolute())),
        "location": _place(source, finding.span.start),
        "end_location": _place(source, finding.span.end),
        "fix": _fix(source, finding.fix) if finding.fix else None,
        "noqa_row": source.row(finding.span.start),
        "undescribed_libraries": list(result.libraries),
        "url": None,
    }


def _fix(source: Source, fix: Fix) -> dict[str, Any]:
    part = "display"  # the rest of it is in other files: an editor must not apply this alone
    return {
        "applicability": part if fix.elsewhere else fix.applicability.name.lower(),
        "message": fix.message,
        "edits": [
            {
                "content": edit.content,
                "location": _place(source, edit.span.start),
                "end_location": _place(source, edit.span.end),
            }
            for edit in fix.edits
        ],
    }


def _place(source: Source, offset: int) -> dict[str, int]:
    place = source.location(offset)
    return {"row": place.row, "column": place.column}
