"""Processes that share out the GPUs, and options that choose among them.

Both are meant: they are reported where a policy or a mask does not fit them, and no fix that takes
them away is safe.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpu_lint.checks.context import Context, Found
from gpu_lint.facts.filefacts import FileFacts
from gpu_lint.facts.model import Child, Reach, Selector, Shape
from gpu_lint.facts.ranks import Counted, Rank, rank_in
from gpu_lint.facts.selection import indexing_input
from gpu_lint.facts.values import Known, Option, Text, constants, option_behind
from gpu_lint.masks import read_mask
from gpu_lint.source import Span

_NUMBER = re.compile(
    r"(?:gpu|card|cuda|ordinal)s?$|(?:gpu|card|cuda|device)[-_]?(?:ids?|index|idx|num|number|no)$",
    re.IGNORECASE,
)
"""How the name of an option ends that takes the number of a device."""
_NOTE = "measured: cuda-facts section 6 (CUDA error: invalid device ordinal, and the like)"
_COPY_NOTE = "measured: cuda-facts section 2 (only the value at first use counts)"


def rank_of(selector: Selector) -> Rank | None:
    """Return the rank, read without a default, that a call is given as the index of a device, or
    the number of processes that each need one."""
    found = (rank_in(indexing_input(value)) for value in selector.bare)
    is_size = selector.shape is Shape.COUNT
    fitting = (one for one in found if one and (one.counted is Counted.SIZE) is is_size)
    return next(fitting, None)


def rank_behind(selector: Selector, is_one_of_several: bool) -> Rank | None:
    """Return the rank that may decide which device a call is given: also one beside which there is
    another value (-1, ``cuda``); beside the index of a device only where the program may be
    started as one of several, as it asks how many there are."""
    if selector.shape is not Shape.COUNT and selector.indices and not is_one_of_several:
        return rank_of(selector)
    if selector.shape is Shape.COUNT:
        sizes = filter(None, map(rank_in, selector.inputs))
        return next((one for one in sizes if one.counted is Counted.SIZE), None)
    found = (rank_in(indexing_input(value)) for value in selector.inputs)
    return next((one for one in found if one and one.counted is not Counted.SIZE), None)


def deciding_option(selector: Selector) -> Option | None:
    """Return the option of the command line that says which device a call is given by its number.

    An option that is given whole (``--device``) says so where its default does; else it may only
    choose between a GPU and the CPU."""
    if selector.shape is Shape.COUNT:
        return None
    for value in selector.inputs:
        index = indexing_input(value)
        option = option_behind(index) if index is not None else None
        if option is not None and rank_in(index) is None:
            if isinstance(value, Text) or selector.indices or _NUMBER.search(option.flag):
                return option
    return None


def is_renumbered(devices: tuple[str, ...]) -> bool:
    """Whether a number that a user gives may mean another device, or none, behind a mask."""
    return len(devices) < 2 or devices != tuple(map(str, range(len(devices))))


def place_of(option: Option, context: Context) -> Span | None:
    """Return where an option is defined, if that is in the file that is checked."""
    return option.place.span if option.place.file == context.facts.file else None


def deciding(option: Option, context: Context) -> str:
    """Return how a message names an option, with its place where that is in another file."""
    if place_of(option, context) is not None:
        return option.flag
    name, line = context.place(option.place.file, option.place.span)
    return f"{option.flag} ({name}:{line})"


def is_given_others(child: Child, devices: tuple[str, ...]) -> bool:
    """Whether a call starts the same program again with a mask of its own that may show others than
    some devices. ``devices`` are those of the mask that the program itself sets."""
    if not child.copies or child.mask is None or child.mask == Known(None):
        return False
    known = constants(child.mask)
    if known is None:
        return len(devices) == 1
    masks = (read_mask(one.value).devices for one in known if isinstance(one.value, str))
    return any(not set(mask) <= set(devices) for mask in masks)


def check_ranks(context: Context) -> Iterator[Found]:
    """GPU209: more processes with a GPU each than the policy or a mask shows."""
    found = [*_launches(context), *_indices(context)]
    yield from found or _groups(context)


def check_global_ranks(context: Context) -> Iterator[Found]:
    """GPU210: a rank that counts the processes on all machines is the index of a device; each rank
    once."""
    reported: set[str] = set()
    for selector in context.facts.selectors:
        rank = rank_of(selector)
        if rank is None or rank.counted is not Counted.IN_ALL or rank.name in reported:
            continue
        if _is_for_one_machine(context) or _starts_one_each(context):
            return
        if _only_device(selector, context) is not None:
            continue  # GPU209
        reported.add(rank.name)
        message = (
            f"{selector.api}: {rank.name} counts the processes on all machines, so on the second "
            "machine there is no such device; use the local rank"
        )
        yield Found("GPU210", selector.span, message, _NOTE)


def _is_for_one_machine(context: Context) -> bool:
    """Whether the program gives up where its processes run on several machines."""
    return any(facts.is_for_one_machine for facts in _of_program(context))


def _starts_one_each(context: Context) -> bool:
    """Whether the program starts its processes itself, one for each device that the mask shows."""
    return any(child.for_each_device for facts in _of_program(context) for child in facts.children)


def _of_program(context: Context) -> Iterator[FileFacts]:
    yield context.facts
    for companion in context.companions():
        yield companion.facts


def _launches(context: Context) -> Iterator[Found]:
    """Calls that start more processes than there are devices, or copies with masks of their own."""
    for child in context.facts.children:
        if (own := _beyond_own_mask(child)) is not None:
            yield own
            continue
        devices = context.mask_devices(child.masks)
        if not devices:
            continue
        mask = ",".join(devices)
        if child.mask is None and child.processes > len(devices):
            shown = f"the mask {mask!r} shows {len(devices)}"
            message = f"{child.processes} processes with a GPU each are started, but {shown}"
            yield Found("GPU209", child.span, message, _NOTE)
        elif is_given_others(child, devices):
            if context.policy is None and constants(child.mask or Known(None)) is None:
                continue
            whose = "the policy demands" if context.policy is not None else "this program sets"
            started = "copies of this program are started with masks of their own"
            yield Found("GPU209", child.span, f"{started}; {whose} {mask!r}", _COPY_NOTE)


def _beyond_own_mask(child: Child) -> Found | None:
    """A start of more processes than the mask shows devices which it gives them itself."""
    given = constants(child.mask) if child.mask is not None else None
    texts = [one.value for one in given or () if isinstance(one.value, str)]
    shown = max((len(read_mask(text).devices) for text in texts), default=0)
    if not shown or child.processes <= shown or len(texts) != len(given or ()):
        return None
    message = f"{child.processes} processes with a GPU each are started, but the mask "
    message += f"{texts[0]!r} that they are given shows {shown}"
    return Found("GPU209", child.span, message, _NOTE)


def _indices(context: Context) -> Iterator[Found]:
    """Ranks that are used as the index of a device where one is shown; each rank once."""
    reported: set[str] = set()
    for selector in context.facts.selectors:
        rank = rank_of(selector)
        if rank is None or selector.shape is Shape.COUNT or rank.name in reported:
            continue
        if (mask := _only_device(selector, context)) is not None:
            if rank.is_of_group and _starts_one_each(context):
                return
            reported.add(rank.name)
            message = (
                f"{selector.api}: the rank {rank.name} is the index of a device, but the mask "
                f"{mask!r} shows one: every process but the first fails"
            )
            yield Found("GPU209", selector.span, message, _NOTE)


def _groups(context: Context) -> Iterator[Found]:
    """Groups of processes with a GPU each that are joined where one is shown."""
    for selector in context.facts.selectors:
        if selector.shape is Shape.COUNT and rank_of(selector) is not None:
            mask = _only_device(selector, context)
            if mask is not None and selector.reach > Reach.UNCALLED:
                if _starts_one_each(context):
                    return
                message = (
                    f"{selector.api}: each process of the group needs a GPU of its own, but the "
                    f"mask {mask!r} shows one"
                )
                yield Found("GPU209", selector.span, message, _NOTE)
                return


def _only_device(selector: Selector, context: Context) -> str | None:
    """The mask where it shows one device; None where it shows more, or is not known."""
    devices = context.mask_devices(selector.masks)
    return devices[0] if devices is not None and len(devices) == 1 else None
