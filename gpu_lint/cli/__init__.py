"""The command line. It parses options, calls the engine and prints; nothing else."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from gpu_lint import __version__
from gpu_lint.cli.output import fail, refuse
from gpu_lint.errors import GpuLintError

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
        try:
            status = super().main(*args, **kwargs)
        except click.exceptions.Exit as leaving:
            status = leaving.exit_code
        except click.ClickException as error:
            refuse(error)
            status = 2
        except GpuLintError as error:
            fail(str(error))
            status = 2
        except (KeyboardInterrupt, click.Abort):
            fail("interrupted; no file was left half-written")
            status = 2
        except BrokenPipeError:
            # The reader has gone (`| head`); what is left to flush has nowhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            status = 2
        except Exception as error:
            if os.environ.get("GPU_LINT_TRACEBACK"):
                raise
            fail(
                f"internal error ({type(error).__name__}: {error}); please report it, with what "
                "GPU_LINT_TRACEBACK=1 shows"
            )
            status = 2
        sys.exit(status if isinstance(status, int) else 0)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="gpu-lint")
def main() -> None:
    """Tell which GPU a Python program will really use, and rewrite it to the one you demand."""
