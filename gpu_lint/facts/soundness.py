"""What does not raise in ordinary use, and what may: calls of the standard library and builtins."""

from __future__ import annotations

import os
import sys
from types import ModuleType

from gpu_lint.facts.values import (
    UNKNOWN,
    Items,
    Known,
    Pairs,
    Value,
    alternatives,
    convert,
    text_of,
)

_SOUND_MODULES = frozenset(
    {"abc", "collections", "contextlib", "dataclasses", "enum", "functools", "itertools",
     "logging", "platform", "time", "typing", "warnings"}
)  # fmt: skip
"""Standard modules whose functions do not raise in ordinary use."""
_READING = ("logging.config.", "logging.FileHandler", "logging.handlers.")
"""Functions of them that open something."""
_SOUND_CALLS = frozenset(
    {f"os.path.{name}" for name in (
        "abspath", "basename", "dirname", "exists", "expanduser", "expandvars", "isabs", "isdir",
        "isfile", "islink", "join", "normpath", "realpath", "split", "splitext")}
    | {"datetime.date.today", "datetime.datetime.now", "os.cpu_count", "os.fspath", "os.getpid",
       "pathlib.Path", "pathlib.PurePath", "random.seed", "threading.Lock", "threading.RLock"}
    | {f"sys.{stream}.{name}" for stream in ("stderr", "stdout") for name in ("flush", "write")}
)  # fmt: skip
_OPENING_KEYWORD = "filename"
"""What ``logging.basicConfig`` opens a file by."""
_MODULES: dict[str, ModuleType] = {"os": os, "sys": sys}
"""Modules whose attributes can be asked for, as every Python has imported them."""


def is_sound(name: str, keywords: frozenset[str] = frozenset()) -> bool:
    """Whether a call by a dotted name does not raise in ordinary use."""
    if name in _SOUND_CALLS:
        return True
    opens = name.startswith(_READING) or _OPENING_KEYWORD in keywords
    return name.partition(".")[0] in _SOUND_MODULES and not opens


def lacks(module: str, name: str) -> bool:
    """Whether a standard module has no attribute of a name, with this Python on this machine."""
    found = _MODULES.get(module)
    return found is not None and not hasattr(found, name)


def may_not_convert(name: str, value: Value) -> bool:
    """Whether ``int(value)`` or ``float(value)`` may raise."""
    for single in alternatives(value):
        if not isinstance(single, Known):
            return True
        if name == "int":
            if convert(name, single) == UNKNOWN:
                return True
        else:
            try:
                float(single.value)  # type: ignore[arg-type]
            except (TypeError, ValueError):
                return True
    return False


def may_be_empty(value: Value) -> bool:
    """Whether a container may have no items."""
    return any(
        not isinstance(single, Items) or not single.values or single.kind == "some"
        for single in alternatives(value)
    )


def may_be_no_mapping(value: Value) -> bool:
    """Whether ``dict(value)`` may raise."""
    return any(
        not isinstance(single, Pairs)
        and not (
            isinstance(single, Items)
            and all(isinstance(pair, Items) and len(pair.values) == 2 for pair in single.values)
        )
        for single in alternatives(value)
    )


def may_lack(receiver: Value, method: str, item: Value | None) -> bool:
    """Whether ``receiver.method(item)`` may raise, as what it takes away is not there."""
    if method not in ("index", "pop", "popitem", "remove"):
        return False
    if not isinstance(receiver, (Items, Pairs)):
        return True
    if method in ("pop", "popitem") and item is None:
        return not (receiver.values if isinstance(receiver, Items) else receiver.entries)
    if isinstance(receiver, Items) and method == "pop":
        return True
    held = receiver.values if isinstance(receiver, Items) else [key for key, _ in receiver.entries]
    return not isinstance(item, Known) or not any(
        isinstance(one, Known) and one.value == item.value for one in held
    )


def may_lack_item(base: Value, key: Value) -> bool:
    """Whether ``del base[key]`` may raise."""
    if isinstance(base, Items) and isinstance(key, Known) and type(key.value) is int:
        return not -len(base.values) <= key.value < len(base.values)
    return not isinstance(base, Pairs) or may_lack(base, "pop", key)


def cannot_be_joined(left: Value, operator: str, right: Value) -> bool:
    """Whether an operator surely raises for two constants."""
    if not isinstance(left, Known) or not isinstance(right, Known):
        return False
    if operator in ("/", "//", "%"):
        return isinstance(left.value, (int, float)) and right.value == 0
    is_text = text_of(left) is not None, text_of(right) is not None
    return operator in ("+", "-") and is_text[0] is not is_text[1]
