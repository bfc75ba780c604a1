"""What a program does that does not fit the mask in effect there, whether or not that is reported.

A fix that brings one of these about is not safe.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from gpu_lint.checks.context import Context
from gpu_lint.checks.ranks import deciding_option, is_given_others, is_renumbered, rank_behind
from gpu_lint.checks.validation import counts
from gpu_lint.facts.conditions import COMPARISONS
from gpu_lint.facts.filefacts import FileFacts
from gpu_lint.facts.model import (
    INHERITED,
    Certainty,
    CountTest,
    LocalCall,
    Outcome,
    Reach,
    Selector,
    Setting,
    Written,
)
from gpu_lint.facts.programrun import End
from gpu_lint.facts.ranks import Counted, asks_for_size
from gpu_lint.facts.values import Known, alternatives, constants, option_behind
from gpu_lint.findings import Misfit, MisfitKind
from gpu_lint.masks import MaskReading, read_mask, same_mask
from gpu_lint.variables import MASK, ORDER

_GIVES_UP = frozenset({Outcome.RAISES, Outcome.EXITS, Outcome.LEAVES_GPU})
_QUERIES = ("get_device_name()", "get_device_properties()", "get_device_capability()")
"""What asks for a GPU's name or size, and does nothing on it."""


def misfits(context: Context) -> Iterator[Misfit]:
    """What does not fit in a file. Where a mask may be inherited or is not known, all may fit."""
    yield from _devices(context.facts)
    yield from _foreign(context)
    yield from _counts(context.facts)
    yield from _validators(context)
    yield from _orders(context)
    yield from _replaced(context)
    yield from _shared_out(context.facts)
    yield from _chosen(context.facts)


def _devices(facts: FileFacts) -> Iterator[Misfit]:
    """Calls that are given devices that a mask does not show; and those to which none does, or
    that are given as many as ``device_count()`` tells, while it counts by another mask."""
    for selector in facts.selectors:
        if selector.is_default or selector.versions or not selector.masks:
            continue
        several = sorted(set(map(_shown, selector.masks)))
        unfit = [shown for shown in several if not _shows(shown, selector)]
        for shown in unfit:
            yield Misfit(MisfitKind.DEVICE, selector.span.start, int(shown))
        if len(unfit) == len(several) or _is_counted_wrongly(selector):
            yield Misfit(MisfitKind.DEVICE, selector.span.start)


def _foreign(context: Context) -> Iterator[Misfit]:
    """Calls that are given devices which are other GPUs than the policy's, by a mask that is
    known: one that names no device of its mask does not run, and uses none."""
    wanted = context.policy.value(MASK) if context.policy is not None else None
    own = set(read_mask(wanted).devices) if wanted is not None else set()
    for selector in context.facts.selectors if own else ():
        if selector.is_default or selector.versions or selector.reach is Reach.UNCALLED:
            continue
        for devices in _known(selector.masks):
            used = {devices[one.number] for one in selector.indices if one.number < len(devices)}
            if not used <= own:
                yield Misfit(MisfitKind.FOREIGN, selector.span.start)
                break


def _is_counted_wrongly(selector: Selector) -> bool:
    """Whether an index goes up to a count of devices that another mask decides."""
    known = selector.complete or selector.indices or selector.inputs
    return bool(selector.also) and not known


def _shows(shown: float, selector: Selector) -> bool:
    """Whether there are the devices that a call is given, or it is not made where there are so
    few."""
    asked = selector.count <= shown and all(one.number < shown for one in selector.indices)
    return asked or shown < selector.needs


def _counts(facts: FileFacts) -> Iterator[Misfit]:
    """Comparisons at which a program is shown to give up because of how many devices a mask
    shows."""
    for test in facts.count_tests:
        if test.reach > Reach.UNCALLED:
            for shown in sorted(set(map(_shown, test.masks)) - {math.inf}):
                if _gives_up(test, shown):
                    yield Misfit(MisfitKind.COUNT, test.span.start, int(shown))


def _gives_up(test: CountTest, shown: float) -> bool:
    compare = COMPARISONS.get(test.operator)
    if compare is None:
        return False
    outcome = test.if_true if compare(shown, test.number) else test.if_false
    return outcome in _GIVES_UP and not (test.tried and outcome is Outcome.RAISES)


