"""The header and validator templates, filled in from a policy.

A header template is plain Python with ``$name`` placeholders, each of which becomes a Python
literal; a line whose placeholder the policy gives no value is left out. Validator templates
have a section per control (``#: name``), so that a validator can be completed piece by piece.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Collection
from functools import cache
from pathlib import Path
from string import Template

from gpu_lint.errors import ConfigError, SourceError
from gpu_lint.facts.limits import check_for_libcst
from gpu_lint.facts.quiet import parse_quietly
from gpu_lint.policy import WARN, Policy
from gpu_lint.repository import leads_outside
from gpu_lint.rulebook import Rulebook
from gpu_lint.source import LARGEST_TEXT, read_bytes
from gpu_lint.variables import HEADER_VARIABLES

PLACEHOLDERS = (
    "environ",
    "device_order",
    "visible_devices",
    "alloc_conf",
    "name",
    "min_memory_gib",
)
IMPORT_MARK = "  # noqa: F401  # isort: skip"
"""What stands behind an import of the module that holds the header."""
AVAILABILITY = "availability"
"""The control that there is a GPU at all."""
_WARNS = "\n\n    On a machine without a GPU, warn only.\n    "
_FULL_UUID = re.compile(r"GPU-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SECTION = re.compile(r"^#: (\w+)\n", re.MULTILINE)
_LAYOUT = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
)


def python_string(text: str) -> str:
    """A string literal in double quotes, as formatters write it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if text.isprintable() else repr(text)


def _values(policy: Policy) -> dict[str, str | None]:
    gpu = policy.gpu
    memory = gpu.min_memory_gib
    if memory is not None:
        memory = int(memory) if memory == int(memory) else memory
    device = gpu.devices[0]
    return {
        "device_order": python_string(gpu.device_order) if gpu.device_order else None,
        "visible_devices": python_string(gpu.visible_devices),
        "alloc_conf": python_string(gpu.alloc_conf) if gpu.alloc_conf else None,
        "name": python_string(gpu.name) if gpu.name else None,
        "min_memory_gib": None if memory is None else str(memory),
        "function": policy.validation.function,
        "uuid": python_string(device[4:]) if _FULL_UUID.fullmatch(device) else None,
        "device": python_string(device),
        "key": "index" if device.isdigit() else "uuid",
        "is_device": " == device" if device.isdigit() else ".startswith(device)",
        "or_warn": _WARNS if policy.validation.without_gpu == WARN else "",
    }


def import_line(module: str, taken: Collection[str] = ()) -> str:
    """The statement that imports the module which holds the header, in a file that binds the
    ``taken`` names to other things. Its comments keep linters from taking it away (flake8, ruff:
    F401) and sorters from moving it below others (isort, ruff: I001)."""
    package, _, name = module.rpartition(".")
    if module.partition(".")[0] in taken and package:
        return f"from {package} import {name}{IMPORT_MARK}"
    return f"import {module}{IMPORT_MARK}"


def render_header(
    policy: Policy, rulebook: Rulebook, alloc: bool, environ: str = "os.environ"
) -> str:
    """The lines of a header, without markers; ``alloc`` asks for the allocator setting too."""
    text = policy.header_template or rulebook.template("header.py.txt")
    values: dict[str, str | None] = {**_values(policy), "environ": environ}
    if not alloc:
        values["alloc_conf"] = None
    return _filled_in(text, tuple(values.items()))


@cache
def _filled_in(text: str, given: tuple[tuple[str, str | None], ...]) -> str:
    """A header template with its placeholders replaced; most files of a run want the same."""
    values = dict(given)
    lines = []
    for line in text.splitlines():
        used = [match for match in re.findall(r"\$\{?([a-z_]+)", line) if match in values]
        if all(values[name] is not None for name in used):
            lines.append(Template(line).safe_substitute({k: v or "" for k, v in values.items()}))
    return "\n".join(lines).strip("\n")


def render_validator(policy: Policy, rulebook: Rulebook, uses_pytorch: bool) -> str | None:
    """The whole validator function; None where neither PyTorch nor the driver can be asked."""
    return _validator(policy, rulebook, uses_pytorch, ("head", *controls(policy)))


