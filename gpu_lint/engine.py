"""Runs the whole way for every file: source, facts, checks, findings, fixes.

``check``, ``fix``, the hooks and the tests all come through here.
"""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from gpu_lint.checks import CHECKS, Context, Found, is_entry_point
from gpu_lint.codemod import fix_for
from gpu_lint.codemod.splice import choose, prove, splice
from gpu_lint.discovery import Trouble
from gpu_lint.errors import ConfigError, SourceError, WriteError
from gpu_lint.facts import FileFacts, SyntaxFault, read_facts
from gpu_lint.findings import Applicability, Finding, Fix
from gpu_lint.rulebook import Rule
from gpu_lint.settings import Settings, SettingsFinder, matches
from gpu_lint.source import Source, Span, read_source
from gpu_lint.suppressions import check_suppressions, read_suppressions
from gpu_lint.writing import replace_file

_T = TypeVar("_T")
_MOST_PASSES = 10


@dataclass(frozen=True)
class FileFindings:
    """The findings of one file, with the source that their spans refer to."""

    source: Source
    findings: tuple[Finding, ...]

    @property
    def path(self) -> Path:
        return self.source.path


@dataclass(frozen=True)
class FixedFile:
    """What fixing made of one file."""

    before: FileFindings
    after: FileFindings
    dropped: tuple[str, ...] = ()
    """Fixes that were not applied because they could not be proved harmless, and why."""

    @property
    def changed(self) -> bool:
        return self.before.source.data != self.after.source.data


@dataclass
class Run:
    """The outcome of a run: results per file, and the paths that could not be dealt with."""

    files: list[FileFindings] = field(default_factory=list)
    fixed: list[FixedFile] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)


@dataclass(frozen=True)
class _Read:
    source: Source
    settings: Settings
    facts: FileFacts | None
    fault: SyntaxFault | None


