"""Runs the whole way for every file: survey, reading, facts, checks, findings, fixes.

``check``, ``fix``, the hooks and the tests all come through here. What only files with GPU code
need is imported when the first of them turns up: most runs find none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_lint.errors import ConfigError, SourceError, Trouble, internal
from gpu_lint.facts.importgraph import ImportGraph
from gpu_lint.settings import SettingsFinder
from gpu_lint.source import Source, read_bytes, read_source
from gpu_lint.survey import Survey

if TYPE_CHECKING:
    from gpu_lint.cache import Cache
    from gpu_lint.facts.graph import Graph
    from gpu_lint.facts.reading import Reading
    from gpu_lint.findings import FileFindings, Finding, FixedFile
    from gpu_lint.judging import View
    from gpu_lint.reads import Read
    from gpu_lint.work import Executor, Failed, Judging
    from gpu_lint.writing import Writing, Written

_LEAST_CHUNK = 100_000
"""Microseconds that a chunk of files takes to check at least."""
_MOST_CHUNKS = 1_000
_SPLIT = 4
"""Into how many chunks a process's share of those programs goes that are dealt out last."""


@dataclass
class Run:
    """The outcome of a run: results per file, and the paths that could not be dealt with."""

    files: list[FileFindings] = field(default_factory=list)
    clean: int = 0
    """How many files more there are, in which no rule can find anything."""
    fixed: list[FixedFile] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    written: Written | None = None
    """What became of the files that were to be changed; None where nothing was to be written."""

    @contextmanager
    def reporting(self, path: Path) -> Iterator[None]:
        """Whatever is wrong with a file is told of it; the run goes on."""
        from gpu_lint.facts.limits import deep_recursion

        try:
            with deep_recursion():
                yield
        except Exception as error:
            self.report(path, error)

    def report(self, path: Path, error: Exception) -> None:
        """Take note of what is wrong with a file; of a fault in the configuration, which ends the
        run, it is raised again."""
        if isinstance(error, ConfigError):
            raise error
        told = str(error) if isinstance(error, SourceError) else internal(error)
        self.troubles.append(Trouble(path, told))

    def failed(self, path: Path, failed: Failed) -> None:
        """Take note of what another process says. Raises :class:`ConfigError` for what ends
        the run."""
        if failed.in_configuration:
            raise ConfigError(failed.message)
        self.troubles.append(Trouble(path, failed.message))


