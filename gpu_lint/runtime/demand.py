"""Whether what a command did is *as demanded* by a policy.

It is, if every process that initialised CUDA saw exactly the policy's cards, used no other, and no
write of the mask came too late. What is not seen is not proven: a process that was not recorded, or
a command that used no GPU at all, leaves the verdict open.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from gpu_lint.errors import GpuLintError
from gpu_lint.masks import read_mask
from gpu_lint.policy import Policy
from gpu_lint.records import record
from gpu_lint.runtime.cards import Card, Machine
from gpu_lint.runtime.records import MaskWrite, Process, Visible
from gpu_lint.runtime.tracing import Traced
from gpu_lint.variables import MASK, ORDER


class Verdict(str, Enum):
    """What can be said of a command under a policy."""

    AS_DEMANDED = "as-demanded"
    VIOLATED = "violated"
    UNPROVEN = "unproven"


@record
class Judgement:
    """A verdict, and why, in lines."""

    verdict: Verdict
    reasons: tuple[str, ...]


class PolicyMismatch(GpuLintError):
    """A policy that does not fit this machine."""


def expected_cards(policy: Policy, machine: Machine) -> tuple[Card, ...]:
    """The cards of a machine that a policy chooses, in the order of its mask.

    Raises :class:`PolicyMismatch` for an index or a UUID that the machine lacks, and where an index
    means nothing without running CUDA.
    """
    chosen: list[Card] = []
    for device in read_mask(policy.gpu.visible_devices).devices:
        if device.isdigit():
            if policy.gpu.device_order != "PCI_BUS_ID":
                raise PolicyMismatch(
                    f"which card {device} is in the order FASTEST_FIRST, only CUDA can tell; "
                    "use PCI_BUS_ID or a UUID"
                )
            found = [card for card in machine.cards if card.index == int(device)]
        else:
            found = [
                card
                for card in machine.cards
                if card.uuid.startswith(device) or device in card.mig_uuids
            ]
        if len(found) != 1:
            shown = f"{len(machine.cards)} GPU{'s' * (len(machine.cards) != 1)}"
            raise PolicyMismatch(f"the policy's GPU {device} is not here: this machine has {shown}")
        chosen += found
    return tuple(chosen)


def judge(traced: Traced, policy: Policy, machine: Machine | None) -> Judgement:
    """Judge what a command did. Without a ``machine``, what NVML says of it, an index cannot be
    checked: then only a violation is certain."""
    try:
        cards = None if machine is None else expected_cards(policy, machine)
        unknown = "neither NVML nor nvidia-smi answers: which card an index is cannot be checked"
    except PolicyMismatch as mismatch:
        cards, unknown = None, str(mismatch)
    violations = [
        reason
        for process in traced.processes
        for reason in _violations(process, traced, policy, cards)
    ]
    if violations:
        return Judgement(Verdict.VIOLATED, tuple(dict.fromkeys(violations)))
    open_questions = list(_unproven(traced))
    by_uuid = not any(map(str.isdigit, read_mask(policy.gpu.visible_devices).devices))
    if cards is None and not by_uuid:
        open_questions.append(unknown)
    if open_questions:
        return Judgement(Verdict.UNPROVEN, tuple(dict.fromkeys(open_questions)))
    return Judgement(Verdict.AS_DEMANDED, ())


def late_writes(process: Process, traced: Traced) -> Iterator[MaskWrite]:
    """The writes of the mask or the order that a process made too late: CUDA had read something
    else, and no process that was started afterwards has got the value. A removal is none."""
    if process.freeze is None:
        return
    read = {MASK: process.freeze.mask, ORDER: process.freeze.order}
    for write in process.mask_writes:
        if write.effective is not False or write.value in (None, read.get(write.variable)):
            continue
        if not any(
            other.parent == process.pid
            and other.began >= write.t
            and other.environment.get(write.variable) == write.value
            for other in traced.processes
        ):
            yield write


def _violations(
    process: Process, traced: Traced, policy: Policy, cards: tuple[Card, ...] | None
) -> Iterator[str]:
    for write in late_writes(process, traced):
        place = f"{write.file}:{write.line}" if write.file else "code in C"
        yield (
            f"{place}: {write.variable} is set to {write.value!r} after CUDA was initialised"
            f"{_by(process)}, and has no effect"
        )
    if process.visible is None:
        return
    seen = [card.uuid for card in process.visible]
    if cards is not None and seen != [card.uuid for card in cards]:
        yield (
            f"process {process.pid} sees {_cards(process.visible)}, where the policy demands "
            f"{_cards(cards)}{_at(process)}"
        )
    else:
        yield from _unfit(process, policy)
    if cards is not None:
        demanded = {card.uuid for card in cards}
        for touched in process.touched:
            if touched.uuid not in demanded:
                yield f"process {process.pid} uses {touched.name} ({touched.uuid})"


def _unfit(process: Process, policy: Policy) -> Iterator[str]:
    """What the visible cards lack that the policy demands of them."""
    visible, gpu = process.visible or (), policy.gpu
    devices = read_mask(gpu.visible_devices).devices
    if len(visible) != len(devices):
        yield (
            f"process {process.pid} sees {_cards(visible)}, where the policy demands "
            f"{len(devices)} GPU{'s' * (len(devices) != 1)}{_at(process)}"
        )
        return
    for card, device in zip(visible, devices, strict=True):
        if not device.isdigit() and not card.uuid.startswith(device):
            yield f"process {process.pid} sees {card.uuid}, where the policy demands {device}"
        for forbidden in gpu.forbidden:
            if forbidden in card.name:
                yield f"process {process.pid} sees {card.name}, which the policy forbids"
    for first in visible[:1]:
        if gpu.name and gpu.name not in first.name:
            yield f"process {process.pid} sees {first.name}, where the policy demands {gpu.name}"
        if gpu.min_memory_gib and first.memory_mib < gpu.min_memory_gib * 1024:
            yield (
                f"process {process.pid} sees {first.name} with {first.memory_mib / 1024:.1f} GiB, "
                f"where the policy demands {gpu.min_memory_gib:g} GiB"
            )


def _unproven(traced: Traced) -> Iterator[str]:
    if traced.ended.timed_out:
        yield "it was stopped at the timeout"
    for text in traced.unrecorded:
        yield f"not recorded: {text}"
    if not any(process.visible for process in traced.processes):
        yield from traced.limits
        yield "no process initialised CUDA, so that nothing shows which card it would use"
    for process in traced.processes:
        if process.visible is not None and not process.ended:
            yield f"process {process.pid} did not end by itself: what it used last is not known"


def _by(process: Process) -> str:
    freeze = process.freeze
    if freeze is None or not freeze.file:
        return ""
    place = f"{freeze.file}:{freeze.line}"
    if freeze.certain:
        return f" by {place}"
    if len(freeze.candidates) < 2:
        return f", most likely by {place}"
    return f" by one of {', '.join(freeze.candidates)}"


def _at(process: Process) -> str:
    freeze = process.freeze
    if freeze is None or not freeze.file:
        return ""
    mask = "no mask" if freeze.mask is None else f"{MASK}={freeze.mask}"
    return f"; CUDA read {mask} at {freeze.file}:{freeze.line}"


def _cards(cards: tuple[Card, ...] | tuple[Visible, ...]) -> str:
    return ", ".join(f"{card.name} ({card.uuid})" for card in cards) or "no GPU"
