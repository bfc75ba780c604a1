"""What calls of frameworks do: they select devices, freeze CUDA, allocate and count."""

from __future__ import annotations

import re
import sys
from abc import abstractmethod
from collections.abc import Collection
from dataclasses import replace

from gpu_lint.facts import program as p
from gpu_lint.facts.environment import VAGUE, Arguments
from gpu_lint.facts.evaluation import PROCESS
from gpu_lint.facts.flow import Flow, advance
from gpu_lint.facts.guards import NEVER
from gpu_lint.facts.knowledge import Api, DeviceArgument
from gpu_lint.facts.model import (
    DEFAULT_OF,
    Certainty,
    Child,
    Crossing,
    Mark,
    Reach,
    Trigger,
    in_order,
)
from gpu_lint.facts.selection import (
    Selection,
    fewest,
    indexing_input,
    select,
    surely_exist,
)
from gpu_lint.facts.spellings import DEVICE_KEYWORDS, DEVICE_PARAMETER
from gpu_lint.facts.values import (
    UNKNOWN,
    DeviceCount,
    EnvironmentValue,
    Gpus,
    Input,
    Items,
    Known,
    Numbered,
    Pairs,
    Returned,
    Symbol,
    Text,
    Unknown,
    Value,
    alternatives,
    any_of,
    concatenate,
    convert,
    text_of,
)
from gpu_lint.facts.writers import Writers
from gpu_lint.source import Span

_DEVICE_PARAMETER = re.compile(DEVICE_PARAMETER)
_NEVER = Mark()
_WITHOUT_DEVICE = ("unless-cpu", "without-device")


_CHOOSING = "torch.cuda.set_device"
CHOSEN = "has chosen its device"
"""In the frame of the process."""


