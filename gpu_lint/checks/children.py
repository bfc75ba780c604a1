"""Child processes: what they see of the GPUs, and what they inherit of CUDA."""

from __future__ import annotations

from collections.abc import Iterator

from gpu_lint.checks.context import Context, Found
from gpu_lint.checks.devices import visible_devices
from gpu_lint.checks.ranks import deciding, is_given_others
from gpu_lint.facts.model import INHERITED, Certainty, Child, Reach, Written
from gpu_lint.facts.values import (
    EnvironmentValue,
    Known,
    Value,
    alternatives,
    constants,
    option_behind,
    text_of,
)
from gpu_lint.masks import read_mask, same_mask
from gpu_lint.remedies import Remedy, ReplaceLiteral
from gpu_lint.rulebook import Severity
from gpu_lint.variables import MASK, ORDER

_FORK_NOTE = "measured: cuda-facts section 8 (Cannot re-initialize CUDA in forked subprocess)"
_INHERIT_NOTE = "measured: cuda-facts section 2 (a child process inherits the mask)"
_VALUE_NOTE = "measured: cuda-facts section 3 (what CUDA makes of a mask)"
_LAUNCHER_NOTE = (
    "public: DeepSpeed launcher/runner.py says it ignores CUDA_VISIBLE_DEVICES where one of "
    "--include, --exclude, --num_gpus and --num_nodes is given"
)
_ORDER_NOTE = "measured: cuda-facts section 4 (unset means FASTEST_FIRST)"


def check_children(context: Context) -> Iterator[Found]:
    """GPU207: a child process with another mask or order, or forked where CUDA is in use; GPU112:
    one whose mask CUDA cannot read."""
    for child in context.facts.children:
        found = _forked(child, context)
        if found is None and child.reaches_gpu:
            found = (
                _dead(child)
                or _ignoring(child, context)
                or _masked(child, context)
                or _beyond(child, context)
                or _ordered(child, context)
                or _early(child, context)
            )
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


def _dead(child: Child) -> Found | None:
    """A child whose mask CUDA cannot read: it sees no GPU, or fewer than was meant."""
    for text in sorted(filter(None, map(text_of, alternatives(child.mask or Known(None))))):
        reading = read_mask(text)
        if reading.fault:
            message = f"the child is given the mask {text!r}: {reading.fault}"
            severity = Severity.WARNING if reading.by_accident else None
            at = child.mask_span or child.span
            return Found("GPU112", at, message, _VALUE_NOTE, severity=severity)
    return None


def _ignoring(child: Child, context: Context) -> Found | None:
    """A launcher that is given a mask, and uses other devices by an option of its own."""
    given = constants(child.ignored) if child.ignored is not None else None
    used = constants(child.mask) if child.mask is not None else None
    if context.policy is not None or not given or not used or len(given) > 1 or len(used) > 1:
        return None
    mask, own = given[0].value, used[0].value
    if not isinstance(mask, str) or not isinstance(own, str):
        return None
    if not read_mask(mask).devices or same_mask(mask, own):
        return None
    message = f"the launcher ignores the mask {mask!r} that it is given: by its own option it uses "
    message += f"{own!r}; name the devices there (deepspeed --include, accelerate --gpu_ids)"
    return Found("GPU207", child.span, message, _LAUNCHER_NOTE, severity=Severity.WARNING)


def _masked(child: Child, context: Context) -> Found | None:
    if child.mask is None or MASK in child.sets:
        return None
    choices = context.mask_choices(child.masks)
    if choices is None and all(map(_shows_devices, child.masks)):
        return _unmasked(child, child.mask, "that this process sets", context)
    if not choices or not all(choices) or any(is_given_others(child, one) for one in choices):
        return None
    here = " or ".join(repr(",".join(devices)) for devices in choices)
    if (unmasked := _unmasked(child, child.mask, here, context)) is not None:
        return unmasked
    texts = sorted(filter(None, map(text_of, alternatives(child.mask))))
    shown = [(text, set(read_mask(text).devices)) for text in texts]
    foreign = [text for text, its in shown if not any(its <= set(own) for own in choices)]
    if not foreign:
        return _perhaps_masked(child, child.mask, here, context)
    remedy: Remedy | None = None
    if len(choices) == 1 and child.mask_span is not None and child.mask_span in child.span:
        remedy = ReplaceLiteral(child.mask_span, ",".join(choices[0]))
    severity = None if context.policy is not None else Severity.WARNING
    whose = "the policy demands" if context.policy is not None else "this process uses"
    message = f"the child is given the mask {foreign[0]!r}; {whose} {here}"
    return Found("GPU207", child.span, message, _INHERIT_NOTE, remedy, severity=severity)


def _unmasked(child: Child, given: Value, mask: str, context: Context) -> Found | None:
    """A child that is, or may be, given no mask where this process has one."""
    values = alternatives(given)
    if Known(None) not in values:
        return None
    surely = len(values) == 1
    message = f"the child {'is' if surely else 'may be'} started without the mask {mask}"
    message += ": it sees every GPU"
    severity = None if surely and context.policy is not None else Severity.WARNING
    return Found("GPU207", child.span, message, _INHERIT_NOTE, severity=severity)


