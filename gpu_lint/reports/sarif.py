"""SARIF 2.1.0. Columns count from 1 in UTF-16 code units, as ``columnKind`` says.

Files are named relative to the root of the repository, percent-encoded from their bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gpu_lint import __version__
from gpu_lint.errors import Trouble
from gpu_lint.findings import FileFindings, Finding, Fix
from gpu_lint.reports import ReportOptions
from gpu_lint.reports.naming import path_below, to_json
from gpu_lint.rulebook import Rule, Severity
from gpu_lint.source import Source, Span

_HOME = "https://pypi.org/project/gpu-lint/"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.OFF: "note"}


def render(results: Iterable[FileFindings], options: ReportOptions) -> str:
    codes = sorted({finding.code for result in results for finding in result.findings})
    rules = [options.rulebook.rules[code] for code in codes]
    index = {code: number for number, code in enumerate(codes)}
    artifacts: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    for result in results:
        if result.findings:
            artifact = {**_artifact(result.path, options), "index": len(artifacts)}
            artifacts.append({"location": artifact, "sourceLanguage": "python"})
            entries += [
                _result(result.source, finding, index[finding.code], artifact)
                for finding in result.findings
            ]
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "gpu-lint",
                        "semanticVersion": __version__,
                        "informationUri": _HOME,
                        "rules": [_rule(rule) for rule in rules],
                    }
                },
                "invocations": [_invocation(options)],
                "columnKind": "utf16CodeUnits",
                "originalUriBaseIds": {"PROJECTROOT": {"uri": _base_uri(options.root)}},
                "artifacts": artifacts,
                "results": entries,
            }
        ],
    }
    return to_json(log)


def _invocation(options: ReportOptions) -> dict[str, Any]:
    return {
        "executionSuccessful": not options.troubles,
        "workingDirectory": {"uri": _base_uri(options.base)},
        "toolExecutionNotifications": [_notification(one, options) for one in options.troubles],
    }


def _notification(trouble: Trouble, options: ReportOptions) -> dict[str, Any]:
    place = {"physicalLocation": {"artifactLocation": _artifact(trouble.path, options)}}
    return {
        "level": "error",
        "message": {"text": f"this path {trouble.message}"},
        "locations": [place],
    }


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
    source: Source, finding: Finding, rule_index: int, artifact: dict[str, Any]
) -> dict[str, Any]:
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


def _artifact(path: Path, options: ReportOptions) -> dict[str, Any]:
    shown = path_below(path, options.root)
    if shown is None:
        return {"uri": Path(os.path.abspath(path)).as_uri()}
    return {"uri": quote(os.fsencode(shown)), "uriBaseId": "PROJECTROOT"}


def _fix(source: Source, fix: Fix, artifact: dict[str, Any]) -> dict[str, Any]:
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
