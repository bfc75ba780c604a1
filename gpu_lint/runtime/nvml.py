"""Reads the machine from NVML through nvidia-ml-py."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from gpu_lint.runtime.cards import (
    NVML,
    Card,
    CardProcess,
    Machine,
    NoDriver,
    in_pci_order,
    pci_address,
)

_MIB = 1 << 20
_MODES = ("Default", "Exclusive_Thread", "Prohibited", "Exclusive_Process")
"""Compute modes by NVML's numbers, as ``nvidia-smi`` writes them."""
_REASONS = {
    0x2: "clocks set by an application",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "heat (driver)",
    0x40: "heat (hardware)",
    0x80: "power brake",
    0x100: "display clocks",
}
"""What holds a card's clocks down, by NVML's bits; that it is idle (bit 1) is no such thing."""
_PROCESS_LISTS = (
    "nvmlDeviceGetComputeRunningProcesses",
    "nvmlDeviceGetGraphicsRunningProcesses",
    "nvmlDeviceGetMPSComputeRunningProcesses",
)
_CLOCKS = (
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetCurrentClocksThrottleReasons",
)
"""The new name and the old one of what tells them."""
_LOST = ("NVML_ERROR_GPU_IS_LOST", "NVML_ERROR_RESET_REQUIRED", "NVML_ERROR_GPU_NOT_FOUND")
"""Errors of a card that is gone; older releases of nvidia-ml-py do not know all of them."""
_EXTRA = "pip install 'gpu-lint[runtime]'"


class NoLibrary(NoDriver):
    """NVML cannot be asked: nvidia-ml-py or the driver's library is not there."""


