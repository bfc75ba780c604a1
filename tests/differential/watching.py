"""Notes which GPUs a Python process touches; each process of a program that is watched runs this.

It is no module: ``bench/promises.py`` has the interpreter's own start-up run its text, so that a
child under an empty environment, or one that replaces its parent, is watched as well. A process
writes one line into the file ``LOG`` of the directory that it was started in, when it ends: whether
CUDA was initialised, the GPUs that it saw and touched, and each write of the mask after that.
"""

import atexit
import ctypes
import json
import os
import signal
import sys
from uuid import UUID

_LOG = os.path.join(os.getcwd(), "gpus.jsonl")
_MASK = "CUDA_VISIBLE_DEVICES"
_NOT_INITIALIZED = 3


class _Driver:
    """CUDA's driver itself, past every framework."""

    def __init__(self):
        self.cuda = ctypes.CDLL("libcuda.so.1")

    def is_initialised(self):
        return self.cuda.cuDeviceGetCount(ctypes.byref(ctypes.c_int())) != _NOT_INITIALIZED

    def devices(self):
        """Each visible GPU's UUID, and whether this process has a context on it."""
        count = ctypes.c_int()
        if self.cuda.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return []
        found = []
        for number in range(count.value):
            device, uuid = ctypes.c_int(), (ctypes.c_ubyte * 16)()
            flags, active = ctypes.c_uint(), ctypes.c_int()
            self.cuda.cuDeviceGet(ctypes.byref(device), number)
            self.cuda.cuDeviceGetUuid(uuid, device)
            self.cuda.cuDevicePrimaryCtxGetState(device, ctypes.byref(flags), ctypes.byref(active))
            found.append((f"GPU-{UUID(bytes=bytes(uuid))}", bool(active.value)))
        return found


class _StandIn:
    """The driver of ``tests/fakecuda``."""

    def __init__(self):
        import _fakecuda

        self.fake, self.used = _fakecuda, set()
        log = _fakecuda.log

        def note(event, **facts):
            if event == "use" and "physical" in facts:
                self.used.add(facts["physical"])
            log(event, **facts)

        _fakecuda.log = note

    def is_initialised(self):
        return self.fake.DRIVER.frozen

    def devices(self):
        return [(self.fake.UUIDS[n], n in self.used) for n in self.fake.DRIVER.visible or ()]


class _Watch:
    def __init__(self, driver, log):
        self.driver, self.log, self.late, self.is_done = driver, log, [], False
        atexit.register(self.note)
        if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self.terminated)  # as pools end their workers
        sys.addaudithook(self.heard)
        os.register_at_fork(after_in_child=self.forked)
        self.set_item, os._Environ.__setitem__ = os._Environ.__setitem__, self.writing()
        self.exit, os._exit = os._exit, self.exiting

    def writing(self):
        def write(environ, key, value):
            if key == _MASK and self.driver.is_initialised():
                self.late.append([os.environ.get(_MASK), value])
            self.set_item(environ, key, value)

        return write

    def heard(self, event, arguments):
        if event == "os.exec":
            self.note()

    def forked(self):
        self.late, self.is_done = [], False

    def terminated(self, number, frame):
        self.note()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def exiting(self, status):
        self.note()
        self.exit(status)

    def note(self):
        if self.is_done or not self.driver.is_initialised():
            return
        self.is_done = True
        devices = self.driver.devices()
        facts = {
            "visible": [name for name, _ in devices],
            "touched": [name for name, touched in devices if touched],
            "late": self.late,
        }
        with open(self.log, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(facts) + "\n")


if os.path.exists(_LOG):
    _Watch(_StandIn() if "_fakecuda" in sys.modules else _Driver(), _LOG)
