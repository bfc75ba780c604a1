"""The writes of a file in the order of its text: what is put back, and what is written again."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from gpu_lint.facts.model import Certainty, Form, Setting
from gpu_lint.facts.values import EnvironmentValue, Value, alternatives
from gpu_lint.source import Span


@dataclass(eq=False, slots=True)
class _Row:
    """The writes of one variable in one function, in the order of the text."""

    settings: list[Setting] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    """Where each statement begins, as a byte offset."""
    same_since: list[int] = field(default_factory=list)
    """The number of the first of those in a row that write the same as each."""
    replaced_by: int | None = None
    """Where the first statement ends that puts something else in the place of what the parent
    process left; None without one."""
    last_in_time: int = -1
    """Where the last write begins that comes before any use; -1 without one."""

    def add(self, setting: Setting) -> None:
        """Take in the next write."""
        number = len(self.settings)
        goes_on = number > 0 and self.settings[-1].value == setting.value
        self.settings.append(setting)
        self.starts.append(setting.span.start)
        self.same_since.append(self.same_since[-1] if goes_on else number)
        is_parents = any(held.value is None for held in setting.before)
        if self.replaced_by is None and is_parents and not _holds_itself(setting):
            self.replaced_by = setting.span.end
        if setting.value is not None and setting.frozen.certainty is Certainty.NEVER:
            self.last_in_time = setting.span.start

    def last_other(self, setting: Setting) -> Setting | None:
        """The last write before another one that writes something else than it."""
        number = bisect_left(self.starts, setting.span.start) - 1
        while number >= 0 and self.settings[number].span.end > setting.span.start:
            number -= 1
        if number >= 0 and self.settings[number].value == setting.value:
            number = self.same_since[number] - 1
        return self.settings[number] if number >= 0 else None


class Rewrites:
    """Some writes, by variable, function and statement: no question looks through all of them."""

    def __init__(self, settings: Iterable[Setting]) -> None:
        self._rows: dict[tuple[str, str], _Row] = {}
        self._ends: dict[tuple[str, Value | None], int] = {}
        """Where the first statement ends that writes a value to a variable."""
        self._statements: dict[Span, list[Setting]] = {}
        self._settings = tuple(settings)
        for setting in self._settings:
            self._statements.setdefault(setting.span, []).append(setting)
        for setting in sorted(self._settings, key=lambda one: one.span.start):
            self._rows.setdefault((setting.variable, setting.function), _Row()).add(setting)
            written = setting.variable, setting.value
            self._ends[written] = min(setting.span.end, self._ends.get(written, setting.span.end))

    def of_statement(self, span: Span) -> Sequence[Setting]:
        """The writes of the statement at a span."""
        return self._statements.get(span, ())

    def is_put_back(self, setting: Setting) -> bool:
        """Whether a write puts back what another one has written, in this file or before its
        function is reached, after a third in its function wrote something else, or removed it."""
        row = self._rows.get((setting.variable, setting.function))
        if row is None:
            return False
        between = row.last_other(setting)
        first = self._ends.get((setting.variable, setting.value))
        if between is not None and first is not None and first <= between.span.start:
            return True
        found = row.settings[0]
        return (
            setting.value is not None
            and found.value != setting.value
            and found.span.end <= setting.span.start
            and any(held.value == setting.value for held in found.before)
        )

    def is_restore(self, setting: Setting) -> bool:
        """Whether a write gives back what its function found in the variable, after it has put
        something else there, or taken it away; or does so with others, of which one is such."""
        return self.gives_back_parents(setting) or self.is_put_back(setting)

    def gives_back_parents(self, setting: Setting) -> bool:
        """The same of a write that gives back what the parent process had set."""
        return _holds_itself(setting) and any(
            self._replaced_parents(other)
            for other in self.of_statement(setting.span)
            if _holds_itself(other) and other.function == setting.function
        )

    def _replaced_parents(self, setting: Setting) -> bool:
        """Whether something else stood in the place of what the parent process had set."""
        row = self._rows.get((setting.variable, setting.function))
        return (
            row is not None
            and row.replaced_by is not None
            and row.replaced_by <= setting.span.start
        )

    def is_written_again(self, setting: Setting) -> bool:
        """Whether the function of a write, or removal, writes the variable later, in time."""
        row = self._rows.get((setting.variable, setting.function))
        return row is not None and row.last_in_time > setting.span.start

    def given_back(self, settings: Iterable[Setting]) -> dict[tuple[str, str], int]:
        """Where, as a byte offset, some writes last give a variable back what it held, by its name
        and the function in which that is done."""
        found: dict[tuple[str, str], int] = {}
        for setting in settings:
            if setting.value is None:
                continue
            gives_back = self._replaced_parents if _holds_itself(setting) else self.is_put_back
            if gives_back(setting):
                place = setting.variable, setting.function
                found[place] = max(found.get(place, 0), setting.span.start)
        return found

    def early_removals(self) -> Iterator[Setting]:
        """The removals before CUDA has surely read the variable, if nothing is written again in
        their function."""
        early = [s for s in self._settings if s.frozen.certainty is not Certainty.ALWAYS]
        given_back = self.given_back(early)
        for setting in early:
            if setting.form is Form.REMOVE and not self.is_written_again(setting):
                if (setting.variable, setting.function) not in given_back:
                    yield setting


def _holds_itself(setting: Setting) -> bool:
    """Whether a write puts into a variable what the parent process has set."""
    held = EnvironmentValue(setting.variable)
    return setting.value is not None and held in alternatives(setting.value)
