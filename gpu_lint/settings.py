"""Which configuration is in force for which file, and where each key of it came from."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from gpu_lint.errors import ConfigError, Problem, SourceError
from gpu_lint.facts.limits import Limits
from gpu_lint.globs import matches, unusable
from gpu_lint.namedfiles import GlobError, files_named
from gpu_lint.ownership import is_foreign, trusted_users
from gpu_lint.pins import Pin, pinned_release
from gpu_lint.policy import KEYS, TABLES, Policy, check_table, check_whole, policy_of
from gpu_lint.provenance import kept_elsewhere
from gpu_lint.repository import (
    Confinement,
    bounds_of,
    leads_outside,
    leaves_repository,
    repository_of,
)
from gpu_lint.rulebook import Pack, Rule, Rulebook, Severity
from gpu_lint.source import read_start
from gpu_lint.toml import dotted, line_of, located, parse_toml, parse_value, read_text, read_toml

FILE_NAME = "gpu-lint.toml"
_MOST_PACKS = 100
_MOST_LOOKED_AT = 1 << 20
"""Bytes of another user's file that are searched for our name."""


_DEFAULTS = {key.name: key.default for key in KEYS}


@dataclass(frozen=True)
class Settings:
    """The configuration that governs a part of the tree, rooted at ``root``."""

    rulebook: Rulebook
    root: Path
    flat: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where each key came from: ``FILE:LINE``, ``--config`` or an option's name."""
    home: Path | None = None
    """The directory of the configuration file, which templates and packs are looked up from."""
    bounds: Path | None = None
    """The directory that these must not leave."""
    packs: tuple[Pack, ...] = ()
    """The project's own rule packs."""

    def get(self, name: str) -> Any:
        """The value of a dotted key, or its default."""
        return self.flat.get(name, _DEFAULTS[name])

    @cached_property
    def limits(self) -> Limits:
        """How much of a file is given to a parser."""
        return Limits(
            self.get("limits.file-mib") << 20,
            self.get("limits.brackets"),
            self.get("limits.operators"),
        )

    def with_options(self, options: Mapping[str, Any], origin: str) -> Settings:
        """These settings with some keys replaced. Raises :class:`ConfigError`."""
        if not options:
            return self
        flat, origins = dict(self.flat), dict(self.origins)
        for name, value in options.items():
            flat[name] = value
            origins[name] = origin
        _validate_whole(flat, origin)
        return replace(self, flat=flat, origins=origins)

    def relative(self, path: Path) -> str:
        """A path as globs see it: from the root, with forward slashes."""
        try:
            return path.resolve().relative_to(self.root.resolve()).as_posix()
        except ValueError:
            return path.as_posix().lstrip("/")

    def policy_for(self, path: Path) -> Policy | None:
        """The policy in force for a file: the table, with every matching override applied."""
        chosen = self._overrides_for(path)
        if chosen not in self._policies:
            policy = policy_of(self.flat_for(path)[0])
            if policy is not None and policy.header.template != "builtin":
                policy = replace(policy, header_template=self._template(policy.header.template))
            self._policies[chosen] = policy
        return self._policies[chosen]

    def _overrides_for(self, path: Path) -> tuple[int, ...]:
        """The overrides that apply to a file, by their numbers."""
        overrides = self.flat.get("overrides", ())
        if not overrides:
            return ()
        relative = self.relative(path)
        return tuple(n for n, one in enumerate(overrides) if matches(one["paths"], relative))

    @cached_property
    def _policies(self) -> dict[tuple[int, ...], Policy | None]:
        return {}

    def _template(self, name: str) -> str:
        if name not in self._templates:
            from gpu_lint.templates import read_template

            home = self.home or self.root
            self._templates[name] = read_template(Path(name), home, self.bounds or home)
        return self._templates[name]

    @cached_property
    def _templates(self) -> dict[str, str]:
        return {}

    def flat_for(self, path: Path) -> tuple[dict[str, Any], dict[str, str]]:
        """The dotted keys in force for a file, and where each came from."""
        flat = {k: v for k, v in self.flat.items() if k != "overrides"}
        origins = dict(self.origins)
        for number in self._overrides_for(path):
            override = self.flat["overrides"][number]
            keys = [key for key in override if key != "paths"]
            flat.update({key: override[key] for key in keys})
            where = f"{self.origins.get('overrides', '')} (overrides for {override['paths'][0]})"
            origins.update(dict.fromkeys(keys, where))
        return flat, origins

    @cached_property
    def _selected(self) -> frozenset[str]:
        book = self.rulebook
        if self.get("select"):
            chosen = _codes(book, self.get("select"))
        else:
            chosen = {c for c, rule in book.rules.items() if rule.severity is not Severity.OFF}
        return frozenset(
            (chosen | _codes(book, self.get("extend-select"))) - _codes(book, self.get("ignore"))
        )

    def rules_for(self, path: Path) -> dict[str, Rule]:
        """The rules to run on a file."""
        if not self.get("per-file-ignores"):
            return self._all_rules
        relative = self.relative(path)
        ignored: set[str] = set()
        for glob, codes in self.get("per-file-ignores").items():
            if matches([glob], relative):
                ignored |= _codes(self.rulebook, codes)
        return {c: self.rulebook.rules[c] for c in sorted(self._selected - ignored)}

    @property
    def shares_rules(self) -> bool:
        """Whether the same rules run on every file."""
        return not self.get("per-file-ignores")

    @property
    def shares_all(self) -> bool:
        """Whether the same rules and the same policy are in force for every file."""
        return self.shares_rules and not self.flat.get("overrides")

    @cached_property
    def _all_rules(self) -> dict[str, Rule]:
        return {code: self.rulebook.rules[code] for code in sorted(self._selected)}

    def names_entry_point(self, path: Path) -> bool:
        """Whether ``entry-points`` names a file."""
        globs = self.get("entry-points")
        return bool(globs) and matches(globs, self.relative(path))


