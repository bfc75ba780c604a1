"""What the runs of several programs say together of one file that all of them reach."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from gpu_lint.facts import program as p
from gpu_lint.facts.flow import join_marks
from gpu_lint.facts.model import (
    Certainty,
    Child,
    CountTest,
    Form,
    Mark,
    Reach,
    Selector,
    Setting,
    Trigger,
    Written,
    in_order,
)
from gpu_lint.facts.programrun import ProgramRun
from gpu_lint.facts.recorder import Recorder, united
from gpu_lint.facts.values import any_of
from gpu_lint.facts.walk import statements
from gpu_lint.source import Span


def own_freeze(mark: Mark, file: str) -> Trigger | None:
    """What froze CUDA, if the file's own module-level code surely did."""
    return _own(mark.trigger, file) if mark.certainty is Certainty.ALWAYS else None


def _own(trigger: Trigger | None, file: str) -> Trigger | None:
    """What happened, if a file's own code did it, or what that calls."""
    step = trigger.seen_from(file) if trigger is not None else None
    return trigger if step is not None and (step is trigger or not step.is_import) else None


def module_calls(own: Recorder, run: ProgramRun) -> tuple[str, ...]:
    """The names of calls that have to do with a GPU and are made when a file is run."""
    made = [own_freeze(run.imported.frozen, run.file), _own(run.end.allocated.trigger, run.file)]
    made += [use for _, use in own.possible_uses.values()]
    selecting = [s for s in own.selectors.values() if s.reach > Reach.UNCALLED]
    if any(call.reach is Reach.MODULE for call in own.calls.values()):
        others = (one for file, one in run.recorders.items() if file != run.file)
        found = (s for other in others for s in other.selectors.values())
        selecting += [s for s in found if s.reach is Reach.CALLED]
    names = [selector.api for selector in selecting if not selector.is_default]
    names += [one.text for one in made if one is not None and not one.text.startswith("import ")]
    return tuple(dict.fromkeys(name.removesuffix("()").lstrip(".") for name in names))


def reached_settings(own: Recorder, there: list[Recorder], is_start: bool) -> list[Setting]:
    """The settings of a file, as they are reached from its entry points."""
    result = []
    for key in dict.fromkeys(key for one in (own, *there) for key in one.settings):
        setting = own.settings.get(key)
        arrivals = [found for other in there if (found := other.settings.get(key))]
        arrivals = [found for found in arrivals if found.reach is not Reach.UNCALLED]
        if setting is not None:
            ways = [setting, *arrivals] if is_start and setting.reach else arrivals or [setting]
        else:
            ways = arrivals
        if len(ways) < 2:
            result += ways
            continue
        first = ways[0]
        result.append(
            replace(
                first,
                value=None if first.value is None else any_of(w.value for w in ways if w.value),
                reach=max(way.reach for way in ways),
                frozen=_common([way.frozen for way in ways if not way.harmless]),
                allocated=_common([way.allocated for way in ways if not way.harmless]),
                imported=_common([way.imported for way in ways if not way.harmless]),
                imported_here=first.imported_here,
                before=_union(way.before for way in ways),
                undisturbed=all(way.undisturbed for way in ways),
                values=tuple(dict.fromkeys(value for way in ways for value in way.values)),
            )
        )
    return result


def known_names(settings: Iterable[Setting]) -> list[Setting]:
    """The settings of variables whose names are known."""
    return [setting for setting in settings if setting.form is not Form.POSSIBLE]


def _common(marks: list[Mark]) -> Mark:
    """What all ways to a place have in common."""
    if not marks or any(mark.certainty is Certainty.NEVER for mark in marks):
        return Mark()
    result = marks[0]
    for mark in marks[1:]:
        result = join_marks(result, mark)
    return result


