"""Where the command line writes: lines for people go through :func:`tell` and :func:`show`, which
escape them; data and file contents through :func:`write`, which does not."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from gpu_lint.printable import Line, text_of

_LONGEST = 600
"""Characters of an error's line, which may repeat a long argument."""


def tell(message: str) -> None:
    """Write one line to standard error."""
    click.echo(text_of([message]), nl=False, err=True)


def tell_all(lines: Iterable[Line]) -> None:
    """Write lines for people to standard error, where standard output holds data."""
    click.echo(text_of(lines), nl=False, err=True)


def fail(message: str) -> None:
    """Write one line of an error that ends the run to standard error, if that can be written."""
    if len(message) > _LONGEST:
        half = _LONGEST // 2
        message = f"{message[:half]} ... {message[-half:]}"
    with contextlib.suppress(OSError):
        tell(f"gpu-lint: {message}")


def refuse(error: click.ClickException) -> None:
    """Write to standard error, if that can be written to, what is wrong with a call: usage, where
    to find help, the reason."""
    with contextlib.suppress(OSError):
        _refuse(error)


def _refuse(error: click.ClickException) -> None:
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        click.echo(context.get_usage(), err=True)
        tell(f"Try '{context.command_path} {context.help_option_names[0]}' for help.")
        click.echo(err=True)
    tell(f"Error: {error.format_message()}")


def show(lines: Iterable[Line]) -> None:
    """Write lines for people to standard output."""
    write(text_of(lines))


def write(text: str) -> None:
    """Write text to standard output as it is: data, or what :func:`text_of` has made."""
    if text:
        write_bytes(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))


def give(file: Path, text: str) -> None:
    """Write a document to a file, or to standard output if the file is called ``-``."""
    if str(file) == "-":
        write(text)
    else:
        from gpu_lint.output_files import write_output

        write_output(file, text)


def write_bytes(data: bytes) -> None:
    """Write bytes to standard output as they are."""
    stream = sys.stdout.buffer
    stream.write(data)
    stream.flush()


def is_terminal() -> bool:
    """Return whether standard output is a terminal."""
    return sys.stdout.isatty()
