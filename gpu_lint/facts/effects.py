"""What known calls do: environment writes, device selection, freezes, imports by name, exits."""

from __future__ import annotations

import builtins
import re
import sys
from abc import abstractmethod
from dataclasses import dataclass, field, replace
from string import Formatter

from gpu_lint.digits import number_in
from gpu_lint.facts import program as p
from gpu_lint.facts.children import argument_positions, command_of, may_use_gpu, starts_child
from gpu_lint.facts.conditions import Condition
from gpu_lint.facts.evaluation import MOST_ITEMS, Evaluator
from gpu_lint.facts.flow import Flow, advance
from gpu_lint.facts.knowledge import Api, DeviceArgument, Knowledge
from gpu_lint.facts.model import (
    INHERITED,
    Certainty,
    Child,
    Crossing,
    Form,
    Reach,
    Trigger,
    Written,
)
from gpu_lint.facts.recorder import Recorder
from gpu_lint.facts.selection import (
    Selection,
    fewest,
    indexing_input,
    select,
    surely_exist,
)
from gpu_lint.facts.values import (
    CHANGING_METHODS,
    UNKNOWN,
    Bound,
    DeviceCount,
    EnvironmentValue,
    FunctionValue,
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
    merged,
    text_of,
)
from gpu_lint.source import Span

_DEVICE_KEYWORDS = frozenset({"device", "map_location", "target_device", "torch_device"})
_DEVICE_PARAMETER = re.compile(r"(?:.*_)?device")
_PARSERS = frozenset({"argparse.ArgumentParser"})
_WITHOUT_DEVICE = ("unless-cpu", "without-device")
_RUNNERS = frozenset({"asyncio.run", "anyio.run", "trio.run"})
_EXITS = frozenset({"sys.exit", "os._exit", "os.abort"})
_SOUND_MODULES = frozenset(
    {"abc", "contextlib", "dataclasses", "enum", "functools", "logging", "typing"}
)
"""Standard modules whose functions do not raise in ordinary use."""
_EXIT_BUILTINS = frozenset({"exit", "quit"})
_SKIPS = frozenset({"pytest.skip", "pytest.exit", "pytest.xfail"})
_HARMLESS_BUILTINS = frozenset(
    {"print", "len", "str", "int", "float", "repr", "isinstance", "getattr", "hasattr", "type"}
    | {"range", "list", "dict", "tuple", "set", "sorted", "min", "max", "sum", "format", "bool"}
    | {name for name, value in vars(builtins).items() if isinstance(value, type)}
)
_ENVIRON = "os.environ"
_VAGUE = ("many", "some", "set")
"""Kinds of containers of which no single item is known by its place."""
FORK = Known("fork")
"""How ``multiprocessing`` starts a process on Linux before Python 3.14, unless told."""
_PROCESS = -2
"""The frame of what is known of the process as a whole."""


@dataclass(frozen=True)
class Arguments:
    """The arguments of one call, evaluated."""

    positional: list[tuple[p.Expression, Value]] = field(default_factory=list)
    keywords: dict[str, tuple[p.Expression, Value]] = field(default_factory=dict)
    exact: bool = True
    """No ``*args`` or ``**kwargs`` of unknown content."""

    def find(self, position: int | None, keyword: str | None) -> tuple[p.Expression, Value] | None:
        if keyword is not None and keyword in self.keywords:
            return self.keywords[keyword]
        if position is not None and position < len(self.positional):
            return self.positional[position]
        return None

    @property
    def texts(self) -> list[str | None]:
        """The texts among the first argument and those with keywords."""
        given = [*self.positional[:1], *self.keywords.values()]
        return [text_of(value) for _, value in given]

    def value(self, position: int, keyword: str | None = None) -> Value | None:
        found = self.find(position, keyword)
        return found[1] if found else None


