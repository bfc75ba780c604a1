"""Which files: arguments, directory walks, ``.gitignore``, include and exclude."""

from __future__ import annotations

import os
import re
import stat
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from gpu_lint.errors import SourceError, Trouble
from gpu_lint.globs import ignore_spec, usable
from gpu_lint.repository import Confinement
from gpu_lint.settings import Settings, SettingsFinder
from gpu_lint.shebang import is_python_script
from gpu_lint.source import LARGEST_TEXT, read_bytes

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

    from gpu_lint.untrusted import Overridden

MANY = 1_000
"""Files, of which somebody may want to know before all are found."""
ALWAYS_EXCLUDED = (
    ".bzr", ".direnv", ".eggs", ".git", ".gpu-lint-cache", ".hg", ".ipynb_checkpoints",
    ".mypy_cache", ".nox",
    ".pytest_cache", ".ruff_cache", ".svn", ".tox", ".venv", "__pycache__", "__pypackages__",
    "_build", "build", "dist", "node_modules", "site-packages", "venv",
)  # fmt: skip
BUILT = ("build", "dist")
"""Of these, those that are read where Git tracks files in them."""
NEVER_TRACKED = (".git",)
"""Of these, those in which a branch cannot have files."""


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
    skipped: list[Path] = field(default_factory=list)
    """Directories named as those of build products in which Git tracks nothing."""
    ignored: list[Path] = field(default_factory=list)
    """Python files and directories that were not looked into since an ignore file names them."""
    importers: tuple[Path, ...] = ()
    """Further files, which import those that were named: judged with them, but never changed."""


def discover(
    paths: Iterable[Path],
    finder: SettingsFinder,
    *,
    force_exclude: bool = False,
    many: Callable[[Path], object] = lambda path: None,
    respect_ignores: bool = True,
    overridden: Overridden | None = None,
    most: int | None = None,
) -> Discovered:
    """Find the files to check; ``many`` is told, once, of one of them when there are
    :data:`MANY`. The search ends when there are more than ``most``.

    A path that is named itself is taken even if it is excluded or ignored, unless
    ``force_exclude``; one that a link leads out of its tree is not. Directories are walked; links
    to directories are not followed. Ignore files count only with ``respect_ignores``. With
    ``overridden`` the tree is not trusted: nothing that it holds, and no name that a branch could
    use, keeps a file from being found; what would have is counted there. Raises
    :class:`gpu_lint.errors.ConfigError` for a broken configuration on the way.
    """
    result = Discovered()
    by_target: dict[str, Path] = {}
    confinement = Confinement(finder.root)
    walk = _Walk(finder, result, confinement, respect_ignores, overridden)
    for path in paths:
        for target, found, named in _expand(path, walk, force_exclude):
            if named:
                result.named.add(found)
            # One file, however many links lead to it.
            if target not in by_target or by_target[target].is_symlink():
                by_target[target] = found
                if len(by_target) == MANY:
                    many(found)
                if most is not None and len(by_target) > most:
                    break
    result.files = sorted(by_target.values(), key=str)
    result.skipped.sort()
    return result


def tracked_though_ignored(found: Discovered, finder: SettingsFinder) -> list[Path]:
    """Return the files that Git tracks and that were skipped since an ignore file names them."""
    if not found.ignored:
        return []
    from gpu_lint.ignored import tracked_among

    walk = _Walk(finder, found, Confinement(finder.root), True, None)
    return tracked_among(
        found.ignored, lambda path: walk.includes(path) and not walk.excludes(path)
    )


def holds_python(path: Path) -> bool:
    """Return whether a path is, or holds, a Python file, whatever the configuration excludes."""
    if not path.is_dir():
        return True
    for top, directories, files in os.walk(path):
        if any(
            name.endswith((".py", ".pyw"))
            or ("." not in name and is_python_script(os.path.join(top, name), by_mode=False))
            for name in files
        ):
            return True
        directories[:] = [name for name in directories if name not in ALWAYS_EXCLUDED]
    return False


