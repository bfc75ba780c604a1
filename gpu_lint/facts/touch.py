"""What a file may do, told from its bytes.

A :class:`Touch` errs to one side only: a file that does something has the touch for it, and most
files that have it do nothing of the kind. :mod:`gpu_lint.facts.needles` finds them.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Flag, auto


class Touch(Flag):
    """What the bytes of a file allow it to do."""

    NOTHING = 0
    SETTINGS = auto()
    """It may write an environment variable that decides about GPUs, misspelt or not."""
    ENVIRONMENT = auto()
    """It may write some environment variable, whose name it may get from elsewhere."""
    DEVICES = auto()
    """It may name a device other than the first, or ask how many there are."""
    CHILDREN = auto()
    """It may start another process, and say something of that one's GPU."""
    FORKS = auto()
    """It may go on in a copy of itself."""
    FREEZES = auto()
    """It may make CUDA read the mask when it is imported."""
    COMMENTS = auto()
    """It may hold a comment that is meant for us."""
    HANDED = auto()
    """It may give on a device that it is given."""
    PASSED = auto()
    """It may select the device that a value from another file names."""
    FOREIGN = auto()
    """It names a device as only some framework takes it which the file itself does not mention."""
    NUMBERING = auto()
    """It may ask for GPUs by another numbering than CUDA's."""
    NEAR = auto()
    """It has to do with GPUs where importing it comes by, or with other processes; perhaps it does
    nothing itself, but what it imports may."""
    IMPORTS = auto()
    """It may import something."""
    ANYTHING = auto()
    """It is a file."""

    @property
    def alone(self) -> Touch:
        """What of this matters whatever else happens in the file's process."""
        return self & ~_SEEN_CLOSELY

    @classmethod
    def named(cls, names: Iterable[str]) -> Touch:
        """The touches that the rules' TOML names. Raises ``KeyError``."""
        found = cls.NOTHING
        for name in names:
            found |= cls[name.upper()]
        return found


_SEEN_CLOSELY = (
    Touch.DEVICES
    | Touch.HANDED
    | Touch.PASSED
    | Touch.FOREIGN
    | Touch.CHILDREN
    | Touch.FREEZES
    | Touch.NEAR
)