class Devices(Writers):
    """Applies the rows of the framework tables to calls, and reads devices wherever they stand."""

    @abstractmethod
    def note_use(self, trigger: Trigger, flow: Flow) -> None:
        """Note a contact with a framework, before it takes effect on the flow."""

    @abstractmethod
    def framework_named(self, name: str) -> bool:
        """Whether an import anywhere in the file mentions a framework."""

    @abstractmethod
    def may_be_missing(self) -> None:
        """Note that something is imported that need not be installed."""

    @property
    @abstractmethod
    def is_probed(self) -> bool:
        """Whether a handler right around execution says what to do without the device."""

    def _needs(self, flow: Flow) -> int:
        """How many devices there are at least where a call is given one that must exist."""
        return NEVER if self.is_probed else flow.needs

    def import_module(self, module: str, span: Span, flow: Flow) -> None:
        """Bring a framework in, if the module belongs to one."""
        framework = self.knowledge.framework_of(module)
        if module.partition(".")[0] not in sys.stdlib_module_names:
            self.may_be_missing()
        if framework is None or not framework.uses_mask:
            return
        trigger = Trigger(f"import {module}", span, self.file, self.steps, True)
        self.recorder.framework(span, trigger)
        self.note_use(trigger, flow)
        flow.imported = advance(flow.imported, trigger, Certainty.ALWAYS)
        flow.imported_here = advance(flow.imported_here, trigger, Certainty.ALWAYS)
        if framework.import_freezes:
            flow.freeze(trigger, Certainty.ALWAYS)

    def apply_api(self, api: Api, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """Select devices, freeze and allocate as the row of a known call says."""
        gpu = Certainty.NEVER if api.devices else Certainty.ALWAYS
        called = f"{'.' if api.method else ''}{api.name}()"
        if api.name == _CHOOSING:
            flow.bind(PROCESS, CHOSEN, Known(True))
        given = False
        if not api.physical:
            described = {argument.keyword for argument in api.devices}
            self._generic_keywords(api.name.rpartition(".")[2], args, described, flow)
        selections: list[tuple[Selection, Span]] = []
        for argument in api.devices:
            found = args.find(argument.position, argument.keyword)
            if argument.after is not None and argument.after not in args.texts:
                continue
            if found is None:
                if argument.variable is not None and args.exact:
                    held = alternatives(self.environment(argument.variable, flow))
                    value = any_of(convert("int", single) for single in held)
                    selections.append((select(argument, node, value), node.span))
                continue
            expression, value = found
            if argument.key is not None:
                entry = value.get(argument.key) if isinstance(value, Pairs) else None
                if entry is None:
                    continue
                value = entry
            given = given or value != Known(None)
            if argument.kind == "mask":
                self._note_mask(node, value, flow)
                continue
            self.note_numbering(called, api.physical, expression, value, flow)
            if api.physical:
                continue
            selection = select(argument, expression, value)
            if selection.inputs and flow.checked:
                left = [v for v in selection.inputs if indexing_input(v) not in flow.checked]
                bare = tuple(v for v in selection.bare if v in left)
                selection = replace(selection, inputs=tuple(left), bare=bare)
            gpu = max(gpu, selection.gpu)
            selections.append((selection, expression.span))
        if not given and not args.exact:
            gpu = Certainty.MAYBE
        counted = flow.count() if api.counts == "asks" else frozenset()
        if api.counts == "checks":
            flow.initialised = Certainty.ALWAYS
            counted = flow.count()
        if api.returns == "device" and (self.file, node.span) in self.comparands:
            selections = []  # `x.device == torch.device("cuda:1")` only asks
        for selection, span in selections:
            asks = selection.gpu is Certainty.MAYBE and api.freezes == "always"
            if selection.indices or selection.count or selection.inputs or asks:
                masks = fewest(flow.masks(), counted)
                also = (flow.masks() | counted) - masks
                frozen = flow.frozen if api.versions else _NEVER
                self.recorder.selector(
                    called,
                    selection,
                    span,
                    masks,
                    self._needs(flow),
                    self.reach,
                    also,
                    api.versions,
                    frozen,
                )
                touches = api.freezes not in ("never", "maybe") or api.counts == "checks"
                self.failing |= touches and not surely_exist(selection, masks)
        trigger = Trigger(called, node.span, self.file, self.steps, under=self.conditions)
        if _may_use_gpu(api):
            flow.quiet = frozenset()
            works = gpu is not Certainty.NEVER if given else api.freezes == "maybe"
            if works and self.reach is not Reach.UNCALLED:
                self.recorder.possible_use(trigger)
                flow.freeze(trigger, Certainty.MAYBE)
        if api.unless is not None and self._has_value(*api.unless, flow):
            return _result_of(api, args)
        for effect, how in (("freeze", api.freezes), ("allocate", api.allocates)):
            certainty = gpu
            if how == "always" or (how in _WITHOUT_DEVICE and not given and args.exact):
                certainty = Certainty.ALWAYS
            elif how == "without-device" and given:
                certainty = Certainty.NEVER
            if how in ("never", "maybe", "on-enter") or certainty is Certainty.NEVER:
                continue
            if effect == "freeze":
                self.note_use(trigger, flow)
                flow.freeze(trigger, certainty)
                if api.counts != "probes" and api.framework == "torch":
                    flow.initialised = max(flow.initialised, certainty)
            else:
                flow.allocated = advance(flow.allocated, trigger, certainty)
        return _result_of(api, args)

    def _note_mask(self, node: p.Call, value: Value, flow: Flow) -> None:
        """Note a call that gives other processes a mask."""
        listed = value.values if isinstance(value, Items) and value.kind not in VAGUE else ()
        parts = [part for item in listed for part in (Known(","), convert("str", item))]
        mask = concatenate(parts[1:]) if parts else convert("str", value)
        origin = value.origin if isinstance(value, Known) else None
        masks = in_order(flow.masks())
        at = origin.span if origin else None
        self.recorder.child(Child(node.span, False, mask, at, masks=masks, reach=self.reach))

    def note_numbering(
        self,
        called: str,
        physical: bool,
        at: p.Expression,
        value: Value,
        flow: Flow,
        *,
        in_command: bool = False,
    ) -> None:
        """Note an index that counts other devices than a call takes it to count.

        Where it may also be something unknown, that may be the index put right for the mask.
        """
        if any(isinstance(v, (Unknown, Input, EnvironmentValue)) for v in alternatives(value)):
            return
        for single in alternatives(value):
            parts = single.parts if isinstance(single, Text) else (single,)
            for part in parts:
                if isinstance(part, Numbered) and part.physical != physical:
                    masks = in_order(flow.masks())
                    crossing = Crossing(
                        called, part.source, part.physical, at.span, masks, in_command
                    )
                    self.recorder.crossing(crossing)

    def listed_device(
        self, gpus: Gpus | Symbol, node: p.Expression, key: Value, flow: Flow
    ) -> None:
        name = gpus.api if isinstance(gpus, Gpus) else gpus.name
        api = self.knowledge.function(name)
        if api is None or not api.returns.startswith("gpus"):
            return
        selection = select(DeviceArgument("index"), node, key)
        if selection.indices or selection.inputs:
            called = f"{name}{'()' if isinstance(gpus, Gpus) else ''}[…]"
            masks = flow.masks()
            self.recorder.selector(
                called, selection, node.span, masks, self._needs(flow), self.reach
            )

    def entered(self, manager: Value, span: Span, flow: Flow) -> None:
        """A ``with`` statement enters what a call gave it."""
        api = self.knowledge.function(manager.symbol) if isinstance(manager, Returned) else None
        if api is not None and api.freezes == "on-enter":
            trigger = Trigger(f"{api.name}()", span, self.file, self.steps)
            self.note_use(trigger, flow)
            flow.freeze(trigger, Certainty.ALWAYS)
            flow.initialised = Certainty.ALWAYS

    def _has_value(self, variable: str, value: str, flow: Flow) -> bool:
        held = alternatives(self.environment(variable, flow))
        return all(text_of(single) == value for single in held)

    def generic_device(self, node: p.Call, callee: str, args: Arguments, flow: Flow) -> None:
        """``device="cuda:1"`` given to a call that no row describes selects that device."""
        if DEVICE_KEYWORDS.isdisjoint(args.keywords):
            return
        last = callee.rpartition(".")[2]
        root = callee.partition(".")[0]
        if last.startswith(("assert", "add_argument", "dict", "setdefault", "print", "log")):
            return
        if root in sys.stdlib_module_names:
            return
        self._generic_keywords(last or "call", args, frozenset(), flow)

    def _generic_keywords(
        self, called: str, args: Arguments, described: Collection[str | None], flow: Flow
    ) -> None:
        """Read the keywords that take a device in any call, but for those that a row describes."""
        for keyword in (DEVICE_KEYWORDS & args.keywords.keys()).difference(described):
            expression, value = args.keywords[keyword]
            self.named_device(f"{called}({keyword}=)", expression, value, flow)

    def named_device(self, api: str, expression: p.Expression, value: Value, flow: Flow) -> None:
        """Record a device string such as ``cuda:1`` or ``cuda:{n}``; nothing else counts here."""
        texts = [v for v in alternatives(value) if isinstance(v, Text) or text_of(v) is not None]
        chosen = value if isinstance(value, Pairs) else any_of(texts)
        selection = select(DeviceArgument("device"), expression, chosen)
        if (texts or chosen is value) and (selection.indices or selection.inputs):
            masks = flow.masks()
            self.recorder.selector(
                api, selection, expression.span, masks, self._needs(flow), self.reach
            )

    def assigned_device(self, name: str, value: Value, at: Span, flow: Flow) -> None:
        """``options.visible_device_list = "1"`` selects where a row says so of the attribute."""
        api = self.knowledge.attributes.get(name)
        if api is None or not self.framework_named(api.framework):
            return
        for argument in api.devices:
            selection = select(argument, p.Opaque(at, ()), value)
            if selection.indices or selection.count or selection.inputs:
                masks = flow.masks()
                self.recorder.selector(
                    f".{name} =", selection, at, masks, self._needs(flow), self.reach
                )

    def default_device(self, parameter: p.Parameter, value: Value, flow: Flow) -> None:
        """A default such as ``device="cuda:1"`` selects when the caller names nothing."""
        if parameter.default is not None and _DEVICE_PARAMETER.fullmatch(parameter.name):
            api = f"{DEFAULT_OF}{parameter.name}"
            self.named_device(api, parameter.default, value, flow)


def _may_use_gpu(api: Api) -> bool:
    """Whether a call that is given a GPU may initialise CUDA, though nobody has measured that it
    does. What PyTorch's own calls do is measured."""
    asks = api.physical or bool(api.counts) or api.returns == "device"
    return api.freezes in ("never", "maybe") and api.framework != "torch" and not asks


def _result_of(api: Api, args: Arguments) -> Value:
    if api.returns == "device-count":
        return DeviceCount(api.physical)
    if api.returns == "index":
        return Numbered(api.physical, f"{api.name}()")
    if api.returns == "indices":
        return Items("some", (Numbered(api.physical, f"{api.name}()"),))
    if api.returns in ("gpus", "gpus-if-named"):
        said = next((text_of(value) for _, value in args.positional), None)
        said = said or next((text_of(value) for _, value in args.keywords.values()), None)
        named = said is not None and said.lower() in ("gpu", "cuda")
        unnamed = not args.positional and not args.keywords and api.returns == "gpus"
        return Gpus(api.name) if named or unnamed else UNKNOWN
    if api.returns == "device":
        first, second = args.value(0, "type") or args.value(0, "device"), args.value(1, "index")
        if isinstance(second, Known) and first is not None and text_of(first) is not None:
            return concatenate((first, Known(":"), second))
        if isinstance(first, Known) and type(first.value) is int:
            return concatenate((Known("cuda:"), first))
        # An index that only the run will tell is judged here, not wherever the device is used.
        told = [UNKNOWN if isinstance(v, Text) else v for v in alternatives(first or UNKNOWN)]
        return any_of(told)
    return Returned(api.name)