def _codes(book: Rulebook, selectors: list[str]) -> set[str]:
    return {code for selector in selectors for code in book.matching(selector)}


@dataclass(frozen=True)
class FinderSpec:
    """What makes a :class:`SettingsFinder`, as it can be sent to another process."""

    root: str
    """The directory in which the run takes place."""
    config_file: str | None
    keys: tuple[tuple[str, Any], ...]
    options: tuple[tuple[str, Any], ...]
    isolated: bool
    packs: tuple[Pack, ...]
    """What the rulebook was extended with."""
    trusted: frozenset[int] | None
    """The users whose configuration counts outside any repository, where files have owners."""
    ignore_suppressions: bool = False


class SettingsFinder:
    """Finds the settings of each file: the nearest configuration above it, read once.

    One run has one :attr:`rulebook`: :meth:`learn` extends it with the rule packs of all the
    configurations that govern it.
    """

    def __init__(
        self,
        rulebook: Rulebook,
        *,
        config_file: Path | None = None,
        config_keys: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        isolated: bool = False,
        root: Path | None = None,
        ignore_suppressions: bool = False,
        refused: Callable[[Path, str], object] = lambda path, why: None,
    ) -> None:
        """``root`` is the directory in which the run takes place: by default the current one. With
        ``ignore_suppressions`` the comments that silence findings are comments like any other.
        ``refused`` is called with each configuration that is not used, and the reason."""
        self.root = root or Path.cwd()
        self._refused = refused
        self._confinement = Confinement(self.root)
        self._trusted = trusted_users()
        self.rulebook = rulebook
        self._packs: tuple[Pack, ...] = ()
        self._fixed = config_file
        self._keys = dict(config_keys or {})
        self._options = dict(options or {})
        self._isolated = isolated
        self.ignore_suppressions = ignore_suppressions
        self._by_directory: dict[Path, Settings] = {}
        self._by_name: dict[str, Settings] = {}
        """The same by the names of directories, as they are given: looked up for every file."""
        self._kept_elsewhere: dict[str, str] = {}
        self._pins: dict[Path, Pin | None] = {}
        self._everywhere: Settings | None = None
        """The settings of all files, where they do not depend on where these are."""

    @property
    def spec(self) -> FinderSpec:
        """What this finder was made of."""
        file = None if self._fixed is None else str(self._fixed.absolute())
        keys, options = tuple(self._keys.items()), tuple(self._options.items())
        return FinderSpec(
            str(self.root),
            file,
            keys,
            options,
            self._isolated,
            self._packs,
            self._trusted,
            self.ignore_suppressions,
        )

    @classmethod
    def of(cls, spec: FinderSpec, rulebook: Rulebook) -> SettingsFinder:
        """The finder that a specification describes; the rulebook is the built-in one."""
        finder = cls(
            rulebook.with_packs(spec.packs),
            config_file=None if spec.config_file is None else Path(spec.config_file),
            config_keys=dict(spec.keys),
            options=dict(spec.options),
            isolated=spec.isolated,
            root=Path(spec.root),
            ignore_suppressions=spec.ignore_suppressions,
        )
        finder._packs, finder._trusted = spec.packs, spec.trusted
        return finder

    def learn(self, paths: Iterable[Path]) -> None:
        """Take up the rule packs of the configurations above some files, before these are looked
        at. Raises :class:`ConfigError`."""
        found: dict[Pack, None] = {}
        for path in {os.path.dirname(path): path for path in paths}.values():
            found.update(dict.fromkeys(self.for_file(path).packs))
        if found:
            self._packs = tuple(found)
            self.rulebook = self.rulebook.with_packs(self._packs)
            self._everywhere = None

    @property
    def in_force(self) -> list[Settings]:
        """All settings that were found, each once."""
        return list({id(one): one for one in self._by_directory.values()}.values())

    @property
    def everything(self) -> list[tuple[str, Mapping[str, Any]]]:
        """All configuration that was found, as it can be compared with another run's."""
        return sorted(((str(one.root), one.flat) for one in self.in_force), key=repr)

    def for_file(self, path: Path) -> Settings:
        """The settings for a file. Raises :class:`ConfigError` for a broken configuration."""
        directory = os.path.dirname(path)
        if directory not in self._by_name:
            self._by_name[directory] = self.for_directory(path.parent)
        return self._by_name[directory]

    def project_of(self, path: Path) -> Path:
        """The directory of the project that a file belongs to: where its configuration stands,
        or else its repository, or else where the run takes place."""
        settings = self.for_file(path)
        if settings.home is not None and self._fixed is None:
            return settings.root
        repository = self._confinement.repository_of(str((self.root / path).parent))
        return self.root if repository is None else Path(repository)

    def pin_for(self, path: Path) -> Pin | None:
        """The release of PyTorch that the project of a file pins; that of its directory, where the
        file is in no project."""
        project, file = self.project_of(path), self.root / path
        directory = project if file.is_relative_to(project) else file.parent
        if directory not in self._pins:
            self._pins[directory] = pinned_release(directory)
        return self._pins[directory]

    def top_of(self, directory: str) -> str:
        """The highest directory that has a say in the files of a directory: its repository's root,
        or else its project."""
        repository = self._confinement.repository_of(directory)
        return repository or os.path.abspath(self.project_of(Path(directory) / "x"))

    def kept_elsewhere(self, path: Path) -> str:
        """Why a file is another project's, as :func:`gpu_lint.provenance.kept_elsewhere` says."""
        directory = os.path.abspath(self.root / path.parent)
        if directory not in self._kept_elsewhere:
            settings = self.for_file(path)
            owned = [os.path.abspath(self.root)]
            if settings.home is not None and self._fixed is None:
                owned.append(os.path.abspath(settings.root))
            top = self._confinement.repository_of(directory) or owned[-1]
            self._kept_elsewhere[directory] = kept_elsewhere(directory, top, owned)
        return self._kept_elsewhere[directory]

    def for_directory(self, directory: Path) -> Settings:
        """The settings for the files right in a directory."""
        if not directory.is_absolute():
            directory = self.root / directory
        if ".." in directory.parts:
            directory = Path(os.path.abspath(directory))
        if directory not in self._by_directory:
            self._by_directory[directory] = self._find(directory)
        return self._by_directory[directory]

    def _find(self, directory: Path) -> Settings:
        if self._isolated or self._fixed is not None:
            if self._everywhere is None:
                self._everywhere = self._finish(self._given())
            return self._everywhere
        repository = self._confinement.repository_of(str(directory))
        for name in (FILE_NAME, "pyproject.toml"):
            candidate = directory / name
            if (
                os.path.exists(candidate)
                and not os.path.isdir(candidate)
                and self._may_use(candidate, repository)
            ):
                settings = load_settings(candidate, self.rulebook)
                if name == FILE_NAME or settings.origins:
                    return self._finish(settings)
        if directory.parent != directory and str(directory) != repository:
            return self.for_directory(directory.parent)
        return self._finish(Settings(self.rulebook, self.root))

    def _may_use(self, candidate: Path, repository: str | None) -> bool:
        """Whether a configuration that was found may be used: where others may put files into its
        directory, only one that is not theirs. Raises :class:`ConfigError` for one that a link
        leads out of its bounds."""
        bounds = repository or candidate.parent
        try:
            self._confinement.directory(candidate.parent)
        except SourceError as error:
            raise ConfigError(f"{candidate} {error}") from error
        if leads_outside(candidate, bounds):
            raise ConfigError(_linked_out(candidate, bounds))
        status, directory = os.stat(candidate), os.stat(candidate.parent)
        if not is_foreign(status, self._trusted):
            return True
        if repository is None:
            where = "is in no repository"
        elif directory.st_mode & stat.S_IWOTH and status.st_uid != directory.st_uid:
            where = "is in a directory that all users may write"
        else:
            return True
        if candidate.name == FILE_NAME or _mentions_us(candidate):
            self._refused(
                candidate,
                f"is not used: it belongs to another user (uid {status.st_uid}) and {where}; if "
                f"you trust it, name it: --config {candidate}",
            )
        return False

    def _given(self) -> Settings:
        """What the configuration file says that was named, if one was."""
        if self._fixed is None:
            return Settings(self.rulebook, self.root)
        if leaves_repository(self._fixed):
            raise ConfigError(_linked_out(self._fixed, repository_of(self._fixed.parent)))
        return load_settings(self._fixed, self.rulebook, root=self.root)

    def _finish(self, settings: Settings) -> Settings:
        settings = settings.with_options(self._keys, "--config")
        return settings.with_options(self._options, "command line")


