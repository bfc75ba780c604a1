"""Watch the environment, and stand in for every module that is not installed."""

import atexit
import importlib.abc
import importlib.machinery
import os
import sys
import types

import _fakecuda

_fakecuda.watch_environment()
_fakecuda.stand_in_for_nvidia_smi()
atexit.register(
    lambda: _fakecuda.log("exit", settings={k: os.environ.get(k) for k in _fakecuda.TRACKED})
)


class _Stub(types.ModuleType):
    """A module of no interest."""

    __path__ = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name[:1].isupper() and name.endswith(("Error", "Exception")):
            value = type(name, (Exception,), {})
        else:
            value = _fakecuda.Anything()
        setattr(self, name, value)
        return value


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The last finder: stubs for what is not there."""

    STAND_INS = frozenset(
        {
            "numpy", "sounddevice", "soundfile", "webrtcvad", "pyaudio", "scipy", "librosa",
            "psutil", "prometheus_client", "requests", "httpx", "aiohttp", "websockets", "piper",
            "noisereduce", "rapidfuzz", "Levenshtein", "jiwer", "yaml", "pygame", "simpleaudio",
            "silero_vad", "keyboard", "pynput", "tqdm", "fastapi", "uvicorn",
        }
    )  # fmt: skip

    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in self.STAND_INS:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return _Stub(spec.name)

    def exec_module(self, module):
        pass


sys.meta_path.append(_Finder())
