"""Which files: arguments, directory walks, ``.gitignore``, include and exclude."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pathspec import GitIgnoreSpec

from gpu_lint.settings import Settings, SettingsFinder

ALWAYS_EXCLUDED = (
    ".bzr", ".direnv", ".eggs", ".git", ".hg", ".ipynb_checkpoints", ".mypy_cache", ".nox",
    ".pytest_cache", ".ruff_cache", ".svn", ".tox", ".venv", "__pycache__", "__pypackages__",
    "_build", "build", "dist", "node_modules", "site-packages", "venv",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trouble:
    """A path that could not be taken, in one line for the user."""

    path: Path
    message: str


@dataclass
class Discovered:
    """The files found, sorted, and what stood in the way."""

    files: list[Path] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)


def discover(
    paths: Iterable[Path], finder: SettingsFinder, *, force_exclude: bool = False
) -> Discovered:
    """Find the files to check.

    A path that is named itself is taken even if it is excluded or ignored, unless
    ``force_exclude``. Directories are walked; links to directories are not followed. Raises
    :class:`gpu_lint.errors.ConfigError` for a broken configuration on the way.
    """
    result = Discovered()
    by_target: dict[str, Path] = {}
    for path in paths:
        for found in _expand(path, finder, force_exclude, result.troubles):
            target = os.path.realpath(found)  # one file, however many links lead to it
            if target not in by_target or by_target[target].is_symlink():
                by_target[target] = found
    result.files = sorted(by_target.values(), key=lambda path: path.as_posix())
    return result


def _expand(
    path: Path, finder: SettingsFinder, force_exclude: bool, troubles: list[Trouble]
) -> Iterator[Path]:
    try:
        is_directory = path.is_dir()
        path.stat()
    except OSError as error:
        troubles.append(Trouble(path, _why_missing(path, error)))
        return
    if is_directory:
        yield from _Walk(finder, troubles).below(path)
    elif not force_exclude or not _excluded(path, finder.for_file(path)):
        yield path


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
    return GitIgnoreSpec.from_lines(glob.replace("\\", "/") for glob in settings.get(key))


@dataclass
class _Walk:
    """One walk: what ignore files say is kept per directory, so each is read once."""

    finder: SettingsFinder
    troubles: list[Trouble]
    _top: Path = field(default_factory=Path)
    """The repository's root, or outside of one the directory walked: ignore files above it
    have no say."""
    _ignores: dict[Path, GitIgnoreSpec | None] = field(default_factory=dict)

    def below(self, directory: Path) -> Iterator[Path]:
        """Files under a directory, in no particular order."""
        start = directory.absolute()
        roots = (path for path in (start, *start.parents) if (path / ".git").exists())
        self._top = next(roots, start)
        stack = [directory]
        while stack:
            current = stack.pop()
            settings = self.finder.for_directory(current)
            include, exclude = _spec(settings, "include"), _spec(settings, "exclude")
            try:
                entries = sorted(os.scandir(current), key=lambda entry: entry.name)
            except OSError as error:
                message = f"cannot be read: {error.strerror or error}"
                self.troubles.append(Trouble(current, message))
                continue
            for entry in entries:
                path = Path(entry.path)
                if entry.name in ALWAYS_EXCLUDED:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    relative = settings.relative(path) + "/"
                    if not exclude.match_file(relative) and not self._ignored(path, True):
                        stack.append(path)
                    continue
                if entry.is_symlink() and not self._usable_link(path, include):
                    continue
                relative = settings.relative_link(path)
                if not include.match_file(relative) or exclude.match_file(relative):
                    continue
                if not self._ignored(path, False):
                    yield path

    def _usable_link(self, path: Path, include: GitIgnoreSpec) -> bool:
        """Whether a link leads to a file; loops and broken links are reported."""
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError):
            if include.match_file(path.name):
                self.troubles.append(Trouble(path, _why_missing(path, FileNotFoundError())))
            return False
        if target.is_dir():
            here = path.parent.resolve()
            if target == here or target in here.parents:
                message = f"links back to {target}: a directory loop; it is left out"
                self.troubles.append(Trouble(path, message))
            return False
        return True

    def _ignored(self, path: Path, is_directory: bool) -> bool:
        """Whether git ignores a path; the nearest ignore file that speaks of it decides."""
        path = path.absolute()
        for parent in path.parents:
            spec = self._ignore_file(parent)
            if spec is not None:
                relative = path.relative_to(parent).as_posix() + ("/" if is_directory else "")
                verdict = spec.check_file(relative).include
                if verdict is not None:
                    return bool(verdict)
            if parent == self._top:
                break
        return False

    def _ignore_file(self, directory: Path) -> GitIgnoreSpec | None:
        if directory not in self._ignores:
            lines: list[str] = []
            for name in (".git/info/exclude", ".gitignore"):
                try:
                    text = (directory / name).read_text(encoding="utf-8", errors="replace")
                except OSError:
                    continue
                lines += text.splitlines()
            self._ignores[directory] = GitIgnoreSpec.from_lines(lines) if lines else None
        return self._ignores[directory]
