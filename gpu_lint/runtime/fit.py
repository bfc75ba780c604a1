"""A policy against the cards of a machine: which card each entry of the mask is."""

from __future__ import annotations

from collections.abc import Iterator

from gpu_lint.policy import Gpu, Policy
from gpu_lint.records import record
from gpu_lint.runtime.cards import Card, Machine
from gpu_lint.runtime.remarks import Level, Remark

_PYTORCH_SEES = 0.96
"""The least share of a card's memory that PyTorch counts: the driver keeps some for itself."""


@record
class Assigned:
    """One entry of a mask: the card that it names on this machine."""

    entry: str
    card: Card | None
    """None where no card, or no single one, can be told."""
    fault: Remark | None = None


@record
class Fit:
    """One policy, and how the machine fits it."""

    where: str
    """What the policy is in force for."""
    origin: str
    """Where its mask is written: ``FILE:LINE``, or an option."""
    gpu: Gpu
    devices: tuple[Assigned, ...]
    remarks: tuple[Remark, ...]

    @property
    def cards(self) -> tuple[Card, ...]:
        """The cards that the policy chooses, as far as they are known."""
        return tuple(each.card for each in self.devices if each.card is not None)


def fit_of(policy: Policy, machine: Machine | None, where: str, origin: str) -> Fit:
    """Compare a policy with a machine; None is a machine without a driver."""
    gpu = policy.gpu
    if machine is None:
        text = "no card can be read, so nothing of the policy is proven"
        unknown = tuple(Assigned(entry, None) for entry in gpu.devices)
        return Fit(where, origin, gpu, unknown, (Remark(Level.UNPROVEN, text),))
    devices = assign(gpu.devices, gpu.device_order, machine)
    return Fit(where, origin, gpu, devices, tuple(_remarks(gpu, devices, machine)))


def assign(entries: tuple[str, ...], order: str | None, machine: Machine) -> tuple[Assigned, ...]:
    """Return the card of each entry of a mask under a CUDA_DEVICE_ORDER (None: not set)."""
    return tuple(
        _by_index(entry, order, machine) if entry.isdigit() else _by_uuid(entry, machine)
        for entry in entries
    )


def _by_index(entry: str, order: str | None, machine: Machine) -> Assigned:
    known = {str(card.index): card for card in machine.cards}
    if entry not in known:
        if machine.unread:
            text = f"index {entry} is not among the cards that answer"
            return Assigned(entry, None, Remark(Level.UNPROVEN, text, "nvidia-smi"))
        text = f"index {entry} does not exist: {_inventory(machine)}"
        return Assigned(entry, None, Remark(Level.FAILS, text, "gpu-lint doctor --suggest"))
    if order != "PCI_BUS_ID" and len(machine.cards) > 1:
        text = f"index {entry} counts the fastest card first, an order that only CUDA knows"
        advice = 'set device-order = "PCI_BUS_ID"'
        return Assigned(entry, None, Remark(Level.UNPROVEN, text, advice))
    return _part_of(entry, known[entry])


def _by_uuid(entry: str, machine: Machine) -> Assigned:
    """CUDA takes the beginning of a UUID, where only one card has it."""
    parts = [(card, uuid) for card in machine.cards for uuid in card.mig_uuids]
    if entry.startswith("MIG-"):
        found = [card for card, uuid in parts if uuid.startswith(entry)]
    else:
        found = [card for card in machine.cards if card.uuid.startswith(entry)]
    if len(found) == 1:
        return Assigned(entry, found[0]) if entry.startswith("MIG-") else _part_of(entry, found[0])
    if found:
        text = f"{entry} is the beginning of {len(found)} UUIDs: CUDA shows none of them"
        return Assigned(entry, None, Remark(Level.FAILS, text, "nvidia-smi -L"))
    if machine.unread:
        text = f"{entry} is not among the cards that answer"
        return Assigned(entry, None, Remark(Level.UNPROVEN, text, "nvidia-smi"))
    text = f"no card of this machine is {entry}: {_inventory(machine)}"
    return Assigned(entry, None, Remark(Level.FAILS, text, "gpu-lint doctor --suggest"))


