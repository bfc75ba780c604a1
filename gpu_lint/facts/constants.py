"""Python's own operations on constants: they are carried out, and their results are values."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from gpu_lint.facts.values import (
    UNKNOWN,
    Items,
    Known,
    Pairs,
    Typed,
    Value,
    alternatives,
    any_of,
    input_of,
    number,
    text_of,
)

_LONGEST = 1000
"""Characters of a text, digits of a number, or places to fill, with which an operation is carried
out."""
_LARGEST = 10**9
"""The largest number that is computed with."""
_MOST_COMBINATIONS = 64
"""Results of one operation on operands that may be one of several."""
_MOST_NESTED = 16
"""Brackets of a JSON text that may stand in one another."""


def _read_json(text: str) -> object:
    """Return what a short JSON text stands for. Raises ValueError where it stands for nothing, or
    is nested deeply."""
    if text.count("[") + text.count("{") > _MOST_NESTED:
        raise ValueError(text)
    return json.loads(text)


_METHODS: dict[type, dict[str, str]] = {
    str: {
        **dict.fromkeys(
            ("capitalize", "casefold", "center", "expandtabs", "format", "ljust", "lower",
             "lstrip", "removeprefix", "removesuffix", "replace", "rjust", "rstrip", "strip",
             "swapcase", "title", "upper", "zfill"), ""),
        **dict.fromkeys(
            ("endswith", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "isidentifier",
             "islower", "isnumeric", "isprintable", "isspace", "istitle", "isupper",
             "startswith"), "bool"),
        **dict.fromkeys(("count", "find", "index", "rfind", "rindex"), "int"),
        **dict.fromkeys(("rsplit", "split", "splitlines"), "list"),
        **dict.fromkeys(("partition", "rpartition"), "tuple"),
        "encode": "bytes",
    },
    bytes: {
        **dict.fromkeys(("decode", "hex"), ""),
        **dict.fromkeys(("lower", "lstrip", "rstrip", "strip", "upper"), "bytes"),
    },
    int: {"bit_length": "int", "conjugate": "int"},
    float: {"is_integer": "bool", "hex": ""},
}  # fmt: skip
"""The methods of a constant that only compute, with the type of what each returns; empty for
``str``."""
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs, "ascii": ascii, "bin": bin, "bool": bool, "chr": chr, "divmod": divmod,
    "float": float, "format": format, "hex": hex, "max": max, "min": min, "oct": oct, "ord": ord,
    "repr": repr, "reversed": lambda items: list(reversed(items)), "round": round,
    "sorted": sorted, "sum": sum, "json.loads": _read_json,
    "shlex.join": shlex.join, "shlex.quote": shlex.quote, "shlex.split": shlex.split,
}  # fmt: skip
"""Functions that only compute: builtins, and some of the standard library."""
_SAME_TEXT = frozenset({"decode", "encode", "lower", "upper"})
"""Methods that leave the digits of a text as they are, so that these still stand where they were
written."""
_WIDE = re.compile(r"[0-9]{4}|\*")
"""A width in a format that makes a long text, or one that another value gives."""


class Outcome(NamedTuple):
    """What an operation on constants comes to."""

    value: Value
    raises: bool = False
    """Whether it raises for some of the constants, or may."""


def method_of_constant(
    receiver: Value, name: str, args: Sequence[Value], keywords: Mapping[str, Value]
) -> Outcome | None:
    """Return what ``receiver.name(*args, **keywords)`` gives; None where the receiver is no
    constant, or the method does more than compute."""
    found = [_method_of_one(single, name, args, keywords) for single in alternatives(receiver)]
    known = [one for one in found if one is not None]
    if len(known) < len(found):
        return None
    return Outcome(any_of(one.value for one in known), any(one.raises for one in known))


def _method_of_one(
    receiver: Value, name: str, args: Sequence[Value], keywords: Mapping[str, Value]
) -> Outcome | None:
    if not isinstance(receiver, Known) or not _is_plain(receiver.value):
        return None
    returned = _METHODS.get(type(receiver.value), {}).get(name)
    if returned is None:
        return None
    places = [single for value in args for single in alternatives(value)]
    if any(isinstance(one, Known) and _is_wide(one.value) for one in places):
        return None
    if name == "format" and _WIDE.search(str(receiver.value)):
        return None
    found = _carried_out(getattr(receiver.value, name), args, keywords)
    if found is None:
        return Outcome(Typed(returned)) if returned else None
    is_same = name in _SAME_TEXT or (name == "strip" and not args)
    if is_same and isinstance(found.value, Known):
        return found._replace(value=Known(found.value.value, receiver.origin))
    return found


def function_of_constants(
    name: str, args: Sequence[Value], keywords: Mapping[str, Value]
) -> Outcome | None:
    """Return what a function that only computes gives of constants; None for any other function,
    and where an argument is not known."""
    if name not in _FUNCTIONS or not args:
        return None
    if name == "format" and any(_WIDE.search(text_of(value) or "*") for value in args[1:]):
        return None
    return _carried_out(_FUNCTIONS[name], args, keywords)


def with_format(value: Value, conversion: str, specification: str) -> Value:
    """Return what ``{value!conversion:specification}`` stands for in a text, as far as it is
    known."""
    if input_of(value) is not None and not conversion and specification == "d":
        return value
    if _WIDE.search(specification) or "{" in specification:
        return UNKNOWN
    field = f"{conversion and '!'}{conversion}:{specification}"
    found = _carried_out(f"{{{field}}}".format, (value,), {})
    return UNKNOWN if found is None else found.value


class NotConstant(Exception):
    """Part of a value is not known, or it is too large."""


def _carried_out(
    function: Callable[..., Any], args: Sequence[Value], keywords: Mapping[str, Value]
) -> Outcome | None:
    """Return what a function gives for each combination of what its arguments may be; None where
    one of them is no constant."""
    choices = [tuple(alternatives(value)) for value in (*args, *keywords.values())]
    if math.prod(map(len, choices)) > _MOST_COMBINATIONS:
        return None
    results: list[Value] = []
    raises = False
    for given in product(*choices):
        try:
            objects = [python_object(value) for value in given]
        except NotConstant:
            return None
        named = dict(zip(keywords, objects[len(args) :], strict=True))
        try:
            results.append(value_of(function(*objects[: len(args)], **named)))
        except Exception:  # the program would see what the constants' own type raises
            raises = True
    return Outcome(any_of(results), raises)


def _is_plain(constant: object) -> bool:
    """Whether a constant is short enough to compute with."""
    if isinstance(constant, (str, bytes)):
        return len(constant) <= _LONGEST
    return not isinstance(constant, int) or abs(constant) <= _LARGEST


def _is_wide(constant: object) -> bool:
    """Whether a constant, as the width of a text, makes it too long to compute with."""
    return isinstance(constant, int) and abs(constant) > _LONGEST


def item_of_text(base: Value, key: Value) -> Outcome | None:
    """Return ``base[key]`` of a text; None where one of them is not known."""
    if text_of(base) is None:
        return None
    return _carried_out(lambda text, at: text[at], (base, key), {})


def sliced(base: Value, bounds: Sequence[Value]) -> Value:
    """Return ``base[lower:upper:step]`` of texts, lists and tuples, as far as it is known."""
    places: list[int | None] = []
    for bound in bounds:
        if not isinstance(bound, Known) or not isinstance(bound.value, (int, type(None))):
            return UNKNOWN
        places.append(bound.value)
    wanted = slice(*places)
    if isinstance(base, Items) and base.kind in ("list", "tuple") and wanted.step != 0:
        return Items(base.kind, base.values[wanted])
    if text_of(base) is None:
        return UNKNOWN
    found = _carried_out(lambda text: text[wanted], (base,), {})
    return UNKNOWN if found is None else found.value


def python_object(value: Value) -> object:
    """Return the object that a value is. Raises :class:`NotConstant` where it is not known."""
    match value:
        case Known(value=constant) if _is_plain(constant):
            return constant
        case Items(kind="list" | "tuple" | "set" as kind, values=values):
            made = [python_object(item) for item in values]
            if kind == "tuple":
                return tuple(made)
            try:
                return set(made) if kind == "set" else made
            except TypeError:
                raise NotConstant from None
        case Pairs(open=False, entries=entries):
            try:
                return {python_object(key): python_object(held) for key, held in entries}
            except TypeError:
                raise NotConstant from None
    raise NotConstant


def value_of(made: object) -> Value:
    """Return the value that an object is."""
    match made:
        case bool() | None:
            return Known(made)
        case int():
            return number(made)
        case str() | bytes():
            return Known(made) if len(made) <= _LONGEST else UNKNOWN
        case float():
            return Known(made)
        case list() | tuple():
            return Items(type(made).__name__, tuple(map(value_of, made)))
        case dict():
            return Pairs(tuple((value_of(key), value_of(held)) for key, held in made.items()))
    return Typed(type(made).__name__)