def load_settings(path: Path, rulebook: Rulebook, root: Path | None = None) -> Settings:
    """Read a ``gpu-lint.toml`` or a ``pyproject.toml``.

    Raises :class:`ConfigError` naming file, line (where it can be told), key and what is
    accepted.
    """
    return settings_of(path, read_text(path), rulebook, root)


def settings_of(path: Path, text: str, rulebook: Rulebook, root: Path | None = None) -> Settings:
    """The settings that the text of a configuration file gives, as :func:`load_settings` does."""
    table = parse_toml(text, path)
    prefix: tuple[str, ...] = ()
    if path.name == "pyproject.toml" or "gpu-lint" in table.get("tool", {}):
        prefix = ("tool", "gpu-lint")
        table = table.get("tool", {}).get("gpu-lint", {})
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: tool.gpu-lint: must be a table")
    try:
        flat = check_table(table, lambda code: bool(rulebook.matching(code)))
        check_whole(flat)
        for override in flat.get("overrides", ()):
            check_whole({**flat, **override})
    except Problem as problem:
        raise located(problem, path, text, prefix) from problem
    root = root or path.absolute().parent
    origins = {}
    for name in flat:
        line = line_of(text, (*prefix, *name.split(".")))
        origins[name] = f"{path}:{line}" if line else str(path)
    bounds = bounds_of(path)
    for name, globs in _globs_of(flat):
        if why := unusable(globs):
            raise ConfigError(f"{origins.get(name, path)}: {name}: {why}")
    home = path.absolute().parent
    packs: tuple[Pack, ...] = ()
    if flat.get("extend-rules"):
        packs = _read_packs(flat["extend-rules"], home, bounds, origins["extend-rules"])
    return Settings(rulebook, root, flat, origins, home, bounds, packs)


