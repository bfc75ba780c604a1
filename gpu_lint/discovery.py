"""Which files: arguments, directory walks, ``.gitignore``, include and exclude."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from gpu_lint.errors import SourceError, Trouble
from gpu_lint.globs import ignore_spec, usable
from gpu_lint.settings import Settings, SettingsFinder
from gpu_lint.source import LARGEST_TEXT, read_bytes

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

MANY = 1_000
"""Files, of which somebody may want to know before all are found."""
ALWAYS_EXCLUDED = (
    ".bzr", ".direnv", ".eggs", ".git", ".gpu-lint-cache", ".hg", ".ipynb_checkpoints",
    ".mypy_cache", ".nox",
    ".pytest_cache", ".ruff_cache", ".svn", ".tox", ".venv", "__pycache__", "__pypackages__",
    "_build", "build", "dist", "node_modules", "site-packages", "venv",
)  # fmt: skip


_SUFFIX = re.compile(r"\*\.\w+")
_IGNORE_FILES = (".git/info/exclude", ".gitignore")
_HOLDING_IGNORES = frozenset({".git", ".gitignore"})


@dataclass
class Discovered:
    """The files found, sorted, and what stood in the way."""

    files: list[Path] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    named: set[Path] = field(default_factory=set)
    """Those that were named themselves, not found in a directory."""


def discover(
    paths: Iterable[Path],
    finder: SettingsFinder,
    *,
    force_exclude: bool = False,
    many: Callable[[Path], object] = lambda path: None,
) -> Discovered:
    """Find the files to check; ``many`` is told, once, of one of them when there are
    :data:`MANY`.

    A path that is named itself is taken even if it is excluded or ignored, unless
    ``force_exclude``. Directories are walked; links to directories are not followed. Raises
    :class:`gpu_lint.errors.ConfigError` for a broken configuration on the way.
    """
    result = Discovered()
    by_target: dict[str, Path] = {}
    for path in paths:
        for target, found, named in _expand(path, finder, force_exclude, result.troubles):
            if named:
                result.named.add(found)
            # One file, however many links lead to it.
            if target not in by_target or by_target[target].is_symlink():
                by_target[target] = found
                if len(by_target) == MANY:
                    many(found)
    result.files = sorted(by_target.values(), key=str)
    return result


def _expand(
    path: Path, finder: SettingsFinder, force_exclude: bool, troubles: list[Trouble]
) -> Iterator[tuple[str, Path, bool]]:
    """(what it really is, how it was found, whether it was named itself) of every file."""
    try:
        is_directory = path.is_dir()
        path.stat()
    except OSError as error:
        troubles.append(Trouble(path, _why_missing(path, error)))
        return
    if is_directory:
        for target, found in _Walk(finder, troubles).below(path):
            yield target, found, False
    elif not force_exclude or not _excluded(path, finder.for_file(path)):
        yield os.path.realpath(path), path, True


def _why_missing(path: Path, error: OSError) -> str:
    if path.is_symlink():
        target = os.readlink(path)
        looped = not isinstance(error, FileNotFoundError)
        what = "links to itself" if looped else f"is a broken link to {target}"
        return f"{what}; remove it or correct its target"
    if isinstance(error, FileNotFoundError):
        return "does not exist; check the path"
    return f"cannot be read: {error.strerror or error}"


def _excluded(path: Path, settings: Settings) -> bool:
    """Whether the configuration excludes a file, or a directory above it."""
    relative = settings.relative(path)
    if any(part in ALWAYS_EXCLUDED for part in Path(relative).parts[:-1]):
        return True
    return bool(settings.get("exclude")) and _spec(settings, "exclude").match_file(relative)


def _spec(settings: Settings, key: str) -> GitIgnoreSpec:
    return ignore_spec(glob.replace("\\", "/") for glob in settings.get(key))


@dataclass
class _Walk:
    """One walk. Ignore files above the repository's root have no say; outside of one, those above
    the directory that is walked have none."""

    finder: SettingsFinder
    troubles: list[Trouble]

    def below(self, directory: Path) -> Iterator[tuple[str, Path]]:
        """(real path, path) of the files under a directory, in no particular order."""
        start = directory.absolute()
        roots = (path for path in (start, *start.parents) if os.path.exists(path / ".git"))
        top = next(roots, start)
        above = self._ignores_above(start, top)
        stack = [(directory, os.path.realpath(directory), above)]
        while stack:
            current, real, ignores = stack.pop()
            settings = self.finder.for_directory(current)
            rules = _Rules(settings, current)
            try:
                entries = list(os.scandir(current))
            except OSError as error:
                message = f"cannot be read: {error.strerror or error}"
                self.troubles.append(Trouble(current, message))
                continue
            if any(entry.name in _HOLDING_IGNORES for entry in entries):
                ignores = self._with_own(current, ignores)
            inside = os.path.join(real, "")
            for entry in entries:
                name = entry.name
                if name in ALWAYS_EXCLUDED:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if not rules.excludes(f"{name}/") and not _ignored(ignores, f"{name}/"):
                        below = _seen_from(name, ignores)
                        stack.append((current / name, inside + name, below))
                    continue
                included = rules.includes(name) and not (
                    rules.excludes(name) or _ignored(ignores, name)
                )
                link = entry.is_symlink()
                if link and not self._usable_link(current / name, included):
                    continue
                if not included:
                    continue
                path = current / name
                yield os.path.realpath(path) if link else inside + name, path

    def _usable_link(self, path: Path, included: bool) -> bool:
        """Whether a link leads to a file of the project; others are reported, as are broken
        ones: a stranger's link could make any file's lines appear in a report."""
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError):
            if included:
                self.troubles.append(Trouble(path, _why_missing(path, FileNotFoundError())))
            return False
        if target.is_dir():
            here = path.parent.resolve()
            if target == here or target in here.parents:
                message = f"links back to {target}: a directory loop; it is left out"
                self.troubles.append(Trouble(path, message))
            return False
        if included and not target.is_relative_to(self.finder.project_of(path).resolve()):
            message = f"is a link that leaves the project, to {target}; name it to have it checked"
            self.troubles.append(Trouble(path, message))
            return False
        return True

    def _ignores_above(self, directory: Path, top: Path) -> Ignores:
        """What ignore files above a directory say of it, from ``top`` on."""
        found: Ignores = []
        if directory != top:
            for parent in reversed(directory.parents):
                if parent == top or top in parent.parents:
                    way = directory.relative_to(parent).parts[0]
                    found = _seen_from(way, self._with_own(parent, found))
        return found

    def _with_own(self, directory: Path, ignores: Ignores) -> Ignores:
        """What has a say in a directory, with its own ignore file."""
        lines: list[str] = []
        for name in _IGNORE_FILES:
            path = directory / name
            if not os.path.exists(path) or os.path.isdir(path):
                continue
            try:
                text = read_bytes(path, LARGEST_TEXT).decode("utf-8", "replace")
            except SourceError as error:
                self.troubles.append(Trouble(path, str(error)))
                continue
            found, why = usable(text.splitlines())
            lines += found
            if why:
                self.troubles.append(Trouble(path, f"is not followed in full: {why}"))
        return [("", ignore_spec(lines)), *ignores] if lines else ignores


Ignores: TypeAlias = "list[tuple[str, GitIgnoreSpec]]"
"""The ignore files that have a say in a directory, the nearest first, each with the way from it to
there."""


def _seen_from(name: str, ignores: Ignores) -> Ignores:
    """What has a say in a directory, given what has one in that around it."""
    return [(f"{below}{name}/", spec) for below, spec in ignores]


def _ignored(ignores: Ignores, name: str) -> bool:
    """Whether git ignores a name in a directory; the nearest file that speaks of it decides."""
    for below, spec in ignores:
        verdict = spec.check_file(below + name).include
        if verdict is not None:
            return bool(verdict)
    return False


class _Rules:
    """What the configuration includes and excludes among the names in one directory."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self._settings = settings
        self._directory = directory
        globs = list(settings.get("include"))
        self._suffixes = tuple(glob[1:] for glob in globs if _SUFFIX.fullmatch(glob))
        self._include = None if len(self._suffixes) == len(globs) else _spec(settings, "include")
        self._exclude = _spec(settings, "exclude") if settings.get("exclude") else None

    @cached_property
    def _relative(self) -> str:
        relative = self._settings.relative(self._directory)
        return "" if relative in (".", "") else f"{relative}/"

    def includes(self, name: str) -> bool:
        if self._include is None:
            return name.endswith(self._suffixes)
        return self._include.match_file(self._relative + name)

    def excludes(self, name: str) -> bool:
        return self._exclude is not None and self._exclude.match_file(self._relative + name)
