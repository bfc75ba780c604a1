"""The files of a run at one moment, as one project: facts, checks, findings."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from gpu_lint.checks import CHECKS, Check, Companion, Context, Found
from gpu_lint.checks.fitness import misfits
from gpu_lint.errors import SourceError
from gpu_lint.facts.demands import Standing
from gpu_lint.facts.importgraph import ImportGraph
from gpu_lint.facts.imports import Imports
from gpu_lint.facts.model import FunctionFacts
from gpu_lint.facts.program import Function
from gpu_lint.facts.project import Project
from gpu_lint.facts.reading import Reading, read_heads, read_outline
from gpu_lint.facts.touch import Touch
from gpu_lint.findings import Applicability, Finding, Fix, Judged
from gpu_lint.globs import matches
from gpu_lint.headers import SettledHeaders
from gpu_lint.notes import Note
from gpu_lint.outcome import OF_VALIDATION
from gpu_lint.policy import Policy
from gpu_lint.policymodules import PolicyModules
from gpu_lint.provenance import generated
from gpu_lint.reads import Read, read_beside
from gpu_lint.relevance import Relevance, Why
from gpu_lint.rulebook import Rule
from gpu_lint.scripts import Call, DeclaredScripts
from gpu_lint.settings import SettingsFinder
from gpu_lint.source import Source, Span, read_bytes, read_source
from gpu_lint.suppressions import (
    ByRow,
    check_intended,
    check_suppressions,
    read_suppressions,
)
from gpu_lint.variables import MASK

_OF_A_RUN = 5_000
"""Microseconds that the run of a program takes, about, beside one for each byte of it."""
_RUN_OF_IMPORTS = 8
"""Bytes of all that a program imports that are run in a microsecond, where it is run with them."""
_LONGEST_TRIAL = 10_000_000
"""Microseconds that a trial of fixes takes at most, about; where it would take longer, fixes are
told to be safe by what they change."""


class View:
    """The files of a run at one moment, as one project."""

    def __init__(
        self,
        finder: SettingsFinder,
        reads: dict[str, Read],
        together: Iterable[str],
        graph: ImportGraph | None = None,
        note: Callable[[str], Note | None] = lambda file: None,
        outlined: frozenset[str] = frozenset(),
        scripts: DeclaredScripts | None = None,
        for_people: bool = False,
    ) -> None:
        """``together`` are the files that make up the project, those not read included;
        ``graph`` is what was found out of them before, ``note`` what is kept of each;
        ``outlined`` are those of which no more need be read than what something depends on;
        ``scripts`` are the commands that were found before; with ``for_people`` every file is
        run, also where no rule asks."""
        self._finder = finder
        scripts = scripts or DeclaredScripts(finder.top_of)
        self.relevance = Relevance(finder, reads, scripts, for_people=for_people)
        self.outlined = outlined
        self._note = note
        self.reads = reads
        self._checked: tuple[dict[str, Rule] | None, tuple[Check, ...]] = (None, ())
        self._on_trial: frozenset[str] | None = None
        self._silenced: tuple[Reading, ByRow] | None = None
        """The suppressions of the file that was asked for last."""
        imports = Imports(finder.rulebook.knowledge, home=str(finder.root))
        for read in reads.values():
            if read.is_new:
                imports.expect(read.file)
        self.project = Project(
            finder.rulebook.knowledge,
            self._reading,
            together,
            data=self.data,
            note=note,
            imports=imports,
            demands=self.relevance,
            outline=self._outline,
            header=SettledHeaders(self._policies(), finder.rulebook).span_in,
        )
        if graph is not None:
            self.project.adopt(graph)
        self.policy_modules = PolicyModules(self.project, self.relevance, reads)

    @classmethod
    def of(cls, finder: SettingsFinder, reads: Iterable[Read]) -> View:
        """Some files that were read already, and nothing else."""
        by_file = {read.file: read for read in reads}
        return cls(finder, by_file, by_file)

    def data(self, file: str) -> bytes | None:
        """The content of any file; None where it cannot be read."""
        read = self.reads.get(file)
        try:
            return read.source.data if read is not None else read_bytes(file)
        except SourceError:
            return None

    def _reading(self, file: str) -> Reading | None:
        read = self.reads.get(file)
        if read is None:
            return read_beside(file, self._finder)
        try:
            if file in self.outlined:
                limits, knowledge = read.settings.limits, self._finder.rulebook.knowledge
                if (reading := read_heads(read.source, knowledge, limits)) is not None:
                    return reading
            return read.reading
        except SourceError:
            return None

    def _policies(self) -> Iterator[Policy | None]:
        return (read.settings.policy_for(read.path) for read in self.reads.values())

    def _outline(self, file: str) -> Reading | None:
        skimmed = self.project.skimmed(file) if file in self.outlined else None
        if skimmed is None:
            return None
        knowledge = self._finder.rulebook.knowledge
        read = self.reads[file]
        limits = read.settings.limits
        header_alone = skimmed.guard is False and not self.relevance.may_need_validator(
            file, self.project
        )
        return read_outline(
            read.source,
            knowledge,
            limits,
            skimmed,
            header_alone=header_alone,
            meant_for_us=bool(self.project.touch(file) & Touch.COMMENTS),
        )

    def with_changes(self, changed: dict[str, Read]) -> View:
        """The same files after some have changed."""
        reads, together = {**self.reads, **changed}, self.project.files

        def note(file: str) -> Note | None:
            return changed[file].note if file in changed else self._note(file)

        view = View(
            self._finder,
            reads,
            together,
            note=note,
            outlined=self.outlined,
            scripts=self.relevance.scripts,
        )
        view.project.take_over(self.project, frozenset(changed))
        return view

    def with_new_files(self, unchangeable: Collection[str] | None) -> View:
        """The same files with those that a fix may make, or fill: the modules that hold the header
        for others. None of them may be made where ``unchangeable`` is None."""
        found = (self.policy_modules.of(file) for file in self._under_modules())
        new = {
            one.file: Read(
                one.file,
                self._path(one.file),
                self._finder,
                may_change=unchangeable is not None and one.file not in unchangeable,
                is_new=one.is_new,
            )
            for one in found
            if one is not None and one.is_bare and not one.fault and one.file not in self.reads
        }
        if not new:
            return self
        return View(
            self._finder,
            {**self.reads, **new},
            dict.fromkeys((*self.project.files, *new)),
            note=self._note,
            outlined=self.outlined,
            scripts=self.relevance.scripts,
        )

    def _under_modules(self) -> Iterator[str]:
        """The files that may need a header, and whose policy wants it in a module."""
        for file in self.reads:
            policy = self.relevance.policy_of(file)
            if policy is not None and policy.header.module:
                where = policy.header.required_in
                anyway = where == "all" or isinstance(where, tuple)
                if anyway or self.project.reached_frameworks(file) or self._names_device(file):
                    yield file

    def _names_device(self, file: str) -> bool:
        return bool(self.project.touch(file) & (Touch.DEVICES | Touch.HANDED | Touch.PASSED))

    def _path(self, file: str) -> Path:
        """A file's path as that of others is given: below the directory of the run."""
        root = self._finder.root
        inside = file.startswith(os.path.join(root, ""))
        given = next(iter(self.reads.values())).path
        return (
            Path(os.path.relpath(file, root)) if inside and not given.is_absolute() else Path(file)
        )

    def affected_by(self, changed: Iterable[str]) -> frozenset[str]:
        """Files whose findings may differ when others change."""
        return self.project.affected_by(frozenset(changed))

    def weight(self, file: str, runs: bool) -> int:
        """About how many microseconds it takes to judge a file, given whether it is run."""
        size = self._size(file)
        return 300 + size // 80 + (_OF_A_RUN + size) * runs

    def on_trial(self, files: Collection[str]) -> frozenset[str]:
        """Of some files those whose fixes may have other consequences than meant: where a program
        may do something that a mask decides, those that it runs. None where there is too much."""
        if self._on_trial is None:
            found: set[str] = set()
            for file in self.reads:
                if self.project.may_do_something(file):
                    found |= self.project.closure(file)
            self._on_trial = self._if_short(found & self.reads.keys())
        return self._on_trial & set(files)

    def _if_short(self, files: set[str]) -> frozenset[str]:
        total = sum(self.weight(file, True) for file in files)
        if total <= _LONGEST_TRIAL:
            for start in self.shared(sorted(files)):
                total += sum(map(self._size, self.project.closure(start))) // _RUN_OF_IMPORTS
        return frozenset(files) if total <= _LONGEST_TRIAL else frozenset()

    def may_be_tried(self, read: Read) -> bool:
        """Whether fixes of a file may be tried, whatever is found: what it is told depends on other
        files then."""
        if self.on_trial((read.file,)):
            return True
        skimmed = self.project.skimmed(read.file)
        gets_calls = skimmed is not None and skimmed.guard is not False
        gets_calls = gets_calls or bool(self.commands(read.file))
        return gets_calls and self.relevance.policy_of(read.file) is not None

    def to_be_tried(self, found: Mapping[str, Judged]) -> frozenset[str]:
        """The files whose fixes are to be tried, given what was found: those on trial, and those
        that get a validator, which is a use of the GPU by itself."""
        validators = {
            file
            for file, judged in found.items()
            if any(one.code in OF_VALIDATION and one.fix for one in judged.findings)
        }
        return self.on_trial(found) | self._if_short(validators)

    def _size(self, file: str) -> int:
        note = self._note(file)
        return note.size if note is not None else len(self.data(file) or b"")

    def programs(self, files: Iterable[str]) -> list[str]:
        """Of some files those that are run as programs to be judged, but for those that only name a
        validator; first those that take longest."""
        running = [
            file
            for file in files
            if self.project.does_what_matters(file, self.relevance.matter_at_least(file))
        ]
        return sorted(running, key=lambda file: self.weight(file, True), reverse=True)

    def shared(self, files: Iterable[str]) -> list[str]:
        """The programs of which others must know what they do when some files are judged; first
        those that take longest."""
        project = self.project
        found = {start for file in files for start in project.starts_asked_for(file)}
        weights = {start: sum(map(self._size, project.closure(start))) for start in found}
        return sorted(found, key=lambda start: (-weights[start], start))

    @property
    def notes(self) -> dict[str, Note]:
        """What is known of each file by itself, as it can be sent to another process."""
        files = dict.fromkeys((*self.project.files, *self.reads))
        return {file: note for file in files if (note := self._noted(file)) is not None}

    def _noted(self, file: str) -> Note | None:
        """What is known of a file by itself, without what was found in it."""
        note = self._note(file)
        if note is not None:
            return note if note.findings is None else replace(note, findings=None)
        data = self.data(file)
        if data is None:
            return None
        return replace(
            Note.begun(data, self.project.needles.alone(data)),
            touch=self.project.touch(file),
            skimmed=self.project.skimmed(file),
            decides=self.project.mentions(file),
        )

    def forget(self, read: Read) -> None:
        """Let go of what no other file will ask of this one."""
        self.project.forget(read.file)
        read.forget()

    def commands(self, file: str) -> tuple[Call, ...]:
        """The installed commands that call something in a file."""
        return self.relevance.scripts.calling(file, self.project)

    def standing(self, file: str) -> Standing:
        """What a file is, for what is demanded of it. Raises :class:`SourceError`."""
        return self.relevance.standing(file, self.project.facts(file), self.project)

    def why(self, file: str, is_judged: bool, is_run: bool) -> Why:
        """What is demanded of a file, and why. Raises :class:`SourceError`."""
        facts = self.project.facts(file)
        return self.relevance.why(file, facts, self.project, is_judged, is_run)

    def judged(self, read: Read) -> Judged:
        """What is found in a file. Raises :class:`SourceError`."""
        if read.is_new and not read.source.data:
            return Judged(())
        if self._has_fault(read):
            return self._broken(read)
        context = self._context(read)
        kept = self._unsuppressed(read, context)
        if context.facts.reading.is_broken and read.fault is not None:
            return self._broken(read)
        found, unfit = tuple(self._findings(kept, context)), tuple(misfits(context))
        libraries = self.project.knowledge.undescribed(context.facts.reached_frameworks)
        return Judged(found, self.project.is_cut_short(read.file), unfit, libraries)

    def _broken(self, read: Read) -> Judged:
        """What is found in a file with a syntax error: that alone."""
        rules = read.settings.rules_for(read.path)
        return Judged(tuple(_syntax_finding(read, rules)), is_broken=True)

    def _findings(self, kept: list[Found], context: Context) -> list[Finding]:
        fixes: dict[object, Fix | None] = {}
        findings = []
        for found in kept:
            wanted = found.remedy, found.applicability
            if wanted not in fixes:  # several findings may be mended by the same fix
                fixes[wanted] = self._fix(found, context)
            findings.append(self._finding(found, fixes[wanted]))
        return sorted(findings, key=lambda finding: (finding.span, finding.code))

    def _context(self, read: Read) -> Context:
        """What the checks of a file are given. Raises :class:`SourceError`."""
        settings = read.settings
        facts, policy = self.project.facts(read.file), settings.policy_for(read.path)
        in_module = policy is not None and policy.header.module != ""
        return Context(
            facts=facts,
            policy=policy,
            rulebook=self._finder.rulebook,
            row=facts.reading.source.row,
            standing=self.standing(read.file),
            relevant=lambda globs: matches(list(globs), settings.relative(read.path)),
            place=self.place,
            judges=lambda span: self._judges(read.file, span),
            companions=lambda: self._companions(read.file),
            mentioned_elsewhere=self._mentioned,
            functions_beside=lambda names: self._functions_beside(read.file, names),
            function_behind=self._function_behind,
            pinned=lambda: self._finder.pin_for(read.path),
            policy_module=self.policy_modules.of(read.file) if in_module else None,
            is_policy_module=in_module and self.policy_modules.is_one(read.file),
        )

    def _has_fault(self, read: Read) -> bool:
        """Whether a file has a syntax error, as far as it is read. Raises :class:`SourceError`."""
        is_read = self.project.outline(read.file) or self.project.reading(read.file)
        return is_read is None and read.fault is not None

    def _unsuppressed(self, read: Read, context: Context) -> list[Found]:
        rulebook, rules = self._finder.rulebook, read.settings.rules_for(read.path)
        source = context.facts.reading.source
        meant_for_us = not self._finder.ignore_suppressions and self.project.needles.comments(
            source.data
        )
        comments = context.facts.reading.comments if meant_for_us else ()
        suppressions = read_suppressions(comments, source, rulebook)
        by_row = ByRow(suppressions)
        kept: list[Found] = []
        for check in self._checks_of(rules):
            for found in check(context):
                if found.code in rules and not by_row.cover(found.code, _rows(found.span, source)):
                    kept.append(found)
        for found in (
            *check_suppressions(suppressions, frozenset(rules), source),
            *check_intended(comments, source),
        ):
            if found.code in rules:
                kept.append(found)
        return kept

    def _checks_of(self, rules: dict[str, Rule]) -> tuple[Check, ...]:
        """The checks of some rules; most files have the same ones."""
        if rules is not self._checked[0]:
            names = dict.fromkeys(rule.check for rule in rules.values())
            self._checked = rules, tuple(CHECKS[name] for name in names if name in CHECKS)
        return self._checked[1]

    def _finding(self, found: Found, fix: Fix | None) -> Finding:
        rule = self._finder.rulebook.rules[found.code]
        return Finding(
            code=rule.code,
            name=rule.name,
            severity=found.severity or rule.severity,
            message=found.message,
            span=found.span,
            note=found.note,
            fix=fix,
        )

    def _fix(self, found: Found, context: Context) -> Fix | None:
        if found.remedy is None:
            return None
        from gpu_lint.codemod.fixes import fix_of  # LibCST, which is slow to import

        fix = fix_of(found.remedy, found, context, self._changeable)
        if fix is not None:
            for file in (context.facts.file, *(file for file, _ in fix.elsewhere)):
                if why := self._not_ours(file):
                    message = f"{fix.message}; {why}"
                    return replace(fix, message=message, applicability=Applicability.UNSAFE)
        return fix

    def _not_ours(self, file: str) -> str:
        """Why a file is not to be changed unasked: others write or keep it."""
        read = self.reads[file]
        return self._finder.kept_elsewhere(read.path) or generated(read.source.data)

    def _changeable(self, file: str) -> Reading | None:
        """The reading of a file that may be edited."""
        read = self.reads.get(file)
        return self.project.reading(file) if read is not None and read.may_change else None

    def place(self, file: str, span: Span) -> tuple[str, int]:
        """A file's name as a message says it, and the line (from 1) of a span."""
        read = self.reads.get(file)
        root = str(self._finder.root)
        shown = os.path.relpath(file, root) if file.startswith(root + os.sep) else file
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
            data = self.data(file)
            if data is not None and word.search(data):
                reading = self.project.reading(file)
                if reading is not None and name in reading.referenced:
                    return True
        return False

    def _functions_beside(self, file: str, names: frozenset[str]) -> tuple[FunctionFacts, ...]:
        """The functions with some names in the project's files that a file imports, as far as these
        mention the mask."""
        found: list[FunctionFacts] = []
        for other in sorted(self.project.edges(file)) if names else ():
            data = self.data(other) or b""
            if MASK.encode() not in data or not any(b"def " + n.encode() in data for n in names):
                continue
            if (reading := self.project.reading(other)) is not None:
                found += [look() for name, look in reading.functions if name in names]
        return tuple(found)

    def _function_behind(
        self, file: str, module: str, level: int, name: str
    ) -> tuple[str, Reading, Function] | None:
        """The function that a file imports from a module of the project, with the file that holds
        it; None for one that the module itself does not define."""
        *_, holder = self.project.imports.run_by(file, module, level, "") or ("",)
        reading = self.project.reading(holder) if holder else None
        function = reading.functions_by_name.get(name) if reading is not None else None
        return None if reading is None or function is None else (holder, reading, function)

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
        if read is None or not read.may_change or read.reading is None:
            return False
        if "GPU201" not in read.settings.rules_for(read.path):
            return False
        if self._finder.ignore_suppressions:
            return True
        if self._silenced is None or self._silenced[0] is not read.reading:
            comments = read.reading.comments
            found = read_suppressions(comments, read.source, self._finder.rulebook)
            self._silenced = read.reading, ByRow(found)
        return not self._silenced[1].cover("GPU201", _rows(span, read.source))


def _rows(span: Span, source: Source) -> set[int]:
    """The rows on which a suppression counts: where the finding starts and where it ends."""
    return {source.row(span.start), source.row(max(span.start, span.end - 1))}


def _syntax_finding(read: Read, rules: dict[str, Rule]) -> list[Finding]:
    if "GPU001" not in rules or read.fault is None:
        return []
    at = read.source.byte_offset(min(read.fault.character, len(read.source.text)))
    rule = rules["GPU001"]
    message = f"{read.fault}; the file was not checked"
    return [Finding(rule.code, rule.name, rule.severity, message, Span(at, at))]
