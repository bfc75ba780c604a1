"""Judges where a write to a header variable stands: whether CUDA still listens there."""

from __future__ import annotations

from dataclasses import replace

from gpu_lint.checks.context import Context, Found
from gpu_lint.checks.values import gathered
from gpu_lint.facts.model import (
    Certainty,
    Child,
    Form,
    Mark,
    Reach,
    Selector,
    Setting,
    Trigger,
)
from gpu_lint.facts.skimmed import BEFORE_ALL
from gpu_lint.facts.values import Input, Place, alternatives, constants, input_of
from gpu_lint.findings import Applicability
from gpu_lint.masks import read_mask
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
from gpu_lint.variables import ALIASES, MASK

_EVIDENCE_ORDER = "measured: cuda-facts section 1 (Linux, torch 2.11; Windows is unmeasured)"
_EVIDENCE_LUCK = "measured: cuda-facts section 1; pytorch#80876 broke it in torch 1.12"
_IN_PACKAGE = "set it in the package's own __init__.py, before its imports"
_EVIDENCE_ALLOC = "measured: cuda-facts section 5 (torch 2.11, Linux)"


def judge_place(setting: Setting, context: Context) -> Found | None:
    """The verdict on the place or form of a write: the first of 107, 115, 116, 108, 109, 110."""
    if setting.value is None or setting.harmless:
        return None
    if not setting.form.reaches_cuda:
        return _elsewhere(setting, context)
    if setting.form is Form.FOR_A_WHILE:
        return _for_a_while(setting, context)
    if context.rewrites.is_restore(setting) or context.is_for_a_child(setting):
        return None
    if (unread := _unread(setting, context)) is not None:
        return unread
    if context.policy is None and (
        _is_for_a_while(setting, context)
        or _has_chosen(setting, context)
        or _is_for_a_child(setting, context)
    ):
        return None
    alloc = setting.variable.endswith("ALLOC_CONF")
    deadline = setting.allocated if alloc else setting.frozen
    if context.is_policy_module and _is_of_importers(deadline, setting.imported, context):
        return None
    if deadline.trigger is not None:
        return _late(setting, deadline, deadline.trigger, alloc, context)
    called = setting.reach > Reach.UNCALLED or setting.function in context.run_by_others
    imported = setting.imported if called else setting.imported_here
    luck = imported.certainty is Certainty.ALWAYS or _comes_before_all(imported, context)
    luck = luck and (context.policy is not None or not alloc)
    if luck and imported.trigger is not None and not _is_for_children(context):
        return _lucky(setting, imported.trigger, context)
    if _in_idle_function(setting, context):
        return _idle(setting, context)
    variable = ALIASES.get(setting.variable, setting.variable)
    if setting.form in (Form.SETDEFAULT, Form.IF_UNSET) and context.wanted(variable):
        if context.is_checked(variable):
            return None
        message = f"{setting.variable} is written {setting.form.value}: the parent process wins"
        if setting.form is Form.SETDEFAULT:
            message = f"{setting.variable} is written with setdefault(): the parent process wins"
            if context.reads_dotenv(setting):
                message = f"load_dotenv() keeps a {setting.variable} that is set: "
                message += "the parent process wins"
        note = "measured: cuda-facts section 2 (setdefault while the parent had set 0)"
        return Found("GPU110", setting.span, message, note, _move(setting, context))
    return None


def _is_of_importers(deadline: Mark, imported: Mark, context: Context) -> bool:
    """Whether it is for the files that import this one, each by itself, that a write comes late:
    nothing in this one is the cause."""
    triggers = [mark.trigger for mark in (deadline, imported) if mark.trigger is not None]
    return not any(trigger.seen_from(context.facts.file) for trigger in triggers)


def _comes_before_all(imported: Mark, context: Context) -> bool:
    """Whether a framework is imported by a package that ``python -m`` runs before the program."""
    step = imported.trigger.seen_from(context.facts.file) if imported.trigger is not None else None
    return step is not None and step.span == BEFORE_ALL


def _for_a_while(setting: Setting, context: Context) -> Found | None:
    """The verdict on a write that is taken back, and is not for a child process: whether it comes
    too late. In tests, values that nothing reads are what other code is tested with."""
    trigger = setting.frozen.trigger
    if trigger is None or context.is_test or context.is_for_a_child(setting):
        return None
    found = _late(setting, setting.frozen, trigger, False, context)
    return replace(found, remedy=None)


