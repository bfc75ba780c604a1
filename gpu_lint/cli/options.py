"""What ``check`` and ``fix`` share: options, the files they name, the output they make."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gpu_lint.cache import DIRECTORY, Cache
from gpu_lint.discovery import Discovered, discover
from gpu_lint.engine import Engine, Run, start_for_many
from gpu_lint.errors import ConfigError, SourceError, Trouble
from gpu_lint.findings import FileFindings
from gpu_lint.printable import printable
from gpu_lint.reports import FORMATS, ReportOptions, render, shown_path
from gpu_lint.reports.summary import count_line, statistics
from gpu_lint.rulebook import Rulebook, Severity, load_rulebook
from gpu_lint.settings import SettingsFinder, parse_config_option
from gpu_lint.source import Source, decode_source

if TYPE_CHECKING:
    from gpu_lint.journal import Journal
    from gpu_lint.work import Executor
    from gpu_lint.workers import Workers

_MOST_JOBS = 8
"""Processes, unless more are asked for: each holds a part of the project in memory."""
_WORTH = 0.6
"""Seconds that worker processes must save, for they take some time to start."""
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Options:
    """The options of one call, as given."""

    paths: tuple[Path, ...]
    config: tuple[str, ...]
    isolated: bool
    select: tuple[str, ...]
    extend_select: tuple[str, ...]
    ignore: tuple[str, ...]
    force_exclude: bool
    fail_on: str | None
    exit_zero: bool
    output_format: str
    output_file: Path | None
    show_statistics: bool
    stdin_filename: Path | None
    quiet: bool
    no_cache: bool
    cache_dir: Path | None
    jobs: int | None
    executor: str
    scheduler: str | None


def lint_options(command: _F) -> _F:
    """Add the shared options to a command; it receives one :class:`Options`."""

    def wrapped(**given: Any) -> Any:
        names = [field.name for field in fields(Options)]
        return command(Options(**{name: given.pop(name) for name in names}), **given)

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    wrapped.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    path = click.Path(path_type=Path)
    for add in reversed(
        (
            click.argument("paths", nargs=-1, type=path),
            click.option(
                "--config",
                multiple=True,
                metavar="KEY=VALUE|FILE",
                help="Set a key of the configuration, or name the one file to use.",
            ),
            click.option("--isolated", is_flag=True, help="Read no configuration file."),
            click.option("--select", multiple=True, metavar="CODES", help="Rules to run."),
            click.option("--extend-select", multiple=True, metavar="CODES", help="More rules."),
            click.option("--ignore", multiple=True, metavar="CODES", help="Rules not to run."),
            click.option(
                "--force-exclude", is_flag=True, help="Exclude even files that are named."
            ),
            click.option(
                "--fail-on",
                type=click.Choice(["error", "warning"]),
                help="The least severity that makes the exit status 1.",
            ),
            click.option("--exit-zero", is_flag=True, help="End with 0 even with findings."),
            click.option(
                "--output-format", type=click.Choice(FORMATS), default="full", show_default=True
            ),
            click.option("--output-file", "-o", type=path, help="Write the report to a file."),
            click.option("--statistics", "show_statistics", is_flag=True, help="Count per rule."),
            click.option("--stdin-filename", type=path, help="Name for the source read from `-`."),
            click.option("--quiet", "-q", is_flag=True, help="Print findings and errors only."),
            click.option("--no-cache", is_flag=True, help="Neither use nor write a cache."),
            click.option(
                "--cache-dir",
                type=path,
                envvar="GPU_LINT_CACHE_DIR",
                help="Where the cache is; by default in the project.",
            ),
            click.option(
                "--jobs",
                "-j",
                type=click.IntRange(min=1),
                metavar="N",
                help="Processes to use; by default as many as pay.",
            ),
            click.option(
                "--executor",
                type=click.Choice(["local", "dask"]),
                default="local",
                show_default=True,
                help="Who does the work: this machine or a Dask cluster.",
            ),
            click.option(
                "--scheduler", metavar="ADDRESS", help="Of the Dask cluster: tcp://HOST:8786."
            ),
        )
    ):
        wrapped = add(wrapped)
    return wrapped  # type: ignore[return-value]


def finder_for(options: Options, rulebook: Rulebook) -> SettingsFinder:
    """The settings finder that the options ask for. Raises :class:`ConfigError`."""
    chosen: dict[str, Any] = {}
    for key, values in (
        ("select", options.select),
        ("extend-select", options.extend_select),
        ("ignore", options.ignore),
    ):
        codes = [code.strip() for value in values for code in value.split(",") if code.strip()]
        for code in codes:
            if not rulebook.matching(code):
                raise ConfigError(f"--{key}: there is no rule {code!r}; `gpu-lint rule` lists them")
        if codes:
            chosen[key] = codes
    return finder_of(options.config, options.isolated, chosen, rulebook)


def finder_of(
    config: tuple[str, ...], isolated: bool, chosen: dict[str, Any], rulebook: Rulebook
) -> SettingsFinder:
    """A settings finder for ``--config`` and ``--isolated``. Raises :class:`ConfigError`."""
    file: Path | None = None
    keys: dict[str, Any] = {}
    for text in config:
        name = text.partition("=")[0]
        is_key = "=" in text and name.replace(".", "").replace("-", "").isalnum()
        if os.path.isfile(text):
            file = Path(text)
        elif is_key:
            keys.update(parse_config_option(text, rulebook))
        else:
            raise ConfigError(f"--config {text}: is neither KEY=VALUE nor a file")
    if isolated and file is not None:
        raise ConfigError("--isolated reads no configuration file, but --config names one")
    return SettingsFinder(
        rulebook, config_file=file, config_keys=keys, options=chosen, isolated=isolated
    )


def stdin_source(options: Options) -> Source | None:
    """The source on standard input, where ``-`` asks for it. Raises :class:`ConfigError`."""
    if Path("-") not in options.paths:
        return None
    if len(options.paths) > 1:
        raise ConfigError("`-` stands alone: it is standard input")
    name = options.stdin_filename or Path("stdin.py")
    data = sys.stdin.buffer.read()
    try:
        return decode_source(name, data)
    except SourceError as error:
        raise ConfigError(f"{name}: {error}") from error


def run_engine(
    options: Options, finder: SettingsFinder, work: Callable[[Engine, Discovered], Run]
) -> Run:
    """Discover the files, run the engine over them with a progress bar, report trouble."""
    with _no_collector(), _executor(options) as executor_for:

        def many(path: Path) -> None:
            known = not options.no_cache and cache_directory(options.cache_dir, finder).is_dir()
            if executor_for is not None and not known:
                start_for_many(path, finder, executor_for)

        discovered = discover(
            options.paths or (Path("."),), finder, force_exclude=options.force_exclude, many=many
        )
        finder.learn(discovered.files)
        cache = None if options.no_cache else cache_for(options.cache_dir, finder)
        with _progress(len(discovered.files), options.quiet) as advance:
            run = work(Engine(finder, advance, cache, executor_for), discovered)
    run.troubles = discovered.troubles + run.troubles
    show_troubles(run.troubles)
    if not discovered.files and not discovered.troubles:
        click.echo("gpu-lint: no Python files found under the given paths", err=True)
    return run


@contextmanager
def _no_collector() -> Iterator[None]:
    """A run makes few cycles, and looking for them takes a third of its time; so it would at its
    end, where what is left of it is about to go anyway."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.freeze()
            gc.enable()


