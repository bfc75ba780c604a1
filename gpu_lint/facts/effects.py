"""What known calls do beside that: imports by name, child processes, builtins, exits."""

from __future__ import annotations

import builtins
import sys
from abc import abstractmethod
from string import Formatter

from gpu_lint.digits import number_in
from gpu_lint.facts import program as p
from gpu_lint.facts.children import LOADER, is_pool, may_use_gpu, starts_child
from gpu_lint.facts.environment import ENVIRON, VAGUE, Arguments
from gpu_lint.facts.evaluation import MOST_ITEMS
from gpu_lint.facts.fields import default_of_field
from gpu_lint.facts.flow import MOST_AT_EXIT, Flow
from gpu_lint.facts.imports import module_at_path
from gpu_lint.facts.knowledge import Api
from gpu_lint.facts.processes import Processes
from gpu_lint.facts.ranks import GROUP, rank_of_call
from gpu_lint.facts.texts import parts_of_text, split_text
from gpu_lint.facts.values import (
    CHANGING_METHODS,
    SPEC,
    THIS_FILE,
    UNKNOWN,
    Bound,
    DeviceCount,
    Gpus,
    Input,
    Items,
    Known,
    Numbered,
    Option,
    Pairs,
    Place,
    Returned,
    Symbol,
    Unknown,
    Value,
    alternatives,
    any_of,
    concatenate,
    convert,
    flag_among,
    merged,
    text_of,
)
from gpu_lint.source import Span

_PARSERS = frozenset({"argparse.ArgumentParser"})
_RUNNERS = frozenset({"asyncio.run", "anyio.run", "trio.run"})
_EXITS = frozenset({"sys.exit", "os._exit", "os.abort"})
_SAME_PATH = frozenset({"os.path.abspath", "os.path.realpath", "os.fspath", "pathlib.Path"})
_SAME_PATH_METHODS = frozenset({"absolute", "resolve", "as_posix"})
"""What gives the path of the same file."""
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


