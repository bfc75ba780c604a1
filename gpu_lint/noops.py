"""Find what a configuration asks for that can have no effect, and say so in one line each.

A glob that matches no file today is fine; one that can match no file ever is a mistake, and so is a
demand that lacks the key without which it does not count.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from gpu_lint.policy import KEYS, WHERE
from gpu_lint.settings import Settings

_GLOBS = ("include", "exclude", "entry-points", "header.required-in", "validation.required-in")
_OF_POLICY = tuple(key.name for key in KEYS if key.name.startswith(("gpu.", "header.", "valid")))
_DRIVE = re.compile(r"[A-Za-z]:|[\\/]{2}\w")
_CONTROL = re.compile(r"[\x00-\x1f]")


def without_effect(found: Iterable[Settings]) -> list[str]:
    """Return one line for each thing that has no effect in the settings of a run."""
    settings = list(found)
    lines: dict[str, None] = {}
    none_demands = not any(map(_demands_gpu, settings))
    for one in settings:
        lines.update(dict.fromkeys(_dead_globs(one)))
        if not _demands_gpu(one):
            lines.update(dict.fromkeys(_lonely_demand(one)))
        if none_demands:
            lines.update(dict.fromkeys(_rules_without_policy(one)))
    return list(lines)


def _demands_gpu(settings: Settings) -> bool:
    """Whether a policy is in force for some file."""
    tables = (settings.flat, *settings.flat.get("overrides", ()))
    return any(table.get("gpu.visible-devices") is not None for table in tables)


def _lonely_demand(settings: Settings) -> Iterator[str]:
    """What a policy would demand, if a GPU were chosen."""
    names = [name for name in _OF_POLICY if name in settings.flat]
    if names:
        origin = settings.origins.get(names[0], "")
        yield f"{origin}: {names[0]} has no effect without gpu.visible-devices, which is not set"


def _rules_without_policy(settings: Settings) -> Iterator[str]:
    """Rules that are asked for, and do not run without a policy."""
    for key in ("select", "extend-select"):
        for selector in settings.get(key):
            rules = settings.rulebook.matching(selector)
            if rules and all(settings.rulebook.rules[code].needs_policy for code in rules):
                origin = settings.origins.get(key, "")
                yield (
                    f"{origin}: {key}: {selector} is not run, because no policy is in force: set "
                    "gpu.visible-devices, or let `gpu-lint init` write one"
                )


def _dead_globs(settings: Settings) -> Iterator[str]:
    """Globs that can match no file, with what is wrong with each."""
    for key, globs in _globs(settings):
        for glob in globs:
            if why := _why_dead(glob, settings.root):
                origin = settings.origins.get(key, "")
                yield f"{origin}: {key}: {glob!r} can match no file: {why}"


def _globs(settings: Settings) -> Iterator[tuple[str, Collection[str]]]:
    for key in _GLOBS:
        globs = settings.flat.get(key)
        if globs and globs not in WHERE:
            yield key, globs
    yield "per-file-ignores", settings.flat.get("per-file-ignores", {})
    for override in settings.flat.get("overrides", ()):
        yield "overrides", override["paths"]


def _why_dead(glob: str, root: Path) -> str | None:
    """Why a glob can match no file below a directory; None if it can."""
    pattern = glob.removeprefix("!")
    relative = f"globs are relative to {root}, with forward slashes"
    if _CONTROL.search(pattern):
        return 'it holds a control character, as "\\t" and "\\f" in double quotes are; use "/"'
    if _DRIVE.match(pattern) or pattern.startswith("~/"):
        return f"it is an absolute path; {relative}"
    parts = pattern.replace("\\", "/").split("/")
    if ".." in parts:
        return f"it leads out of the directory with '..'; {relative}"
    if os.path.isabs(pattern) and os.path.join(pattern, "").startswith(os.path.join(root, "")):
        return f"it is an absolute path; {relative}"
    return None
