"""Judges every write to a header variable: one verdict on its value, one on its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gpu_lint import allocator
from gpu_lint.checks.context import Context, Found
from gpu_lint.checks.names import ALIASES, misspelt
from gpu_lint.facts.model import Certainty, Form, Mark, Reach, Setting
from gpu_lint.facts.values import Known, constants
from gpu_lint.findings import Applicability
from gpu_lint.masks import (
    certain_correction,
    certain_order,
    order_fault,
    read_mask,
    same_mask,
)
from gpu_lint.policy import HEADER_VARIABLES
from gpu_lint.remedies import (
    AssignPlainly,
    MoveSettings,
    Remedy,
    ReplaceLiteral,
    SetAtModuleLevel,
    WriteHeader,
)
from gpu_lint.rulebook import Severity
from gpu_lint.source import Span

MASK = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"
_WRONG = {MASK: "GPU102", ORDER: "GPU104", "PYTORCH_CUDA_ALLOC_CONF": "GPU106"}
_EVIDENCE_VALUES = "measured: cuda-facts sections 3 to 5 (Linux)"
_EVIDENCE_ORDER = "measured: cuda-facts section 1 (Linux, torch 2.11; Windows is unmeasured)"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A write with the verdicts on it; ``variable`` is the header variable it means."""

    setting: Setting
    variable: str
    value: Found | None
    place: Found | None


def judge(context: Context) -> list[Judgement]:
    """The verdicts on all writes of a file."""
    result = []
    for setting in context.facts.settings:
        variable = ALIASES.get(setting.variable, setting.variable)
        meant = misspelt(setting.variable)
        if meant is not None and setting.value is not None:
            message = f"{setting.variable!r} is not {meant}, so CUDA never sees it"
            note = "measured: cuda-facts section 2 (Linux; Windows ignores case only)"
            spelt_out = setting.key_span != setting.value_span  # not update(NAME=value)
            remedy = ReplaceLiteral(setting.key_span, meant) if spelt_out else None
            found = Found("GPU114", setting.key_span, message, note, remedy)
            result.append(Judgement(setting, meant, found, None))
        elif variable in HEADER_VARIABLES:
            value = _judge_value(setting, variable, context)
            result.append(Judgement(setting, variable, value, _judge_place(setting, context)))
    return result


def check_settings(context: Context) -> Iterator[Found]:
    """GPU102, 104, 106–110, 112, 114."""
    for judgement in judge(context):
        if judgement.value is not None:
            yield judgement.value
        if judgement.place is not None:
            yield judgement.place


# --- the value ---------------------------------------------------------------------------


def _judge_value(setting: Setting, variable: str, context: Context) -> Found | None:
    if setting.value is None:
        return None
    known = constants(setting.value)
    at = setting.value_span
    for constant in known or ():
        if not isinstance(constant.value, str):
            return _not_a_string(setting, variable, constant, context)
        text = constant.value
        fault, by_accident = _fault(variable, text)
        if fault:
            meant = _wanted_or(variable, context, _correction(variable, text))
            return Found(
                "GPU112",
                at,
                f"{setting.variable} = {text!r}: {fault}",
                _EVIDENCE_VALUES,
                _replacement(setting, context, meant),
                _value_safety(setting, known, context),
                Severity.WARNING if by_accident else None,
            )
    wanted = context.policy.value(variable) if context.policy else None
    if wanted is None:
        return None
    if known is None:
        message = f"{setting.variable} is not known to be {wanted!r}, as the policy demands"
        return Found(_WRONG[variable], at, message)
    for constant in known:
        if not _same(variable, str(constant.value), wanted):
            message = f"{setting.variable} is {constant.value!r}, the policy demands {wanted!r}"
            return Found(
                _WRONG[variable],
                at,
                message,
                "",
                _replacement(setting, context, wanted),
                _value_safety(setting, known, context),
            )
    return None


def _not_a_string(setting: Setting, variable: str, constant: Known, context: Context) -> Found:
    kind = "None" if constant.value is None else type(constant.value).__name__
    message = f"{setting.variable} must be a string: writing {constant.value!r} raises TypeError"
    note = f"measured: cuda-facts section 2 (str expected, not {kind})"
    meant = str(constant.value) if type(constant.value) is int else None
    meant = _wanted_or(variable, context, meant)
    remedy = _replacement(setting, context, meant)
    return Found("GPU112", setting.value_span, message, note, remedy)


def _fault(variable: str, text: str) -> tuple[str, bool]:
    if variable == MASK:
        reading = read_mask(text)
        return reading.fault, reading.by_accident
    return (order_fault(text) if variable == ORDER else allocator.fault(text)), False


def _correction(variable: str, text: str) -> str | None:
    if variable == MASK:
        return certain_correction(text)
    return certain_order(text) if variable == ORDER else allocator.correction(text)