class Engine:
    """Checks and fixes files under the settings that a finder finds for each."""

    def __init__(self, finder: SettingsFinder, progress: Callable[[int], None] | None = None):
        """``progress`` is told of every step done; a file takes two: reading, then the rest."""
        self.finder = finder
        self.rulebook = finder.rulebook
        self._progress = progress or (lambda count: None)

    def check(self, paths: Iterable[Path]) -> Run:
        """Check files."""
        run = Run()
        reads = list(self._read_all(paths, run))
        mentioned = _mentioned(reads)
        for read in reads:
            for result in self._guarded(read, run, lambda r: self._findings(r, mentioned)):
                run.files.append(FileFindings(read.source, tuple(result)))
        return run

    def check_source(self, source: Source) -> FileFindings:
        """Check one source, wherever it came from. Raises :class:`SourceError`."""
        read = self._read(source)
        return FileFindings(source, tuple(self._findings(read, _mentioned([read]))))

    def fix(self, paths: Iterable[Path], *, unsafe: bool, write: bool) -> Run:
        """Fix files; with ``write`` off, only say what would change."""
        run = Run()
        reads = list(self._read_all(paths, run))
        mentioned = _mentioned(reads)
        for read in reads:
            for fixed in self._guarded(read, run, lambda r: self._fix(r, unsafe, mentioned)):
                if fixed.changed and write:
                    try:
                        replace_file(read.source.path, read.source.data, fixed.after.source.data)
                    except WriteError as error:
                        run.troubles.append(Trouble(read.source.path, str(error)))
                        fixed = FixedFile(fixed.before, fixed.before, fixed.dropped)
                run.fixed.append(fixed)
                run.files.append(fixed.after)
        return run

    def fix_source(self, source: Source, *, unsafe: bool = False) -> FixedFile:
        """Fix one source in memory. Raises :class:`SourceError`."""
        read = self._read(source)
        return self._fix(read, unsafe, _mentioned([read]))

    # --- reading -------------------------------------------------------------------------

    def _read_all(self, paths: Iterable[Path], run: Run) -> Iterator[_Read]:
        for path in paths:
            try:
                yield self._read(read_source(path))
            except SourceError as error:
                run.troubles.append(Trouble(path, str(error)))
            except (ConfigError, KeyboardInterrupt):
                raise
            except Exception as error:
                run.troubles.append(Trouble(path, _internal(error)))
            self._progress(1)

    def _read(self, source: Source) -> _Read:
        settings = self.finder.for_file(source.path)
        try:
            facts = read_facts(source, self.rulebook.knowledge)
        except SyntaxFault as fault:
            return _Read(source, settings, None, _python_fault(source, fault))
        return _Read(source, settings, facts, None)

    def _guarded(self, read: _Read, run: Run, work: Callable[[_Read], _T]) -> Iterator[_T]:
        try:
            yield work(read)
        except SourceError as error:
            run.troubles.append(Trouble(read.source.path, str(error)))
        except (ConfigError, KeyboardInterrupt):
            raise
        except Exception as error:
            run.troubles.append(Trouble(read.source.path, _internal(error)))
        self._progress(1)

    # --- checking ------------------------------------------------------------------------

    def _findings(self, read: _Read, mentioned: frozenset[str]) -> list[Finding]:
        source, settings = read.source, read.settings
        rules = settings.rules_for(source.path)
        if read.facts is None:
            return self._syntax_finding(read, rules)
        facts = read.facts
        context = Context(
            facts=facts,
            policy=settings.policy_for(source.path),
            rulebook=self.rulebook,
            row=source.row,
            entry_point=is_entry_point(facts, settings.is_entry_point(source.path)),
            relevant=lambda globs: matches(list(globs), settings.relative(source.path)),
            mentioned_elsewhere=mentioned,
        )
        suppressions = read_suppressions(facts.comments, source, self.rulebook)
        checks = dict.fromkeys(rule.check for rule in rules.values())
        kept: list[Found] = []
        for name in checks:
            if name not in CHECKS:
                continue
            for found in CHECKS[name](context):
                if found.code not in rules:
                    continue
                rows = self._rows(found.span, source)
                if not [s for s in suppressions if s.covers(found.code, rows)]:
                    kept.append(found)
        enabled = frozenset(rules)
        for found in check_suppressions(suppressions, enabled, source):
            if found.code in rules:
                kept.append(found)
        findings = [self._finding(found, source, facts, context) for found in kept]
        return sorted(findings, key=lambda finding: (finding.span, finding.code))

    def _rows(self, span: Span, source: Source) -> set[int]:
        """The rows on which a suppression counts: where the finding starts and where it ends."""
        return {source.row(span.start), source.row(max(span.start, span.end - 1))}

    def _syntax_finding(self, read: _Read, rules: dict[str, Rule]) -> list[Finding]:
        if "GPU001" not in rules or read.fault is None:
            return []
        at = read.source.byte_offset(min(read.fault.character, len(read.source.text)))
        rule = rules["GPU001"]
        message = f"{read.fault}; the file was not checked"
        return [Finding(rule.code, rule.name, rule.severity, message, Span(at, at))]

    def _finding(self, found: Found, source: Source, facts: FileFacts, context: Context) -> Finding:
        rule = self.rulebook.rules[found.code]
        return Finding(
            code=rule.code,
            name=rule.name,
            severity=found.severity or rule.severity,
            message=found.message,
            span=found.span,
            note=found.note,
            fix=fix_for(found, source, facts, context),
        )

    # --- fixing --------------------------------------------------------------------------

    def _fix(self, read: _Read, unsafe: bool, mentioned: frozenset[str]) -> FixedFile:
        before = FileFindings(read.source, tuple(self._findings(read, mentioned)))
        current, result = read, before
        dropped: list[str] = []
        refused: set[Fix] = set()
        for _ in range(_MOST_PASSES):
            least = Applicability.UNSAFE if unsafe else Applicability.SAFE
            wanted = [
                finding.fix
                for finding in result.findings
                if finding.fix and finding.fix.applicability >= least
            ]
            fixes = choose(fix for fix in wanted if fix not in refused)
            if not fixes or current.facts is None:
                break
            spliced, why = self._apply(current, fixes)
            if why and len(fixes) > 1:
                fixes = fixes[:1]
                spliced, why = self._apply(current, fixes)
            if why:
                refused.add(fixes[0])
                dropped.append(f"{fixes[0].message}: {why}")
                continue
            assert spliced is not None
            current = spliced
            findings = self._findings(current, mentioned)
            result = FileFindings(current.source, tuple(findings))
        return FixedFile(before, result, tuple(dropped))

    def _apply(self, read: _Read, fixes: list[Fix]) -> tuple[_Read | None, str]:
        """The file after some fixes, read again, or why they cannot be trusted."""
        assert read.facts is not None
        try:
            spliced = splice(read.source, fixes)
            after = self._read(spliced.source)
        except SourceError as error:
            return None, f"the result {error}"
        if after.facts is None:
            return None, f"the result would not parse: {after.fault}"
        return after, prove(read.facts, read.source, fixes, spliced, after.facts)


def _mentioned(reads: Iterable[_Read]) -> frozenset[str]:
    """Every name that some file of the run mentions."""
    names: set[str] = set()
    for read in reads:
        if read.facts is not None:
            names |= read.facts.referenced
    return frozenset(names)


def _python_fault(source: Source, fault: SyntaxFault) -> SyntaxFault:
    """The fault in Python's own words.

    Raises :class:`SourceError` where Python has no objection: then it is our parser that does
    not know the syntax, and the file is no worse for it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source.text)
    except SyntaxError as error:
        lines = source.text.splitlines(keepends=True)
        row = min(max(error.lineno or 1, 1), max(len(lines), 1))
        column = max((error.offset or 1) - 1, 0)
        before = sum(map(len, lines[: row - 1]))
        return SyntaxFault(f"syntax error: {error.msg}", min(before + column, len(source.text)))
    except (ValueError, RecursionError, MemoryError):
        return fault
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    raise SourceError(
        f"is valid Python {version} that the parser cannot read ({fault}); it was not checked"
    )


def _internal(error: Exception) -> str:
    return (
        f"could not be checked: internal error ({type(error).__name__}: {error}); "
        "please report it with the file"
    )
