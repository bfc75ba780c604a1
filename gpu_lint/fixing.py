"""Applies fixes, pass after pass, and proves each by reading the result again.

Others help with both where that pays: nothing is known of one file that another must wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from gpu_lint.codemod.splice import Change, choose, splice
from gpu_lint.findings import (
    Applicability,
    Edit,
    FileFindings,
    Finding,
    Fix,
    FixedFile,
    Judged,
    Misfit,
)
from gpu_lint.judging import View
from gpu_lint.notes import digest_of
from gpu_lint.outcome import LEFT_OVER, OF_HEADER, OF_VALIDATION, Before, New
from gpu_lint.progress import NoProgress, Progress
from gpu_lint.reads import Read, apply
from gpu_lint.settings import SettingsFinder
from gpu_lint.source import Span
from gpu_lint.work import Applying, Executor, Failed, ToEdit, chunks_of

_MOST_PASSES = 10
_MOST_ROUNDS = 4
_LEAST_CHUNK, _MOST_CHUNKS = 500_000, 1_000
"""Bytes of a chunk of files that another process changes, and how many there are."""
_SECONDS = 3e-7
"""That it takes to change a file and to prove it, for each of its bytes."""
_Found: TypeAlias = "Mapping[str, Judged | None]"
"""What was found in files, by their absolute paths; None for one that cannot be dealt with."""


@dataclass(frozen=True)
class Others:
    """Who helps."""

    executor_for: Callable[[float], Executor | None] = lambda seconds: None
    """Who does work that takes so many seconds in one process; None is this process."""
    judge: Callable[[View, Collection[Read]], _Found] = lambda view, reads: {}
    """The findings of files that others find, where that pays."""
    progress: Progress = field(default_factory=NoProgress)
    """Counts every phase, and every file that is done in it; by ``judge`` of those
    that others judge."""


class Fixing:
    """Applies fixes, pass after pass, to the files of a run; a group of edits goes in whole."""

    def __init__(
        self,
        finder: SettingsFinder,
        view: View,
        unsafe: bool,
        reporting: Callable[[Path], AbstractContextManager[None]],
        others: Others | None = None,
        ahead: _Found = MappingProxyType({}),
    ) -> None:
        """``reporting`` takes note of what goes wrong with a file, and goes on; ``ahead`` are the
        findings that ``others`` have found already."""
        self._others = others or Others()
        self._ahead = ahead
        self._finder = finder
        self._view = view
        self._reporting = reporting
        self._all_asked_for = unsafe
        """Unsafe fixes are made, too, whatever follows from them."""
        self._refused: set[Change] = set()
        self._inserted: set[tuple[str, str]] = set()
        """What has been inserted into which file: the same never goes in twice."""
        self._dropped: dict[str, list[str]] = {}
        self._start = view
        self._before: dict[str, Before] = {}
        self._left_out: dict[Change, str] = {}
        """Changes after which something new was found, in this round, each with what that is."""
        self._trial: frozenset[Change] = frozenset()
        """Those that are left out for a try."""

    def fix(self) -> list[FixedFile]:
        """Fix until nothing is left that may be fixed; what became of every file.

        The outcome decides: where something is found at the end that was not found before, fixes
        are left out until it is not.
        """
        before = self._found_at_first()
        after = before
        for _ in range(_MOST_ROUNDS):
            start = after
            after = self._round(start)
            if not self._left_out or all(after[file] is start[file] for file in after):
                break  # else what was left out may go in where the rest stands already
        return [
            FixedFile(
                found,
                self._as_told(file, after[file]),
                self._reasons(file),
                self._view.reads[file].edits,
                self._view.reads[file].is_new,
                self._new_files_for(file),
            )
            for file, found in before.items()
            if not self._view.reads[file].is_new or self._is_made(file)
        ]

    def _is_made(self, file: str) -> bool:
        """Whether a new file has been made, and something still imports it."""
        importers = self._view.project.importers.get(file, ())
        return bool(importers) and bool(self._view.reads[file].edits)

    def _new_files_for(self, file: str) -> tuple[Path, ...]:
        """The new files without which a file would fail."""
        made = {f: one.path for f, one in self._view.reads.items() if one.is_new and one.edits}
        if not made:
            return ()
        return tuple(made[other] for other in self._view.project.edges(file) if other in made)

    def _as_told(self, file: str, after: FileFindings) -> FileFindings:
        """What is found in a file, the fixes that were left out as unsafe."""
        unsafe: dict[Fix, str] = {}
        if any(change.file == file for change in self._left_out):
            for one, origin in self._before[file].origins_of(after, self._edits_of(file)):
                first = origin.fix if origin is not None else None
                if isinstance(one, Finding) and one.fix is not None and first is not None:
                    if (why := self._left_out.get(Change(file, first))) is not None:
                        unsafe[one.fix] = why
        return after.without(unsafe) if unsafe else after

    def trial(self, files: Collection[str]) -> Mapping[Change, str]:
        """The changes that fixing some files would leave out, each with the reason."""
        before = self._found_at_first()
        reads = self._view.reads
        self._round({f: found for f, found in before.items() if f in files or reads[f].is_new})
        return self._left_out

    def _found_at_first(self) -> dict[str, FileFindings]:
        before: dict[str, FileFindings] = {}
        for file, one in self._view.reads.items():
            known = self._ahead.get(file)
            if known is None and file in self._ahead:
                continue
            with self._reporting(one.path):
                before[file] = self._findings(one, known)
            if file not in self._ahead:
                self._others.progress.advance()
        return before

    def _round(self, before: dict[str, FileFindings]) -> dict[str, FileFindings]:
        """What is found when all is fixed that may be, and after which nothing new is found."""
        self._start = self._view
        self._before = {file: Before.of(found) for file, found in before.items()}
        self._left_out = {}
        after = self._fixed(before)
        settled: set[str] = set()
        """The parts of the project in which all has been left out that can be."""
        while not self._all_asked_for:
            failing = {f: new for f, new in self._failing(after).items() if f not in settled}
            if not failing:
                break
            part = self._connected(next(iter(failing))) & before.keys()
            after = self._leave_out(part, failing, before, after)
            settled |= part
        return after

    def _connected(self, file: str) -> frozenset[str]:
        """The part of the project in which a file is: a new one is in that of those that import it
        now."""
        view = self._view if self._view.reads[file].is_new else self._start
        return view.project.connected([file])

    def _reasons(self, file: str) -> tuple[str, ...]:
        left_out = (
            f"{change.fix.message}: {why}"
            for change, why in self._left_out.items()
            if change.file == file
        )
        return (*self._dropped.get(file, ()), *left_out)

    def _edits_of(self, file: str) -> tuple[tuple[Edit, ...], ...]:
        """The edits that were made in a file in this round, pass after pass."""
        return self._view.reads[file].edits[len(self._start.reads[file].edits) :]

    def _fixed(self, found: dict[str, FileFindings]) -> dict[str, FileFindings]:
        """What is found when all that may be fixed is fixed, pass after pass."""
        after = dict(found)
        for _ in range(_MOST_PASSES):
            changed = self._one_pass(after)
            if not changed:
                break
            self._judge_again(changed, after)
        return after

    def _judge_again(self, changed: dict[str, Read], after: dict[str, FileFindings]) -> None:
        """Find out what is found when some files have changed."""
        self._view = self._view.with_changes(changed)
        affected = self._view.affected_by(changed)
        waiting = [self._view.reads[file] for file in after if file in affected]
        self._others.progress.begin("Checking again", len(waiting))
        found = self._others.judge(self._view, waiting)
        for one in waiting:
            after[one.file] = FileFindings(one.source, ())  # if it cannot be judged any more
            known = found.get(one.file)
            if known is None and one.file in found:
                continue
            with self._reporting(one.path):
                after[one.file] = self._findings(one, known)
            if one.file not in found:
                self._others.progress.advance()

    # --- the outcome -----------------------------------------------------------------------

    def _failing(self, after: dict[str, FileFindings]) -> dict[str, New]:
        """The files in which something is found that was not found before, with the first of it.
        What a new file lacks, the files that import it lacked before."""
        failing: dict[str, New] = {}
        for file, found in after.items():
            if found.findings or found.unfit:
                edits = self._edits_of(file)
                lacked = OF_HEADER if self._view.reads[file].is_new else frozenset()
                every = self._before[file].new_in(found, edits)
                if (
                    new := next((one for one in every if one.code not in lacked), None)
                ) is not None:
                    failing[file] = new
        return failing

    def _leave_out(
        self,
        part: frozenset[str],
        failing: dict[str, New],
        before: dict[str, FileFindings],
        after: dict[str, FileFindings],
    ) -> dict[str, FileFindings]:
        """What is found when fixes are left out of a connected part of the project, so that nothing
        new is: the validators where something new is found, or else all fixes there, or else those
        in every program that such a file is part of, or else those of the whole part."""
        files = {file: new for file, new in failing.items() if file in part}
        project = self._start.project
        ways: tuple[tuple[Callable[[], Iterable[str]], Collection[str] | None], ...] = (
            (lambda: files, OF_VALIDATION | LEFT_OVER),
            (lambda: files, None),
            (lambda: sorted(project.run_together_with(files) & part), None),
            (lambda: part, None),
        )
        reasons: dict[Change, str] = {}
        for wider, codes in ways:
            while files:
                more = {file: self._first_changes(file, codes) for file in wider()}
                added = {change: file for file, changes in more.items() for change in changes}
                added = {change: file for change, file in added.items() if change not in reasons}
                if not added:
                    break
                for change, file in added.items():
                    cause = file if file in files else next(iter(files))
                    name = self._start.place(cause, Span(0, 0))[0]
                    reasons[change] = files[cause].told(name)
                after = self._without(frozenset(reasons), part, before, after)
                files = {f: new for f, new in self._failing(after).items() if f in part}
        for file in sorted(part):
            for change in self._first_changes(file):
                if change in reasons:
                    self._left_out[change] = reasons[change]
        return after

    def _first_changes(self, file: str, codes: Collection[str] | None = None) -> list[Change]:
        """The changes that mend findings, of some codes, and were on offer for a file before
        anything was changed."""
        return list(
            dict.fromkeys(
                change
                for one in self._before[file].origins
                if one.fix is not None
                and (codes is None or one.code in codes)
                and one.fix.applicability is Applicability.SAFE
                and (change := Change(file, one.fix)) not in self._left_out
            )
        )

    def _without(
        self,
        some: frozenset[Change],
        part: frozenset[str],
        before: dict[str, FileFindings],
        after: dict[str, FileFindings],
    ) -> dict[str, FileFindings]:
        """What is found when some fixes are left out in a part of the project, which is fixed anew
        from the start."""
        changed = {
            file: self._start.reads[file]
            for file in part
            if self._view.reads[file] is not self._start.reads[file]
        }
        self._view = self._view.with_changes(changed)
        self._inserted = {(file, text) for file, text in self._inserted if file not in part}
        self._trial = some
        found = self._fixed({**after, **{file: before[file] for file in part}})
        self._trial = frozenset()
        return found

    def _findings(self, one: Read, known: Judged | None = None) -> FileFindings:
        found = self._view.judged(one) if known is None else known
        self._view.forget(one)
        one.source.forget()
        return FileFindings.of(one.source, found)

    def _one_pass(self, findings: dict[str, FileFindings]) -> dict[str, Read]:
        """The files that one pass changes."""
        wanted = [
            change
            for file, found in findings.items()
            for change in map(self._as_it_stands, self._on_offer(file, found))
            if change not in self._refused
            and self._view.reads[file].may_change
            and all(other in findings for other in change.files)
            and self._is_new(change)
        ]
        changes = choose(wanted)
        done: dict[tuple[str, tuple[Change, ...]], Read | str] = {}
        while changes:
            result: dict[str, Read] = {}
            by_file: dict[str, list[Change]] = {}
            for change in changes:
                for file in change.files:
                    by_file.setdefault(file, []).append(change)
            wanted_now = {file: tuple(those) for file, those in by_file.items()}
            waiting = {f: here for f, here in wanted_now.items() if (f, here) not in done}
            self._others.progress.begin("Fixing", len(waiting))
            for file, found in self._apply_ahead(waiting):
                done[file, waiting[file]] = found
                self._others.progress.advance()
            for file, here in wanted_now.items():
                if (file, here) not in done:
                    done[file, here] = apply(self._view.reads[file], _edits_in(file, here))
                    self._others.progress.advance()
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

    def _on_offer(self, file: str, found: FileFindings) -> Iterator[Change]:
        """The fixes of findings that were there before anything was changed, but for those that
        had to be asked for then; and of comments that are left over. Validators come last: where
        both begin at one place, the header goes above."""
        if not any(finding.fix for finding in found.findings):
            return
        if self._all_asked_for:
            every = sorted(found.findings, key=_is_of_validation)
            yield from (Change(file, one.fix) for one in every if one.fix is not None)
            return
        edits = self._edits_of(file)
        now = self._before[file].origins_of(found, edits)
        for finding, origin in sorted(now, key=lambda one: _is_of_validation(one[0])):
            if isinstance(finding, Misfit) or finding.fix is None:
                continue
            if origin is None and finding.code not in LEFT_OVER:
                continue
            first = finding.fix if origin is None or origin.fix is None else origin.fix
            if self._is_left_out(Change(file, first)):
                continue
            if finding.code in OF_VALIDATION and self._lacks_header(file):
                continue
            if Applicability.UNSAFE not in (first.applicability, finding.fix.applicability):
                yield Change(file, finding.fix)

    def _as_it_stands(self, change: Change) -> Change:
        """A change without what it does to new files that another one has made already."""
        elsewhere = change.fix.elsewhere
        left = tuple(
            (file, edits)
            for file, edits in elsewhere
            if file not in self._view.reads
            or not (self._view.reads[file].is_new and self._view.reads[file].edits)
        )
        return Change(change.file, replace(change.fix, elsewhere=left)) if elsewhere else change

    def _lacks_header(self, file: str) -> bool:
        """Whether the header of a file is left out, without which a validator must fail."""
        return any(
            one.fix is not None and self._is_left_out(Change(file, one.fix))
            for one in self._before[file].origins
            if one.code in OF_HEADER
        )

    def _is_left_out(self, change: Change) -> bool:
        return change in self._left_out or change in self._trial

    def _is_new(self, change: Change) -> bool:
        """Whether a change does not insert what an earlier pass has put there in vain."""
        if self._inserted.isdisjoint(self._insertions(change)):
            return True
        self._refused.add(change)
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
        self._refused.add(here[0])
        self._dropped.setdefault(file, []).append(f"{here[0].fix.message}: {why}")

    def _apply_ahead(
        self, waiting: Mapping[str, tuple[Change, ...]]
    ) -> Iterator[tuple[str, Read | str]]:
        """What becomes of files by changes that others make in them, where that pays."""
        if len(waiting) < 2:
            return
        reads = {file: self._view.reads[file] for file in waiting}
        weights = [(file, len(one.source.data)) for file, one in reads.items()]
        executor = self._others.executor_for(sum(size for _, size in weights) * _SECONDS)
        if executor is None:
            return
        edits = {file: _edits_in(file, here) for file, here in waiting.items()}
        work = Applying(
            self._finder.spec,
            {
                file: ToEdit(
                    str(one.path), digest_of(one.source.data), one.edits, edits[file], one.is_new
                )
                for file, one in reads.items()
            },
        )
        for file, answer in executor.each(work, chunks_of(weights, _LEAST_CHUNK, _MOST_CHUNKS)):
            if isinstance(answer, Failed):
                yield file, f"the file {answer.message}"
            elif isinstance(answer, str):
                yield file, answer
            else:
                one = reads[file]
                source = splice(one.source, edits[file]).source
                yield file, one.edited(edits[file], source, answer)


def _is_of_validation(one: Finding | Misfit) -> bool:
    return isinstance(one, Finding) and one.code in OF_VALIDATION


def _edits_in(file: str, changes: tuple[Change, ...]) -> tuple[Edit, ...]:
    """The edits that some changes make in a file, each once."""
    return tuple(sorted({edit for change in changes for edit in change.edits_in(file)}))
