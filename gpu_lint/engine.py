"""Runs the whole way for every file: source, facts, checks, findings, fixes.

``check``, ``fix``, the hooks and the tests all come through here.
"""

from __future__ import annotations

import ast
import os
import re
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from gpu_lint.checks import CHECKS, Companion, Context, Found, is_entry_point
from gpu_lint.codemod import fix_for
from gpu_lint.codemod.splice import Change, choose, prove, splice
from gpu_lint.discovery import Trouble
from gpu_lint.errors import ConfigError, SourceError, WriteError
from gpu_lint.facts import FileFacts, Project, Reading, SyntaxFault, read_file
from gpu_lint.facts.graph import Graph, graph_of
from gpu_lint.facts.limits import deep_recursion
from gpu_lint.facts.needles import Touch
from gpu_lint.facts.project import EVERYTHING, Matter
from gpu_lint.findings import Applicability, Finding, Fix
from gpu_lint.rulebook import Rule
from gpu_lint.settings import Settings, SettingsFinder, matches
from gpu_lint.source import Source, Span, read_bytes, read_source
from gpu_lint.suppressions import check_suppressions, read_suppressions
from gpu_lint.survey import Survey
from gpu_lint.writing import replace_file

_T = TypeVar("_T")
_MOST_PASSES = 10
_WITHOUT_POLICY = Matter(
    Touch.SETTINGS | Touch.ENVIRONMENT | Touch.DEVICES | Touch.CHILDREN | Touch.FORKS,
    Touch.FORKS,
)


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
    clean: int = 0
    """How many files more there are, in which no rule can find anything."""
    fixed: list[FixedFile] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)


@dataclass(frozen=True)
class _Read:
    file: str
    """The absolute path."""
    source: Source
    settings: Settings
    reading: Reading | None
    fault: SyntaxFault | None


class Engine:
    """Checks and fixes files under the settings that a finder finds for each."""

    def __init__(self, finder: SettingsFinder, progress: Callable[[int], None] | None = None):
        """``progress`` is told of every step done; a file takes two: reading, then the rest."""
        self.finder = finder
        self.rulebook = finder.rulebook
        self._progress = progress or (lambda count: None)

    def check(self, paths: Iterable[Path], named: Collection[Path] = ()) -> Run:
        """Check files; those that are ``named`` are read even if no rule can speak of them."""
        run = Run()
        view = self._view(paths, named, run)
        for read in view.reads.values():
            for found in self._guarded(read, run, view.findings):
                run.files.append(FileFindings(read.source, tuple(found)))
        return run

    def check_source(self, source: Source) -> FileFindings:
        """Check one source, wherever it came from. Raises :class:`SourceError`."""
        read = self._read(source)
        return FileFindings(source, tuple(_View.of(self, [read]).findings(read)))

    def fix(
        self,
        paths: Iterable[Path],
        named: Collection[Path] = (),
        *,
        unsafe: bool,
        write: bool,
    ) -> Run:
        """Fix files; with ``write`` off, only say what would change."""
        run = Run()
        view = self._view(paths, named, run)
        for fixed in _Fixing(self, view, unsafe, run).fix():
            if fixed.changed and write:
                before, after = fixed.before.source, fixed.after.source
                try:
                    replace_file(before.path, before.data, after.data)
                except WriteError as error:
                    run.troubles.append(Trouble(before.path, str(error)))
                    fixed = FixedFile(fixed.before, fixed.before, fixed.dropped)
            run.fixed.append(fixed)
            run.files.append(fixed.after)
        return run

    def fix_source(self, source: Source, *, unsafe: bool = False) -> FixedFile:
        """Fix one source in memory. Raises :class:`SourceError`."""
        read = self._read(source)
        run = Run()
        fixed = _Fixing(self, _View.of(self, [read]), unsafe, run).fix()
        for trouble in run.troubles:
            raise SourceError(trouble.message)
        return fixed[0]

    def graph(self, paths: Iterable[Path]) -> tuple[Graph, list[Trouble]]:
        """The project that files make up, at a glance; with what could not be read of it."""
        run = Run()
        paths = list(paths)
        view = self._view(paths, paths, run)
        return graph_of(view.project, view.place), run.troubles

    # --- reading -------------------------------------------------------------------------

    def _view(self, paths: Iterable[Path], named: Collection[Path], run: Run) -> _View:
        """The files as one project, of which those are read that a rule may speak of."""
        survey = Survey(self.finder, named)
        reads: dict[str, _Read] = {}
        for path in paths:
            with self._reporting(path, run):
                if (source := survey.take(path)) is not None:
                    self._keep(source, reads)
            self._progress(1)
        for source in survey.broken():
            with self._reporting(source.path, run):
                self._keep(source, reads)
        readings = [(file, read.reading) for file, read in reads.items()]
        view = _View(self, reads, survey.files_together(readings))
        for source in survey.behind_masks(view.project, reads):
            with self._reporting(source.path, run):
                self._keep(source, reads)
        run.clean = len(survey.files) - len(reads)
        return view

    def _keep(self, source: Source, reads: dict[str, _Read]) -> None:
        read = self._read(source)
        reads[read.file] = read

    @contextmanager
    def _reporting(self, path: Path, run: Run) -> Iterator[None]:
        """Whatever is wrong with a file is told of it; the run goes on."""
        try:
            with deep_recursion():
                yield
        except SourceError as error:
            run.troubles.append(Trouble(path, str(error)))
        except (ConfigError, KeyboardInterrupt):
            raise
        except Exception as error:
            run.troubles.append(Trouble(path, _internal(error)))

    def _read(self, source: Source) -> _Read:
        settings = self.finder.for_file(source.path)
        file = os.path.abspath(source.path)
        try:
            reading = read_file(source, self.rulebook.knowledge)
        except SyntaxFault as fault:
            return _Read(file, source, settings, None, _python_fault(source, fault))
        return _Read(file, source, settings, reading, None)

    def _guarded(self, read: _Read, run: Run, work: Callable[[_Read], _T]) -> Iterator[_T]:
        with self._reporting(read.source.path, run):
            yield work(read)
        self._progress(1)

    def read_beside(self, file: str) -> Reading | None:
        """The reading of a file that is not checked itself; None where it cannot be read."""
        try:
            return read_file(read_source(Path(file)), self.rulebook.knowledge)
        except (SourceError, SyntaxFault):
            return None


