"""The type that a value has, and the text that Python makes of a value that is no string."""

from __future__ import annotations

import json

from gpu_lint.facts.constants import NotConstant, python_object
from gpu_lint.facts.program import Constant
from gpu_lint.facts.values import (
    UNCOUNTED,
    UNKNOWN,
    Bound,
    ClassValue,
    DeviceCount,
    FunctionValue,
    Gpus,
    Input,
    Items,
    Known,
    Member,
    ModuleValue,
    Pairs,
    Returned,
    Text,
    Typed,
    Value,
    alternatives,
    any_of,
    convert,
)

_TYPES_OF_CALLS = {
    "pathlib.Path": "Path",
    "pathlib.PurePath": "Path",
    "pathlib.PosixPath": "Path",
    "decimal.Decimal": "Decimal",
    "uuid.UUID": "UUID",
    "torch.device": "torch.device",
    "torch.tensor": "torch.Tensor",
    "fractions.Fraction": "Fraction",
    "collections.namedtuple": "tuple",
    **dict.fromkeys(("glob.glob", "os.listdir", "re.findall", "re.split", "shlex.split"), "list"),
    **dict.fromkeys(
        ("os.cpu_count", "os.getpid", "random.randint", "random.randrange", "time.time_ns"), "int"
    ),
    **dict.fromkeys(("random.random", "random.uniform", "time.time"), "float"),
    **{f"numpy.{name}": f"numpy.{name}" for name in ("float32", "float64", "int32", "int64")},
    **dict.fromkeys(("numpy.arange", "numpy.array", "numpy.asarray"), "numpy.ndarray"),
    **{
        f"configparser.{parser}.get{name}": name
        for parser in ("ConfigParser", "RawConfigParser")
        for name in ("boolean", "float", "int")
    },
}
"""What calls of things outside the project return, where that is no string."""
_BUILTINS = {
    "bool": "bool", "bytearray": "bytearray", "bytes": "bytes", "complex": "complex",
    "dict": "dict", "enumerate": "enumerate", "filter": "filter", "float": "float",
    "frozenset": "frozenset", "int": "int", "iter": "iterator", "len": "int", "list": "list",
    "map": "map", "memoryview": "memoryview", "object": "object", "ord": "int", "range": "range",
    "reversed": "iterator", "set": "set", "slice": "slice", "sorted": "list", "tuple": "tuple",
    "zip": "zip",
}  # fmt: skip
_PROCEDURES = frozenset({"print", "setattr", "delattr"})
"""Builtins that return nothing."""
LIST_METHODS = frozenset({"split", "rsplit", "splitlines"})
"""Methods that make a list of a string, and are no methods of other common types."""


class _NotKnown(Exception):
    """Part of a value is not known."""


def type_of(value: Value) -> str | None:
    """Return the name of the type that a single value surely has; None where that is not known, or
    where it is ``str``."""
    match value:
        case Known(value=constant):
            return None if isinstance(constant, str) else _name_of(constant)
        case Items(kind=kind):
            return "list" if kind in UNCOUNTED else kind
        case Pairs():
            return "dict"
        case FunctionValue():
            return "function"
        case ClassValue():
            return "class"
        case ModuleValue():
            return "module"
        case Bound(kind=kind):
            return kind
        case DeviceCount():
            return "int"
        case Gpus():
            return "list"
        case Member():
            return "Enum"
        case Typed(name=name):
            return name
        case Input(option=option) if option is not None:
            return option.type or None
        case Returned(symbol=symbol):
            return _TYPES_OF_CALLS.get(symbol)
    return None


def _name_of(constant: object) -> str:
    return "None" if constant is None else type(constant).__name__


def types_of(value: Value) -> tuple[str, ...]:
    """Return the names of the types that a value may have, if none of them is ``str``; else
    nothing."""
    found = [type_of(single) for single in alternatives(value)]
    return tuple(sorted({name for name in found if name})) if all(found) else ()


def made_by_call(name: str) -> Value:
    """Return what is known of the result of a call of something outside the project."""
    return Typed(_TYPES_OF_CALLS[name]) if name in _TYPES_OF_CALLS else UNKNOWN


def made_by_builtin(name: str) -> Value:
    """Return what is known of the result of a builtin whose arguments are not."""
    if name in _PROCEDURES:
        return Known(None)
    return Typed(_BUILTINS[name]) if name in _BUILTINS else UNKNOWN


def as_text(value: Value) -> Value:
    """Return what ``str(value)`` gives, as far as it is known."""
    return any_of(_text_of_one(single) for single in alternatives(value))


def formatted(value: Value) -> Value:
    """Return what stands in a text for a value that is put into it, as far as it is known."""
    if isinstance(value, (Items, Pairs, Member)) or len(alternatives(value)) > 1:
        return any_of(
            _text_of_one(single) if isinstance(single, (Items, Pairs, Member)) else single
            for single in alternatives(value)
        )
    return value


def _text_of_one(value: Value) -> Value:
    if isinstance(value, Member):
        return Known(value.text) if value.text else UNKNOWN
    if isinstance(value, Known) and value.value is None:
        return Known("None", value.origin)
    if isinstance(value, (Items, Pairs)):
        text = shown(value)
        return UNKNOWN if text is None else Known(text)
    if isinstance(value, Input) and value.option is not None and value.option.type:
        if value.option.type == "list":
            return Text((Known("["), value, Known("]")))
        return Text((value,))  # the same, but a string
    return convert("str", value)


def shown(value: Value) -> str | None:
    """Return what ``repr(value)`` gives; None where part of it is not known."""
    try:
        return _shown(value)
    except _NotKnown:
        return None


def _shown(value: Value) -> str:
    match value:
        case Known(value=constant):
            return repr(constant)
        case Items(kind="list", values=values):
            return f"[{', '.join(map(_shown, values))}]"
        case Items(kind="tuple", values=(only,)):
            return f"({_shown(only)},)"
        case Items(kind="tuple", values=values):
            return f"({', '.join(map(_shown, values))})"
        case Items(kind="set", values=(only,)):
            return f"{{{_shown(only)}}}"  # in which order several stand, only the run will tell
        case Pairs(entries=entries, open=False, copied=()):
            held = {_constant(key): _shown(value) for key, value in entries}
            return f"{{{', '.join(f'{key!r}: {text}' for key, text in held.items())}}}"
    raise _NotKnown


def _constant(key: Value) -> Constant:
    if isinstance(key, Known):
        return key.value
    raise _NotKnown


def as_json(value: Value) -> Value:
    """Return what ``json.dumps(value)`` gives, as far as it is known."""
    try:
        return Known(json.dumps(python_object(value)))
    except (NotConstant, TypeError, ValueError):
        return UNKNOWN
