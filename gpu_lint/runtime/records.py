"""What the recorder wrote, read back: the processes of a command, and what each did to GPUs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gpu_lint.records import record
from gpu_lint.variables import MASK, ORDER

_MOST_BYTES = 64 << 20
"""Of the events of one process."""
_SYSTEM_TOOLS = frozenset(
    {
        "ar", "arch", "as", "awk", "basename", "c++", "cat", "cc", "chmod", "clang", "cp", "cut",
        "date", "df", "dirname", "echo", "env", "false", "file", "find", "free", "g++", "gcc",
        "git", "grep", "head", "hostname", "id", "ld", "ldconfig", "ldd", "ln", "locale", "ls",
        "lsb_release", "lscpu", "lspci", "make", "mkdir", "mv", "nm", "nproc", "nvcc",
        "nvidia-smi", "objdump", "ps", "pwd", "readelf", "realpath", "rm", "sed", "sleep", "sort",
        "stty", "tail", "tar", "tee", "tput", "tr", "true", "tty", "uname", "wc", "which",
        "whoami", "xargs",
    }
)  # fmt: skip
"""Programs that touch no GPU, or that ask the driver's management library alone."""
_PYTHON = re.compile(r"(?:python|pypy)[\d.]*(?:t|d)?(?:\.exe)?$")


@record
class MaskWrite:
    """A write, or removal, of a variable that decides about GPUs."""

    file: str
    line: int
    variable: str
    value: str | None
    """None for a removal."""
    effective: bool | None
    """Whether CUDA read it; None where this process never initialised CUDA, where another write
    took its place, or where that cannot be told of the variable."""
    t: float
    """Seconds since the command was started."""


@record
class Freeze:
    """The initialisation of CUDA, behind which the mask can no longer change what is visible."""

    file: str
    line: int
    api: str
    """What was called; empty where that is not known."""
    stack: tuple[str, ...]
    mask: str | None
    order: str | None
    certain: bool
    """Whether it was this line."""
    candidates: tuple[str, ...]
    """The lines that may have done it, as ``FILE:LINE``."""


@record
class Visible:
    """A card that a process sees, in its own numbering."""

    ordinal: int
    uuid: str
    name: str
    pci: str
    memory_mib: int

    def document(self) -> dict[str, Any]:
        """Return it as the JSON documents hold it."""
        return {"ordinal": self.ordinal, "uuid": self.uuid, "name": self.name, "pci": self.pci}


@record
class Touched:
    """A card on which a process had a context."""

    uuid: str
    name: str
    pci: str
    ordinal: int
    first_s: float
    """Seconds since the command was started when it was first seen there."""
    peak_mib: int | None
    """The most memory that is known to have been held there."""
    evidence: str

    def document(self) -> dict[str, Any]:
        """Return it as the JSON documents hold it."""
        return {
            "uuid": self.uuid,
            "name": self.name,
            "pci": self.pci,
            "ordinal": self.ordinal,
            "first_s": self.first_s,
            "peak_mib": self.peak_mib,
            "evidence": self.evidence,
        }


@record
class Process:
    """A process of a command."""

    pid: int
    parent: int | None
    argv: tuple[str, ...]
    kind: str
    recorded: bool
    began: float
    """Seconds since the command was started."""
    environment: Mapping[str, str]
    """The variables that decide about GPUs, when it started."""
    mask_writes: tuple[MaskWrite, ...]
    freeze: Freeze | None
    visible: tuple[Visible, ...] | None
    """None where CUDA was not initialised."""
    touched: tuple[Touched, ...]
    ended: bool
    """It told its end: what it touched is complete."""


@record
class Child:
    """A process that another one started."""

    parent: int
    argv: tuple[str, ...]
    t: float


@record
class Recorded:
    """All that was recorded of a command."""

    processes: tuple[Process, ...]
    """The command itself first, then by the time at which they started."""
    unrecorded: tuple[Child, ...]
    """Processes that were started and did not record themselves, but for tools of the system."""
    limits: tuple[str, ...]