class _View:
    """The files of a run at one moment, as one project."""

    def __init__(
        self,
        engine: Engine,
        reads: dict[str, _Read],
        together: Iterable[str],
        before: Project | None = None,
    ) -> None:
        """``together`` are the files that make up the project, those not read included."""
        self._engine = engine
        self.reads = reads
        self.project = before or Project(
            engine.rulebook.knowledge,
            self._reading,
            together,
            data=self._data,
            is_entry_point=self._configured,
            matters=self._matters,
        )

    @classmethod
    def of(cls, engine: Engine, reads: Iterable[_Read]) -> _View:
        """Some files that were read already, and nothing else."""
        by_file = {read.file: read for read in reads}
        return cls(engine, by_file, by_file)

    def _data(self, file: str) -> bytes | None:
        read = self.reads.get(file)
        try:
            return read.source.data if read is not None else read_bytes(file)
        except SourceError:
            return None

    def _reading(self, file: str) -> Reading | None:
        read = self.reads.get(file)
        return read.reading if read is not None else self._engine.read_beside(file)

    def _configured(self, file: str) -> bool:
        read = self.reads.get(file)
        return read is not None and read.settings.is_entry_point(read.source.path)

    def _matters(self, file: str) -> Matter:
        """What rules will ask of a file: without a policy, only what a set variable decides."""
        read = self.reads.get(file)
        if read is None or read.settings.policy_for(read.source.path) is None:
            return _WITHOUT_POLICY
        return EVERYTHING

    def with_changes(self, changed: dict[str, _Read]) -> _View:
        """The same files after some have changed."""
        view = _View(self._engine, {**self.reads, **changed}, (), self.project)
        view.project = self.project.updated(
            frozenset(changed), view._reading, view._data, view._configured, view._matters
        )
        return view

    def affected_by(self, changed: Iterable[str]) -> frozenset[str]:
        """Files whose findings may differ when others change."""
        return self.project.affected_by(frozenset(changed))

    def findings(self, read: _Read) -> list[Finding]:
        """The findings of a file. Raises :class:`SourceError`."""
        source, settings = read.source, read.settings
        rules = settings.rules_for(source.path)
        if read.reading is None:
            return _syntax_finding(read, rules)
        facts = self.project.facts(read.file)
        context = Context(
            facts=facts,
            policy=settings.policy_for(source.path),
            rulebook=self._engine.rulebook,
            row=source.row,
            entry_point=is_entry_point(facts, settings.is_entry_point(source.path)),
            relevant=lambda globs: matches(list(globs), settings.relative(source.path)),
            place=self.place,
            judges=lambda span: self._judges(read.file, span),
            companions=lambda: self._companions(read.file),
            mentioned_elsewhere=self._mentioned,
        )
        kept = self._unsuppressed(read, rules, context)
        findings = [self._finding(found, source, facts, context) for found in kept]
        return sorted(findings, key=lambda finding: (finding.span, finding.code))

    def _unsuppressed(self, read: _Read, rules: dict[str, Rule], context: Context) -> list[Found]:
        assert read.reading is not None
        rulebook = self._engine.rulebook
        suppressions = read_suppressions(read.reading.comments, read.source, rulebook)
        kept: list[Found] = []
        for name in dict.fromkeys(rule.check for rule in rules.values()):
            for found in CHECKS[name](context) if name in CHECKS else ():
                if found.code not in rules:
                    continue
                rows = _rows(found.span, read.source)
                if not [s for s in suppressions if s.covers(found.code, rows)]:
                    kept.append(found)
        for found in check_suppressions(suppressions, frozenset(rules), read.source):
            if found.code in rules:
                kept.append(found)
        return kept

    def _finding(self, found: Found, source: Source, facts: FileFacts, context: Context) -> Finding:
        rule = self._engine.rulebook.rules[found.code]
        return Finding(
            code=rule.code,
            name=rule.name,
            severity=found.severity or rule.severity,
            message=found.message,
            span=found.span,
            note=found.note,
            fix=fix_for(found, source, facts, context, self._source_of),
        )

    def _source_of(self, file: str) -> Source | None:
        """The source of a file that may be edited."""
        return self.reads[file].source if file in self.reads else None

    def place(self, file: str, span: Span) -> tuple[str, int]:
        """A file's name as a message says it, and the line (from 1) of a span."""
        read = self.reads.get(file)
        shown = os.path.relpath(file) if file.startswith(os.getcwd() + os.sep) else file
        shown = shown.replace(os.sep, "/")
        if read is not None:
            return shown, read.source.row(span.start)
        try:
            return shown, read_source(Path(file)).row(span.start)
        except SourceError:
            return shown, 0

    def _mentioned(self, name: str) -> bool:
        """Whether some file of the run mentions a name."""
        word = re.compile(rb"\b" + re.escape(name).encode() + rb"\b")
        for file in self.project.files:
            data = self._data(file)
            if data is not None and word.search(data):
                reading = self.project.reading(file)
                if reading is not None and name in reading.referenced:
                    return True
        return False

    def _companions(self, file: str) -> tuple[Companion, ...]:
        """The other files of the processes that a file belongs to."""
        together: set[str] = set(self.project.closure(file))
        for start in self.project.starts_reaching(file):
            together |= self.project.closure(start)
        found = []
        for other in sorted(together - {file}):
            if self.project.reading(other) is None:
                continue
            found.append(Companion(other, self.project.facts(other), partial(self._judges, other)))
        return tuple(found)

    def _judges(self, file: str, span: Span) -> bool:
        """Whether a wrong index in a file would be found, and may be changed."""
        read = self.reads.get(file)
        if read is None or read.reading is None:
            return False
        if "GPU201" not in read.settings.rules_for(read.source.path):
            return False
        comments = read.reading.comments
        suppressions = read_suppressions(comments, read.source, self._engine.rulebook)
        rows = _rows(span, read.source)
        return not any(s.covers("GPU201", rows) for s in suppressions)


