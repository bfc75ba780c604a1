"""The policy that fits a machine, for a project that has none."""

from __future__ import annotations

import re

from gpu_lint.records import record
from gpu_lint.runtime.cards import Card, Machine
from gpu_lint.starter import policy_text

_MAKERS = re.compile(r"(?:NVIDIA\s+|GeForce\s+)+")
_SHARE = 0.95
"""Of a card's memory: what a policy may demand, since PyTorch counts less than the driver."""


@record
class Suggestion:
    """The keys of a policy that chooses one card."""

    card: Card
    visible_devices: str
    """The card's index in PCI order; its UUID where a name cannot tell it from others."""
    name: str
    min_memory_gib: int | None
    forbidden: tuple[str, ...]

    @property
    def text(self) -> str:
        """The text of a ``gpu-lint.toml``."""
        return policy_text(
            self.visible_devices,
            name=self.name,
            min_memory_gib=self.min_memory_gib,
            forbidden=self.forbidden,
        )


def suggest(machine: Machine) -> Suggestion | None:
    """Return the policy that chooses the largest card, the first of several; None without one."""
    if not machine.cards:
        return None
    card = max(machine.cards, key=lambda one: (one.memory_mib or 0, one.capability or (0, 0)))
    return suggest_card(machine, card)


def suggest_card(machine: Machine, card: Card) -> Suggestion:
    """Return the policy that chooses a card of a machine."""
    name = short_name(card.name)
    others = [short_name(one.name) for one in machine.cards if one.uuid != card.uuid]
    has_twin = any(name in other for other in others)
    device = card.mig_uuids[0] if card.mig and card.mig_uuids else card.uuid
    memory = None if card.memory_mib is None or card.mig else int(card.memory_mib / 1024 * _SHARE)
    return Suggestion(
        card,
        device if has_twin or card.mig else str(card.index),
        name,
        memory or None,
        tuple(dict.fromkeys(o for o in others if o not in name and name not in o)),
    )


def short_name(name: str) -> str:
    """Return a card's name without its maker's: ``RTX 3090``."""
    return _MAKERS.sub("", name, count=1).strip() or name
