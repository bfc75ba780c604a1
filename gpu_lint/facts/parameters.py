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
    Pairs,
    Place,
    Value,
    any_of,
)
from gpu_lint.facts.world import Function


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
        position = 0
        named: set[str] = set()
        for parameter in parameters:
            if parameter.star:
                value = self._rest(parameter, args, position, named)
            else:
                index = None if parameter.keyword_only else position
                value = self._parameter(function, parameter, args, index, scope, flow)
                position += not parameter.keyword_only
                named.add(parameter.name)
            flow.bind(scope, parameter.name, value)

    def _parameter(
        self,
        function: Function,
        parameter: p.Parameter,
        args: Arguments | None,
        index: int | None,
        scope: int,
        flow: Flow,
    ) -> Value:
        found = args.find(index, parameter.name) if args is not None else None
        if found is not None:
            return found[1]
        default = self._default(function, parameter, flow)
        options = _options(function)
        if args is not None and args.exact and parameter.name not in options:
            return UNKNOWN if default is None else default
        unknown = Input(f"{parameter.name}@{scope}")
        known = [v for v in (default, options.get(parameter.name)) if v is not None]
        return any_of((*known, unknown))

    def _rest(
        self, parameter: p.Parameter, args: Arguments | None, position: int, named: set[str]
    ) -> Value:
        """What ``*args`` or ``**kwargs`` takes up."""
        if args is None or not args.exact:
            return UNKNOWN
        if parameter.star == "*":
            return Items("tuple", tuple(value for _, value in args.positional[position:]))
        left = [(Known(k), v[1]) for k, v in args.keywords.items() if k not in named]
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


def _options(function: Function) -> dict[str, Value | None]:
    """The parameters that ``@click.option`` and the like fill in, with their defaults."""
    found: dict[str, Value | None] = {}
    decorators = function.node.decorators if isinstance(function.node, p.Function) else ()
    for decorator in decorators:
        if not isinstance(decorator, p.Call) or not isinstance(decorator.function, p.Attribute):
            continue
        if decorator.function.name not in ("option", "argument"):
            continue
        default: Value | None = None
        for argument in decorator.arguments:
            literal = argument.value
            if argument.keyword == "default" and isinstance(literal, p.Literal):
                default = Known(literal.value, Place(function.file, literal.span))
        for argument in decorator.arguments:
            literal = argument.value
            if argument.keyword is None and isinstance(literal, p.Literal):
                name = str(literal.value).lstrip("-").partition("/")[0].replace("-", "_")
                found[name] = default
    return found
