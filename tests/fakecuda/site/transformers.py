"""transformers: a pipeline on the device that it is given."""

import torch  # noqa: F401
from _fakecuda import DRIVER, Anything
from _loader import on_device

DRIVER.framework("transformers")


def pipeline(task=None, model=None, device=None, **kwargs):
    if device is not None and device != -1:
        on_device(
            "transformers.pipeline", device if not isinstance(device, int) else f"cuda:{device}"
        )
    return Anything()


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return Anything()
