"""The project at a glance: who runs whom, where the mask is set, where CUDA is first touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import TypeAlias

from gpu_lint.facts.demands import Standing
from gpu_lint.facts.model import Certainty, Form, Mark, Setting, Trigger, Written
from gpu_lint.facts.project import Project
from gpu_lint.facts.values import constants
from gpu_lint.records import record
from gpu_lint.source import Span
from gpu_lint.variables import MASK

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
    form: str = ""
    """How it is written: ``assignment``, ``setdefault()`` …"""
    weak: bool = False
    """The parent process's value wins, or this one never reaches CUDA."""


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
    possible_touch: Spot | None
    """What may touch it before, as far as is known: a call that is given a GPU."""


@record
class Start:
    """What happens when a file is started."""

    file: str
    entry_point: str
    """Why it is an entry point; empty where it only may be started, since nothing imports it."""
    first_framework: Spot | None
    first_touch: Spot | None
    surely: bool
    """It is touched on every path."""
    masks: tuple[str | None, ...]
    """What CUDA_VISIBLE_DEVICES may be then; None: what the parent process says; ``?``: only
    the run can tell."""
    default: str | None = None
    """What it is where the parent process does not set it, if the program says so."""


@dataclass(frozen=True)
class Graph:
    """A project's files, and those among them that may be started, by path."""

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


@record
class Program:
    """A file, as what a process may start with."""

    standing: Standing
    writes_mask: bool
    """Something that it runs writes the mask, when it is imported or later."""


def program_of(project: Project, file: str, standing: Standing) -> Program:
    """Return what a file does when it is started, given what it is."""
    recorders = project.run(file).recorders.values()
    written = (one.variable for recorder in recorders for one in recorder.settings.values())
    return Program(standing, MASK in written)


def graph_of(project: Project, place: _Place, standing_of: Callable[[str], Standing]) -> Graph:
    """Draw a project, given what each file is."""
    files = dict.fromkeys(project.files)
    for file in project.files:
        files.update(dict.fromkeys(sorted(project.closure(file))))
    nodes = {}
    for file in files:
        if project.reading(file) is not None:
            node = _node(project, file, place, standing_of(file))
            nodes[node.file] = node
    started = [file for file in project.starts if project.reading(file) is not None]
    starts = tuple(_start(project, file, place, standing_of(file)) for file in started)
    return Graph(tuple(sorted(starts, key=lambda start: start.file)), dict(sorted(nodes.items())))


def _node(project: Project, file: str, place: _Place, standing: Standing) -> Node:
    facts = project.facts(file)
    name = place(file, Span(0, 0))[0]
    own = project.run(file)
    uses = own.recorders[file].possible_uses
    trigger = own.end.frozen.trigger
    freezes = trigger is not None and trigger.file == file and trigger.span not in uses
    return Node(
        name,
        bool(standing.entry_point),
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
        _spot(trigger, place) if trigger is not None and freezes else None,
        _of_use(_first_use([uses]), place),
    )


def _start(project: Project, file: str, place: _Place, standing: Standing) -> Start:
    run = project.run(file)
    framework, touch = run.end.imported, run.end.frozen
    held = run.end.masks
    return Start(
        place(file, Span(0, 0))[0],
        standing.entry_point,
        _of(framework, place),
        _of(touch, place) or _of_use(_first_use_of(project, file), place),
        touch.certainty is Certainty.ALWAYS,
        tuple(dict.fromkeys(_masks(held))),
        _default(held),
    )


def _first_use_of(project: Project, start: str) -> Trigger | None:
    """The first call of a program that may touch CUDA: in what was run for it, or else in a module
    that was run alone, since it sets nothing."""
    found = _first_use([one.possible_uses for one in project.run(start).recorders.values()])
    if found is not None:
        return found
    for file in sorted(project.closure(start) - {start}):
        if project.reading(file) is not None:
            found = _first_use([project.run(file).recorders[file].possible_uses])
            if found is not None:
                return found
    return None


def _first_use(uses: Iterable[dict[Span, tuple[int, Trigger]]]) -> Trigger | None:
    numbered = [use for by_span in uses for use in by_span.values()]
    return min(numbered, key=itemgetter(0))[1] if numbered else None


def _of_use(use: Trigger | None, place: _Place) -> Spot | None:
    return _spot(use, place) if use is not None else None


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
    weak = setting.form in (Form.SETDEFAULT, Form.IF_UNSET) or not setting.form.reaches_cuda
    return Write(setting.variable, value, row, effect, setting.form.value, weak)


def _masks(held: frozenset[Written]) -> Iterator[str | None]:
    for written in sorted(held, key=repr):
        if written.value is None or written.weak:
            yield None
        else:
            yield from _values(written)


def _values(written: Written) -> Iterator[str]:
    known = constants(written.value) if written.value is not None else None
    if known is None:
        yield "?"
    else:
        yield from (str(constant.value) for constant in known)


def _default(held: frozenset[Written]) -> str | None:
    """What a weak write makes of a mask that the parent process does not set."""
    weak = [written for written in held if written.weak and written.value is not None]
    values = {value for written in weak for value in _values(written)}
    return values.pop() if len(values) == 1 else ("?" if values else None)
