"""What ``gpu-lint trace`` tells of a command: a document for programs, lines for people."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gpu_lint.engine import Engine
from gpu_lint.records import record
from gpu_lint.runtime.demand import Judgement, Verdict, late_writes
from gpu_lint.runtime.records import Freeze, MaskWrite, Process
from gpu_lint.runtime.redaction import redact, redact_text
from gpu_lint.runtime.tracing import Traced
from gpu_lint.settings import SettingsFinder
from gpu_lint.variables import MASK, ORDER

SCHEMA = "gpu-lint.trace/1"
_LATE = frozenset({"GPU107", "GPU115", "GPU116"})
"""Rules that say of a write that it comes too late."""
_SEEN = (
    "contexts that cuCtxCreate makes are seen only where NVML lists the process",
    "what other machines do is not seen",
)


@record
class Static:
    """What the static half says of a line that the command ran."""

    code: str
    file: str
    line: int
    agrees: bool | None
    """Whether the run showed the same; None where it cannot show that."""


@record
class Trace:
    """A command that was traced, with its verdict."""

    traced: Traced
    judgement: Judgement | None
    """None where no policy is in force."""
    static: tuple[Static, ...]
    missed: tuple[tuple[str, int], ...]
    """Lines that wrote a variable too late, and of which the static half says nothing."""

    @property
    def verdict(self) -> str:
        """As demanded, violated or unproven; without a policy, violated where a write is dead."""
        if self.judgement is not None:
            return str(self.judgement.verdict.value)
        dead = any(
            True for process in self.traced.processes for _ in late_writes(process, self.traced)
        )
        return str((Verdict.VIOLATED if dead else Verdict.UNPROVEN).value)


def entry_of(command: Sequence[str], directory: Path) -> Path | None:
    """The Python file that a command starts, as its words tell; None if none is named."""
    words = iter(command)
    for word in words:
        if word in ("-c", "-"):
            return None
        if word == "-m":
            parts = next(words, "").split(".")
            module = directory.joinpath(*parts)
            for file in (module.with_suffix(".py"), module / "__main__.py"):
                if file.is_file():
                    return file
            return None
        if word.endswith((".py", ".pyw")) and (directory / word).is_file():
            return directory / word
    return None


def compare(
    traced: Traced, entry: Path | None, finder: SettingsFinder
) -> tuple[tuple[Static, ...], tuple[tuple[str, int], ...]]:
    """What the static half says of the lines that wrote the mask or initialised CUDA, and the late
    writes of which it says nothing."""
    late = {
        (os.path.realpath(write.file), write.line)
        for process in traced.processes
        for write in late_writes(process, traced)
    }
    written = {
        (os.path.realpath(write.file), write.line)
        for process in traced.processes
        for write in process.mask_writes
        if write.variable in (MASK, ORDER)
    }
    frozen = {
        (os.path.realpath(process.freeze.file), process.freeze.line)
        for process in traced.processes
        if process.freeze is not None
    }
    files = {file for file, _ in written | frozen if file.endswith((".py", ".pyw"))}
    paths = [Path(file) for file in sorted(files) if os.path.isfile(file)]
    if entry is not None and os.path.realpath(entry) not in files:
        paths.append(entry)
    if not paths:
        return (), tuple(sorted(late))
    finder.learn(paths)
    found: list[Static] = []
    for result in Engine(finder).check(paths).files:
        file = os.path.realpath(result.path)
        for finding in result.findings:
            place = (file, result.source.row(finding.span.start))
            if place in written | frozen:
                shows = finding.code in _LATE and place in written
                agrees = place in late if shows else None
                found.append(Static(finding.code, *place, agrees))
    told = {(one.file, one.line) for one in found if one.code.startswith("GPU1")}
    return tuple(sorted(found, key=lambda one: (one.file, one.line, one.code))), tuple(
        sorted(late - told)
    )


# --- for programs ----------------------------------------------------------------------------


def document(trace: Trace) -> dict[str, Any]:
    """The trace as a JSON document of schema ``gpu-lint.trace/1``."""
    traced = trace.traced
    return {
        "schema": SCHEMA,
        "verdict": trace.verdict,
        "reasons": list(trace.judgement.reasons) if trace.judgement else [],
        "command": list(redact(traced.command)),
        "exit_status": traced.ended.status,
        "seconds": round(traced.ended.seconds, 3),
        "processes": [_process(one) for one in traced.processes],
        "unrecorded": list(traced.unrecorded),
        "static": [
            {"code": one.code, "file": one.file, "line": one.line, "agrees": one.agrees}
            for one in trace.static
        ],
        "missed": [{"file": file, "line": line} for file, line in trace.missed],
        "limits": [*traced.limits, *_SEEN],
    }


def _process(process: Process) -> dict[str, Any]:
    return {
        "pid": process.pid,
        "parent": process.parent,
        "argv": list(redact(process.argv)),
        "kind": process.kind,
        "recorded": process.recorded,
        "mask_writes": [_write(one) for one in process.mask_writes],
        "freeze": None if process.freeze is None else _freeze(process.freeze),
        "visible": None if process.visible is None else [one.document() for one in process.visible],
        "touched": [one.document() for one in process.touched],
    }


def _write(write: MaskWrite) -> dict[str, Any]:
    return {
        "file": write.file,
        "line": write.line,
        "variable": write.variable,
        "value": write.value,
        "effective": write.effective,
    }


def _freeze(freeze: Freeze) -> dict[str, Any]:
    return {
        "file": freeze.file,
        "line": freeze.line,
        "api": freeze.api,
        "stack": list(freeze.stack),
        "mask": freeze.mask,
        "order": freeze.order,
        "certain": freeze.certain,
        "candidates": list(freeze.candidates),
    }


# --- for people ------------------------------------------------------------------------------


def lines(trace: Trace, directory: Path) -> Iterator[str]:
    """The trace in lines; files as seen from a directory."""
    traced = trace.traced
    shown = _Names(directory)
    for process in traced.processes:
        if process.kind in ("resource_tracker", "forkserver") and process.freeze is None:
            continue
        words = " ".join(shown.argv(process.argv)) or "?"
        yield f"process {process.pid} ({process.kind}): {words}"
        late = set(late_writes(process, traced))
        told = [
            (
                write.effective is False,
                f"  {shown.place(write.file, write.line)}: {_told(write, late)}",
            )
            for write in process.mask_writes
        ]
        yield from (line for is_after, line in told if not is_after)
        yield from (f"  {line}" for line in _cuda(process, shown))
        yield from (line for is_after, line in told if is_after)
    if not traced.processes:
        yield "No process was recorded."
    for one in traced.unrecorded:
        yield f"not recorded: {one}"
    for said in trace.static:
        agrees = {True: "the run agrees", False: "the run disagrees", None: "the run cannot tell"}
        yield f"{shown.place(said.file, said.line)}: check says {said.code}; {agrees[said.agrees]}"
    for file, line in trace.missed:
        yield f"{shown.place(file, line)}: check says nothing of this write, which comes too late"
    for limit in traced.limits:
        yield f"limit: {limit}"
    if trace.judgement is not None:
        yield from (f"{trace.verdict}: {reason}" for reason in trace.judgement.reasons)
        if not trace.judgement.reasons:
            yield "as demanded: each process that initialised CUDA saw the policy's GPUs alone."


def _told(write: MaskWrite, late: Collection[MaskWrite]) -> str:
    done = f"{write.variable} removed" if write.value is None else f"{write.variable}={write.value}"
    if write in late:
        return f"{done}, too late: CUDA was initialised before"
    return done if write.effective is not True else f"{done}, which CUDA read"


def _cuda(process: Process, shown: _Names) -> Iterator[str]:
    freeze = process.freeze
    if freeze is None:
        yield "CUDA was not initialised"
        return
    place = shown.place(freeze.file, freeze.line) if freeze.file else "gpu-lint itself"
    called = f" in {freeze.api}" if freeze.api else ""
    if freeze.certain:
        yield f"{place}: CUDA was initialised{called}; the mask is fixed from here on"
    elif len(freeze.candidates) < 2:
        yield f"{place}: CUDA was initialised, most likely here; the mask is fixed from here on"
    else:
        places = [shown.text(one) for one in freeze.candidates]
        yield f"CUDA was initialised at one of: {', '.join(places)}"
    seen = [f"{one.ordinal} = {one.name} ({one.uuid})" for one in process.visible or ()]
    yield f"sees {', '.join(seen) or 'no GPU'}"
    for touched in process.touched:
        peak = f", peak {touched.peak_mib} MiB" if touched.peak_mib else ""
        yield (
            f"uses {touched.name} ({touched.uuid}, PCI {touched.pci}) from {touched.first_s:.2f} s "
            f"on{peak}"
        )


class _Names:
    """Shows files as seen from a directory, and keeps secrets."""

    def __init__(self, directory: Path) -> None:
        self._root = os.path.join(os.path.realpath(directory), "")

    def place(self, file: str, line: int) -> str:
        return f"{self._short(file)}:{line}" if file else "code in C"

    def text(self, place: str) -> str:
        return self._short(place)

    def _short(self, file: str) -> str:
        real = os.path.realpath(file)
        return real.removeprefix(self._root) if real.startswith(self._root) else redact_text(file)

    def argv(self, argv: Iterable[str]) -> Iterator[str]:
        return (self._short(word) if os.sep in word else word for word in redact(tuple(argv)))


# --- what was learnt -------------------------------------------------------------------------


def learnt(traced: Traced, finder: SettingsFinder) -> str:
    """A rule pack for the calls that initialised CUDA and that no table knows; empty if all are
    known. Only what was seen for certain counts."""
    known = finder.rulebook.knowledge
    names: dict[str, str] = {}
    for process in traced.processes:
        freeze = process.freeze
        if freeze is None or not freeze.certain or not freeze.file:
            continue
        name = _called(freeze)
        if not name or "<" in name or not all(part.isidentifier() for part in name.split(".")):
            continue
        api = known.function(name)
        if api is None or api.freezes == "never":
            names[name] = f"{freeze.file}:{freeze.line}"
    by_package: dict[str, list[str]] = {}
    for name in sorted(names):
        by_package.setdefault(name.partition(".")[0], []).append(name)
    return "\n".join(_pack(package, calls, names) for package, calls in by_package.items())


def _called(freeze: Freeze) -> str:
    """The dotted name of what the project called when CUDA was initialised."""
    place = f"{freeze.file}:{freeze.line} "
    inner = ""
    for frame in freeze.stack:
        if frame.startswith(place):
            return inner or freeze.api
        inner = frame.rpartition(" ")[2]
    return ""


def _pack(package: str, calls: list[str], places: dict[str, str]) -> str:
    rows = [
        f"[[api]]  # seen at {places[name]}\n"
        f'names = ["{name}"]\nfreezes = "always"\n'
        'evidence = "observed by gpu-lint trace"\n'
        for name in calls
    ]
    head = f'[framework]\nname = "{package}"\nmodules = ["{package}"]\n'
    return "\n".join([head, *rows])
