"""``gpu-lint clean``: delete the cache, or the history."""

from __future__ import annotations

from pathlib import Path

import click

from gpu_lint.cache import clean as delete
from gpu_lint.cli.options import cache_directory, finder_of, state_directory
from gpu_lint.cli.output import show
from gpu_lint.errors import ConfigError
from gpu_lint.reports.summary import plural
from gpu_lint.rulebook import load_rulebook


@click.command()
@click.option(
    "--cache-dir", type=click.Path(path_type=Path), envvar="GPU_LINT_CACHE_DIR",
    help="Where the cache is; by default in the project.",
)  # fmt: skip
@click.option(
    "--history", is_flag=True, help="Delete the history of all your runs instead of the cache."
)
def clean(cache_dir: Path | None, history: bool) -> int:
    """Delete the cache of the project that the current directory belongs to."""
    if history:
        return _forget()
    directory = cache_directory(cache_dir, finder_of((), False, {}, load_rulebook()))
    try:
        found = delete(directory)
    except OSError as error:
        raise ConfigError(f"{directory} cannot be deleted: {error.strerror or error}") from error
    if found is None and directory.exists():
        raise ConfigError(f"{directory} is no cache of gpu-lint; it was left alone")
    if found is None:
        show(["gpu-lint: there is no cache"])
    elif found:
        show([f"gpu-lint: deleted the cache in {directory}; {plural(found, 'other file')} left"])
    else:
        show([f"gpu-lint: deleted {directory}"])
    return 0


def _forget() -> int:
    """Delete the history of ``trace`` and ``verify``."""
    from gpu_lint.runtime.history import History

    kept = History(state_directory(), days=1, mib=1)
    try:
        count = kept.delete()
    except OSError as error:
        raise ConfigError(f"{kept.path} cannot be deleted: {error.strerror or error}") from error
    if count is None:
        show(["gpu-lint: there is no history"])
    else:
        show([f"gpu-lint: deleted the history of {plural(count, 'run')} in {kept.path}"])
    return 0
