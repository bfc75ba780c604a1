"""PyTorch, as far as GPUs are concerned (torch 2.11 on Linux; cuda-facts sections 1, 5 and 6)."""

import os
import sys
import types

import _fakecuda
from _fakecuda import DRIVER, AcceleratorError, Anything, logical_index

DRIVER.framework("torch")
__version__ = "2.11.0+fake"
__path__ = [os.path.join(os.path.dirname(__file__), "_torch")]
float16 = bfloat16 = float32 = float64 = half = int64 = int32 = long = bool = uint8 = "dtype"
_state = types.SimpleNamespace(initialised=False, count=None, current=0, default=None)


def _module(name, **members):
    module = types.ModuleType(name)
    module.__dict__.update(members)
    module.__path__ = []
    sys.modules[name] = module
    return module


# --- the runtime -----------------------------------------------------------------------


def _lazy_init(api="torch.cuda._lazy_init"):
    DRIVER.initialise(api)
    if not DRIVER.visible:
        raise RuntimeError("No CUDA GPUs are available")
    if _fakecuda.MASK in DRIVER.native and _fakecuda.nvml_count() > len(DRIVER.visible):
        raise RuntimeError("INTERNAL ASSERT FAILED: device < num_gpus")  # section 2, putenv
    _state.initialised = True


def is_available():
    if os.environ.get("PYTORCH_NVML_BASED_CUDA_CHECK") == "1":
        return device_count() > 0
    try:
        DRIVER.initialise("torch.cuda.is_available")
    except RuntimeError:
        return False
    return len(DRIVER.visible) > 0


def device_count():
    if _state.count is not None:
        return _state.count
    count = _fakecuda.nvml_count()
    if _state.initialised:
        _state.count = count
    return count


def _index(device):
    index = logical_index(device, _state.current)
    return _state.current if index is None else index


def _uses(api, error=AcceleratorError, allocates=False):
    """A function that touches the device it is given, or the current one."""

    def call(device=None, *args, **kwargs):
        _lazy_init(api)
        DRIVER.use(api, _index(device), error, allocates)
        return Anything()

    return call


def _properties(device=None):
    _lazy_init("torch.cuda.get_device_properties")
    index = _index(device)
    if index < 0 or index >= device_count():
        _fakecuda.log("use", api="torch.cuda.get_device_properties", index=index, failed="id")
        raise AssertionError("Invalid device id")
    physical = DRIVER.use("torch.cuda.get_device_properties", index, AssertionError)
    return types.SimpleNamespace(
        name=_fakecuda.NAMES[physical],
        total_memory=_fakecuda.MEMORY[physical] * 1024**3,
        uuid=_fakecuda.UUIDS[physical].removeprefix("GPU-"),
        major=8,
        minor=6,
        multi_processor_count=82,
    )


def _set_device(device):
    index = _index(device)
    if index >= 0:
        _lazy_init("torch.cuda.set_device")
        DRIVER.use("torch.cuda.set_device", index)
        _state.current = index


def _mem_get_info(device=None):
    _lazy_init("torch.cuda.mem_get_info")
    physical = DRIVER.use("torch.cuda.mem_get_info", _index(device))
    total = _fakecuda.MEMORY[physical] * 1024**3
    return total, total


class _DeviceContext:
    def __init__(self, device):
        self.device = device

    def __enter__(self):
        _lazy_init("torch.cuda.device")
        DRIVER.use("torch.cuda.device", _index(self.device))
        self.before, _state.current = _state.current, _index(self.device)

    def __exit__(self, *error):
        _state.current = self.before


def _current_device():
    _lazy_init("torch.cuda.current_device")
    return _state.current


class _Stream:
    def __init__(self, device=None, **kwargs):
        _lazy_init("torch.cuda.Stream")
        DRIVER.use("torch.cuda.Stream", _index(device))

    def synchronize(self):
        pass


def _seed_all(seed):
    if _state.initialised:
        device_count()


def _of_current(name, value):
    """A function that asks for the current device unless it is told one."""

    def call(device=None, *args, **kwargs):
        if device is None:
            _lazy_init(f"torch.cuda.{name}")
        return value

    return call


def _nothing(*args, **kwargs):
    return None


class _Amp(Anything):
    def __init__(self, *args, **kwargs):
        is_available()


class OutOfMemoryError(RuntimeError):
    pass


cuda = _module(
    "torch.cuda",
    is_available=is_available,
    device_count=device_count,
    init=lambda: _lazy_init("torch.cuda.init"),
    _lazy_init=_lazy_init,
    is_initialized=lambda: _state.initialised,
    current_device=_current_device,
    set_device=_set_device,
    device=_DeviceContext,
    get_device_properties=_properties,
    get_device_name=lambda device=None: _properties(device).name,
    get_device_capability=lambda device=None: (_properties(device).major, 6),
    is_bf16_supported=lambda *a: bool_(_properties()),
    is_tf32_supported=lambda: bool_(_properties()),
    get_arch_list=lambda: ["sm_90"] if is_available() else [],
    get_rng_state=_uses("torch.cuda.get_rng_state"),
    mem_get_info=_mem_get_info,
    synchronize=_uses("torch.cuda.synchronize"),
    Stream=_Stream,
    Event=Anything,
    memory_allocated=lambda device=None: 0,
    memory_reserved=lambda device=None: 0,
    max_memory_allocated=lambda device=None: 0,
    max_memory_reserved=lambda device=None: 0,
    memory_summary=_of_current("memory_summary", ""),
    reset_peak_memory_stats=_of_current("reset_peak_memory_stats", None),
    empty_cache=_nothing,
    ipc_collect=lambda: _lazy_init("torch.cuda.ipc_collect"),
    manual_seed=_nothing,
    manual_seed_all=_seed_all,
    set_per_process_memory_fraction=lambda *a: _lazy_init("set_per_process_memory_fraction"),
    utilization=_of_current("utilization", 0),
    temperature=_of_current("temperature", 40),
    OutOfMemoryError=OutOfMemoryError,
    amp=types.SimpleNamespace(autocast=_Amp, GradScaler=_Amp),
)


