"""What known calls do beside that: imports by name, child processes, builtins, exits."""

from __future__ import annotations

import builtins
import sys
from abc import abstractmethod

from gpu_lint.facts import program as p
from gpu_lint.facts.children import LOADER, is_pool, starts_child
from gpu_lint.facts.commands import CommandLine, command_and_environment, read_command
from gpu_lint.facts.constants import function_of_constants, method_of_constant
from gpu_lint.facts.dispatch import Dispatch
from gpu_lint.facts.environment import (
    ENVIRON,
    NAMES_OF_ENVIRONMENT,
    OF_ENVIRONMENT,
    VAGUE,
    Arguments,
)
from gpu_lint.facts.evaluation import ATTRIBUTES, MOST_ITEMS
from gpu_lint.facts.fields import NAMED_TUPLE, class_of_tuples, default_of_field
from gpu_lint.facts.flow import MOST_AT_EXIT, Flow
from gpu_lint.facts.guards import marked
from gpu_lint.facts.imports import module_at_path
from gpu_lint.facts.kinds import (
    LIST_METHODS,
    as_json,
    as_text,
    made_by_builtin,
    made_by_call,
    shown,
    type_of,
)
from gpu_lint.facts.knowledge import Api
from gpu_lint.facts.methods import changed_in_place, copy_of, dict_method, range_of, text_formatted
from gpu_lint.facts.model import Form
from gpu_lint.facts.parametrized import case_of, parametrized_by
from gpu_lint.facts.paths import PATH_CALLS, is_path, path_made_by, path_made_from
from gpu_lint.facts.ranks import GROUP, rank_of_call
from gpu_lint.facts.soundness import (
    is_sound,
    may_be_empty,
    may_be_no_mapping,
    may_lack,
    may_not_convert,
)
from gpu_lint.facts.stacks import note_callback
from gpu_lint.facts.texts import parts_of_text
from gpu_lint.facts.values import (
    CHANGING_METHODS,
    SPEC,
    UNCOUNTED,
    UNKNOWN,
    Bound,
    ClassValue,
    DeviceCount,
    FunctionValue,
    Gpus,
    Input,
    Instance,
    Items,
    Key,
    Known,
    ModuleValue,
    NeverMade,
    Option,
    Pairs,
    Place,
    Returned,
    Symbol,
    Typed,
    Value,
    alternatives,
    any_of,
    concatenate,
    convert,
    flag_among,
    held_by,
    merged,
    pairs_from,
    text_of,
    zipped,
)
from gpu_lint.facts.writers import SHELL, SHELL_CELLS, SHELL_COMMANDS
from gpu_lint.source import Span

_PARSERS = frozenset({"argparse.ArgumentParser"})
_NO_ARGUMENTS = (Items("list", ()), Items("tuple", ()))
"""A command line that is surely empty."""
_NAMESPACES = frozenset({"argparse.Namespace", "types.SimpleNamespace"})
"""Classes whose objects have the attributes that they are made with."""
RUNNERS = frozenset({"asyncio.run", "anyio.run", "trio.run", "asyncio.Runner.run"})
_EXITS = frozenset({"sys.exit", "os._exit", "os.abort"})
_AS_DICT = frozenset(
    {"dataclasses.asdict", "attr.asdict", "attrs.asdict", "_asdict", "dict", "model_dump"}
)
"""Functions, and methods that classes of fields inherit, which give the fields as a dict."""
_COPYING = frozenset({"copy.copy", "copy.deepcopy"})
_TYPES_OF_ACTIONS = {"count": "int", "append": "list", "extend": "list"}
_TYPES_OF_OPTIONS = frozenset({"int", "float"})
_EXIT_BUILTINS = frozenset({"exit", "quit"})
_SKIPS = frozenset({"pytest.skip", "pytest.exit", "pytest.xfail"})
_HARMLESS_BUILTINS = frozenset(
    {"print", "len", "str", "int", "float", "repr", "isinstance", "getattr", "hasattr", "type"}
    | {"range", "list", "dict", "tuple", "set", "sorted", "min", "max", "sum", "format", "bool"}
    | {name for name, value in vars(builtins).items() if isinstance(value, type)}
)


