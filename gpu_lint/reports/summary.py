"""What stands below the findings: counts, statistics, and the table of a migration."""

from __future__ import annotations

import difflib
from collections import Counter
from pathlib import Path

from gpu_lint.findings import Applicability, FileFindings, FixedFile
from gpu_lint.printable import printable
from gpu_lint.reports import shown_path
from gpu_lint.reports.table import Column, table
from gpu_lint.rulebook import Rulebook

_MOST_NAMED = 5
"""Files or libraries that one line names."""
_STATISTICS = (
    Column("", number=True),
    Column(""),
    Column(""),
    Column("", least=8),
)
_MIGRATION = (
    Column("code"),
    Column("rule", least=8),
    Column("files", number=True),
    Column("before", number=True),
    Column("fixed", number=True),
    Column("left", number=True),
)


def count_line(results: list[FileFindings], clean: int = 0, troubled: int = 0) -> str:
    """Return what was found, in one line; ``clean`` more files have no findings, and ``troubled``
    paths could not be checked; nor is a file with a syntax error.

    ``3 findings in 2 files (40 checked). [*] 2 fixable with `gpu-lint fix`, 1 more with
    `--unsafe-fixes`.``
    """
    findings = [finding for result in results for finding in result.findings]
    files = sum(1 for result in results if result.findings)
    checked = len(results) + clean - sum(result.is_broken for result in results)
    failed = f"; {plural(troubled, 'path')} could not be read" if troubled else ""
    if not findings:
        if troubled:
            return f"{plural(checked, 'file')} checked{failed}."
        if any(result.in_part or result.libraries or result.is_broken for result in results):
            return f"No findings in {plural(checked, 'file')} checked."
        return f"All clear: {plural(checked, 'file')} checked."
    safe = sum(1 for f in findings if f.fix and f.fix.applicability is Applicability.SAFE)
    unsafe = sum(1 for f in findings if f.fix) - safe
    fixes = ""
    if safe and unsafe:
        fixes = f" [*] {safe} fixable with `gpu-lint fix`, {unsafe} more with `--unsafe-fixes`."
    elif safe:
        fixes = f" [*] {safe} fixable with `gpu-lint fix`."
    elif unsafe:
        fixes = f" {unsafe} fixable with `gpu-lint fix --unsafe-fixes`."
    found = f"{plural(len(findings), 'finding')} in {plural(files, 'file')}"
    return f"{found} ({checked} checked{failed}).{fixes}"


def left_open(results: list[FileFindings], base: Path) -> str:
    """Return a line that names the programs of which not everything is known, by their paths
    below a directory; empty if there are none."""
    names = [printable(shown_path(result.path, base)) for result in results if result.in_part]
    if not names:
        return ""
    named = _named(names)
    return f"Not followed to the end: {named}; what they do after many thousand calls is not known."


def not_parsed(results: list[FileFindings], base: Path) -> str:
    """Return a line that names the files with a syntax error that no finding tells of, by their
    paths below a directory; empty if there are none."""
    names = [
        printable(shown_path(result.path, base))
        for result in results
        if result.is_broken and not result.findings
    ]
    return f"Not checked, for a syntax error: {_named(names)}." if names else ""


def not_described(results: list[FileFindings]) -> str:
    """Return a line that names the GPU libraries whose calls no table describes; empty if there are
    none."""
    names = _libraries(results)
    if not names:
        return ""
    return f"Described by no table: {_named(names)}; which GPU their calls use is not known."


def _libraries(results: list[FileFindings]) -> list[str]:
    return sorted({name for result in results for name in result.libraries})


def _named(names: list[str]) -> str:
    """The first few of some names, and how many more there are."""
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def plural(number: int, word: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def statistics(results: list[FileFindings], rulebook: Rulebook, width: int | None = None) -> str:
    """Return the findings per rule, the most frequent first, for a terminal of ``width`` cells."""
    counts = Counter(finding.code for result in results for finding in result.findings)
    fixable = Counter(
        finding.code
        for result in results
        for finding in result.findings
        if finding.fix and finding.fix.applicability is Applicability.SAFE
    )
    rows = []
    for code, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        mark = "*" if fixable[code] == count else "-" if fixable[code] else " "
        rows.append((str(count), code, f"[{mark}]", rulebook.rules[code].name))
    lines = list(table(_STATISTICS, rows, width))
    if in_part := sum(result.in_part for result in results):
        lines.append(
            f"{plural(in_part, 'program')} followed in part: "
            "what they call after many thousand statements is not known"
        )
    if libraries := len(_libraries(results)):
        ending = "y" if libraries == 1 else "ies"
        lines.append(
            f"{libraries} GPU librar{ending} described by no table: "
            "which GPU their calls use is not known"
        )
    return "".join(f"{line}\n" for line in lines)


def diff(fixed: FixedFile, base: Path) -> str:
    """A unified diff of what fixing changes; lines end as the file's do."""
    path = printable(shown_path(fixed.before.path, base))
    old = fixed.before.source.text.splitlines(keepends=True)
    new = fixed.after.source.text.splitlines(keepends=True)
    out = []
    for line in difflib.unified_diff(old, new, "/dev/null" if fixed.is_new else path, path):
        out.append(
            line if line.endswith(("\n", "\r")) else line + "\n\\ No newline at end of file\n"
        )
    return "".join(out)


def migration(fixed: list[FixedFile], rulebook: Rulebook, width: int | None = None) -> list[str]:
    """Return the lines of a table: per rule the files, the findings before, fixed and left; then
    the totals."""
    before = Counter(f.code for file in fixed for f in file.before.findings)
    after = Counter(f.code for file in fixed for f in file.after.findings)
    rows: list[tuple[str, ...]] = []
    for code in sorted(before.keys() | after.keys()):
        files = sum(1 for file in fixed if any(f.code == code for f in file.before.findings))
        done, left = before[code] - after[code], after[code]
        name = rulebook.rules[code].name
        rows.append((code, name, str(files), str(before[code]), str(max(done, 0)), str(left)))
    changed = sum(1 for file in fixed if file.changed)
    total, left = sum(before.values()), sum(after.values())
    rows.append(("", "all rules", str(changed), str(total), str(max(total - left, 0)), str(left)))
    return table(_MIGRATION, rows, width)