def _shown(written: Written) -> float:
    """How many devices a mask shows at least; infinitely many where that is not known."""
    return min(map(len, _known((written,))), default=math.inf)


def _validators(context: Context) -> Iterator[Misfit]:
    """Calls of a validator while a variable may hold what it refuses, or when memory of a GPU may
    have been allocated already."""
    policy = context.policy
    for call in context.facts.calls if policy is not None else ():
        if call.reach > Reach.UNCALLED and policy is not None and counts(call.name, policy):
            if any(_may_differ(call, name, policy.value(name), context) for name, _ in call.held):
                yield Misfit(MisfitKind.VALIDATOR, call.span.start)
            if call.allocated.certainty is Certainty.MAYBE:
                yield Misfit(MisfitKind.LATE, call.span.start)


def _may_differ(call: LocalCall, variable: str, wanted: str | None, context: Context) -> bool:
    """Whether a variable, or what CUDA has read of it, may not be as wanted when a call is made.
    What the parent process says may be, in a file that need not set it."""
    held = dict(call.held)[variable]
    several = (*held, *call.masks) if variable == MASK else held
    return wanted is not None and not all(
        (one.value is None and not context.header_required) or _is(one, wanted) for one in several
    )


def _as_left(several: Iterable[Written]) -> list[Written]:
    """What a variable may hold by what the program itself does to it."""
    return [INHERITED if one.is_checked else one for one in several]


def _orders(context: Context) -> Iterator[Misfit]:
    """What is in effect when the program ends, or a child begins, where only one of mask and order
    is the policy's: a mask that counts other GPUs in its order, or its mask in another order."""
    policy = context.policy
    wanted = policy.value(MASK) if policy is not None else None
    order = policy.value(ORDER) if policy is not None else None
    for number, end in enumerate(context.facts.ends if wanted is not None else ()):
        masks, orders = (_as_left(several) for several in (end.masks, end.orders))
        if any(_is(one, order) for one in orders):
            foreign = [
                one
                for one in masks
                if _counts_other_gpus(one, wanted or "")
                and (one.value is not None or number or _uses_one_gpu(context.facts, end))
            ]
            if foreign:
                yield _misplaced(MisfitKind.ORDER, foreign, context)
        if order is not None and not all(_is(one, order) for one in orders):
            own = [one for one in masks if _counts_gpus(one, wanted or "")]
            if own:
                yield _misplaced(MisfitKind.UNORDERED, own, context)


def _uses_one_gpu(facts: FileFacts, end: End) -> bool:
    """Whether one certain GPU is used where the mask is removed, or one alone is asked for its name
    or size, which may decide how the program ends: one that uses several, or each, uses the same
    ones in whatever order they are counted."""
    asking: list[Selector] = []
    using: list[Selector] = []
    for one in facts.selectors:
        if INHERITED in one.masks and one.reach > Reach.UNCALLED and not one.is_default:
            (asking if one.api.endswith(_QUERIES) else using).append(one)
    if len(_named(asking)) == 1 or len(_named(using)) == 1:
        return True
    is_known = all(selector.complete for selector in using)
    return is_known and not _named(using) and end.allocated.certainty is not Certainty.NEVER


def _named(selectors: list[Selector]) -> set[int]:
    """The devices that some selectors name, where all are known; else none."""
    if not all(selector.complete for selector in selectors):
        return set()
    return {index.number for selector in selectors for index in selector.indices}


def _misplaced(kind: MisfitKind, masks: list[Written], context: Context) -> Misfit:
    """What is wrong with some masks: the line of one that is written in the file, else the name of
    another file that writes one."""
    facts = context.facts
    written = [(one.file, one.span) for one in masks if one.span is not None]
    if not written or any(file == facts.file for file, _ in written):
        return Misfit(kind, _origin_of(masks, context))
    name, _ = context.place(*min(written))
    return Misfit(kind, _origin_of(masks, context), name=f"the mask is set in {name}")


