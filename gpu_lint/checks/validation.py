"""Validators: functions that refuse to run on the wrong GPU."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from gpu_lint.checks.context import Context, Found
from gpu_lint.facts.markers import VALIDATOR
from gpu_lint.facts.model import Certainty, FunctionFacts, Reach
from gpu_lint.facts.optional import optional_import
from gpu_lint.findings import Applicability
from gpu_lint.masks import same_mask
from gpu_lint.policy import Policy
from gpu_lint.remedies import CallValidator, CompleteValidator, InsertValidator, RewriteBlock
from gpu_lint.source import Span
from gpu_lint.templates import can_validate
from gpu_lint.variables import MASK

_COUNT_NOTE = "cuda-facts section 1: device_count() can lie; only name, UUID or memory tell"

_DRIVER_NOTE = (
    "no fix: without torch only nvidia-smi can be asked, which knows GPUs by their place in PCI "
    "order or by GPU-<uuid>"
)


def check_validation(context: Context) -> Iterator[Found]:
    """GPU301 and GPU302: no validator, or one that does not run."""
    policy = context.policy
    if policy is None or not context.is_required(policy.validation.required_in):
        return
    if not context.gpu_file:
        return  # whatever lists it, there is nothing to check in a file that reaches no GPU
    facts = context.facts
    commands = facts.functions_named(lambda name: name in context.standing.called)
    functions = tuple(function.name for function in commands)
    guard = facts.layout.guard
    note, safety = _COUNT_NOTE, Applicability.SAFE
    if guard is None and not commands:
        safety = Applicability.UNSAFE
    if (optional := _optional_framework(context)) is not None:
        safety = Applicability.UNSAFE
        note = (
            f"the fix is unsafe: line {context.row(optional[1].start)} goes on without "
            f"{optional[0]}, where a validator would raise"
        )
    if guard is not None:
        place = Span(guard.span.start, guard.first.start)
    elif commands:
        place = _head(commands[0])
    else:
        place = Span(facts.layout.anchor, facts.layout.anchor)
    called = facts.calls_on_import | facts.calls_of_guard
    called = called.union(*(facts.calls_of(command.name) for command in commands))
    defined = _validators_of(context)
    beside = [one.name for one in context.functions_beside(called) if is_validator(one, policy)]
    imported = [name for name in facts.imported_functions if counts(name, policy)]
    names = [*(function.name for function in defined), *sorted({*imported, *beside})]
    if not names:
        message = "this entry point never checks which GPU it runs on"
        if can_validate(policy, context.uses_pytorch):
            yield Found("GPU301", place, message, note, InsertValidator(functions), safety)
        else:
            yield Found("GPU301", place, message, _DRIVER_NOTE)
        return
    known = frozenset(names)
    made = any(call.reach > Reach.UNCALLED and call.name in known for call in facts.calls)
    seen = {*beside, *(name for name in known if not counts(name, policy))}
    made = made or not seen.isdisjoint(facts.calls_on_import | facts.calls_of_guard)
    without = [
        command
        for command in commands
        if known.isdisjoint(facts.calls_of(command.name) | facts.calls_on_import)
    ]
    with_it = {command.name for command in commands if command not in without}
    behind_guard = made or not with_it.isdisjoint(facts.calls_of_guard)
    if not behind_guard and len(without) == len(commands):
        span = defined[0].span if defined else place
        message = f"{names[0]}() is here, but nothing calls it"
        yield Found("GPU302", span, message, "", CallValidator(names[0], functions), safety)
        return
    for function in without:
        message = f"an installed command calls {function.name}(), which never calls {names[0]}()"
        remedy = CallValidator(names[0], (function.name,))
        yield Found("GPU302", _head(function), message, "", remedy, safety)
    if guard is not None and not behind_guard:
        message = f"what stands here never calls {names[0]}()"
        yield Found("GPU302", place, message, "", CallValidator(names[0]), safety)


def _head(function: FunctionFacts) -> Span:
    return Span(function.span.start, function.body.start)


def _optional_framework(context: Context) -> tuple[str, Span] | None:
    """The framework that a file imports first, by name and place, if it can do without any."""
    knowledge = context.rulebook.knowledge

    def uses_gpu(module: str) -> bool:
        framework = knowledge.framework_of(module)
        return framework is not None and framework.uses_mask

    return optional_import(context.facts.reading.program, uses_gpu)


def _validators_of(context: Context) -> list[FunctionFacts]:
    """The validators that a file defines."""
    policy, reading = context.policy, context.facts.reading
    if policy is None:
        return []

    def may_be_one(name: str) -> bool:
        node = reading.functions_by_name.get(name)
        mentions = node is not None and MASK in reading.source.slice(node.span)
        return mentions or counts(name, policy)

    return [one for one in context.facts.functions_named(may_be_one) if is_validator(one, policy)]


def is_validator(function: FunctionFacts, policy: Policy) -> bool:
    """Whether a function of the project is a validator: by its name, or because it makes every
    check that the policy demands, and raises or ends the program."""
    if counts(function.name, policy):
        return True
    ends = function.fails in ("raises", "exits") and not function.swallows
    return ends and not missing_controls(function, policy)


def check_order(context: Context) -> Iterator[Found]:
    """GPU305: a validator that runs when memory of a GPU has been allocated already."""
    policy = context.policy
    if policy is None:
        return
    late = [
        call
        for call in context.facts.calls
        if call.allocated.certainty is Certainty.ALWAYS and call.reach > Reach.UNCALLED
    ]
    own = {function.name for function in _validators_of(context)} if late else set()
    for call in late:
        trigger = call.allocated.trigger
        if trigger is None or not (call.name in own or counts(call.name, policy)):
            continue
        name, line = context.place(trigger.file, trigger.span)
        where = f"line {line}" if trigger.file == context.facts.file else f"{name}:{line}"
        message = (
            f"{call.name}() checks the GPU when `{trigger.text}` ({where}) has used it already"
        )
        yield Found("GPU305", call.span, message)


def check_validators(context: Context) -> Iterator[Found]:
    """GPU303 and GPU304: a validator that leaves a control out, or lets a failure pass."""
    policy = context.policy
    if policy is None:
        return
    managed = [block.span for block in context.facts.blocks if block.kind == VALIDATOR]
    for function in context.facts.functions_named(lambda name: counts(name, policy)):
        head = _head(function)
        if missing := missing_controls(function, policy):
            message = f"{function.name}() does not check {_listed(missing)}"
            ours = any(function.span in span for span in managed)
            remedy = RewriteBlock(VALIDATOR) if ours else CompleteValidator(function.name, missing)
            yield Found("GPU303", head, message, _COUNT_NOTE, remedy)
        if reason := _fails_open(function, context):
            yield Found("GPU304", head, f"{function.name}() {reason}")


def counts(name: str, policy: Policy) -> bool:
    """Whether a function of this name is a validator."""
    validation = policy.validation
    return name == validation.function or any(
        fnmatchcase(name, pattern) for pattern in validation.functions
    )


def missing_controls(function: FunctionFacts, policy: Policy) -> tuple[str, ...]:
    """The controls of the policy that a validator does not check."""
    missing = []
    for variable in ("CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES"):
        wanted = policy.value(variable)
        if wanted is not None and not any(
            name == variable and (text == wanted or _masks(variable, text, wanted))
            for name, text in function.environment
        ):
            missing.append(variable)
    if not function.checks_availability:
        missing.append("availability")
    if policy.gpu.name is not None and not any(
        _names(text, policy.gpu.name) for text in function.strings
    ):
        missing.append("name")
    if policy.gpu.min_memory_gib is not None and not function.checks_memory:
        missing.append("memory")
    return tuple(missing)


def _masks(variable: str, text: str, wanted: str) -> bool:
    return variable == "CUDA_VISIBLE_DEVICES" and same_mask(text, wanted)


def _names(text: str, name: str) -> bool:
    text, name = text.strip().lower(), name.lower()
    return len(text) >= 3 and (name in text or text in name)


_WORDS = {
    "CUDA_DEVICE_ORDER": "CUDA_DEVICE_ORDER",
    "CUDA_VISIBLE_DEVICES": "CUDA_VISIBLE_DEVICES",
    "availability": "that CUDA is available",
    "name": "the name of device 0",
    "memory": "the memory of device 0",
}


def _listed(controls: tuple[str, ...]) -> str:
    words = [_WORDS[control] for control in controls]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _fails_open(function: FunctionFacts, context: Context) -> str:
    if function.swallows:
        return "catches its own failure and goes on"
    if function.fails == "prints":
        return "only prints when a check fails; the program goes on"
    if function.fails == "returns":
        calls = [call for call in context.facts.calls if call.name == function.name]
        if calls and all(call.ignored for call in calls):
            return "returns False when a check fails, and its callers ignore that"
    return ""
