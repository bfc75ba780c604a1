"""openai-whisper: no device means the GPU, if there is one."""

import torch
from _fakecuda import DRIVER, Anything
from _loader import on_device

DRIVER.framework("whisper")


class _Whisper(Anything):
    def transcribe(self, *args, **kwargs):
        return {"text": "bonjour", "segments": [], "language": "fr"}


def load_model(name="base", device=None, **kwargs):
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    on_device("whisper.load_model", device)
    return _Whisper()