def _is_for_a_while(setting: Setting, context: Context) -> bool:
    """Whether a write gives back what the variable held, or is followed by one that does."""
    last = context.given_back.get((setting.variable, setting.function))
    return last is not None and last >= setting.span.start


def _is_for_a_child(setting: Setting, context: Context) -> bool:
    """Whether a process that is started behind a write takes over what it wrote: in code that runs
    if the write does."""
    return any(
        _starts_behind(child, setting)
        and child.mask is None
        and not (child.target and child.target == setting.function)
        and (child.reach > Reach.UNCALLED or setting.reach is Reach.UNCALLED)
        for child in context.facts.children
    )


def _starts_behind(child: Child, setting: Setting) -> bool:
    """Whether a process is started behind a write. A function that sets the mask stands above much
    that runs before it is called: there it counts what the process was handed."""
    if child.span.start <= setting.span.start:
        return False
    if setting.variable != MASK or (setting.reach, child.reach) != (Reach.CALLED, Reach.MODULE):
        return True
    return any(one.span == setting.span for one in child.takes_over(MASK))


def _has_chosen(setting: Setting, context: Context) -> bool:
    """Whether the process has chosen its device by ``set_device()`` before it works out a mask,
    which is then for the processes that it starts; an option or a rank as it is is not."""
    if setting.value is None or constants(setting.value) is not None or not setting.chosen:
        return False
    read = filter(None, map(input_of, alternatives(setting.value)))
    if not all(isinstance(found, Input) and found.entry_of is not None for found in read):
        return False
    return any(
        selector.api == "torch.cuda.set_device()"
        and selector.reach is setting.reach
        and selector.span.end <= setting.span.start
        for selector in context.facts.selectors
    )


def _is_for_children(context: Context) -> bool:
    """Whether a file uses a GPU in other processes alone, as far as can be seen."""
    facts = context.facts
    return (
        context.policy is None
        and any(child.reach is not Reach.MODULE and not child.forks for child in facts.children)
        and not facts.selectors
        and facts.module_freeze is None
    )


def _unread(setting: Setting, context: Context) -> Found | None:
    """GPU110 for the newer name of a variable that the project's PyTorch does not read."""
    if not context.is_unread(setting):
        return None
    release, said = context.pytorch
    meant = ALIASES[setting.variable]
    message = f"PyTorch {release} does not read {setting.variable} for CUDA; write {meant}"
    spelt_out = setting.key_span != setting.value_span
    remedy = ReplaceLiteral(setting.key_span, meant) if spelt_out else None
    note = f"{said}; public: pytorch#183387 (2.9.1 ignores it)"
    return Found("GPU110", setting.span, message, note, remedy)


def _elsewhere(setting: Setting, context: Context) -> Found:
    """GPU110 for a write that this process does not go by."""
    message = (
        "os.putenv() changes what the driver reads, but not os.environ, by which PyTorch counts "
        "the GPUs: the two then disagree; assign to os.environ instead"
    )
    note = "measured: cuda-facts section 2 (torch counts 2 devices, then fails to initialise)"
    if setting.form is Form.EXPORT:
        message = (
            f"{setting.variable} is set in a shell that ends at once: it reaches neither this "
            "process nor its later children; assign to os.environ instead"
        )
        note = ""
    known = constants(setting.value) if setting.value is not None else None
    remedy: Remedy | None = None
    if gathered(setting, context):
        remedy = WriteHeader()
    elif setting.peers == 1 and known and len(known) == 1 and isinstance(known[0].value, str):
        remedy = AssignPlainly(setting.span, setting.variable, known[0].value)
    return Found("GPU110", setting.span, message, note, remedy)


def judge_written_device(selector: Selector, context: Context) -> Found | None:
    """GPU107 for a call that makes the device it is given the mask, in some releases of its
    framework, when CUDA has read that already: it then uses the first device that is visible."""
    trigger = selector.frozen.trigger
    if not selector.versions or trigger is None or len(selector.indices) != 1:
        return None
    if any(setting.variable == MASK for setting in context.settings):
        return None  # the finding on that write names the cause
    number, fits = selector.indices[0].number, context.mask_devices(selector.masks)
    if number == 0 or fits or selector.frozen.certainty is not Certainty.ALWAYS:
        return None
    cause = _cause(trigger, trigger.seen_from(context.facts.file), context)
    message = (
        f"{selector.api}: device {number} may be ignored, as {cause} has already fixed the visible "
        f"devices: {selector.versions}"
    )
    return Found("GPU107", selector.span, message, _EVIDENCE_ORDER, None, severity=Severity.WARNING)


