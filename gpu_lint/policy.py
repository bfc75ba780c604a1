"""What a project decided: the ``[tool.gpu-lint]`` table, checked key by key.

:data:`KEYS` is the one description of the table. Validation, the JSON schema, ``gpu-lint
config`` and the documentation are made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Any

from gpu_lint import allocator
from gpu_lint.closest import closest
from gpu_lint.errors import Problem
from gpu_lint.headerstyle import INLINE, PATTERN, module_of, style_fault
from gpu_lint.masks import DEVICE_ORDERS, read_mask
from gpu_lint.records import record

WHERE = ("all", "gpu-files", "entry-points", "never")
RAISE, WARN = "raise", "warn"


@record
class Gpu:
    """Which GPU is demanded. ``visible_devices`` is a mask; its indices are physical."""

    visible_devices: str
    device_order: str | None = None
    name: str | None = None
    alloc_conf: str | None = None
    pytorch: allocator.Release | None = None
    """The oldest PyTorch in use."""
    min_memory_gib: float | None = None
    forbidden: tuple[str, ...] = ()

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices of the mask, in order: logical index n is the n-th of them."""
        return read_mask(self.visible_devices).devices


@record
class Header:
    """Where the header must stand, and which template a fix writes."""

    required_in: str | tuple[str, ...] = "entry-points"
    template: str = "builtin"
    alloc_conf_in: str = "torch-files"
    style: str = INLINE

    @property
    def module(self) -> str:
        """The dotted name of the module that holds the header; empty where each file does."""
        return module_of(self.style)


@record
class Validation:
    """Where a validator must run, and by which names one is known."""

    required_in: str | tuple[str, ...] = "entry-points"
    function: str = "validate_gpu"
    functions: tuple[str, ...] = ()
    without_gpu: str = RAISE
    """What a validator that a fix writes does on a machine without a GPU."""


@record
class Policy:
    """The policy in force for one file."""

    gpu: Gpu
    header: Header = field(default_factory=Header)
    validation: Validation = field(default_factory=Validation)
    header_template: str | None = None
    """The text of the project's own header template, if it has one."""

    def value(self, variable: str) -> str | None:
        """What the policy wants a variable to hold; None where it wants nothing."""
        return {
            "CUDA_DEVICE_ORDER": self.gpu.device_order,
            "CUDA_VISIBLE_DEVICES": self.gpu.visible_devices,
            "PYTORCH_CUDA_ALLOC_CONF": self.gpu.alloc_conf,
        }.get(variable)


@record
class Key:
    """One key of the table: its dotted name, what it accepts, and what it means."""

    name: str
    kind: str
    doc: str
    default: Any = None
    choices: tuple[str, ...] = ()
    most: int = 0
    """The largest value of a count."""


