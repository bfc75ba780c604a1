"""Which repository a path belongs to, and whether a link on the way leads out of it.

What a tree names (a template, a rule pack, a linked file) is read and written inside the
repository of the file that names it, and nowhere else; without a repository, inside the directory
of that file. A path of the command line that belongs to no repository stays inside the current
directory, if it is in it, or else inside the directory that was named.
"""

from __future__ import annotations

import os
from pathlib import Path

from gpu_lint.errors import SourceError
from gpu_lint.ownership import is_foreign, trusted_users
from gpu_lint.records import record


class Repositories:
    """Finds the repositories of directories; each directory is looked at once."""

    def __init__(self) -> None:
        self._roots: dict[str, str | None] = {}

    def root_of(self, directory: str) -> str | None:
        """Return the root of the repository that holds a directory, given by its absolute path;
        None outside any repository.

        The root is the nearest directory, the given one or one above it, that holds ``.git``: a
        directory, or the file that worktrees and submodules have. A link inside a repository that
        leads to another one does not: that is outside the one that holds the link.
        """
        below: list[str] = []
        around: str | None = None
        while True:
            if directory in self._roots:
                around = self._roots[directory]
                break
            below.append(directory)
            above = os.path.dirname(directory)
            if above == directory:
                break
            directory = above
        for one in reversed(below):
            if _holds_repository(one) and (around is None or not leads_outside(one, around)):
                around = one
            self._roots[one] = around
        return around


def _holds_repository(directory: str) -> bool:
    """Whether a directory holds ``.git``, made by its owner, by this user or by root: in a
    directory that many may write, such as ``/tmp``, another user's makes no repository."""
    try:
        made = os.lstat(os.path.join(directory, ".git"))
        trusted = trusted_users()
        return not is_foreign(made, trusted) or made.st_uid == os.stat(directory).st_uid
    except OSError:
        return False


def repository_of(path: Path) -> Path | None:
    """Return the root of the repository that holds ``path``, with links left as they are written,
    as :meth:`Repositories.root_of` finds it."""
    root = Repositories().root_of(os.path.abspath(path))
    return None if root is None else Path(root)


def bounds_of(file: Path) -> Path:
    """Return the directory that what ``file`` names must not leave: its repository, or else its
    own directory."""
    return repository_of(file.parent) or Path(os.path.abspath(file.parent))


def leads_outside(path: Path | str, bounds: Path | str) -> bool:
    """Return whether ``path`` is outside the directory ``bounds`` once links and ``..`` in both
    are followed; so a checkout that is itself reached through a link is inside. What is no path,
    because of a null character, is inside nothing."""
    return "\0" in os.fspath(path) or not _is_below(
        os.path.realpath(path), os.path.realpath(bounds)
    )


def leaves_repository(path: Path) -> bool:
    """Return whether a link that stands in a repository leads ``path`` out of it; a link outside
    any repository is the user's own."""
    root = repository_of(path.parent)
    return root is not None and leads_outside(path, root)


def is_whole(directory: str) -> bool:
    """Return whether an absolute path is the root of a file system."""
    return os.path.dirname(directory) == directory


def _is_below(path: str, directory: str) -> bool:
    path, directory = os.path.normcase(path), os.path.normcase(directory)
    return path == directory or path.startswith(os.path.join(directory, ""))


@record
class _Place:
    """A directory as paths name it."""

    real: str
    bounds: str
    """The tree that links in it must not leave."""
    real_bounds: str
    leaves: str
    """Why paths through it are refused; empty if they are not."""


class Confinement:
    """Finds where paths really lead, and refuses those that a link leads out of their tree.

    The disk is asked once for each directory, and for links: of 41,000 plain files, only that
    they are plain.
    """

    def __init__(self, here: Path) -> None:
        """``here`` is the directory in which the run takes place."""
        self._here = os.path.abspath(here)
        self._repositories = Repositories()
        self._places: dict[tuple[str, str | None], _Place] = {}
        self._reals: dict[str, str] = {}

    def tree_of(self, directory: str) -> str | None:
        """Return the tree of a directory: its repository, or else the directory of the run, if it
        is in that and that is not the whole file system; None for any other."""
        absolute = os.path.abspath(directory)
        tree = self._repositories.root_of(absolute)
        if tree is None and not is_whole(self._here) and _is_below(absolute, self._here):
            tree = self._here
        return tree

    def repository_of(self, directory: str) -> str | None:
        """Return the root of the repository that holds a directory, or None."""
        return self._repositories.root_of(os.path.abspath(directory))

    def directory(self, path: Path | str, start: str | None = None) -> str:
        """Return the real path of a directory. Raises :class:`SourceError` where a link leads it
        out of its tree; ``start`` is the tree if it has no other."""
        place = self._place(os.fspath(path), start)
        if place.leaves:
            raise SourceError(place.leaves)
        return place.real

    def file(self, path: Path | str, start: str | None = None, *, link: bool | None = None) -> str:
        """Return the real path of a file, as :meth:`directory` does; ``link`` says whether it is
        a link itself, where that is known."""
        head, name = os.path.split(os.fspath(path))
        place = self._place(head, start)
        if place.leaves:
            raise SourceError(place.leaves)
        if not (os.path.islink(path) if link is None else link):
            return os.path.join(place.real, name)
        real = os.path.realpath(path)
        if not _is_below(real, place.real_bounds):
            raise SourceError(_leaving("is", place.bounds, real))
        return real

    def _place(self, directory: str, start: str | None) -> _Place:
        key = directory, start
        if key not in self._places:
            self._places[key] = self._placed(directory or os.curdir, start)
        return self._places[key]

    def _placed(self, directory: str, start: str | None) -> _Place:
        absolute = os.path.abspath(directory)
        bounds = self.tree_of(absolute) or start or absolute
        real, real_bounds = self._real(absolute), self._real(bounds)
        leaves = ""
        if os.pardir in directory and (meant := os.path.realpath(directory)) != real:
            leaves = f"goes back with `..` from where a link leads; name {meant} instead"
        elif not _is_below(real, real_bounds):
            leaves = _leaving("goes through", bounds, real)
        return _Place(real, bounds, real_bounds, leaves)

    def _real(self, absolute: str) -> str:
        """The real path of a directory: of one whose parent's is known, at the cost of one look."""
        if absolute not in self._reals:
            above, name = os.path.split(absolute)
            known = self._reals.get(above)
            if known is None or not name or os.name == "nt" or os.path.islink(absolute):
                self._reals[absolute] = os.path.realpath(absolute)
            else:
                self._reals[absolute] = os.path.join(known, name)
        return self._reals[absolute]


def tree_of(path: Path, here: Path) -> Path:
    """Return the directory that links in the path of a file must not leave, as
    :class:`Confinement` finds it."""
    directory = os.path.abspath(path.parent)
    return Path(Confinement(here).tree_of(directory) or directory)


def _leaving(how: str, bounds: str, target: str) -> str:
    return (
        f"{how} a link that leaves the project in {bounds}, to {target}; it was left out: name "
        f"{target} itself if you mean it"
    )
