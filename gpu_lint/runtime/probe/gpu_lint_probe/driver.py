"""What the driver and NVML say of this process: nothing but ``initialise`` initialises CUDA."""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import Any, Callable, Iterator, Tuple

Asked = Tuple[Callable[[Any], int], Any]
NOT_INITIALIZED = 3
"""CUDA_ERROR_NOT_INITIALIZED, which every call but ``cuInit`` returns before that."""


class Driver:
    """CUDA's driver, asked through ctypes: nothing here but :meth:`initialise` initialises it."""

    def __init__(self) -> None:
        windows = os.name == "nt"
        name = "nvcuda.dll" if windows else "libcuda.so.1"
        self.error = ""
        self._count: Callable[[Any], int] | None = None
        try:
            # Calls that keep the interpreter's lock take 0.2 µs; those of the sampling thread
            # must not keep it.
            self.held = ctypes.PyDLL(name)
            self.free = getattr(ctypes, "WinDLL" if windows else "CDLL")(name)
            self._count = self.held.cuDeviceGetCount
        except (OSError, AttributeError) as error:
            self.error = f"{name} cannot be loaded: {error}"
        self._number = ctypes.c_int()
        self._reference = ctypes.byref(self._number)

    @property
    def is_there(self) -> bool:
        return self._count is not None

    def asked(self) -> Asked:
        """The function that tells whether CUDA is initialised, and its argument."""
        assert self._count is not None
        return self._count, self._reference

    def is_initialised(self) -> bool:
        return self._count is not None and self._count(self._reference) != NOT_INITIALIZED

    def initialise(self) -> int:
        """Initialise the driver, without a context on any card."""
        return int(self.free.cuInit(0)) if self._count is not None else -1

    def _devices(self) -> Iterator[tuple[int, ctypes.c_int]]:
        number = ctypes.c_int()
        if self._count is None or self.free.cuDeviceGetCount(ctypes.byref(number)) != 0:
            return
        for ordinal in range(number.value):
            device = ctypes.c_int()
            if self.free.cuDeviceGet(ctypes.byref(device), ordinal) == 0:
                yield ordinal, device

    def visible(self) -> list[dict[str, Any]]:
        """The cards that this process sees, in its own numbering."""
        found = []
        for ordinal, device in self._devices():
            uuid = (ctypes.c_ubyte * 16)()
            name, pci = ctypes.create_string_buffer(96), ctypes.create_string_buffer(20)
            memory = ctypes.c_size_t()
            ask = getattr(self.free, "cuDeviceGetUuid_v2", None) or self.free.cuDeviceGetUuid
            ask(uuid, device)
            self.free.cuDeviceGetName(name, 96, device)
            self.free.cuDeviceGetPCIBusId(pci, 20, device)
            self.free.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
            found.append(
                {
                    "ordinal": ordinal,
                    "uuid": _uuid(bytes(uuid)),
                    "name": name.value.decode("utf-8", "replace"),
                    "pci": pci.value.decode("utf-8", "replace").lower(),
                    "memory_mib": memory.value >> 20,
                }
            )
        return found

    def in_use(self) -> list[int]:
        """The ordinals of the cards on which this process has a primary context."""
        found = []
        for ordinal, device in self._devices():
            flags, active = ctypes.c_uint(), ctypes.c_int()
            state = self.free.cuDevicePrimaryCtxGetState
            if state(device, ctypes.byref(flags), ctypes.byref(active)) == 0 and active.value:
                found.append(ordinal)
        return found


class _ProcessInfo(ctypes.Structure):
    """``nvmlProcessInfo_t`` of its second version."""

    _fields_ = [
        ("pid", ctypes.c_uint),
        ("used", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    ]


class Memory:
    """How much memory of each card NVML says that this process holds; it may not know."""

    def __init__(self) -> None:
        self._handles: dict[str, Any] = {}
        self._library: Any = None
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL("nvml.dll" if os.name == "nt" else "libnvidia-ml.so.1")
            self._list = library.nvmlDeviceGetComputeRunningProcesses_v3
            self._find = library.nvmlDeviceGetHandleByUUID
            if library.nvmlInit_v2() == 0:
                self._library = library

    def held_mib(self, uuid: str) -> int | None:
        """MiB that this process holds on a card; None where NVML does not say."""
        if self._library is None:
            return None
        if uuid not in self._handles:
            handle = ctypes.c_void_p()
            done = self._find(uuid.encode(), ctypes.byref(handle))
            self._handles[uuid] = handle if done == 0 else None
        handle = self._handles[uuid]
        if handle is None:
            return None
        number, found = ctypes.c_uint(256), (_ProcessInfo * 256)()
        if self._list(handle, ctypes.byref(number), found) != 0:
            return None
        for one in found[: number.value]:
            if one.pid == os.getpid() and one.used < 1 << 62:
                return int(one.used) >> 20
        return None


def _uuid(raw: bytes) -> str:
    text = raw.hex()
    return "GPU-" + "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def native_value(key: str) -> str | None:
    """What C code reads in the environment; ``os.putenv`` may have written past ``os.environ``."""
    try:
        getenv = ctypes.CDLL(None).getenv
    except (TypeError, OSError, AttributeError):
        return os.environ.get(key)
    getenv.restype = ctypes.c_char_p
    value = getenv(key.encode())
    return None if value is None else os.fsdecode(value)
