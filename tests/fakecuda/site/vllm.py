"""vLLM: its engine is a process of its own, which reads the environment when it is started."""

import _fakecuda
from _fakecuda import Anything

_fakecuda.DRIVER.framework("vllm")


class LLM(Anything):
    def __init__(self, model="", **kwargs):
        visible, error = _fakecuda.read_environment(_fakecuda.DRIVER.environment())
        if error or not visible:
            raise RuntimeError("no GPU for the engine")
        _fakecuda.log("use", api="vllm.LLM", index=0, physical=visible[0])
