"""faster-whisper: CTranslate2 behind it takes ``device`` and ``device_index``."""

from _fakecuda import DRIVER
from _loader import Model, on_device

DRIVER.framework("faster_whisper")


class WhisperModel(Model):
    def __init__(self, model_size_or_path="", device="auto", device_index=0, **kwargs):
        on_device("faster_whisper.WhisperModel", device, device_index)


BatchedInferencePipeline = Model