KEYS: tuple[Key, ...] = (
    Key(
        "include",
        "strings",
        "Files to check, as gitignore patterns; by default executable scripts without a suffix, "
        "too, whose `#!` line names Python.",
        ["*.py", "*.pyw"],
    ),
    Key("exclude", "strings", "Files and directories to leave out, as gitignore patterns.", []),
    Key("entry-points", "strings", "Globs of further files that are entry points.", []),
    Key("extend-rules", "strings", "Globs of the project's own rule packs (TOML).", []),
    Key("select", "codes", "Rules to run: codes, prefixes such as GPU1, or ALL.", []),
    Key("extend-select", "codes", "Rules to run besides the default ones.", []),
    Key("ignore", "codes", "Rules not to run.", []),
    Key("per-file-ignores", "ignores", "Globs of files with the rules not to run there.", {}),
    Key(
        "fail-on",
        "choice",
        "The least severity that makes the exit status 1.",
        "warning",
        ("error", "warning"),
    ),
    Key("gpu.visible-devices", "mask", "CUDA_VISIBLE_DEVICES: a physical index, a list, or UUIDs."),
    Key("gpu.device-order", "choice", "CUDA_DEVICE_ORDER.", None, DEVICE_ORDERS),
    Key("gpu.name", "string", "What the name of device 0 must contain."),
    Key("gpu.alloc-conf", "alloc-conf", "PYTORCH_CUDA_ALLOC_CONF."),
    Key(
        "gpu.pytorch",
        "release",
        'The oldest PyTorch in use, such as "2.4": it must accept allocator settings.',
    ),
    Key("gpu.min-memory-gib", "number", "The least memory of device 0, in GiB."),
    Key("gpu.forbidden", "strings", "Names of GPUs that must not be used.", []),
    Key("header.required-in", "where", "Where the header must stand.", "entry-points"),
    Key(
        "header.template",
        "string",
        "`builtin`, or a path to the project's own template.",
        "builtin",
    ),
    Key(
        "header.alloc-conf-in",
        "choice",
        "Which of those files need the allocator setting too.",
        "torch-files",
        ("torch-files", "required-files"),
    ),
    Key(
        "header.style",
        "style",
        "`inline`: a fix writes the header into each file; `module:pkg.gpu_policy`: into that "
        "module, once, and its import into each file.",
        INLINE,
    ),
    Key("validation.required-in", "where", "Where a validator must run.", "entry-points"),
    Key(
        "validation.function",
        "identifier",
        "The name of the validator that a fix writes.",
        "validate_gpu",
    ),
    Key("validation.functions", "strings", "Globs of further names that count as validators.", []),
    Key(
        "validation.without-gpu",
        "choice",
        "What the validator that a fix writes does on a machine without a GPU.",
        RAISE,
        (RAISE, WARN),
    ),
    Key("limits.file-mib", "count", "Larger files are not parsed.", 4, most=1_000),
    Key("limits.brackets", "count", "Brackets in brackets that a parser is given.", 200, most=400),
    Key("limits.operators", "count", "Operators in one expression.", 2_000, most=5_000),
    Key("runtime.entry", "entries", "Commands that `gpu-lint verify` runs.", []),
    Key(
        "runtime.python",
        "string",
        "The Python that runs what is verified, from the configuration's directory on; by default "
        "that of the active environment, or of the project's `.venv`.",
    ),
    Key("runtime.history.days", "count", "How long runs are remembered.", 400, most=36_500),
    Key("runtime.history.mib", "count", "The most that the history takes.", 50, most=100_000),
)
_BY_NAME = {key.name: key for key in KEYS}
_OVERRIDABLE = ("gpu", "header", "validation")
_TEXTS = ("string", "identifier", "alloc-conf", "style")
"""Kinds of keys whose value is a string."""
TABLES = ("gpu", "header", "validation", "limits", "runtime", "runtime.history")


def check_table(table: Mapping[str, Any], known_code: Callable[[str], bool]) -> dict[str, Any]:
    """Flatten a configuration table to dotted keys, checking names, types and values.

    Raises :class:`Problem` for the first key that is wrong. ``overrides`` stays a list of
    flat tables with their ``paths``.
    """
    flat: dict[str, Any] = {}
    for name, value in _flattened(table):
        if name == "overrides":
            flat["overrides"] = _overrides(value, known_code)
        else:
            flat[name] = _check(name, value, known_code)
    return flat