class Effects(Processes):
    """Applies the effects of calls whose meaning does not depend on this file."""

    @abstractmethod
    def import_by_name(self, name: str, span: Span, flow: Flow, package: str = "") -> Value:
        """``import_module(name)``: the module."""

    @abstractmethod
    def module_named(self, name: str) -> Value:
        """The module of the project that a dotted name means, whether or not it was imported."""

    @abstractmethod
    def new_frame(self, *, lasting: bool = True) -> int:
        """A frame that nothing uses yet, and that may outlive the function that runs."""

    @abstractmethod
    def call_value(self, callee: Value, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """Call a value with arguments that are evaluated already."""

    @abstractmethod
    def end_path(self, raised: str, flow: Flow) -> None:
        """End a path by an exception of a known name: to its handler, or out of the program."""

    def symbol_call(self, name: str, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """A call of something imported."""
        module, _, last = name.rpartition(".")
        if module == ENVIRON or name in ("os.getenv", "os.putenv", "os.unsetenv"):
            return self.environment_call(last, node, args, flow)
        if name in _EXITS or name in _SKIPS or last == "skipTest":
            self.end_path("SystemExit", flow)
            return UNKNOWN
        if name == "importlib.import_module" and (
            text := text_of(args.value(0, "name") or UNKNOWN)
        ):
            package = text_of(args.value(1, "package") or UNKNOWN)
            return self.import_by_name(text, node.span, flow, package or "")
        if name == "importlib.util.spec_from_file_location" and (module := module_at_path(node)):
            return Bound(SPEC, Known(module), Arguments())
        if name == "importlib.util.module_from_spec":
            spec = args.value(0, "spec")
            return self.module_named(_module_of(spec)) if spec is not None else UNKNOWN
        if name in ("functools.partial", "functools.partialmethod") and args.positional:
            rest = Arguments(args.positional[1:], args.keywords, args.exact)
            return Bound("partial", args.positional[0][1], rest)
        if name == "atexit.register" and args.positional:
            callee = args.positional[0][1]
            rest = Arguments(args.positional[1:], args.keywords, args.exact)
            if len(flow.at_exit) < MOST_AT_EXIT:
                flow.at_exit += (Bound("partial", callee, (node, rest)),)
            return callee
        if name in _RUNNERS and args.positional:
            return args.positional[0][1]  # a coroutine's body ran where it was called
        if name in _SAME_PATH and args.value(0) == THIS_FILE:
            return THIS_FILE
        if (decided := self.start_method(name, args, flow)) is not None:
            return decided
        if (rank := rank_of_call(name, self.rank_in_group(flow))) is not None:
            return rank
        if name == GROUP:
            self.note_group(args, flow)
        if name in _PARSERS:
            return Returned(name, self.new_frame())
        if name in ("typer.Option", "typer.Argument", "click.option"):
            default = args.value(0, "default")
            return UNKNOWN if default is None else any_of((default, UNKNOWN))
        if (default := default_of_field(name, args)) is not None:
            return default
        if name == LOADER:
            self.note_loader(node, args, flow)
        api = self.knowledge.function(name)
        if api is None and name.count(".") >= 2:
            api = self._method(last, args, flow)
        if api is not None:
            return self.apply_api(api, node, args, flow)
        root = name.partition(".")[0]
        child = starts_child(name)
        found = args.find(0, "args") if child else None
        if child and may_use_gpu(node, found[1] if found is not None else None):
            self.note_child(name, node, args, flow)
        elif found is not None:
            for item in found[1].values if isinstance(found[1], Items) else (found[1],):
                self.note_numbering(f"{name}()", True, found[0], item, flow, in_command=True)
        if child or root not in sys.stdlib_module_names:
            flow.quiet = frozenset()
        known = root in _SOUND_MODULES or self.knowledge.framework_of(name) is not None
        self.fallible = self.fallible or not known
        self.generic_device(node, name, args, flow)
        made = Returned(name, self.new_frame())
        if is_pool(made):
            self.note_pool(made, args, flow)
        return made

    def method_call(self, receiver: Value, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """A call of a method of an object that is not of this file."""
        assert isinstance(node.function, p.Attribute)
        name = node.function.name
        if name == "exec_module" and (module := _module_of(receiver)):
            self.import_by_name(module, node.span, flow)
            return Known(None)
        if isinstance(receiver, Returned) and is_pool(receiver):
            self.note_handed(receiver, name, node, args, flow)
        api = self._method(name, args, flow)
        if isinstance(receiver, Returned):
            api = self.knowledge.function(f"{receiver.symbol}.{name}") or api
        if api is not None:
            return self.apply_api(api, node, args, flow)
        if (found := parts_of_text(receiver, name, args)) is not None:
            return found
        if (text := text_of(receiver)) is not None:
            return self._string_method(text, receiver, name, args, flow)
        if isinstance(receiver, Pairs) and name in ("get", "items", "values", "keys", "copy"):
            return _dict_method(receiver, name, args)
        if name in CHANGING_METHODS and any(
            isinstance(v, (Items, Pairs)) for v in alternatives(receiver)
        ):
            return _changed_in_place(receiver, name, args, flow)
        if receiver == THIS_FILE and name in _SAME_PATH_METHODS:
            return THIS_FILE
        if isinstance(receiver, Returned) and receiver.symbol in _PARSERS:
            return self._parser_method(receiver, name, node, args, flow)
        flow.quiet = frozenset()
        self.fallible = True
        self.generic_device(node, name, args, flow)
        if name == "skipTest":
            self.end_path("SkipTest", flow)
        if name in ("parse_args", "get_args"):
            return Returned(name, self.new_frame())
        return UNKNOWN

    def _parser_method(
        self, parser: Returned, name: str, node: p.Call, args: Arguments, flow: Flow
    ) -> Value:
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
            if option:
                names = [text for _, value in args.positional if (text := text_of(value))]
                said = Option(flag_among(names), Place(self.file, node.span))
                held = Input(f"args@{parser.frame}.{option}", said)
                has_default = default is not None and default != Known(None)
                value = any_of((default, held)) if has_default and default is not None else held
                flow.bind(parser.frame, f".{option}", value)
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
            if first == Symbol(ENVIRON):
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
                kind = first.kind if isinstance(first, Items) and first.kind in VAGUE else name
                return Items(kind, items)
            if isinstance(first, Items) and first.kind in VAGUE:
                return UNKNOWN
            if name == "enumerate" and items is not None and not args.value(1, "start"):
                pairs = (Items("tuple", (Known(n), item)) for n, item in enumerate(items))
                return Items("list", tuple(pairs))
            return UNKNOWN
        if name == "len":
            if isinstance(first, Gpus):
                return DeviceCount()
            known = isinstance(first, Items) and first.kind not in VAGUE
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
            function, expression = args.positional[0][0], args.positional[1][0]
            if isinstance(function, p.Name) and function.id in ("int", "str") and first is UNKNOWN:
                results = tuple(
                    any_of(convert(function.id, single) for single in alternatives(item))
                    for item in items
                )
            else:
                results = tuple(
                    self.call_value(first, node, Arguments([(expression, item)]), flow)
                    for item in items
                )
            several = args.positional[1][1]
            vague = isinstance(several, Items) and several.kind in ("some", "many")
            kind = several.kind if isinstance(several, Items) and vague else "list"
            return Items(kind, results)
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
            if items is None or (isinstance(first, Items) and first.kind in VAGUE):
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
        if name == "split" and (found := split_text(text, args)) is not None:
            return found
        if name in ("startswith", "endswith") and (part := text_of(first or UNKNOWN)) is not None:
            return Known(bool(getattr(text, name)(part)))
        return UNKNOWN


def _module_of(spec: Value) -> str:
    """The module that what ``spec_from_file_location()`` gave loads; empty for anything else."""
    is_spec = isinstance(spec, Bound) and spec.kind == SPEC
    return text_of(spec.callee) or "" if is_spec and isinstance(spec, Bound) else ""


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
