"""What fixing has made of a program: what is found now that was not found before.

A fix is safe by its outcome. Findings are followed through the edits: one that stands where an
earlier one of its kind stood, or on a line that was moved as it is, is not new.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from gpu_lint.codemod.splice import following
from gpu_lint.findings import (
    Applicability,
    Edit,
    FileFindings,
    Finding,
    Fix,
    Misfit,
    MisfitKind,
)
from gpu_lint.records import record
from gpu_lint.source import Source, Span

Code: TypeAlias = "str | tuple[MisfitKind, int]"
"""A rule's code, or in the place of one what does not fit, and how many devices are shown."""
_OF_FILES = frozenset({"GPU101", "GPU103", "GPU105", "GPU301", (MisfitKind.ORDER, -1)})
"""What is found of a file as a whole: where that is shown does not matter."""
OF_HEADER = frozenset({"GPU101", "GPU102", "GPU103", "GPU104", "GPU105", "GPU106"})
OF_VALIDATION = frozenset({"GPU301", "GPU302", "GPU303", "GPU304"})
LEFT_OVER = frozenset({"GPU002"})
"""Rules about comments that no longer do anything when something has been fixed."""
_LONGEST_LINE = 60
"""Characters that are shown of a line."""
_SAID_BEFORE = LEFT_OVER | {"GPU118", "GPU203"}
"""Rules whose findings only describe what the program did before as well, or what a comment that
is left over no longer does."""


@record
class Origin:
    """Something that was found before anything was changed."""

    code: Code
    start: int
    line: str
    fix: Fix | None = None


@record
class New:
    """Something that is found after a change, and was not before."""

    code: Code
    line: str
    name: str = ""
    """What it is about, where the line does not name that."""
    asks: bool = False
    """It was there, but its fix had to be asked for, and now would be made without."""

    def told(self, file: str) -> str:
        """Why the change is no good, in words that follow its name."""
        line = self.line if len(self.line) <= _LONGEST_LINE else f"{self.line[:_LONGEST_LINE]}..."
        if isinstance(self.code, tuple):
            name = f": {self.name}" if self.name else ""
            return f"then `{line}` ({file}) {self.code[0].value}{name}"
        if self.asks:
            return f"then the fix of {self.code} at `{line}` ({file}) would no longer be asked for"
        return f"then {self.code} would be found at `{line}` ({file})"


@record
class Before:
    """What was found in a file before it was changed."""

    origins: tuple[Origin, ...]

    @classmethod
    def of(cls, found: FileFindings) -> Before:
        line_at = _lines_of(found.source)
        origins = [
            Origin(f.code, f.span.start, line_at(f.span.start), f.fix) for f in found.findings
        ]
        origins += [Origin(_code_of(one), one.start, line_at(one.start)) for one in found.unfit]
        return cls(tuple(origins))

    def origins_of(
        self, after: FileFindings, passes: Sequence[Sequence[Edit]]
    ) -> list[tuple[Finding | Misfit, Origin | None]]:
        """What is found now and from what each stems; None is new. The ``passes`` are the edits
        that were made, in their order."""
        now: list[tuple[Code, int, Finding | Misfit]] = [
            *((f.code, f.span.start, f) for f in after.findings),
            *((_code_of(one), one.start, one) for one in after.unfit),
        ]
        regions = [Span(o.start, o.start) for o in self.origins]
        cut = [origin.code in _OF_FILES for origin in self.origins]
        """Which may be found elsewhere now, as their line was taken away."""
        for edits in passes:
            is_cut = _cutting(edits)
            cut = [known or is_cut(at) for known, at in zip(cut, regions, strict=True)]
            moved = following(edits, after.source.encoding)
            regions = [moved(region) for region in regions]
        found: dict[int, Origin] = {}
        left = self._by_place(now, regions, cut, found)
        line_at = _lines_of(after.source)
        for position, (code, start, _) in enumerate(now):
            if position not in found:
                key: tuple[Code, str] = (code, "" if code in _OF_FILES else line_at(start))
                if left.get(key):
                    found[position] = left[key].pop(0)
        return [(one, found.get(position)) for position, (_, _, one) in enumerate(now)]

    def _by_place(
        self,
        now: list[tuple[Code, int, Finding | Misfit]],
        regions: list[Span],
        cut: list[bool],
        found: dict[int, Origin],
    ) -> dict[tuple[Code, str], list[Origin]]:
        """Match what is found now with what was found in the same place; what was cut and is left
        of the latter, by its code and line. Edits keep the order of places."""
        waiting: dict[Code, list[int]] = {}
        for number in sorted(range(len(regions)), key=lambda n: regions[n]):
            waiting.setdefault(self.origins[number].code, []).append(number)
        reached = dict.fromkeys(waiting, 0)
        left: dict[tuple[Code, str], list[Origin]] = {}

        def leave(number: int) -> None:
            if not cut[number]:
                return
            origin = self.origins[number]
            key: tuple[Code, str] = (origin.code, "" if origin.code in _OF_FILES else origin.line)
            left.setdefault(key, []).append(origin)

        for position in sorted(range(len(now)), key=lambda n: now[n][1]):
            code, start, _ = now[position]
            numbers = waiting.get(code, ())
            while reached.get(code, 0) < len(numbers):
                number = numbers[reached[code]]
                if regions[number].start > start:
                    break
                reached[code] += 1
                if start <= regions[number].end:
                    found[position] = self.origins[number]
                    break
                leave(number)
        for code, numbers in waiting.items():
            for number in numbers[reached[code] :]:
                leave(number)
        return left

    def new_in(self, after: FileFindings, passes: Sequence[Sequence[Edit]]) -> Iterator[New]:
        """What is found now and was not before."""
        line_at = _lines_of(after.source)
        for one, origin in self.origins_of(after, passes):
            if isinstance(one, Misfit):
                if origin is None:
                    yield New(_code_of(one), line_at(one.start), one.name)
            elif origin is None:
                if one.code not in _SAID_BEFORE:
                    yield New(one.code, line_at(one.span.start))
            elif _must_be_asked_for(origin.fix) and _is_made_without(one.fix):
                yield New(one.code, line_at(one.span.start), asks=True)


def _code_of(one: Misfit) -> Code:
    return one.kind, one.shown


def _must_be_asked_for(fix: Fix | None) -> bool:
    return fix is not None and fix.applicability is Applicability.UNSAFE


def _is_made_without(fix: Fix | None) -> bool:
    return fix is not None and fix.applicability is Applicability.SAFE


def _cutting(edits: Sequence[Edit]) -> Callable[[Span], bool]:
    """Return what tells whether edits that do not overlap take a place away."""
    ordered = sorted({edit.span for edit in edits if edit.span.end > edit.span.start})
    starts = [span.start for span in ordered]

    def is_cut(place: Span) -> bool:
        number = bisect_right(starts, place.start) - 1
        return number >= 0 and place.start < ordered[number].end

    return is_cut


def _lines_of(source: Source) -> Callable[[int], str]:
    return lambda offset: source.line(source.row(offset)).strip()