def _flattened(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys of a table, and of the tables in it, with their values."""
    for key, value in table.items():
        name = above + key
        if name not in TABLES:
            yield name, value
        elif isinstance(value, dict):
            yield from _flattened(value, f"{name}.")
        else:
            raise Problem(tuple(name.split(".")), f"must be a table, not {_kind(value)}")


def check_whole(flat: Mapping[str, Any]) -> None:
    """Check what only holds between keys. Raises :class:`Problem`."""
    mask = flat.get("gpu.visible-devices")
    if mask is not None:
        numbered = any(device.isdigit() for device in read_mask(mask).devices)
        if numbered and flat.get("gpu.device-order") is None:
            raise Problem(
                ("gpu", "visible-devices"),
                f"the index {mask!r} means nothing without gpu.device-order; "
                'add device-order = "PCI_BUS_ID"',
            )
    elif any(flat.get(f"gpu.{key}") for key in ("name", "device-order", "forbidden", "pytorch")):
        raise Problem(("gpu",), "lacks visible-devices, without which no GPU is chosen")
    release = allocator.Release.of(flat.get("gpu.pytorch") or "")
    setting = flat.get("gpu.alloc-conf")
    if release and setting and (fault := allocator.fault(setting, release)):
        raise Problem(("gpu", "alloc-conf"), f"{fault}; gpu.pytorch says {release}")
    name = flat.get("gpu.name")
    for forbidden in flat.get("gpu.forbidden") or ():
        if name and (forbidden in name or name in forbidden):
            raise Problem(("gpu", "forbidden"), f"{forbidden!r} is also what gpu.name demands")


def policy_of(flat: Mapping[str, Any]) -> Policy | None:
    """The policy that checked keys amount to; None where no GPU is demanded."""

    def get(name: str) -> Any:
        value = flat.get(name, _BY_NAME[name].default)
        return tuple(value) if isinstance(value, list) else value

    if flat.get("gpu.visible-devices") is None:
        return None
    return Policy(
        Gpu(
            visible_devices=get("gpu.visible-devices"),
            device_order=get("gpu.device-order"),
            name=get("gpu.name"),
            alloc_conf=get("gpu.alloc-conf"),
            pytorch=allocator.Release.of(get("gpu.pytorch") or ""),
            min_memory_gib=get("gpu.min-memory-gib"),
            forbidden=get("gpu.forbidden"),
        ),
        Header(
            get("header.required-in"),
            get("header.template"),
            get("header.alloc-conf-in"),
            get("header.style"),
        ),
        Validation(
            get("validation.required-in"),
            get("validation.function"),
            get("validation.functions"),
            get("validation.without-gpu"),
        ),
    )


def _overrides(value: Any, known_code: Callable[[str], bool]) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Problem(("overrides",), "must be an array of tables: [[overrides]]")
    result = []
    for entry in value:
        paths = entry.get("paths")
        if not _is_strings(paths) or not paths:
            raise Problem(("overrides",), "each needs paths, a list of globs")
        unknown = [name for name in entry if name not in ("paths", *_OVERRIDABLE)]
        if unknown:
            accepted = ", ".join(("paths", *_OVERRIDABLE))
            raise Problem(("overrides", unknown[0]), f"unknown key; accepted: {accepted}")
        flat = check_table({k: v for k, v in entry.items() if k != "paths"}, known_code)
        result.append({"paths": list(paths), **flat})
    return result


def _check(name: str, value: Any, known_code: Callable[[str], bool]) -> Any:
    keys = tuple(name.split("."))
    key = _BY_NAME.get(name)
    if key is None:
        raise Problem(keys, _unknown(name))
    if key.kind == "mask":
        return _mask(keys, value)
    if key.kind in _TEXTS and not isinstance(value, str):
        raise Problem(keys, f"must be a string, not {_kind(value)}")
    if key.kind == "string" and not value:
        raise Problem(keys, "must not be empty; leave the key out instead")
    if key.kind == "identifier" and not value.isidentifier():
        raise Problem(keys, f"{value!r} is not a Python function name")
    if key.kind == "style" and (fault := style_fault(value)):
        raise Problem(keys, fault)
    if key.kind == "alloc-conf" and (fault := allocator.fault(value)):
        raise Problem(keys, f"{fault}; accepted keys: {', '.join(allocator.keys())}")
    if key.kind == "release" and (not isinstance(value, str) or not allocator.Release.of(value)):
        raise Problem(keys, f'must be a release in quotes, such as "2.4", not {value!r}')
    if key.kind == "number" and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise Problem(keys, f"must be a number of GiB, not {_kind(value)}")
    if key.kind == "number" and not 0 < value < 100_000:
        raise Problem(keys, f"{value} GiB is no amount of memory; accepted: a number above 0")
    if key.kind == "count" and (isinstance(value, bool) or not isinstance(value, int)):
        raise Problem(keys, f"must be a whole number, not {_kind(value)}")
    if key.kind == "count" and not 0 < value <= key.most:
        raise Problem(keys, f"{value} is not accepted; accepted: 1 to {key.most}")
    if key.kind == "choice" and value not in key.choices:
        raise Problem(keys, f"{value!r} is not accepted; accepted: {_choices(key.choices, value)}")
    if key.kind in ("strings", "codes") and not _is_strings(value):
        raise Problem(keys, f"must be a list of strings, not {_kind(value)}")
    if key.kind == "where" and value not in WHERE and not (_is_strings(value) and value):
        accepted = _choices((*WHERE, "a list of globs"), value)
        raise Problem(keys, f"{value!r} is not accepted; accepted: {accepted}")
    if key.kind == "ignores":
        if not isinstance(value, dict) or not all(map(_is_strings, value.values())):
            raise Problem(keys, "must be a table of globs to lists of rule codes")
        for codes in value.values():
            _check_codes(keys, codes, known_code)
    if key.kind == "codes":
        _check_codes(keys, value, known_code)
    if key.kind == "entries":
        from gpu_lint.runentries import check_entries

        check_entries(value, _KINDS)
    return value


def _check_codes(
    keys: tuple[str, ...], codes: list[str], known_code: Callable[[str], bool]
) -> None:
    for code in codes:
        if not known_code(code):
            raise Problem(keys, f"there is no rule {code!r}; `gpu-lint rule` lists them")


def _mask(keys: tuple[str, ...], value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, list)):
        raise Problem(keys, f"must be an index, a list or a UUID, not {_kind(value)}")
    if isinstance(value, list):
        if not all(isinstance(v, (str, int)) and not isinstance(v, bool) for v in value):
            raise Problem(keys, "must list indices or UUIDs only")
        value = ",".join(str(item) for item in value)
    text = str(value).strip()
    reading = read_mask(text)
    if reading.fault:
        raise Problem(keys, f'{reading.fault}; accepted: "1", "0,1" or "GPU-<uuid>"')
    if not reading.devices:
        raise Problem(keys, f'{text!r} shows no GPU; accepted: "1", "0,1" or "GPU-<uuid>"')
    return ",".join(reading.devices)


def _unknown(name: str) -> str:
    table, _, last = name.rpartition(".")
    siblings = {key.name.rpartition(".")[2] for key in KEYS if key.name.rpartition(".")[0] == table}
    siblings |= {one.rpartition(".")[2] for one in TABLES if one.rpartition(".")[0] == table}
    if not table:
        siblings.add("overrides")
    close = closest(last, siblings)
    elsewhere = [key.name for key in KEYS if key.name.rpartition(".")[2] == last]
    if close:
        return f"unknown key; did you mean {close[0]!r}?"
    if elsewhere:
        return f"unknown key here; did you mean {elsewhere[0]!r}?"
    return f"unknown key; accepted: {', '.join(sorted(siblings))}"


def _choices(choices: tuple[str, ...], value: Any) -> str:
    listed = ", ".join(choices)
    close = closest(str(value).upper(), [c.upper() for c in choices])
    return f"{listed} (did you mean {_restore(close[0], choices)!r}?)" if close else listed


def _restore(upper: str, choices: tuple[str, ...]) -> str:
    return next(choice for choice in choices if choice.upper() == upper)


def _is_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


_KINDS: dict[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    dict: "a table",
    list: "a list",
}
"""What values of TOML are called."""


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "a date or a time")


def json_schema() -> dict[str, Any]:
    """The JSON schema of the table, for editors."""
    root: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gpu-lint configuration",
        "type": "object",
        "additionalProperties": False,
        "properties": {},
    }
    tables = {"": root["properties"]}
    for table, keys in _grouped():
        if table:
            above, _, name = table.rpartition(".")
            tables[table] = {}
            tables[above][name] = {
                "type": "object",
                "additionalProperties": False,
                "properties": tables[table],
            }
        tables[table].update({key.name.rpartition(".")[2]: _schema_of(key) for key in keys})
    root["properties"]["overrides"] = {
        "type": "array",
        "description": "Other files, other policies; the last match wins.",
        "items": {
            "type": "object",
            "required": ["paths"],
            "additionalProperties": False,
            "properties": {
                "paths": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                **{name: root["properties"][name] for name in _OVERRIDABLE},
            },
        },
    }
    return root


def _grouped() -> Iterator[tuple[str, list[Key]]]:
    for table in ("", *TABLES):
        yield table, [key for key in KEYS if key.name.rpartition(".")[0] == table]


def _schema_of(key: Key) -> dict[str, Any]:
    if key.kind == "entries":
        from gpu_lint.runentries import entries_schema

        return entries_schema(key.doc)
    strings = {"type": "array", "items": {"type": "string"}}
    shapes: dict[str, dict[str, Any]] = {
        "strings": strings,
        "codes": {
            "type": "array",
            "items": {"type": "string", "pattern": "^(ALL|GPU[0-9]*|[a-z-]+)$"},
        },
        "ignores": {"type": "object", "additionalProperties": strings},
        "choice": {"enum": list(key.choices)},
        "number": {"type": "number", "exclusiveMinimum": 0},
        "count": {"type": "integer", "minimum": 1, "maximum": key.most},
        "mask": {
            "oneOf": [
                {"type": ["string", "integer"]},
                {"type": "array", "items": {"type": ["string", "integer"]}, "minItems": 1},
            ]
        },
        "release": {"type": "string", "pattern": r"^\d{1,3}(\.\d{1,3})+$"},
        "where": {"oneOf": [{"enum": list(WHERE)}, {**strings, "minItems": 1}]},
        "style": {"type": "string", "pattern": PATTERN},
    }
    schema = {"description": key.doc, **shapes.get(key.kind, {"type": "string"})}
    if key.default is not None:
        schema["default"] = key.default
    return schema
