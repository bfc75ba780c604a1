"""What a device argument asks for: one device, several, or a number of them."""

from __future__ import annotations

import re
from dataclasses import replace

from gpu_lint.digits import number_in
from gpu_lint.facts import program as p
from gpu_lint.facts.knowledge import DeviceArgument
from gpu_lint.facts.model import Certainty, Index, Shape, Written
from gpu_lint.facts.spellings import DEVICE_WORDS, NOT_A_GPU
from gpu_lint.facts.values import (
    UNCOUNTED,
    AnyOf,
    Items,
    Known,
    Pairs,
    Text,
    Value,
    alternatives,
    any_of,
    constants,
    convert,
    input_of,
    text_of,
)
from gpu_lint.masks import read_mask
from gpu_lint.records import record

_PREFIX = rf"(?:/[\w:/]*)?(?:{'|'.join(DEVICE_WORDS)}):"
_GPU_PREFIX = re.compile(_PREFIX)
_INDEXED_DEVICE = re.compile(rf"{_PREFIX}([0-9]{{1,18}})")
_GPU_PROVIDERS = ("CUDA", "Tensorrt", "NvTensorRT")
_MOST_LISTED = 1_000


@record
class Selection:
    """What one device argument asks for."""

    shape: Shape
    indices: tuple[Index, ...]
    count: int
    gpu: Certainty
    complete: bool
    inputs: tuple[Value, ...] = ()
    """Values that only the run will tell, used as an index: ``n``, or ``f"cuda:{n}"``."""
    bare: tuple[Value, ...] = ()
    """Those of them in whose place there is never anything else, such as a default."""


def select(argument: DeviceArgument, node: p.Expression, value: Value) -> Selection:
    """What a device argument asks for, as far as it is known."""
    parts: list[Selection] = []
    if argument.kind in ("index", "device"):
        if isinstance(value, Pairs):  # a map from where tensors were to where they go
            parts = [_select_one(node, target) for _, target in value.entries]
            gpus = {index.number for part in parts for index in part.indices}
            return _combine(parts, Shape.MANY if len(gpus) > 1 else Shape.ONE)
        return _select_one(node, value)
    if argument.kind == "providers":
        parts = [_select_one(node, found) for found in _provider_devices(value)]
        selected = _combine(parts, Shape.ONE if len(parts) < 2 else Shape.MANY)
        return replace(selected, gpu=max(selected.gpu, _provider_gpu(value)))
    if argument.kind in ("map", "memory", "indices") and isinstance(value, AnyOf):
        return _either([select(argument, node, single) for single in alternatives(value)])
    if argument.kind == "devices":
        return _select_devices(node, value)
    if argument.kind == "ranges":
        return _select_ranges(node, value)
    if argument.kind == "count":
        known = constants(value) or ()
        numbers = [k.value for k in known if type(k.value) is int]
        gpu = Certainty.MAYBE if not numbers else Certainty.ALWAYS
        read = input_of(value)
        bare = (read,) if read is not None else ()
        return Selection(Shape.COUNT, (), max(numbers, default=0), gpu, bool(numbers), bare, bare)
    if argument.kind == "split" and isinstance(value, Items):
        shares = [constants(share) for share in value.values]
        used = [share is None or any(k.value for k in share) for share in shares]
        last = max((number for number, one in enumerate(used, 1) if one), default=0)
        return Selection(Shape.COUNT, (), last, Certainty.ALWAYS, True)
    if argument.kind == "indices" and isinstance(value, Items):
        parts = [_select_one(node, item) for item in value.values]
        single = len(parts) < 2 and value.kind not in UNCOUNTED
        return _combine(parts, Shape.ONE if single else Shape.MANY)
    if isinstance(value, Pairs) and argument.kind in ("map", "memory"):
        chosen = [pair[argument.kind == "map"] for pair in value.entries]
        parts = [_select_one(node, item) for item in chosen]
        gpus = {index.number for part in parts for index in part.indices}
        return _combine(parts, Shape.MANY if len(gpus) > 1 else Shape.ONE)
    if argument.kind in ("map", "indices"):
        return _select_one(node, value)
    return Selection(Shape.MANY, (), 0, Certainty.MAYBE, False)


def _select_devices(node: p.Expression, value: Value) -> Selection:
    """How many devices, or a list of them, perhaps as a text with commas; -1 is all."""
    known = constants(value)
    if known is None or len(known) != 1:
        return select(DeviceArgument("indices"), node, value)
    constant = known[0].value
    text = constant if isinstance(constant, str) else None
    if text is not None and "," in text:
        return _select_ranges(node, known[0])
    count = number_in(text.strip()) if text is not None else constant
    if type(count) is int and count > 0:
        return Selection(Shape.COUNT, (), count, Certainty.MAYBE, True)
    return Selection(Shape.COUNT, (), 0, Certainty.MAYBE, False)


def _select_ranges(node: p.Expression, value: Value) -> Selection:
    """Devices between commas or colons; a hyphen stands for all between two."""
    text = text_of(value)
    if text is None:
        return select(DeviceArgument("indices"), node, value)
    numbers: list[int] = []
    for part in re.split(r"[:,]", text.strip().removesuffix(",")):
        ends = [number_in(end.strip()) for end in part.split("-")]
        first, last = ends[0], ends[-1]
        if first is None or last is None or len(ends) > 2 or last - first > _MOST_LISTED:
            return Selection(Shape.MANY, (), 0, Certainty.MAYBE, False)
        numbers += range(first, last + 1)
    literal = value if len(numbers) == 1 else Known(text)
    indices = tuple(_index(number, literal) for number in numbers)
    shape = Shape.ONE if len(numbers) == 1 else Shape.MANY
    return Selection(shape, indices, len(numbers), Certainty.ALWAYS, True)


