"""``fix --interactive``: show what would change in each file, and ask."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import click

from gpu_lint.cli.output import tell
from gpu_lint.engine import Run
from gpu_lint.findings import FixedFile
from gpu_lint.printable import printable
from gpu_lint.reports import shown_path
from gpu_lint.reports.summary import diff

_MEANT = {
    **dict.fromkeys(("y", "yes"), "y"),
    **dict.fromkeys(("n", "no"), "n"),
    **dict.fromkeys(("a", "all"), "all"),
    **dict.fromkeys(("q", "quit"), "quit"),
}


@dataclass
class Answers:
    """What was answered, file by file."""

    refused: set[Path] = field(default_factory=set)
    interrupted: bool = False
    _accepted: dict[Path, bytes] = field(default_factory=dict)
    """What each file that may be changed is to hold, as it was shown."""
    _of_the_rest: str = ""
    """``y`` or ``n`` for every file that is not shown any more."""

    def ask(self, fixed: Collection[FixedFile]) -> None:
        """Ask about each file that would change and was not shown as it would be; Ctrl-C refuses
        the rest."""
        try:
            self._ask([one for one in fixed if one.changed and not self._is_accepted(one)])
        except (click.Abort, KeyboardInterrupt):
            self.interrupted, self._of_the_rest = True, "n"
            self.ask(fixed)

    def _is_accepted(self, one: FixedFile) -> bool:
        return self._accepted.get(one.before.path) == one.after.source.data

    def _ask(self, waiting: Collection[FixedFile]) -> None:
        for number, one in enumerate(waiting, start=1):
            path = one.before.path
            if path in self.refused:
                continue
            answer = self._of_the_rest or self._answer(one, f"{number} of {len(waiting)}")
            if answer in ("all", "quit"):
                answer = self._of_the_rest = "y" if answer == "all" else "n"
            if answer == "y":
                self._accepted[path] = one.after.source.data
            else:
                self._accepted.pop(path, None)
                self.refused.add(path)

    def _answer(self, one: FixedFile, count: str) -> str:
        for line in diff(one, Path.cwd()).splitlines():
            tell(line)
        name = printable(shown_path(one.before.path, Path.cwd()))
        while True:
            given = click.prompt(f"Change {name} ({count})? [y/n/all/quit]", err=True)
            if answer := _MEANT.get(str(given).strip().lower()):
                return answer
            tell("y: change it; n: leave it; all: it and all that follow; quit: none of them")


def accepted(run: Run, answers: Answers, again: Callable[[Collection[Path]], Run]) -> Run:
    """Return the run that changes what was accepted, as it was shown, and nothing else.

    ``again`` fixes anew while the refused files stay as they are: what others were to get may
    depend on them. What differs from what was shown then is shown once more.
    """
    while True:
        known = len(answers.refused)
        answers.ask(run.fixed)
        if len(answers.refused) == known:
            return run
        run = again(answers.refused)
