"""A CUDA driver that behaves as measured, and writes down what a program does to it.

What it does stands in ``rules/evidence/cuda-facts.md``: the mask is read at the first freezing
call (section 1), values are cut and rejected as in sections 3 and 4, ``device_count()`` of
PyTorch asks NVML and can lie, and an index that does not exist raises (section 6). Every event
goes to the file that ``FAKECUDA_LOG`` names, one JSON object a line.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys

NAMES = os.environ.get(
    "FAKECUDA_NAMES", "NVIDIA GeForce RTX 5060 Ti,NVIDIA GeForce RTX 3090"
).split(",")
MEMORY = [int(m) for m in os.environ.get("FAKECUDA_MEMORY_GIB", "16,24").split(",")]
FASTEST = [int(n) for n in os.environ.get("FAKECUDA_FASTEST", "1,0").split(",")]
UUIDS = [f"GPU-{n}0000000-0000-0000-0000-00000000000{n}" for n in range(len(NAMES))]
MASK, ORDER, ALLOC = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "PYTORCH_CUDA_ALLOC_CONF"
TRACKED = (MASK, ORDER, ALLOC, "PYTORCH_ALLOC_CONF", "PYTORCH_NVML_BASED_CUDA_CHECK")
_HERE = os.path.dirname(os.path.abspath(__file__))
_OWN = os.path.join(_HERE, "")
_LIBRARY = os.path.dirname(os.__file__)
_RUNNERS = tuple(os.path.join("fakecuda", name) for name in ("batch.py", "processes.py"))
_LOG = os.environ.get("FAKECUDA_LOG")
_ENVIRON = os.environ
"""What writes into the process's own environment, whatever a program binds ``os.environ`` to."""


class AcceleratorError(RuntimeError):
    """What PyTorch raises for an error of CUDA."""


def place():
    """File and line of the program that is calling: the nearest frame outside of us."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        ours = name.startswith((_OWN, _LIBRARY, "<frozen")) or name.endswith(_RUNNERS)
        if not ours:
            return name, frame.f_lineno
        frame = frame.f_back
    return "", 0


def log(event, **facts):
    if _LOG:
        file, line = place()
        with open(_LOG, "a", encoding="utf-8") as stream:
            stream.write(json.dumps({"event": event, "file": file, "line": line, **facts}) + "\n")


class Driver:
    """One process's view of CUDA."""

    def __init__(self):
        self.visible = None
        """Physical indices by logical index, once the driver is initialised."""
        self.error = 0
        self.native = {}
        """What ``os.putenv`` wrote past ``os.environ``; None for what ``os.unsetenv`` removed."""
        self.mask = None
        """The mask that was read, once the driver is initialised."""
        self.written = None
        """The mask that this process wrote last into ``os.environ``."""
        self.first_import = True
        self.allocated = False
        self.inherited = False
        """The process was forked from one that had initialised CUDA."""
        self.library = None

    @property
    def frozen(self):
        return self.visible is not None

    def environment(self):
        """What the process's environment holds, as a library in C reads it."""
        both = {**_ENVIRON, **self.native}
        return {key: value for key, value in both.items() if value is not None}

    def framework(self, name):
        """A framework is imported for the first time."""
        if self.first_import:
            self.first_import = False
            log("framework", name=name, settings={k: os.environ.get(k) for k in TRACKED})

    def initialise(self, api):
        """Read the environment, the first time."""
        if self.inherited:
            raise RuntimeError("Cannot re-initialize CUDA in forked subprocess")
        if self.visible is None:
            environment = self.environment()
            self.in_library()
            self.visible, self.error = read_environment(environment)
            self.mask = environment.get(MASK)
            log("freeze", api=api, visible=self.visible, mask=self.mask, written=self.written)
        if self.error:
            raise RuntimeError(f"CUDA error {self.error}: no GPU can be used")

    def in_library(self, index=None):
        """Initialise the stand-in that is a library in C, where the environment says that there is
        one, or open a device's context in it."""
        if os.environ.get("FAKECUDA_DRIVER") != "libcuda.so.1":
            return
        if self.library is None:
            self.library = ctypes.CDLL("libcuda.so.1")
        if index is None:
            self.library.cuInit(0)
        else:
            self.library.cuDevicePrimaryCtxRetain(ctypes.byref(ctypes.c_void_p()), index)

    def use(self, api, index, error=AcceleratorError, allocates=False):
        """Touch a device by its logical index; which physical one that is."""
        self.initialise(api)
        if not self.visible:
            log("use", api=api, index=index, failed="no devices")
            raise RuntimeError("No CUDA GPUs are available")
        if index >= len(self.visible):
            log("use", api=api, index=index, failed="invalid device ordinal")
            raise error("CUDA error: invalid device ordinal")
        self.allocated = self.allocated or allocates
        self.in_library(index)
        log("use", api=api, index=index, physical=self.visible[index])
        return self.visible[index]


def read_environment(environment):
    """The devices that the driver shows, by physical index, and its error code."""
    order = environment.get(ORDER)
    if order is None or order == "FASTEST_FIRST":
        devices = list(FASTEST)
    elif order == "PCI_BUS_ID":
        devices = list(range(len(NAMES)))
    else:
        return [], 101
    mask = environment.get(MASK)
    if mask is None:
        return devices, 0
    found = parse_mask(mask)
    if len(set(found)) != len(found):
        return [], 101
    return [UUIDS.index(n) if isinstance(n, str) else devices[n] for n in found], 0


