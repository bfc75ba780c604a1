"""CuPy (cuda-facts sections 1 and 6)."""

import types

from _fakecuda import DRIVER, Anything

DRIVER.framework("cupy")


class CUDARuntimeError(RuntimeError):
    pass


class _Device:
    def __init__(self, index=0):
        self.index = index

    def use(self):
        DRIVER.use("cupy.cuda.Device", self.index, CUDARuntimeError)
        return self

    __enter__ = use

    def __exit__(self, *error):
        return False


def _count():
    DRIVER.initialise("cupy.cuda.runtime.getDeviceCount")
    return len(DRIVER.visible)


cuda = types.SimpleNamespace(Device=_Device, runtime=types.SimpleNamespace(getDeviceCount=_count))


def _make(*args, **kwargs):
    DRIVER.use("cupy.array", 0)
    return Anything()


array = zeros = ones = arange = _make
