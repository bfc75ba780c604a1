"""Judges where a file imports the module that holds the policy's header."""

from __future__ import annotations

from gpu_lint.checks.context import Context, Found
from gpu_lint.facts.model import Trigger
from gpu_lint.remedies import WriteHeader
from gpu_lint.rulebook import Severity
from gpu_lint.variables import ALIASES, HEADER_VARIABLES

_EVIDENCE = "measured: cuda-facts section 1 (Linux, torch 2.11; Windows is unmeasured)"


def late_import(context: Context) -> Found | None:
    """GPU107, 108, 115: the module is imported when CUDA has read the mask, or when a framework has
    been imported; unless the file sets the variables itself."""
    module = context.policy_module
    if module is None or module.behind is None or not context.header_required:
        return None
    if any(ALIASES.get(one.variable, one.variable) in HEADER_VARIABLES for one in context.settings):
        return None
    at, behind, said = module.imported_at[0], module.behind, f"`import {module.name}` comes"
    row = context.row(behind.span.start)
    frozen = _frozen_before(at.start, context)
    note, remedy = no_fix(context) or _EVIDENCE, WriteHeader()
    if frozen is not None:
        cause = f"`{frozen.text}` on line {context.row(frozen.span.start)}"
        message = f"{said} too late: {cause} has already fixed the visible devices"
        return Found("GPU107", at, message, note, remedy)
    message = f"{said} after `{behind.text}` on line {row}: "
    message += "it works only as long as no import touches CUDA"
    if behind.through_project:
        return Found("GPU115", at, message, note, remedy, severity=Severity.WARNING)
    return Found("GPU108", at, message, note, remedy)


def _frozen_before(start: int, context: Context) -> Trigger | None:
    """What has frozen the mask above a place in the file."""
    frozen = context.facts.module_freeze
    step = frozen.seen_from(context.facts.file) if frozen is not None else None
    return step if step is not None and step.span.start < start else None


def no_fix(context: Context) -> str:
    """Why no fix makes the file import the module; empty where one may, or none is wanted."""
    module = context.policy_module
    return f"no fix: {module.fault}" if module is not None and module.fault else ""
