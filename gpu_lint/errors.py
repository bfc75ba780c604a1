"""The errors a user may see: each is one clear line that says what, where and what to do."""

from __future__ import annotations

from pathlib import Path

from gpu_lint.records import record


class GpuLintError(Exception):
    """Base of the errors that are the user's to mend; its text is the whole message."""


class ConfigError(GpuLintError):
    """A policy, rule file or command-line option that cannot be obeyed."""


class Problem(ConfigError):
    """A key that cannot be obeyed; the caller adds file and line.

    ``keys`` is the way to it from the whole table; a number counts the tables of an array.
    """

    def __init__(self, keys: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.keys = keys


class SourceError(GpuLintError):
    """A file that cannot be read, decoded or checked; the text does not repeat the path."""


class WriteError(GpuLintError):
    """A file that could not be replaced, or must not be."""

    hopeless = False
    """Other files will fare no better."""


class JournalError(GpuLintError):
    """A journal that cannot be read or written; its text says what became of the files."""


class StateError(GpuLintError):
    """A state directory that others could have changed."""


class HomelessError(GpuLintError):
    """A user without a directory for the journal and the key."""


class CacheError(GpuLintError):
    """A cache directory that must not be read, written or deleted."""


class Interrupted(GpuLintError):
    """Ctrl-C while files were written; its text says what became of them."""


class SyntaxFault(Exception):
    """The text is no Python that our parsers read; ``character`` is an index into it."""

    def __init__(self, message: str, character: int) -> None:
        super().__init__(message)
        self.character = character


@record
class Trouble:
    """A path that could not be taken, in one line for the user."""

    path: Path
    message: str


def internal(error: Exception) -> str:
    """What to tell the user of a fault of ours."""
    return (
        f"could not be checked: internal error ({type(error).__name__}: {error}); "
        "please report it with the file"
    )
