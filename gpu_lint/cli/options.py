"""What ``check`` and ``fix`` share: options, the files they name, the output they make."""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gpu_lint.cache import DIRECTORY, Cache
from gpu_lint.cli.output import tell, write, write_bytes
from gpu_lint.cli.terminal import progress_bar, width_of
from gpu_lint.discovery import Discovered, discover, holds_python, tracked_though_ignored
from gpu_lint.engine import Engine, Run, start_for_many
from gpu_lint.errors import CacheError, ConfigError, HomelessError, SourceError, StateError, Trouble
from gpu_lint.findings import FileFindings
from gpu_lint.output_files import check_output, write_output
from gpu_lint.ownership import own_state_directory
from gpu_lint.reports import FOR_PROGRAMS, FORMATS, ReportOptions, render, shown_path
from gpu_lint.reports.summary import (
    count_line,
    left_open,
    not_described,
    not_parsed,
    plural,
    statistics,
)
from gpu_lint.repository import leaves_repository
from gpu_lint.rulebook import Rulebook, Severity, load_rulebook
from gpu_lint.settings import SettingsFinder, parse_config_option
from gpu_lint.source import Source, decode_source

if TYPE_CHECKING:
    from gpu_lint.journal import Journal
    from gpu_lint.untrusted import Overridden
    from gpu_lint.work import Executor
    from gpu_lint.workers import Workers

_MOST_JOBS = 8
"""Processes, unless more are asked for: each holds a part of the project in memory."""
_WORKSPACES = ("GITHUB_WORKSPACE", "CI_PROJECT_DIR")
"""Where CI systems say which directory they have checked out into."""
_WORTH = 0.6
"""Seconds that worker processes must save, for they take some time to start."""
_KEY_VALUE = re.compile(r"\s*[\w-]+(?:\.[\w-]+)*\s*=")
"""What ``--config`` takes as KEY=VALUE, even where a file of that name exists: a file that comes
with the code must not take the place of what the command line says."""
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
    no_respect_gitignore: bool
    ignore_suppressions: bool
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
    tls_ca: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    overridden: Overridden | None = None
    """Where the tree is not trusted: what it would have said about its own check."""

    @property
    def respects_ignores(self) -> bool:
        """Whether ignore files count; those of a tree that is not trusted never do."""
        return not self.no_respect_gitignore and self.overridden is None

    @property
    def may_cache(self) -> bool:
        """Whether a cache is read and written; of a tree that is not trusted only one elsewhere,
        where the call names it."""
        return not self.no_cache and (self.overridden is None or self.cache_dir is not None)


def lint_options(command: _F) -> _F:
    """Add the shared options to a command; it receives one :class:`Options`."""

    def wrapped(**given: Any) -> Any:
        names = [field.name for field in fields(Options) if field.name in given]
        options = Options(**{name: given.pop(name) for name in names})
        if options.output_file is not None:  # before any work is done in vain
            check_output(options.output_file)
        return command(options, **given)

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
                "--no-respect-gitignore", is_flag=True, help="Check files that Git ignores, too."
            ),
            click.option(
                "--ignore-suppressions",
                is_flag=True,
                help="Report what comments such as `# gpu-lint: ignore` silence, too.",
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
                "--scheduler",
                metavar="ADDRESS",
                help="Of the Dask cluster: tcp://HOST:8786, or tls://HOST:8786.",
            ),
            click.option(
                "--tls-ca", type=path, help="Authority of the Dask cluster's certificates."
            ),
            click.option("--tls-cert", type=path, help="Certificate to show to the Dask cluster."),
            click.option("--tls-key", type=path, help="Key of that certificate."),
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
    file, keys = _config_of(options.config, options.isolated, rulebook)
    if options.overridden is not None:
        _check_untrusted(options, file)
    return SettingsFinder(
        rulebook,
        config_file=file,
        config_keys=keys,
        options=chosen,
        isolated=options.isolated,
        ignore_suppressions=options.ignore_suppressions or options.overridden is not None,
        refused=_tell_of_refused,
    )


