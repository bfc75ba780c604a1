"""Holds the quick parser against LibCST on every file that ``bench/run.py`` has fetched.

    .bench/bin/python bench/compare.py [WHEEL ...]

reads each file both ways and compares all that facts are told from; then checks each wheel as a
whole both ways, under a strict policy, and compares findings and fixes. Prints what differs; ends
with 1 if anything does.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from unittest import mock

from run import CORPUS, WHEELS, fetch

from gpu_lint import judging, reads
from gpu_lint.engine import Engine
from gpu_lint.errors import SourceError, SyntaxFault
from gpu_lint.facts.knowledge import Knowledge
from gpu_lint.facts.limits import Limits
from gpu_lint.facts.reading import Reading, read_file
from gpu_lint.findings import Finding
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import SettingsFinder
from gpu_lint.source import Source, read_source
from gpu_lint.work import chunks_of
from gpu_lint.workers import Workers

sys.path.append(str(Path(__file__).parents[1]))

from tests.agreement import disagreement


@dataclass(frozen=True)
class Comparing:
    """Work: where the two ways of reading a file differ; empty if they do not."""

    def start(self) -> Callable[[str], str]:
        warnings.simplefilter("ignore")
        knowledge = load_rulebook().knowledge

        def compare(file: str) -> str:
            try:
                return disagreement(read_source(Path(file)), knowledge)
            except (SyntaxFault, SourceError) as error:
                return "" if isinstance(error, SourceError) else f"one finds no fault: {error}"

        return compare


def by_libcst(source: Source, knowledge: Knowledge, limits: Limits) -> Reading:
    return read_file(source, knowledge, limits, reference=True)


def findings_of(name: str) -> list[tuple[Path, tuple[Finding, ...]]]:
    """The findings of a wheel, checked as a whole in this process."""
    finder = SettingsFinder(load_rulebook(), config_file=CORPUS / "policy.toml")
    files = sorted((CORPUS / name).rglob("*.py"))
    return [(one.path, one.findings) for one in Engine(finder).check(files).files]


def compare_findings(name: str) -> bool:
    """Whether a wheel has the same findings, fixes included, either way."""
    start = perf_counter()
    quick = findings_of(name)
    with (
        mock.patch.object(reads, "read_file", by_libcst),
        mock.patch.object(judging, "read_outline", return_value=None),
        mock.patch.object(judging, "read_heads", return_value=None),
    ):
        reference = findings_of(name)
    count = sum(len(findings) for _, findings in quick)
    for one, other in zip(quick, reference, strict=False):
        if one != other:
            print(one[0], "findings or fixes differ", flush=True)
    print(f"{name}: {count} findings, {perf_counter() - start:.0f} s", flush=True)
    return quick == reference


def main() -> int:
    fetch()
    names = sys.argv[1:] or list(WHEELS)
    files = sorted(str(path) for name in names for path in (CORPUS / name).rglob("*.py"))
    chunks = chunks_of(((file, 1) for file in files), 8, 2_000)
    differing = 0
    with Workers(os.cpu_count() or 1) as workers:
        for file, answer in workers.each(Comparing(), chunks):
            if answer:
                differing += 1
                print(file, answer, flush=True)
    print(f"{len(files)} files read both ways, {differing} differ", flush=True)
    same = [compare_findings(name) for name in names]
    return 0 if all(same) and not differing else 1


if __name__ == "__main__":
    import compare

    sys.exit(compare.main())  # workers find the work by its module's name
