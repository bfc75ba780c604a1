"""Which files of a run must be read: those of which some rule may speak.

Every file's bytes are looked at; what is looked for comes from the rules' ``needles``. A file
without any is never decoded further than to see that it could be, and never parsed.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_lint.facts.importgraph import ImportGraph
from gpu_lint.facts.needles import Touch, needles_for
from gpu_lint.policy import Policy
from gpu_lint.rulebook import Rule
from gpu_lint.settings import SettingsFinder
from gpu_lint.source import Source, check_decodes, decode_source, read_bytes

if TYPE_CHECKING:
    from gpu_lint.facts.reading import Reading

_BY_ITSELF = Touch.SETTINGS | Touch.FORKS | Touch.COMMENTS
_CHEAP = 2_000_000
"""Bytes of Python that are parsed in a quarter of a second."""
_BEHIND_A_MASK = Touch.DEVICES | Touch.CHILDREN | Touch.ENVIRONMENT


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the rules in force for a file look for."""

    touch: Touch
    policy: Policy | None
    demands: bool
    """A policy may demand something of the file, whatever stands in it."""
    syntax: bool
    """A syntax error is to be told of any file."""


class Survey:
    """Looks at the files of one run."""

    def __init__(self, finder: SettingsFinder, named: Collection[Path]) -> None:
        self._finder = finder
        self._named = frozenset(named)
        self._needles = needles_for(finder.rulebook.knowledge)
        self._wanted: dict[tuple[int, int], _Wanted] = {}
        self.files: dict[str, Path] = {}
        """Every file that can be read, by its absolute path."""
        self._passed: list[Path] = []
        self._passed_bytes = 0
        self._as_a_whole = False

    def take(self, path: Path) -> Source | None:
        """Look at a file; its source, if a rule may speak of it by what it shows alone.

        Raises :class:`SourceError` for a file that cannot be read or decoded, and
        :class:`gpu_lint.errors.ConfigError` for its configuration.
        """
        wanted = self._wanted_of(path)
        data = read_bytes(path)
        check_decodes(data)
        self.files[os.path.abspath(path)] = path
        if self._shows(data, wanted):
            self._as_a_whole = self._as_a_whole or wanted.demands
            return decode_source(path, data)
        if data and wanted.syntax:
            if path in self._named:
                self._passed.insert(0, path)
            else:
                self._passed.append(path)
                self._passed_bytes += len(data)
        return None

    def broken(self) -> Iterator[Source]:
        """Of the files in which no rule can find anything, those with a syntax error.

        They hide nothing from us. Where they are many, only those that were named are parsed.
        """
        if not self._passed:
            return
        from gpu_lint.facts.native import parse_quietly

        for path in self._passed:
            if path not in self._named and self._passed_bytes > _CHEAP:
                return
            source = decode_source(path, read_bytes(path))
            try:
                parse_quietly(source.text, "exec")
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                yield source

    def files_together(self, readings: Iterable[tuple[str, Reading | None]]) -> Iterable[str]:
        """The files that belong together, given those that were read.

        Where no file may set a variable, and no policy demands anything, each is for itself.
        """
        found = dict(readings)
        if self._as_a_whole or any(r is not None and r.decides for r in found.values()):
            return self.files
        return found

    def behind_masks(self, graph: ImportGraph, known: Collection[str]) -> Iterator[Source]:
        """Further files to read: those in whose process a variable may be set.

        Of files that do not belong together, each is asked for itself what it imports: those
        that were named. Of the others none sets anything, as far as they import one another.
        """
        whole = set(graph.files_under_settings()) if len(graph.files) > len(known) else set()
        for file, path in self.files.items():
            if file in known or not (file in whole or path in self._named):
                continue
            if graph.touch(file) & self._wanted_of(path).touch & _BEHIND_A_MASK:
                if file in whole or graph.decides(file):
                    yield decode_source(path, read_bytes(path))

    def _shows(self, data: bytes, wanted: _Wanted) -> bool:
        """Whether a file shows something that a rule looks for."""
        policy = wanted.policy
        if wanted.demands and policy is not None:
            if _everywhere(policy.header.required_in) or _everywhere(policy.validation.required_in):
                return True
            if b"import" in data:
                return True
        if self._needles.alone(data) & wanted.touch & _BY_ITSELF:
            return True
        return policy is not None and bool(self._needles.touch(data) & wanted.touch)

    def _wanted_of(self, path: Path) -> _Wanted:
        settings = self._finder.for_file(path)
        rules, policy = settings.rules_for(path), settings.policy_for(path)
        key = id(rules), id(policy)
        if key not in self._wanted or not settings.shares_rules:
            self._wanted[key] = _wanted(rules, policy)
        return self._wanted[key]


def _wanted(rules: dict[str, Rule], policy: Policy | None) -> _Wanted:
    needles: set[str] = set()
    for rule in rules.values():
        if policy is not None or not rule.needs_policy:
            needles |= rule.needles
    demands = policy is not None and "policy" in needles
    touch = Touch.named(needles - {"policy", "read"})
    return _Wanted(touch, policy, demands, "read" in needles)


def _everywhere(required_in: str | tuple[str, ...]) -> bool:
    return required_in == "all" or isinstance(required_in, tuple)