def _expand(path: Path, walk: _Walk, force_exclude: bool) -> Iterator[tuple[str, Path, bool]]:
    """(what it really is, how it was found, whether it was named itself) of every file."""
    try:
        is_directory = path.is_dir()
        path.stat()
        confined = walk.confinement
        target = confined.directory(path) if is_directory else confined.file(path)
    except OSError as error:
        walk.troubles.append(Trouble(path, _why_missing(path, error)))
        return
    except SourceError as error:
        walk.troubles.append(Trouble(path, str(error)))
        return
    if walk.overridden is not None:
        walk.overridden.look_above(path)
    if is_directory:
        for real, found in walk.below(path, target):
            yield real, found, False
    elif not force_exclude or not walk.excludes(path):
        if walk.takes(path):
            yield target, path, True
        else:
            walk.troubles.append(Trouble(path, _NOT_PYTHON))


_NOT_PYTHON = "is not Python by its name, its first line or `include`; it is left as it is"


def _why_missing(path: Path, error: OSError) -> str:
    if path.is_symlink():
        target = os.readlink(path)
        looped = not isinstance(error, FileNotFoundError)
        what = "links to itself" if looped else f"is a broken link to {target}"
        return f"{what}; remove it or correct its target"
    if isinstance(error, FileNotFoundError):
        return "does not exist; check the path"
    return f"cannot be read: {error.strerror or error}"


def _spec(settings: Settings, key: str) -> GitIgnoreSpec:
    return ignore_spec(glob.replace("\\", "/") for glob in settings.get(key))


