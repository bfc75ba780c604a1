"""Device selectors and device counts that the mask makes impossible."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpu_lint.checks.context import Context, Found
from gpu_lint.facts.conditions import COMPARISONS
from gpu_lint.facts.model import INHERITED, CountTest, Index, Selector, Shape, Written
from gpu_lint.facts.selection import indexing_input
from gpu_lint.facts.values import (
    EnvironmentValue,
    Input,
    Place,
    Text,
    Value,
    alternatives,
    input_of,
    text_of,
)
from gpu_lint.findings import Applicability
from gpu_lint.remedies import Remedy, Renumber, TakePart, UseFirst, UseNumber, UseVisible
from gpu_lint.rulebook import Severity
from gpu_lint.variables import MASK

_INDEX_NOTE = "measured: cuda-facts section 6 (CUDA error: invalid device ordinal, and the like)"
_INDEX_NAME = re.compile(
    r"(gpu|rank|device_?id|device_?index|ordinal|card)[\w'\]]*$", re.IGNORECASE
)
_NVML_NOTE = "measured: cuda-facts section 7 (NVML and nvidia-smi ignore the mask)"


def check_selectors(context: Context) -> Iterator[Found]:
    """GPU201 and GPU204: devices that do not exist under the mask in effect."""
    reported = set()
    for selector in context.facts.selectors:
        devices = context.mask_devices(selector.masks)
        granted = context.granted(selector.span)
        if granted is not None and not (devices and len(devices) < granted):
            devices = tuple(map(str, range(granted)))
        else:
            granted = None
        if not devices or selector.needs > len(devices):
            continue
        single = selector.shape is Shape.ONE
        if selector.versions:
            if not (INHERITED in selector.masks and context.removes_mask):
                yield from _by_version(selector, devices, visible_devices(devices))
            continue
        if all(index.number < len(devices) for index in selector.indices):
            if single or selector.count <= len(devices):
                continue
        if INHERITED in selector.masks and context.removes_mask:
            continue  # it is behind a removal (GPU118), and sees what the parent process says
        visible = visible_devices(devices) if granted is None else _granted(granted)
        if single:
            for found in _one(selector, devices, visible, context):
                if found.span not in reported:
                    reported.add(found.span)
                    yield found
        else:
            message = f"{selector.api}: {selector.count} devices are asked for, {visible}"
            remedy = UseVisible(selector.span, len(devices))
            yield Found("GPU204", selector.span, message, _INDEX_NOTE, remedy, Applicability.UNSAFE)


def check_followed_masks(context: Context) -> Iterator[Found]:
    """GPU208: one value as the mask, and then as the index behind that mask."""
    for selector in context.facts.selectors:
        if not selector.masks or selector.shape is Shape.COUNT:
            continue
        for used in selector.inputs:
            index = indexing_input(used)
            if index is not None and all(_is_mask(held, index) for held in selector.masks):
                if INHERITED in selector.masks and context.removes_mask:
                    break  # the index was read from the mask, and then the mask was removed
                entry = isinstance(index, Input) and index.entry_of is not None
                said = "an entry of the mask" if entry else "the value that is the mask"
                message = (
                    f"{selector.api}: {said} is used as an index behind it; "
                    "with one visible device the only index is 0"
                )
                prefix = text_of(used.parts[0]) if isinstance(used, Text) else None
                first = UseFirst(selector.span, prefix)
                single = selector.shape is Shape.ONE
                unsafe = Applicability.UNSAFE
                remedy = first if single and len(selector.inputs) == 1 else None
                yield Found("GPU208", selector.span, message, _INDEX_NOTE, remedy, unsafe)
                break


def _is_mask(written: Written, used: Value) -> bool:
    """Whether a value that is used as an index is the mask, or an entry of it."""
    whole = used.entry_of if isinstance(used, Input) else None
    if written.value is None:
        return EnvironmentValue(MASK) in (used, whole)
    held = [input_of(single) for single in alternatives(written.value)]
    return any(one is not None and one in (used, whole) for one in held)


def visible_devices(devices: tuple[str, ...]) -> str:
    """Say how many devices a mask shows, and by which indices."""
    mask = ",".join(devices)
    if len(devices) == 1:
        return f"but the mask {mask!r} shows one, whose index is 0"
    return f"but the mask {mask!r} shows {len(devices)}, with the indices 0 to {len(devices) - 1}"


def _granted(count: int) -> str:
    asked = f"but Ray shows this process {count} (num_gpus)"
    return f"{asked}, whose index is 0" if count == 1 else f"{asked}, from 0 to {count - 1}"


def _by_version(selector: Selector, devices: tuple[str, ...], visible: str) -> Iterator[Found]:
    """Devices that are wrong in every release of a framework whose releases number them
    differently: no number is right in all, unless the mask's own, so none is put in."""
    code = "GPU201" if selector.shape is Shape.ONE else "GPU204"
    others = [one.number for one in selector.indices if str(one.number) not in devices]
    wrong = [number for number in others if number >= len(devices)]
    if wrong:
        message = (
            f"{selector.api}: there is no device {wrong[0]}, {visible}; no fix: {selector.versions}"
        )
        yield Found(code, selector.span, message, _INDEX_NOTE)
    elif others:
        mask = ",".join(devices)
        message = (
            f"{selector.api}: device {others[0]} may be a card that the mask {mask!r} hides: "
            f"{selector.versions}; a number of the mask is right in every release"
        )
        yield Found(code, selector.span, message, _INDEX_NOTE, severity=Severity.WARNING)


