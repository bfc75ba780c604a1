"""Numba's CUDA (cuda-facts sections 1 and 6)."""

from _fakecuda import DRIVER

DRIVER.framework("numba.cuda")


def is_available():
    DRIVER.initialise("numba.cuda.is_available")
    return bool(DRIVER.visible)


def select_device(index):
    DRIVER.use("numba.cuda.select_device", index, IndexError)