class Effects(Evaluator):
    """Applies the effects of calls whose meaning does not depend on this file."""

    knowledge: Knowledge
    recorder: Recorder
    reach: Reach
    statement: p.Statement
    steps: tuple[Trigger, ...]
    """How execution got from the first file to this one."""
    conditions: tuple[Condition, ...]
    """Those of the branches that are being run."""

    @abstractmethod
    def record_setting(
        self, variable: str, value: Value | None, form: Form, key: Span, at: Span, flow: Flow
    ) -> None:
        """Note a write to an environment variable, as it is found."""

    @abstractmethod
    def note_use(self, trigger: Trigger, flow: Flow) -> None:
        """Note a contact with a framework, before it takes effect on the flow."""

    @abstractmethod
    def framework_named(self, name: str) -> bool:
        """Whether an import anywhere in the file mentions a framework."""

    @abstractmethod
    def import_by_name(self, name: str, span: Span, flow: Flow, package: str = "") -> Value:
        """``import_module(name)``: the module."""

    @abstractmethod
    def new_frame(self) -> int:
        """A frame that nothing uses yet."""

    @abstractmethod
    def call_value(self, callee: Value, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """Call a value with arguments that are evaluated already."""

    @abstractmethod
    def uses_gpu(self, function: FunctionValue, flow: Flow) -> bool:
        """Whether a function, called now in a new process, surely touches a GPU."""

    @abstractmethod
    def may_be_missing(self) -> None:
        """Note that something is imported that need not be installed."""

    @abstractmethod
    def end_path(self, raised: str, flow: Flow) -> None:
        """End a path by an exception of a known name: to its handler, or out of the program."""

    def arguments(self, node: p.Call, flow: Flow) -> Arguments:
        """Evaluate the arguments of a call, in order."""
        result = Arguments()
        exact = True
        for argument in node.arguments:
            value = self.evaluate(argument.value, flow)
            if argument.star == "**":
                if isinstance(value, Pairs):
                    for key, item in value.entries:
                        if (name := text_of(key)) is not None:
                            result.keywords[name] = (argument.value, item)
                exact = exact and isinstance(value, Pairs) and not value.open
            elif argument.star:
                if isinstance(value, Items) and value.kind not in _VAGUE and exact:
                    result.positional.extend((argument.value, item) for item in value.values)
                else:
                    exact = False
            elif argument.keyword is not None:
                result.keywords[argument.keyword] = (argument.value, value)
            elif exact:
                result.positional.append((argument.value, value))
        return Arguments(result.positional, result.keywords, exact)

    # --- the environment -----------------------------------------------------------------

    def write(
        self,
        variable: str,
        value: Value | None,
        form: Form,
        key: Span,
        at: Span,
        flow: Flow,
    ) -> None:
        """Write (or, with None, remove) a variable on this path and record it."""
        held = flow.holds(variable)
        if form is Form.ASSIGN and value is not None:
            reads_itself = EnvironmentValue(variable) in alternatives(value)
            if variable in flow.unset or (reads_itself and value != EnvironmentValue(variable)):
                form = Form.IF_UNSET
        if form is not Form.SETDEFAULT or INHERITED in held:
            self.record_setting(variable, value, form, key, at, flow)
        statement = self.statement.span
        if form is Form.SETDEFAULT:
            kept = frozenset(written for written in held if written.value is not None)
            weak = Written(value, statement, True, self.file)
            flow.variables[variable] = kept | {weak} if INHERITED in held else kept
        elif form is not Form.PUTENV:
            weak_form = form is Form.IF_UNSET
            new = INHERITED if value is None else Written(value, statement, weak_form, self.file)
            flow.variables[variable] = frozenset({new})
        flow.unset -= {variable}
        flow.quiet |= {variable}

    def _environment_call(self, name: str, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """Calls on ``os.environ`` and the ``os`` functions for the environment."""
        key = args.find(0, "key")
        variable = text_of(key[1]) if key else None
        if name in ("get", "getenv"):
            if variable is None:
                return UNKNOWN
            default = args.value(1, "default") or Known(None)
            held = self.environment(variable, flow)
            if EnvironmentValue(variable) in alternatives(held):
                return any_of((held, default)) if len(args.positional) > 1 else held
            return held
        if name in ("setdefault", "putenv", "__setitem__", "pop", "unsetenv", "__delitem__"):
            if key is None or variable is None:
                return UNKNOWN
            if name in ("pop", "unsetenv", "__delitem__"):
                held = self.environment(variable, flow)
                self.write(variable, None, Form.REMOVE, key[0].span, key[0].span, flow)
                return held
            value = args.find(1, "default" if name == "setdefault" else "value")
            forms = {"setdefault": Form.SETDEFAULT, "putenv": Form.PUTENV}
            if value is not None:
                form = forms.get(name, Form.ASSIGN)
                self.write(variable, value[1], form, key[0].span, value[0].span, flow)
            return value[1] if value is not None and name == "setdefault" else UNKNOWN
        if name == "update":
            self._update(node, flow)
        elif name == "copy":
            return Pairs((), open=True)
        elif name == "clear":
            flow.variables = {variable: frozenset({INHERITED}) for variable in flow.variables}
        return UNKNOWN

    def _update(self, node: p.Call, flow: Flow) -> None:
        for argument in node.arguments:
            if argument.keyword is not None:
                value = self.evaluate(argument.value, flow)
                span = argument.value.span
                self.write(argument.keyword, value, Form.UPDATE, span, span, flow)
            else:
                self.update_from(argument.value, flow)

    def update_from(self, mapping: p.Expression, flow: Flow) -> None:
        """Write every entry of a dict expression to the environment."""
        if isinstance(mapping, p.Mapping):
            for key, item in mapping.items:
                name = text_of(self.evaluate(key, flow)) if key is not None else None
                if key is not None and name is not None:
                    value = self.evaluate(item, flow)
                    self.write(name, value, Form.UPDATE, key.span, item.span, flow)
            return
        value = self.evaluate(mapping, flow)
        if isinstance(value, Pairs):
            for known, item_value in value.entries:
                if (name := text_of(known)) is not None:
                    self.write(name, item_value, Form.UPDATE, mapping.span, mapping.span, flow)

    # --- frameworks ----------------------------------------------------------------------

    def import_module(self, module: str, span: Span, flow: Flow) -> None:
        """Bring a framework in, if the module belongs to one."""
        framework = self.knowledge.framework_of(module)
        if module.partition(".")[0] not in sys.stdlib_module_names:
            self.may_be_missing()
        if framework is None or not framework.uses_mask:
            return
        trigger = Trigger(f"import {module}", span, self.file, self.steps, True)
        self.recorder.frameworks.setdefault(span, trigger)
        self.note_use(trigger, flow)
        flow.imported = advance(flow.imported, trigger, Certainty.ALWAYS)
        flow.imported_here = advance(flow.imported_here, trigger, Certainty.ALWAYS)
        if framework.import_freezes:
            flow.freeze(trigger, Certainty.ALWAYS)

    def apply_api(self, api: Api, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """Select devices, freeze and allocate as the row of a known call says."""
        gpu = Certainty.NEVER if api.devices else Certainty.ALWAYS
        called = f"{'.' if api.method else ''}{api.name}()"
        given = False
        selections: list[tuple[Selection, Span]] = []
        for argument in api.devices:
            found = args.find(argument.position, argument.keyword)
            if found is None:
                continue
            if argument.after is not None and argument.after not in args.texts:
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
            self._note_numbering(called, api.physical, expression, value, flow)
            if api.physical:
                continue
            selection = select(argument, expression, value)
            if selection.inputs and flow.checked:
                left = (v for v in selection.inputs if indexing_input(v) not in flow.checked)
                selection = replace(selection, inputs=tuple(left))
            gpu = max(gpu, selection.gpu)
            selections.append((selection, expression.span))
        if not given and not args.exact:
            gpu = Certainty.MAYBE
        counted = flow.count() if api.counts == "asks" else frozenset()
        if api.counts == "checks":
            flow.initialised = Certainty.ALWAYS
            counted = flow.count()
        for selection, span in selections:
            asks = selection.gpu is Certainty.MAYBE and api.freezes == "always"
            if selection.indices or selection.count or selection.inputs or asks:
                masks = fewest(flow.masks(), counted)
                also = (flow.masks() | counted) - masks
                self.recorder.selector(called, selection, span, masks, flow.needs, self.reach, also)
                touches = api.freezes != "never" or api.counts == "checks"
                self.failing |= touches and not surely_exist(selection, masks)
        trigger = Trigger(called, node.span, self.file, self.steps, under=self.conditions)
        if api.unless is not None and self._has_value(*api.unless, flow):
            return _result_of(api, args)
        for effect, how in (("freeze", api.freezes), ("allocate", api.allocates)):
            certainty = gpu
            if how == "always" or (how in _WITHOUT_DEVICE and not given and args.exact):
                certainty = Certainty.ALWAYS
            elif how == "without-device" and given:
                certainty = Certainty.NEVER
            if how in ("never", "on-enter") or certainty is Certainty.NEVER:
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
        listed = value.values if isinstance(value, Items) and value.kind not in _VAGUE else ()
        parts = [part for item in listed for part in (Known(","), convert("str", item))]
        mask = concatenate(parts[1:]) if parts else convert("str", value)
        origin = value.origin if isinstance(value, Known) else None
        masks = tuple(sorted(flow.masks(), key=repr))
        self.recorder.children[node.span] = Child(
            node.span, False, mask, origin.span if origin else None, 0, masks, reach=self.reach
        )

    def _note_numbering(
        self, called: str, physical: bool, at: p.Expression, value: Value, flow: Flow
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
                    masks = tuple(sorted(flow.masks(), key=repr))
                    crossing = Crossing(called, part.source, part.physical, at.span, masks)
                    self.recorder.crossings[at.span] = crossing

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
            self.recorder.selector(called, selection, node.span, masks, flow.needs, self.reach)

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
        last = callee.rpartition(".")[2]
        root = callee.partition(".")[0]
        if last.startswith(("assert", "add_argument", "dict", "setdefault", "print", "log")):
            return
        if root in sys.stdlib_module_names:
            return
        for keyword in _DEVICE_KEYWORDS & args.keywords.keys():
            expression, value = args.keywords[keyword]
            self.named_device(f"{last or 'call'}({keyword}=)", expression, value, flow)

    def named_device(self, api: str, expression: p.Expression, value: Value, flow: Flow) -> None:
        """Record a device string such as ``cuda:1``; nothing else counts here."""
        texts = [v for v in alternatives(value) if text_of(v) is not None]
        selection = select(DeviceArgument("device"), expression, any_of(texts))
        if texts and selection.indices:
            masks = flow.masks()
            self.recorder.selector(api, selection, expression.span, masks, flow.needs, self.reach)

    def default_device(self, parameter: p.Parameter, value: Value, flow: Flow) -> None:
        """A default such as ``device="cuda:1"`` selects when the caller names nothing."""
        if parameter.default is not None and _DEVICE_PARAMETER.fullmatch(parameter.name):
            api = f"default of {parameter.name}"
            self.named_device(api, parameter.default, value, flow)

    # --- other calls ---------------------------------------------------------------------

    def symbol_call(self, name: str, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """A call of something imported."""
        module, _, last = name.rpartition(".")
        if module == _ENVIRON or name in ("os.getenv", "os.putenv", "os.unsetenv"):
            return self._environment_call(last, node, args, flow)
        if name in _EXITS or name in _SKIPS or last == "skipTest":
            self.end_path("SystemExit", flow)
            return UNKNOWN
        if name == "importlib.import_module" and (
            text := text_of(args.value(0, "name") or UNKNOWN)
        ):
            package = text_of(args.value(1, "package") or UNKNOWN)
            return self.import_by_name(text, node.span, flow, package or "")
        if name in ("functools.partial", "functools.partialmethod") and args.positional:
            rest = Arguments(args.positional[1:], args.keywords, args.exact)
            return Bound("partial", args.positional[0][1], rest)
        if name == "atexit.register" and args.positional:
            callee = args.positional[0][1]
            rest = Arguments(args.positional[1:], args.keywords, args.exact)
            flow.at_exit += (Bound("partial", callee, (node, rest)),)
            return callee
        if name in _RUNNERS and args.positional:
            return args.positional[0][1]  # a coroutine's body ran where it was called
        if name.endswith("multiprocessing.set_start_method"):
            flow.bind(_PROCESS, "start method", args.value(0, "method") or UNKNOWN)
            return UNKNOWN
        if name in _PARSERS:
            return Returned(name, self.new_frame())
        if name in ("typer.Option", "typer.Argument", "click.option"):
            default = args.value(0, "default")
            return UNKNOWN if default is None else any_of((default, UNKNOWN))
        api = self.knowledge.function(name)
        if api is None and name.count(".") >= 2:
            api = self._method(last, args, flow)
        if api is not None:
            return self.apply_api(api, node, args, flow)
        root = name.partition(".")[0]
        child = starts_child(name)
        found = args.find(0, "args") if child else None
        if child and may_use_gpu(node, found[1] if found is not None else None):
            self._note_child(name, node, args, flow)
        elif found is not None:
            for item in found[1].values if isinstance(found[1], Items) else (found[1],):
                self._note_numbering(f"{name}()", True, found[0], item, flow)
        if child or root not in sys.stdlib_module_names:
            flow.quiet = frozenset()
        known = root in _SOUND_MODULES or self.knowledge.framework_of(name) is not None
        self.fallible = self.fallible or not known
        self.generic_device(node, name, args, flow)
        return Returned(name, self.new_frame())

    def _note_child(self, name: str, node: p.Call, args: Arguments, flow: Flow) -> None:
        """Note a call that may start a process."""
        command_at, environment_at = argument_positions(name)
        found = args.find(command_at, "args")
        environment = args.value(environment_at, "env")
        expression, value = found if found is not None else (None, None)
        command = command_of(expression, value, environment)
        target = args.value(99, "target")
        forks = name == "os.fork" or (
            name in ("multiprocessing.Process", "multiprocessing.context.Process")
            and text_of(flow.frame(_PROCESS).get("start method") or FORK) == "fork"
            and isinstance(target, FunctionValue)
            and self.uses_gpu(target, flow)
        )
        masks = tuple(sorted(flow.masks(), key=repr))
        self.recorder.children[node.span] = Child(
            node.span,
            forks,
            command.mask,
            command.mask_span,
            command.processes,
            masks,
            flow.frozen,
            self.reach,
        )

    def method_call(self, receiver: Value, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """A call of a method of an object that is not of this file."""
        assert isinstance(node.function, p.Attribute)
        name = node.function.name
        api = self._method(name, args, flow)
        if api is not None:
            return self.apply_api(api, node, args, flow)
        if (text := text_of(receiver)) is not None:
            return self._string_method(text, receiver, name, args, flow)
        if isinstance(receiver, Pairs) and name in ("get", "items", "values", "keys", "copy"):
            return _dict_method(receiver, name, args)
        if name in CHANGING_METHODS and any(
            isinstance(v, (Items, Pairs)) for v in alternatives(receiver)
        ):
            return _changed_in_place(receiver, name, args, flow)
        if isinstance(receiver, Returned) and receiver.symbol in _PARSERS:
            return self._parser_method(receiver, name, args, flow)
        flow.quiet = frozenset()
        self.fallible = True
        self.generic_device(node, name, args, flow)
        if name == "skipTest":
            self.end_path("SkipTest", flow)
        if name in ("parse_args", "get_args"):
            return Returned(name, self.new_frame())
        return UNKNOWN

    def _parser_method(self, parser: Returned, name: str, args: Arguments, flow: Flow) -> Value:
        """``argparse``: a parser's frame holds its options, and becomes that of the result."""
        if name in ("add_argument_group", "add_mutually_exclusive_group", "add_subparsers"):
            return parser
        if name == "add_parser":
            return parser
        if name == "parse_args":
            return Returned("args", parser.frame)
        if name == "parse_known_args":
            return Items("tuple", (Returned("args", parser.frame), UNKNOWN))
        if name == "add_argument" and parser.frame is not None:
            option = option_name(args)
            default = args.value(99, "default")
            if args.value(99, "action") in (Known("store_true"), Known("store_false")):
                default = UNKNOWN
            if option and default is not None and default != Known(None):
                held = Input(f"args@{parser.frame}.{option}")
                flow.bind(parser.frame, f".{option}", any_of((default, held)))
        return UNKNOWN

    def _method(self, name: str, args: Arguments, flow: Flow) -> Api | None:
        """The row of a method; an integer counts only where the framework is imported."""
        api = self.knowledge.methods.get(name)
        if api is None:
            return None
        if self.framework_named(api.framework):
            return api
        values = [args.find(d.position, d.keyword) for d in api.devices]
        texts = [text_of(single) for f in values if f for single in alternatives(f[1])]
        named = any(text and text.partition(":")[0].lower() == "cuda" for text in texts)
        bare = api.freezes == "always" and not args.positional and not args.keywords
        return api if named or bare else None

    def builtin_call(self, name: str, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """A call of a name that the file does not bind."""
        if name in _EXIT_BUILTINS:
            self.end_path("SystemExit", flow)
            return UNKNOWN
        first = args.value(0)
        if name == "__import__" and (text := text_of(first or UNKNOWN)):
            return self.import_by_name(text, node.span, flow)
        if name == "dict" and args.exact and len(args.positional) < 2:
            entries = tuple((Known(key), item[1]) for key, item in args.keywords.items())
            if first is None:
                return Pairs(entries)
            if first == Symbol(_ENVIRON):
                return Pairs(entries, open=True)
            return merged(first, Pairs(entries)) if isinstance(first, Pairs) else UNKNOWN
        if name == "range" and args.exact and args.positional and not args.keywords:
            return _range([value for _, value in args.positional])
        if first is not None:
            return self._builtin_of(name, first, args, node, flow)
        if name not in _HARMLESS_BUILTINS:
            flow.quiet = frozenset()
            self.fallible = True
            self.generic_device(node, name, args, flow)
        return UNKNOWN

    def _builtin_of(
        self, name: str, first: Value, args: Arguments, node: p.Call, flow: Flow
    ) -> Value:
        """A builtin that is given something."""
        if name in ("str", "int"):
            self.fallible |= name == "int" and not isinstance(first, Known)
            return any_of(convert(name, single) for single in alternatives(first))
        if name in ("list", "tuple", "set", "sorted", "next", "any", "all", "sum", "enumerate"):
            items = self.iterate(first, flow)
            if name in ("list", "tuple") and items is not None:
                kind = first.kind if isinstance(first, Items) and first.kind in _VAGUE else name
                return Items(kind, items)
            if isinstance(first, Items) and first.kind in _VAGUE:
                return UNKNOWN
            if name == "enumerate" and items is not None and not args.value(1, "start"):
                pairs = (Items("tuple", (Known(n), item)) for n, item in enumerate(items))
                return Items("list", tuple(pairs))
            return UNKNOWN
        if name == "len":
            if isinstance(first, Gpus):
                return DeviceCount()
            known = isinstance(first, Items) and first.kind not in _VAGUE
            return Known(len(first.values)) if known and isinstance(first, Items) else UNKNOWN
        if name == "getattr" and (attribute := text_of(args.value(1) or UNKNOWN)):
            found = self.attribute(first, attribute, flow)
            default = args.value(2)
            return found if default is None else any_of((found, default))
        if name == "map" and len(args.positional) == 2:
            items = self.iterate(args.positional[1][1], flow)
            one = Arguments([(args.positional[1][0], any_of(items or ()))])
            if first == Symbol("str") or items is None or len(items) > MOST_ITEMS:
                self.call_value(first, node, one, flow)
                return UNKNOWN
            expression = args.positional[1][0]
            results = tuple(
                self.call_value(first, node, Arguments([(expression, item)]), flow)
                for item in items
            )
            return Items("list", results)
        if name not in _HARMLESS_BUILTINS:
            flow.quiet = frozenset()
            self.fallible = True
            self.generic_device(node, name, args, flow)
        return UNKNOWN

    def _string_method(
        self, text: str, receiver: Value, name: str, args: Arguments, flow: Flow
    ) -> Value:
        first = args.value(0)
        if name == "join" and first is not None:
            items = self.iterate(first, flow)
            if items is None or (isinstance(first, Items) and first.kind in _VAGUE):
                return UNKNOWN
            parts: list[Value] = []
            for item in items:
                parts += [receiver, item] if parts else [item]
            return concatenate(parts)
        if name == "format" and args.exact:
            return _format(text, args)
        if name in ("strip", "lower", "upper") and not args.positional:
            origin = receiver.origin if isinstance(receiver, Known) else None
            return Known(str(getattr(text, name)()), origin)
        if name == "split" and args.exact and not args.keywords:
            separator = text_of(args.value(0) or UNKNOWN) if args.positional else None
            if len(args.positional) < 2 and (separator or not args.positional):
                return Items("list", tuple(Known(part) for part in text.split(separator)))
        if name in ("startswith", "endswith") and (part := text_of(first or UNKNOWN)) is not None:
            return Known(bool(getattr(text, name)(part)))
        return UNKNOWN


def option_name(args: Arguments) -> str:
    """The attribute that an option of ``argparse`` or ``click`` is stored under."""
    if (dest := text_of(args.value(99, "dest") or UNKNOWN)) is not None:
        return dest
    names = [text_of(value) or "" for _, value in args.positional]
    plain = [name for name in names if name and not name.startswith("-")]
    long = [name for name in names if name.startswith("--")]
    found = (plain or long or names or [""])[0]
    return found.lstrip("-").partition("/")[0].replace("-", "_")


def _range(values: list[Value]) -> Value:
    counts = {one for one in alternatives(values[-1]) if not isinstance(one, (Unknown, Known))}
    if len(counts) == 1 and len(values) < 3 and isinstance(count := counts.pop(), DeviceCount):
        whose = "the machine's" if count.physical else "the visible"
        return Items("some", (Numbered(count.physical, f"range() over {whose} devices"),))
    numbers = [value.value for value in values if isinstance(value, Known)]
    whole = [number for number in numbers if type(number) is int]
    if len(whole) != len(values) or not 1 <= len(whole) <= 3 or (len(whole) == 3 and not whole[2]):
        return UNKNOWN
    found = range(*whole)
    if len(found) > MOST_ITEMS:
        return Items("many", (UNKNOWN,))
    return Items("list", tuple(Known(number) for number in found))


def _dict_method(receiver: Pairs, name: str, args: Arguments) -> Value:
    if name == "get":
        key = args.value(0)
        if isinstance(key, Known):
            found = receiver.get(key.value)
            if found is not None or receiver.open:
                return found or UNKNOWN
            return args.value(1) or Known(None)
        return UNKNOWN
    if name == "copy" or receiver.open:
        return receiver if name == "copy" else UNKNOWN
    if name == "items":
        return Items("list", tuple(Items("tuple", pair) for pair in receiver.entries))
    return Items("list", tuple(pair[name == "values"] for pair in receiver.entries))


def _format(template: str, args: Arguments) -> Value:
    """``template.format(…)`` for plain ``{}``, ``{0}`` and ``{name}``."""
    parts: list[Value] = []
    position = 0
    try:
        fields = list(Formatter().parse(template))
    except ValueError:
        return UNKNOWN
    for literal, name, specification, conversion in fields:
        parts.append(Known(literal))
        if name is None:
            continue
        if specification or conversion:
            return UNKNOWN
        number = number_in(name)
        if number is not None or not name:
            found = args.find(position if number is None else number, None)
            position += not name
        else:
            found = args.find(None, name)
        if found is None:
            return UNKNOWN
        parts.append(found[1])
    return concatenate(parts)


def _changed_in_place(receiver: Value, name: str, args: Arguments, flow: Flow) -> Value:
    """``append`` and the like: what holds the container sees it changed."""
    first = args.value(0)
    if isinstance(receiver, Items) and name in ("append", "add") and first is not None:
        if len(receiver.values) < MOST_ITEMS and receiver.kind not in ("many", "some"):
            flow.change(receiver, Items(receiver.kind, (*receiver.values, first)))
            return Known(None)
    if isinstance(receiver, Items) and name == "extend" and isinstance(first, Items):
        if len(receiver.values) + len(first.values) < MOST_ITEMS:
            flow.change(receiver, Items(receiver.kind, receiver.values + first.values))
            return Known(None)
    if isinstance(receiver, Pairs) and name == "update" and args.exact:
        more = first if isinstance(first, Pairs) else Pairs((), open=first is not None)
        named = Pairs(tuple((Known(key), held) for key, (_, held) in args.keywords.items()))
        flow.change(receiver, merged(merged(receiver, more), named))
        return Known(None)
    for single in alternatives(receiver):
        if isinstance(single, (Items, Pairs)):
            flow.change(single, UNKNOWN)
    return UNKNOWN


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