def _check_untrusted(options: Options, file: Path | None) -> None:
    """Raise :class:`ConfigError` where a file of the tree would decide about its check."""
    from gpu_lint.untrusted import refuse_inside

    named = options.stdin_filename or Path(".")
    paths = [named if path == Path("-") else path for path in options.paths] or [Path(".")]
    refuse_own_configuration(file, options.isolated, paths)
    if options.cache_dir is not None and not options.no_cache:
        refuse_inside("--cache-dir", options.cache_dir, paths)


def refuse_own_configuration(file: Path | None, isolated: bool, paths: Sequence[Path]) -> None:
    """Raise :class:`ConfigError` where the configuration of a tree that is not trusted would count:
    where ``file`` is in it, or no file is named and the nearest one would be read."""
    from gpu_lint.untrusted import refuse_inside

    if file is not None:
        refuse_inside("--config", file, paths)
    elif not isolated:
        raise ConfigError(
            "--untrusted needs --config FILE, from outside of the tree that is checked, or "
            "--isolated: a configuration of the tree has no say"
        )


def finder_of(
    config: tuple[str, ...], isolated: bool, chosen: dict[str, Any], rulebook: Rulebook
) -> SettingsFinder:
    """A settings finder for ``--config`` and ``--isolated``. Raises :class:`ConfigError`."""
    file, keys = _config_of(config, isolated, rulebook)
    return SettingsFinder(
        rulebook,
        config_file=file,
        config_keys=keys,
        options=chosen,
        isolated=isolated,
        refused=_tell_of_refused,
    )


def _tell_of_refused(path: Path, why: str) -> None:
    show_troubles([Trouble(path, why)])


def _config_of(
    config: tuple[str, ...], isolated: bool, rulebook: Rulebook
) -> tuple[Path | None, dict[str, Any]]:
    """The file and the keys that ``--config`` gives. Raises :class:`ConfigError`."""
    file: Path | None = None
    keys: dict[str, Any] = {}
    for text in config:
        if _KEY_VALUE.match(text):
            try:
                keys.update(parse_config_option(text, rulebook))
            except ConfigError as error:
                if os.path.isfile(text):
                    raise ConfigError(f"{error}; the file of that name is ./{text}") from error
                raise
        elif os.path.isfile(text):
            file = Path(text)
        else:
            raise ConfigError(
                f"--config {text}: no such file, and not KEY=VALUE; "
                "a file with `=` in its name is given as ./NAME"
            )
    if isolated and file is not None:
        raise ConfigError("--isolated reads no configuration file, but --config names one")
    return file, keys


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
            if executor_for is not None and not _has_cache(options, finder):
                start_for_many(path, finder, executor_for)

        discovered = discover(
            options.paths or (Path("."),),
            finder,
            force_exclude=options.force_exclude,
            many=many,
            respect_ignores=options.respects_ignores,
            overridden=options.overridden,
        )
        for path in discovered.named:
            finder.for_file(path)
        if not options.quiet:
            show_noops(finder)
        if discovered.named:
            _find_importers(discovered, finder, options)
        finder.learn([*discovered.files, *discovered.importers])
        cache = cache_for(options, finder)
        with progress_bar(options.quiet) as progress:
            run = work(Engine(finder, progress, cache, executor_for), discovered)
    run.troubles = discovered.troubles + run.troubles
    if not discovered.files and not discovered.troubles:
        run.troubles += _nothing_found(options)
    show_troubles(run.troubles)
    if not options.quiet:
        show_skipped(discovered, finder)
    return run


def _has_cache(options: Options, finder: SettingsFinder) -> bool:
    """Whether there is a cache, from which much may be known already."""
    if not options.may_cache:
        return False
    with suppress(CacheError):  # the line is printed where it is opened
        return cache_directory(options.cache_dir, finder).is_dir()
    return False


