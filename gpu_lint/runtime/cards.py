"""The cards of this machine and its driver, read without initialising CUDA.

NVML is asked through nvidia-ml-py where that is installed, the command ``nvidia-smi`` otherwise.
What a card does not support is None, which is shown as *not available*.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from threading import Thread

from gpu_lint.errors import GpuLintError
from gpu_lint.records import record

NVML, NVIDIA_SMI = "NVML", "nvidia-smi"
_PCI = re.compile(r"(?:([0-9a-f]+):)?([0-9a-f]{1,2}):([0-9a-f]{1,2})\.([0-7])")


class NoDriver(GpuLintError):
    """No NVIDIA driver answers; the text says why in one line."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice
        """What to do about it: a command, or what to change; empty where that is not known."""


@record
class CardProcess:
    """A process that has the card open, as the driver numbers processes."""

    pid: int
    name: str
    """Empty where it is not available."""
    memory_mib: int | None


@record
class Card:
    """One card, and how it is used at the moment."""

    index: int
    """In PCI order, as ``nvidia-smi`` counts."""
    uuid: str
    name: str
    pci: str
    """``0000:01:00.0``: lower case, four digits of domain."""
    memory_mib: int | None
    used_mib: int | None
    compute_mode: str | None
    mig: bool | None
    mig_uuids: tuple[str, ...]
    capability: tuple[int, int] | None
    processes: tuple[CardProcess, ...] | None
    slowed: tuple[str, ...] | None = None
    """Why its clocks are lower than they could be; empty where nothing holds them down."""


@record
class Machine:
    """The cards that the driver shows, whatever CUDA_VISIBLE_DEVICES says."""

    driver: str
    cuda: str
    """The newest CUDA that the driver runs: ``13.0``; empty where it is not available."""
    cards: tuple[Card, ...]
    source: str
    """``NVML`` or ``nvidia-smi``."""
    unread: tuple[str, ...] = ()
    """What could not be read of cards that are there, one line each."""


def read_machine(seconds: float = 60.0) -> Machine:
    """Return the driver and its cards. Raises :class:`NoDriver`, also where the driver does not
    answer within some seconds: without persistence mode it is loaded first, for each card."""
    return _within(seconds, _read)


def read_at_once(seconds: float = 2.0) -> Machine | None:
    """Return the driver and its cards if NVML answers within some seconds; None otherwise."""
    from gpu_lint.runtime import nvml

    try:
        return _within(seconds, nvml.read)
    except NoDriver:
        return None


def _read() -> Machine:
    from gpu_lint.runtime import nvidia_smi, nvml

    try:
        return nvml.read()
    except nvml.NoLibrary as absent:
        try:
            return nvidia_smi.read()
        except nvidia_smi.NoCommand as missing:
            why = f"no NVIDIA driver answers: {absent}, and {missing}"
            raise NoDriver(why, absent.advice) from missing


def _within(seconds: float, read: Callable[[], Machine]) -> Machine:
    """Return what is read. Nothing ends a call into a driver that hangs, not even Ctrl-C, so that a
    thread makes it which nothing waits for."""
    found: list[Machine | Exception] = []

    def answer() -> None:
        try:
            found.append(read())
        except Exception as error:  # raised below, in the thread of the caller
            found.append(error)

    thread = Thread(target=answer, daemon=True)
    thread.start()
    thread.join(seconds)
    if not found:
        why = f"the NVIDIA driver did not answer within {seconds:g} seconds"
        raise NoDriver(why, "look for Xid in the kernel's log: dmesg")
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def pci_address(text: str) -> str:
    """Return a PCI address with four digits of domain in lower case; other text as it is."""
    match = _PCI.fullmatch(text.strip().lower())
    if match is None:
        return text.strip().lower()
    domain, bus, device, function = match.groups()
    return f"{int(domain or '0', 16):04x}:{bus:0>2}:{device:0>2}.{function}"


def in_pci_order(cards: list[Card]) -> tuple[Card, ...]:
    """Return cards numbered by their PCI addresses; the numbers of absent cards stay free."""
    numbers = sorted(card.index for card in cards)
    ordered = sorted(cards, key=lambda card: card.pci)
    return tuple(replace(card, index=index) for card, index in zip(ordered, numbers, strict=True))
