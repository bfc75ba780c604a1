"""Which files of a run must be read: those of which some rule may speak.

Every file's bytes are looked at; what is looked for comes from the rules' ``needles``. A file
without any is never decoded further than to see that it could be, and never parsed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_lint.errors import SourceError
from gpu_lint.facts.importgraph import ImportGraph
from gpu_lint.facts.touch import Touch
from gpu_lint.notes import Note, digest_of
from gpu_lint.progress import Progress
from gpu_lint.relevance import Wanted
from gpu_lint.settings import SettingsFinder
from gpu_lint.source import Span, check_decodes, decode_source, read_bytes

if TYPE_CHECKING:
    from gpu_lint.cache import Cache
    from gpu_lint.facts.needles import Needles
    from gpu_lint.work import Executor, Failed

_CHEAP = 2_000_000
"""Bytes of Python that are parsed in a quarter of a second."""
_LEAST_CHUNK, _MOST_CHUNKS = 500_000, 1_000
"""Bytes of a chunk of files that another process looks at, and how many there are."""
_SECONDS, _SECONDS_WHOLE = 1e-8, 1e-7
"""That one process takes to look at a byte, without a policy and with one (``bench/scale.py``)."""
_SAMPLE = 500
"""Files that are asked for their size to tell how large all are."""
_BEHIND_A_MASK = Touch.DEVICES | Touch.HANDED | Touch.CHILDREN | Touch.ENVIRONMENT


class Survey:
    """Looks at the files of one run."""

    def __init__(
        self, finder: SettingsFinder, named: Collection[Path] = (), cache: Cache | None = None
    ) -> None:
        self._finder = finder
        self._named = frozenset(named)
        self._cache = cache
        self._wanted: dict[tuple[int, int], Wanted] = {}
        self.files: dict[str, Path] = {}
        """Every file that can be read, by its absolute path."""
        self._ahead: dict[str, Note] = {}
        self._failed: dict[str, Failed] = {}
        self._passed: list[tuple[str, int]] = []
        self._as_a_whole = False
        self._may_set = False
        """A file of which a rule may speak shows a variable."""
        self._shown = 0
        """Bytes of the files that show something."""
        self._absolute = AbsolutePaths()
        self._last: tuple[str, Wanted] | None = None
        """The directory of the last file, and what is looked for in all that are in it."""

    @cached_property
    def _needles(self) -> Needles:
        from gpu_lint.facts.needles import needles_for

        return needles_for(self._finder.rulebook.knowledge)

    def _unknown(self, paths: Collection[Path]) -> dict[str, os.stat_result]:
        """The files of which nothing is kept that still holds, by their absolute paths."""
        found: dict[str, os.stat_result] = {}
        for path in paths:
            with contextlib.suppress(OSError):
                file, status = self._absolute(path), os.stat(path)
                if self._cache is None or self._cache.unchanged(file, status) is None:
                    found[file] = status
        return found

    def look_ahead(
        self,
        paths: Collection[Path],
        executor_for: Callable[[float], Executor | None],
        follow: Callable[[str], object],
        progress: Progress,
    ) -> int:
        """Let others look at the files of which nothing is known, where that pays; of what others
        import, ``follow`` is told while these are still at it. Returns how many files they have
        looked at, of each of which ``progress`` is told."""
        if not paths:
            return 0
        policy = self._wanted_of(next(iter(paths))).policy  # of one for all: it is an estimate
        cost = _SECONDS if policy is None else _SECONDS_WHOLE
        if self._cache is None and executor_for(_bytes_about(paths) * cost) is None:
            return 0
        waiting = self._unknown(paths)
        weights = [(file, status.st_size) for file, status in waiting.items()]
        executor = executor_for(sum(size for _, size in weights) * cost) if waiting else None
        if executor is None:
            return 0
        whole = any(self._wanted_of(path).policy is not None for path in paths)
        from gpu_lint.work import Failed, Looking, chunks_of

        chunks = chunks_of(weights, _LEAST_CHUNK, _MOST_CHUNKS)
        for file, answer in executor.each(Looking(whole, self._finder.spec.packs), chunks):
            if isinstance(answer, Failed):
                self._failed[file] = answer
            elif self._cache is None:
                self._ahead[file] = answer
            elif self._cache.of_content(file, waiting[file], answer.digest) is None:
                self._cache.add(file, waiting[file], answer)
            if whole and self.note(file) is not None:
                follow(file)
            progress.advance()
        return len(waiting)

    def look_closer(
        self,
        executor_for: Callable[[float], Executor | None],
        graph: ImportGraph,
        progress: Progress,
    ) -> None:
        """Where a file that was taken may set a variable, it is asked of all what they import, do
        and set: let others find that out, where it pays; the ``graph`` follows what others import
        while these are still at it."""
        if not self._may_set:
            return
        weights: list[tuple[str, int]] = []
        for file in self.files:
            if self._is_to_be_looked_at(file, graph):
                with contextlib.suppress(OSError):
                    weights.append((file, os.stat(file).st_size))
        executor = executor_for(sum(size for _, size in weights) * _SECONDS_WHOLE)
        if not weights or executor is None:
            return
        from gpu_lint.work import Failed, Looking, chunks_of

        progress.begin("Resolving imports", len(weights))
        looking = Looking(True, self._finder.spec.packs, decides=True)
        for file, seen in executor.each(looking, chunks_of(weights, _LEAST_CHUNK, _MOST_CHUNKS)):
            progress.advance()
            if isinstance(seen, Failed):
                continue  # the first process finds the same when it needs to know, and reports it
            if self._cache is None:
                self._ahead[file] = seen
            elif (known := self._cache.note(file)) is not None and known.digest == seen.digest:
                known.touch, known.skimmed, known.decides = seen.touch, seen.skimmed, seen.decides
                known.grown = True
            graph.edges(file)

    def _is_to_be_looked_at(self, file: str, graph: ImportGraph) -> bool:
        """Whether it is not known what a file imports, or sets beside the header that all have."""
        note = self.note(file)
        if note is None or note.skimmed is None:
            return True
        shows = note.decides is None and note.alone & Touch.SETTINGS
        return bool(shows) and graph.header(file) is None

    def take(self, path: Path) -> str | None:
        """Look at a file; its absolute path, if a rule may speak of it by what it shows alone.

        Raises :class:`SourceError` for a file that cannot be read or decoded, and
        :class:`gpu_lint.errors.ConfigError` for its configuration.
        """
        wanted = self._wanted_of(path)
        file = self._absolute(path)
        if (failed := self._failed.get(file)) is not None:
            raise SourceError(failed.message)
        note = self._ahead.get(file)
        if note is not None:
            alone, size = note.alone, note.size
        elif self._cache is None:
            data = read_bytes(path)
            check_decodes(data)
            alone, size = self._needles.alone(data), len(data)
        else:
            note = self._noted(self._cache, file, path)
            alone, size = note.alone, note.size
        self.files[file] = path
        if self._shows(file, alone, wanted):
            self._as_a_whole = self._as_a_whole or wanted.demands
            self._may_set = self._may_set or bool(alone.value & Touch.SETTINGS.value)
            self._shown += size
            return file
        if size and wanted.syntax and not (note is not None and note.parses):
            self._passed.append((file, size))
        return None

    def _noted(self, cache: Cache, file: str, path: Path) -> Note:
        """The note of a file, begun if there is none that still holds."""
        try:
            status = os.stat(path)
        except OSError as error:
            raise SourceError(f"cannot be read: {error.strerror or error}") from error
        note = cache.unchanged(file, status)
        if note is not None:
            return note
        data = read_bytes(path)
        digest = digest_of(data)
        note = cache.of_content(file, status, digest)
        if note is None:
            check_decodes(data)
            alone = self._needles.alone(data)
            note = cache.add(file, status, Note.begun(data, alone))
        return note

    def note(self, file: str) -> Note | None:
        """What is kept of a file of this run."""
        if (note := self._ahead.get(file)) is not None:
            return note
        return self._cache.note(file) if self._cache is not None else None

    @cached_property
    def header(self) -> Callable[[bytes], Span | None]:
        """Finds in a file's bytes the header that all files have alike; to be asked for when all
        files have been looked at."""
        if not self._as_a_whole:
            return lambda data: None
        from gpu_lint.headers import SettledHeaders

        policies = [wanted.policy for wanted in self._wanted.values()]
        return SettledHeaders(policies, self._finder.rulebook).span_in

    def broken(self) -> Iterator[str]:
        """Of the files in which no rule can find anything, those with a syntax error.

        They hide nothing from us. Where they are many, only those that were named are parsed.
        """
        many = sum(size for _, size in self._passed) > _CHEAP
        chosen = [f for f, _ in self._passed if not many or self.files[f] in self._named]
        if not chosen:
            return
        from gpu_lint.facts.quiet import parse_quietly

        for file in chosen:
            try:
                data = read_bytes(file)
                self._finder.for_file(self.files[file]).limits.check_size(data)
                parse_quietly(decode_source(self.files[file], data).text, "exec")
            except (SourceError, SyntaxError, ValueError, RecursionError, MemoryError):
                yield file
            else:
                if (note := self.note(file)) is not None:
                    note.parses, note.grown = True, True

    def many(self, judged: Collection[str]) -> frozenset[str]:
        """Of the files that rules may speak of, those that were not named, if they are many."""
        if self._shown <= _CHEAP:
            return frozenset()
        return frozenset(file for file in judged if self.files[file] not in self._named)

    def together(self, judged: Collection[str], graph: ImportGraph) -> Collection[str]:
        """The files that belong together, given those that rules may speak of.

        Where no file may set a variable, and no policy demands anything, each is for itself.
        """
        whole = self._as_a_whole or any(graph.mentions(file) for file in judged)
        return self.files if whole else judged

    def behind_masks(self, graph: ImportGraph, judged: Collection[str]) -> list[str]:
        """Further files of which rules may speak: those in whose process a variable may be set.

        Of files that do not belong together, each is asked for itself what it imports: those
        that were named. Of the others none sets anything, as far as they import one another.
        """
        whole = set(graph.files_under_settings()) if len(graph.files) > len(judged) else set()
        if not whole and not self._named:
            return []
        return [
            file
            for file, path in self.files.items()
            if file not in judged
            and (file in whole or path in self._named)
            and (file in whole or graph.decides(file))
            and self._is_concerned(file, graph)
        ]

    def _is_concerned(self, file: str, graph: ImportGraph) -> bool:
        """Whether a mask may decide about something in a file."""
        wanted = self._wanted_of(self.files[file]).touch
        if graph.touch(file) & wanted & _BEHIND_A_MASK:
            return True
        return bool(wanted & Touch.PASSED) and graph.is_handed(file, everywhere=False)

    def _shows(self, file: str, alone: Touch, wanted: Wanted) -> bool:
        """Whether a file shows something that a rule looks for."""
        if (shows := wanted.decides_alone(alone)) is not None:
            return shows
        note = self.note(file)
        if note is None:
            return bool(self._needles.touch(read_bytes(file)) & wanted.touch)
        if note.touch is None:
            note.touch, note.grown = self._needles.touch(read_bytes(file)), True
        return bool(note.touch & wanted.touch)

    def _wanted_of(self, path: Path) -> Wanted:
        directory = os.path.dirname(path)
        if self._last is not None and self._last[0] == directory:
            return self._last[1]
        settings = self._finder.for_file(path)
        rules, policy = settings.rules_for(path), settings.policy_for(path)
        key = id(rules), id(policy)
        if key not in self._wanted or not settings.shares_rules:
            self._wanted[key] = Wanted.by(rules, policy)
        self._last = (directory, self._wanted[key]) if settings.shares_all else None
        return self._wanted[key]


class AbsolutePaths:
    """``os.path.abspath`` of many paths that are mostly plain, while the directory stays."""

    def __init__(self) -> None:
        self._here = os.path.join(os.getcwd(), "")

    def __call__(self, path: Path) -> str:
        text = str(path)
        if os.name == "nt" or ".." in text or text == ".":
            return os.path.abspath(text)
        return text if text.startswith("/") else self._here + text


def _bytes_about(paths: Collection[Path]) -> int:
    """How many bytes files have, judged by some of them."""
    step = len(paths) // _SAMPLE + 1
    total = 0
    for path in islice(paths, 0, None, step):
        with contextlib.suppress(OSError):
            total += os.stat(path).st_size
    return total * step