def parse_mask(mask):
    """The leading valid entries of a mask: numbers, or whole UUIDs."""
    found = []
    for entry in mask.split(","):
        entry = entry.rstrip()
        matches = [u for u in UUIDS if u.startswith(entry)] if entry.startswith("GPU-") else []
        entry = entry.lstrip()  # of a number alone
        if len(matches) == 1 and (not found or isinstance(found[0], str)):
            found.append(matches[0])
            continue
        digits = ""
        for character in entry.removeprefix("+"):
            if not character.isdigit():
                break
            digits += character
        if not digits or int(digits) >= len(NAMES) or (found and isinstance(found[0], str)):
            break
        found.append(int(digits))
        if digits != entry.removeprefix("+"):
            break
    return found


def nvml_count():
    """What PyTorch's count by NVML says: it parses ``os.environ`` itself."""
    mask = os.environ.get(MASK)
    return len(NAMES) if mask is None else len(parse_mask(mask))


def nvidia_smi(command):
    """What ``nvidia-smi --query-gpu`` prints, whatever the mask says (cuda-facts section 7)."""
    if not NAMES[0]:
        raise FileNotFoundError("nvidia-smi")
    log("nvidia-smi")
    asked = next(word for word in command if word.startswith("--query-gpu=")).partition("=")[2]
    lines = []
    for index, name in enumerate(NAMES):
        facts = {
            "index": str(index),
            "uuid": UUIDS[index],
            "memory.total": str(MEMORY[index] * 1024),
            "name": name,
        }
        lines.append(", ".join(facts[key] for key in asked.split(",")) + "\n")
    return subprocess.CompletedProcess(command, 0, "".join(lines), "")


def stand_in_for_nvidia_smi():
    """Never start the machine's own."""

    def run(command, *args, **options):
        if isinstance(command, (list, tuple)) and command[0] == "nvidia-smi":
            return nvidia_smi(command)
        return REAL_RUN(command, *args, **options)

    subprocess.run = run


DRIVER = Driver()
REAL_RUN = subprocess.run


def watch_environment():
    """Log every write to a variable that matters."""
    original_set, original_delete = os._Environ.__setitem__, os._Environ.__delitem__
    putenv, unsetenv = os.putenv, os.unsetenv

    def set_item(self, key, value):
        original_set(self, key, value)
        if self is _ENVIRON:
            DRIVER.native.pop(key, None)
            if key == MASK:
                DRIVER.written = value
            if key in TRACKED:
                log(
                    "write",
                    key=key,
                    value=value,
                    frozen=DRIVER.frozen,
                    read=DRIVER.mask,
                    allocated=DRIVER.allocated,
                    imported=not DRIVER.first_import,
                )

    def delete_item(self, key):
        original_delete(self, key)
        if self is _ENVIRON:
            DRIVER.native.pop(key, None)
            if key in TRACKED:
                log("remove", key=key, frozen=DRIVER.frozen)

    def put(key, value):
        putenv(key, value)
        DRIVER.native[os.fsdecode(key)] = os.fsdecode(value)
        log("putenv", key=os.fsdecode(key), value=os.fsdecode(value), frozen=DRIVER.frozen)

    def unset(key):
        unsetenv(key)
        DRIVER.native[os.fsdecode(key)] = None

    os._Environ.__setitem__ = set_item
    os._Environ.__delitem__ = delete_item
    os.putenv, os.unsetenv = put, unset


class Anything:
    """A value of no interest: whatever is done with it succeeds and yields another."""

    def __init__(self, *args, **kwargs):
        pass

    def __getattr__(self, name):
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Anything()

    def __call__(self, *args, **kwargs):
        return Anything()

    def __getitem__(self, key):
        return Anything()

    def __setitem__(self, key, value):
        pass

    def __iter__(self):
        return iter(())

    def __len__(self):
        return 1

    def __bool__(self):
        return True

    def __contains__(self, item):
        return True

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False

    def __await__(self):
        return self
        yield

    def __float__(self):
        return 1.0

    def __int__(self):
        return 1

    __index__ = __int__

    def __format__(self, spec):
        try:
            return format(1.0, spec)
        except ValueError:
            return "1"

    def __str__(self):
        return "anything"

    def __fspath__(self):
        return "/nonexistent/anything"

    def __hash__(self):
        return 1

    def __eq__(self, other):
        return False

    def __lt__(self, other):
        return True

    __le__ = __gt__ = __ge__ = __lt__

    def _self(self, *others):
        return Anything()

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = _self
    __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __neg__ = _self
    __abs__ = __matmul__ = __and__ = __or__ = __round__ = __invert__ = _self
    __iadd__ = __isub__ = __imul__ = __itruediv__ = _self


def logical_index(device, default=0):
    """The CUDA index that a device names; None for one that is no CUDA device."""
    text = getattr(device, "_text", device)
    if text is None:
        return default
    if isinstance(text, bool):
        return default
    if isinstance(text, int):
        return text
    text = str(text)
    kind, _, number = text.partition(":")
    if kind not in ("cuda", "gpu"):
        return None
    return int(number) if number.isdigit() else default