def selectors(own: Recorder, there: list[Recorder], is_start: bool) -> tuple[Selector, ...]:
    """The selectors of a file, under the masks of whoever runs it."""
    found = dict(own.selectors)
    for key in {key for other in there for key in other.selectors}:
        ways = [other.selectors[key] for other in there if key in other.selectors]
        ways = [*ways, own.selectors[key]] if is_start and key in own.selectors else ways
        found[key] = replace(
            ways[0],
            indices=tuple(dict.fromkeys(index for way in ways for index in way.indices)),
            count=max(way.count for way in ways),
            masks=_union(way.masks for way in ways),
            needs=min(way.needs for way in ways),
            complete=all(way.complete for way in ways),
            reach=max(way.reach for way in ways),
            inputs=tuple(dict.fromkeys(value for way in ways for value in way.inputs)),
            bare=tuple(dict.fromkeys(value for way in ways for value in way.bare)),
        )
    return tuple(sorted(found.values(), key=lambda selector: (selector.span, selector.api)))


def count_tests(own: Recorder, there: list[Recorder], is_start: bool) -> tuple[CountTest, ...]:
    """The comparisons of a file with a number of devices, given what its run as the program and
    those of others tell: only a call from another file may say with which number, and what
    follows."""
    found = dict(own.count_tests)
    for span in {span for other in there for span in other.count_tests}:
        ways = [other.count_tests[span] for other in there if span in other.count_tests]
        test = own.count_tests.get(span)
        ways += [test] if is_start and test is not None else []
        found[span] = replace(
            test or ways[0],
            if_true=next((way.if_true for way in ways if way.if_true), None),
            if_false=next((way.if_false for way in ways if way.if_false), None),
            masks=_union(way.masks for way in ways),
            reach=max(way.reach for way in ways),
            tried=all(way.tried for way in ways),
        )
    return tuple(sorted(found.values(), key=lambda test: test.span))


def children(own: Recorder, there: list[Recorder], is_start: bool) -> tuple[Child, ...]:
    """The child processes of a file, as they are started by the callers of its functions: only a
    call from another file may say under which environment."""
    found = dict(own.children)
    for span in {span for other in there for span in other.children}:
        called = [other.children[span] for other in there if span in other.children]
        ways = [child for child in called if child.reach is not Reach.UNCALLED]
        alone = own.children.get(span)
        if alone is not None and (not ways or (is_start and alone.reach)):
            ways.append(alone)
        whole = ways[0] if ways else called[0]
        for way in ways[1:]:
            whole = united(whole, way)
        frozen = _common([way.frozen for way in ways])
        reach = max((way.reach for way in ways), default=whole.reach)
        found[span] = replace(whole, frozen=frozen, reach=reach)
    return tuple(sorted(found.values(), key=lambda child: child.span))


def _union(several: Iterable[tuple[Written, ...]]) -> tuple[Written, ...]:
    return in_order(frozenset(written for one in several for written in one))


def _functions_around(settings: list[Setting], program: p.Program) -> list[Span]:
    """The functions that some settings, which are in order, are in, outermost first; no other one
    is looked into."""
    starts = [setting.span.start for setting in settings]

    def holds_one(statement: p.Statement) -> bool:
        at = bisect_left(starts, statement.span.start)
        return at < len(starts) and starts[at] < statement.span.end

    around = statements(program.body, holds_one)
    return sorted(one.span for one in around if isinstance(one, p.Function))


def with_peers(
    settings: list[Setting], recorder: Recorder, program: p.Program
) -> tuple[Setting, ...]:
    """The settings in source order, each told how many its statement makes."""
    if not settings:
        return ()
    keys = {(one.span, one.key_span, one.variable) for one in settings}
    keys |= {key[:3] for key in recorder.settings if not key[3]}
    sizes = Counter(span for span, _, _ in keys)
    ordered = sorted(settings, key=lambda setting: (setting.span, setting.key_span))
    imports = sorted(trigger.span for trigger in recorder.frameworks.values())
    bodies = _functions_around(ordered, program)
    found: list[Setting] = []
    around: list[Span] = []
    """The functions that a setting is in, outermost first."""
    reached = 0
    for setting in ordered:
        while reached < len(bodies) and bodies[reached].start <= setting.span.start:
            around.append(bodies[reached])
            reached += 1
        around = [body for body in around if setting.span.end <= body.end]
        later = bisect_right(imports, setting.span)
        found.append(
            replace(
                setting,
                peers=sizes[setting.span] if setting.peers else 0,
                imports_framework_later=bool(around)
                and later < len(imports)
                and imports[later].end <= around[0].end,
            )
        )
    return tuple(found)
