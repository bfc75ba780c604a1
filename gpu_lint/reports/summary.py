"""What stands below the findings: counts, statistics, and the table of a migration."""

from __future__ import annotations

import difflib
from collections import Counter
from pathlib import Path

from gpu_lint.findings import Applicability, FileFindings, FixedFile
from gpu_lint.printable import printable
from gpu_lint.reports import shown_path
from gpu_lint.rulebook import Rulebook


def count_line(results: list[FileFindings], clean: int = 0, troubled: int = 0) -> str:
    """What was found, in one line; ``clean`` more files have nothing that could be found, and
    ``troubled`` paths could not be dealt with.

    ``Found 3 findings in 2 of 40 files (2 with a safe fix, 1 with an unsafe one).``
    """
    findings = [finding for result in results for finding in result.findings]
    files = sum(1 for result in results if result.findings)
    if not findings:
        checked = f"{plural(len(results) + clean, 'file')} checked"
        if troubled:
            return f"Found nothing in {checked}; {plural(troubled, 'path')} could not be."
        return f"All clear: {checked}."
    safe = sum(1 for f in findings if f.fix and f.fix.applicability is Applicability.SAFE)
    unsafe = sum(1 for f in findings if f.fix) - safe
    fixes = f"{safe} with a safe fix, {unsafe} with an unsafe one"
    return (
        f"Found {plural(len(findings), 'finding')} in {files} of "
        f"{plural(len(results) + clean, 'file')} ({fixes})."
    )


def plural(number: int, word: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def statistics(results: list[FileFindings], rulebook: Rulebook) -> str:
    """Findings per rule, the most frequent first."""
    counts = Counter(finding.code for result in results for finding in result.findings)
    fixable = Counter(
        finding.code
        for result in results
        for finding in result.findings
        if finding.fix and finding.fix.applicability is Applicability.SAFE
    )
    lines = []
    for code, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        mark = "*" if fixable[code] == count else "-" if fixable[code] else " "
        lines.append(f"{count:6}  {code}  [{mark}]  {rulebook.rules[code].name}\n")
    return "".join(lines)


def diff(fixed: FixedFile, base: Path) -> str:
    """A unified diff of what fixing changes; lines end as the file's do."""
    path = printable(shown_path(fixed.before.path, base))
    old = fixed.before.source.text.splitlines(keepends=True)
    new = fixed.after.source.text.splitlines(keepends=True)
    out = []
    for line in difflib.unified_diff(old, new, path, path):
        out.append(
            line if line.endswith(("\n", "\r")) else line + "\n\\ No newline at end of file\n"
        )
    return "".join(out)


def migration_rows(fixed: list[FixedFile], rulebook: Rulebook) -> list[tuple[str, ...]]:
    """Per rule: code, name, files, findings before, fixed, left; then the totals."""
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
    return rows
