"""llama-cpp-python: ``main_gpu`` counts when layers are on the GPU."""

from _fakecuda import DRIVER, Anything
from _loader import on_device

DRIVER.framework("llama_cpp")


class Llama(Anything):
    def __init__(self, model_path="", n_gpu_layers=0, main_gpu=0, tensor_split=None, **kwargs):
        if n_gpu_layers:
            on_device("llama_cpp.Llama", "cuda", main_gpu)

    def __call__(self, *args, **kwargs):
        return {"choices": [{"text": "bonjour"}], "usage": {"completion_tokens": 1}}

    def create_chat_completion(self, *args, **kwargs):
        return {"choices": [{"message": {"content": "bonjour"}}], "usage": {}}
