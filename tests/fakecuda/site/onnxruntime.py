"""ONNX Runtime: the CUDA provider takes ``device_id``."""

from _fakecuda import DRIVER, Anything
from _loader import on_device

DRIVER.framework("onnxruntime")


def get_available_providers():
    return ["CUDAExecutionProvider", "CPUExecutionProvider"]


class SessionOptions(Anything):
    pass


class InferenceSession(Anything):
    def __init__(self, path="", sess_options=None, providers=None, provider_options=None, **kw):
        options = provider_options or [{}] * len(providers or ())
        for provider, option in zip(providers or (), options, strict=False):
            if isinstance(provider, tuple):
                provider, option = provider
            if provider == "CUDAExecutionProvider":
                index = int((option or {}).get("device_id", 0))
                on_device("onnxruntime.InferenceSession", "cuda", index)

    def get_providers(self):
        return ["CUDAExecutionProvider"]


class GraphOptimizationLevel:
    ORT_ENABLE_ALL = 99


class ExecutionMode:
    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1
