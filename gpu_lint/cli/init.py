"""``gpu-lint init``: write a policy to start from."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from gpu_lint.cli.output import tell
from gpu_lint.errors import ConfigError
from gpu_lint.headerstyle import INLINE
from gpu_lint.masks import DEVICE_ORDERS
from gpu_lint.output_files import replace_file
from gpu_lint.policy import WHERE
from gpu_lint.relevance import ENTRY_POINT
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import FILE_NAME, settings_of
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


@click.command()
@click.option("--visible-devices", metavar="MASK", help="CUDA_VISIBLE_DEVICES, such as 1 or 0,1.")
@click.option("--device-order", type=click.Choice(DEVICE_ORDERS), default="PCI_BUS_ID")
@click.option("--name", help="What the GPU's name must contain, such as 'RTX 3090'.")
@click.option("--min-memory-gib", type=float, help="The least memory, in GiB.")
@click.option("--alloc-conf", help="PYTORCH_CUDA_ALLOC_CONF.")
@click.option("--pytorch", metavar="RELEASE", help="The oldest PyTorch in use, such as 2.4.")
@click.option("--forbidden", multiple=True, help="Name of a GPU that must not be used.")
@click.option("--required-in", type=click.Choice(WHERE), default="entry-points")
@click.option(
    "--style",
    default=INLINE,
    metavar="inline|module:NAME",
    help="Where a fix writes the header: into each file, or once into a module that they import.",
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
def init(
    visible_devices: str | None,
    device_order: str,
    name: str | None,
    min_memory_gib: float | None,
    alloc_conf: str | None,
    pytorch: str | None,
    forbidden: tuple[str, ...],
    required_in: str,
    style: str,
    force: bool,
) -> int:
    """Write a commented gpu-lint.toml; on a terminal, ask for what no option gives."""
    path = Path(FILE_NAME)
    if os.path.lexists(path) and not force:
        raise ConfigError(f"{path} exists; edit it, or pass --force to replace it")
    if visible_devices is None:
        if not sys.stdin.isatty():
            raise ConfigError("init: pass --visible-devices (there is no terminal to ask on)")
        visible_devices = click.prompt(
            "Physical index (as nvidia-smi lists it), list or UUID of the GPU to use", err=True
        )
        if name is None:
            name = click.prompt("Part of its name to insist on", default="", err=True)

    def line(key: str, value: str | None, comment: str) -> str:
        return f"# {comment}\n{key} = {value}\n" if value else f"# {comment}\n# {key} = …\n"

    text = _TEMPLATE.format(
        visible_devices=python_string(visible_devices or ""),
        device_order=python_string(device_order),
        name=line(
            "name", python_string(name) if name else None, "What device 0's name must contain."
        ),
        memory=line(
            "min-memory-gib", f"{min_memory_gib:g}" if min_memory_gib else None, "Its least memory."
        ),
        alloc=line(
            "alloc-conf",
            python_string(alloc_conf) if alloc_conf else None,
            "PYTORCH_CUDA_ALLOC_CONF.",
        ),
        pytorch=line(
            "pytorch",
            python_string(pytorch) if pytorch else None,
            "The oldest PyTorch in use, which must accept that.",
        ),
        forbidden=line(
            "forbidden",
            "[" + ", ".join(map(python_string, forbidden)) + "]" if forbidden else None,
            "GPUs that must not be used.",
        ),
        required_in=python_string(required_in),
        style=python_string(style),
        entry_point="\n".join(f"# {line}" for line in ENTRY_POINT),
    )
    _write_checked(path, text)
    tell(f"gpu-lint: wrote {path}; `gpu-lint check` uses it from now on")
    return 0


def _write_checked(path: Path, text: str) -> None:
    """Write the policy only if it is one that ``check`` would accept."""
    try:
        settings_of(path, text, load_rulebook())
    except ConfigError as error:
        raise ConfigError(f"init: {str(error).partition(': ')[2]}") from error
    try:
        replace_file(path, text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error
