"""Asks CUDA's driver itself, past every framework, what it knows of this process."""

import ctypes

_NOT_INITIALIZED = 3
_CUDA = ctypes.CDLL("libcuda.so.1")


def is_initialised() -> bool:
    """Whether anything has initialised the driver; asking does not."""
    return _CUDA.cuDeviceGetCount(ctypes.byref(ctypes.c_int())) != _NOT_INITIALIZED


def visible() -> list[str]:
    """The UUIDs of the GPUs that this process sees, by logical index; it initialises the driver."""
    _CUDA.cuInit(0)
    count = ctypes.c_int()
    if _CUDA.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return []
    found = []
    for number in range(count.value):
        device, uuid = ctypes.c_int(), (ctypes.c_ubyte * 16)()
        _CUDA.cuDeviceGet(ctypes.byref(device), number)
        _CUDA.cuDeviceGetUuid(uuid, device)
        text = bytes(uuid).hex()
        cuts = (0, 8, 12, 16, 20, 32)
        found.append("GPU-" + "-".join(text[a:b] for a, b in zip(cuts, cuts[1:])))
    return found
