"""Holds the quick parser against LibCST on every file that ``bench/run.py`` has fetched.

    .bench/bin/python bench/compare.py [WHEEL ...]

reads each file both ways, as a project of its own and under a strict policy, and compares its
facts, findings and fixes. Prints the files that differ; ends with 1 if there are any.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from run import CORPUS, WHEELS, fetch

from gpu_lint.errors import SourceError, SyntaxFault
from gpu_lint.facts.reading import Reading, read_file
from gpu_lint.findings import Finding
from gpu_lint.judging import Read, View
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import SettingsFinder
from gpu_lint.source import read_source
from gpu_lint.work import chunks_of
from gpu_lint.workers import Workers


@dataclass(frozen=True)
class Comparing:
    """Work: where the two ways differ on a file; empty if they do not."""

    policy: str

    def start(self) -> Callable[[str], str]:
        gc.enable()  # every file makes a project here, full of cycles
        finder = SettingsFinder(load_rulebook(), config_file=Path(self.policy))
        knowledge = finder.rulebook.knowledge

        def outcome(file: str, reading: Reading) -> tuple[dict[str, object], list[Finding]]:
            read = Read(file, Path(file), finder)
            read.source, read.reading = reading.source, reading
            view = View.of(finder, [read])
            findings = view.findings(read)
            facts = view.project.facts(file)
            names = [field.name for field in fields(facts) if field.name != "reading"]
            return {name: getattr(facts, name) for name in names}, findings

        def compare(file: str) -> str:
            source = read_source(Path(file))
            try:
                quick = read_file(source, knowledge)
                reference = read_file(source, knowledge, reference=True)
            except (SyntaxFault, SourceError):
                return ""
            if quick.comments != reference.comments or quick.layout != reference.layout:
                return "comments or layout"
            one, other = outcome(file, quick), outcome(file, reference)
            if one[0] != other[0]:
                return "facts: " + ", ".join(n for n in one[0] if one[0][n] != other[0][n])
            return "" if one[1] == other[1] else "findings or fixes"

        return compare


def main() -> int:
    fetch()
    names = sys.argv[1:] or list(WHEELS)
    files = sorted(str(path) for name in names for path in (CORPUS / name).rglob("*.py"))
    chunks = chunks_of(((file, 1) for file in files), 8, 2_000)
    differing = 0
    with Workers(os.cpu_count() or 1) as workers:
        for file, answer in workers.each(Comparing(str(CORPUS / "policy.toml")), chunks):
            if answer:
                differing += 1
                print(file, answer, flush=True)
    print(f"{len(files)} files compared, {differing} differ")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
