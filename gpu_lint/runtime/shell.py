"""The GPU variables of this shell and of the project's ``.env``, as CUDA and PyTorch read them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from gpu_lint import allocator
from gpu_lint.facts.dotenv import dotenv_paths, entries_of
from gpu_lint.facts.knowledge import Knowledge
from gpu_lint.facts.values import Known
from gpu_lint.masks import order_fault, read_mask, same_mask
from gpu_lint.policy import Policy
from gpu_lint.records import record
from gpu_lint.runtime.cards import Machine
from gpu_lint.runtime.fit import Assigned, assign
from gpu_lint.runtime.remarks import Level, Remark
from gpu_lint.source import read_start
from gpu_lint.variables import ALIASES, HEADER_VARIABLES, MASK, ORDER

SHELL = "shell"
_LONGEST = 1 << 20
"""Bytes of a ``.env`` file that are read."""
_UNREADABLE = "its value holds `${` or an escape, and is not read"


@record
class Held:
    """One variable that decides about GPUs, where it is set, and what comes of it."""

    place: str
    """``shell``, or the path of a ``.env`` file."""
    name: str
    value: str | None
    """None where it is not known."""
    remark: Remark


class VariableReader:
    """Reads variables under a machine, a policy and a release of PyTorch, as far as known."""

    def __init__(
        self,
        knowledge: Knowledge,
        machine: Machine | None,
        policy: Policy | None,
        release: allocator.Release | None,
    ) -> None:
        self._knowledge = knowledge
        self._others = {variable.name: variable for variable in knowledge.others}
        self._machine = machine
        self._policy = policy
        self._release = release

    def read(self, environ: Mapping[str, str], directory: Path, home: Path) -> Iterator[Held]:
        """Yield the variables of a process's environment, then those of the nearest ``.env`` file,
        from a directory up to its project, which do not replace what is set already."""
        yield from self._held(SHELL, environ, environ.get(ORDER))
        path = next(filter(os.path.isfile, dotenv_paths(str(directory / "x.py"), str(home))), None)
        if path is not None:
            found = dict(_entries(read_start(path, _LONGEST)))
            order = environ.get(ORDER, found.get(ORDER))
            for held in self._held(os.path.relpath(path, directory), found, order):
                yield held if held.name not in environ else _shadowed(held)

    def _held(
        self, place: str, values: Mapping[str, str | None], order: str | None
    ) -> Iterator[Held]:
        for name in sorted(values):
            if (remark := self._read(name, values[name], order)) is not None:
                yield Held(place, name, values[name], remark)

    def _read(self, name: str, value: str | None, order: str | None) -> Remark | None:
        """Return what comes of a variable; None for one that does not decide about GPUs."""
        if (meant := self._knowledge.misspelt(name)) is not None:
            text = f"nothing reads a variable of that name; {meant} was meant"
            return Remark(Level.WARNING, text, f"rename {name} to {meant}")
        if name not in (*HEADER_VARIABLES, *ALIASES, *self._others):
            return None
        if value is None:
            return Remark(Level.NOTE, _UNREADABLE)
        if name == MASK:
            return self._mask(value, order)
        if name == ORDER:
            return self._order(value)
        if name in self._others:
            other = self._others[name]
            if fault := other.fault(value):
                return Remark(Level.WARNING, fault, f"correct or unset {name}")
            return Remark(Level.NOTE, f"read by {other.read_by}")
        return self._allocator(name, value)

    def _mask(self, value: str, order: str | None) -> Remark:
        reading = read_mask(value)
        if reading.fault:
            return Remark(Level.WARNING, reading.fault, f"correct or unset {MASK}")
        if not reading.devices:
            return Remark(Level.WARNING, "CUDA shows no GPU at all", f"unset {MASK}")
        devices = assign(reading.devices, order, self._machine) if self._machine else ()
        fault = next((one.fault.text for one in devices if one.fault is not None), "")
        shown = [f"card {one.card.index} ({one.card.name})" for one in devices if one.card]
        text = fault or f"CUDA shows {', '.join(shown or reading.devices)}"
        if not self._is_wanted(value, devices):
            wanted = f"the policy demands {self._wanted!r}, which only a header gives a program"
            text = f"{text}; {wanted}"
            return Remark(Level.WARNING, text, "gpu-lint check")
        if fault:
            return Remark(Level.WARNING, text, f"correct or unset {MASK}")
        return Remark(Level.OK, text)

    @property
    def _wanted(self) -> str | None:
        return None if self._policy is None else self._policy.gpu.visible_devices

    def _is_wanted(self, value: str, devices: tuple[Assigned, ...]) -> bool:
        """Return whether a mask shows the cards of the policy, however they are written."""
        if self._policy is None or same_mask(value, self._policy.gpu.visible_devices):
            return True
        if self._machine is None:
            return False
        gpu = self._policy.gpu
        wanted = assign(gpu.devices, gpu.device_order, self._machine)
        return None not in {one.card for one in devices} and (
            [one.card for one in devices] == [one.card for one in wanted]
        )

    def _order(self, value: str) -> Remark:
        if fault := order_fault(value):
            return Remark(Level.WARNING, fault, f"correct or unset {ORDER}")
        wanted = None if self._policy is None else self._policy.gpu.device_order
        if wanted is not None and value != wanted:
            text = f"the policy demands {wanted!r}, which only a header gives a program"
            return Remark(Level.WARNING, text, "gpu-lint check")
        if value == "PCI_BUS_ID":
            return Remark(Level.OK, "an index means what nvidia-smi shows")
        return Remark(Level.OK, "an index counts the fastest card first")

    def _allocator(self, name: str, value: str) -> Remark:
        release = self._release
        if name in ALIASES and release is not None and release < allocator.ALIAS_SINCE:
            text = f"PyTorch {release} does not read it for CUDA"
            return Remark(Level.WARNING, text, f"rename {name} to {ALIASES[name]}")
        if fault := allocator.fault(value, release):
            return Remark(Level.WARNING, fault, f"correct or unset {name}")
        return Remark(
            Level.OK, f"PyTorch {release} accepts it" if release else "PyTorch accepts it"
        )


def _entries(data: bytes) -> Iterator[tuple[str, str | None]]:
    """Yield the names and values of a ``.env`` file; a value that is not known is None."""
    for name, value in entries_of(data).entries:
        if isinstance(name, Known):
            yield str(name.value), str(value.value) if isinstance(value, Known) else None


def _shadowed(held: Held) -> Held:
    """Return a variable of a file that the shell sets, too."""
    text = "the shell sets it, too, which load_dotenv() leaves as it is"
    return replace(held, remark=Remark(Level.NOTE, text))
