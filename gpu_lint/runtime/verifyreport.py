"""What ``gpu-lint verify`` tells: a document for programs, JUnit XML, tables for people."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from gpu_lint.printable import printable
from gpu_lint.reports.junit import xml_text
from gpu_lint.reports.summary import plural
from gpu_lint.reports.table import Column, table
from gpu_lint.runtime.redaction import redact
from gpu_lint.runtime.verify import Outcome, Result, Verified

SCHEMA = "gpu-lint.verify/1"
_ENTRIES = (
    Column("Entry point", least=16),
    Column("Result"),
    Column("Seconds", number=True),
    Column("Why", least=24),
)
_COUNTS = (
    Column("Files", number=True),
    Column("Entry points", number=True),
    Column("Commands", number=True),
    Column("Proved", number=True),
    Column("Share", number=True),
)


# --- for programs ----------------------------------------------------------------------------


def document(verified: Verified) -> dict[str, Any]:
    """Return the run as a JSON document of schema ``gpu-lint.verify/1``."""
    machine = verified.machine
    return {
        "schema": SCHEMA,
        "verdict": verified.verdict,
        "entries": [_entry(one) for one in verified.outcomes],
        "mode": verified.mode,
        "python": {
            "path": verified.python.path,
            "version": ".".join(map(str, verified.python.version)),
            "origin": verified.python.origin,
        },
        "files": {
            "looked_at": verified.files,
            "entry_points": verified.files - verified.without,
            "no_entry_point": verified.without,
        },
        "machine": None
        if machine is None
        else {
            "driver": machine.driver,
            "cards": [
                {"index": card.index, "uuid": card.uuid, "name": card.name, "pci": card.pci}
                for card in machine.cards
            ],
        },
        "skipped": verified.skipped,
    }


def _entry(outcome: Outcome) -> dict[str, Any]:
    return {
        "name": outcome.entry.name,
        "command": list(redact(outcome.entry.command)),
        "result": outcome.result.value,
        "seconds": round(outcome.seconds, 3),
        "touched": [one.document() for one in outcome.touched],
        "why": outcome.why,
        "exit_status": outcome.status,
        "visible": [one.document() for one in outcome.visible],
        "reasons": list(outcome.reasons),
        "limits": list(outcome.limits),
    }


def junit(verified: Verified) -> str:
    """Return the run as JUnit XML: a failure for what is violated or unproven, an error for what
    failed or took too long."""
    errors = [one for one in verified.outcomes if one.result in (Result.FAILED, Result.TIMEOUT)]
    count = len(verified.outcomes)
    numbers = {
        "tests": str(count or int(bool(verified.skipped))),
        "failures": str(count - verified.proved - len(errors)),
        "errors": str(len(errors)),
        "skipped": str(int(bool(verified.skipped))),
    }
    root = ElementTree.Element("testsuites", {"name": "gpu-lint", **numbers})
    suite = ElementTree.SubElement(root, "testsuite", {"name": "gpu-lint verify", **numbers})
    for one in verified.outcomes:
        name, why = printable(one.entry.name), printable(one.why)
        case = ElementTree.SubElement(
            suite, "testcase", name=name, classname="gpu-lint verify", time=f"{one.seconds:.3f}"
        )
        if one.result is not Result.PROVED:
            kind = "error" if one in errors else "failure"
            fault = ElementTree.SubElement(case, kind, message=why, type=one.result.value)
            fault.text = "\n".join(map(printable, one.reasons)) or why
            if one.tail:
                ElementTree.SubElement(case, "system-out").text = one.tail
    if verified.skipped:
        case = ElementTree.SubElement(
            suite, "testcase", name="gpu-lint verify", classname="gpu-lint verify"
        )
        ElementTree.SubElement(case, "skipped", message=printable(verified.skipped))
    return xml_text(root)


# --- for people ------------------------------------------------------------------------------


def lines(verified: Verified, width: int | None, directory: Path) -> Iterator[str]:
    """Yield the run in lines, with files as seen from a directory: each entry, and the counts."""
    if verified.skipped:
        yield f"Nothing was verified: {verified.skipped}."
        return
    rows = [
        (
            one.entry.name,
            one.result.value,
            f"{one.seconds:.1f}" if one.status is not None else "-",
            one.why.replace(os.path.join(directory, ""), ""),
        )
        for one in verified.outcomes
    ]
    yield from table(_ENTRIES, rows, width)
    yield ""
    counts = (
        str(verified.files),
        str(len(verified.outcomes) - verified.commands),
        str(verified.commands),
        str(verified.proved),
        verified.share,
    )
    yield from table(_COUNTS, [counts], width)
    yield ""
    yield _accounted(verified)


def _accounted(verified: Verified) -> str:
    """Return what became of all files, in one sentence."""
    tally = Counter(one.result for one in verified.outcomes)
    told = [f"{tally[result]} {result.value}" for result in Result if tally[result]]
    if verified.without:
        told.append(f"{plural(verified.without, 'file')} without an entry point")
    version = ".".join(map(str, verified.python.version))
    return f"{', '.join(told)}; with {verified.python.path} (Python {version})."


def limits(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """Return what could not be seen or ended, each line once."""
    return tuple(dict.fromkeys(line for one in outcomes for line in one.limits))