class _Log:
    """The events of one process."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.start = next((one for one in events if one["event"] == "start"), {})
        self.events = events

    def of(self, kind: str) -> Iterator[dict[str, Any]]:
        return (one for one in self.events if one["event"] == kind)

    @property
    def pid(self) -> int:
        return int(self.start.get("pid", 0))

    @property
    def began(self) -> float:
        return float(self.start.get("t", 0.0))


def read_records(folder: Path) -> Recorded:
    """Read what the processes of a command wrote into a folder."""
    logs = sorted(
        (_Log(_events(file)) for file in folder.glob("*.jsonl")), key=lambda log: log.began
    )
    logs = [log for log in logs if log.start]
    parents = {id(log): _parent(log, logs) for log in logs}
    processes = [_process(log, parents[id(log)], logs) for log in logs]
    processes.sort(key=lambda one: (one.kind != "command", one.began))
    limits = dict.fromkeys(str(one["text"]) for log in logs for one in log.of("limit"))
    for file in sorted(folder.glob("*.failed")):
        limits[f"the recorder did not start in process {file.stem}: {file.read_text('utf-8')}"] = (
            None
        )
    for log in logs:
        if log.start.get("driver"):
            limits[f"no CUDA driver: {log.start['driver']}"] = None
    return Recorded(tuple(processes), tuple(_unrecorded(logs, parents)), tuple(limits))


def _events(file: Path) -> list[dict[str, Any]]:
    """The events of a file; a last line that was not written to its end is left out."""
    with open(file, "rb") as stream:
        data = stream.read(_MOST_BYTES)
    found = []
    for line in data.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            found.append(event)
    return found


def _parent(log: _Log, logs: list[_Log]) -> _Log | None:
    """The recorded process that one descends from, nearest first."""
    before = [other for other in logs if other is not log and other.began <= log.began]
    for ancestor in [
        log.pid,
        *log.start.get("ancestors", ()),
    ]:  # itself, where it was another program
        for other in reversed(before):
            if other.pid == ancestor:
                return other
    return None


def _process(log: _Log, parent: _Log | None, logs: list[_Log]) -> Process:
    freeze = next(log.of("freeze"), None)
    peaks = {one["uuid"]: one["mib"] for one in log.of("peak")}
    visible = None if freeze is None else tuple(_visible(one) for one in freeze["visible"])
    return Process(
        log.pid,
        None if parent is None else parent.pid,
        tuple(map(str, log.start.get("argv", ()))),
        _kind(log, parent),
        True,
        log.began,
        dict(log.start.get("environment", {})),
        tuple(_writes(log, freeze)),
        None if freeze is None else _freeze(freeze),
        visible,
        tuple(
            Touched(
                one["uuid"],
                one["name"],
                one["pci"],
                one["ordinal"],
                one["t"],
                peaks.get(one["uuid"]),
                one["evidence"],
            )
            for one in log.of("touch")
        ),
        any(log.of("end")),
    )


def _kind(log: _Log, parent: _Log | None) -> str:
    """How a process came to be: command, fork, spawn, exec, subprocess, or by way of a program that
    does not record, such as a shell."""
    kind = str(log.start.get("kind", "program"))
    if kind != "program":
        return kind
    if parent is None:
        return "command"
    if parent.pid == log.pid:
        return "exec"
    direct = log.start.get("ancestors", [None])[0] == parent.pid
    return "subprocess" if direct else "shell"


def _visible(card: Mapping[str, Any]) -> Visible:
    return Visible(card["ordinal"], card["uuid"], card["name"], card["pci"], card["memory_mib"])


def _freeze(event: Mapping[str, Any]) -> Freeze:
    places = tuple(f"{file}:{line}" for file, line in event["candidates"])
    return Freeze(
        event["file"],
        event["line"],
        event["api"],
        tuple(event["stack"]),
        event["mask"],
        event["order"],
        event["certain"],
        () if event["certain"] else places,
    )


def _writes(log: _Log, freeze: Mapping[str, Any] | None) -> Iterator[MaskWrite]:
    """The writes of a process, each with whether CUDA read it."""
    events = [one for one in log.events if one["event"] in ("write", "freeze")]
    in_force: dict[str, int] = {}
    for number, one in enumerate(events):
        if one is freeze:
            break
        in_force[one["key"]] = number
    for number, one in enumerate(events):
        if one["event"] != "write":
            continue
        key, effective = one["key"], None
        if freeze is not None and key in (MASK, ORDER):
            if one["late"]:
                effective = False
            elif in_force.get(key) == number:
                effective = True
        yield MaskWrite(one["file"], one["line"], key, one["value"], effective, one["t"])


def _unrecorded(logs: list[_Log], parents: Mapping[int, _Log | None]) -> Iterator[Child]:
    """The processes that were started and are not among those that recorded themselves."""
    for log in logs:
        waiting = [
            other
            for other in logs
            if parents[id(other)] is log and other.start.get("kind") == "program"
        ]
        others: list[dict[str, Any]] = []
        for event in log.of("child"):
            found = next((one for one in waiting if _is_start_of(event, one)), None)
            if found is not None:
                waiting.remove(found)
            else:
                others.append(event)
        for event in others:  # a shell or a launcher shows by the processes that it started
            argv = tuple(map(str, event["argv"]))
            launched = [one for one in waiting if one.began >= event["t"]]
            if _is_python(argv) or not launched:
                if not _is_tool(argv):
                    yield Child(log.pid, argv, event["t"])
            else:
                waiting.remove(launched[0])


def _is_start_of(event: Mapping[str, Any], log: _Log) -> bool:
    """Whether a process is the one that an event tells of, as its command line shows."""
    words = [str(one) for one in event["argv"]]
    if len(words) == 1:
        words = words[0].split()
    return log.began >= event["t"] and words[1:] == list(log.start.get("argv", ()))[1:]


def _is_tool(argv: Iterable[str]) -> bool:
    """Whether a command line starts only tools of the system."""
    words = list(argv)
    text = words[0] if words else ""
    if len(words) == 1:  # a line for a shell
        return all(
            part.split() and os.path.basename(part.split()[0]) in _SYSTEM_TOOLS
            for part in re.split(r"[;&|]+", text)
        )
    if os.path.basename(text) in ("sh", "bash", "dash") and words[1] == "-c" and len(words) == 3:
        return _is_tool(words[2:])
    return os.path.basename(text).removesuffix(".exe") in _SYSTEM_TOOLS


def _is_python(argv: Sequence[str]) -> bool:
    """Whether a command line starts a Python interpreter itself."""
    return len(argv) > 1 and bool(_PYTHON.match(os.path.basename(argv[0])))


def why_unrecorded(argv: Iterable[str]) -> str:
    """Why a process did not record itself, as its command line tells."""
    words = list(argv)
    if not _is_python(words):
        return "a native or remote program"
    options = [one for one in words[1:] if one.startswith("-") and not one.startswith("--")]
    for option, reason in (("I", "-I"), ("S", "-S"), ("E", "-E")):
        if any(option in one[1:] for one in options if one[1:].isalpha()):
            return f"{reason} keeps the recorder out"
    return "its environment lacks PYTHONPATH, or its Python is older than 3.8"
