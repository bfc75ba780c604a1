"""Holds what gpu-lint says of a program against what a run of it did."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import permutations, takewhile
from pathlib import Path
from typing import Any

from gpu_lint.facts.imports import Imports
from gpu_lint.facts.model import Certainty, Reach, Selector, Setting, Written
from gpu_lint.facts.project import Project
from gpu_lint.facts.reading import read_file
from gpu_lint.facts.values import constants
from gpu_lint.masks import MaskReading, read_mask
from gpu_lint.rulebook import load_rulebook
from gpu_lint.source import Source, decode_source
from tests.differential.programs import Program

ROOT = os.path.abspath(os.path.join(os.sep, "differential"))
START = os.path.join(ROOT, "run.py")


@dataclass
class Verdict:
    """What is said of a program before it runs; places are (file, line)."""

    writes: dict[tuple[str, int], Certainty]
    """Whether CUDA has been initialised at each write of the mask."""
    uses: dict[tuple[str, int], set[str]]
    """How each use of a device may go: ``WORKED``, ``FAILED``."""
    visible: set[tuple[int, ...]]
    """The GPUs that the program may see in the end."""


@dataclass
class Observed:
    """What a run did, in the same terms."""

    writes: dict[tuple[str, int], set[bool]] = field(default_factory=dict)
    uses: dict[tuple[str, int], set[str]] = field(default_factory=dict)
    visible: tuple[int, ...] = ()


def judge(program: Program, gpus: int = 2) -> Verdict:
    """The static verdict on a program, for a machine with some GPUs and no mask set outside."""
    project = project_of(program.files)
    run = project.run(START)
    sources = {
        os.path.join(ROOT, *name.split("/")): decode_source(Path(name), text.encode())
        for name, text in program.files.items()
    }
    verdict = Verdict({}, {}, _visible(run.end.masks, gpus))
    for file in sources:
        # A module that decides nothing does the same wherever it is imported: it ran alone.
        recorder = run.recorders.get(file) or project.run(file).recorders[file]
        for setting in recorder.settings.values():
            if setting.reach is not Reach.UNCALLED:
                _add_write(verdict, _place(file, setting.span.start, sources), setting)
        for selector in recorder.selectors.values():
            if selector.reach is not Reach.UNCALLED:
                place = _place(file, selector.span.start, sources)
                verdict.uses.setdefault(place, set()).update(_outcomes(selector, gpus))
    return verdict


def project_of(program: dict[str, str]) -> Project:
    """A program's files, as a project."""
    files = {os.path.join(ROOT, *n.split("/")): text for n, text in program.items()}
    knowledge = load_rulebook().knowledge
    readings = {
        path: read_file(decode_source(Path(path), text.encode()), knowledge)
        for path, text in files.items()
    }
    return Project(
        knowledge,
        readings.get,
        sorted(files),
        imports=Imports(knowledge, lambda directory: _entries(directory, files)),
    )


def _entries(directory: str, files: Iterable[str]) -> frozenset[str]:
    found = set()
    for file in files:
        if file.startswith(directory + os.sep):
            first, slash, _ = file[len(directory) + 1 :].partition(os.sep)
            found.add(first + "/" * bool(slash))
    return frozenset(found)


def _place(file: str, offset: int, sources: dict[str, Source]) -> tuple[str, int]:
    return os.path.relpath(file, ROOT).replace(os.sep, "/"), sources[file].row(offset)


def _add_write(verdict: Verdict, place: tuple[str, int], setting: Setting) -> None:
    if setting.variable == "CUDA_VISIBLE_DEVICES" and setting.value is not None:
        old = verdict.writes.get(place, setting.frozen.certainty)
        same = old is setting.frozen.certainty
        verdict.writes[place] = old if same else Certainty.MAYBE


def _visible(masks: Iterable[Written], gpus: int) -> set[tuple[int, ...]]:
    """What a program may see under any of some masks."""
    found: set[tuple[int, ...]] = set()
    for written in masks:
        known = constants(written.value) if written.value is not None else None
        if written.value is None:
            found.add(tuple(range(gpus)))
        elif known is None:
            found |= {chosen for n in range(gpus + 1) for chosen in permutations(range(gpus), n)}
        else:
            found |= {_there(read_mask(str(constant.value)), gpus) for constant in known}
    return found


def _there(mask: MaskReading, gpus: int) -> tuple[int, ...]:
    """A mask's devices up to the first that the machine does not have."""
    return tuple(takewhile(lambda device: device < gpus, map(int, mask.devices)))


def _outcomes(selector: Selector, gpus: int) -> set[str]:
    """How a use may go, for each mask and each index that it may have."""
    counts = {len(devices) for devices in _visible(selector.masks, gpus)}
    limits = {len(devices) for devices in _visible(selector.also, gpus)}
    found = {
        "WORKED" if index.number < min(count, limit) else "FAILED"
        for index in selector.indices
        for count in counts
        for limit in limits or {count}
    }
    return found if selector.complete else found | {"WORKED", "FAILED"}


def disagreements(program: Program, verdict: Verdict, observed: Observed) -> list[str]:
    """Where the verdict is wrong, or says *may* without a reason."""
    found = []
    for place, frozen in observed.writes.items():
        said = verdict.writes.get(place)
        if said is None:
            found.append(f"{place}: the write was not seen")
        elif said is Certainty.MAYBE:
            if program.plain and len(frozen) == 1:
                found.append(f"{place}: said may, is {frozen}")
        elif frozen != {said is Certainty.ALWAYS}:
            found.append(f"{place}: said {said.name}, CUDA was initialised: {frozen}")
    for place, outcome in observed.uses.items():
        may = verdict.uses.get(place)
        if may is None:
            found.append(f"{place}: the use was not seen")
        elif not outcome <= may:
            found.append(f"{place}: said {sorted(may)}, {sorted(outcome)}")
        elif program.plain and len(may) > len(outcome):
            found.append(f"{place}: said may, {sorted(outcome)}")
    if observed.visible not in verdict.visible:
        found.append(f"the end: said {sorted(verdict.visible)}, sees {observed.visible}")
    elif program.plain and len(verdict.visible) > 1:
        found.append(f"the end: said any of {sorted(verdict.visible)}, sees {observed.visible}")
    return found


def mays(verdict: Verdict, observed: Observed) -> tuple[int, int]:
    """How many of the verdicts on what was reached are *may*, and of how many."""
    answers = [verdict.writes.get(place) is Certainty.MAYBE for place in observed.writes]
    answers += [len(verdict.uses.get(place, ())) > 1 for place in observed.uses]
    answers.append(len(verdict.visible) > 1)
    return sum(answers), len(answers)


def observe(program: Program, ran: dict[str, Any]) -> Observed:
    """What a run did, as :mod:`tests.fakecuda.batch` or a machine with GPUs tells it."""
    observed = Observed(visible=tuple(ran["visible"]))
    for write in ran.get("writes", ()):
        place = (write["file"], write["line"])
        observed.writes.setdefault(place, set()).add(write["frozen"])
    calls = {
        line.rpartition(" ")[2].rstrip(")"): (name, row)
        for name, text in program.files.items()
        for row, line in enumerate(text.splitlines())
        if 'print("WORKED", ' in line
    }
    for line in ran["printed"]:
        outcome, _, number = line.partition(" ")
        if outcome in ("WORKED", "FAILED"):
            observed.uses.setdefault(calls[number], set()).add(outcome)
    return observed