def _globs_of(flat: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Return the globs in a configuration, each list with its key."""
    for name, value in flat.items():
        if name in ("include", "exclude", "entry-points", "extend-rules", "per-file-ignores"):
            yield name, list(value)
        elif name.endswith(".required-in") and not isinstance(value, str):
            yield name, list(value)
        elif name == "overrides":
            for override in value:
                yield name, list(override["paths"])


def _linked_out(path: Path, bounds: Path | str | None) -> str:
    return (
        f"{path}: is behind a link that leads out of {bounds}, to {os.path.realpath(path)}; put a "
        "copy in its place, or name the file itself with --config"
    )


def _mentions_us(pyproject: Path) -> bool:
    """Whether another user's ``pyproject.toml`` may have a table for gpu-lint."""
    return b"gpu-lint" in read_start(pyproject, _MOST_LOOKED_AT)


def _read_packs(globs: list[str], home: Path, bounds: Path, origin: str) -> tuple[Pack, ...]:
    """The rule packs that globs name, from a directory on. Raises :class:`ConfigError`."""
    found: dict[str, Pack] = {}
    for glob in globs:
        if glob.count("**") > 1:
            raise ConfigError(f"{origin}: extend-rules: {glob!r}: at most one `**` is accepted")
        try:
            paths = sorted(islice(files_named(glob, home, bounds), _MOST_PACKS + 1))
        except GlobError as error:
            raise ConfigError(f"{origin}: extend-rules: {glob!r} {error}") from error
        if not paths:
            raise ConfigError(f"{origin}: extend-rules: no file matches {glob!r} in {home}")
        for path in paths:
            shown = os.path.relpath(path, Path.cwd()) if path.is_relative_to(Path.cwd()) else path
            found.setdefault(str(path), Pack(str(shown), read_toml(path)[1]))
    if len(found) > _MOST_PACKS:
        raise ConfigError(f"{origin}: extend-rules: more than {_MOST_PACKS} files match")
    return tuple(found.values())


def parse_config_option(text: str, rulebook: Rulebook) -> dict[str, Any]:
    """The dotted keys of one ``--config KEY=VALUE``. Raises :class:`ConfigError`."""
    name, _, raw = text.partition("=")
    keys = name.strip().removeprefix("tool.gpu-lint.").split(".")
    value = parse_value(raw.strip())
    table: dict[str, Any] = {keys[-1]: value}
    for key in reversed(keys[:-1]):
        table = {key: table}
    if len(keys) > 1 and ".".join(keys[:-1]) not in TABLES:
        raise ConfigError(f"--config {text}: there is no key {name.strip()!r}")
    try:
        return check_table(table, lambda code: bool(rulebook.matching(code)))
    except Problem as problem:
        raise ConfigError(f"--config {text}: {problem}") from problem


def _validate_whole(flat: Mapping[str, Any], origin: str) -> None:
    try:
        check_whole(flat)
    except Problem as problem:
        raise ConfigError(f"{origin}: {dotted(problem.keys)}: {problem}") from problem
