"""Fixes projects, runs them before and after, and holds the two against each other."""

from __future__ import annotations

import ast
import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from gpu_lint.findings import FixedFile
from tests.conftest import engine_for, write_files
from tests.differential.owners import Owned

CARD = 1
"""The policy's GPU, as a physical index: an RTX 3090 beside an RTX 5060 Ti."""
POLICY: dict[str, Any] = {
    "gpu": {
        "name": "RTX 3090",
        "visible-devices": str(CARD),
        "device-order": "PCI_BUS_ID",
        "alloc-conf": "max_split_size_mb:1024",
        "min-memory-gib": 20,
        "forbidden": ["RTX 5060 Ti"],
    },
    "header": {"required-in": "gpu-files"},
    "validation": {"required-in": "entry-points"},
}
_DESCRIBES = frozenset({"GPU002", "GPU118", "GPU203"})
"""Rules whose findings may say no more than what the program did before as well."""
_SUPPRESSION = re.compile(r"\s*# gpu-lint: ignore.*")


_Found: TypeAlias = "defaultdict[str, Counter[str]]"


@dataclass
class Trial:
    """What plain ``fix`` made of a project."""

    project: Owned
    fixed: Owned
    found: _Found
    """How often each rule was found in each file before."""
    left: _Found
    """The same after it, by another run."""
    hidden: _Found
    """The same with no regard to comments that silence rules."""
    again: bool
    """A second ``fix`` changed something."""

    @property
    def is_changed(self) -> bool:
        return self.project.files != self.fixed.files


def try_fix(project: Owned, directory: Path, policy: dict[str, Any] = POLICY) -> Trial:
    """Fix a project under a policy, in a directory of its own."""
    first = _fix(directory / "before", project, policy)
    after = {**project.files, **{name: one.after.source.text for name, one in first.items()}}
    second = _fix(directory / "after", Owned(after), policy)
    left = _codes(second)
    hidden = left
    if project.is_suppressed:
        bare = {name: _SUPPRESSION.sub("", text) for name, text in after.items()}
        hidden = _codes(_fix(directory / "bare", Owned(bare), policy))
    return Trial(
        project,
        Owned(after, project.argv),
        _codes(first),
        left,
        hidden,
        any(one.changed for one in second.values()),
    )


def _fix(root: Path, project: Owned, policy: dict[str, Any]) -> dict[str, FixedFile]:
    paths = write_files(root, project.files)
    run = engine_for(policy).fix(paths, unsafe=False, writing=None)
    assert run.troubles == []
    return {one.before.path.relative_to(root).as_posix(): one for one in run.fixed}


def _codes(files: dict[str, FixedFile]) -> _Found:
    """How often each rule is found in each file, before anything is fixed in it."""
    found: _Found = defaultdict(Counter)
    for name, one in files.items():
        found[name].update(finding.code for finding in one.before.findings)
    return found


def ended(ran: dict[str, Any]) -> bool:
    """Whether a program and its children ran to their end."""
    return not (ran["error"] or ran["status"] or ran["failed"])