# --- after the deadline, or after an import that may move it ---------------------------------


def _late(
    setting: Setting, deadline: Mark, trigger: Trigger, alloc: bool, context: Context
) -> Found:
    """GPU107, 115 or 116: the deadline has passed, surely or on some path."""
    surely = deadline.certainty is Certainty.ALWAYS
    step = trigger.seen_from(context.facts.file)
    code = "GPU107" if step is not None else "GPU116"
    if step is not None and step.is_import and step is not trigger:
        code = "GPU115"
    cause = _cause(trigger, step, context)
    done = "allocated GPU memory" if alloc else "fixed the visible devices"
    message = f"{cause} has already {done}; this line has no effect"
    idle = setting.reach is Reach.UNCALLED and setting.function not in context.run_by_others
    if idle and deadline.trigger == context.facts.module_freeze:
        message = f"nothing is shown to run {setting.function}() before {cause} has {done}; "
        message += "this line has no effect"
    elif not surely:
        message = f"{cause} may already have {done} on the way here; then this line has no effect"
    elif setting.variable == MASK and trigger.text.startswith("torch."):
        message += ", though torch.cuda.device_count() may report it as if it had"
    if code == "GPU116":
        message = f"every entry point comes here too late: {message}"
    note = _EVIDENCE_ALLOC if alloc else _EVIDENCE_ORDER
    severity = None if surely and code != "GPU116" else Severity.WARNING
    if context.is_behind_removal(setting):
        note += "; no fix: set earlier, it would be removed before CUDA reads it"
        return Found(code, setting.span, message, note, severity=severity)
    if step is not None and step.span == BEFORE_ALL:
        return Found(code, setting.span, message, f"{note}; {_IN_PACKAGE}", severity=severity)
    remedy, safety, left = _move_with_selectors(setting, step, context)
    return Found(code, setting.span, message, _with_left(note, left), remedy, safety, severity)


def _lucky(setting: Setting, trigger: Trigger, context: Context) -> Found:
    """GPU108, 115 or 116: still in time, but only because no import has touched CUDA."""
    step = trigger.seen_from(context.facts.file)
    cause = _cause(trigger, step, context)
    message = f"{setting.variable} is set after {cause.rstrip(',')}"
    message += ": it works only as long as no import touches CUDA"
    if step is None:
        message = f"every entry point imports a framework first: {message}"
        return Found("GPU116", setting.span, message, _EVIDENCE_LUCK)
    through = step.is_import and step is not trigger
    code, severity = ("GPU115", Severity.WARNING) if through else ("GPU108", None)
    if step.span == BEFORE_ALL:
        note = f"{_EVIDENCE_LUCK}; {_IN_PACKAGE}"
        return Found(code, setting.span, message, note, severity=severity)
    remedy, safety, left = _move_with_selectors(setting, step, context)
    note = _with_left(_EVIDENCE_LUCK, left)
    return Found(code, setting.span, message, note, remedy, safety, severity)


def _cause(trigger: Trigger, step: Trigger | None, context: Context) -> str:
    """What did it and where, with the chain of files that leads there."""
    if step is trigger:
        return f"`{trigger.text}` on line {context.row(trigger.span.start)}"
    name, line = context.place(trigger.file, trigger.span)
    if step is None and not trigger.via:
        return f"`{trigger.text}` ({name}:{line})"
    steps = trigger.via if step is None else trigger.via[trigger.via.index(step) :]
    files = [context.place(s.file, s.span)[0] for s in steps]
    what = trigger.text.removeprefix("import ")
    chain = " → ".join([*dict.fromkeys([*files, name]), what])
    if step is None:
        return f"`{trigger.text}` ({chain})"
    if step.span == BEFORE_ALL:
        return f"`{step.text}`, run first by `python -m` ({chain}, {name}:{line}),"
    return f"`{step.text}` on line {context.row(step.span.start)} ({chain}, {name}:{line})"


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
    spans = context.movable
    return MoveSettings(spans) if setting.span in spans else None


# --- what must change together ---------------------------------------------------------------


