"""Runs entries one at a time under the recorder, and judges each by its own policy."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from enum import Enum
from pathlib import Path

from gpu_lint.printable import printable
from gpu_lint.records import record
from gpu_lint.runtime.cards import Machine
from gpu_lint.runtime.demand import Judgement, Verdict, judge
from gpu_lint.runtime.entries import Entry
from gpu_lint.runtime.launch import LaunchError
from gpu_lint.runtime.pythons import Python
from gpu_lint.runtime.records import Process, Touched, Visible
from gpu_lint.runtime.redaction import redact_text
from gpu_lint.runtime.tracing import Traced, trace_tree
from gpu_lint.variables import MASK

_TAIL_BYTES = 1 << 13
"""Of a command's output, that its report shows."""
_LONGEST_LINE = 300


class Result(str, Enum):
    """What became of an entry."""

    PROVED = "proved"
    VIOLATED = "violated"
    UNPROVEN = "unproven"
    FAILED = "failed"
    """It ended by itself with another exit status than 0."""
    TIMEOUT = "timeout"


@record
class Outcome:
    """An entry, and what was found when it ran."""

    entry: Entry
    result: Result
    why: str
    """In one line."""
    seconds: float = 0.0
    status: int | None = None
    """None where it was not run."""
    touched: tuple[Touched, ...] = ()
    visible: tuple[Visible, ...] = ()
    reasons: tuple[str, ...] = ()
    """All of them; ``why`` is the first."""
    limits: tuple[str, ...] = ()
    tail: str = ""
    """The end of its output, without secrets."""


@record
class Verified:
    """All that one run of ``verify`` found."""

    outcomes: tuple[Outcome, ...]
    files: int
    """Python files that were looked at."""
    without: int
    """Those that are no entry points."""
    commands: int
    """Outcomes of commands of the configuration."""
    mode: str
    python: Python
    machine: Machine | None
    skipped: str = ""
    """Why nothing was run and that is right, as with ``--no-gpu skip``; empty where it was."""

    @property
    def verdict(self) -> str:
        """As demanded only where each entry is proved, violated, unproven, or skipped."""
        if self.skipped:
            return "skipped"
        results = {one.result for one in self.outcomes}
        if Result.VIOLATED in results:
            return str(Verdict.VIOLATED.value)
        return str((Verdict.AS_DEMANDED if results == {Result.PROVED} else Verdict.UNPROVEN).value)

    @property
    def proved(self) -> int:
        """How many entries are proved."""
        return sum(one.result is Result.PROVED for one in self.outcomes)

    @property
    def share(self) -> str:
        """How many of a hundred entries are proved, rounded down: 100 only if all are."""
        return f"{100 * self.proved // len(self.outcomes)} %" if self.outcomes else "-"


def verify(
    entry: Entry, env: Mapping[str, str], python: Python, machine: Machine | None, no_gpu: str
) -> Outcome:
    """Run an entry in an environment, and say whether it did as its policy demands.

    ``no_gpu`` is why there is no ``machine``: then nothing is run, since nothing would be proved.
    """
    idle = entry.idle
    if entry.policy is None:
        idle = "no policy is in force for it; `gpu-lint init` writes one"
    elif machine is None:
        idle = no_gpu
    elif lacking := python.lacking(entry.needs, env, entry.cwd):
        idle = f"it needs the module {lacking}, which {python.path} does not find"
    if idle or entry.policy is None:
        return Outcome(entry, Result.UNPROVEN, idle)
    env = _with_modules(env, entry.module_path)
    with tempfile.TemporaryDirectory(prefix="gpu-lint-", ignore_cleanup_errors=True) as directory:
        output = Path(directory, "output")
        try:
            traced = trace_tree(
                entry.command,
                env=env,
                cwd=entry.cwd,
                root=entry.root,
                timeout=entry.timeout,
                output=output,
            )
        except LaunchError as error:
            return Outcome(entry, Result.FAILED, str(error))
        tail = _tail_of(output)
    judgement = judge(traced, entry.policy, machine)
    result, why = _said(entry, traced, judgement, tail)
    return Outcome(
        entry,
        result,
        why,
        traced.ended.seconds,
        traced.ended.status,
        tuple(one for process in traced.processes for one in process.touched),
        _visible(traced),
        judgement.reasons,
        traced.limits,
        tail,
    )


def _with_modules(env: Mapping[str, str], directory: str) -> dict[str, str]:
    """Return an environment in which a directory comes last where modules are looked for."""
    known = env.get("PYTHONPATH", "")
    if not directory or directory in known.split(os.pathsep):
        return dict(env)
    return {**env, "PYTHONPATH": f"{known}{os.pathsep}{directory}" if known else directory}


def _said(entry: Entry, traced: Traced, judgement: Judgement, tail: str) -> tuple[Result, str]:
    """Return the result and why; a violation is one however the command ended."""
    ended, verdict, reasons = traced.ended, judgement.verdict, judgement.reasons
    if verdict is Verdict.VIOLATED:
        if entry.sets_mask_later and not any(map(_decides, traced.processes)):
            return Result.UNPROVEN, f"importing it does not set {MASK}; `--mode run` runs the rest"
        return Result.VIOLATED, reasons[0]
    if ended.timed_out:
        return Result.TIMEOUT, f"it had not ended after {entry.timeout:g} s, and was ended"
    if ended.status:
        last = next((line for line in reversed(tail.splitlines()) if line.strip()), "")
        told = f": {_cut(last.strip())}" if last else ""
        return Result.FAILED, f"it ended with status {ended.status}{told}"
    if verdict is Verdict.UNPROVEN:
        return Result.UNPROVEN, reasons[0]
    seen = ", ".join(f"{card.name} ({card.uuid})" for card in _visible(traced))
    return Result.PROVED, f"sees {seen} alone"


def _decides(process: Process) -> bool:
    """Return whether a process initialised CUDA itself, not we for it, or wrote the mask."""
    by_itself = process.freeze is not None and process.freeze.file != ""
    return by_itself or any(write.variable == MASK for write in process.mask_writes)


def _visible(traced: Traced) -> tuple[Visible, ...]:
    """Return the cards that the processes saw, each once."""
    seen = {
        card.uuid: card for process in traced.processes for card in reversed(process.visible or ())
    }
    return tuple(sorted(seen.values(), key=lambda card: card.ordinal))


def _tail_of(output: Path) -> str:
    """Return the end of what a command printed, as it may be shown and kept."""
    try:
        with open(output, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            data = file.read()
    except OSError:
        return ""
    lines = data.decode("utf-8", "replace").splitlines()
    whole = lines[1:] if size > _TAIL_BYTES else lines  # the first one is a part of a line
    return "\n".join(redact_text(printable(line)) for line in whole)


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} ..."
