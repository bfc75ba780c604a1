"""What the interpreter must know of frameworks: the part of the rulebook that makes facts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

from gpu_lint.records import record
from gpu_lint.variables import Variable, misspelt


@record
class DeviceArgument:
    """Which argument of a call names a device, and how."""

    kind: str
    """``index`` (an integer, or a string such as ``cuda:1``), ``device`` (a string; a bare
    integer too where the row says so), ``indices`` (a list of index), ``devices`` (how many, or a
    list), ``ranges`` (``0:2`` or ``0-2``), ``split`` (a share per device), ``map`` (module to
    device), ``memory`` (device to limit), ``count``, ``mask`` (a mask for other processes), or
    ``providers`` (ONNX Runtime's list of names with options)."""
    position: int | None = None
    """From 0, without ``self``."""
    keyword: str | None = None
    key: str | None = None
    """The argument is a dict; this entry of it names the device."""
    after: str | None = None
    """Counts only when another argument is this string: ``torch.device("cuda", 1)``."""
    variable: str | None = None
    """Where it is not given, this environment variable is read."""


@record
class Api:
    """A call that selects devices, freezes CUDA or allocates on it."""

    name: str
    framework: str
    method: bool = False
    attribute: bool = False
    """It is no call: an attribute of this name is assigned what names the device."""
    devices: tuple[DeviceArgument, ...] = ()
    freezes: str = "never"
    """``always``, ``never``, ``maybe`` (it works with a GPU, whether or not one is named; that it
    freezes is not measured), ``on-gpu`` (when a device argument is a GPU), ``unless-cpu`` (then,
    and also when no device is given), ``without-device`` (only when none is given), or
    ``on-enter`` (when a ``with`` statement enters what it returns)."""
    allocates: str = "never"
    counts: str = ""
    """``asks``: it is ``torch.cuda.device_count()``, which asks NVML for the mask of the moment,
    and keeps the answer once PyTorch is initialised; ``checks``: it compares its index with
    that answer; ``probes``: it initialises the driver, but not PyTorch."""
    unless: tuple[str, str] | None = None
    """It does not freeze where this environment variable has this value."""
    returns: str = ""
    """``device``, ``device-count``, ``gpus`` (a list, of which a subscript selects one),
    ``gpus-if-named`` (the same, if an argument says GPU), ``index``, ``indices`` or empty."""
    physical: bool = False
    """Indices that it takes or returns count the machine's devices, whatever the mask."""
    versions: str = ""
    """How releases number devices differently, in words; empty where all do it alike."""
    evidence: str = ""
    bad: str = ""
    """A program with a fault that the row tells of, under the mask ``1``."""
    good: str = ""


@record
class Framework:
    """A library that can reach a GPU; importing one of ``modules`` brings it in."""

    name: str
    modules: tuple[str, ...]
    uses_pytorch: bool
    uses_mask: bool
    """What it does depends on CUDA_VISIBLE_DEVICES at all (NVML does not)."""
    import_freezes: bool
    reexports: bool
    """Its classes and functions may be imported from submodules too."""
    submodules: tuple[str, ...]
    """Modules whose names are those of the package above them: ``torch.cuda.memory``."""
    apis: tuple[Api, ...]
    checked_against: str
    evidence: str
    own: bool = False
    """A project's rule pack describes it, so it may be one of the project's own packages."""
    is_described: bool = True
    """Rows say what its calls do. Of a library that only brings a GPU framework in, none do; a file
    of the project of that name is not the library."""

    @classmethod
    def undescribed(cls, module: str, *, uses_pytorch: bool) -> Framework:
        """The library that is imported by a name, of which no more is known than what it brings
        in."""
        return cls(
            name=module,
            modules=(module,),
            uses_pytorch=uses_pytorch,
            uses_mask=True,
            import_freezes=False,
            reexports=False,
            submodules=(),
            apis=(),
            checked_against="",
            evidence="",
            is_described=False,
        )

    @property
    def may_be_ours(self) -> bool:
        """Whether a project may hold files of its name that are meant instead."""
        return self.own or not self.is_described


_DECIDING = ("VISIBLE_DEVICE", "visible_device", "CUDA_DEVICE", "ALLOC_CONF")
"""Parts of their names, so that a misspelt one is seen too."""


_MOST_MET = 100_000
"""Modules whose framework is remembered."""


@dataclass(frozen=True)
class Knowledge:
    """All frameworks, indexed for the interpreter."""

    frameworks: tuple[Framework, ...]
    """Those that a table describes."""
    functions: dict[str, Api] = field(default_factory=dict)
    methods: dict[str, Api] = field(default_factory=dict)
    attributes: dict[str, Api] = field(default_factory=dict)
    modules: dict[str, Framework] = field(default_factory=dict)
    own: dict[str, Api] = field(default_factory=dict)
    """Rows that a project wrote of its own functions and classes."""
    others: tuple[Variable, ...] = ()
    """Environment variables beside CUDA's own and PyTorch's."""
    beside_cuda: tuple[bytes, ...] = ()
    """Names of calls that count the machine's devices, whatever the mask."""
    variables: tuple[str, ...] = ()
    """Environment variables that decide what CUDA sees, or what a row's calls do."""
    libraries: tuple[Framework, ...] = ()
    """Further libraries that bring a GPU framework in, which no table describes."""

    @classmethod
    def of(
        cls,
        frameworks: tuple[Framework, ...],
        others: tuple[Variable, ...] = (),
        libraries: tuple[Framework, ...] = (),
    ) -> Knowledge:
        """Index frameworks; the first row of a name wins."""
        knowledge = cls(frameworks, others=others, libraries=libraries)
        for framework in frameworks:
            for module in framework.modules:
                knowledge.modules[module] = framework
            for api in framework.apis:
                table = knowledge.methods if api.method else knowledge.functions
                table = knowledge.attributes if api.attribute else table
                table.setdefault(api.name, api)
        for library in libraries:
            for module in library.modules:
                knowledge.modules.setdefault(module, library)
        apis = [api for framework in frameworks for api in framework.apis if api.physical]
        beside = {api.name.rpartition(".")[2].removesuffix("_v2") for api in apis}
        object.__setattr__(knowledge, "beside_cuda", tuple(m.encode() for m in sorted(beside)))
        found = {api.unless[0] for f in frameworks for api in f.apis if api.unless is not None}
        object.__setattr__(knowledge, "variables", (*_DECIDING, *sorted(found)))
        return knowledge

    @cached_property
    def by_name(self) -> dict[str, Framework]:
        """Every framework and library by its name."""
        return {one.name: one for one in (*self.libraries, *self.frameworks)}

    def undescribed(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of some frameworks and libraries that no table describes, in order."""
        return tuple(sorted(name for name in names if not self.by_name[name].is_described))

    def misspelt(self, name: str) -> str | None:
        """The variable that a name was certainly meant to be, if it is not one itself."""
        return misspelt(name, self.other_names)

    @cached_property
    def roots_beside_cuda(self) -> tuple[bytes, ...]:
        """The modules that count the machine's devices, whatever the mask."""
        return tuple(
            module.encode()
            for framework in self.frameworks
            if not framework.uses_mask
            for module in framework.modules
        )

    @cached_property
    def other_names(self) -> tuple[str, ...]:
        return tuple(variable.name for variable in self.others)

    def variable(self, name: str) -> Variable | None:
        """One of the other variables."""
        return next((one for one in self.others if one.name == name), None)

    def with_own(self, frameworks: tuple[Framework, ...]) -> Knowledge:
        """This, with what a project knows besides; its rows come first."""
        frameworks = tuple(replace(framework, own=True) for framework in frameworks)
        knowledge = Knowledge.of((*frameworks, *self.frameworks), self.others, self.libraries)
        for framework in frameworks:
            own = (api for api in framework.apis if not api.method and not api.attribute)
            knowledge.own.update((api.name, api) for api in own)
        return knowledge

    def of_file(self, file: str, name: str) -> Api | None:
        """The row that a project wrote of something that one of its files defines.

        ``name`` is its name there, ``Class.method`` for a method.
        """
        if not self.own:
            return None
        parts = file.replace("\\", "/").removesuffix(".py").removesuffix("/__init__").split("/")
        for start in range(len(parts)):
            api = self.own.get(".".join((*parts[start:], name)))
            if api is not None:
                return api
            framework = self.modules.get(parts[start])
            if framework is not None and framework.reexports:
                if (api := self.own.get(f"{parts[start]}.{name}")) is not None:
                    return api
        return None

    def framework_of(self, module: str) -> Framework | None:
        """The framework that importing a dotted module brings in."""
        if module not in self._met:
            if len(self._met) > _MOST_MET:
                self._met.clear()
            name = module
            while name and name not in self.modules:
                name = name.rpartition(".")[0]
            self._met[module] = self.modules.get(name) if name else None
        return self._met[module]

    @cached_property
    def _met(self) -> dict[str, Framework | None]:
        """Modules that were asked for: files import much the same ones."""
        return {}

    def function(self, symbol: str) -> Api | None:
        """The row for a dotted name.

        A class or function that a framework re-exports from a submodule is the same one:
        ``faster_whisper.transcribe.WhisperModel`` finds ``faster_whisper.WhisperModel``.
        """
        api = self.functions.get(symbol)
        if api is None and "." in symbol:
            root, last = symbol.partition(".")[0], symbol.rpartition(".")[2]
            framework = self.modules.get(root)
            if framework is not None and framework.reexports:
                return self.functions.get(f"{root}.{last}")
            module = symbol.rpartition(".")[0]
            if framework is not None and module in framework.submodules:
                return self.functions.get(f"{module.rpartition('.')[0]}.{last}")
        return api
