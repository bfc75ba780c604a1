"""Child processes: what they see of the GPUs, and what they inherit of CUDA."""

from __future__ import annotations

from collections.abc import Iterator

from gpu_lint.checks.context import Context, Found
from gpu_lint.checks.ranks import is_given_others
from gpu_lint.facts.model import Certainty, Child
from gpu_lint.facts.values import Known, constants
from gpu_lint.masks import read_mask
from gpu_lint.remedies import Remedy, ReplaceLiteral
from gpu_lint.rulebook import Severity

_FORK_NOTE = "measured: cuda-facts section 8 (Cannot re-initialize CUDA in forked subprocess)"
_INHERIT_NOTE = "measured: cuda-facts section 2 (a child process inherits the mask)"


def check_children(context: Context) -> Iterator[Found]:
    """GPU207: a child process with another mask, or forked from a process that uses CUDA."""
    for child in context.facts.children:
        found = _forked(child, context) or _masked(child, context)
        if found is not None:
            yield found


def _forked(child: Child, context: Context) -> Found | None:
    trigger = child.frozen.trigger
    if not child.forks or child.frozen.certainty is not Certainty.ALWAYS or trigger is None:
        return None
    name, line = context.place(trigger.file, trigger.span)
    where = f"line {line}" if trigger.file == context.facts.file else f"{name}:{line}"
    message = (
        f"this forks after `{trigger.text}` ({where}) has initialised CUDA; the child uses the "
        "GPU and will fail: use the start method spawn"
    )
    return Found("GPU207", child.span, message, _FORK_NOTE)


def _masked(child: Child, context: Context) -> Found | None:
    devices = context.mask_devices(child.masks)
    if not devices or child.mask is None or is_given_others(child, devices):
        return None
    here = ",".join(devices)
    severity = None if context.policy is not None else Severity.WARNING
    if child.mask == Known(None):
        message = f"the child is started without the mask {here!r}: it sees every GPU"
        return Found("GPU207", child.span, message, _INHERIT_NOTE, severity=severity)
    texts = [one.value for one in constants(child.mask) or () if isinstance(one.value, str)]
    foreign = [text for text in texts if not set(read_mask(text).devices) <= set(devices)]
    if not foreign:
        return None
    remedy: Remedy | None = None
    if child.mask_span is not None and child.mask_span in child.span:
        remedy = ReplaceLiteral(child.mask_span, here)
    whose = "the policy demands" if context.policy is not None else "this process uses"
    message = f"the child is given the mask {foreign[0]!r}; {whose} {here!r}"
    return Found("GPU207", child.span, message, _INHERIT_NOTE, remedy, severity=severity)
