"""Judges what a write puts into a header variable."""

from __future__ import annotations

from gpu_lint import allocator
from gpu_lint.checks.context import Context, Found
from gpu_lint.checks.ranks import deciding, place_of
from gpu_lint.facts.kinds import shown, types_of
from gpu_lint.facts.model import Form, Setting
from gpu_lint.facts.values import (
    EnvironmentValue,
    Known,
    Member,
    NeverMade,
    Place,
    Text,
    Value,
    alternatives,
    constants,
    option_behind,
    text_of,
)
from gpu_lint.findings import Applicability
from gpu_lint.masks import (
    MaskReading,
    certain_correction,
    certain_order,
    order_fault,
    read_mask,
    same_mask,
)
from gpu_lint.remedies import Remedy, ReplaceLiteral, UseText, WriteHeader
from gpu_lint.rulebook import Severity
from gpu_lint.variables import ALIASES, HEADER_VARIABLES, MASK, ORDER, Variable

_WRONG = {MASK: "GPU102", ORDER: "GPU104", "PYTORCH_CUDA_ALLOC_CONF": "GPU106"}
_NUL = "no variable can hold a null byte: writing it raises ValueError"
_JOIN_NOTE = "Python: str.join() raises TypeError for an item that is no string"
_EVIDENCE_VALUES = "measured: cuda-facts sections 3 to 5 and 14 (Linux)"


def judge_value(setting: Setting, variable: str, context: Context) -> Found | None:
    if setting.value is None or setting.form is Form.EXPORT or context.is_unread(setting):
        return None
    if setting.only_asked and context.is_test and not context.facts.selectors:
        return None  # what the code is tested with
    if context.is_tried_out(setting) and not (context.facts.reaches_gpu or context.facts.children):
        return None
    if found := _not_a_string(setting, variable, context):
        return found
    known = constants(setting.value)
    at = setting.value_span
    for constant in known or ():
        text = str(constant.value)
        fault, by_accident = _fault(variable, text, context)
        if fault:
            meant = _wanted_or(variable, context, _correction(variable, text, context))
            return Found(
                "GPU112",
                at,
                f"{setting.variable} = {text!r}: {fault}",
                _EVIDENCE_VALUES,
                _replacement(setting, context, meant),
                _value_safety(setting, known, context),
                Severity.WARNING if by_accident else None,
            )
    if variable == MASK and (found := _begins_wrong(setting.value, setting)):
        return found
    if context.rewrites.is_restore(setting) or (
        hides_gpus(setting) and context.is_for_a_child(setting)
    ):
        return None
    wanted = context.policy.value(variable) if context.policy else None
    if wanted is None:
        return None
    if known is None and _only_gives_way(setting, variable, wanted):
        return None  # GPU110
    if known is None:
        message = f"{setting.variable} is not known to be {wanted!r}, as the policy demands"
        option = option_behind(setting.value)
        if option is None:
            return Found(_WRONG[variable], at, message)
        said = f"{deciding(option, context)} decides {setting.variable}"
        message = f"{said}; the policy demands {wanted!r}"
        remedy = UseText(at, wanted)
        at = place_of(option, context) or at
        return Found(_WRONG[variable], at, message, "", remedy, Applicability.UNSAFE)
    for constant in known:
        if not same_setting(variable, str(constant.value), wanted):
            message = f"{setting.variable} is {constant.value!r}, the policy demands {wanted!r}"
            asserted = _is_asserted(setting, context)
            return Found(
                _WRONG[variable],
                at,
                message,
                "the fix is unsafe: an assertion expects this value" if asserted else "",
                _replacement(setting, context, wanted),
                _value_safety(setting, known, context),
            )
    return None


def _only_gives_way(setting: Setting, variable: str, wanted: str) -> bool:
    """Whether a write keeps what the parent process has set, and else puts in what is wanted."""
    if setting.form is not Form.IF_UNSET or setting.value is None:
        return False
    own = [
        text_of(one)
        for one in alternatives(setting.value)
        if one != EnvironmentValue(setting.variable)
    ]
    return bool(own) and all(
        text is not None and same_setting(variable, text, wanted) for text in own
    )


def judge_other(setting: Setting, variable: Variable, context: Context) -> Found | None:
    """What is wrong with the value of a variable beside CUDA's own."""
    if found := _not_a_string(setting, variable.name, context):
        return found
    known = constants(setting.value) if setting.value is not None else None
    for constant in known or ():
        text = str(constant.value)
        if fault := _NUL if "\0" in text else variable.fault(text):
            message = f"{variable.name} = {text!r}: {fault}"
            remedy = _replacement(setting, context, variable.correction(text))
            safety = _value_safety(setting, known, context)
            at, note = setting.value_span, variable.evidence
            return Found("GPU112", at, message, note, remedy, safety, Severity.WARNING)
    return None


def _not_a_string(setting: Setting, variable: str, context: Context) -> Found | None:
    """GPU112 for a value that is no string, whichever of several it is, or that may be such a
    constant."""
    if setting.value is None:
        return None
    if isinstance(setting.value, NeverMade):
        message = f"{setting.variable} is not written: {setting.value.why}, which raises TypeError"
        return Found("GPU112", setting.value_span, message, _JOIN_NOTE)
    known = [one for one in constants(setting.value) or () if not isinstance(one.value, str)]
    types = types_of(known[0]) if known else types_of(setting.value)
    if not types:
        return None
    single = setting.value if len(alternatives(setting.value)) == 1 else None
    text = repr(known[0].value) if known else _named(single) if single is not None else None
    what = text if text is not None else f"a value of type {' or '.join(types)}"
    message = f"{setting.variable} must be a string: writing {what} raises TypeError"
    note = f"measured: cuda-facts section 2 (str expected, not {types[0]})"
    number = known[0].value if known else None
    meant = str(number) if type(number) is int else None
    remedy = _replacement(setting, context, _wanted_or(variable, context, meant))
    return Found("GPU112", setting.value_span, message, note, remedy)


