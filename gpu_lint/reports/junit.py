"""JUnit XML, which most CI systems show: a test suite for each file, a failure for each finding.

A path that could not be checked is a suite of one test with an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree

from gpu_lint.findings import FileFindings
from gpu_lint.printable import printable
from gpu_lint.reports import ReportOptions, shown_path
from gpu_lint.reports.naming import utf8_name


def render(results: Iterable[FileFindings], options: ReportOptions) -> str:
    root = ElementTree.Element("testsuites", name="gpu-lint")
    total = failed = 0
    for result in results:
        path = printable(utf8_name(shown_path(result.path, options.base)))
        count = len(result.findings)
        total, failed = total + max(count, 1), failed + count
        suite = _suite(root, path, max(count, 1), failures=count)
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
    for trouble in options.troubles:
        path = printable(utf8_name(shown_path(trouble.path, options.base)))
        suite = _suite(root, path, 1, errors=1)
        case = ElementTree.SubElement(suite, "testcase", name="gpu-lint", classname=path, file=path)
        message = printable(trouble.message)
        error = ElementTree.SubElement(case, "error", message=message, type="unchecked")
        error.text = f"{path} {message}"
    root.set("tests", str(total + len(options.troubles)))
    root.set("failures", str(failed))
    root.set("errors", str(len(options.troubles)))
    return xml_text(root)


def xml_text(root: ElementTree.Element) -> str:
    """Return a document as indented text that any encoding of a log can hold."""
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        + text.encode("ascii", "xmlcharrefreplace").decode("ascii")
        + "\n"
    )


def _suite(
    root: ElementTree.Element, path: str, tests: int, failures: int = 0, errors: int = 0
) -> ElementTree.Element:
    return ElementTree.SubElement(
        root,
        "testsuite",
        name=path,
        tests=str(tests),
        failures=str(failures),
        errors=str(errors),
    )