def render_controls(
    policy: Policy, rulebook: Rulebook, uses_pytorch: bool, missing: tuple[str, ...]
) -> str | None:
    """The lines that check some controls, indented by four; None as for a whole validator."""
    names = [control for control in controls(policy) if control in missing]
    if not uses_pytorch and AVAILABILITY not in names and {"name", "memory"}.intersection(names):
        names.insert(0, AVAILABILITY)
    return _validator(policy, rulebook, uses_pytorch, tuple(names))


def can_validate(policy: Policy, uses_pytorch: bool) -> bool:
    """Whether a validator can tell the GPU: PyTorch tells any, the driver one that is named by a
    UUID or by its place in PCI order, as ``nvidia-smi`` counts."""
    device = policy.gpu.devices[0]
    if device.isdigit():
        return uses_pytorch or policy.gpu.device_order == "PCI_BUS_ID"
    return uses_pytorch or device.startswith("GPU-")


def _validator(
    policy: Policy, rulebook: Rulebook, uses_pytorch: bool, names: tuple[str, ...]
) -> str | None:
    """Some sections of a validator, filled in, the ones that belong to them included."""
    if not can_validate(policy, uses_pytorch):
        return None
    sections = _sections(rulebook, uses_pytorch)
    values = {name: value or "" for name, value in _values(policy).items()}
    wanted: list[str] = []
    for name in names:
        warns = name == AVAILABILITY and policy.validation.without_gpu == WARN
        wanted.append(f"{name}_or_warn" if warns else name)
        if name == AVAILABILITY:
            wanted += ["device"] if not uses_pytorch else ["uuid"] if values["uuid"] else []
    return "".join(Template(sections[name]).substitute(values) for name in wanted).rstrip("\n")


def controls(policy: Policy) -> tuple[str, ...]:
    """The controls that a policy asks a validator for, in the order they are checked."""
    values = _values(policy)
    return tuple(
        control
        for control, value in (
            ("CUDA_DEVICE_ORDER", values["device_order"]),
            ("CUDA_VISIBLE_DEVICES", values["visible_devices"]),
            (AVAILABILITY, ""),
            ("name", values["name"]),
            ("memory", values["min_memory_gib"]),
        )
        if value is not None
    )


def _sections(rulebook: Rulebook, uses_pytorch: bool) -> dict[str, str]:
    name = f"validator-{'torch' if uses_pytorch else 'driver'}.py.txt"
    parts = _SECTION.split(rulebook.template(name))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def same_block(text: str, wanted: str, environ_names: tuple[str, ...] = ()) -> bool:
    """Whether two blocks say the same, comments and layout aside."""
    for name in environ_names:
        text = re.sub(rf"(?<![\w.]){re.escape(name)}(?=\[)", "os.environ", text)
    found = _tokens(text)
    return found is not None and found == _tokens(wanted)


def _tokens(text: str) -> list[str] | None:
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return None
    return [token.string for token in tokens if token.type not in _LAYOUT]


def read_template(path: Path, root: Path, bounds: Path) -> str:
    """A project's own header template, named from ``root``, which must be in ``bounds``. Raises
    :class:`ConfigError`."""
    if leads_outside(root / path, bounds):
        raise ConfigError(f"header.template: {path} lies outside the project ({bounds})")
    try:
        text = read_bytes(root / path, LARGEST_TEXT).decode("utf-8")
    except SourceError as error:
        raise ConfigError(f"header.template: {path} {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"header.template: {path} cannot be read: {error}") from error
    text = io.StringIO(text, newline=None).read()
    unknown = set(re.findall(r"\$\{?([A-Za-z_]\w*)", text)) - set(PLACEHOLDERS)
    if unknown:
        accepted = ", ".join(f"${name}" for name in PLACEHOLDERS)
        raise ConfigError(
            f"header.template: {path}: unknown placeholder ${sorted(unknown)[0]}; "
            f"accepted: {accepted}"
        )
    for variable in HEADER_VARIABLES[:2]:
        if variable not in text:
            raise ConfigError(f"header.template: {path} does not set {variable}")
    try:
        check_for_libcst(text)
        parse_quietly(Template(text).safe_substitute(dict.fromkeys(PLACEHOLDERS, "x")), "exec")
    except (SyntaxError, SourceError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f"header.template: {path} is no Python: {error}") from error
    return text