def _processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _executor(options: Options) -> Iterator[Callable[[float], Executor | None] | None]:
    """Who does work that takes so many seconds: worker processes, where they pay.

    A hook runner that has split its list of files already gets no more processes. None where
    there is nobody else in any case.
    """
    if options.executor == "dask" and options.scheduler is None:
        raise ConfigError("--executor dask needs --scheduler tcp://HOST:PORT")
    if options.executor != "dask" and options.scheduler is not None:
        raise ConfigError("--scheduler is for --executor dask")
    if options.scheduler is not None:
        from gpu_lint.cluster import Cluster

        with Cluster(options.scheduler) as cluster:
            yield lambda seconds: cluster if seconds else None
        return
    count = options.jobs or (1 if "PRE_COMMIT" in os.environ else _processors())
    if count == 1:
        yield None
        return
    count = count if options.jobs else min(count, _MOST_JOBS)
    workers: list[Workers] = []

    def executor_for(seconds: float) -> Executor | None:
        saved = seconds * (1 - 1 / count)
        if not workers and (saved > _WORTH if options.jobs is None else seconds > 0):
            from gpu_lint.workers import Workers

            workers.append(stack.enter_context(Workers(count)))
        return workers[0] if workers else None

    with ExitStack() as stack:
        yield executor_for