def _part_of(entry: str, card: Card) -> Assigned:
    """Return a whole card; where MIG is on, CUDA shows one part of it instead."""
    if not card.mig:
        return Assigned(entry, card)
    text = f"card {card.index} is split by MIG: a program gets one part of it, and which is open"
    advice = (
        f'name a part: visible-devices = "{card.mig_uuids[0]}"'
        if card.mig_uuids
        else ("nvidia-smi mig -lgi")
    )
    return Assigned(entry, card, Remark(Level.UNPROVEN, text, advice))


def _inventory(machine: Machine) -> str:
    numbers = [card.index for card in machine.cards]
    if not numbers:
        return "this machine has no card"
    if len(numbers) == 1:
        return f"this machine has card {numbers[0]} alone"
    return f"this machine has cards {', '.join(map(str, numbers))}"


def _remarks(gpu: Gpu, devices: tuple[Assigned, ...], machine: Machine) -> Iterator[Remark]:
    for number, each in enumerate(devices):
        if each.card is not None and each.fault is None:
            text = f"{each.entry} is card {each.card.index}, {each.card.name}, cuda:{number}"
            yield Remark(Level.OK, text)
        elif each.fault is not None:
            yield each.fault
    chosen = {each.card.uuid for each in devices if each.card is not None}
    first = devices[0].card
    if first is not None:
        yield from _first(gpu, first, chosen, machine)
    for card in machine.cards:
        yield from _each(gpu, card, card.uuid in chosen)


def _first(gpu: Gpu, card: Card, chosen: set[str], machine: Machine) -> Iterator[Remark]:
    """Yield what the policy demands of device 0."""
    if gpu.name is not None:
        if gpu.name in card.name:
            yield Remark(Level.OK, f"its name holds {gpu.name!r}")
        else:
            text = f"card {card.index} is {card.name}, not {gpu.name!r}"
            yield Remark(Level.FAILS, text, "gpu-lint doctor --suggest")
    if gpu.min_memory_gib is not None:
        yield _memory(gpu.min_memory_gib, card)
    known_by = gpu.name or card.name
    twins = [one for one in machine.cards if known_by in one.name and one.uuid not in chosen]
    if twins and gpu.devices[0].isdigit():
        numbers = " and ".join(str(one.index) for one in twins)
        text = (
            f"{known_by!r} is in the name of card {numbers}, too: a check by name cannot tell it "
            f"from card {card.index}, and an index changes when cards are moved"
        )
        advice = f'name the card by its UUID: visible-devices = "{card.uuid}"'
        yield Remark(Level.WARNING, text, advice)


def _memory(wanted: float, card: Card) -> Remark:
    if card.memory_mib is None or card.mig:
        return Remark(Level.UNPROVEN, f"the memory of card {card.index} is not available")
    gib = card.memory_mib / 1024
    if gib < wanted:
        text = f"card {card.index} has {gib:.1f} GiB, less than the {wanted:g} demanded"
        return Remark(Level.FAILS, text, "gpu-lint doctor --suggest")
    if gib * _PYTORCH_SEES < wanted:
        text = (
            f"card {card.index} has {gib:.1f} GiB, of which PyTorch counts a little less: a "
            f"validator that asks for {wanted:g} may fail"
        )
        advice = f"set min-memory-gib = {int(gib * _PYTORCH_SEES)}"
        return Remark(Level.WARNING, text, advice)
    return Remark(Level.OK, f"it has {gib:.1f} GiB; {wanted:g} are demanded")


def _each(gpu: Gpu, card: Card, is_chosen: bool) -> Iterator[Remark]:
    """Yield what is to be said of one card of the machine."""
    forbidden = next((name for name in gpu.forbidden if name in card.name), None)
    if forbidden is not None and is_chosen:
        text = f"card {card.index}, {card.name}, is chosen and forbidden ({forbidden!r})"
        yield Remark(Level.FAILS, text, "gpu-lint doctor --suggest")
    elif forbidden is not None:
        text = f"card {card.index}, {card.name}, is forbidden: the mask must hide it"
        yield Remark(Level.NOTE, text, "gpu-lint check")
    if not is_chosen:
        return
    if card.compute_mode == "Prohibited":
        text = f"card {card.index} is in compute mode Prohibited: no program can use it"
        yield Remark(Level.FAILS, text, f"nvidia-smi -i {card.index} -c DEFAULT")
    elif card.compute_mode == "Exclusive_Process" and card.processes:
        text = f"card {card.index} is in compute mode Exclusive_Process and in use"
        yield Remark(Level.WARNING, text, "nvidia-smi")