def _nothing_found(options: Options) -> list[Trouble]:
    """What is wrong with the paths where no file is left to check; nothing, if all are excluded."""
    paths = options.paths or (Path("."),)
    excluded = any(map(holds_python, paths))
    if not excluded and not options.force_exclude:
        return [Trouble(path, "holds no Python files") for path in paths]
    if not options.quiet:
        tell(f"No Python files {'to check: all are excluded' if excluded else 'found'}.")
    return []


def show_noops(finder: SettingsFinder) -> None:
    """One line for what the configuration found so far asks for in vain."""
    from gpu_lint.noops import without_effect

    for line in without_effect(finder.in_force):
        tell(f"gpu-lint: {line}")


def _find_importers(discovered: Discovered, finder: SettingsFinder, options: Options) -> None:
    """Find the files that import the named ones, and say how many are judged with these."""
    from gpu_lint import importers

    most = importers.MOST_FILES
    found = importers.importers_of(
        discovered.named,
        finder,
        most,
        respect_ignores=options.respects_ignores,
        overridden=options.overridden,
    )
    asked = frozenset(discovered.files)
    discovered.importers = tuple(path for path in found.files if path not in asked)
    if options.quiet:
        return
    if count := len(discovered.importers):
        files = "1 file that imports" if count == 1 else f"{count} files that import"
        tell(f"gpu-lint: {files} the named ones checked with them")
    for root in found.too_large:
        tell(
            f"gpu-lint: {root} has more than {most:,} Python files: those that import the named "
            "ones are not checked; `gpu-lint check` there checks all"
        )


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

    None where there is nobody else in any case.
    """
    if options.executor == "dask" and options.scheduler is None:
        raise ConfigError("--executor dask needs --scheduler tcp://HOST:PORT")
    if options.executor != "dask" and options.scheduler is not None:
        raise ConfigError("--scheduler is for --executor dask")
    files = {f"--tls-{n}": getattr(options, f"tls_{n}") for n in ("ca", "cert", "key")}
    given = [option for option, path in files.items() if path is not None]
    if given and options.executor != "dask":
        raise ConfigError(f"{given[0]} is for --executor dask")
    if given and len(given) < len(files):
        missing = next(option for option in files if option not in given)
        raise ConfigError(f"{given[0]} needs {missing}, too: the three --tls options go together")
    if options.scheduler is not None:
        from gpu_lint.cluster import Cluster, Tls

        with Cluster(options.scheduler, Tls(*files.values()) if given else None) as cluster:
            yield lambda seconds: cluster if seconds else None
        return
    count = options.jobs or _processors()
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
    """Where the cache of the project is that the current directory belongs to; a link that was
    ``chosen`` is followed. Raises :class:`CacheError` where it leads out of a repository."""
    if chosen is None:
        return finder.for_directory(Path.cwd()).root / DIRECTORY
    if leaves_repository(chosen):
        raise CacheError(
            f"the cache {chosen} is behind a link that leads out of its repository, so no cache is "
            f"used; name {os.path.realpath(chosen)} itself if you mean it"
        )
    return Path(os.path.realpath(chosen))


def cache_for(options: Options, finder: SettingsFinder) -> Cache | None:
    """The cache of the project that the current directory belongs to; None where none is to be
    used, or none can be: a user without a home directory has no key to it."""
    if not options.may_cache:
        return None
    try:
        directory = cache_directory(options.cache_dir, finder)
        return Cache.open(directory, Path.cwd(), finder.rulebook, state_directory())
    except HomelessError:
        return None
    except (CacheError, StateError) as error:
        tell(f"gpu-lint: {error}")
        return None


def state_directory() -> Path:
    """Where the user's journal and key are. Raises :class:`StateError` where others may write,
    and :class:`HomelessError`."""
    if chosen := os.environ.get("GPU_LINT_STATE_DIR"):
        return own_state_directory(Path(chosen).absolute())
    from platformdirs import user_state_path

    try:
        found = user_state_path("gpu-lint", appauthor=False)
    except (OSError, RuntimeError, KeyError):
        found = Path()
    if not found.is_absolute():  # `~` that nobody knows
        raise HomelessError(
            "there is no home directory to keep what `undo` needs; set HOME, or name a directory "
            "in GPU_LINT_STATE_DIR"
        )
    return own_state_directory(found)


def journal() -> Journal:
    """The journal of the user's runs."""
    from gpu_lint.journal import Journal

    return Journal(state_directory(), waiting=_tell_of_waiting)