def _move_with_selectors(
    setting: Setting, step: Trigger | None, context: Context
) -> tuple[Remedy | None, Applicability, list[str]]:
    """How to bring a late write forward, with every index that works only while it is late, and
    with the other late writes of the file: what is unsafe for one of them is unsafe for all.

    The last of the three lists the selectors that could not be judged.
    """
    remedy = _move(setting, context) if step is not None else None
    if isinstance(remedy, MoveSettings):
        for other in context.settings:
            if other.span in remedy.statements and _is_late_mask(other):
                group = _group(other, context)
                here, elsewhere = tuple(group.here), tuple(group.elsewhere)
                moved = MoveSettings(remedy.statements, here, elsewhere)
                safe = group.decided and not group.left
                safety = Applicability.SAFE if safe else Applicability.UNSAFE
                return moved, safety, group.left
    elif remedy is not None and _is_late_mask(setting):
        return remedy, Applicability.SAFE, _group(setting, context).left
    return remedy, Applicability.SAFE, []


def _is_late_mask(setting: Setting) -> bool:
    """Whether a mask is written when CUDA has read it, so that it takes effect when it moves."""
    return setting.variable == MASK and setting.frozen.certainty is not Certainty.NEVER


class _Group:
    """The selectors that change with a mask."""

    def __init__(self) -> None:
        self.decided = False
        """The mask is a known list of devices."""
        self.here: list[tuple[Span, int]] = []
        self.elsewhere: list[tuple[Place, int]] = []
        self.left: list[str] = []
        """Those that cannot be changed with it, each as ``file:line``."""


def _group(setting: Setting, context: Context) -> _Group:
    group = _Group()
    known = constants(setting.value) if setting.value is not None else None
    text = known[0].value if known and len(known) == 1 else None
    devices = read_mask(text).devices if isinstance(text, str) else ()
    group.decided = bool(devices)
    files = [(context.facts.file, context.facts.selectors, context.judges)]
    files += [(c.file, c.facts.selectors, c.judges) for c in context.companions()]
    for file, selectors, judges in files:
        for selector in selectors:
            if selector.needs > max(len(devices), 1):
                continue
            if not _join(group, selector, devices, file, context, judges(selector.span)):
                name, line = context.place(file, selector.span)
                group.left.append(f"{name}:{line}")
    group.here = list(dict.fromkeys(group.here))
    group.elsewhere = list(dict.fromkeys(group.elsewhere))
    group.left = list(dict.fromkeys(group.left))
    return group


def _join(
    group: _Group,
    selector: Selector,
    devices: tuple[str, ...],
    file: str,
    context: Context,
    judged: bool,
) -> bool:
    """Take a selector into the group; whether it needs no change, or gets the right one."""
    fits = selector.complete
    if selector.versions:  # the one number that is right in every release
        return fits and all(str(index.number) in devices for index in selector.indices)
    for index in selector.indices:
        if index.number < len(devices):
            continue
        if len(devices) != 1 or index.span is None or str(index.number) != devices[0]:
            fits = False
        elif not judged:
            fits = False
        else:
            if index.file == context.facts.file:
                group.here.append((index.span, 0))
            else:
                group.elsewhere.append((Place(index.file, index.span), 0))
            fits = fits and context.decides_only_a_device(index, file, selector.span)
    return fits


def _with_left(note: str, left: list[str]) -> str:
    if not left:
        return note
    some = ", ".join(left[:3]) + (f" and {len(left) - 3} more" if len(left) > 3 else "")
    return f"{note}; device selectors that a fix does not judge: {some}"


# --- in a function that nothing calls ----------------------------------------------------------


def _idle(setting: Setting, context: Context) -> Found:
    message = (
        f"{setting.variable} is set in {setting.function}(), which nothing is shown to call"
        " before the GPU is used"
    )
    known = constants(setting.value) if setting.value is not None else None
    text = known[0].value if known and len(known) == 1 else None
    rivals = [s for s in context.settings if s.variable == setting.variable and not s.function]
    remedy = None
    if isinstance(text, str) and not rivals:
        remedy = SetAtModuleLevel(setting.variable, text)
    unsafe = Applicability.UNSAFE
    return Found("GPU109", setting.span, message, _EVIDENCE_ORDER, remedy, unsafe)


def _in_idle_function(setting: Setting, context: Context) -> bool:
    name = setting.function
    return (
        setting.reach is Reach.UNCALLED
        and setting.imported.certainty is Certainty.ALWAYS
        and not setting.imports_framework_later
        and not context.header_required
        and name not in context.facts.referenced
        and name != "main"
        and not name.startswith(("test", "setUp", "setup_", "pytest_"))
        and not context.mentioned_elsewhere(name)
    )
