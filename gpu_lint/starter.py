"""The text of a policy to start from: a commented ``gpu-lint.toml``."""

from __future__ import annotations

from gpu_lint.headerstyle import INLINE
from gpu_lint.relevance import ENTRY_POINT
from gpu_lint.templates import python_string

_TEMPLATE = """\
# gpu-lint: which GPU this project uses. `gpu-lint config` shows every key and its origin.

# Files to leave out, as in .gitignore.
exclude = []

[gpu]
# CUDA_VISIBLE_DEVICES: a physical index in the order below, a list ("0,1"), or "GPU-<uuid>".
visible-devices = {visible_devices}
# CUDA_DEVICE_ORDER: with PCI_BUS_ID an index means what nvidia-smi shows.
device-order = {device_order}
{name}{memory}{alloc}{pytorch}{forbidden}
[header]
# Where the variables must be set before anything imports a GPU framework:
# "all", "gpu-files", "entry-points", "never", or a list of globs. An entry point is
{entry_point}
required-in = {required_in}
# How a fix writes it: "inline", into each file; or "module:pkg.gpu_policy", once into that module,
# whose import it puts above the others of each file.
style = {style}

[validation]
# Where a function must check the GPU before it is used.
required-in = "entry-points"
function = "validate_gpu"
"""


def policy_text(
    visible_devices: str,
    *,
    device_order: str = "PCI_BUS_ID",
    name: str | None = None,
    min_memory_gib: float | None = None,
    alloc_conf: str | None = None,
    pytorch: str | None = None,
    forbidden: tuple[str, ...] = (),
    required_in: str = "entry-points",
    style: str = INLINE,
) -> str:
    """Return the text of a policy; a key without a value stands in a comment."""

    def line(key: str, value: str | None, comment: str) -> str:
        return f"# {comment}\n{key} = {value}\n" if value else f"# {comment}\n# {key} = …\n"

    def text(value: str | None) -> str | None:
        return python_string(value) if value else None

    names = f"[{', '.join(map(python_string, forbidden))}]" if forbidden else None
    memory = f"{min_memory_gib:g}" if min_memory_gib else None
    return _TEMPLATE.format(
        visible_devices=python_string(visible_devices),
        device_order=python_string(device_order),
        name=line("name", text(name), "What device 0's name must contain."),
        memory=line("min-memory-gib", memory, "Its least memory."),
        alloc=line("alloc-conf", text(alloc_conf), "PYTORCH_CUDA_ALLOC_CONF."),
        pytorch=line(
            "pytorch", text(pytorch), "The oldest PyTorch in use, which must accept that."
        ),
        forbidden=line("forbidden", names, "GPUs that must not be used."),
        required_in=python_string(required_in),
        style=python_string(style),
        entry_point="\n".join(f"# {line}" for line in ENTRY_POINT),
    )
