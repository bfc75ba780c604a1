"""Judges every write to a header variable: one verdict on its value, one on its place."""

from __future__ import annotations

from collections.abc import Iterator

from gpu_lint.checks.context import Context, Found
from gpu_lint.checks.places import judge_place, judge_written_device
from gpu_lint.checks.policyimports import late_import
from gpu_lint.checks.values import judge_other, judge_value, same_setting
from gpu_lint.facts.model import Certainty, Form, Reach, Setting, Written
from gpu_lint.facts.values import UNKNOWN, EnvironmentValue, Text, alternatives, constants
from gpu_lint.findings import Applicability
from gpu_lint.records import record
from gpu_lint.remedies import ReplaceLiteral, SetAtModuleLevel
from gpu_lint.rulebook import Severity
from gpu_lint.variables import ALIASES, HEADER_VARIABLES, MASK, ORDER

_ORDER_NOTE = "measured: cuda-facts section 4 (unset means FASTEST_FIRST)"
_REMOVED_NOTE = "measured: cuda-facts section 2 (only the value at first use counts)"
_REBOUND_NOTE = (
    "measured: runtime-facts (torch counts by os.environ, the driver by the environment itself)"
)


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
        if setting.form is Form.REBOUND:
            continue  # GPU118
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
    if (late := late_import(context)) is not None:
        yield late
    for selector in context.facts.selectors:
        if (found := judge_written_device(selector, context)) is not None:
            yield found


def check_conflicts(context: Context) -> Iterator[Found]:
    """GPU111: a value that is replaced before anything can have used it, or may be."""
    for setting in context.settings:
        found = _conflict(setting, context)
        if found is not None and not _is_wrong_itself(setting, context):
            yield found
    for setting in context.possible_settings:
        if setting.value is None or setting.variable not in (MASK, ORDER):
            continue
        replaced = _first_known(setting, context)
        if replaced is not None:
            message = f"{replaced} may be replaced here, under a name that is not known"
            if context.reads_dotenv(setting):
                message = (
                    f"{replaced} is replaced here if a .env file sets it: read that file first"
                )
            yield Found("GPU111", setting.span, message, severity=Severity.WARNING)


def _conflict(setting: Setting, context: Context) -> Found | None:
    """What a write to a known variable replaces that nothing can have used."""
    variable = ALIASES.get(setting.variable, setting.variable)
    if variable not in HEADER_VARIABLES or setting.conditional:
        return None
    if setting.form in (Form.FOR_A_WHILE, Form.EXPORT):
        return None
    if context.rewrites.is_put_back(setting):
        return None
    if context.given_back.get((setting.variable, setting.function), -1) > setting.span.start:
        return None
    if variable in (MASK, ORDER) and setting.value is None:
        return None  # GPU118
    if not setting.undisturbed or setting.frozen.certainty is not Certainty.NEVER:
        return None
    if len(setting.before) != 1:
        return None
    written = setting.before[0]
    held = constants(written.value) if written.value is not None else None
    if written.weak or written.span is None or not held or len(held) != 1:
        return None
    if not _comes_after(setting, written, context):
        return None
    known = constants(setting.value) if setting.value is not None else ()
    before = held[0].value
    line = context.line(written)
    if known is None and context.policy is None and not _reads_itself(setting):
        message = f"{setting.variable} = {before!r} from {line} is replaced before any use"
        message += " by a value that is not known"
        return Found("GPU111", setting.span, message, severity=Severity.WARNING)
    if known is None or len(known) > 1:
        return None
    if known and same_setting(variable, str(before), str(known[0].value)):
        return None
    done = f"replaced by {known[0].value!r}" if known else "removed again"
    message = f"{setting.variable} = {str(before)!r} from {line} is {done} before any use"
    return Found("GPU111", setting.span, message)


def _is_wrong_itself(setting: Setting, context: Context) -> bool:
    """Whether what is written has a finding of its own: mended, it contradicts nothing."""
    variable = ALIASES.get(setting.variable, setting.variable)
    return judge_value(setting, variable, context) is not None


def _comes_after(setting: Setting, written: Written, context: Context) -> bool:
    """Whether a write is shown to come after another one that it replaces."""
    if written.file != context.facts.file:
        # to replace what a module forces on its importers is the only way out
        return written.file in context.facts.importers
    return setting.reach is not Reach.UNCALLED or any(
        other.span == written.span and other.function == setting.function
        for other in context.settings
    )


def _reads_itself(setting: Setting) -> bool:
    """Whether a value is made of what the variable, or another one, held before."""
    parts = (
        part
        for single in alternatives(setting.value or UNKNOWN)
        for part in (single.parts if isinstance(single, Text) else (single,))
    )
    return any(isinstance(part, EnvironmentValue) for part in parts)


def _first_known(setting: Setting, context: Context) -> str | None:
    """A known value, with its place, that a write under an unknown name may replace or remove
    before CUDA reads it."""
    if setting.frozen.certainty is Certainty.ALWAYS:
        return None
    for written in setting.before:
        known = constants(written.value) if written.value is not None else None
        if known and not written.weak and written.span is not None:
            in_own_file = written.file == context.facts.file
            if not in_own_file and setting.reach is not Reach.UNCALLED:
                return f"{setting.variable} = {known[0].value!r} from {context.line(written)}"
            if in_own_file and _comes_after(setting, written, context):
                return f"{setting.variable} = {known[0].value!r} from {context.line(written)}"
    return None


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
        uses = context.gpu_file or setting.function in context.server_hooks
        if not wrote and (context.policy is None or not uses):
            continue  # it may be what a parent process has set for others
        surely = called and setting.frozen.certainty is Certainty.NEVER
        surely = surely and (wrote or not setting.conditional)
        removed = "is removed here" if surely else "may be removed here"
        message = f"{setting.variable} {removed}, before CUDA reads it: the parent process decides"
        severity = None if surely else Severity.WARNING
        yield Found("GPU118", setting.span, message, _REMOVED_NOTE, severity=severity)
    for setting in context.rebindings:
        message = "os.environ is replaced here: what is written to the new dict never reaches CUDA"
        yield Found("GPU118", setting.span, message, _REBOUND_NOTE)
    for setting in context.possible_settings:
        if setting.value is None and _first_known(setting, context) is not None:
            message = f"{setting.variable} may be removed here, under a name that is not known,"
            message += " before CUDA reads it: the parent process decides"
            severity = Severity.WARNING
            yield Found("GPU118", setting.span, message, _REMOVED_NOTE, severity=severity)


def removed_again(context: Context) -> frozenset[str]:
    """Return the variables that the program sets, and that GPU118 says are removed in the file."""
    removed = {found.span for found in check_removals(context)}
    return frozenset(
        ALIASES.get(one.variable, one.variable)
        for one in context.early_removals
        if one.span in removed and any(written.value is not None for written in one.before)
    )


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
