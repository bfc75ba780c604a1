"""What known calls do: environment writes, device selection, freezes, imports by name, exits."""

from __future__ import annotations

import re
import sys
from abc import abstractmethod
from dataclasses import dataclass, field

from gpu_lint.facts import program as p
from gpu_lint.facts.evaluation import Evaluator
from gpu_lint.facts.flow import Flow, advance
from gpu_lint.facts.knowledge import Api, DeviceArgument, Knowledge
from gpu_lint.facts.model import (
    INHERITED,
    Certainty,
    Form,
    Reach,
    Trigger,
    Written,
)
from gpu_lint.facts.recorder import Recorder
from gpu_lint.facts.selection import select
from gpu_lint.facts.values import (
    UNKNOWN,
    DeviceCount,
    EnvironmentValue,
    Items,
    Known,
    Pairs,
    Returned,
    Symbol,
    Value,
    alternatives,
    any_of,
    concatenate,
    convert,
    text_of,
)
from gpu_lint.source import Span

_DEVICE_KEYWORDS = frozenset({"device", "map_location", "target_device", "torch_device"})
_DEVICE_PARAMETER = re.compile(r"(?:.*_)?device")
_EXITS = frozenset({"sys.exit", "os._exit", "os.abort"})
_EXIT_BUILTINS = frozenset({"exit", "quit"})
_SKIPS = frozenset({"pytest.skip", "pytest.exit", "pytest.xfail"})
_HARMLESS_BUILTINS = frozenset(
    {"print", "len", "str", "int", "float", "repr", "isinstance", "getattr", "hasattr", "type"}
    | {"range", "list", "dict", "tuple", "set", "sorted", "min", "max", "sum", "format", "bool"}
)
_CHILD_STARTERS = frozenset({"subprocess", "multiprocessing", "runpy", "concurrent"})
_CHILD_CALLS = ("os.system", "os.exec", "os.spawn", "os.popen", "os.fork", "torch.multiprocessing.")
_NO_GPU_PROGRAMS = frozenset(
    {
        "apt", "apt-get", "cat", "chmod", "chown", "clear", "cls", "cp", "curl", "date", "del",
        "df", "dir", "du", "echo", "espeak", "espeak-ng", "ffprobe", "find", "free", "git", "grep",
        "gunzip", "gzip", "hostname", "kill", "killall", "ln", "ls", "md5sum", "mkdir", "mv",
        "nvidia-smi", "pip", "pip3", "pkill", "ps", "pwd", "rm", "rmdir", "rsync", "scp", "sox",
        "tar", "touch", "uname", "unzip", "wget", "which", "whoami", "xdg-open", "zip",
    }
)  # fmt: skip
_ENVIRON = "os.environ"


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

    def value(self, position: int, keyword: str | None = None) -> Value | None:
        found = self.find(position, keyword)
        return found[1] if found else None


