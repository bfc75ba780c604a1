"""Holds the line that the recorder says froze CUDA against what the stand-ins and check say."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from gpu_lint.facts.model import Certainty
from gpu_lint.runtime.records import Freeze
from gpu_lint.runtime.tracing import trace_tree
from gpu_lint.source import decode_source
from tests.differential.compare import ROOT, START, project_of
from tests.differential.programs import Program

Place = tuple[str, int]


def disagreements(
    program: Program, folder: Path, env: Mapping[str, str], log: Path | None
) -> list[str]:
    """Run a program under the recorder; what disagrees, in lines. ``log`` is where stand-ins write;
    without them the recorder and check are compared alone."""
    root = Path(os.path.realpath(folder))
    for name, text in program.files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    traced = trace_tree(
        [sys.executable, "run.py"], env=env, cwd=root, root=root, timeout=120, output=root / ".out"
    )
    recorded = traced.processes[0].freeze if traced.processes else None
    found = []
    if log is not None:
        stand_ins = _of_stand_ins(log, root)
        if problem := _differs(recorded, stand_ins, root):
            found.append(f"the stand-ins say {stand_ins}, the recorder {problem}")
    static, is_certain = _of_check(program)
    if recorded is not None and static is None:
        found.append(f"check says that nothing freezes, the recorder {_shown(recorded, root)}")
    if recorded is not None and is_certain and (problem := _differs(recorded, static, root)):
        found.append(f"check says {static}, the recorder {problem}")
    return found


def _of_stand_ins(log: Path, root: Path) -> Place | None:
    """Where the stand-ins were initialised; None where that showed no GPU, so that the driver tries
    again the next time."""
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else ():
        event = json.loads(line)
        if event["event"] == "freeze" and event["visible"]:
            return _relative(event["file"], root), event["line"]
    return None


def _of_check(program: Program) -> tuple[Place | None, bool]:
    """Where check says that CUDA is initialised, and whether it is, on every path."""
    mark = project_of(program.files).run(START).end.frozen
    if mark.trigger is None:
        return None, False
    name = os.path.relpath(mark.trigger.file, ROOT).replace(os.sep, "/")
    source = decode_source(Path(name), program.files[name].encode())
    is_certain = program.plain and mark.certainty is Certainty.ALWAYS
    return (name, source.row(mark.trigger.span.start)), is_certain


def _differs(recorded: Freeze | None, place: Place | None, root: Path) -> str:
    """What the recorder says instead of a place; empty where it says that, or may."""
    if recorded is None:
        return "" if place is None else "says that CUDA was not initialised"
    if place is not None:
        known = {(_relative(recorded.file, root), recorded.line)}
        if not recorded.certain:
            known = {
                (_relative(file, root), int(line))
                for file, _, line in (one.rpartition(":") for one in recorded.candidates)
            }
        if place in known:
            return ""
    return _shown(recorded, root)


def _shown(recorded: Freeze, root: Path) -> str:
    certain = "" if recorded.certain else f", or one of {', '.join(recorded.candidates)}"
    return f"says {_relative(recorded.file, root)}:{recorded.line}{certain}"


def _relative(file: str, root: Path) -> str:
    return os.path.relpath(os.path.realpath(file), root).replace(os.sep, "/")