def _same(variable: str, one: str, other: str) -> bool:
    if variable == MASK:
        return same_mask(one, other)
    return one == other if variable == ORDER else allocator.same(one, other)


def _wanted_or(variable: str, context: Context, otherwise: str | None) -> str | None:
    wanted = context.policy.value(variable) if context.policy else None
    return wanted or otherwise


def _replacement(setting: Setting, context: Context, value: str | None) -> Remedy | None:
    if gathered(setting, context):
        return WriteHeader()
    if value is None or (setting.peers == 0 and not _is_literal(setting)):
        return None
    return ReplaceLiteral(setting.value_span, value)


def _is_literal(setting: Setting) -> bool:
    return isinstance(setting.value, Known) and setting.value.origin == setting.value_span


def _value_safety(
    setting: Setting, known: tuple[Known, ...] | None, context: Context
) -> Applicability:
    single = known is not None and len(known) == 1
    if gathered(setting, context) or (single and _is_literal(setting)):
        return Applicability.SAFE
    return Applicability.UNSAFE


def gathered(setting: Setting, context: Context) -> bool:
    """Whether writing the header takes a statement away from where it stands.

    It does so with module-level statements that only write header variables.
    """
    if not context.header_required or not setting.top_level or setting.peers == 0:
        return False
    peers = [other for other in context.facts.settings if other.span == setting.span]
    return all(
        ALIASES.get(peer.variable, peer.variable) in HEADER_VARIABLES
        and context.wanted(ALIASES.get(peer.variable, peer.variable)) is not None
        for peer in peers
    )


# --- the place ---------------------------------------------------------------------------


def _judge_place(setting: Setting, context: Context) -> Found | None:
    if setting.value is None or redundant(setting):
        return None
    alloc = setting.variable.endswith("ALLOC_CONF")
    deadline = setting.allocated if alloc else setting.frozen
    for_children = any(child.start > setting.span.start for child in context.facts.children)
    if setting.form is Form.PUTENV:
        return _putenv(setting, context)
    if for_children and context.policy is None:
        return None
    if deadline.certainty is Certainty.ALWAYS:
        return _after_freeze(setting, deadline, alloc, context)
    imported = setting.imported if setting.reach > Reach.UNCALLED else setting.imported_here
    if imported.certainty is Certainty.ALWAYS and (context.policy is not None or not alloc):
        return _after_import(setting, imported, context)
    if _in_idle_function(setting, context):
        message = (
            f"{setting.variable} is set in {setting.function}(), which nothing is shown to call"
            " before the GPU is used"
        )
        known = constants(setting.value)
        text = known[0].value if known and len(known) == 1 else None
        remedy = SetAtModuleLevel(setting.variable, text) if isinstance(text, str) else None
        unsafe = Applicability.UNSAFE
        return Found("GPU109", setting.span, message, _EVIDENCE_ORDER, remedy, unsafe)
    if setting.form in (Form.SETDEFAULT, Form.IF_UNSET) and context.wanted(
        ALIASES.get(setting.variable, setting.variable)
    ):
        message = f"{setting.variable} is written {setting.form.value}: the parent process wins"
        if setting.form is Form.SETDEFAULT:
            message = f"{setting.variable} is written with setdefault(): the parent process wins"
        note = "measured: cuda-facts section 2 (setdefault while the parent had set 0)"
        return Found("GPU110", setting.span, message, note, _move(setting, context))
    return None


def redundant(setting: Setting) -> bool:
    """Whether the variable surely holds that value already: writing it again is harmless."""
    known = constants(setting.value) if setting.value is not None else None
    if not known or len(known) != 1 or not setting.before:
        return False
    for written in setting.before:
        held = None if written.value is None or written.weak else constants(written.value)
        if not held or any(constant.value != known[0].value for constant in held):
            return False
    return True


def _putenv(setting: Setting, context: Context) -> Found:
    message = "os.putenv() does not reach CUDA in this process; assign to os.environ instead"
    note = "measured: cuda-facts section 2 (torch counts 2 devices, then fails to initialise)"
    known = constants(setting.value) if setting.value is not None else None
    remedy: Remedy | None = None
    if gathered(setting, context):
        remedy = WriteHeader()
    elif setting.peers == 1 and known and len(known) == 1 and isinstance(known[0].value, str):
        remedy = AssignPlainly(setting.span, setting.variable, known[0].value)
    return Found("GPU110", setting.span, message, note, remedy)


