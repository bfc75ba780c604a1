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
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import FILE_NAME, settings_of
from gpu_lint.starter import policy_text


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
        if not is_asked_on_terminal():
            raise ConfigError("init: pass --visible-devices (there is no terminal to ask on)")
        visible_devices, name = _ask(name)
    text = policy_text(
        visible_devices,
        device_order=device_order,
        name=name,
        min_memory_gib=min_memory_gib,
        alloc_conf=alloc_conf,
        pytorch=pytorch,
        forbidden=forbidden,
        required_in=required_in,
        style=style,
    )
    _write_checked(path, text)
    tell(f"gpu-lint: wrote {path}; `gpu-lint check` uses it from now on")
    return 0


def is_asked_on_terminal() -> bool:
    """Return whether questions can be answered: standard input is a terminal."""
    return sys.stdin.isatty()


def _ask(name: str | None) -> tuple[str, str | None]:
    """Ask for the device, and for its name if that is not given; the cards of this machine are
    offered if its driver answers at once."""
    from gpu_lint.runtime.cards import read_at_once
    from gpu_lint.runtime.suggest import suggest, suggest_card

    machine = read_at_once()
    offer = None if machine is None else suggest(machine)
    for card in () if machine is None else machine.cards:
        memory = "" if card.memory_mib is None else f", {card.memory_mib / 1024:.0f} GiB"
        tell(f"  {card.index}  {card.name}{memory}, {card.uuid}")
    device: str = click.prompt(
        "Physical index (as nvidia-smi lists it), list or UUID of the GPU to use",
        default=None if offer is None else offer.visible_devices,
        err=True,
    )
    if name is None:
        chosen = (
            ""
            if machine is None
            else next(
                (
                    suggest_card(machine, card).name
                    for card in machine.cards
                    if device in (str(card.index), card.uuid)
                ),
                "",
            )
        )
        name = click.prompt("Part of its name to insist on", default=chosen, err=True)
    return device, name


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
