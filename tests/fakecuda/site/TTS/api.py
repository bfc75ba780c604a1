"""Coqui TTS: ``gpu=True`` and ``.to()`` take the GPU."""

import torch  # noqa: F401
from _fakecuda import DRIVER, Anything
from _loader import on_device

DRIVER.framework("TTS")


class TTS(Anything):
    def __init__(self, model_name=None, gpu=False, **kwargs):
        if gpu:
            on_device("TTS.api.TTS", "cuda")

    def to(self, device):
        on_device("TTS.api.TTS.to", device)
        return self
