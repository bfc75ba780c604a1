"""Findings of earlier runs: which of them still hold, and what they depend on."""

from __future__ import annotations

import os
from functools import cached_property

from gpu_lint.errors import SourceError
from gpu_lint.facts.dotenv import dotenv_paths
from gpu_lint.facts.limits import deep_recursion
from gpu_lint.findings import Judged
from gpu_lint.judging import View
from gpu_lint.notes import Note, digest_of
from gpu_lint.reads import Read
from gpu_lint.settings import SettingsFinder
from gpu_lint.survey import Survey


class Recall:
    """What was found in the files of a run before, kept in their notes."""

    def __init__(self, finder: SettingsFinder, survey: Survey, view: View) -> None:
        self._finder = finder
        self._note = survey.note
        self._view = view

    def known(self) -> dict[str, Judged]:
        """The findings that need not be found again, by file."""
        found = {file: self._of(read) for file, read in self._view.reads.items()}
        return {file: judged for file, judged in found.items() if judged is not None}

    def _of(self, read: Read) -> Judged | None:
        """What was found in a file, if nothing that this depends on has changed."""
        note = self._note(read.file)
        if note is None or note.findings is None:
            return None
        key, judged = note.findings
        try:
            with deep_recursion():
                return judged if key == self._dependencies(read, note) else None
        except SourceError:
            return None

    def keep(self, read: Read, judged: Judged) -> None:
        """Keep what was found in a file for later runs."""
        note = self._note(read.file)
        if note is not None:
            note.findings, note.grown = (self._dependencies(read, note), judged), True

    def _dependencies(self, read: Read, note: Note) -> str:
        """A digest of everything that decides what is found in a file."""
        project, file = self._view.project, read.file
        parts: list[object] = [
            note.digest,
            self._settings_digest,
            read.settings.policy_for(read.path),
            sorted(read.settings.rules_for(read.path)),
            sorted(project.loading.frameworks(file)),
            file in project.importers,
            self._view.commands(file),
            file in self._view.outlined,
            self._finder.kept_elsewhere(read.path),
            self._finder.pin_for(read.path),
            self._view.policy_modules.of(file),
        ]
        if project.may_do_something(file) or self._view.may_be_tried(read):
            parts += self._run_digest, self._unchangeable, self._commands, self._dotenvs
            reached = set(project.closure(file))
            for start in project.starts_reaching(file):
                reached |= project.closure(start)
            for started in project.launched.mentioned(file):
                reached |= project.closure(started)
            for other in sorted(reached - self._run_files):
                parts.append(digest_of(self._view.data(other) or b""))
        return _digest(parts)

    @cached_property
    def _run_files(self) -> frozenset[str]:
        return frozenset(self._view.project.files)

    @cached_property
    def _run_digest(self) -> str:
        """A digest of the content of every file of the run."""
        notes = ((file, self._note(file)) for file in self._view.project.files)
        return _digest([(file, note.digest) for file, note in notes if note is not None])

    @cached_property
    def _dotenvs(self) -> list[tuple[str, str]]:
        """The ``.env`` files that files of the run may read, with a digest of each."""
        home = str(self._finder.root)
        beside = {os.path.dirname(file): file for file in self._view.project.files}
        paths = {path for file in beside.values() for path in dotenv_paths(file, home)}
        found = [path for path in sorted(paths) if os.path.isfile(path)]
        return [(path, digest_of(self._view.data(path) or b"")) for path in found]

    @cached_property
    def _commands(self) -> list[object]:
        """The commands that call something in a file of the run."""
        return [found for file in self._view.project.files if (found := self._view.commands(file))]

    @cached_property
    def _unchangeable(self) -> list[str]:
        """The files that no fix may change."""
        return sorted(file for file, read in self._view.reads.items() if not read.may_change)

    @cached_property
    def _settings_digest(self) -> str:
        """A digest of where the run takes place, and of all configuration in force in it."""
        finder = self._finder
        return _digest([str(finder.root), finder.everything, finder.ignore_suppressions])


def _digest(parts: object) -> str:
    return digest_of(repr(parts).encode("utf-8", "surrogatepass"))