def _named(value: Value) -> str | None:
    """What a message calls a value that is no string; None where only its type is known."""
    return value.text or None if isinstance(value, Member) else shown(value)


def _begins_wrong(value: Value, setting: Setting) -> Found | None:
    """GPU112 for a mask that is not known, but begins as none does: ``f"cuda:{n}"``."""
    starts = [_start_of(single) for single in alternatives(value)]
    if not all(starts):
        return None
    message = f"{setting.variable} begins with {min(starts, key=len)!r}: CUDA shows no GPU at all"
    return Found("GPU112", setting.value_span, message, _EVIDENCE_VALUES)


def _start_of(value: Value) -> str:
    """The known text with which a mask begins, if CUDA shows no GPU for any that begins so."""
    part = value.parts[0] if isinstance(value, Text) else value
    first = (text_of(part) or "").partition(",")[0].lstrip()
    if not first or first.startswith("-"):
        return ""
    reading = read_mask(f"{first}0" if isinstance(value, Text) else first)
    return first if reading.fault and not reading.devices else ""


def _fault(variable: str, text: str, context: Context) -> tuple[str, bool]:
    if "\0" in text:
        return _NUL, False
    if variable == MASK:
        reading = read_mask(text)
        return reading.fault, reading.by_accident
    if variable == ORDER:
        return order_fault(text), False
    release, said = context.pytorch
    fault = allocator.fault(text, release)
    pinned = bool(fault) and not allocator.fault(text)
    return f"{fault}; {said}" if pinned else fault, False


def _correction(variable: str, text: str, context: Context) -> str | None:
    if variable == MASK:
        return certain_correction(text)
    if variable == ORDER:
        return certain_order(text)
    return allocator.correction(text, context.pytorch[0])


def same_setting(variable: str, one: str, other: str) -> bool:
    if variable == MASK:
        return same_mask(one, other)
    return one == other if variable == ORDER else allocator.same(one, other)


def _wanted_or(variable: str, context: Context, otherwise: str | None) -> str | None:
    wanted = context.policy.value(variable) if context.policy else None
    return wanted or otherwise


def _replacement(setting: Setting, context: Context, value: str | None) -> Remedy | None:
    if setting.form is Form.FOR_A_WHILE:
        return None
    if gathered(setting, context):
        return WriteHeader()
    if value is None or (setting.peers == 0 and not _is_literal(setting, context)):
        return None
    return ReplaceLiteral(setting.value_span, value)


def _is_literal(setting: Setting, context: Context) -> bool:
    origin = setting.value.origin if isinstance(setting.value, Known) else None
    return origin == Place(context.facts.file, setting.value_span)


def _value_safety(
    setting: Setting, known: tuple[Known, ...] | None, context: Context
) -> Applicability:
    single = known is not None and len(known) == 1
    if hides_gpus(setting) or _is_asserted(setting, context) or context.is_tried_out(setting):
        return Applicability.UNSAFE  # that is meant
    if gathered(setting, context) or (single and _is_literal(setting, context)):
        return Applicability.SAFE
    return Applicability.UNSAFE


def gathered(setting: Setting, context: Context) -> bool:
    """Whether writing the header takes a statement away from where it stands.

    It does so with module-level statements that only write header variables, but for masks that
    hide the GPUs or are written behind a removal, and for values that an assertion expects.
    """
    if not context.header_required or not setting.top_level or setting.peers == 0:
        return False
    if context.policy_module is not None and context.policy_module.fault:
        return False
    peers = context.rewrites.of_statement(setting.span)
    if any(map(hides_gpus, peers)) or any(map(context.is_behind_removal, peers)):
        return False
    if any(_is_asserted(peer, context) for peer in peers):
        return False
    if any(context.rewrites.is_restore(peer) or context.is_for_a_child(peer) for peer in peers):
        return False
    return all(
        ALIASES.get(peer.variable, peer.variable) in HEADER_VARIABLES
        and context.wanted(ALIASES.get(peer.variable, peer.variable)) is not None
        for peer in peers
    )


def _is_asserted(setting: Setting, context: Context) -> bool:
    """Whether an assertion expects what a write puts into a variable, and the policy something
    else."""
    known = constants(setting.value) if setting.value is not None else None
    written = [one.value for one in known or () if isinstance(one.value, str)]
    variable = ALIASES.get(setting.variable, setting.variable)
    wanted = context.policy.value(variable) if context.policy else None
    others = [
        text for text in written if wanted is None or not same_setting(variable, text, wanted)
    ]
    return bool(others) and context.facts.reading.is_asserted(setting.span, *others)


def hides_gpus(setting: Setting) -> bool:
    """Whether a write hides every GPU on purpose: ``""``, ``"-1"`` and the like."""
    if ALIASES.get(setting.variable, setting.variable) != MASK or setting.value is None:
        return False
    return any(
        isinstance(one.value, str) and read_mask(one.value) == MaskReading(())
        for one in constants(setting.value) or ()
    )