class Effects(Dispatch):
    """Applies the effects of calls whose meaning does not depend on this file."""

    @abstractmethod
    def attributes_of(self, base: ClassValue | Instance, flow: Flow) -> Pairs:
        """What the body of a class binds, or an object holds, as ``vars()`` has it."""

    @abstractmethod
    def surely_has(self, base: Value, name: str) -> bool:
        """Whether an object, class or module of the project has an attribute on every path."""

    @abstractmethod
    def import_by_name(self, name: str, span: Span, flow: Flow, package: str = "") -> Value:
        """``import_module(name)``: the module."""

    @abstractmethod
    def import_listed(self, span: Span, flow: Flow) -> None:
        """``import_module(name)`` by a name that is not known: what the file lists, if anything."""

    @abstractmethod
    def subclasses(self, key: Key) -> Value:
        """The classes of the project that inherit from one, as a list."""

    @abstractmethod
    def set_attributes(self, base: Value, name: Value, value: Value, flow: Flow) -> None:
        """What ``setattr(base, name, value)`` does, by a name that may be unknown."""

    @abstractmethod
    def module_named(self, name: str) -> Value:
        """The module of the project that a dotted name means, whether or not it was imported."""

    @abstractmethod
    def new_frame(self, *, lasting: bool = True) -> int:
        """A frame that nothing uses yet, and that may outlive the function that runs."""

    @abstractmethod
    def run_coroutine(self, value: Value, flow: Flow) -> Value:
        """Run a coroutine, or each that a value may be; what it returns."""

    @abstractmethod
    def end_path(self, raised: str, flow: Flow) -> None:
        """End a path by an exception of a known name: to its handler, or out of the program."""

    def symbol_call(self, name: str, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """A call of something imported."""
        module, _, last = name.rpartition(".")
        if module in NAMES_OF_ENVIRONMENT or name in OF_ENVIRONMENT:
            return self.environment_call(last, node, args, flow)
        if (mark := marked(name, args) or parametrized_by(name, args)) is not None:
            return mark
        if (case := case_of(name, args)) is not None:
            return case
        if (written := self.writer_call(name, node, args, flow)) is not None:
            return written
        if name in SHELL_COMMANDS:
            self._shell(name, node, args, flow)
            return UNKNOWN
        if name.startswith("IPython.") and last == "get_ipython":
            return Symbol(SHELL)
        if name in _EXITS or name in _SKIPS or last == "skipTest":
            self.end_path("SystemExit", flow)
            return UNKNOWN
        if name == "importlib.import_module" and (
            text := text_of(args.value(0, "name") or UNKNOWN)
        ):
            package = text_of(args.value(1, "package") or UNKNOWN)
            return self.import_by_name(text, node.span, flow, package or "")
        if name == "importlib.import_module":
            self.import_listed(node.span, flow)
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
        if name in RUNNERS and args.positional:
            expression, main = args.positional[0]
            if isinstance(main, FunctionValue):
                rest = Arguments(args.positional[1:], args.keywords, args.exact)
                main = self.call_value(main, p.Call(node.span, expression, ()), rest, flow)
            return self.run_coroutine(main, flow)
        if name in PATH_CALLS and args.exact and args.positional:
            path = path_made_by(name, [value for _, value in args.positional])
            if path is not None:
                return path
        if (decided := self.start_method(name, args, flow)) is not None:
            return decided
        if (thread := self.thread_call(name, node, args, flow)) is not None:
            return thread
        in_part = last == "get_rank" and args.value(0, "group") not in (None, Known(None))
        if (rank := rank_of_call(name, self.rank_in_group(flow), in_part=in_part)) is not None:
            return rank
        if name == GROUP:
            self.note_group(args, flow)
        self.note_runner(name, args, flow)
        if name in _PARSERS:
            return Returned(name, self.new_frame())
        if name in ("typer.Option", "typer.Argument", "click.option"):
            default = args.value(0, "default")
            return UNKNOWN if default is None else any_of((default, UNKNOWN))
        if name in _COPYING and args.value(0) == Symbol(ENVIRON):
            return self.environment_copy(flow)
        if name in _COPYING and isinstance(copied := args.value(0), (Items, Pairs)):
            inner = any(isinstance(one, (Items, Pairs)) for one in held_by(copied))
            return UNKNOWN if inner and name == "copy.deepcopy" else copy_of(copied)
        if name == "json.dumps" and len(args.positional) == 1 and args.exact and not args.keywords:
            return as_json(args.positional[0][1])
        if name in _AS_DICT and isinstance(made := args.value(0), Instance):
            return self.attributes_of(made, flow)
        if (default := default_of_field(name, args)) is not None:
            return default
        if args.exact and (done := function_of_constants(name, args.values, args.named_values)):
            self.fallible |= done.raises
            return done.value
        if name == NAMED_TUPLE:
            return class_of_tuples(args)
        if name == LOADER:
            self.note_loader(node, args, flow)
        api = self.knowledge.function(name)
        if api is None and name.count(".") >= 2:
            api = self._method(last, args, flow)
        if api is not None:
            return self.apply_api(api, node, args, flow)
        root = name.partition(".")[0]
        child = starts_child(name)
        found, environment = command_and_environment(name, args) if child else (None, None)
        line = read_command(found) if child else CommandLine()
        if child:
            self._note_exports(node, line, environment, flow)
        if child and line.may_use_gpu:
            self.note_child(name, node, args, found, line, environment, flow)
        elif found is not None:
            for item in found[1].values if isinstance(found[1], Items) else (found[1],):
                self.note_numbering(f"{name}()", True, found[0], item, flow, in_command=True)
        if child or root not in sys.stdlib_module_names:
            flow.quiet = frozenset()
        sound = is_sound(name, frozenset(args.keywords))
        framework = self.knowledge.framework_of(name)
        known = sound or (framework is not None and framework.is_described)
        self.fallible = self.fallible or not known
        self.generic_device(node, name, args, flow)
        frame = self.new_frame()
        made = Returned(name, frame)
        if name in _NAMESPACES:
            for attribute, (_, held) in args.keywords.items():
                flow.bind(frame, f".{attribute}", held)
        if is_pool(made):
            self.note_pool(made, args, flow)
        return made

    def _note_exports(
        self, node: p.Call, line: CommandLine, environment: Value | None, flow: Flow
    ) -> None:
        """Note the variables that a command sets in a shell that starts nothing that may use them,
        and those that a child is given under a name that was meant to be another."""
        entries = environment.entries if isinstance(environment, Pairs) else ()
        named = line.names.union(filter(None, (text_of(key) for key, _ in entries)))
        exported = dict(line.exported)
        exported |= {name: UNKNOWN for name in sorted(named) if self.knowledge.misspelt(name)}
        for variable, value in exported.items():
            at = node.arguments[0].value.span
            self.record_setting(variable, value, Form.EXPORT, node.span, at, flow, None)

    def method_call(self, receiver: Value, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """A call of a method of an object that is not of this file."""
        assert isinstance(node.function, p.Attribute)
        name = node.function.name
        if name == "fromkeys" and node.function.base == p.Name(node.function.base.span, "dict"):
            keys = self.iterate(args.value(0) or UNKNOWN, flow)
            value = args.value(1, "value") or Known(None)
            return Typed("dict") if keys is None else Pairs(tuple((key, value) for key in keys))
        if name == "exec_module" and (module := _module_of(receiver)):
            self.import_by_name(module, node.span, flow)
            return Known(None)
        if name == "exec_module":
            self.import_listed(node.span, flow)
        if isinstance(receiver, Returned) and is_pool(receiver):
            self.note_handed(receiver, name, node, args, flow)
        if (patched := self.test_patch(receiver, name, node, args, flow)) is not None:
            return patched
        if (started := self.thread_method(receiver, name, node, args, flow)) is not None:
            return started
        self.note_added(name, args, flow)
        if (callback := note_callback(receiver, name, node, args, flow)) is not None:
            return callback
        api = self._method(name, args, flow)
        if isinstance(receiver, Returned):
            api = self.knowledge.function(f"{receiver.symbol}.{name}") or api
        if api is not None:
            return self.apply_api(api, node, args, flow)
        if name in _AS_DICT and isinstance(receiver, Instance) and not args.keywords:
            return self.attributes_of(receiver, flow)
        if name == "__new__" and isinstance(cls := args.value(0), ClassValue):
            return Instance(cls.key, self.new_frame())
        if isinstance(receiver, ClassValue) and name == "__subclasses__":
            return self.subclasses(receiver.key)
        if name in ("get", "update"):
            if isinstance(receiver, ModuleValue):
                return self._attributes_method(receiver, name, args, flow)
            if isinstance(receiver, Bound) and receiver.kind == ATTRIBUTES:
                return self._attributes_method(receiver.callee, name, args, flow)
        if name in ("items", "keys", "values"):
            if isinstance(receiver, Bound) and receiver.kind == ATTRIBUTES:
                if isinstance(receiver.callee, (ClassValue, Instance)):
                    return dict_method(self.attributes_of(receiver.callee, flow), name, args)
        if (found := parts_of_text(receiver, name, args)) is not None:
            return found
        if (text := text_of(receiver)) is not None and name in ("join", "format"):
            return self._put_together(text, receiver, name, args, flow)
        if args.exact and (
            done := method_of_constant(receiver, name, args.values, args.named_values)
        ):
            self.fallible |= done.raises
            return done.value
        if isinstance(receiver, Items) and name == "copy":
            return copy_of(receiver)
        if isinstance(receiver, Pairs) and name in ("get", "items", "values", "keys", "copy"):
            return dict_method(receiver, name, args)
        if name in CHANGING_METHODS and any(
            isinstance(v, (Items, Pairs)) for v in alternatives(receiver)
        ):
            has_default = len(args.positional) > 1
            self.fallible |= not has_default and may_lack(receiver, name, args.value(0))
            return changed_in_place(receiver, name, args, flow)
        if is_path(receiver) and args.exact:
            path = path_made_from(receiver, name, [value for _, value in args.positional])
            if path is not None:
                return path
        if isinstance(receiver, Returned) and receiver.symbol in _PARSERS:
            return self._parser_method(receiver, name, node, args, flow)
        if not isinstance(receiver, Returned) or not is_sound(receiver.symbol):
            flow.quiet = frozenset()
            self.fallible = True
        self.generic_device(node, name, args, flow)
        if name == "skipTest":
            self.end_path("SkipTest", flow)
        if name in ("parse_args", "get_args"):
            return Returned(name, self.new_frame())
        if isinstance(receiver, Returned):
            return made_by_call(f"{receiver.symbol}.{name}")
        return Typed("list") if name in LIST_METHODS else UNKNOWN

    def _attributes_method(self, base: Value, name: str, args: Arguments, flow: Flow) -> Value:
        """``get()`` or ``update()`` of the dict that holds an object's attributes."""
        first = args.value(0) or Pairs(())
        if name == "get":
            text = text_of(first)
            return self.attribute(base, text, flow) if text is not None else UNKNOWN
        taken = pairs_from(first) or Pairs((), open=True)
        named = ((Known(key), value) for key, (_, value) in args.keywords.items())
        for key, value in (*taken.rest, *taken.entries, *named):
            self.set_attributes(base, key, value, flow)
        return Known(None)

    def _shell(self, name: str, node: p.Call, args: Arguments, flow: Flow) -> None:
        """A command, or a cell, that IPython gives to a shell."""
        if name.endswith(".run_cell_magic"):
            magic = (text_of(args.value(0, "magic_name") or UNKNOWN) or "").lstrip("%")
            cell = args.find(2, "cell")
            if magic not in SHELL_CELLS or cell is None:
                flow.quiet = frozenset()
                return
            args = Arguments([cell])
        command = args.find(0, "cmd")
        line = read_command(command)
        self._note_exports(node, line, None, flow)
        if line.may_use_gpu:
            self.note_child("os.system", node, args, command, line, None, flow)
        flow.quiet = frozenset()

    def _parser_method(
        self, parser: Returned, name: str, node: p.Call, args: Arguments, flow: Flow
    ) -> Value:
        """``argparse``: a parser's frame holds its options, and becomes that of the result."""
        if name in ("add_argument_group", "add_mutually_exclusive_group", "add_subparsers"):
            return parser
        if name == "add_parser":
            return parser
        if name == "parse_args":
            if args.value(0, "args") in _NO_ARGUMENTS and parser.frame is not None:
                return self._defaults_of(parser.frame, flow)
            space = args.value(1, "namespace")
            if space is None or parser.frame is None or _is_nothing(space):
                return Returned("args", parser.frame)
            for part, held in dict(flow.names(parser.frame)).items():
                given = any_of(one for one in alternatives(held) if isinstance(one, Input))
                old = self.attribute(space, part.removeprefix("."), flow)
                value = any_of((held if old == UNKNOWN else old, given))
                self.set_attributes(space, Known(part.removeprefix(".")), value, flow)
            return space
        if name == "parse_known_args":
            return Items("tuple", (Returned("args", parser.frame), UNKNOWN))
        if name == "set_defaults" and parser.frame is not None:
            self._set_defaults(parser.frame, args, flow)
        if name == "add_argument" and parser.frame is not None:
            option = option_name(args)
            default = args.value(99, "default")
            read_as = _type_of_option(args)
            if args.value(99, "action") in (Known("store_true"), Known("store_false")):
                default = UNKNOWN
            elif read_as == "int" and default is not None and text_of(default) is not None:
                default = convert("int", default)
            if option:
                names = [text for _, value in args.positional if (text := text_of(value))]
                said = Option(flag_among(names), Place(self.file, node.span), read_as)
                held = Input(f"args@{parser.frame}.{option}", said)
                has_default = default is not None and default != Known(None)
                value = any_of((default, held)) if has_default and default is not None else held
                flow.bind(parser.frame, f".{option}", value)
        return UNKNOWN

    def _defaults_of(self, options: int, flow: Flow) -> Returned:
        """What a parser gives that reads no command line: the options in a frame by their defaults
        alone."""
        made = self.new_frame()
        for part, held in dict(flow.names(options)).items():
            defaults = [one for one in alternatives(held) if not isinstance(one, Input)]
            flow.bind(made, part, any_of(defaults or [Known(None)]))
        return Returned("args", made)

    def _set_defaults(self, frame: int, args: Arguments, flow: Flow) -> None:
        """``set_defaults(gpu="1")`` of a parser, or ``set_defaults(func=train)`` of one of several
        commands that it chooses among."""
        for name, (_, given) in args.keywords.items():
            held = flow.get(frame, f".{name}")
            kept = alternatives(held) if held is not None else ()
            if not all(isinstance(one, FunctionValue) for one in alternatives(given)):
                kept = tuple(one for one in kept if isinstance(one, Input))
            flow.bind(frame, f".{name}", any_of((given, *kept)))
        for part, held in () if args.exact else dict(flow.names(frame)).items():
            flow.bind(frame, part, any_of((held, UNKNOWN)))

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
        if name == "get_ipython":
            return Symbol(SHELL)
        if name == "globals" or (name in ("vars", "locals") and len(self.scopes) == 1):
            if first is None:
                return ModuleValue(self.file)
        if name == "vars" and first is not None:
            return Bound(ATTRIBUTES, first, None)
        if name == "__import__" and (text := text_of(first or UNKNOWN)):
            return self.import_by_name(text, node.span, flow)
        if name == "__import__":
            self.import_listed(node.span, flow)
        if name == "dict" and args.exact and len(args.positional) < 2:
            entries = tuple((Known(key), item[1]) for key, item in args.keywords.items())
            if first is None:
                return Pairs(entries)
            is_environment = first == Symbol(ENVIRON)
            taken = self.environment_copy(flow) if is_environment else pairs_from(first)
            if taken is not None:
                return merged(taken, Pairs(entries))
            self.fallible |= may_be_no_mapping(first)
            return merged(Pairs((), open=True), Pairs(entries)) if entries else Typed("dict")
        if name == "range" and args.exact and args.positional and not args.keywords:
            return range_of([value for _, value in args.positional])
        if args.exact and (done := function_of_constants(name, args.values, args.named_values)):
            self.fallible |= done.raises
            return done.value
        if first is not None:
            found = self._builtin_of(name, first, args, node, flow)
            return made_by_builtin(name) if found == UNKNOWN else found
        if name not in _HARMLESS_BUILTINS:
            flow.quiet = frozenset()
            self.fallible = True
            self.generic_device(node, name, args, flow)
        return made_by_builtin(name)

    def _builtin_of(
        self, name: str, first: Value, args: Arguments, node: p.Call, flow: Flow
    ) -> Value:
        """A builtin that is given something."""
        if name == "str":
            return as_text(self.printed(first, flow))
        if name in ("int", "float"):
            self.fallible |= may_not_convert(name, first)
        if name == "int":
            return any_of(convert(name, single) for single in alternatives(first))
        if name == "repr" and (text := shown(first)) is not None:
            return Known(text)
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
        if name == "zip":
            return zipped([value for _, value in args.positional]) if args.exact else UNKNOWN
        if name in ("max", "min") and len(args.positional) == 1 and "default" not in args.keywords:
            self.fallible |= may_be_empty(first)
        if name == "len":
            self.special(first, "__len__", (), flow)
            if isinstance(first, Gpus):
                return DeviceCount()
            known = isinstance(first, Items) and first.kind not in VAGUE
            return Known(len(first.values)) if known and isinstance(first, Items) else UNKNOWN
        if name in ("setattr", "delattr") and len(args.positional) > 1:
            value = args.value(2) if name == "setattr" else UNKNOWN
            self.set_attributes(first, args.positional[1][1], value or UNKNOWN, flow)
            return Known(None)
        if name == "getattr" and (attribute := text_of(args.value(1) or UNKNOWN)):
            found = self.attribute(first, attribute, flow)
            default = args.value(2)
            is_there = default is None or self.surely_has(first, attribute)
            return found if default is None or is_there else any_of((found, default))
        if name == "map" and len(args.positional) == 2:
            waiting = Bound("map", first, (node, args))
            if isinstance(first, FunctionValue):
                return waiting
            results = self.mapped(waiting, flow)
            several = args.positional[1][1]
            is_uncounted = isinstance(several, Items) and several.kind in UNCOUNTED
            kind = several.kind if isinstance(several, Items) and is_uncounted else "map"
            return Items(kind, results) if results else UNKNOWN
        if name not in _HARMLESS_BUILTINS:
            flow.quiet = frozenset()
            self.fallible = True
            self.generic_device(node, name, args, flow)
        return UNKNOWN

    def mapped(self, waiting: Bound, flow: Flow) -> tuple[Value, ...] | None:
        """Run what ``map()`` has been given for each item; None where these are not known."""
        if not isinstance(waiting.arguments, tuple):
            return None
        node, args = waiting.arguments
        expression, iterable = args.positional[1]
        items = self.iterate(iterable, flow)
        if items is None or len(items) > MOST_ITEMS:
            one = Arguments([(expression, any_of(items or ()))])
            self.call_value(waiting.callee, node, one, flow)
            return None
        function = args.positional[0][0]
        if waiting.callee is UNKNOWN and isinstance(function, p.Name):
            if function.id in ("int", "str"):
                return tuple(
                    any_of(convert(function.id, single) for single in alternatives(item))
                    for item in items
                )
        return tuple(
            self.call_value(waiting.callee, node, Arguments([(expression, item)]), flow)
            for item in items
        )

    def _filled_in(self, template: str, args: Arguments) -> Value:
        """``template.format(…)``, which raises where it is not given what it names."""
        made = text_formatted(template, args)
        self.fallible |= made is None
        return UNKNOWN if made is None else made

    def _put_together(
        self, text: str, receiver: Value, name: str, args: Arguments, flow: Flow
    ) -> Value:
        """``text.join(…)`` or ``text.format(…)``."""
        if name == "format":
            return self._filled_in(text, args) if args.exact else UNKNOWN
        first = args.value(0)
        items = self.iterate(first, flow) if first is not None else None
        if items is None or (isinstance(first, Items) and first.kind in VAGUE):
            return UNKNOWN
        if wrong := sorted({kind for item in items if (kind := type_of(item))}):
            self.fallible = True
            return NeverMade(f"join() is given {' and '.join(wrong)}, not str")
        parts: list[Value] = []
        for item in items:
            parts += [receiver, item] if parts else [item]
        return concatenate(parts)


def _is_nothing(value: Value) -> bool:
    return isinstance(value, Known) and value.value is None


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


def _type_of_option(args: Arguments) -> str:
    """The type of what ``add_argument`` reads an option as; empty for a text, and where it is not
    known."""
    if args.value(99, "nargs") not in (None, Known(None), Known("?")):
        return "list"
    action = text_of(args.value(99, "action") or UNKNOWN)
    if action is not None and action != "store":
        return _TYPES_OF_ACTIONS.get(action, "")
    found = args.find(99, "type")
    if found is None or not isinstance(found[0], p.Name) or found[1] != UNKNOWN:
        return ""
    return found[0].id if found[0].id in _TYPES_OF_OPTIONS else ""
