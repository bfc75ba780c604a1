"""Runs the whole way for every file: survey, reading, facts, checks, findings, fixes.

``check``, ``fix``, the hooks and the tests all come through here. What only files with GPU code
need is imported when the first of them turns up: most runs find none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_lint.discovery import MANY
from gpu_lint.errors import ConfigError, SourceError, Trouble, internal
from gpu_lint.facts.importgraph import ImportGraph
from gpu_lint.progress import NoProgress, Progress, Trying
from gpu_lint.settings import SettingsFinder
from gpu_lint.source import Source, Span, read_bytes, read_source
from gpu_lint.survey import Survey

if TYPE_CHECKING:
    from gpu_lint.cache import Cache
    from gpu_lint.facts.graph import Graph, Program
    from gpu_lint.facts.reading import Reading
    from gpu_lint.findings import FileFindings, FixedFile, Judged
    from gpu_lint.judging import View
    from gpu_lint.reads import Read
    from gpu_lint.relevance import Why
    from gpu_lint.work import Executor, Failed
    from gpu_lint.writing import Writing, Written

_SECONDS_OF_A_FILE = 0.0015
"""That a policy's check takes of a file of usual size (``bench/scale.py``)."""


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


def start_for_many(
    path: Path, finder: SettingsFinder, executor_for: Callable[[float], Executor | None]
) -> None:
    """Let others get started while files are still being looked for: of ``path`` and many more
    nothing is known. Where no policy is in force they may have next to nothing to do."""
    if finder.for_file(path).policy_for(path) is not None:
        executor = executor_for(MANY * _SECONDS_OF_A_FILE)
        if executor is not None:
            executor.start()


