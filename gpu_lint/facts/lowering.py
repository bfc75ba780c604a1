"""LibCST statements to :mod:`gpu_lint.facts.program`, one statement at a time.

:class:`Lowering` is given the spans of the tree that a statement belongs to; it asks nothing
of the module around it. Scopes are the nesting of the result: names get their meaning in the
interpreter, from our own import table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import libcst as cst
from libcst.helpers import get_full_name_for_node

from gpu_lint.errors import SyntaxFault
from gpu_lint.facts import program as p
from gpu_lint.facts.fstrings import said_by
from gpu_lint.facts.tree import Tree, parse_expression
from gpu_lint.source import Source, Span

_ExpressionRule: TypeAlias = "Callable[[Lowering, Any], p.Expression]"
_StatementRule: TypeAlias = "Callable[[Lowering, Any], Iterator[p.Statement]]"

_CONSTANT_NAMES: dict[str, p.Constant] = {"True": True, "False": False, "None": None}
_OPERATORS = {
    cst.Equal: "==",
    cst.NotEqual: "!=",
    cst.LessThan: "<",
    cst.LessThanEqual: "<=",
    cst.GreaterThan: ">",
    cst.GreaterThanEqual: ">=",
    cst.In: "in",
    cst.NotIn: "not in",
    cst.Is: "is",
    cst.IsNot: "is not",
    cst.Add: "+",
    cst.Subtract: "-",
    cst.Multiply: "*",
    cst.FloorDivide: "//",
    cst.Divide: "/",
    cst.Modulo: "%",
    cst.BitOr: "|",
    cst.And: "and",
    cst.Or: "or",
    cst.Not: "not",
    cst.Minus: "-",
    cst.Plus: "+",
    cst.AddAssign: "+",
    cst.BitOrAssign: "|",
}


def lower(tree: Tree, source: Source) -> p.Program:
    """Lower a whole parsed file."""
    lowering = Lowering(tree, source)
    body = tuple(s for node in tree.module.body for s in lowering.statement(node))
    return p.Program(body)


def lower_expression(source: Source, span: Span) -> p.Expression:
    """Lower an expression that stands somewhere in a file.

    Raises :class:`gpu_lint.errors.SyntaxFault` and :class:`gpu_lint.errors.SourceError`.
    """
    tree = parse_expression(source, span)
    return Lowering(tree, source).expression(tree.expression)


def comments(tree: Tree, source: Source) -> tuple[p.Comment, ...]:
    """The comments of a parsed file."""
    found = []
    for node in tree.nodes:
        if isinstance(node, cst.Comment):
            span = tree.span(node)
            line_start = source.line_starts[source.row(span.start) - 1]
            own_line = not source.data[line_start : span.start].strip()
            found.append(p.Comment(span, node.value, own_line))
    return tuple(found)


class Lowering:
    """Lowers single statements of a tree."""

    def __init__(self, tree: Tree, source: Source) -> None:
        self.span = tree.span
        self._source = source
        self._yields = False
        self._nests = False

    def _with_parentheses(self, node: cst.Tuple | cst.GeneratorExp) -> Span:
        """The span with a node's own parentheses, as Python's parser sees it."""
        if not node.lpar:
            return self.span(node)
        return Span(self.span(node.lpar[-1]).start, self.span(node.rpar[0]).end)

    def statement(self, node: cst.CSTNode) -> Iterator[p.Statement]:
        """The statements a tree stands for: one, or those joined by semicolons on a line."""
        if isinstance(node, cst.SimpleStatementLine):
            for small in node.body:
                yield from self._small(small)
        else:
            rule = _STATEMENTS.get(type(node))
            if rule is not None:
                yield from rule(self, node)

    def _small(self, node: cst.CSTNode) -> Iterator[p.Statement]:
        rule = _STATEMENTS.get(type(node))
        if rule is not None:
            yield from rule(self, node)
        else:
            yield p.Pass(self.span(node))

    def block(self, suite: cst.BaseSuite | cst.Else | cst.Finally | None) -> p.Block:
        if suite is None:
            return ()
        if isinstance(suite, (cst.Else, cst.Finally)):
            suite = suite.body
        if isinstance(suite, cst.SimpleStatementSuite):
            return tuple(s for small in suite.body for s in self._small(small))
        return tuple(s for node in suite.body for s in self.statement(node))

    # --- expressions ---------------------------------------------------------------------

    def expression(self, node: cst.CSTNode) -> p.Expression:
        rule = _EXPRESSIONS.get(type(node))
        if rule is not None:
            return rule(self, node)
        return p.Opaque(self.span(node), tuple(self._children(node)))

    def _children(self, node: cst.CSTNode) -> Iterator[p.Expression]:
        """The expressions right below a node of a kind that has no rule of its own."""
        for child in node.children:
            if isinstance(child, cst.BaseExpression):
                yield self.expression(child)
            elif not isinstance(child, (cst.BaseParenthesizableWhitespace, cst.Annotation)):
                yield from self._children(child)

    def _name(self, node: cst.Name) -> p.Expression:
        if node.value in _CONSTANT_NAMES:
            return p.Literal(self.span(node), _CONSTANT_NAMES[node.value])
        return p.Name(self.span(node), node.value)

    def _attribute(self, node: cst.Attribute) -> p.Expression:
        return p.Attribute(self.span(node), self.expression(node.value), node.attr.value)

    def _call(self, node: cst.Call) -> p.Expression:
        arguments = tuple(
            p.Argument(
                self.expression(argument.value),
                argument.keyword.value if argument.keyword else None,
                argument.star,
            )
            for argument in node.args
        )
        span = self.span(node)
        only = arguments[0].value if len(arguments) == 1 else None
        if isinstance(only, p.Comprehension) and only.kind == "generator":
            if isinstance(node.args[0].value, cst.GeneratorExp) and not node.args[0].value.lpar:
                # The parentheses of the call are the generator's, as Python's parser sees it.
                opening = self._source.data.index(b"(", self.span(node.func).end)
                here = Span(opening, span.end)
                arguments = (replace(arguments[0], value=replace(only, span=here)),)
        return p.Call(span, self.expression(node.func), arguments)

    def _number(self, node: cst.Integer | cst.Float) -> p.Expression:
        try:
            return p.Literal(self.span(node), node.evaluated_value)
        except (SyntaxError, ValueError):  # more digits than Python makes a number of
            return p.Opaque(self.span(node), ())

    def _evaluated(self, node: cst.SimpleString | cst.ConcatenatedString) -> str | bytes | None:
        """The value of a string. Raises :class:`SyntaxFault` for an escape that is none."""
        try:
            return node.evaluated_value
        except (SyntaxError, ValueError) as error:
            message = error.msg if isinstance(error, SyntaxError) else str(error)
            before = Span(self._source.bom, self.span(node).start)
            raise SyntaxFault(message, len(self._source.slice(before))) from error

    def _string(self, node: cst.SimpleString | cst.ConcatenatedString) -> p.Expression:
        if isinstance(node, cst.ConcatenatedString):
            pieces = list(_pieces(node))
            if any(isinstance(piece, cst.FormattedString) for piece in pieces):
                parts = (part for one in pieces for part in _parts(self.expression(one)))
                return p.Template(self.span(node), tuple(parts))
        return p.Literal(self.span(node), self._evaluated(node))

    def _formatted(self, node: cst.FormattedString) -> p.Expression:
        parts: list[p.Expression] = []
        for part in node.parts:
            span = self.span(part)
            if isinstance(part, cst.FormattedStringText):
                said = said_by(part.value, "r" in node.prefix)
                parts.append(p.Opaque(span, ()) if said is None else p.Literal(span, said))
            elif isinstance(part, cst.FormattedStringExpression):
                value = self.expression(part.expression)
                named = part.equal is not None
                given = part.conversion or "", _specification(part)
                parts.append(p.in_text(span, value, *given, is_named=named))
        return p.Template(self.span(node), tuple(parts))

    def _sequence(self, node: cst.List | cst.Tuple | cst.Set) -> p.Expression:
        kind = type(node).__name__.lower()
        items = tuple(
            p.Opaque(self.span(element), (self.expression(element.value),))
            if isinstance(element, cst.StarredElement)
            else self.expression(element.value)
            for element in node.elements
        )
        span = self._with_parentheses(node) if isinstance(node, cst.Tuple) else self.span(node)
        return p.Sequence(span, kind, items)

    def _mapping(self, node: cst.Dict) -> p.Expression:
        items: list[tuple[p.Expression | None, p.Expression]] = []
        for element in node.elements:
            key = self.expression(element.key) if isinstance(element, cst.DictElement) else None
            items.append((key, self.expression(element.value)))
        return p.Mapping(self.span(node), tuple(items))

    def _subscript(self, node: cst.Subscript) -> p.Expression:
        base = self.expression(node.value)
        only = node.slice[0]
        alone = len(node.slice) == 1 and not isinstance(only.comma, cst.Comma)
        if alone and isinstance(only.slice, cst.Index) and only.slice.star is None:
            index = self.expression(only.slice.value)
            return p.Subscript(self.span(node), base, index)
        if alone and isinstance(only.slice, cst.Slice):
            bounds = (only.slice.lower, only.slice.upper, only.slice.step)
            lowered = [self.expression(one) if one is not None else None for one in bounds]
            return p.Subscript(self.span(node), base, p.Slice(self.span(only.slice), *lowered))
        children = [base, *(child for s in node.slice for child in self._children(s))]
        return p.Opaque(self.span(node), tuple(children))

    def _conditional(self, node: cst.IfExp) -> p.Expression:
        return p.Conditional(
            self.span(node),
            self.expression(node.test),
            self.expression(node.body),
            self.expression(node.orelse),
        )

    def _comparison(self, node: cst.Comparison) -> p.Expression:
        left = self.expression(node.left)
        result: p.Expression | None = None
        for target in node.comparisons:
            right = self.expression(target.comparator)
            operator = _OPERATORS.get(type(target.operator), "?")
            link = p.Comparison(self.span(node), left, operator, right)
            result = p.Boolean(self.span(node), "and", result, link) if result else link
            left = right
        assert result is not None
        return result

    def _boolean(self, node: cst.BooleanOperation) -> p.Expression:
        operator = _OPERATORS[type(node.operator)]
        left, right = self.expression(node.left), self.expression(node.right)
        return p.Boolean(self.span(node), operator, left, right)

    def _unary(self, node: cst.UnaryOperation) -> p.Expression:
        operator = _OPERATORS.get(type(node.operator), "?")
        operand = self.expression(node.expression)
        if operator == "-" and isinstance(operand, p.Literal):
            if isinstance(operand.value, (int, float)):
                return p.Literal(self.span(node), -operand.value)
        return p.Unary(self.span(node), operator, operand)

    def _binary(self, node: cst.BinaryOperation) -> p.Expression:
        operator = _OPERATORS.get(type(node.operator), "?")
        left, right = self.expression(node.left), self.expression(node.right)
        return p.Binary(self.span(node), left, operator, right)

    def _lambda(self, node: cst.Lambda) -> p.Expression:
        body = self.expression(node.body)
        self._nests = True
        return p.Lambda(self.span(node), self._parameters(node.params), body)

    def _walrus(self, node: cst.NamedExpr) -> p.Expression:
        value = self.expression(node.value)
        if isinstance(node.target, cst.Name):
            return p.Walrus(self.span(node), node.target.value, value)
        return p.Opaque(self.span(node), (value,))

    def _comprehension(self, node: cst.BaseComp) -> p.Expression:
        if isinstance(node, cst.DictComp):
            elements = (self.expression(node.key), self.expression(node.value))
        else:
            assert isinstance(node, cst.BaseSimpleComp)
            elements = (self.expression(node.elt),)  # type: ignore[assignment]
        generators: list[p.Generator] = []
        part: cst.CompFor | None = node.for_in
        while part is not None:
            conditions = tuple(self.expression(condition.test) for condition in part.ifs)
            target, iterable = self.expression(part.target), self.expression(part.iter)
            generators.append(p.Generator(target, iterable, conditions))
            part = part.inner_for_in
        kind = _COMPREHENSIONS[type(node)]
        span = self.span(node)
        if isinstance(node, cst.GeneratorExp):
            span = self._with_parentheses(node)
        return p.Comprehension(span, tuple(generators), elements, kind)

    def _yield(self, node: cst.Yield) -> p.Expression:
        self._yields = True
        value = node.value.item if isinstance(node.value, cst.From) else node.value
        return p.Yield(self.span(node), self.expression(value) if value is not None else None)

    def _await(self, node: cst.Await) -> p.Expression:
        return p.Await(self.span(node), self.expression(node.expression))

    def _parameters(self, node: cst.Parameters) -> tuple[p.Parameter, ...]:
        def one(param: cst.Param, star: str = "", keyword_only: bool = False) -> p.Parameter:
            default = self.expression(param.default) if param.default else None
            return p.Parameter(param.name.value, default, star, keyword_only)

        result = [one(param) for param in (*node.posonly_params, *node.params)]
        if isinstance(node.star_arg, cst.Param):
            result.append(one(node.star_arg, "*"))
        result += [one(param, keyword_only=True) for param in node.kwonly_params]
        if node.star_kwarg is not None:
            result.append(one(node.star_kwarg, "**"))
        return tuple(result)

    # --- statements ----------------------------------------------------------------------

    def _evaluate(self, node: cst.Expr) -> Iterator[p.Statement]:
        yield p.Evaluate(self.span(node), self.expression(node.value))

    def _assign(self, node: cst.Assign) -> Iterator[p.Statement]:
        targets = tuple(self.expression(target.target) for target in node.targets)
        yield p.Assign(self.span(node), targets, self.expression(node.value))

    def _annotated(self, node: cst.AnnAssign) -> Iterator[p.Statement]:
        target = self.expression(node.target)
        if node.value is None:
            yield p.Declare(self.span(node), target)
        else:
            value = self.expression(node.value)
            yield p.Assign(self.span(node), (target,), value, annotated=True)

    def _augmented(self, node: cst.AugAssign) -> Iterator[p.Statement]:
        operator = _OPERATORS.get(type(node.operator), "?")
        target = self.expression(node.target)
        yield p.Assign(self.span(node), (target,), self.expression(node.value), operator)

    def _delete(self, node: cst.Del) -> Iterator[p.Statement]:
        target = node.target
        targets = (
            [element.value for element in target.elements]
            if isinstance(target, cst.Tuple)
            else [target]
        )
        yield p.Delete(self.span(node), tuple(map(self.expression, targets)))

    def _import(self, node: cst.Import) -> Iterator[p.Statement]:
        names = []
        for alias in node.names:
            module = get_full_name_for_node(alias.name) or ""
            bound = module.partition(".")[0]
            if alias.asname and isinstance(alias.asname.name, cst.Name):
                names.append(p.ImportedName(module, "", alias.asname.name.value))
            else:
                names.append(p.ImportedName(module, "", bound))
        yield p.Import(self.span(node), tuple(names))

    def _import_from(self, node: cst.ImportFrom) -> Iterator[p.Statement]:
        module = (get_full_name_for_node(node.module) or "") if node.module else ""
        level = len(node.relative)
        if isinstance(node.names, cst.ImportStar):
            names = [p.ImportedName(module, "*", "*", level)]
        else:
            names = []
            for alias in node.names:
                name = get_full_name_for_node(alias.name) or ""
                asname = alias.asname.name if alias.asname else None
                bound = asname.value if isinstance(asname, cst.Name) else name
                names.append(p.ImportedName(module, name, bound, level))
        yield p.Import(self.span(node), tuple(names))

    def _return(self, node: cst.Return) -> Iterator[p.Statement]:
        value = self.expression(node.value) if node.value else None
        yield p.Return(self.span(node), value)

    def _raise(self, node: cst.Raise) -> Iterator[p.Statement]:
        values = tuple(self.expression(value) for value in (node.exc,) if value)
        yield p.Raise(self.span(node), values)

    def _jump(self, node: cst.Break | cst.Continue) -> Iterator[p.Statement]:
        yield p.Jump(self.span(node), type(node).__name__.lower())

    def _assert(self, node: cst.Assert) -> Iterator[p.Statement]:
        yield p.Assert(self.span(node), self.expression(node.test))

    def _global(self, node: cst.Global | cst.Nonlocal) -> Iterator[p.Statement]:
        yield p.Global(self.span(node), tuple(item.name.value for item in node.names))

    def _if(self, node: cst.If) -> Iterator[p.Statement]:
        orelse: p.Block
        if isinstance(node.orelse, cst.If):
            orelse = tuple(self._if(node.orelse))
        else:
            orelse = self.block(node.orelse)
        test = self.expression(node.test)
        yield p.If(self.span(node), test, self.block(node.body), orelse)

    def _for(self, node: cst.For) -> Iterator[p.Statement]:
        target, iterable = self.expression(node.target), self.expression(node.iter)
        body, orelse = self.block(node.body), self.block(node.orelse)
        yield p.For(self.span(node), target, iterable, body, orelse)

    def _while(self, node: cst.While) -> Iterator[p.Statement]:
        test = self.expression(node.test)
        yield p.While(self.span(node), test, self.block(node.body), self.block(node.orelse))

    def _try(self, node: cst.Try | cst.TryStar) -> Iterator[p.Statement]:
        handlers = []
        for handler in node.handlers:
            caught = handler.type
            elements = caught.elements if isinstance(caught, cst.Tuple) else ()
            nodes = [element.value for element in elements] if elements else [caught]
            types = tuple(get_full_name_for_node(t) or "?" for t in nodes if t is not None)
            bound = handler.name.name if handler.name else None
            name = bound.value if isinstance(bound, cst.Name) else None
            handlers.append(p.Handler(types, name, self.block(handler.body)))
        yield p.Try(
            self.span(node),
            self.block(node.body),
            tuple(handlers),
            self.block(node.orelse),
            self.block(node.finalbody),
        )

    def _with(self, node: cst.With) -> Iterator[p.Statement]:
        items = tuple(
            (
                self.expression(item.item),
                self.expression(item.asname.name) if item.asname else None,
            )
            for item in node.items
        )
        yield p.With(self.span(node), items, self.block(node.body))

    def _match(self, node: cst.Match) -> Iterator[p.Statement]:
        captures: list[str] = []
        for case in node.cases:
            captures += _captured_names(case.pattern)
        last = node.cases[-1]
        exhaustive = isinstance(last.pattern, cst.MatchAs) and last.pattern.pattern is None
        yield p.Match(
            self.span(node),
            self.expression(node.subject),
            tuple(self.block(case.body) for case in node.cases),
            tuple(map(self._pattern, node.cases)),
            tuple(captures),
            exhaustive and last.guard is None,
        )

    def _pattern(self, case: cst.MatchCase) -> p.Pattern:
        guard = self.expression(case.guard) if case.guard is not None else None
        name = ""
        if isinstance(case.pattern, cst.MatchAs) and case.pattern.pattern is None:
            name = case.pattern.name.value if case.pattern.name is not None else ""
        return p.Pattern(tuple(self._constants(case.pattern)), guard, name)

    def _constants(self, pattern: cst.MatchPattern) -> list[p.Constant]:
        """The constants that a pattern takes; none if it takes anything else."""
        if isinstance(pattern, cst.MatchValue):
            literal = self.expression(pattern.value)
            return [literal.value] if isinstance(literal, p.Literal) else []
        if isinstance(pattern, cst.MatchOr):
            several = [self._constants(one.pattern) for one in pattern.patterns]
            return [one for constants in several for one in constants] if all(several) else []
        return []

    def _definition_span(self, node: cst.FunctionDef | cst.ClassDef) -> Span:
        """From the first decorator, which is where the statement starts, to the end."""
        span = self.span(node)
        return Span(self.span(node.decorators[0]).start, span.end) if node.decorators else span

    def _function(self, node: cst.FunctionDef) -> Iterator[p.Statement]:
        parameters = self._parameters(node.params)
        decorators = tuple(self.expression(decorator.decorator) for decorator in node.decorators)
        outer, self._yields, self._nests = self._yields, False, False
        body = self.block(node.body)
        found = body, self._yields, self._nests
        self._yields, self._nests = outer, True
        span = self._definition_span(node)
        suite = p.Suite(lambda: found)
        is_async = node.asynchronous is not None
        yield p.Function(span, node.name.value, parameters, decorators, suite, is_async)

    def _class(self, node: cst.ClassDef) -> Iterator[p.Statement]:
        self._nests = True
        yield p.Class(
            self._definition_span(node),
            node.name.value,
            tuple(self.expression(base.value) for base in (*node.bases, *node.keywords)),
            tuple(self.expression(decorator.decorator) for decorator in node.decorators),
            self.block(node.body),
        )


def _pieces(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """The strings that are joined because they stand side by side."""
    while isinstance(node, cst.ConcatenatedString):
        yield node.left
        node = node.right
    yield node


def _specification(part: cst.FormattedStringExpression) -> str:
    """The format of a part of an f-string, as it is written; braces for what is nested in it."""
    return "".join(
        piece.value if isinstance(piece, cst.FormattedStringText) else "{}"
        for piece in part.format_spec or ()
    )


def _parts(expression: p.Expression) -> tuple[p.Expression, ...]:
    return expression.parts if isinstance(expression, p.Template) else (expression,)


def _captured_names(pattern: cst.CSTNode) -> Iterator[str]:
    if isinstance(pattern, (cst.MatchAs, cst.MatchStar)) and pattern.name is not None:
        yield pattern.name.value
    for child in pattern.children:
        yield from _captured_names(child)


_EXPRESSIONS: dict[type[cst.CSTNode], _ExpressionRule] = {
    cst.Name: Lowering._name,
    cst.Attribute: Lowering._attribute,
    cst.Call: Lowering._call,
    cst.Integer: Lowering._number,
    cst.Float: Lowering._number,
    cst.SimpleString: Lowering._string,
    cst.ConcatenatedString: Lowering._string,
    cst.FormattedString: Lowering._formatted,
    cst.List: Lowering._sequence,
    cst.Tuple: Lowering._sequence,
    cst.Set: Lowering._sequence,
    cst.Dict: Lowering._mapping,
    cst.Subscript: Lowering._subscript,
    cst.IfExp: Lowering._conditional,
    cst.Comparison: Lowering._comparison,
    cst.BooleanOperation: Lowering._boolean,
    cst.UnaryOperation: Lowering._unary,
    cst.BinaryOperation: Lowering._binary,
    cst.Lambda: Lowering._lambda,
    cst.NamedExpr: Lowering._walrus,
    cst.ListComp: Lowering._comprehension,
    cst.SetComp: Lowering._comprehension,
    cst.GeneratorExp: Lowering._comprehension,
    cst.DictComp: Lowering._comprehension,
    cst.Yield: Lowering._yield,
    cst.Await: Lowering._await,
}
_COMPREHENSIONS: dict[type[cst.CSTNode], str] = {
    cst.ListComp: "list",
    cst.SetComp: "set",
    cst.DictComp: "dict",
    cst.GeneratorExp: "generator",
}
_STATEMENTS: dict[type[cst.CSTNode], _StatementRule] = {
    cst.Expr: Lowering._evaluate,
    cst.Assign: Lowering._assign,
    cst.AnnAssign: Lowering._annotated,
    cst.AugAssign: Lowering._augmented,
    cst.Del: Lowering._delete,
    cst.Import: Lowering._import,
    cst.ImportFrom: Lowering._import_from,
    cst.Return: Lowering._return,
    cst.Raise: Lowering._raise,
    cst.Break: Lowering._jump,
    cst.Continue: Lowering._jump,
    cst.Assert: Lowering._assert,
    cst.Global: Lowering._global,
    cst.Nonlocal: Lowering._global,
    cst.If: Lowering._if,
    cst.For: Lowering._for,
    cst.While: Lowering._while,
    cst.Try: Lowering._try,
    cst.TryStar: Lowering._try,
    cst.With: Lowering._with,
    cst.Match: Lowering._match,
    cst.FunctionDef: Lowering._function,
    cst.ClassDef: Lowering._class,
}
