"""SARIF 2.1.0. Columns count from 1 in UTF-16 code units, as ``columnKind`` says."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gpu_lint import __version__
from gpu_lint.findings import FileFindings, Finding, Fix
from gpu_lint.reports import ReportOptions, shown_path
from gpu_lint.rulebook import Rule, Severity
from gpu_lint.source import Source, Span

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.OFF: "note"}


def render(results: Iterable[FileFindings], options: ReportOptions) -> str:
    codes = sorted({finding.code for result in results for finding in result.findings})
    rules = [options.rulebook.rules[code] for code in codes]
    index = {code: number for number, code in enumerate(codes)}
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "gpu-lint",
                        "semanticVersion": __version__,
                        "rules": [_rule(rule) for rule in rules],
                    }
                },
                "columnKind": "utf16CodeUnits",
                "originalUriBaseIds": {"PROJECTROOT": {"uri": _base_uri(options.base)}},
                "results": [
                    _result(result.source, finding, index[finding.code], options)
                    for result in results
                    for finding in result.findings
                ],
            }
        ],
    }
    return json.dumps(log, indent=2) + "\n"


def _base_uri(base: Path) -> str:
    uri = base.absolute().as_uri()
    return uri if uri.endswith("/") else uri + "/"


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.what},
        "help": {"text": f"{rule.what}\n\n{rule.why}"},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(
    source: Source, finding: Finding, rule_index: int, options: ReportOptions
) -> dict[str, Any]:
    artifact = _artifact(source, options)
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": rule_index,
        "level": _LEVELS[finding.severity],
        "message": {"text": finding.message},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": artifact,
                    "region": _region(source, finding.span),
                }
            }
        ],
    }
    if finding.fix is not None and not finding.fix.elsewhere:
        result["fixes"] = [_fix(source, finding.fix, artifact)]
    return result


def _artifact(source: Source, options: ReportOptions) -> dict[str, str]:
    shown = shown_path(source.path, options.base)
    if Path(shown).is_absolute():
        return {"uri": Path(shown).as_uri()}
    return {"uri": quote(os.fsencode(shown)), "uriBaseId": "PROJECTROOT"}


def _fix(source: Source, fix: Fix, artifact: dict[str, str]) -> dict[str, Any]:
    return {
        "description": {"text": fix.message},
        "artifactChanges": [
            {
                "artifactLocation": artifact,
                "replacements": [
                    {
                        "deletedRegion": _region(source, edit.span),
                        "insertedContent": {"text": edit.content},
                    }
                    for edit in fix.edits
                ],
            }
        ],
    }


def _region(source: Source, span: Span) -> dict[str, int]:
    return {
        "startLine": source.row(span.start),
        "startColumn": source.utf16_column(span.start),
        "endLine": source.row(span.end),
        "endColumn": source.utf16_column(span.end),
    }
