"""What a look at the machine comes to, line by line."""

from __future__ import annotations

from enum import Enum

from gpu_lint.records import record


class Level(str, Enum):
    """How much a remark weighs; the last two make the exit status 1 under a policy."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    UNPROVEN = "unproven"
    FAILS = "fails"


@record
class Remark:
    """One thing that was found out, and what to do about it."""

    level: Level
    text: str
    advice: str = ""
    """The next step: a command, or what to change; empty where nothing is to be done."""
