"""Reports: one module per output format, each a function from results to text."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

from gpu_lint.errors import Trouble
from gpu_lint.findings import FileFindings
from gpu_lint.records import record
from gpu_lint.rulebook import Rulebook

FORMATS = ("full", "concise", "json", "github", "gitlab", "junit", "sarif")
FOR_PROGRAMS = frozenset(FORMATS) - {"full", "concise"}
"""Formats that programs read: they are UTF-8 wherever they go."""


@record
class ReportOptions:
    """What a report may need besides the results."""

    rulebook: Rulebook
    base: Path
    """The directory that paths are shown relative to."""
    root: Path
    """The directory that CI systems take paths to be relative to: the repository's root."""
    color: bool = False
    width: int | None = None
    """How many cells wide the terminal is; None if there is none."""
    troubles: tuple[Trouble, ...] = ()
    """The paths that could not be checked."""


Renderer: TypeAlias = "Callable[[Iterable[FileFindings], ReportOptions], str]"
"""It may go over the results more than once."""


class _OneByOne:
    """Results of which one at a time is unfolded: what a report works out of a source is let go
    when it comes to the next."""

    def __init__(self, results: list[FileFindings]) -> None:
        self._results = results

    def __iter__(self) -> Iterator[FileFindings]:
        for result in self._results:
            yield result
            result.source.forget()


def render(name: str, results: list[FileFindings], options: ReportOptions) -> str:
    """The report in a format of :data:`FORMATS`; only that format's module is imported."""
    module = import_module(f"gpu_lint.reports.{name}")
    renderer: Renderer = module.render
    return renderer(_OneByOne(results), options)


def shown_path(path: Path, base: Path) -> str:
    """A path relative to a directory where it lies below it, with forward slashes."""
    here = os.getcwd()
    whole, above = os.path.join(here, path), os.path.join(here, base, "")
    if whole.startswith(above):
        return whole[len(above) :].replace(os.sep, "/")
    try:
        return path.absolute().relative_to(base.absolute()).as_posix()
    except ValueError:
        return path.as_posix()
