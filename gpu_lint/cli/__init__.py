"""The command line. It parses options, calls the engine and prints; nothing else."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any, NoReturn

import click

from gpu_lint import __version__
from gpu_lint.cli.output import fail, refuse
from gpu_lint.cli.streams import discard_output, open_streams, readers_may_leave
from gpu_lint.errors import GpuLintError, Interrupted
from gpu_lint.interrupts import INTERRUPTED, say_no_more, second_interrupt_ends

_WRITING = ("fix", "undo")
"""The commands that change files."""
_OUTPUT = {errno.ENOSPC, errno.EBADF, errno.EIO, errno.EDQUOT}
"""Why standard streams cannot be written to; all other files are written where errors are dealt
with."""
_COMMANDS = {
    "check": ("gpu_lint.cli.check", "check"),
    "fix": ("gpu_lint.cli.fix", "fix"),
    "undo": ("gpu_lint.cli.undo", "undo"),
    "graph": ("gpu_lint.cli.graph", "graph"),
    "trace": ("gpu_lint.cli.trace", "trace"),
    "verify": ("gpu_lint.cli.verify", "verify"),
    "init": ("gpu_lint.cli.init", "init"),
    "rule": ("gpu_lint.cli.rule", "rule"),
    "doctor": ("gpu_lint.cli.doctor", "doctor"),
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

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; Ctrl-C is one line, before click makes two of it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            whole = "; no file was left half-written" * (ctx.invoked_subcommand in _WRITING)
            raise Interrupted(f"interrupted{whole}") from interrupt

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run, and end with the exit status: 0 clean, 1 findings, 2 the call or the tool failed,
        130 after Ctrl-C."""
        open_streams()
        with second_interrupt_ends(), readers_may_leave():
            status = self._status(*args, **kwargs)
        sys.exit(status)

    def _status(self, *args: Any, **kwargs: Any) -> int:
        kwargs["standalone_mode"] = False
        try:
            status = super().main(*args, **kwargs)
            sys.stdout.flush()
            sys.stderr.flush()
        except click.exceptions.Exit as leaving:
            status = leaving.exit_code
        except click.ClickException as error:
            refuse(error)
            status = 2
        except Interrupted as error:
            say_no_more()
            fail(str(error))
            status = INTERRUPTED
        except GpuLintError as error:
            fail(str(error))
            status = 2
        except (KeyboardInterrupt, click.Abort):
            say_no_more()
            fail("interrupted")
            status = INTERRUPTED
        except Exception as error:
            status = 2
            if isinstance(error, OSError) and error.errno in _OUTPUT:
                fail(f"the output cannot be written: {error.strerror}")
                discard_output()
            elif not _has_directory():  # Python 3.13.0 calls that a SystemError on import
                fail("the current directory no longer exists; change to one that does")
            elif os.environ.get("GPU_LINT_TRACEBACK"):
                raise
            else:
                fail(
                    f"internal error ({type(error).__name__}: {error}); please report it, with "
                    "what GPU_LINT_TRACEBACK=1 shows"
                )
        return status if isinstance(status, int) else 0


def _has_directory() -> bool:
    """Return whether the current directory is still there."""
    try:
        os.getcwd()
    except OSError:
        return False
    return True


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="gpu-lint")
def main() -> None:
    """Tell which GPU a Python program will really use, and rewrite it to the one you demand."""