def _shows_devices(mask: Written) -> bool:
    """Whether a mask is surely this program's, and as far as it is known none that hides GPUs."""
    if mask.value is None or mask.weak or mask.span is None:
        return False
    texts = map(text_of, alternatives(mask.value))
    return all(read_mask(text).devices for text in texts if text is not None)


def _beyond(child: Child, context: Context) -> Found | None:
    """A child whose program names a device that its mask does not show."""
    devices = context.mask_devices(child.masks)
    texts = [text_of(one) for one in alternatives(child.mask)] if child.mask is not None else []
    if child.mask is not None and context.policy is None:
        devices = read_mask(texts[0]).devices if len(texts) == 1 and texts[0] else None
    if not devices or child.index < len(devices):
        return None
    message = f"the child names device {child.index}, {visible_devices(devices)}"
    return Found("GPU201", child.span, message, _INHERIT_NOTE)


def _perhaps_masked(child: Child, mask: Value, here: str, context: Context) -> Found | None:
    """A child whose mask only the run will tell, where a policy demands one; several devices may be
    shared out among children."""
    if context.policy is None or constants(mask) is not None or "," in here:
        return None
    option = option_behind(mask)
    if option is not None:
        message = f"{deciding(option, context)} decides the mask of the child"
    elif EnvironmentValue(MASK) in alternatives(mask):
        message = "the child is started with the mask of this program's parent, not with its own"
    else:
        message = "the mask of the child is not known"
    message += f"; the policy demands {here}"
    return Found("GPU207", child.span, message, _INHERIT_NOTE, severity=Severity.WARNING)


def _ordered(child: Child, context: Context) -> Found | None:
    """A child in which the same number is another device."""
    wanted = _order(child, context)
    if wanted is None or child.order is None or not _counts(child, context):
        return None
    if ORDER in child.sets:
        return None
    values = alternatives(child.order)
    known = [one for one in values if isinstance(one, Known)]
    others = sorted((text_of(one) or "" for one in known if one.value != wanted), reverse=True)
    if not others:
        return _perhaps_ordered(child, child.order, wanted, context)
    surely = len(known) == len(values)
    severity = None if surely and context.policy is not None else Severity.WARNING
    how = f"with {ORDER}={others[0]}, not {wanted}" if others[0] else f"without {ORDER}"
    message = f"the child {'is' if surely else 'may be'} started {how}: "
    message += "the mask may mean another GPU there"
    return Found("GPU207", child.span, message, _ORDER_NOTE, severity=severity)


def _perhaps_ordered(child: Child, order: Value, wanted: str, context: Context) -> Found | None:
    """A child whose order only the run will tell, where a policy demands one."""
    if context.policy is None or constants(order) is not None:
        return None
    option = option_behind(order)
    if option is not None:
        message = f"{deciding(option, context)} decides the {ORDER} of the child"
    else:
        message = f"the {ORDER} of the child is not known"
    message += f"; the policy demands {wanted!r}"
    return Found("GPU207", child.span, message, _ORDER_NOTE, severity=Severity.WARNING)


def _order(child: Child, context: Context) -> str | None:
    """The order of devices that a child should have: the policy's, or the one in effect."""
    if context.policy is not None:
        return context.policy.value(ORDER)
    held = [None if one.weak or one.value is None else text_of(one.value) for one in child.orders]
    return held[0] if len(held) == 1 else None


def _counts(child: Child, context: Context) -> bool:
    """Whether the mask of a child shows a device by its number."""
    if child.mask is None:
        return any(device.isdigit() for device in context.mask_devices(child.masks) or ())
    texts = filter(None, map(text_of, alternatives(child.mask)))
    return any(device.isdigit() for text in texts for device in read_mask(text).devices)


def _early(child: Child, context: Context) -> Found | None:
    """A child that uses a GPU, and is started before this program sets the mask of the policy, if
    it sets it at all."""
    if context.policy is None or not child.uses_gpu or child.mask is not None:
        return None
    if MASK in child.sets:
        return None
    if child.masks != (INHERITED,) or child.takes_over(MASK):
        return None
    later = _set_later(child, context)
    surely = child.uses_gpu is Certainty.ALWAYS
    if later is None and (not surely or child.reach is Reach.UNCALLED):
        return None
    message = f"the child {'uses' if surely else 'may use'} a GPU, and "
    if later is None:
        message += f"{MASK} is not set where it starts: "
    else:
        message += f"starts before {MASK} is set ({later}): "
    message += "the parent process decides which one"
    severity = None if surely else Severity.WARNING
    return Found("GPU207", child.span, message, _INHERIT_NOTE, severity=severity)


def _set_later(child: Child, context: Context) -> str | None:
    """Where the mask is first written behind a child's start: in this file, or in another one of
    its process before that uses a framework."""
    for one in context.settings:
        if one.variable == MASK and one.value is not None and one.span.start > child.span.start:
            return f"line {context.row(one.span.start)}"
    if child.reach is Reach.UNCALLED:
        return None
    held = context.facts.holds(MASK)
    return next((context.line(one) for one in held if one.span and one.value is not None), None)