class Effects(Evaluator):
    """Applies the effects of calls whose meaning does not depend on this file."""

    knowledge: Knowledge
    recorder: Recorder
    reach: Reach
    statement: p.Statement

    @abstractmethod
    def record_setting(
        self, variable: str, value: Value | None, form: Form, key: Span, at: Span, flow: Flow
    ) -> None:
        """Note a write to an environment variable, as it is found."""

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
                else:
                    exact = False
            elif argument.star:
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
        self.record_setting(variable, value, form, key, at, flow)
        statement = self.statement.span
        if form is Form.SETDEFAULT:
            kept = frozenset(written for written in held if written.value is not None)
            weak = Written(value, statement, weak=True)
            flow.variables[variable] = kept | {weak} if INHERITED in held else kept
        elif form is not Form.PUTENV:
            weak_form = form is Form.IF_UNSET
            new = INHERITED if value is None else Written(value, statement, weak_form)
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
        if framework is None or not framework.uses_mask:
            return
        trigger = Trigger(f"import {module}", span)
        self.recorder.framework(trigger, framework, flow, self.reach)
        flow.imported = advance(flow.imported, trigger, Certainty.ALWAYS)
        flow.imported_here = advance(flow.imported_here, trigger, Certainty.ALWAYS)
        if framework.import_freezes:
            flow.freeze(trigger, Certainty.ALWAYS)

    def apply_api(self, api: Api, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """Select devices, freeze and allocate as the row of a known call says."""
        gpu = Certainty.NEVER if api.devices else Certainty.ALWAYS
        called = f"{'.' if api.method else ''}{api.name}()"
        given = False
        for argument in api.devices:
            found = args.find(argument.position, argument.keyword)
            if found is None:
                continue
            if argument.after is not None and text_of(args.value(0) or UNKNOWN) != argument.after:
                continue
            given = True
            expression, value = found
            selection = select(argument, expression, value)
            gpu = max(gpu, selection.gpu)
            if selection.indices or selection.count:
                self.recorder.selector(called, selection, expression.span, flow, self.reach)
        if not given and not args.exact:
            gpu = Certainty.MAYBE
        trigger = Trigger(called, node.span)
        if api.unless is not None and self._has_value(*api.unless, flow):
            return _result_of(api, args)
        for effect, how in (("freeze", api.freezes), ("allocate", api.allocates)):
            always = how == "always" or (how == "unless-cpu" and not given and args.exact)
            certainty = Certainty.ALWAYS if always else gpu
            if how == "never" or certainty is Certainty.NEVER:
                continue
            if effect == "freeze":
                self.recorder.freeze(trigger, flow, self.reach)
                flow.freeze(trigger, certainty)
            else:
                flow.allocated = advance(flow.allocated, trigger, certainty)
        return _result_of(api, args)

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
            self.recorder.selector(api, selection, expression.span, flow, self.reach)

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
        if name in _EXITS:
            flow.alive = False
            return UNKNOWN
        if name in _SKIPS or last == "skipTest":
            flow.alive = False
            return UNKNOWN
        if name == "importlib.import_module" and (text := text_of(args.value(0) or UNKNOWN)):
            self.import_module(text, node.span, flow)
            return Symbol(text)
        api = self.knowledge.function(name)
        if api is None and name.count(".") >= 2:
            api = self._method(last, args, flow)
        if api is not None:
            return self.apply_api(api, node, args, flow)
        root = name.partition(".")[0]
        starts_child = root in _CHILD_STARTERS or name.startswith(_CHILD_CALLS)
        if starts_child and may_use_gpu(node):
            self.recorder.children.add(node.span)
        if starts_child or root not in sys.stdlib_module_names:
            flow.quiet = frozenset()
        self.generic_device(node, name, args, flow)
        return Returned(name)

    def method_call(self, receiver: Value, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """A call of a method of an object that is not of this file."""
        assert isinstance(node.function, p.Attribute)
        name = node.function.name
        api = self._method(name, args, flow)
        if api is not None:
            return self.apply_api(api, node, args, flow)
        if (text := text_of(receiver)) is not None:
            return _string_method(text, receiver, name, args)
        flow.quiet = frozenset()
        self.generic_device(node, name, args, flow)
        if name == "skipTest":
            flow.alive = False
        return UNKNOWN

    def _method(self, name: str, args: Arguments, flow: Flow) -> Api | None:
        """The row of a method; an integer counts only where the framework is imported."""
        api = self.knowledge.methods.get(name)
        if api is None:
            return None
        if api.framework in self.recorder.frameworks_named:
            return api
        values = [args.find(d.position, d.keyword) for d in api.devices]
        texts = [text_of(single) for f in values if f for single in alternatives(f[1])]
        named = any(text and text.partition(":")[0].lower() == "cuda" for text in texts)
        bare = api.freezes == "always" and not args.positional and not args.keywords
        return api if named or bare else None

    def builtin_call(self, name: str, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """A call of a name that the file does not bind."""
        if name in _EXIT_BUILTINS:
            flow.alive = False
            return UNKNOWN
        first = args.value(0)
        if name == "__import__" and (text := text_of(first or UNKNOWN)):
            self.import_module(text, node.span, flow)
            return Symbol(text)
        if name == "dict" and not args.positional and args.exact:
            return Pairs(tuple((Known(key), item[1]) for key, item in args.keywords.items()))
        if first is not None and name in ("str", "int"):
            return any_of(convert(name, single) for single in alternatives(first))
        if first is not None and name in ("list", "tuple") and isinstance(first, Items):
            return Items(name, first.values)
        if name not in _HARMLESS_BUILTINS:
            flow.quiet = frozenset()
            self.generic_device(node, name, args, flow)
        return UNKNOWN


def may_use_gpu(node: p.Call) -> bool:
    """Whether a call that starts a process may start one that uses a GPU.

    A command that begins with the name of a well-known tool (``rm``, ``git`` …) does not.
    """
    word = _leading_text(node.arguments[0].value).split() if node.arguments else []
    if not word:
        return True
    return word[0].rpartition("/")[2].lower() not in _NO_GPU_PROGRAMS


def _leading_text(node: p.Expression) -> str:
    """The known text with which a command begins."""
    if isinstance(node, p.Literal):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, p.Binary):
        return _leading_text(node.left)
    if isinstance(node, p.Template) and node.parts:
        return _leading_text(node.parts[0])
    if isinstance(node, p.Sequence) and node.items:
        return _leading_text(node.items[0])
    return ""


def _result_of(api: Api, args: Arguments) -> Value:
    if api.returns == "device-count":
        return DeviceCount()
    if api.returns == "device":
        first, second = args.value(0, "type") or args.value(0, "device"), args.value(1, "index")
        if isinstance(second, Known) and first is not None and text_of(first) is not None:
            return concatenate((first, Known(":"), second))
        if isinstance(first, Known) and type(first.value) is int:
            return concatenate((Known("cuda:"), first))
        return UNKNOWN if first is None else first
    return Returned(api.name)


def _string_method(text: str, receiver: Value, name: str, args: Arguments) -> Value:
    first = args.value(0)
    if name == "join" and isinstance(first, Items):
        parts: list[Value] = []
        for item in first.values:
            parts += [receiver, item] if parts else [item]
        return concatenate(parts)
    if name == "format" and args.exact and not args.keywords:
        pieces = text.split("{}")
        values = [value for _, value in args.positional]
        if len(pieces) == len(values) + 1 and not any("{" in piece for piece in pieces):
            merged: list[Value] = [Known(pieces[0])]
            for value, piece in zip(values, pieces[1:], strict=True):
                merged += [value, Known(piece)]
            return concatenate(merged)
    if name in ("strip", "lower", "upper") and not args.positional:
        origin = receiver.origin if isinstance(receiver, Known) else None
        return Known(str(getattr(text, name)()), origin)
    return UNKNOWN