def _origin_of(masks: list[Written], context: Context) -> int:
    """Where one of some masks is written, or the mask is removed, as a byte offset; where neither
    is in the file, the statement before which a header belongs."""
    facts = context.facts
    found = [one.span.start for one in masks if one.span is not None and one.file == facts.file]
    if INHERITED in masks:
        removals = (one for one in facts.settings if one.variable == MASK and one.value is None)
        found += [one.span.start for one in removals]
    return min(found, default=facts.layout.anchor)


def _counts_other_gpus(written: Written, wanted: str) -> bool:
    """Whether a mask may show GPUs by their numbers, and others than are wanted; an option or a
    variable of the environment counts as its default."""
    values = alternatives(written.value) if written.value is not None else ()
    known = [one.value for one in values if isinstance(one, Known)]
    masks = [one for one in known if isinstance(one, str)]
    return not known or any(
        not same_mask(mask, wanted) and any(map(str.isdigit, read_mask(mask).devices))
        for mask in masks
    )


def _counts_gpus(written: Written, wanted: str) -> bool:
    """Whether a mask is surely what is wanted, and shows GPUs by their numbers."""
    known = constants(written.value) if written.value is not None else None
    devices = read_mask(wanted).devices
    return (
        bool(known)
        and any(map(str.isdigit, devices))
        and all(isinstance(one.value, str) and same_mask(one.value, wanted) for one in known or ())
    )


def _replaced(context: Context) -> Iterator[Misfit]:
    """A mask that hides the GPUs, or that only the run will tell, if another replaces it before
    anything can have used it."""
    for setting in context.facts.reached_settings:
        if setting.variable == MASK and _replaces(setting):
            for written in filter(_is_meant, setting.before):
                here = written.file == context.facts.file
                kind = MisfitKind.DECIDES if here else MisfitKind.REPLACES
                at = written.span if here and written.span is not None else setting.span
                option = option_behind(written.value) if written.value is not None else None
                yield Misfit(kind, at.start, name=option.flag if option is not None else "")


def _replaces(setting: Setting) -> bool:
    """Whether a value surely takes the place of another before anything can have used that."""
    if setting.value is None or setting.conditional or setting.reach is Reach.UNCALLED:
        return False
    return setting.frozen.certainty is Certainty.NEVER


def _is_meant(written: Written) -> bool:
    """Whether a mask that is written hides the GPUs, or is decided by what only the run will
    tell."""
    if written.span is None:
        return False
    known = constants(written.value) if written.value is not None else ()
    return known is None or any(
        isinstance(one.value, str) and read_mask(one.value) == MaskReading(()) for one in known
    )


def _is(written: Written, wanted: str | None) -> bool:
    known = None if written.value is None else constants(written.value)
    return bool(known) and all(one.value == wanted for one in known or ())


def _shared_out(facts: FileFacts) -> Iterator[Misfit]:
    """Processes that each need a device of their own, where a mask shows fewer."""
    is_one_of_several = asks_for_size(facts.reading.source.data)
    for selector in facts.selectors:
        rank = rank_behind(selector, is_one_of_several)
        if rank is not None and any(_shown(mask) < 2 for mask in selector.masks):
            is_size = rank.counted is Counted.SIZE
            kind = MisfitKind.GROUP if is_size else MisfitKind.RANK
            yield Misfit(kind, selector.span.start, name="" if is_size else rank.name)
    for child in facts.children:
        if any(child.processes > _shown(mask) for mask in child.masks):
            yield Misfit(MisfitKind.PROCESSES, child.span.start)
        if any(is_given_others(child, devices) for devices in filter(None, _known(child.masks))):
            yield Misfit(MisfitKind.COPIES, child.span.start)


def _chosen(facts: FileFacts) -> Iterator[Misfit]:
    """Devices whose numbers are an option's, where a mask counts them otherwise than the driver, or
    shows one."""
    for selector in facts.selectors:
        option = deciding_option(selector)
        several = filter(None, _known(selector.masks)) if option is not None else ()
        if option is not None and any(is_renumbered(devices) for devices in several):
            yield Misfit(MisfitKind.OPTION, selector.span.start, name=option.flag)


def _known(masks: tuple[Written, ...]) -> Iterator[tuple[str, ...]]:
    """The devices that each mask shows which is known."""
    for written in masks:
        known = None if written.value is None or written.weak else constants(written.value)
        for one in known or ():
            if isinstance(one.value, str):
                yield read_mask(one.value).devices
