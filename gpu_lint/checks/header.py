"""The mandatory header: variables that are missing, and blocks of ours that were changed."""

from __future__ import annotations

from collections.abc import Iterator

from gpu_lint.checks.context import Context, Found
from gpu_lint.checks.policyimports import late_import, no_fix
from gpu_lint.checks.ranks import deciding, deciding_option, is_renumbered, place_of
from gpu_lint.checks.writes import judge, removed_again
from gpu_lint.facts.markers import HEADER, VALIDATOR
from gpu_lint.facts.model import Written
from gpu_lint.facts.values import Option
from gpu_lint.remedies import RewriteBlock, WriteHeader
from gpu_lint.source import Span
from gpu_lint.templates import render_header, render_validator, same_block
from gpu_lint.variables import HEADER_VARIABLES, MASK

_MISSING = dict(zip(HEADER_VARIABLES, ("GPU103", "GPU101", "GPU105"), strict=True))


def check_missing(context: Context) -> Iterator[Found]:
    """GPU101, 103, 105: a header variable that is not surely set before the first use."""
    if context.rebindings:
        return  # it is set in vain (GPU118)
    if context.policy_module is not None and context.policy_module.answers_for_file:
        return
    judgements = judge(context)
    use = _first_framework(context)
    before = f" before `import {use}`" if use else ""
    option = _option(context)
    removed = removed_again(context)
    for variable in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "PYTORCH_CUDA_ALLOC_CONF"):
        wanted = context.wanted(variable)
        if wanted is None or _is_set(context, variable):
            continue
        explained = any(
            judgement.variable == variable
            and (
                judgement.place is not None
                or (judgement.value is not None and judgement.value.code == "GPU114")
            )
            for judgement in judgements
        )
        if explained or variable in removed:
            continue
        if late_import(context) is not None:
            continue
        message = f"{variable} is not set{before}; the policy demands {wanted!r}"
        at = _place(context)
        if variable == MASK and option is not None:
            message = f"{deciding(option, context)} decides which GPU is used: {message}"
            at = place_of(option, context) or at
        yield Found(_MISSING[variable], at, message, no_fix(context), WriteHeader())


def _option(context: Context) -> Option | None:
    """The option of the command line that decides which GPU the file uses, and means another behind
    the policy's mask."""
    if context.policy is None or not is_renumbered(context.policy.gpu.devices):
        return None
    found = (deciding_option(selector) for selector in context.facts.selectors)
    return next((option for option in found if option is not None), None)


def _first_framework(context: Context) -> str:
    """The first module of a framework that the file imports at module level."""
    for found in context.facts.layout.imports:
        framework = context.rulebook.knowledge.framework_of(found.module)
        if framework is not None and framework.uses_mask:
            return found.module
    return ""


def _is_set(context: Context, variable: str) -> bool:
    names = [variable]
    if variable == "PYTORCH_CUDA_ALLOC_CONF":
        names.append("PYTORCH_ALLOC_CONF")
    if context.is_checked(variable):
        return True
    restored = [one.span for one in context.settings if context.rewrites.gives_back_parents(one)]
    return any(
        all(_is_written(written) and written.span not in restored for written in held)
        for held in map(context.facts.holds, names)
    )


def _is_written(written: Written) -> bool:
    return written.value is not None and not written.weak and not written.is_checked


def _place(context: Context) -> Span:
    anchor = context.facts.layout.anchor
    for statement in context.facts.layout.statements:
        if statement.start == anchor:
            return statement
    return Span(anchor, anchor)


def check_drift(context: Context) -> Iterator[Found]:
    """GPU113: a managed block that is no longer what the policy's template says."""
    if context.policy is None or not context.facts.blocks:
        return
    if any(f for judgement in judge(context) for f in (judgement.value, judgement.place)):
        return
    if any(True for _ in check_missing(context)):
        return
    for block in context.facts.blocks:
        wanted: str | None = None
        if block.kind == HEADER and context.header_required:
            alloc = context.wanted("PYTORCH_CUDA_ALLOC_CONF") is not None
            wanted = render_header(context.policy, context.rulebook, alloc)
        elif block.kind == VALIDATOR:
            wanted = render_validator(context.policy, context.rulebook, context.uses_pytorch)
        names = tuple(expression for expression, _ in context.facts.layout.environ)
        if wanted and not same_block(block.text, wanted, names):
            message = f"the managed {block.kind} block is not what the policy's template says"
            yield Found("GPU113", block.span, message, "", RewriteBlock(block.kind))
