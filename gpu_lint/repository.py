"""Which repository a path belongs to, and whether a link on the way leads out of it.

What a tree names (a template, a rule pack, a linked file) is read and written inside the
repository of the file that names it, and nowhere else; a tree without a repository ends at the
directory of that file.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path


def repository_of(path: Path) -> Path | None:
    """Return the root of the repository that holds ``path``, with links left as they are written.

    The root is the nearest directory, ``path`` itself or above it, that holds ``.git``: a
    directory, or the file that worktrees and submodules have. None outside any repository.
    """
    return _repository_of(os.path.abspath(path))


@cache
def _repository_of(path: str) -> Path | None:
    if os.path.lexists(os.path.join(path, ".git")):
        return Path(path)
    above = os.path.dirname(path)
    return None if above == path else _repository_of(above)


def bounds_of(file: Path) -> Path:
    """Return the directory that what ``file`` names must not leave: its repository, or else its
    own directory."""
    return repository_of(file.parent) or Path(os.path.abspath(file.parent))


def leads_outside(path: Path, bounds: Path) -> bool:
    """Return whether ``path`` is outside the directory ``bounds`` once links and ``..`` in both
    are followed; so a checkout that is itself reached through a link is inside."""
    real = os.path.realpath(bounds)
    target = os.path.realpath(path)
    return target != real and not target.startswith(os.path.join(real, ""))