def _after_freeze(setting: Setting, deadline: Mark, alloc: bool, context: Context) -> Found:
    assert deadline.trigger is not None
    cause, line = deadline.trigger.text, context.row(deadline.trigger.span.start)
    if alloc:
        message = (
            f"`{cause}` on line {line} has already allocated GPU memory; this line has no effect"
        )
        note = "measured: cuda-facts section 5 (torch 2.11, Linux)"
    else:
        message = f"`{cause}` on line {line} has already fixed the visible devices"
        message += "; this line has no effect"
        note = _EVIDENCE_ORDER
        if setting.variable == MASK and cause.startswith("torch."):
            message += ", though torch.cuda.device_count() may report it as if it had"
    remedy, safety = _move(setting, context), Applicability.SAFE
    if isinstance(remedy, MoveSettings) and not alloc:
        remedy, safety = _with_selectors(setting, remedy, context)
    return Found("GPU107", setting.span, message, note, remedy, safety)


def _after_import(setting: Setting, imported: Mark, context: Context) -> Found:
    assert imported.trigger is not None
    cause, line = imported.trigger.text, context.row(imported.trigger.span.start)
    message = f"{setting.variable} is set after `{cause}` (line {line})"
    message += ": it works only as long as no import touches CUDA"
    note = "measured: cuda-facts section 1; pytorch#80876 broke it in torch 1.12"
    return Found("GPU108", setting.span, message, note, _move(setting, context))


def _move(setting: Setting, context: Context) -> Remedy | None:
    """Header under a policy; else the module-level statements that write header variables."""
    if gathered(setting, context):
        return WriteHeader()
    if context.header_required and setting.reach > Reach.UNCALLED:
        return WriteHeader()
    if context.policy is not None or not setting.top_level or setting.peers == 0:
        return None
    if setting.form in (Form.SETDEFAULT, Form.IF_UNSET):
        return None
    known = {expression.partition(".")[0] for expression, _ in context.facts.layout.environ}
    known |= {"str", "int"}
    late = {
        other.span
        for other in context.facts.settings
        if other.top_level
        and other.peers > 0
        and other.variable in (*HEADER_VARIABLES, *ALIASES)
        and other.imported.certainty is Certainty.ALWAYS
        and other.form in (Form.ASSIGN, Form.UPDATE)
        and other.names <= known
    }
    return MoveSettings(tuple(sorted(late))) if setting.span in late else None


def _with_selectors(
    setting: Setting, remedy: MoveSettings, context: Context
) -> tuple[Remedy, Applicability]:
    """A mask that is ignored today and the indices that work today change together."""
    known = constants(setting.value) if setting.value is not None else None
    text = known[0].value if known and len(known) == 1 else None
    if setting.variable != MASK or not isinstance(text, str):
        return remedy, Applicability.UNSAFE if setting.variable == MASK else Applicability.SAFE
    devices = read_mask(text).devices
    safe = bool(devices)
    indices: list[tuple[Span, int]] = []
    for selector in context.facts.selectors:
        if not selector.complete:
            safe = False
        for index in selector.indices:
            if index.number < len(devices):
                continue
            if len(devices) != 1 or index.span is None or str(index.number) != devices[0]:
                safe = False
            elif selector.needs <= len(devices):
                indices.append((index.span, 0))
                safe = safe and (index.span in selector.span)
    return (
        MoveSettings(remedy.statements, tuple(dict.fromkeys(indices))),
        Applicability.SAFE if safe else Applicability.UNSAFE,
    )


def _in_idle_function(setting: Setting, context: Context) -> bool:
    name = setting.function
    return (
        setting.reach is Reach.UNCALLED
        and setting.imported.certainty is Certainty.ALWAYS
        and not setting.imports_framework_later
        and not context.header_required
        and name not in context.facts.referenced
        and name not in context.mentioned_elsewhere
        and name != "main"
        and not name.startswith(("test", "setUp", "setup_", "pytest_"))
    )


def check_conflicts(context: Context) -> Iterator[Found]:
    """GPU111: a value that is replaced or removed before anything can have used it."""
    for setting in context.facts.settings:
        if setting.variable not in (*HEADER_VARIABLES, *ALIASES) or setting.conditional:
            continue
        if not setting.undisturbed or setting.frozen.certainty is not Certainty.NEVER:
            continue
        old = set(setting.before)
        new = constants(setting.value) if setting.value is not None else ()
        if len(old) != 1 or new is None or len(new) > 1:
            continue
        written = old.pop()
        held = constants(written.value) if written.value is not None else None
        if written.weak or written.span is None or not held or len(held) != 1:
            continue
        variable = ALIASES.get(setting.variable, setting.variable)
        before = str(held[0].value)
        if new and _same(variable, before, str(new[0].value)):
            continue
        line = context.row(written.span.start)
        done = f"replaced by {new[0].value!r}" if new else "removed again"
        message = f"{setting.variable} = {before!r} from line {line} is {done} before any use"
        yield Found("GPU111", setting.span, message)
