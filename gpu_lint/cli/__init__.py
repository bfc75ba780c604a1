"""The command line. It parses options, calls the engine and prints; nothing else."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import Any

import click

from gpu_lint import __version__
from gpu_lint.errors import GpuLintError
from gpu_lint.printable import printable

_LONGEST_MESSAGE = 600
_OUTPUT = {errno.ENOSPC, errno.EBADF, errno.EIO, errno.EDQUOT}
"""Why standard streams cannot be written to; all other files are written where errors are dealt
with."""
_COMMANDS = {
    "check": ("gpu_lint.cli.check", "check"),
    "fix": ("gpu_lint.cli.fix", "fix"),
    "undo": ("gpu_lint.cli.undo", "undo"),
    "graph": ("gpu_lint.cli.graph", "graph"),
    "init": ("gpu_lint.cli.init", "init"),
    "rule": ("gpu_lint.cli.rule", "rule"),
    "config": ("gpu_lint.cli.config", "config"),
    "clean": ("gpu_lint.cli.clean", "clean"),
}


class _Group(click.Group):
    """Imports a command's module when it is called, so that starting up stays cheap."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        from importlib import import_module

        module, name = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), name)
        return command

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, and end with the exit status: 0 clean, 1 findings, 2 the call or the tool failed."""
        kwargs["standalone_mode"] = False
        _open_streams()
        try:
            status = super().main(*args, **kwargs)
            sys.stdout.flush()
            sys.stderr.flush()
        except click.exceptions.Exit as leaving:
            status = leaving.exit_code
        except click.ClickException as error:
            error.show()
            status = 2
        except GpuLintError as error:
            _tell(str(error))
            status = 2
        except (KeyboardInterrupt, click.Abort):
            _tell("interrupted; no file was left half-written")
            status = 2
        except BrokenPipeError:
            # The reader has gone (`| head`); what is left to flush has nowhere to go.
            _discard_output()
            status = 2
        except Exception as error:
            status = 2
            if isinstance(error, OSError) and error.errno in _OUTPUT:
                _tell(f"the output cannot be written: {error.strerror}")
                _discard_output()
                sys.exit(status)
            if not _has_directory():  # Python 3.13.0 calls that a SystemError on import
                _tell("the current directory no longer exists; change to one that does")
                sys.exit(status)
            if os.environ.get("GPU_LINT_TRACEBACK"):
                raise
            told = _one_line(f"{type(error).__name__}: {error}")
            _tell(
                f"internal error ({told}); please report it, with what GPU_LINT_TRACEBACK=1 shows"
            )
        sys.exit(status if isinstance(status, int) else 0)


def _tell(message: str) -> None:
    """Print one line on standard error, if that can be written to."""
    with contextlib.suppress(OSError):
        click.echo(f"gpu-lint: {_one_line(message)}", err=True)


def _open_streams() -> None:
    """Give standard streams that the caller closed (``>&-``) something to stand for them.

    Otherwise the next file that is opened would be taken for them. What is written to such a
    standard output fails, as it does where the disk is full; standard error goes nowhere.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR if number == 2 else os.O_RDONLY)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            mode = "w" if number else "r"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def _discard_output() -> None:
    """Let what is still to be flushed at exit go nowhere."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _has_directory() -> bool:
    """Return whether the current directory is still there."""
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def _one_line(message: str) -> str:
    """A message that fits a terminal, whatever it repeats of what was given."""
    if len(message) > _LONGEST_MESSAGE:
        half = _LONGEST_MESSAGE // 2
        message = f"{message[:half]} ... {message[-half:]}"
    return printable(message)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="gpu-lint")
def main() -> None:
    """Tell which GPU a Python program will really use, and rewrite it to the one you demand."""