def cache_directory(chosen: Path | None, finder: SettingsFinder) -> Path:
    """Where the cache of the project is that the current directory belongs to."""
    return chosen or finder.for_directory(Path.cwd()).root / DIRECTORY


def cache_for(chosen: Path | None, finder: SettingsFinder) -> Cache | None:
    """The cache of the project that the current directory belongs to; None where the user has no
    home directory for the key to it."""
    directory = cache_directory(chosen, finder)
    try:
        state = state_directory()
    except ConfigError:
        return None  # without a key of the user's, a cache is not to be trusted
    return Cache.open(directory, Path.cwd(), finder.rulebook, state)


def state_directory() -> Path:
    """Where the user's journal and key are."""
    if chosen := os.environ.get("GPU_LINT_STATE_DIR"):
        return Path(chosen).absolute()
    from platformdirs import user_state_path

    try:
        found = user_state_path("gpu-lint", appauthor=False)
    except (OSError, RuntimeError, KeyError):
        found = Path()
    if not found.is_absolute():  # `~` that nobody knows
        raise ConfigError(
            "there is no home directory to keep what `undo` needs; set HOME, or name a directory "
            "in GPU_LINT_STATE_DIR"
        )
    return found


def journal() -> Journal:
    """The journal of the user's runs."""
    from gpu_lint.journal import Journal

    return Journal(state_directory(), waiting=_tell_of_waiting)


def _tell_of_waiting() -> None:
    click.echo("gpu-lint: waiting for another gpu-lint that is writing", err=True)


@contextmanager
def _progress(total: int, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, and nothing anywhere else."""
    if quiet or total < 20 or not sys.stderr.isatty() or os.environ.get("CI"):
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Checking", total=2 * total)
        yield lambda count: progress.advance(task, count)


def show_troubles(troubles: list[Trouble]) -> None:
    """One line per path that could not be dealt with."""
    for trouble in troubles:
        path = printable(shown_path(trouble.path, Path.cwd()))
        click.echo(f"gpu-lint: {path} {printable(trouble.message)}", err=True)


def show_findings(
    options: Options,
    results: list[FileFindings],
    rulebook: Rulebook,
    clean: int = 0,
    troubled: int = 0,
) -> None:
    """Print the report where the options want it; ``clean`` more files have no findings, and
    ``troubled`` paths could not be dealt with."""
    color = options.output_file is None and wants_color(sys.stdout)
    report_options = ReportOptions(rulebook, Path.cwd(), color)
    if options.show_statistics and options.output_format in ("full", "concise"):
        text = statistics(results, rulebook)
    else:
        text = render(options.output_format, results, report_options)
    if options.output_file is not None:
        try:
            options.output_file.write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise ConfigError(f"--output-file {options.output_file}: {error.strerror}") from error
    else:
        print_text(text)
    if not options.quiet:
        click.echo(count_line(results, clean, troubled), err=True)


def print_text(text: str) -> None:
    """Write to standard output, whatever it can encode."""
    if text:
        stream = sys.stdout.buffer
        stream.write(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))
        stream.flush()


def wants_color(stream: Any) -> bool:
    """Colour on a terminal only; ``NO_COLOR`` and ``FORCE_COLOR`` decide before that."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or bool(stream.isatty())


def exit_status(
    options: Options, results: list[FileFindings], troubled: bool, finder: SettingsFinder
) -> int:
    """0 clean, 1 findings, 2 something could not be checked; 2 beats 1."""
    if troubled:
        return 2
    if options.exit_zero:
        return 0
    for result in results:
        fail_on = options.fail_on or finder.for_file(result.path).get("fail-on")
        for finding in result.findings:
            if finding.severity is Severity.ERROR or fail_on == "warning":
                return 1
    return 0


def rulebook() -> Rulebook:
    """The rulebook that commands use."""
    return load_rulebook()
