"""Measures what one machine and what each file and byte costs, and reckons larger trees from it.

    .bench/bin/python bench/scale.py

works on the transformers that ``bench/run.py`` has fetched, without a policy and with one that
demands a header in every file that uses a GPU. Nothing but this process is used.
"""

from __future__ import annotations

import gc
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from run import CORPUS, fetch

import gpu_lint.judging  # noqa: F401 - what is imported is no part of what a file costs
from gpu_lint.discovery import discover
from gpu_lint.engine import Engine
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import SettingsFinder
from gpu_lint.work import Doing, Work

LINES = 100_000_000
LINES_HERE = 1_132_000
"""Of transformers 5.17.0."""
NETWORK = 1.25e8
"""Bytes a second that a machine takes in: one gigabit."""
T = TypeVar("T")


class Here:
    """An executor that measures the work, and does it here."""

    count = 1

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.size = 0

    def begin(self, work: Work[T]) -> None:
        """Nothing: it is measured as a whole."""

    def each(self, work: Work[T], chunks: list[list[str]]):  # type: ignore[no-untyped-def]
        self.size = len(pickle.dumps(work))
        start = time.perf_counter()
        doing = Doing(work)
        answers = [(file, doing(file)) for chunk in chunks for file in chunk]
        self.seconds[type(work).__name__] = time.perf_counter() - start
        return iter(answers)


def timed(call: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def measure(policy: Path | None) -> None:
    finder = SettingsFinder(load_rulebook(), config_file=policy, isolated=policy is None)
    walking, found = timed(lambda: discover([CORPUS / "transformers"], finder))
    here = Here()
    engine = Engine(finder, executor_for=lambda seconds: here)
    whole, run = timed(lambda: engine.check(found.files, found.named))
    shared = sum(here.seconds.values())
    alone = walking + whole - shared
    files = len(found.files)
    print(f"{files} files, {len(run.files)} of them judged")
    print(f"  finding the files       {walking:6.2f} s here")
    print(f"  looking at them         {here.seconds.get('Looking', 0.0):6.2f} s shared out")
    print(f"  judging them            {here.seconds.get('Judging', 0.0):6.2f} s shared out")
    print(f"  all else                {alone - walking:6.2f} s here")
    print(f"  sent to every process   {here.size / 1e6:6.2f} MB")
    times = LINES / LINES_HERE
    print(f"  reckoned for {LINES:,} lines ({files * times:,.0f} files):")
    for machines in (1, 4, 16, 64):
        processes = 8 * machines
        sent = here.size * times / NETWORK
        print(
            f"    {machines:3} machines of 8 processes: "
            f"{times * (alone + shared / processes) + sent:6.0f} s"
        )


def main() -> None:
    fetch()
    gc.disable()
    for policy in (None, CORPUS / "policy.toml"):
        print("without a policy" if policy is None else "with a policy")
        measure(policy)


if __name__ == "__main__":
    main()