def _one(
    selector: Selector, devices: tuple[str, ...], visible: str, context: Context
) -> Iterator[Found]:
    for index in selector.indices:
        if index.number < len(devices):
            continue
        local = index.file == context.facts.file
        span = index.span if local and index.span is not None else selector.span
        remedy: Remedy | None = None
        safety = Applicability.UNSAFE
        if index.span is not None and len(devices) == 1:
            remedy = _renumber(index, 0, context)
            if context.decides_only_a_device(index, context.facts.file, selector.span):
                safety = Applicability.SAFE
        elif index.span is not None and str(index.number) in devices:
            remedy = _renumber(index, devices.index(str(index.number)), context)
        message = f"{selector.api}: there is no device {index.number}, {visible}"
        note = _INDEX_NOTE
        if remedy is not None and context.is_asserted(index):
            note += "; the fix is unsafe: an assertion expects this device"
        yield Found("GPU201", span, message, note, remedy, safety)


def _renumber(index: Index, number: int, context: Context) -> Renumber:
    assert index.span is not None
    if index.file == context.facts.file:
        return Renumber(index.span, number)
    return Renumber(None, number, ((Place(index.file, index.span), number),))


def check_numberings(context: Context) -> Iterator[Found]:
    """GPU202: an index that counts other devices than the call that is given it."""
    for crossing in context.facts.crossings:
        devices = context.mask_devices(crossing.masks)
        if devices is not None and devices == tuple(map(str, range(len(devices)))):
            continue
        whose = ("the machine's GPUs", "the GPUs behind the mask")
        counted, taken = whose if crossing.physical else whose[::-1]
        message = (
            f"{crossing.api}: this index counts {counted} ({crossing.source}), the call counts "
            f"{taken}; they differ {_when(devices)}"
        )
        remedy: Remedy | None = None
        alone = context.policy is not None and not crossing.in_command
        if alone and devices and len(devices) == 1:
            if crossing.physical:
                remedy = UseFirst(crossing.span, None)
            elif devices[0].isdigit():
                remedy = UseNumber(crossing.span, int(devices[0]))
        yield Found("GPU202", crossing.span, message, _NVML_NOTE, remedy, Applicability.UNSAFE)


def _when(devices: tuple[str, ...] | None) -> str:
    """When the numbers of the machine's GPUs and of those behind the mask differ."""
    if devices is None:
        return "as soon as CUDA_VISIBLE_DEVICES is set"
    return f"under the mask {','.join(devices)!r}"


def check_dynamic_indices(context: Context) -> Iterator[Found]:
    """GPU205: an index that only the run will tell, and that nothing checks; each once."""
    known: set[Value] = set()
    for selector in context.facts.selectors:
        if selector.shape is Shape.COUNT:
            continue
        indices = {indexing_input(v) for v in selector.inputs if _is_index_from_outside(v)} - {None}
        if indices - known:
            known |= {index for index in indices if index is not None}
            message = f"{selector.api}: which device this is, only the run will tell"
            yield Found("GPU205", selector.span, message)


def _is_index_from_outside(used: Value) -> bool:
    """Whether a value is the number of a device that is read from somewhere.

    What is given whole may be a device, or no device at all (a type); only its name tells. A
    parameter by itself says nothing of where its value is from.
    """
    index = indexing_input(used)
    if isinstance(index, EnvironmentValue):
        return True
    if not isinstance(index, Input):
        return False
    root, _, rest = index.name.partition("@")
    read = root == "sys.argv" or "." in rest or "[" in rest or index.name.startswith("(")
    return read and (isinstance(used, Text) or _INDEX_NAME.search(index.name) is not None)


def check_fallbacks(context: Context) -> Iterator[Found]:
    """GPU206: without a GPU the program goes on, although the policy demands one."""
    if context.policy is None:
        return
    for fallback in context.facts.fallbacks:
        message = "falls back to the CPU without a word; the policy demands a GPU"
        remedy = TakePart(fallback.span, fallback.gpu)
        yield Found("GPU206", fallback.span, message, "", remedy, Applicability.UNSAFE)


def check_device_counts(context: Context) -> Iterator[Found]:
    """GPU203: a comparison with device_count() that the mask decides, for the worse."""
    for test in context.facts.count_tests:
        count = context.visible_count(test.masks)
        decided = None if count is None else _decided(test, count)
        if decided is None:
            continue
        outcome = test.if_true if decided else test.if_false
        if outcome is not None:
            verdict = "always true" if decided else "never true"
            message = (
                f"device_count() is at most {count} under the mask, so this is {verdict}: "
                f"the program {outcome.value}"
            )
            note = "measured: cuda-facts section 1 (device_count() counts visible devices)"
            yield Found("GPU203", test.span, message, note)


def _decided(test: CountTest, most: int) -> bool | None:
    """The outcome of a test for every count from 0 to ``most``, if it is the same."""
    compare = COMPARISONS.get(test.operator)
    if compare is None:
        return None
    outcomes = {compare(count, test.number) for count in range(most + 1)}
    return outcomes.pop() if len(outcomes) == 1 else None
