"""Parameters: what a function is given when it is called."""

from __future__ import annotations

from gpu_lint.facts import program as p
from gpu_lint.facts.environment import Arguments
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.parts import Parts
from gpu_lint.facts.values import (
    UNKNOWN,
    FunctionValue,
    Input,
    Items,
    Known,
    Option,
    Pairs,
    Place,
    Value,
    any_of,
    flag_among,
)
from gpu_lint.facts.world import Function
from gpu_lint.records import record


class Parameters(Parts):
    """Binds what a call gives to the names that the function has for it."""

    def bind_parameters(
        self,
        function: Function,
        callee: FunctionValue,
        args: Arguments | None,
        scope: int,
        flow: Flow,
    ) -> None:
        """Bind the parameters of a function in the frame of a call of it."""
        parameters = list(function.node.parameters)
        if callee.receiver is not None and parameters and not parameters[0].star:
            flow.bind(scope, parameters.pop(0).name, callee.receiver)
        options = _options(function) if parameters else {}
        position = 0
        named: set[str] = set()
        for parameter in parameters:
            if parameter.star:
                value = self._rest(parameter, args, position, named)
            else:
                index = None if parameter.keyword_only else position
                value = self._parameter(function, parameter, options, args, index, scope, flow)
                position += not parameter.keyword_only
                named.add(parameter.name)
            flow.bind(scope, parameter.name, value)

    def _parameter(
        self,
        function: Function,
        parameter: p.Parameter,
        options: dict[str, _Filled],
        args: Arguments | None,
        index: int | None,
        scope: int,
        flow: Flow,
    ) -> Value:
        found = args.find(index, parameter.name) if args is not None else None
        if found is not None:
            return found[1]
        default = self._default(function, parameter, flow)
        if args is not None and args.exact and parameter.name not in options:
            return UNKNOWN if default is None else default
        option = options.get(parameter.name)
        unknown = Input(f"{parameter.name}@{scope}", option.said if option is not None else None)
        filled_in = option.default if option is not None else None
        known = [v for v in (default, filled_in) if v is not None]
        return any_of((*known, unknown))

    def _rest(
        self, parameter: p.Parameter, args: Arguments | None, position: int, named: set[str]
    ) -> Value:
        """What ``*args`` or ``**kwargs`` takes up."""
        if args is None or not args.exact:
            return UNKNOWN
        if parameter.star == "*":
            return Items("tuple", tuple(value for _, value in args.positional[position:]))
        left = [
            (Known(name, Place(self.file, node.span)), value)
            for name, (node, value) in args.keywords.items()
            if name not in named
        ]
        return Pairs(tuple(left))

    def _default(self, function: Function, parameter: p.Parameter, flow: Flow) -> Value | None:
        """A parameter's default; only what has no effects is looked at again here."""
        if isinstance(parameter.default, (p.Literal, p.Name, p.Attribute, p.Template, p.Unary)):
            saved = self.file, self.scopes
            self.file, self.scopes = function.file, function.scopes
            is_plain = isinstance(parameter.default, p.Literal)
            value = self.evaluate(parameter.default, flow if is_plain else flow.copy())
            self.file, self.scopes = saved
            return value
        if isinstance(parameter.default, p.Call):
            return _wrapped_default(parameter.default, function.file)
        return None if parameter.default is None else UNKNOWN


def _wrapped_default(node: p.Call, file: str) -> Value:
    """The default in ``typer.Option(1)`` and ``Field(default=1)``; it may be overridden."""
    for argument in node.arguments[:1]:
        if isinstance(argument.value, p.Literal) and argument.keyword in (None, "default"):
            return Known(argument.value.value, Place(file, argument.value.span))
    return UNKNOWN


@record
class _Filled:
    """A parameter that the command line fills in: its default, and the option."""

    default: Value | None
    said: Option


def _options(function: Function) -> dict[str, _Filled]:
    """The parameters that ``@click.option``, a ``typer`` command and the like fill in."""
    if not isinstance(function.node, p.Function):
        return {}
    found: dict[str, _Filled] = {}
    is_command = False
    for decorator in function.node.decorators:
        if not isinstance(decorator, p.Call) or not isinstance(decorator.function, p.Attribute):
            continue
        name = decorator.function.name
        is_command |= name in ("command", "callback")
        if name in ("option", "argument"):
            found |= _of_click(decorator, function.file)
    return found or _of_typer(function.node, function.file, is_command)


def _of_click(decorator: p.Call, file: str) -> dict[str, _Filled]:
    """What ``@click.option("--gpu", default=0)`` fills in."""
    default: Known | None = None
    names: list[str] = []
    read_as = ""
    for argument in decorator.arguments:
        literal = argument.value
        if argument.keyword == "type" and isinstance(literal, p.Name) and literal.id == "int":
            read_as = "int"
        if argument.keyword == "default" and isinstance(literal, p.Literal):
            default = Known(literal.value, Place(file, literal.span))
        elif argument.keyword is None and isinstance(literal, p.Literal):
            names.append(str(literal.value))
    flag = flag_among(names).partition("/")[0]
    if default is not None and type(default.value) is int:
        read_as = "int"
    filled = _Filled(default, Option(flag, Place(file, decorator.span), read_as))
    return {name.lstrip("-").partition("/")[0].replace("-", "_"): filled for name in names}


def _of_typer(node: p.Function, file: str, is_command: bool) -> dict[str, _Filled]:
    """What ``gpu: int = typer.Option(0)``, or any parameter of a command, is filled in by."""
    found: dict[str, _Filled] = {}
    for parameter in node.parameters:
        default = parameter.default
        if default is not None and (is_command or _is_option(default)):
            flag = f"--{parameter.name.replace('_', '-')}"
            found[parameter.name] = _Filled(None, Option(flag, Place(file, default.span)))
    return found


def _is_option(default: p.Expression) -> bool:
    """Whether a parameter's default is ``typer.Option(…)``."""
    if not isinstance(default, p.Call) or not isinstance(default.function, p.Attribute):
        return False
    base = default.function.base
    named = isinstance(base, p.Name) and base.id == "typer"
    return named and default.function.name in ("Option", "Argument")
