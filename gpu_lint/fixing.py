"""Applies fixes, pass after pass, and proves each by reading the result again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import MappingProxyType

from gpu_lint.codemod.splice import Change, choose, prove, splice
from gpu_lint.errors import SourceError
from gpu_lint.findings import Applicability, FileFindings, Finding, Fix, FixedFile
from gpu_lint.judging import View
from gpu_lint.reads import Read
from gpu_lint.settings import SettingsFinder

_MOST_PASSES = 10


class Fixing:
    """Applies fixes, pass after pass, to the files of a run; a group of edits goes in whole."""

    def __init__(
        self,
        finder: SettingsFinder,
        view: View,
        unsafe: bool,
        reporting: Callable[[Path], AbstractContextManager[None]],
        ahead: Mapping[str, tuple[Finding, ...] | None] = MappingProxyType({}),
    ) -> None:
        """``reporting`` takes note of what goes wrong with a file, and goes on; ``ahead`` are the
        findings that others have found already, None for a file that cannot be dealt with."""
        self._ahead = ahead
        self._finder = finder
        self._view = view
        self._reporting = reporting
        self._least = Applicability.UNSAFE if unsafe else Applicability.SAFE
        self._refused: set[Fix] = set()
        self._inserted: set[tuple[str, str]] = set()
        """What has been inserted into which file: the same never goes in twice."""
        self._dropped: dict[str, list[str]] = {}

    def fix(self) -> list[FixedFile]:
        """Fix until nothing is left that may be fixed; what became of every file."""
        before: dict[str, FileFindings] = {}
        for file, one in self._view.reads.items():
            if (known := self._ahead.get(file, ())) is None:
                continue
            with self._reporting(one.path):
                before[file] = self._findings(one, known if file in self._ahead else None)
        after = dict(before)
        for _ in range(_MOST_PASSES):
            changed = self._one_pass(after)
            if not changed:
                break
            self._view = self._view.with_changes(changed)
            for file in self._view.affected_by(changed) & after.keys():
                one = self._view.reads[file]
                after[file] = FileFindings(one.source, ())  # if it cannot be judged any more
                with self._reporting(one.path):
                    after[file] = self._findings(one)
        return [
            FixedFile(found, after[file], tuple(self._dropped.get(file, ())))
            for file, found in before.items()
        ]

    def _findings(self, one: Read, known: tuple[Finding, ...] | None = None) -> FileFindings:
        found = tuple(self._view.findings(one)) if known is None else known
        self._view.forget(one)
        one.source.forget()
        return FileFindings(one.source, found)

    def _one_pass(self, findings: dict[str, FileFindings]) -> dict[str, Read]:
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
        done: dict[tuple[str, tuple[Change, ...]], Read | str] = {}
        while changes:
            result: dict[str, Read] = {}
            by_file: dict[str, list[Change]] = {}
            for change in changes:
                for file in change.files:
                    by_file.setdefault(file, []).append(change)
            for file, those in by_file.items():
                here = tuple(those)
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

    def _apply(self, file: str, changes: tuple[Change, ...]) -> Read | str:
        """A file after some changes, read again, or why they cannot be trusted."""
        old = self._view.reads[file]
        try:
            if old.reading is None:
                return f"the file cannot be read as a whole: {old.fault}"
        except SourceError as error:
            return f"the file {error}"
        edits = {edit for change in changes for edit in change.edits_in(file)}
        try:
            spliced = splice(old.source, edits)
            after = Read.of(spliced.source, self._finder)
        except SourceError as error:
            return f"the result {error}"
        if after.reading is None:
            return f"the result would not parse: {after.fault}"
        refused = prove(old.reading, old.source, edits, spliced, after.reading)
        for one in (old, after):
            one.forget()
            one.source.forget()
        return refused or after
