"""CTranslate2."""

from _fakecuda import DRIVER
from _loader import Model, on_device

DRIVER.framework("ctranslate2")


class Translator(Model):
    def __init__(self, model_path="", device="cpu", device_index=0, **kwargs):
        on_device("ctranslate2.Translator", device, device_index)


def get_cuda_device_count():
    DRIVER.initialise("ctranslate2.get_cuda_device_count")
    return len(DRIVER.visible)