class _Fixing:
    """Applies fixes, pass after pass, to the files of a run; a group of edits goes in whole."""

    def __init__(self, engine: Engine, view: _View, unsafe: bool, run: Run) -> None:
        self._engine = engine
        self._view = view
        self._run = run
        self._least = Applicability.UNSAFE if unsafe else Applicability.SAFE
        self._refused: set[Fix] = set()
        self._inserted: set[tuple[str, str]] = set()
        """What has been inserted into which file: the same never goes in twice."""
        self._dropped: dict[str, list[str]] = {}

    def fix(self) -> list[FixedFile]:
        """Fix until nothing is left that may be fixed; what became of every file."""
        before: dict[str, FileFindings] = {}
        for read in self._view.reads.values():
            for found in self._engine._guarded(read, self._run, self._view.findings):
                before[read.file] = FileFindings(read.source, tuple(found))
        after = dict(before)
        for _ in range(_MOST_PASSES):
            changed = self._one_pass(after)
            if not changed:
                break
            self._view = self._view.with_changes(changed)
            for file in self._view.affected_by(changed) & after.keys():
                read = self._view.reads[file]
                after[file] = FileFindings(read.source, tuple(self._view.findings(read)))
        return [
            FixedFile(found, after[file], tuple(self._dropped.get(file, ())))
            for file, found in before.items()
        ]

    def _one_pass(self, findings: dict[str, FileFindings]) -> dict[str, _Read]:
        """The files that one pass changes."""
        wanted = [
            Change(file, finding.fix)
            for file, found in findings.items()
            for finding in found.findings
            if finding.fix
            and finding.fix.applicability >= self._least
            and finding.fix not in self._refused
            and all(other in findings for other, _ in finding.fix.elsewhere)
            and self._is_new(Change(file, finding.fix))
        ]
        changes = choose(wanted)
        done: dict[tuple[str, tuple[Change, ...]], _Read | str] = {}
        while changes:
            result: dict[str, _Read] = {}
            for file in {file for change in changes for file in change.files}:
                here = tuple(change for change in changes if file in change.files)
                if (file, here) not in done:
                    done[file, here] = self._apply(file, here)
                applied = done[file, here]
                if isinstance(applied, str):
                    self._give_up(file, here, applied, changes)
                    break
                result[file] = applied
            else:
                for change in changes:
                    self._inserted.update(self._insertions(change))
                return result
        return {}

    def _is_new(self, change: Change) -> bool:
        """Whether a change does not insert what an earlier pass has put there in vain."""
        if self._inserted.isdisjoint(self._insertions(change)):
            return True
        self._refused.add(change.fix)
        reason = f"{change.fix.message}: it was made once, and did not help"
        self._dropped.setdefault(change.file, []).append(reason)
        return False

    def _insertions(self, change: Change) -> Iterator[tuple[str, str]]:
        """What a change puts where there is nothing, by file; what it only moves does not count."""
        for file in change.files:
            source = self._view.reads[file].source
            edits = change.edits_in(file)
            for edit in edits:
                content = edit.content.strip()
                if content and not source.slice(edit.span).strip():
                    removed = sum(content in source.slice(other.span) for other in edits)
                    if removed < sum(content in other.content for other in edits):
                        yield file, content

    def _give_up(
        self, file: str, here: tuple[Change, ...], why: str, changes: list[Change]
    ) -> None:
        """Take back what spoils a file: all but the first change there, then that one too."""
        if len(here) > 1:
            for change in here[1:]:
                changes.remove(change)
            return
        changes.remove(here[0])
        self._refused.add(here[0].fix)
        self._dropped.setdefault(file, []).append(f"{here[0].fix.message}: {why}")

    def _apply(self, file: str, changes: tuple[Change, ...]) -> _Read | str:
        """A file after some changes, read again, or why they cannot be trusted."""
        read = self._view.reads[file]
        assert read.reading is not None
        edits = {edit for change in changes for edit in change.edits_in(file)}
        try:
            spliced = splice(read.source, edits)
            after = self._engine._read(spliced.source)
        except SourceError as error:
            return f"the result {error}"
        if after.reading is None:
            return f"the result would not parse: {after.fault}"
        return prove(read.reading, read.source, edits, spliced, after.reading) or after


def _rows(span: Span, source: Source) -> set[int]:
    """The rows on which a suppression counts: where the finding starts and where it ends."""
    return {source.row(span.start), source.row(max(span.start, span.end - 1))}


def _syntax_finding(read: _Read, rules: dict[str, Rule]) -> list[Finding]:
    if "GPU001" not in rules or read.fault is None:
        return []
    at = read.source.byte_offset(min(read.fault.character, len(read.source.text)))
    rule = rules["GPU001"]
    message = f"{read.fault}; the file was not checked"
    return [Finding(rule.code, rule.name, rule.severity, message, Span(at, at))]


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