def read() -> Machine:
    """Return the driver and its cards as NVML tells. Raises :class:`NoLibrary` where it cannot be
    asked, :class:`NoDriver` where it refuses."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        raise NoLibrary("nvidia-ml-py is not installed", _EXTRA) from None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        if error.value == nvml.NVML_ERROR_LIBRARY_NOT_FOUND:
            raise NoLibrary("its library NVML is not on this system") from error
        raise _refused(nvml, error) from error
    try:
        return _Reader(nvml).machine()
    except nvml.NVMLError as error:
        raise NoDriver(f"the NVIDIA driver stopped answering: {error}", "nvidia-smi") from error
    finally:
        with suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _refused(nvml: Any, error: Any) -> NoDriver:
    """Return why the driver refuses, with what to do where that is known."""
    known = {
        nvml.NVML_ERROR_DRIVER_NOT_LOADED: ("its kernel module is not loaded", "modprobe nvidia"),
        nvml.NVML_ERROR_NO_PERMISSION: (
            "this user has no permission to use it",
            "ls -l /dev/nvidia*, and join the group that owns them",
        ),
        nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
            "its library and its kernel module are of different releases",
            "reboot, as after each update of the driver",
        ),
    }
    why, advice = known.get(error.value, (str(error), "nvidia-smi"))
    return NoDriver(f"the NVIDIA driver does not answer: {why}", advice)


class _Reader:
    """Asks NVML, which is initialised, about each card."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._lost = {getattr(nvml, name, None) for name in _LOST} - {None}

    def machine(self) -> Machine:
        nvml = self._nvml
        cards: list[Card] = []
        unread: list[str] = []
        for index in range(nvml.nvmlDeviceGetCount()):
            try:
                cards.append(self._card(index))
            except nvml.NVMLError as error:
                unread.append(f"card {index} does not answer: {error}")
        version = self._available("nvmlSystemGetCudaDriverVersion")
        return Machine(
            driver=_text(self._available("nvmlSystemGetDriverVersion") or ""),
            cuda=f"{version // 1000}.{version % 1000 // 10}" if version else "",
            cards=in_pci_order(cards),
            source=NVML,
            unread=tuple(unread),
        )

    def _card(self, index: int) -> Card:
        """Return one card. Raises ``NVMLError`` for one that is lost or cannot be identified."""
        nvml = self._nvml
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = self._available("nvmlDeviceGetMemoryInfo", handle)
        mode = self._available("nvmlDeviceGetComputeMode", handle)
        mig = self._available("nvmlDeviceGetMigMode", handle)
        capability = self._available("nvmlDeviceGetCudaComputeCapability", handle)
        return Card(
            index=index,
            uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
            name=_text(nvml.nvmlDeviceGetName(handle)),
            pci=pci_address(_text(nvml.nvmlDeviceGetPciInfo(handle).busId)),
            memory_mib=None if memory is None else memory.total // _MIB,
            used_mib=None if memory is None else memory.used // _MIB,
            compute_mode=None if mode is None or mode >= len(_MODES) else _MODES[mode],
            mig=None if mig is None else bool(mig[0]),
            mig_uuids=tuple(self._mig_uuids(handle)) if mig is not None and mig[0] else (),
            capability=None if capability is None else (capability[0], capability[1]),
            processes=self._processes(handle),
            slowed=self._slowed(handle),
        )

    def _available(self, name: str, *about: Any) -> Any:
        """Return the answer of a function, or None where card, driver or nvidia-ml-py have none to
        give. Raises ``NVMLError`` where the card is lost."""
        ask = getattr(self._nvml, name, None)
        return None if ask is None else self._unless_refused(ask, *about)

    def _unless_refused(self, ask: Callable[..., Any], *about: Any) -> Any:
        try:
            return ask(*about)
        except self._nvml.NVMLError as error:
            if error.value in self._lost:
                raise
            return None

    def _mig_uuids(self, handle: Any) -> Iterator[str]:
        for number in range(self._available("nvmlDeviceGetMaxMigDeviceCount", handle) or 0):
            part = self._available("nvmlDeviceGetMigDeviceHandleByIndex", handle, number)
            if part is not None and (uuid := self._available("nvmlDeviceGetUUID", part)):
                yield _text(uuid)

    def _processes(self, handle: Any) -> tuple[CardProcess, ...] | None:
        """Return who is on a card, by number; None where no list of them is available."""
        lists = [self._unless_refused(self._list_of(name), handle) for name in _PROCESS_LISTS]
        if lists[0] is None:
            return None
        found: dict[int, CardProcess] = {}
        for each in (process for one in lists for process in one or ()):
            used = None if each.usedGpuMemory is None else each.usedGpuMemory // _MIB
            if each.pid not in found or found[each.pid].memory_mib is None:
                found[each.pid] = CardProcess(each.pid, self._name_of(each.pid), used)
        return tuple(found[pid] for pid in sorted(found))

    def _list_of(self, name: str) -> Callable[[Any], Any]:
        """Return what lists processes: the newest function that driver and nvidia-ml-py share.

        The one without a version refuses a driver older than nvidia-ml-py; it is for releases of
        nvidia-ml-py that have no other.
        """
        nvml = self._nvml
        versions = [getattr(nvml, f"{name}{version}", None) for version in ("_v3", "_v2")]
        known = [one for one in versions if one is not None] or [getattr(nvml, name, None)]

        def ask(handle: Any) -> Any:
            for function in filter(None, known):
                try:
                    return function(handle)
                except nvml.NVMLError as error:
                    if error.value != nvml.NVML_ERROR_FUNCTION_NOT_FOUND:
                        raise
            return None

        return ask

    def _name_of(self, pid: int) -> str:
        return _text(self._available("nvmlSystemGetProcessName", pid) or "")

    def _slowed(self, handle: Any) -> tuple[str, ...] | None:
        """Return what holds a card's clocks down, asked by the new name or the old one."""
        for name in _CLOCKS:
            if (bits := self._available(name, handle)) is not None:
                return tuple(word for bit, word in _REASONS.items() if bits & bit)
        return None


def _text(answer: str | bytes) -> str:
    """Return an answer as text; older releases of nvidia-ml-py give bytes."""
    return answer if isinstance(answer, str) else answer.decode("utf-8", "replace")
