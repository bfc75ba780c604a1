"""What methods of Python's own dicts, lists and texts give, and how they change them in place."""

from __future__ import annotations

from dataclasses import replace
from string import Formatter

from gpu_lint.digits import number_in
from gpu_lint.facts.constants import with_format
from gpu_lint.facts.environment import Arguments
from gpu_lint.facts.evaluation import MOST_ITEMS, callable_of
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.kinds import formatted
from gpu_lint.facts.values import (
    UNCOUNTED,
    UNKNOWN,
    DeviceCount,
    EnvironmentValue,
    Items,
    Known,
    Numbered,
    Pairs,
    Unknown,
    Value,
    alternatives,
    any_of,
    concatenate,
    listing,
    merged,
    without_entry,
)


def range_of(values: list[Value]) -> Value:
    """Return what ``range(*values)`` yields."""
    counts = {one for one in alternatives(values[-1]) if not isinstance(one, (Unknown, Known))}
    if len(counts) == 1 and len(values) < 3 and isinstance(count := counts.pop(), DeviceCount):
        whose = "the machine's" if count.physical else "the visible"
        return Items("some", (Numbered(count.physical, f"range() over {whose} devices"),))
    numbers = [value.value for value in values if isinstance(value, Known)]
    whole = [number for number in numbers if type(number) is int]
    if len(whole) != len(values) or not 1 <= len(whole) <= 3 or (len(whole) == 3 and not whole[2]):
        return UNKNOWN
    found = range(*whole)
    if found[MOST_ITEMS:]:
        return Items("many", (UNKNOWN,))
    return Items("range", tuple(Known(number) for number in found))


def dict_method(receiver: Pairs, name: str, args: Arguments) -> Value:
    """Return what ``get()``, ``copy()``, ``keys()`` or one like these gives of a dict."""
    if name == "get":
        key = args.value(0)
        if isinstance(key, Known):
            found = receiver.get(key.value)
            default = args.value(1) or Known(None)
            if found is not None or receiver.is_listed:
                return found or default
            copied = dict(receiver.copied).get(str(key.value))
            if copied is None:  # of a copy of the environment, nobody knows
                return any_of((UNKNOWN, default)) if receiver.copied else UNKNOWN
            is_inherited = any(isinstance(one, EnvironmentValue) for one in alternatives(copied))
            return any_of((copied, default)) if is_inherited else copied
        found = callable_of(receiver)
        return any_of((found, args.value(1) or Known(None))) if found != UNKNOWN else UNKNOWN
    if name == "copy" or receiver.open:
        return copy_of(receiver) if name == "copy" else UNKNOWN
    return listing(name, receiver.entries)


def copy_of(value: Items | Pairs) -> Items | Pairs:
    """Return a container that holds the same, and that changes by itself."""
    return replace(value)


def text_formatted(template: str, args: Arguments) -> Value | None:
    """``template.format(…)`` for ``{}``, ``{0}`` and ``{name}``; None where it raises."""
    parts: list[Value] = []
    position = 0
    try:
        fields = list(Formatter().parse(template))
    except ValueError:
        return None
    for literal, name, specification, conversion in fields:
        parts.append(Known(literal))
        if name is None:
            continue
        number = number_in(name)
        if number is not None or not name:
            found = args.find(position if number is None else number, None)
            position += not name
        else:
            found = args.find(None, name)
        if found is None:
            return UNKNOWN if "." in name or "[" in name else None
        is_plain = not specification and not conversion
        parts.append(
            formatted(found[1])
            if is_plain
            else with_format(found[1], conversion or "", specification or "")
        )
    return concatenate(parts)


def _changed_at(receiver: Items, name: str, at: int, given: Value | None, flow: Flow) -> Value:
    """``insert`` into a list, or ``pop`` from it, at a known place."""
    held = list(receiver.values)
    found: Value = UNKNOWN
    if name == "insert" and len(held) < MOST_ITEMS:
        held.insert(at, UNKNOWN if given is None else given)
        found = Known(None)
    elif name == "pop" and -len(held) <= at < len(held):
        found = held.pop(at)
    else:
        flow.change(receiver, UNKNOWN)
        return UNKNOWN
    flow.change(receiver, Items(receiver.kind, tuple(held)))
    return found


def changed_in_place(receiver: Value, name: str, args: Arguments, flow: Flow) -> Value:
    """``append`` and the like: what holds the container sees it changed."""
    first = args.value(0)
    if isinstance(receiver, Items) and name in ("append", "add") and first is not None:
        if len(receiver.values) < MOST_ITEMS and receiver.kind not in UNCOUNTED:
            flow.change(receiver, Items(receiver.kind, (*receiver.values, first)))
            return Known(None)
    if isinstance(receiver, Items) and receiver.kind == "list" and name in ("insert", "pop"):
        at = args.value(0) or Known(-1)
        if isinstance(at, Known) and type(at.value) is int and args.exact:
            return _changed_at(receiver, name, at.value, args.value(1), flow)
    if isinstance(receiver, Items) and name == "extend" and isinstance(first, Items):
        if len(receiver.values) + len(first.values) < MOST_ITEMS:
            flow.change(receiver, Items(receiver.kind, receiver.values + first.values))
            return Known(None)
    if isinstance(receiver, Pairs) and name == "update" and args.exact:
        more = first if isinstance(first, Pairs) else Pairs((), open=first is not None)
        named = Pairs(tuple((Known(key), held) for key, (_, held) in args.keywords.items()))
        flow.change(receiver, merged(merged(receiver, more), named))
        return Known(None)
    if isinstance(receiver, Pairs) and name == "pop" and isinstance(first, Known):
        held = dict_method(receiver, "get", args)
        flow.change(receiver, without_entry(receiver, first))
        return held
    for single in alternatives(receiver):
        if isinstance(single, (Items, Pairs)):
            flow.change(single, UNKNOWN)
    return UNKNOWN