def _tell_of_waiting() -> None:
    tell("gpu-lint: waiting for another gpu-lint that is writing")


def show_troubles(troubles: list[Trouble]) -> None:
    """One line per path that could not be dealt with."""
    for trouble in troubles:
        tell(f"gpu-lint: {shown_path(trouble.path, Path.cwd())} {trouble.message}")


def show_skipped(discovered: Discovered, finder: SettingsFinder) -> None:
    """One line for directories of build products that were not looked into, and one for files that
    Git tracks and an ignore file names."""
    if directories := discovered.skipped:
        shown = [f"{shown_path(path, Path.cwd())}/" for path in directories[:2]]
        more = f" and {len(directories) - 2} more" if len(directories) > 2 else ""
        tell(
            f"gpu-lint: skipped {', '.join(shown)}{more}: Git tracks no file there; "
            "name a directory to have it checked"
        )
    if files := tracked_though_ignored(discovered, finder):
        first = shown_path(files[0], Path.cwd())
        such = first if len(files) == 1 else f"such as {first}"
        tell(
            f"gpu-lint: skipped {plural(len(files), 'file')} that Git tracks but an ignore file "
            f"names ({such}); `gpu-lint check --no-respect-gitignore` reads them"
        )


def show_overridden(options: Options, results: list[FileFindings], rulebook: Rulebook) -> None:
    """One line for what a tree that is not trusted says about its own check."""
    if options.overridden is None or options.quiet:
        return
    from gpu_lint.suppressions import count_suppressions

    options.overridden.comments = sum(count_suppressions(one.source, rulebook) for one in results)
    if line := options.overridden.line:
        tell(f"gpu-lint: {line}")


def show_findings(
    options: Options,
    results: list[FileFindings],
    rulebook: Rulebook,
    clean: int = 0,
    troubles: Sequence[Trouble] = (),
) -> None:
    """Print the report where the options want it; ``clean`` more files have no findings, and
    ``troubles`` are the paths that could not be dealt with."""
    for_programs = options.output_format in FOR_PROGRAMS
    printed = options.output_file is None
    width = width_of(sys.stdout) if printed else None
    if options.show_statistics and options.output_format in ("full", "concise"):
        text = statistics(results, rulebook, width)
    else:
        report_options = ReportOptions(
            rulebook,
            Path.cwd(),
            _root(options) if for_programs else Path.cwd(),
            printed and wants_color(sys.stdout),
            width,
            tuple(troubles),
        )
        text = render(options.output_format, results, report_options)
    if options.output_file is not None:
        write_output(options.output_file, text)
    else:
        write_bytes(text.encode("utf-8")) if for_programs else write(text)
    if not options.quiet and (results or clean):
        here = Path.cwd()
        limits = not_parsed(results, here), left_open(results, here), not_described(results)
        for line in filter(None, limits):
            tell(line)
        tell(count_line(results, clean, len(troubles)))


def _root(options: Options) -> Path:
    """The directory that a report for a CI system takes paths to be relative to."""
    from gpu_lint.reports.naming import report_root

    workspace = next(filter(None, map(os.environ.get, _WORKSPACES)), None)
    return report_root(Path.cwd(), options.paths or (Path("."),), workspace)


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
