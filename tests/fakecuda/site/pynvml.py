"""NVML: physical devices, whatever the mask says (cuda-facts section 7)."""

import types

import _fakecuda


class NVMLError(Exception):
    pass


def nvmlInit():
    _fakecuda.log("nvml")


def nvmlShutdown():
    pass


def nvmlDeviceGetCount():
    return len(_fakecuda.NAMES)


def nvmlDeviceGetHandleByIndex(index):
    if index >= len(_fakecuda.NAMES):
        raise NVMLError("Invalid Argument")
    return index


def nvmlDeviceGetHandleByUUID(uuid):
    return _fakecuda.UUIDS.index(uuid if isinstance(uuid, str) else uuid.decode())


def nvmlDeviceGetName(handle):
    return _fakecuda.NAMES[handle]


def nvmlDeviceGetUUID(handle):
    return _fakecuda.UUIDS[handle]


def nvmlDeviceGetMemoryInfo(handle):
    total = _fakecuda.MEMORY[handle] * 1024**3
    return types.SimpleNamespace(total=total, free=total, used=0)


def nvmlDeviceGetUtilizationRates(handle):
    return types.SimpleNamespace(gpu=1, memory=1)


def nvmlDeviceGetTemperature(handle, sensor=0):
    return 40


def nvmlDeviceGetPowerUsage(handle):
    return 30000


NVML_TEMPERATURE_GPU = 0
