"""What ``doctor`` found out, in lines for people that fit a terminal of any width."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gpu_lint.printable import Line, painted, printable
from gpu_lint.reports.cells import fold
from gpu_lint.runtime.cards import Card, Machine
from gpu_lint.runtime.doctor import Examination, Verdict
from gpu_lint.runtime.remarks import Level, Remark

_COLORS = {Level.OK: "green", Level.WARNING: "yellow", Level.UNPROVEN: "red", Level.FAILS: "red"}
_SAID = {
    Verdict.NO_POLICY: "There is no policy here, so nothing is demanded of this machine.",
    Verdict.FITS: "This machine fits the policy.",
    Verdict.UNPROVEN: "Whether this machine fits the policy is not proven.",
    Verdict.VIOLATED: "This machine does not fit the policy.",
}
_MOST_PROCESSES = 8
"""Processes that are listed for one card."""
_NOT = "not available"


def lines(found: Examination, width: int | None, color: bool) -> Iterator[Line]:
    """Yield the lines of an examination; ``width`` is in cells, None is any."""
    text = _Text(width, color)
    yield from text.title("Driver")
    if found.no_driver is not None:
        yield from text.remarks([found.no_driver])
    if found.machine is not None:
        cuda = found.machine.cuda or f"({_NOT})"
        yield from text.plain(
            f"{found.machine.driver or _NOT}, runs CUDA up to {cuda}; asked by "
            f"{found.machine.source}"
        )
        yield from text.title("Cards, in PCI order")
        yield from _cards(found.machine, text)
        yield from text.remarks(found.unread)
    for fit in found.fits:
        yield from text.title(f"Policy of {fit.where}")
        yield from text.plain(f"{fit.origin}: CUDA_VISIBLE_DEVICES={fit.gpu.visible_devices}")
        yield from text.remarks(fit.remarks)
    yield from text.title("PyTorch")
    if found.torch is not None:
        yield from text.plain(found.torch.python)
        if found.torch.version:
            built = found.torch.cuda or found.torch.hip or "no GPU"
            yield from text.plain(f"torch {found.torch.version}, built for {built}")
    yield from text.remarks(found.torch_remarks)
    yield from text.title("Variables")
    for held in found.variables:
        value = "" if held.value is None else f"={held.value}"
        yield from text.plain(f"{held.place}: {held.name}{value}")
        yield from text.remarks([held.remark])
    if not found.variables:
        yield from text.plain("none that decides about GPUs is set")
    if found.surroundings:
        yield from text.title("Surroundings")
        yield from text.remarks(found.surroundings)
    yield from text.title(_SAID[found.verdict])
    for step in found.next_steps:
        yield from text.block("next: ", step)


def _cards(machine: Machine, text: _Text) -> Iterator[Line]:
    if not machine.cards:
        yield from text.plain("none")
    for card in machine.cards:
        yield from text.block(f"{card.index}  ", card.name)
        for line in _about(card):
            yield from text.block("   ", line)


def _about(card: Card) -> Iterator[str]:
    used = "" if card.used_mib is None else f", {card.used_mib / 1024:.1f} used"
    memory = _NOT if card.memory_mib is None else f"{card.memory_mib / 1024:.1f} GiB{used}"
    capability = _NOT if card.capability is None else "sm_{}{}".format(*card.capability)
    mig = _NOT if card.mig is None else "on" if card.mig else "off"
    yield f"memory {memory}; compute capability {capability}"
    yield f"MIG {mig}; compute mode {card.compute_mode or _NOT}"
    yield card.uuid
    yield f"PCI {card.pci}"
    yield from card.mig_uuids
    if card.slowed:
        yield f"clocks held down: {', '.join(card.slowed)}"
    if card.processes is None:
        yield f"processes: {_NOT}"
        return
    for process in card.processes[:_MOST_PROCESSES]:
        memory = _NOT if process.memory_mib is None else f"{process.memory_mib} MiB"
        yield f"process {process.pid} {process.name or '(name not available)'}: {memory}"
    if (more := len(card.processes) - _MOST_PROCESSES) > 0:
        yield f"and {more} more"


class _Text:
    """Makes lines of a width, each part behind its indentation."""

    def __init__(self, width: int | None, color: bool) -> None:
        self._width = width
        self._color = color

    def title(self, text: str) -> Iterator[Line]:
        for line in self._folded(text, 0):
            yield (painted(line, color=self._color, bold=True),)

    def plain(self, text: str) -> Iterator[Line]:
        yield from self.block("", text)

    def remarks(self, remarks: Iterable[Remark]) -> Iterator[Line]:
        for remark in remarks:
            yield from self.marked(remark.level, remark.text)

    def marked(self, level: Level, text: str) -> Iterator[Line]:
        """Yield text behind its level, in colour."""
        mark = f"{level.value:8} "
        first, *more = self._folded(text, len(mark) + 2)
        shown = painted(mark, color=self._color, fg=_COLORS.get(level))
        yield (painted("  ", color=False), shown, first)
        yield from ((" " * (len(mark) + 2), line) for line in more)

    def block(self, mark: str, text: str) -> Iterator[Line]:
        """Yield text behind a mark, its further lines below each other."""
        first, *more = self._folded(text, len(mark) + 2)
        yield f"  {mark}{first}"
        yield from (" " * (len(mark) + 2) + line for line in more)

    def _folded(self, text: str, indent: int) -> list[str]:
        shown = printable(text)
        if self._width is None:
            return [shown]
        return [line.rstrip() for line in fold(shown, self._width - indent)]