def _combine(parts: list[Selection], shape: Shape) -> Selection:
    indices = tuple(index for part in parts for index in part.indices)
    gpu = max((part.gpu for part in parts), default=Certainty.NEVER)
    complete = all(part.complete for part in parts)
    inputs = tuple(value for part in parts for value in part.inputs)
    bare = tuple(value for part in parts for value in part.bare)
    count = len({index.number for index in indices})
    return Selection(shape, indices, count, gpu, complete, inputs, bare)


def _either(parts: list[Selection]) -> Selection:
    """One of several selections; each index counts, and what only some of them leave to the run is
    not bare."""
    gpus = {part.gpu for part in parts}
    shape = next((part.shape for part in parts if part.shape is not Shape.ONE), Shape.ONE)
    return replace(
        _combine(parts, shape),
        gpu=gpus.pop() if len(gpus) == 1 else Certainty.MAYBE,
        count=max(part.count for part in parts),
        bare=(),
    )


def _select_one(node: p.Expression, value: Value) -> Selection:
    """One device; of several alternatives each known one counts."""
    indices: list[Index] = []
    inputs: list[Value] = []
    gpus: list[bool | None] = []
    for single in alternatives(value):
        constant = single.value if isinstance(single, Known) else ...
        if isinstance(constant, str):
            match = _INDEXED_DEVICE.fullmatch(constant.strip())
            if match:
                indices.append(_index(int(match.group(1)), single))
            word = constant.partition(":")[0].lower()
            gpus.append(False if word in NOT_A_GPU else True if word in ("cuda", "gpu") else None)
        elif type(constant) is int:
            if constant >= 0:
                indices.append(_index(constant, single))
            gpus.append(constant >= 0)
        elif constant is None:
            gpus.append(True)
        else:
            indexing = indexing_input(single) is not None
            inputs += [single] if indexing else []
            gpus.append(True if isinstance(single, Text) and indexing else None)
    if all(gpu is True for gpu in gpus):
        certainty = Certainty.ALWAYS
    elif all(gpu is False for gpu in gpus):
        certainty = Certainty.NEVER
    else:
        certainty = Certainty.MAYBE
    count = len({index.number for index in indices})
    complete = None not in gpus and not inputs
    read = tuple(inputs)
    bare = read if len(gpus) == 1 else ()
    return Selection(Shape.ONE, tuple(indices), count, certainty, complete, read, bare)


def _index(number: int, value: Value) -> Index:
    origin = value.origin if isinstance(value, Known) else None
    return Index(number, origin.span, origin.file) if origin else Index(number, None)


def indexing_input(value: Value) -> Value | None:
    """The unknown but identified value that is the index: ``n``, also in ``f"cuda:{n}"``."""
    if isinstance(value, Text) and len(value.parts) == 2:
        prefix, number = value.parts
        return input_of(number) if _GPU_PREFIX.fullmatch(text_of(prefix) or "") else None
    return input_of(value)


def _provider_devices(value: Value) -> list[Value]:
    """Every ``device_id`` in ONNX Runtime's providers or provider options."""
    if isinstance(value, Pairs):
        device = value.get("device_id")
        return [] if device is None else [_as_index(device)]
    if isinstance(value, Items):
        return [device for item in value.values for device in _provider_devices(item)]
    return []


def _provider_gpu(value: Value) -> Certainty:
    """Whether ONNX Runtime's providers are given, and one of them is CUDA's or TensorRT's."""
    texts = [text_of(single) for single in alternatives(value)]
    if any(text is not None and text.startswith(_GPU_PROVIDERS) for text in texts):
        return Certainty.ALWAYS
    if isinstance(value, Items):
        return max(map(_provider_gpu, value.values), default=Certainty.NEVER)
    return Certainty.NEVER


def _as_index(value: Value) -> Value:
    """ONNX Runtime takes ``device_id`` as a number or as its decimal text."""
    return any_of(convert("int", single) for single in alternatives(value))


def fewest(masks: frozenset[Written], counted: frozenset[Written]) -> frozenset[Written]:
    """The masks that decide whether an index is accepted.

    A call that also compares it with ``device_count()`` accepts it only under both, so of the
    two the one that shows fewer devices decides. Where that cannot be told, both may.
    """
    if not counted or counted == masks:
        return masks
    sizes = [{_size(written) for written in held} for held in (masks, counted)]
    if None in sizes[0] | sizes[1]:
        one = [held for held, size in zip((masks, counted), sizes, strict=True) if None not in size]
        return one[0] if len(one) == 1 and len(sizes[0] | sizes[1]) <= 2 else masks | counted
    largest = [max(size) for size in sizes if size]  # type: ignore[type-var]
    smallest = [min(size) for size in sizes if size]  # type: ignore[type-var]
    if largest[0] <= smallest[1]:  # type: ignore[operator]
        return masks
    return counted if largest[1] <= smallest[0] else masks | counted  # type: ignore[operator]


def surely_exist(selection: Selection, masks: frozenset[Written]) -> bool:
    """Whether every device asked for exists, for all that is known of the mask."""
    sizes = {_size(written) for written in masks}
    least = min((1 if size is None else size for size in sizes), default=1)
    return selection.complete and all(index.number < least for index in selection.indices)


def _size(written: Written) -> int | None:
    """How many devices a mask shows; None where it is not set, or not known."""
    known = constants(written.value) if written.value is not None else None
    sizes = {len(read_mask(str(constant.value)).devices) for constant in known or ()}
    return sizes.pop() if len(sizes) == 1 else None