class Engine:
    """Checks and fixes files under the settings that a finder finds for each."""

    def __init__(
        self,
        finder: SettingsFinder,
        progress: Callable[[int], None] | None = None,
        cache: Cache | None = None,
        executor_for: Callable[[float], Executor | None] | None = None,
    ) -> None:
        """``progress`` is told of every step done; a file takes two: reading, then the rest.
        ``executor_for`` tells who should do work that takes so many seconds in one process: None
        is this process. Of no seconds, it is whoever has been started already."""
        self.finder = finder
        self._executor_for = executor_for
        self._cache = cache
        self.rulebook = finder.rulebook
        self._progress = progress or (lambda count: None)

    def check(self, paths: Iterable[Path], named: Collection[Path] = ()) -> Run:
        """Check files; those that are ``named`` are asked for syntax errors, and for what they
        import, even where they show nothing that a rule looks for."""
        run = Run()
        survey = Survey(self.finder, named, self._cache)
        view = self._view(survey, paths, run)
        if view is not None:
            from gpu_lint.findings import FileFindings
            from gpu_lint.recall import Recall

            recall = None if self._cache is None else Recall(self.finder, survey, view)
            known = {} if recall is None else recall.known()
            others = [one for file, one in view.reads.items() if file not in known]
            found = {**known, **self._judge_ahead(view, run, others)}
            for file, one in view.reads.items():
                if file in found and found[file] is None:
                    continue
                with run.reporting(one.path):
                    findings = found.get(file)
                    if findings is None:
                        findings = tuple(view.findings(one))
                        view.forget(one)
                    if recall is not None and file not in known:
                        recall.keep(one, findings)
                    run.files.append(FileFindings(one.source, findings))
                    one.source.forget()
                self._progress(file in known or file not in found)
        if self._cache is not None:
            self._cache.save()
        return run

    def check_source(self, source: Source) -> FileFindings:
        """Check one source, wherever it came from. Raises :class:`SourceError`."""
        from gpu_lint.findings import FileFindings
        from gpu_lint.judging import View
        from gpu_lint.reads import Read

        one = Read.of(source, self.finder)
        return FileFindings(source, tuple(View.of(self.finder, [one]).findings(one)))

    def fix(
        self,
        paths: Iterable[Path],
        named: Collection[Path] = (),
        *,
        unsafe: bool,
        writing: Writing | None,
        blocked: bool = False,
    ) -> Run:
        """Fix files; without a ``writing``, only say what would change. ``blocked``: something
        else stands in the way already of fixing all.

        Raises :class:`gpu_lint.errors.JournalError` with every file as it was.
        """
        run = Run()
        view = self._view(Survey(self.finder, named, self._cache), paths, run)
        if view is not None:
            from gpu_lint.fixing import Fixing, Others

            others = Others(
                self._executor_for or (lambda seconds: None),
                lambda view, reads: self._judge_ahead(view, run, reads, again=True),
            )
            ahead = self._judge_ahead(view, run, list(view.reads.values()))
            run.fixed = Fixing(self.finder, view, unsafe, run.reporting, others, ahead).fix()
            if writing is not None:
                self._write(run, writing, blocked)
            run.files = [one.after for one in run.fixed]
        return run

    def _write(self, run: Run, writing: Writing, blocked: bool) -> None:
        """Put the fixed files in their places; those that cannot be are as they were."""
        from gpu_lint.findings import FixedFile
        from gpu_lint.writing import Replacement, Written

        wanted = [
            Replacement(
                one.before.path,
                self.finder.project_of(one.before.path),
                one.before.source.data,
                one.after.source.data,
            )
            for one in run.fixed
            if one.changed
        ]
        if writing.all_or_nothing and (blocked or run.troubles):
            run.written = Written()
        else:
            run.written = writing.replace(self.finder.project_of(self.finder.root / "x"), wanted)
        run.troubles += run.written.troubles
        done = frozenset(run.written.done)
        run.fixed = [
            one
            if one.before.path in done or not one.changed
            else FixedFile(one.before, one.before, one.dropped)
            for one in run.fixed
        ]

    def fix_source(self, source: Source, *, unsafe: bool = False) -> FixedFile:
        """Fix one source in memory. Raises :class:`SourceError`."""
        from gpu_lint.fixing import Fixing
        from gpu_lint.judging import View
        from gpu_lint.reads import Read

        view = View.of(self.finder, [Read.of(source, self.finder)])
        run = Run()
        fixed = Fixing(self.finder, view, unsafe, run.reporting).fix()
        for trouble in run.troubles:
            raise SourceError(trouble.message)
        return fixed[0]

    def graph(self, paths: Iterable[Path]) -> tuple[Graph, list[Trouble]]:
        """The project that files make up, at a glance; with what could not be read of it."""
        from gpu_lint.facts.graph import graph_of
        from gpu_lint.judging import View
        from gpu_lint.reads import Read

        run = Run()
        reads: dict[str, Read] = {}
        for path in paths:
            with run.reporting(path):
                one = Read.of(read_source(path), self.finder)
                reads[one.file] = one
        view = View(self.finder, reads, reads)
        return graph_of(view.project, view.place), run.troubles

    # --- reading -------------------------------------------------------------------------

    def _view(self, survey: Survey, paths: Iterable[Path], run: Run) -> View | None:
        """The files as one project, of which those are read that a rule may speak of.

        None where there is no such file.
        """
        judged: list[str] = []
        paths = list(paths)
        graph = ImportGraph(
            lambda: self.rulebook.knowledge,
            self._read_beside,
            (),
            data=_data,
            note=survey.note,
            header=lambda data: survey.header(data),  # known when all have been looked at
        )
        if self._executor_for is not None:
            survey.look_ahead(paths, self._executor_for, graph.edges)
        for path in paths:
            try:
                if (file := survey.take(path)) is not None:
                    judged.append(file)
            except Exception as error:
                run.report(path, error)
            self._progress(1)
        judged += survey.broken()
        together = survey.together(judged, graph)
        graph.files = tuple(together)
        judged += survey.behind_masks(graph, frozenset(judged))
        run.clean = len(survey.files) - len(judged)
        if not judged:
            return None
        from gpu_lint.judging import View
        from gpu_lint.reads import Read

        reads = {file: Read(file, survey.files[file], self.finder) for file in judged}
        return View(self.finder, reads, together, graph, survey.note, survey.many(judged))

    def _judge_ahead(
        self, view: View, run: Run, waiting: Collection[Read], *, again: bool = False
    ) -> dict[str, tuple[Finding, ...] | None]:
        """The findings of files that others find, where that pays; None for those that failed.
        ``again``: they have been judged before, and changed since."""
        if self._executor_for is None or len(waiting) < 2:
            return {}
        work: Judging | None = None
        if (started := self._executor_for(0)) is not None:
            work = self._judging(view)
            started.begin(work)
        running = view.programs(one.file for one in waiting)
        programs = [(file, view.weight(file, True)) for file in running]
        others = [
            (one.file, view.weight(one.file, False)) for one in waiting if one.file not in running
        ]
        total = sum(weight for _, weight in (*programs, *others))
        executor = self._executor_for(total / 1e6)
        if executor is None:
            return {}
        work = work or self._judging(view)
        found: dict[str, tuple[Finding, ...] | None] = {}
        chunks = _dealt(programs, others, total // executor.count)
        for file, answer in executor.each(work, chunks):
            one = view.reads[file]
            if isinstance(answer, tuple):
                found[file] = answer
            else:
                found[file] = None
                run.failed(one.path, answer)
            self._progress(not again)
        return found

    def _judging(self, view: View) -> Judging:
        """What others must know to judge the files of a view."""
        from gpu_lint.work import Judging

        paths = {file: str(one.path) for file, one in view.reads.items()}
        together, edges = tuple(view.project.files), view.project.all_edges
        edits = {file: one.edits for file, one in view.reads.items() if one.edits}
        return Judging(self.finder.spec, view.notes, paths, together, view.outlined, edges, edits)

    def _read_beside(self, file: str) -> Reading | None:
        """The reading of a file that no rule speaks of, for what it does to others."""
        from gpu_lint.reads import read_beside

        return read_beside(file, self.finder)


def _dealt(
    programs: list[tuple[str, int]], others: list[tuple[str, int]], share: int
) -> list[list[str]]:
    """Files, each with its weight, in chunks, those first that are to be begun with.

    Programs import the same modules, which each process runs anew: so as few begin with them as can
    be, with a ``share`` of the work each, and what is left of them is for whoever is done first.
    """
    from gpu_lint.work import chunks_of

    whole = chunks_of(programs, share, _MOST_CHUNKS)
    last = whole.pop() if len(whole) > 1 else []
    left = programs[len(programs) - len(last) :]
    return [
        *whole,
        *chunks_of(others, _LEAST_CHUNK, _MOST_CHUNKS),
        *chunks_of(left, share // _SPLIT, _MOST_CHUNKS),
    ]


def _data(file: str) -> bytes | None:
    try:
        return read_bytes(file)
    except SourceError:
        return None