def disagreements(trial: Trial, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What a fix did that it must not do."""
    found = [*_new(trial)]
    if trial.again:
        found.append("a second fix changes something")
    if ended(before):
        if not ended(after):
            found.append(f"it no longer runs to its end: {_end_of(after)}")
        fails = Counter(line for line in after["printed"] if line.startswith("FAILED"))
        failed = Counter(before["printed"])
        worked = {line.replace("WORKED", "FAILED") for line in before["printed"]}
        found += [f"{line}: it worked" for line in fails - failed if line in worked]
        if more := set(after["touched"]) - set(before["touched"]) - {CARD}:
            found.append(f"it touches {sorted(more)}, which it did not touch before")
    left = {code for codes in trial.hidden.values() for code in codes}
    if all(code.startswith("GPU30") for code in left) and set(after["touched"]) - {CARD}:
        found.append(f"nothing is left but {sorted(left)}, and it touches {after['touched']}")
    return found


def _new(trial: Trial) -> Iterator[str]:
    for name, codes in trial.left.items():
        for code, count in codes.items():
            if count > trial.found[name][code] and code not in _DESCRIBES:
                yield f"{code} is new in {name}"


def _end_of(ran: dict[str, Any]) -> str:
    if ran["error"]:
        return str(ran["error"].strip().splitlines()[-1])
    return f"status {ran['status']}" if ran["status"] else str(ran["failed"][0])


def explain(trial: Trial, before: dict[str, Any], after: dict[str, Any], found: list[str]) -> str:
    """A disagreement as a reader needs it: what is wrong, the files, the change, the cards."""
    lines = [*found, f"argv: {trial.project.argv or '(none)'}"]
    for name, text in sorted(trial.project.files.items()):
        lines += [f"--- {name}: {_listed(trial.found[name])} -> {_listed(trial.left[name])}", text]
        fixed = _shortened(trial.fixed.files[name])
        change = difflib.unified_diff(text.splitlines(), fixed.splitlines(), n=0, lineterm="")
        lines += ["    " + line for line in list(change)[2:]]
    for when, ran in ("before", before), ("after", after):
        end = "to its end" if ended(ran) else f"ended by {_end_of(ran)}"
        lines.append(f"{when}: touches {ran['touched']}, prints {ran['printed']}, {end}")
    return "\n".join(lines)


def _shortened(text: str) -> str:
    """A file with a line for each block that a fix has written."""
    text = re.sub(r"(# gpu-lint: begin header\n).*?(?=# gpu-lint: end)", r"\1", text, flags=re.S)
    return re.sub(r"(# gpu-lint: validator\ndef [^\n]*\n)(?: [^\n]*\n|\n)*", r"\1\n\n", text)


def _listed(codes: Counter[str]) -> str:
    return " ".join(sorted(codes)) or "nothing"


def shrunk(project: Owned, fails: Callable[[Owned], bool]) -> Owned:
    """The project with every statement left out that it does not need to fail."""
    smaller = True
    while smaller:
        smaller = False
        for one in _with_less(project):
            if fails(one):
                project, smaller = one, True
                break
    return project


def _with_less(project: Owned) -> Iterator[Owned]:
    """The project without one of its files or statements, for each of them."""
    if project.argv:
        yield Owned(project.files)
    for name, text in project.files.items():
        if name != "run.py":
            yield Owned({n: t for n, t in project.files.items() if n != name}, project.argv)
        for shorter in _shorter(text):
            yield Owned({**project.files, name: shorter}, project.argv)


def _shorter(text: str) -> Iterator[str]:
    """A file without one statement, without one ``else``, or with one body in place of what it is
    the body of, for each of them; as far as it can still be parsed."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        for first, last, rest in _cuts(node, lines):
            shorter = [*lines[:first], *rest, *lines[last:]]
            try:
                ast.parse("\n".join(shorter))
            except SyntaxError:
                continue
            if shorter != lines:
                yield "\n".join(shorter) + "\n"


def _cuts(node: ast.AST, lines: list[str]) -> Iterator[tuple[int, int, list[str]]]:
    """Lines, counted from 0, that may be replaced, and by which."""
    body, orelse = getattr(node, "body", None), getattr(node, "orelse", None)
    if not isinstance(body, list) or not body:
        return
    last = body[-1].end_lineno
    if isinstance(node, ast.stmt):
        inner = lines[body[0].lineno - 1 : last]
        yield node.lineno - 1, node.end_lineno or 0, [line[4:] for line in inner]
    if orelse:
        yield last, orelse[-1].end_lineno, []
    for statement in (*body, *(orelse or ())):
        rest = [" " * statement.col_offset + "pass"] if len(body) == 1 else []
        if lines[statement.lineno - 1].strip() != "pass":
            yield statement.lineno - 1, statement.end_lineno, rest
        else:
            yield statement.lineno - 1, statement.end_lineno, []
