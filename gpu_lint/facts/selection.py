"""What a device argument asks for: one device, several, or a number of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gpu_lint.facts import program as p
from gpu_lint.facts.knowledge import DeviceArgument
from gpu_lint.facts.model import Certainty, Index, Shape
from gpu_lint.facts.values import (
    Items,
    Known,
    Pairs,
    Value,
    alternatives,
    any_of,
    constants,
    convert,
)
from gpu_lint.source import Span

_INDEXED_DEVICE = re.compile(r"(?:cuda|gpu):(\d+)", re.IGNORECASE)
_NOT_A_GPU = frozenset({"cpu", "mps", "meta", "xpu", "hpu", "npu", "xla", "disk"})


@dataclass(frozen=True, slots=True)
class Selection:
    """What one device argument asks for."""

    shape: Shape
    indices: tuple[Index, ...]
    count: int
    gpu: Certainty
    complete: bool


def select(argument: DeviceArgument, node: p.Expression, value: Value) -> Selection:
    """What a device argument asks for, as far as it is known."""
    if argument.kind in ("index", "device"):
        return _select_one(node, value)
    parts: list[Selection] = []
    if argument.kind == "providers":
        parts = [_select_one(node, found) for found in _provider_devices(value)]
        return _combine(parts, Shape.ONE if len(parts) < 2 else Shape.MANY)
    if argument.kind == "count":
        known = constants(value) or ()
        numbers = [k.value for k in known if type(k.value) is int]
        gpu = Certainty.MAYBE if not numbers else Certainty.ALWAYS
        return Selection(Shape.COUNT, (), max(numbers, default=0), gpu, bool(numbers))
    if argument.kind == "split" and isinstance(value, Items):
        shares = [constants(share) for share in value.values]
        used = sum(1 for share in shares if share is None or any(k.value for k in share))
        return Selection(Shape.COUNT, (), used, Certainty.ALWAYS, True)
    if argument.kind == "indices" and isinstance(value, Items):
        parts = [_select_one(node, item) for item in value.values]
        return _combine(parts, Shape.MANY if len(parts) > 1 else Shape.ONE)
    if isinstance(value, Pairs) and argument.kind in ("map", "memory"):
        chosen = [pair[argument.kind == "map"] for pair in value.entries]
        parts = [_select_one(node, item) for item in chosen]
        gpus = {index.number for part in parts for index in part.indices}
        return _combine(parts, Shape.MANY if len(gpus) > 1 else Shape.ONE)
    if argument.kind in ("map", "indices"):
        return _select_one(node, value)
    return Selection(Shape.MANY, (), 0, Certainty.MAYBE, False)


def _combine(parts: list[Selection], shape: Shape) -> Selection:
    indices = tuple(index for part in parts for index in part.indices)
    gpu = max((part.gpu for part in parts), default=Certainty.NEVER)
    complete = all(part.complete for part in parts)
    return Selection(shape, indices, len({index.number for index in indices}), gpu, complete)


def _select_one(node: p.Expression, value: Value) -> Selection:
    """One device; of several alternatives each known one counts."""
    indices: list[Index] = []
    gpus: list[bool | None] = []
    for single in alternatives(value):
        constant = single.value if isinstance(single, Known) else ...
        if isinstance(constant, str):
            match = _INDEXED_DEVICE.fullmatch(constant.strip())
            if match:
                indices.append(Index(int(match.group(1)), _origin(single)))
            word = constant.partition(":")[0].lower()
            gpus.append(False if word in _NOT_A_GPU else True if word in ("cuda", "gpu") else None)
        elif type(constant) is int:
            if constant >= 0:
                indices.append(Index(constant, _origin(single)))
            gpus.append(constant >= 0)
        elif constant is None:
            gpus.append(True)
        else:
            gpus.append(None)
    if all(gpu is True for gpu in gpus):
        certainty = Certainty.ALWAYS
    elif all(gpu is False for gpu in gpus):
        certainty = Certainty.NEVER
    else:
        certainty = Certainty.MAYBE
    count = len({index.number for index in indices})
    return Selection(Shape.ONE, tuple(indices), count, certainty, None not in gpus)


def _origin(value: Value) -> Span | None:
    return value.origin if isinstance(value, Known) else None


def _provider_devices(value: Value) -> list[Value]:
    """Every ``device_id`` in ONNX Runtime's providers or provider options."""
    if isinstance(value, Pairs):
        device = value.get("device_id")
        return [] if device is None else [_as_index(device)]
    if isinstance(value, Items):
        return [device for item in value.values for device in _provider_devices(item)]
    return []


def _as_index(value: Value) -> Value:
    """ONNX Runtime takes ``device_id`` as a number or as its decimal text."""
    return any_of(convert("int", single) for single in alternatives(value))