class Engine:
    """Checks and fixes files under the settings that a finder finds for each."""

    def __init__(
        self,
        finder: SettingsFinder,
        progress: Progress | None = None,
        cache: Cache | None = None,
        executor_for: Callable[[float], Executor | None] | None = None,
    ) -> None:
        """``progress`` counts every phase and every file that is done in it.
        ``executor_for`` tells who should do work that takes so many seconds in one process: None
        is this process. Of no seconds, it is whoever has been started already."""
        self.finder = finder
        self._executor_for = executor_for
        self._cache = cache
        self.rulebook = finder.rulebook
        self._progress = progress or NoProgress()

    def check(
        self,
        paths: Iterable[Path],
        named: Collection[Path] = (),
        importers: Collection[Path] = (),
    ) -> Run:
        """Check files; those that are ``named`` are asked for syntax errors, and for what they
        import, even where they show nothing that a rule looks for. Further files, the
        ``importers`` of those, are checked with them; no fix on offer changes one."""
        run = Run()
        survey = Survey(self.finder, named, self._cache)
        view = self._view(survey, paths, run, importers)
        if view is not None:
            from gpu_lint.findings import FileFindings
            from gpu_lint.recall import Recall

            recall = None if self._cache is None else Recall(self.finder, survey, view)
            known = {} if recall is None else recall.known()
            found = dict(self._found(view, run, known))
            found.update(self._tried(view, found, known))
            for file, one in view.reads.items():
                if file in found and not one.is_new:
                    with run.reporting(one.path):
                        if recall is not None and file not in known:
                            recall.keep(one, found[file])
                        run.files.append(FileFindings.of(one.source, found[file]))
                        one.source.forget()
        if self._cache is not None:
            self._cache.save()
        return run

    def _found(
        self, view: View, run: Run, known: Mapping[str, Judged]
    ) -> Iterator[tuple[str, Judged]]:
        """The findings of each file that can be judged, first of those whose are known."""
        self._progress.begin("Checking", len(view.reads))
        for file, judged in known.items():
            self._progress.advance()
            yield file, judged
        waiting = {file: one for file, one in view.reads.items() if file not in known}
        for file, answer in self._judge_ahead(view, run, list(waiting.values())):
            del waiting[file]
            if answer is not None:
                yield file, answer
        for file, one in waiting.items():
            answer = None
            with run.reporting(one.path):
                answer = view.judged(one)
                view.forget(one)
            self._progress.advance()
            if answer is not None:
                yield file, answer

    def _tried(
        self, view: View, found: Mapping[str, Judged], known: Mapping[str, Judged]
    ) -> dict[str, Judged]:
        """The findings whose fixes fixing would leave out, with these as unsafe: a fix is safe by
        what comes of it. Of findings that are ``known`` from an earlier run that was told then."""
        tried = view.to_be_tried(found)
        if not any(file not in known and found[file].has_safe_fix for file in tried):
            return {}
        from gpu_lint.fixing import Fixing, Others

        scratch, progress = Run(), Trying(self._progress)
        others = Others(
            self._executor_for or (lambda seconds: None),
            lambda view, reads: dict(self._judge_ahead(view, scratch, reads)),
            progress,
        )
        fixing = Fixing(self.finder, view, False, scratch.reporting, others, found)
        left_out = fixing.trial(tried)
        return {
            file: found[file].without({c.fix: why for c, why in left_out.items() if c.file == file})
            for file in dict.fromkeys(change.file for change in left_out)
        }

    def check_source(self, source: Source) -> FileFindings:
        """Check one source, wherever it came from. Raises :class:`SourceError`."""
        from gpu_lint.facts.limits import deep_recursion
        from gpu_lint.findings import FileFindings
        from gpu_lint.judging import View
        from gpu_lint.reads import Read

        with deep_recursion():
            one = Read.of(source, self.finder)
            view = View.of(self.finder, [one]).with_new_files(None)
            found = {file: view.judged(read) for file, read in view.reads.items()}
            found.update(self._tried(view, found, {}))
            return FileFindings.of(source, found[one.file])

    def fix(
        self,
        paths: Iterable[Path],
        named: Collection[Path] = (),
        importers: Collection[Path] = (),
        *,
        unsafe: bool,
        writing: Writing | None,
        blocked: bool = False,
    ) -> Run:
        """Fix files; without a ``writing``, only say what would change. ``blocked``: something
        else stands in the way already of fixing all. The ``importers`` of the ``named`` files are
        judged with them and stay as they are.

        Raises :class:`gpu_lint.errors.JournalError` with every file as it was.
        """
        run = Run()
        view = self._view(Survey(self.finder, named, self._cache), paths, run, importers)
        if view is not None:
            from gpu_lint.fixing import Fixing, Others

            others = Others(
                self._executor_for or (lambda seconds: None),
                lambda view, reads: dict(self._judge_ahead(view, run, reads)),
                self._progress,
            )
            self._progress.begin("Checking", len(view.reads))
            ahead = dict(self._judge_ahead(view, run, list(view.reads.values())))
            run.fixed = Fixing(self.finder, view, unsafe, run.reporting, others, ahead).fix()
            if writing is not None:
                self._progress.begin("Writing", None)
                self.write(run, writing, blocked)
            run.files = [one.after for one in run.fixed]
        return run

    def write(self, run: Run, writing: Writing, blocked: bool) -> None:
        """Put the fixed files in their places; those that cannot be are as they were."""
        from gpu_lint.findings import FixedFile
        from gpu_lint.repository import tree_of
        from gpu_lint.writing import Replacement, Written

        wanted = [
            Replacement(
                one.before.path,
                tree_of(one.before.path, self.finder.root),
                None if one.is_new else one.before.source.data,
                one.after.source.data,
                needs=one.needs,
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
            if one.before.path in done or not one.is_new
        ]

    def fix_source(self, source: Source, *, unsafe: bool = False) -> FixedFile:
        """Fix one source in memory. Raises :class:`SourceError`."""
        from gpu_lint.facts.limits import deep_recursion
        from gpu_lint.fixing import Fixing
        from gpu_lint.judging import View
        from gpu_lint.reads import Read

        run = Run()
        with deep_recursion():
            view = View.of(self.finder, [Read.of(source, self.finder)]).with_new_files(None)
            fixed = Fixing(self.finder, view, unsafe, run.reporting).fix()
        for trouble in run.troubles:
            raise SourceError(trouble.message)
        return fixed[0]

    def graph(self, paths: Iterable[Path]) -> tuple[Graph, list[Trouble]]:
        """The project that files make up, at a glance; with what could not be read of it."""
        from gpu_lint.facts.graph import graph_of
        from gpu_lint.facts.limits import deep_recursion

        view, troubles = self._overview(paths)
        with deep_recursion():
            return graph_of(view.project, view.place, view.standing), troubles

    def programs(
        self, paths: Iterable[Path], named: Collection[Path]
    ) -> tuple[dict[Path, Program], list[Trouble]]:
        """Return what the entry points among a project's files, and those that are ``named``, are
        when they are started; with what could not be read of the project."""
        from gpu_lint.facts.graph import program_of
        from gpu_lint.facts.limits import deep_recursion

        view, troubles = self._overview(paths)
        found: dict[Path, Program] = {}
        with deep_recursion():
            for file, read in view.reads.items():
                standing = view.standing(file)
                if standing.entry_point or read.path in named:
                    found[read.path] = program_of(view.project, file, standing)
        return found, troubles

    def _overview(self, paths: Iterable[Path]) -> tuple[View, list[Trouble]]:
        """Read all files of a project, whether a rule speaks of them or not."""
        from gpu_lint.judging import View
        from gpu_lint.reads import Read

        run = Run()
        reads: dict[str, Read] = {}
        for path in paths:
            with run.reporting(path):
                one = Read.of(read_source(path), self.finder)
                if one.fault is None:
                    reads[one.file] = one
                else:
                    row = one.source.text.count("\n", 0, one.fault.character) + 1
                    run.troubles.append(Trouble(path, f"is left out: {one.fault} on line {row}"))
        return View(self.finder, reads, reads, for_people=True), run.troubles

    def why(self, paths: Iterable[Path], path: Path) -> tuple[str, Why]:
        """What one of some files is called in messages, and what is demanded of it, and why.

        Raises :class:`SourceError` where it cannot be read.
        """
        from gpu_lint.facts.limits import deep_recursion
        from gpu_lint.judging import View
        from gpu_lint.reads import Read

        paths, file = list(paths), os.path.abspath(path)
        checked = self._view(Survey(self.finder, (path,), self._cache), paths, Run(), ())
        is_judged = checked is not None and file in checked.reads
        reads = {(one := os.path.abspath(p)): Read(one, p, self.finder) for p in paths}
        view = View(self.finder, reads, reads, for_people=True)
        with deep_recursion():
            if (fault := reads[file].fault) is not None:
                raise SourceError(str(fault))
            is_run = is_judged and checked is not None and checked.project.may_do_something(file)
            return view.place(file, Span(0, 0))[0], view.why(file, is_judged, is_run)

    # --- reading -------------------------------------------------------------------------

    def _view(
        self, survey: Survey, paths: Iterable[Path], run: Run, importers: Collection[Path]
    ) -> View | None:
        """The files and their importers as one project, of which those are read that a rule may
        speak of.

        None where there is no such file.
        """
        judged: list[str] = []
        paths = [*paths, *filter(os.path.lexists, importers)]
        unchangeable = frozenset(map(os.path.abspath, importers))
        graph = ImportGraph(
            lambda: self.rulebook.knowledge,
            self._read_beside,
            (),
            data=_data,
            note=survey.note,
            header=lambda data: survey.header(data),  # known when all have been looked at
        )
        self._progress.begin("Reading", len(paths))
        ahead = 0
        if self._executor_for is not None:
            if self._executor_for(0) is not None:  # while others look
                from threading import Thread

                Thread(target=import_module, args=("gpu_lint.judging",), daemon=True).start()
            ahead = survey.look_ahead(paths, self._executor_for, graph.edges, self._progress)
        for number, path in enumerate(paths):
            try:
                if (file := survey.take(path)) is not None:
                    judged.append(file)
            except Exception as error:
                run.report(path, error)
            if number >= ahead:
                self._progress.advance()
        if self._executor_for is not None:
            survey.look_closer(self._executor_for, graph, self._progress)
        self._progress.begin("Resolving imports", None)
        judged += survey.broken()
        together = survey.together(judged, graph)
        graph.files = tuple(together)
        judged += survey.behind_masks(graph, frozenset(judged))
        run.clean = len(survey.files) - len(judged)
        if not judged:
            return None
        from gpu_lint.judging import View
        from gpu_lint.reads import Read

        reads = {
            file: Read(file, survey.files[file], self.finder, may_change=file not in unchangeable)
            for file in judged
        }
        view = View(self.finder, reads, together, graph, survey.note, survey.many(judged))
        view = view.with_new_files(unchangeable)
        run.clean = len(survey.files.keys() - view.reads.keys())
        return view

    def _judge_ahead(
        self, view: View, run: Run, waiting: Collection[Read]
    ) -> Iterator[tuple[str, Judged | None]]:
        """The findings of files that others find, where that pays, as they are found; None for
        those that failed."""
        if self._executor_for is None or len(waiting) < 2:
            return
        from gpu_lint.shares import judged_by_others
        from gpu_lint.work import Failed

        others = judged_by_others(
            view, self.finder.spec, waiting, self._executor_for, self._progress
        )
        for file, answer in others:
            if isinstance(answer, Failed):
                run.failed(view.reads[file].path, answer)
                yield file, None
            else:
                yield file, answer
            self._progress.advance()

    def _read_beside(self, file: str) -> Reading | None:
        """The reading of a file that no rule speaks of, for what it does to others."""
        from gpu_lint.reads import read_beside

        return read_beside(file, self.finder)


def _data(file: str) -> bytes | None:
    try:
        return read_bytes(file)
    except SourceError:
        return None
