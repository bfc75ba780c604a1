"""What :class:`contextlib.ExitStack` calls when it is left: the callbacks that it was given."""

from __future__ import annotations

from gpu_lint.facts import program as p
from gpu_lint.facts.environment import Arguments
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.values import Bound, Items, Returned, Value, alternatives, any_of

_STACKS = frozenset({"contextlib.ExitStack", "contextlib.AsyncExitStack"})
_REGISTERING = frozenset({"callback", "push_async_callback"})
_CALLBACKS = ".callbacks"
_MOST = 16
"""Callbacks of one stack that are followed."""


def is_stack(value: Value) -> bool:
    """Whether a value is a stack of context managers."""
    return isinstance(value, Returned) and value.symbol in _STACKS and value.frame is not None


def note_callback(
    stack: Value, method: str, node: p.Call, args: Arguments, flow: Flow
) -> Value | None:
    """Note what a method registers, and return it; None for other methods and other objects."""
    if method not in _REGISTERING or not is_stack(stack) or not args.positional:
        return None
    callee = args.positional[0][1]
    rest = Arguments(args.positional[1:], args.keywords, args.exact)
    bound = Bound("partial", callee, (node, rest))
    held = [(*callbacks, bound)[-_MOST:] for callbacks in callbacks_of(stack, flow)]
    flow.bind(_frame(stack), _CALLBACKS, any_of([Items("list", several) for several in held]))
    return callee


def callbacks_of(stack: Value, flow: Flow) -> list[tuple[Value, ...]]:
    """Return the callbacks that a stack may have, in the order of registration."""
    held = flow.get(_frame(stack), _CALLBACKS) or Items("list", ())
    return [one.values if isinstance(one, Items) else () for one in alternatives(held)]


def _frame(stack: Value) -> int:
    assert isinstance(stack, Returned)
    assert stack.frame is not None
    return stack.frame
