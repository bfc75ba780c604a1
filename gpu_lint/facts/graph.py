"""The project at a glance: who runs whom, where the mask is set, where CUDA is first touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from gpu_lint.facts.flow import MASK
from gpu_lint.facts.model import Certainty, Mark, Setting, Trigger, Written
from gpu_lint.facts.project import Project
from gpu_lint.facts.values import constants
from gpu_lint.records import record
from gpu_lint.source import Span

_DECIDING = (MASK, "CUDA_DEVICE_ORDER")
_Place: TypeAlias = "Callable[[str, Span], tuple[str, int]]"
"""A file's name as it is shown, and the row (from 1) of a span in it."""


@record
class Spot:
    """Something that happens in a file, with the steps from the entry point that lead there."""

    text: str
    file: str
    row: int
    via: tuple[Spot, ...] = ()


@record
class Import:
    """A file that another one runs by importing it."""

    file: str
    row: int


@record
class Write:
    """A write to a variable that decides what CUDA sees, and what becomes of it."""

    variable: str
    value: str | None
    """None: it is removed; ``?``: only the run can tell."""
    row: int
    effect: str
    """``in time``, ``in time, but after a framework``, ``may be too late`` or ``too late``."""


@record
class Node:
    """One file."""

    file: str
    entry_point: bool
    imports: tuple[Import, ...]
    frameworks: tuple[Spot, ...]
    writes: tuple[Write, ...]
    touch: Spot | None
    """What first touches CUDA, where the file's own code does so when it is imported or run."""


@record
class Start:
    """What happens when an entry point is started."""

    file: str
    first_framework: Spot | None
    first_touch: Spot | None
    surely: bool
    """It is touched on every path."""
    masks: tuple[str | None, ...]
    """What CUDA_VISIBLE_DEVICES may be then; None: what the parent process says; ``?``: only
    the run can tell."""


@dataclass(frozen=True)
class Graph:
    """A project's files, and its entry points among them, by path."""

    starts: tuple[Start, ...]
    nodes: dict[str, Node]

    @cached_property
    def relevant(self) -> frozenset[str]:
        """The files that have to do with a GPU, themselves or by what they import."""
        importers: dict[str, list[str]] = {}
        for node in self.nodes.values():
            for edge in node.imports:
                importers.setdefault(edge.file, []).append(node.file)
        waiting = [f for f, n in self.nodes.items() if n.frameworks or n.writes or n.touch]
        found = set(waiting)
        while waiting:
            for other in importers.get(waiting.pop(), ()):
                if other not in found:
                    found.add(other)
                    waiting.append(other)
        return frozenset(found)


def graph_of(project: Project, place: _Place) -> Graph:
    """Draw a project."""
    files = dict.fromkeys(project.files)
    for file in project.files:
        files.update(dict.fromkeys(sorted(project.closure(file))))
    nodes = {}
    for file in files:
        if project.reading(file) is not None:
            node = _node(project, file, place)
            nodes[node.file] = node
    started = [file for file in project.starts if project.reading(file) is not None]
    starts = tuple(_start(project, file, place) for file in started)
    return Graph(tuple(sorted(starts, key=lambda start: start.file)), dict(sorted(nodes.items())))


def _node(project: Project, file: str, place: _Place) -> Node:
    facts = project.facts(file)
    name = place(file, Span(0, 0))[0]
    own = project.run(file)
    trigger = own.end.frozen.trigger
    here = trigger is not None and trigger.file == file
    return Node(
        name,
        file in project.starts,
        tuple(
            Import(place(other, Span(0, 0))[0], place(file, span)[1])
            for other, span in project.edges(file).items()
            if project.reading(other) is not None
        ),
        tuple(
            _spot(found, place)
            for span, found in sorted(own.recorders[file].frameworks.items())
            if found.file == file
        ),
        tuple(
            _write(setting, place(file, setting.span)[1])
            for setting in facts.reached_settings
            if setting.variable in _DECIDING
        ),
        _spot(trigger, place) if trigger is not None and here else None,
    )


def _start(project: Project, file: str, place: _Place) -> Start:
    run = project.run(file)
    framework, touch = run.end.imported, run.end.frozen
    return Start(
        place(file, Span(0, 0))[0],
        _of(framework, place),
        _of(touch, place),
        touch.certainty is Certainty.ALWAYS,
        tuple(dict.fromkeys(_masks(run.end.masks()))),
    )


def _of(mark: Mark, place: _Place) -> Spot | None:
    return _spot(mark.trigger, place) if mark.trigger is not None else None


def _spot(trigger: Trigger, place: _Place) -> Spot:
    via = tuple(_spot(step, place) for step in trigger.via)
    return Spot(trigger.text, *place(trigger.file, trigger.span), via)


def _write(setting: Setting, row: int) -> Write:
    effect = "in time"
    if setting.frozen.certainty is Certainty.ALWAYS:
        effect = "too late"
    elif setting.frozen.certainty is Certainty.MAYBE:
        effect = "may be too late"
    elif setting.imported.certainty is not Certainty.NEVER:
        effect = "in time, but after a framework"
    value = None
    if setting.value is not None:
        known = constants(setting.value) or ()
        value = " or ".join(str(constant.value) for constant in known) or "?"
    return Write(setting.variable, value, row, effect)


def _masks(held: frozenset[Written]) -> Iterator[str | None]:
    for written in sorted(held, key=repr):
        known = constants(written.value) if written.value is not None else None
        if written.value is None:
            yield None
        elif known is None:
            yield "?"
        else:
            yield from (str(constant.value) for constant in known)