def bool_(value):
    return value is not None


version = types.SimpleNamespace(cuda="13.0")


def _backend_check():
    _lazy_init("torch.backends.cudnn")
    _properties()
    return True


backends = _module(
    "torch.backends",
    cudnn=types.SimpleNamespace(
        is_available=lambda: True,
        version=lambda: 90000 if _backend_check() else 0,
        enabled=True,
        benchmark=False,
        deterministic=False,
    ),
    cuda=types.SimpleNamespace(matmul=types.SimpleNamespace(allow_tf32=False)),
)
accelerator = _module(
    "torch.accelerator",
    is_available=lambda: is_available(),
    current_accelerator=lambda: device("cuda"),
    current_device_index=_current_device,
    device_count=_fakecuda.nvml_count,
    set_device_index=_set_device,
)


# --- devices and tensors -----------------------------------------------------------------


class device:
    def __init__(self, type=None, index=None):
        text = getattr(type, "_text", type)
        self._text = f"cuda:{text}" if isinstance(text, int) else str(text)
        if index is not None:
            self._text = f"{self._text}:{index}"

    @property
    def type(self):
        return self._text.partition(":")[0]

    @property
    def index(self):
        number = self._text.partition(":")[2]
        return int(number) if number else None

    def __str__(self):
        return self._text

    def __eq__(self, other):
        return str(self) == str(other)

    def __hash__(self):
        return hash(self._text)


def _put(target, api):
    """Put something on a device; the device, or None for one that is none."""
    if target is None:
        return None
    index = logical_index(target, _state.current)
    if isinstance(target, str) and target == "dtype":
        return None
    if index is None:
        return device(str(target))
    _lazy_init(api)
    DRIVER.use(api, index, allocates=True)
    return device(f"cuda:{index}")


class Tensor(Anything):
    def __init__(self, where=None):
        self.device = where or device("cpu")
        self.is_cuda = self.device.type == "cuda"
        self.shape = (1, 1)

    def to(self, *args, device=None, **kwargs):
        where = _put(device if device is not None else (args[0] if args else None), ".to()")
        return Tensor(where or self.device)

    def cuda(self, device=None, **kwargs):
        return Tensor(_put("cuda" if device is None else device, ".cuda()"))

    def cpu(self):
        return Tensor()

    def pin_memory(self):
        _lazy_init(".pin_memory()")
        return self

    def item(self):
        return 1.0


def _factory(name):
    def make(*args, device=None, **kwargs):
        return Tensor(_put(device if device is not None else _state.default, f"torch.{name}"))

    return make


for _name in (
    "tensor", "as_tensor", "zeros", "ones", "empty", "full", "rand", "randn", "randint", "arange",
    "zeros_like", "ones_like", "linspace", "eye",
):  # fmt: skip
    globals()[_name] = _factory(_name)


def from_numpy(array):
    return Tensor()


class Module:
    def __init__(self, *args, **kwargs):
        pass

    def to(self, *args, device=None, **kwargs):
        _put(device if device is not None else (args[0] if args else None), ".to()")
        return self

    def cuda(self, device=None):
        _put("cuda" if device is None else device, ".cuda()")
        return self

    def __call__(self, *args, **kwargs):
        return Tensor()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything()


class DataParallel(Module):
    def __init__(self, module, device_ids=None, output_device=None, **kwargs):
        _lazy_init("torch.nn.DataParallel")
        device_count()
        for index in device_ids if device_ids is not None else range(device_count()):
            if logical_index(index) >= device_count():
                _fakecuda.log("use", api="torch.nn.DataParallel", index=index, failed="id")
                raise AssertionError("Invalid device id")
            DRIVER.use("torch.nn.DataParallel", logical_index(index), AssertionError)


nn = _module(
    "torch.nn",
    Module=Module,
    Linear=Module,
    Conv1d=Module,
    DataParallel=DataParallel,
    Sequential=Module,
    functional=_module("torch.nn.functional"),
)


class Generator:
    def __init__(self, device="cpu"):
        if logical_index(device) is not None and str(device) != "cpu":
            _lazy_init("torch.Generator")

    def manual_seed(self, seed):
        return self


class autocast(Anything):
    def __init__(self, device_type="cpu", **kwargs):
        if str(device_type).startswith("cuda"):
            _lazy_init("torch.autocast")


class GradScaler(Anything):
    def __init__(self, device="cuda", **kwargs):
        if str(device).startswith("cuda"):
            _lazy_init("torch.amp.GradScaler")


amp = _module("torch.amp", autocast=autocast, GradScaler=GradScaler)


class no_grad(Anything):
    def __call__(self, function):
        return function


inference_mode = no_grad


def compile(model=None, **kwargs):
    _lazy_init("torch.compile")
    return model


def load(path, map_location=None, **kwargs):
    if isinstance(map_location, dict):
        map_location = map_location.get("cuda:0")  # where what is saved was
    if map_location is not None and logical_index(map_location) is not None:
        _lazy_init("torch.load")
        DRIVER.use("torch.load", logical_index(map_location), RuntimeError, True)
    return Anything()


def set_default_device(where):
    _state.default = where


def manual_seed(seed):
    _seed_all(seed)
    return Anything()


def set_num_threads(number):
    return None


class _Hub:
    @staticmethod
    def load(*args, **kwargs):
        return Module(), (Anything(),) * 5


hub = _Hub
jit = _module("torch.jit", load=load)


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return Anything()
