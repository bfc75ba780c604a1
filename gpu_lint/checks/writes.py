"""Judges every write to a header variable: one verdict on its value, one on its place."""

from __future__ import annotations

from collections.abc import Iterator

from gpu_lint.checks.context import Context, Found
from gpu_lint.checks.places import judge_place
from gpu_lint.checks.values import judge_other, judge_value, same_setting
from gpu_lint.facts.model import Certainty, Form, Reach, Setting
from gpu_lint.facts.values import constants
from gpu_lint.findings import Applicability
from gpu_lint.records import record
from gpu_lint.remedies import ReplaceLiteral, SetAtModuleLevel
from gpu_lint.rulebook import Severity
from gpu_lint.source import Span
from gpu_lint.variables import ALIASES, HEADER_VARIABLES, MASK, ORDER

_ORDER_NOTE = "measured: cuda-facts section 4 (unset means FASTEST_FIRST)"
_REMOVED_NOTE = "measured: cuda-facts section 2 (only the value at first use counts)"


@record
class Judgement:
    """A write with the verdicts on it; ``variable`` is the header variable it means."""

    setting: Setting
    variable: str
    value: Found | None
    place: Found | None


def judge(context: Context) -> list[Judgement]:
    """The verdicts on all writes of a file."""
    result = []
    for setting in context.settings:
        variable = ALIASES.get(setting.variable, setting.variable)
        meant = context.rulebook.knowledge.misspelt(setting.variable)
        if meant is not None and setting.value is not None:
            other = context.rulebook.knowledge.variable(meant)
            whom = "CUDA never sees it" if other is None else f"{other.reader} never sees it"
            message = f"{setting.variable!r} is not {meant}, so {whom}"
            note = "measured: cuda-facts section 2 (Linux; Windows ignores case only)"
            spelt_out = setting.key_span != setting.value_span  # not update(NAME=value)
            remedy = ReplaceLiteral(setting.key_span, meant) if spelt_out else None
            found = Found("GPU114", setting.key_span, message, note, remedy)
            result.append(Judgement(setting, meant, found, None))
        elif variable in HEADER_VARIABLES:
            value = judge_value(setting, variable, context)
            result.append(Judgement(setting, variable, value, judge_place(setting, context)))
        elif (other := context.rulebook.knowledge.variable(variable)) is not None:
            value = judge_other(setting, other, context)
            result.append(Judgement(setting, variable, value, None))
    return result


def check_settings(context: Context) -> Iterator[Found]:
    """GPU102, 104, 106–110, 112, 114–116."""
    for judgement in judge(context):
        if judgement.value is not None:
            yield judgement.value
        if judgement.place is not None:
            yield judgement.place


def check_conflicts(context: Context) -> Iterator[Found]:
    """GPU111: a value that is replaced before anything can have used it."""
    own: dict[str, list[Span]] = {}
    for setting in context.settings:
        own.setdefault(setting.function, []).append(setting.span)
    for setting in context.settings:
        if setting.variable not in (*HEADER_VARIABLES, *ALIASES) or setting.conditional:
            continue
        if ALIASES.get(setting.variable, setting.variable) in (MASK, ORDER):
            if setting.form is Form.REMOVE:
                continue  # GPU118
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
        if written.file != context.facts.file:
            continue  # to replace what a module forces on its importers is the only way out
        if setting.reach is Reach.UNCALLED and written.span not in own.get(setting.function, ()):
            continue  # nothing is shown to call it after the other
        variable = ALIASES.get(setting.variable, setting.variable)
        before = str(held[0].value)
        if new and same_setting(variable, before, str(new[0].value)):
            continue
        line = context.row(written.span.start)
        done = f"replaced by {new[0].value!r}" if new else "removed again"
        message = f"{setting.variable} = {before!r} from line {line} is {done} before any use"
        yield Found("GPU111", setting.span, message)


def check_removals(context: Context) -> Iterator[Found]:
    """GPU118: the mask or the order is taken away before the first use."""
    for setting in context.early_removals:
        variable = ALIASES.get(setting.variable, setting.variable)
        if variable not in (MASK, ORDER):
            continue
        called = setting.reach > Reach.UNCALLED
        if called and variable == MASK and not context.facts.may_inherit_mask:
            continue  # some other file writes it again
        wrote = any(written.value is not None for written in setting.before)
        if not wrote and (context.policy is None or not context.gpu_file):
            continue  # it may be what a parent process has set for others
        surely = called and setting.frozen.certainty is Certainty.NEVER
        surely = surely and (wrote or not setting.conditional)
        removed = "is removed here" if surely else "may be removed here"
        message = f"{setting.variable} {removed}, before CUDA reads it: the parent process decides"
        severity = None if surely else Severity.WARNING
        yield Found("GPU118", setting.span, message, _REMOVED_NOTE, severity=severity)


def check_orders(context: Context) -> Iterator[Found]:
    """GPU119: a number that counts the machine's GPUs becomes the mask, and nothing says that CUDA
    is to count them alike."""
    if context.wanted(ORDER) is not None:
        return
    for setting in context.settings:
        if setting.variable != MASK or setting.value is None or constants(setting.value):
            continue
        source = context.facts.reading.counted_by(setting.value_span)
        if source is None or setting.frozen.certainty is Certainty.ALWAYS:
            continue
        if _sets_order(context):
            return
        message = (
            f"this index counts GPUs in PCI order ({source}), but nothing sets {ORDER}: CUDA "
            "counts the fastest first, so on a machine with different cards it is another card"
        )
        remedy = SetAtModuleLevel(ORDER, "PCI_BUS_ID") if setting.reach is Reach.MODULE else None
        safety = Applicability.UNSAFE if _names_others(context) else Applicability.SAFE
        yield Found("GPU119", setting.span, message, _ORDER_NOTE, remedy, safety)


def _sets_order(context: Context) -> bool:
    """Whether this file, or another one of its processes, sets the order."""
    companions = (companion.facts for companion in context.companions())
    return any(
        one.variable == ORDER and one.value is not None
        for facts in (context.facts, *companions)
        for one in (*facts.settings, *facts.reached_settings)
    )


def _names_others(context: Context) -> bool:
    """Whether this file, or another one of its processes, names a device other than the first."""
    companions = (companion.facts for companion in context.companions())
    return any(
        selector.inputs or any(index.number for index in selector.indices)
        for facts in (context.facts, *companions)
        for selector in facts.selectors
    )


def check_forced_settings(context: Context) -> Iterator[Found]:
    """GPU117: a mask that a module forces on whoever imports it."""
    facts = context.facts
    if not facts.importers or context.entry_point or context.header_required:
        return
    for setting in context.settings:
        forced = setting.form in (Form.ASSIGN, Form.UPDATE) and setting.reach is Reach.MODULE
        known = constants(setting.value) if setting.value is not None else None
        if setting.variable == MASK and forced and known and not setting.harmless:
            name, _ = context.place(facts.importers[0], setting.span)
            message = f"importing this module sets {MASK} for the whole program ({name} does)"
            if setting.frozen.certainty is not Certainty.ALWAYS:
                yield Found("GPU117", setting.span, message)
