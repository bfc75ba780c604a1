"""JUnit XML, which most CI systems show: a test suite for each file, a failure for each finding."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree

from gpu_lint.findings import FileFindings
from gpu_lint.printable import printable
from gpu_lint.reports import ReportOptions, shown_path


def render(results: Iterable[FileFindings], options: ReportOptions) -> str:
    root = ElementTree.Element("testsuites", name="gpu-lint")
    total = failed = 0
    for result in results:
        path = printable(shown_path(result.path, options.base))
        count = len(result.findings)
        total, failed = total + max(count, 1), failed + count
        suite = ElementTree.SubElement(
            root, "testsuite", name=path, tests=str(max(count, 1)), failures=str(count), errors="0"
        )
        if not count:
            ElementTree.SubElement(suite, "testcase", name="gpu-lint", classname=path)
        for finding in result.findings:
            start = result.source.location(finding.span.start)
            case = ElementTree.SubElement(
                suite,
                "testcase",
                name=f"{finding.code} {finding.name}",
                classname=path,
                file=path,
                line=str(start.row),
            )
            message = printable(finding.message)
            failure = ElementTree.SubElement(
                case, "failure", message=message, type=finding.severity.value
            )
            failure.text = f"{path}:{start.row}:{start.column}: {finding.code} {message}"
    root.set("tests", str(total))
    root.set("failures", str(failed))
    ElementTree.indent(root)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        + ElementTree.tostring(root, encoding="unicode")
        + "\n"
    )