@dataclass
class _Walk:
    """One walk. Ignore files above the repository's root have no say; outside of one, those above
    the directory that is walked have none."""

    finder: SettingsFinder
    found: Discovered
    confinement: Confinement
    respect_ignores: bool
    overridden: Overridden | None
    _tracked_in: dict[Path, tuple[str, ...]] = field(default_factory=dict)
    """What Git tracks in each repository that it was asked of."""

    @property
    def troubles(self) -> list[Trouble]:
        """What stood in the way."""
        return self.found.troubles

    @property
    def _left_out(self) -> tuple[str, ...]:
        """The names of directories that are not looked into."""
        return ALWAYS_EXCLUDED if self.overridden is None else NEVER_TRACKED

    def takes(self, path: Path) -> bool:
        """Whether a file that is named itself is Python: what only happens to parse, as JSON and
        plain text may, is not."""
        if path.name.endswith((".py", ".pyw")) or is_python_script(path, by_mode=False):
            return True
        return self.includes(path)

    def includes(self, path: Path) -> bool:
        """Whether a file is Python by its name, as far as the configuration says."""
        return _Rules(self.finder.for_file(path), path.parent).includes(path.name)

    def excludes(self, path: Path) -> bool:
        """Whether a file that is named is left out: by the configuration, which may leave out a
        directory above it, or by the name of such a directory."""
        settings = self.finder.for_file(path)
        relative = settings.relative(path)
        left_out = {part for part in Path(relative).parts[:-1] if part in self._left_out}
        if left_out and not (left_out.issubset(BUILT) and self._tracked(path)):
            return True
        return bool(settings.get("exclude")) and _spec(settings, "exclude").match_file(relative)

    def _tracked(self, path: Path) -> Held:
        """What of a file or directory Git tracks, by directory; nothing outside a repository."""
        absolute = Path(os.path.abspath(path))
        tree = self.confinement.repository_of(str(absolute.parent))
        if tree is None:
            return {}
        root = Path(tree)
        if root not in self._tracked_in:
            from gpu_lint.gitindex import tracked_files

            self._tracked_in[root] = tracked_files(root)
        files = self._tracked_in[root]
        name = absolute.relative_to(root).as_posix()
        held: Held = {}
        for file in islice(files, bisect_left(files, name), None):
            if file != name and not file.startswith(f"{name}/"):
                if file > f"{name}/":
                    break
                continue
            directory = absolute.parent
            for part in (absolute.name, *filter(None, file[len(name) :].split("/"))):
                held.setdefault(directory, set()).add(part)
                directory = directory / part
        return held

    def below(self, directory: Path, real: str) -> Iterator[tuple[str, Path]]:
        """(real path, path) of the files under a directory, in no particular order."""
        start = Path(os.path.abspath(directory))
        top = Path(self.confinement.repository_of(str(start)) or start)
        above = self._ignores_above(start, top) if self.respect_ignores else []
        stack: list[tuple[Path, str, Ignores, Held | None]]
        stack = [(directory, real, above, None)]
        left_out = self._left_out
        while stack:
            current, real, ignores, held = stack.pop()
            if self.overridden is not None:
                self.overridden.look(current)
            settings = self.finder.for_directory(current)
            rules = _Rules(settings, current)
            try:
                entries = list(os.scandir(current))
            except OSError as error:
                message = f"cannot be read: {error.strerror or error}"
                self.troubles.append(Trouble(current, message))
                continue
            if held is not None:
                only = held.get(Path(os.path.abspath(current)), ())
                entries = [entry for entry in entries if entry.name in only]
            elif self.respect_ignores and any(one.name in _HOLDING_IGNORES for one in entries):
                ignores = self._with_own(current, ignores)
            inside = os.path.join(real, "")
            for entry in entries:
                name = entry.name
                if name in left_out:
                    if name not in BUILT or not entry.is_dir(follow_symlinks=False):
                        continue
                    if rules.excludes(f"{name}/"):
                        continue
                    if tracked := held or self._tracked(current / name):
                        stack.append((current / name, inside + name, [], tracked))
                    elif not _ignored(ignores, f"{name}/"):
                        self.found.skipped.append(current / name)
                    continue
                if entry.is_dir(follow_symlinks=False) and not _is_junction(entry):
                    if rules.excludes(f"{name}/"):
                        continue
                    if _ignored(ignores, f"{name}/"):
                        self.found.ignored.append(current / name)
                        continue
                    below = _seen_from(name, ignores)
                    stack.append((current / name, inside + name, below, held))
                    continue
                link = entry.is_symlink()
                script = rules.takes_scripts and "." not in name and not link
                included = (script or rules.includes(name)) and not rules.excludes(name)
                path = current / name
                if included and _ignored(ignores, name):
                    included = False
                    if not script:
                        self.found.ignored.append(path)
                if link:
                    if target := self._usable_link(path, included, str(start)):
                        yield target, path
                elif included and (not script or (entry.is_file() and _is_script(path))):
                    yield inside + name, path

    def _usable_link(self, path: Path, included: bool, start: str) -> str | None:
        """The file of the project that a link leads to; others are reported, as are broken ones:
        a stranger's link could make any file's lines appear in a report."""
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError):
            if included:
                self.troubles.append(Trouble(path, _why_missing(path, FileNotFoundError())))
            return None
        if target.is_dir():
            here = path.parent.resolve()
            if target == here or target in here.parents:
                message = f"links back to {target}: a directory loop; it is left out"
                self.troubles.append(Trouble(path, message))
            return None
        if not included:
            return None
        try:
            return self.confinement.file(path, start, link=True)
        except SourceError as error:
            self.troubles.append(Trouble(path, str(error)))
            return None

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
            if os.path.islink(path) and os.path.isfile(path):  # git follows none either
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


def _is_script(path: Path) -> bool:
    """Whether a file's first line starts Python: it may be started by ``python FILE``, too, so it
    need not be executable."""
    return is_python_script(path, by_mode=False)


def _is_junction(entry: os.DirEntry[str]) -> bool:
    """Whether a directory is in truth another one: what Windows has beside symbolic links."""
    if os.name != "nt":
        return False
    tag = getattr(entry.stat(follow_symlinks=False), "st_reparse_tag", 0)
    return bool(tag == getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", None))


Held: TypeAlias = "dict[Path, set[str]]"
"""The names of the files and directories that Git tracks, by the directories that they are in."""
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
        self.takes_scripts = "include" not in settings.flat
        """Scripts are told by their first line, unless ``include`` says what to check."""
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
