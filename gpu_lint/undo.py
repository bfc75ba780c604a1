"""Takes a run back: every file is given the bytes that the journal has of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path

from gpu_lint.errors import JournalError, SourceError, Trouble
from gpu_lint.journal import Entry, RunRecord, State, digest
from gpu_lint.repository import Confinement, leads_outside
from gpu_lint.source import read_bytes
from gpu_lint.writing import STILL_NEEDED, Replacement, Writing, Written


class Standing(Enum):
    """What a file of a run is now."""

    BEFORE = "as before the run"
    AFTER = "as the run left it"
    EDITED = "edited since"
    GONE = "gone"
    UNREADABLE = "unreadable"


def standing(entry: Entry) -> tuple[Standing, bytes | None]:
    """What a file is now, and what it holds; None if it is gone or cannot be read."""
    path = Path(entry.path)
    try:
        os.stat(path)
        data = read_bytes(path)
    except (FileNotFoundError, NotADirectoryError):
        if entry.before is None:
            return Standing.BEFORE, None
        return (Standing.AFTER if entry.after is None else Standing.GONE), None
    except (OSError, SourceError):
        return Standing.UNREADABLE, None
    if path.is_symlink():
        return Standing.EDITED, data
    found = digest(data)
    if found == entry.before:
        return Standing.BEFORE, data
    return (Standing.AFTER if found == entry.after else Standing.EDITED), data


def undo(record: RunRecord, writing: Writing, *, force: bool = False) -> Written:
    """Give every file of a run what it held before, and take away those that it made.

    A file that was edited or deleted since is left alone, unless ``force``; its content is
    journalled like that of any file that is changed. What the run made stays where a file that may
    import it does. Raises :class:`gpu_lint.errors.JournalError`.
    """
    refused: list[Trouble] = []
    with record.originals() as original:
        wanted = list(_wanted(record, original, force, refused))
    if refused:
        made = [one for one in wanted if one.after is None]
        wanted = [one for one in wanted if one.after is not None]
        refused += (Trouble(one.path, STILL_NEEDED) for one in made)
    done = Written()
    if not (writing.all_or_nothing and refused):
        done = writing.replace(Path(record.root), wanted, undoes=record.id)
    done.troubles[:0] = refused
    if not done.troubles:
        with writing.journal.locked():
            writing.journal.end(record, State.UNDONE)
    return done


def _tree_of(path: Path, record: RunRecord) -> Path | None:
    """The directory in which a file of a run still is; None where a link that was put on its path
    since leads out of its tree."""
    if os.path.realpath(path) == str(path):
        return path.parent
    tree = Confinement(Path(record.root)).tree_of(str(path.parent))
    return None if tree is None or leads_outside(path, tree) else Path(tree)


def _wanted(
    record: RunRecord, original: Callable[[int], bytes], force: bool, refused: list[Trouble]
) -> Iterator[Replacement]:
    for number, entry in enumerate(record.entries):
        path = Path(entry.path)
        state, now = standing(entry)
        if state is Standing.BEFORE:
            continue
        if state is Standing.UNREADABLE:
            refused.append(Trouble(path, "cannot be read; it was left as it is"))
        elif path.is_symlink():
            refused.append(Trouble(path, "is a link now; it was left as it is"))
        elif (tree := _tree_of(path, record)) is None:
            elsewhere = f"is behind a link now, which leads to {os.path.realpath(path)}"
            refused.append(Trouble(path, f"{elsewhere}; it was left as it is"))
        elif state is Standing.AFTER or (force and os.path.isdir(path.parent)):
            try:
                before = None if entry.before is None else original(number)
                yield Replacement(path, tree, now, before, entry.mode)
            except JournalError as error:
                refused.append(Trouble(path, f"cannot be given back: {error}"))
        elif force:
            refused.append(Trouble(path, f"cannot be given back: there is no {path.parent}"))
        else:
            what = "was edited" if state is Standing.EDITED else "was deleted"
            force_it = "gives it back" if entry.before is not None else "deletes it"
            refused.append(
                Trouble(path, f"{what} since; it was left as it is (--force {force_it} anyway)")
            )
