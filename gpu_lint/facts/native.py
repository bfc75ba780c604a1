"""Python's own syntax tree to :mod:`gpu_lint.facts.program`: the quick way.

It gives exactly what :mod:`gpu_lint.facts.lowering` makes of LibCST's tree, which stays the
reference, and reads what the running Python cannot. Bodies of functions are lowered when they
are first looked into.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

from gpu_lint.errors import SourceError, SyntaxFault
from gpu_lint.facts import program as p
from gpu_lint.facts.bodies import Bodies, Trees
from gpu_lint.facts.fstrings import Unclear, parts_of, said_by
from gpu_lint.facts.limits import Limits, check_limits
from gpu_lint.facts.outline import NoOutline, without_bodies
from gpu_lint.facts.quiet import parse_quietly
from gpu_lint.source import Source, Span

_ExpressionRule: TypeAlias = "Callable[[NativeLowering, Any], p.Expression]"
_StatementRule: TypeAlias = "Callable[[NativeLowering, Any], p.Statement]"

_OPERATORS: dict[type[ast.AST], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.FloorDiv: "//",
    ast.Div: "/",
    ast.Mod: "%",
    ast.BitOr: "|",
    ast.And: "and",
    ast.Or: "or",
    ast.Not: "not",
    ast.USub: "-",
    ast.UAdd: "+",
}
_CHANGING_OPERATORS: dict[type[ast.AST], str] = {ast.Add: "+", ast.BitOr: "|"}
_MOST_NESTED = 200
"""Brackets in one another: Python's own parser reads no more."""
_CLOSERS = re.compile(rb"(?:[\s\\]|#[^\r\n]*[\r\n])*\)")
_SUITES = ("body", "orelse", "handlers", "finalbody", "cases")
_SEMICOLON = ord(";")
_SHORT = 300
"""Bytes of a function whose tree takes no more than can be spared."""
_BLOCK = "if 1:\n"
"""What makes a text that is indented one that can be parsed."""
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_NESTED = (ast.stmt, ast.excepthandler, ast.match_case)


class NotNative(Exception):
    """Python's own parser does not read the file, or not the places of what it reads."""


_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError, SyntaxFault)
"""What goes wrong with a text that is no Python, or too deep."""


def lower_native(source: Source, limits: Limits) -> p.Program:
    """Lower a whole file.

    Raises :class:`NotNative` for one that LibCST must read, and :class:`SourceError` for one that
    Python itself gives up on: LibCST would fare no better.
    """
    if source.encoding != "utf-8" and not source.text.isascii():
        raise NotNative  # its columns are counted in UTF-8
    try:
        tree = parse_quietly(source.text, "exec")
        assert isinstance(tree, ast.Module)
        lowering = NativeLowering(source, source.line_starts, Trees.of(source))
        lowering.check_limits(tree, limits)
        return p.Program(lowering.block(tree.body))
    except (RecursionError, MemoryError) as error:
        check_limits(source.text, limits)  # it can say where
        raise SourceError("cannot be checked: it is nested or chained too deeply") from error
    except _UNREADABLE as error:
        raise NotNative from error


def lower_heads(source: Source, bodies: Bodies) -> p.Program:
    """Lower a file, and ``bodies`` of functions when somebody looks into them.

    Raises :class:`NotNative` where the file must be read as a whole.
    """
    try:
        tree = parse_quietly(without_bodies(source, _SHORT), "exec")
        assert isinstance(tree, ast.Module)
        lowering = NativeLowering(source, source.line_starts, left_out=bodies)
        lowering.check_limits(tree, bodies.limits)
        return p.Program(lowering.block(tree.body))
    except (NoOutline, *_UNREADABLE) as error:
        raise NotNative from error


def lower_part(source: Source, text: Callable[[], str]) -> p.Program:
    """Lower a text that is part of a file, with every statement in its place.

    Raises :class:`NotNative` where the file must be read as a whole.
    """
    try:
        tree = parse_quietly(text(), "exec")
        assert isinstance(tree, ast.Module)
        return p.Program(NativeLowering(source, source.line_starts).block(tree.body))
    except (NoOutline, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NotNative from error


class NativeLowering:
    """Lowers nodes; ``starts`` are the byte offsets of the rows that their places refer to."""

    def __init__(
        self,
        source: Source,
        starts: tuple[int, ...],
        kept: Trees | None = None,
        left_out: Bodies | None = None,
    ) -> None:
        self._source = source
        self._starts = starts
        self._yields = False
        self._nests = False
        self._kept = kept
        self._left_out = left_out

    def span(self, node: ast.expr | ast.stmt | ast.excepthandler) -> Span:
        starts = self._starts
        return Span(
            starts[node.lineno - 1] + node.col_offset,
            starts[node.end_lineno - 1] + node.end_col_offset,  # type: ignore[operator]
        )

    def check_limits(self, tree: ast.Module, limits: Limits) -> None:
        """Refuse what is chained so far that LibCST could not read it either.

        Raises :class:`NotNative`; the other way then says what is wrong, and where.
        """
        shortest = 2 * min(limits.operators, limits.brackets)
        if limits.brackets >= _MOST_NESTED:
            shortest = 2 * limits.operators
        waiting: list[Any] = list(tree.body)
        while waiting:
            node = waiting.pop()
            if self._left_out is not None and isinstance(node, _FUNCTIONS):
                continue  # it is looked at when it is read
            span = self.span(node) if hasattr(node, "lineno") else None
            if span is not None and span.end - span.start < shortest:
                continue
            inner = [child for name in _SUITES for child in getattr(node, name, ())]
            waiting += inner
            if span is not None:
                nested = bool(inner) and hasattr(inner[0], "lineno")
                end = self.span(inner[0]).start if nested else span.end
                if end - span.start >= shortest:
                    try:
                        check_limits(self._source.slice(Span(span.start, end)), limits)
                    except SourceError as error:
                        raise NotNative from error

    def compound(self, node: ast.stmt) -> Span:
        """The span of a compound statement, without a semicolon behind its last line."""
        span = self.span(node)
        if self._source.data[span.end - 1] == _SEMICOLON:
            last: ast.AST = node
            while inner := [n for n in ast.iter_child_nodes(last) if isinstance(n, _NESTED)]:
                last = inner[-1]
            assert isinstance(last, ast.stmt)
            return Span(span.start, self.span(last).end)
        return span

    def block(self, body: list[ast.stmt]) -> p.Block:
        return tuple([_STATEMENTS[type(node)](self, node) for node in body])

    # --- expressions ---------------------------------------------------------------------

    def expression(self, node: ast.expr) -> p.Expression:
        return _EXPRESSIONS[type(node)](self, node)

    def _name(self, node: ast.Name) -> p.Expression:
        return p.Name(self.span(node), node.id)

    def _constant(self, node: ast.Constant) -> p.Expression:
        value = node.value
        if value is ... or isinstance(value, complex):
            return p.Opaque(self.span(node), ())
        return p.Literal(self.span(node), value)

    def _attribute(self, node: ast.Attribute) -> p.Expression:
        return p.Attribute(self.span(node), self.expression(node.value), node.attr)

    def _call(self, node: ast.Call) -> p.Expression:
        given: list[tuple[ast.expr, str | None, str]] = []
        for value in node.args:
            if isinstance(value, ast.Starred):
                given.append((value.value, None, "*"))
            else:
                given.append((value, None, ""))
        for keyword in node.keywords:
            given.append((keyword.value, keyword.arg, "" if keyword.arg is not None else "**"))
        if node.args and node.keywords:
            given.sort(key=_place)
        arguments = tuple([p.Argument(self.expression(value), k, s) for value, k, s in given])
        return p.Call(self.span(node), self.expression(node.func), arguments)

    def _joined(self, node: ast.JoinedStr) -> p.Expression:
        span = self.span(node)
        text = self._source.data[span.start : span.end].decode(self._source.encoding)
        ascii_only = text.isascii()

        def at(character: int) -> int:
            width = character if ascii_only else len(text[:character].encode("utf-8"))
            return span.start + width

        try:
            parts = self._joined_parts(text, at)
        except Unclear:
            return self._joined_by_libcst(span)
        return p.Template(span, parts)

    def _joined_by_libcst(self, span: Span) -> p.Expression:
        from gpu_lint.facts.lowering import lower_expression

        return lower_expression(self._source, span)

    def _joined_parts(self, text: str, at: Callable[[int], int]) -> tuple[p.Expression, ...]:
        parts: list[p.Expression] = []
        for part in parts_of(text):
            here = Span(at(part.start), at(part.end))
            raw = text[part.start : part.end]
            if part.kind == "string":
                parts.append(p.Literal(here, ast.literal_eval(raw)))
            elif part.kind == "text":
                said = said_by(raw, part.is_raw)
                parts.append(p.Opaque(here, ()) if said is None else p.Literal(here, said))
            else:
                value = self._inner(text[slice(*part.inner)], at(part.inner[0]))
                given = part.conversion, part.specification
                parts.append(p.in_text(here, value, *given, is_named=part.is_named))
        return tuple(parts)

    def _inner(self, code: str, start: int) -> p.Expression:
        """The expression between an f-string's braces, which starts at a byte offset."""
        try:
            tree = parse_quietly(f"({code})", "eval")
        except SyntaxError as error:
            raise Unclear from error
        assert isinstance(tree, ast.Expression)
        ends = [m.end() for m in re.finditer(rb"\r\n|\r|\n", code.encode("utf-8"))]
        starts = (start - 1, *(start + end for end in ends))
        outer, self._starts = self._starts, starts
        try:
            found = self.expression(tree.body)
        finally:
            self._starts = outer
        if isinstance(found, p.Sequence) and found.span.start < start:
            # A tuple without parentheses: those are ours.
            blanks = len(code) - len(code.lstrip())
            end = start + len(code.rstrip().encode("utf-8"))
            found = replace(found, span=Span(start + blanks, end))
        return found

    def _sequence(self, node: ast.List | ast.Tuple | ast.Set) -> p.Expression:
        kind = type(node).__name__.lower()
        return p.Sequence(self.span(node), kind, tuple([self.expression(e) for e in node.elts]))

    def _starred(self, node: ast.Starred) -> p.Expression:
        return p.Opaque(self.span(node), (self.expression(node.value),))

    def _mapping(self, node: ast.Dict) -> p.Expression:
        items = [
            (self.expression(key) if key is not None else None, self.expression(value))
            for key, value in zip(node.keys, node.values, strict=True)
        ]
        return p.Mapping(self.span(node), tuple(items))

    def _subscript(self, node: ast.Subscript) -> p.Expression:
        base, key = self.expression(node.value), node.slice
        if isinstance(key, ast.Slice):
            return p.Subscript(self.span(node), base, self._slice(key))
        if isinstance(key, ast.Starred):
            return p.Opaque(self.span(node), (base, self.expression(key.value)))
        if isinstance(key, ast.Tuple) and not self._has_parentheses(key):
            children = [base]
            for element in key.elts:
                if isinstance(element, ast.Slice):
                    children += self._bounds(element)
                else:
                    plain = element.value if isinstance(element, ast.Starred) else element
                    children.append(self.expression(plain))
            return p.Opaque(self.span(node), tuple(children))
        return p.Subscript(self.span(node), base, self.expression(key))

    def _slice(self, node: ast.Slice) -> p.Slice:
        bounds = (node.lower, node.upper, node.step)
        lowered = [self.expression(one) if one is not None else None for one in bounds]
        return p.Slice(self.span(node), *lowered)

    def _bounds(self, node: ast.Slice) -> list[p.Expression]:
        return [self.expression(n) for n in (node.lower, node.upper, node.step) if n is not None]

    def _has_parentheses(self, node: ast.Tuple) -> bool:
        """Whether a tuple has parentheses of its own, not just around its first item."""
        span = self.span(node)
        if not node.elts or self._source.data[span.start : span.start + 1] != b"(":
            return not node.elts
        first = self.span(node.elts[0])
        before = re.sub(rb"#[^\r\n]*", b"", self._source.data[span.start : first.start])
        closers = 0
        end = first.end
        while (found := _CLOSERS.match(self._source.data, end)) and found.end() <= span.end:
            closers += 1
            end = found.end()
        return before.count(b"(") > closers

    def _conditional(self, node: ast.IfExp) -> p.Expression:
        test, body = self.expression(node.test), self.expression(node.body)
        return p.Conditional(self.span(node), test, body, self.expression(node.orelse))

    def _comparison(self, node: ast.Compare) -> p.Expression:
        span = self.span(node)
        left = self.expression(node.left)
        result: p.Expression | None = None
        for operator, comparator in zip(node.ops, node.comparators, strict=True):
            right = self.expression(comparator)
            link = p.Comparison(span, left, _OPERATORS[type(operator)], right)
            result = p.Boolean(span, "and", result, link) if result else link
            left = right
        assert result is not None
        return result

    def _boolean(self, node: ast.BoolOp) -> p.Expression:
        operator = _OPERATORS[type(node.op)]
        span = self.span(node)
        result = self.expression(node.values[0])
        last = node.values[-1]
        for value in node.values[1:]:
            end = span.end if value is last else self._closed(self.span(value).end)
            result = p.Boolean(Span(span.start, end), operator, result, self.expression(value))
        return result

    def _closed(self, end: int) -> int:
        """The end of an operand with the parentheses around it, given its own."""
        while found := _CLOSERS.match(self._source.data, end):
            end = found.end()
        return end

    def _unary(self, node: ast.UnaryOp) -> p.Expression:
        operator = _OPERATORS.get(type(node.op), "?")
        operand = self.expression(node.operand)
        if operator == "-" and isinstance(operand, p.Literal):
            if isinstance(operand.value, (int, float)):
                return p.Literal(self.span(node), -operand.value)
        return p.Unary(self.span(node), operator, operand)

    def _binary(self, node: ast.BinOp) -> p.Expression:
        operator = _OPERATORS.get(type(node.op), "?")
        left, right = self.expression(node.left), self.expression(node.right)
        return p.Binary(self.span(node), left, operator, right)

    def _lambda(self, node: ast.Lambda) -> p.Expression:
        body = self.expression(node.body)
        self._nests = True
        return p.Lambda(self.span(node), self._parameters(node.args), body)

    def _walrus(self, node: ast.NamedExpr) -> p.Expression:
        return p.Walrus(self.span(node), node.target.id, self.expression(node.value))

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
    ) -> p.Expression:
        elements: tuple[p.Expression, ...]
        if isinstance(node, ast.DictComp):
            elements = (self.expression(node.key), self.expression(node.value))
        else:
            elements = (self.expression(node.elt),)
        generators = [
            p.Generator(
                self.expression(part.target),
                self.expression(part.iter),
                tuple(map(self.expression, part.ifs)),
            )
            for part in node.generators
        ]
        kind = _COMPREHENSIONS[type(node)]
        return p.Comprehension(self.span(node), tuple(generators), elements, kind)

    def _yield(self, node: ast.Yield | ast.YieldFrom) -> p.Expression:
        self._yields = True
        value = self.expression(node.value) if node.value is not None else None
        return p.Yield(self.span(node), value)

    def _await(self, node: ast.Await) -> p.Expression:
        return p.Await(self.span(node), self.expression(node.value))

    def _parameters(self, node: ast.arguments) -> tuple[p.Parameter, ...]:
        plain = [*node.posonlyargs, *node.args]
        without = len(plain) - len(node.defaults)
        result = []
        for number, argument in enumerate(plain):
            default = node.defaults[number - without] if number >= without else None
            result.append(self._parameter(argument, default))
        if node.vararg is not None:
            result.append(p.Parameter(node.vararg.arg, None, "*"))
        for argument, default in zip(node.kwonlyargs, node.kw_defaults, strict=True):
            result.append(self._parameter(argument, default, True))
        if node.kwarg is not None:
            result.append(p.Parameter(node.kwarg.arg, None, "**"))
        return tuple(result)

    def _parameter(
        self, argument: ast.arg, default: ast.expr | None, keyword_only: bool = False
    ) -> p.Parameter:
        value = self.expression(default) if default is not None else None
        return p.Parameter(argument.arg, value, "", keyword_only)

    # --- statements ----------------------------------------------------------------------

    def _evaluate(self, node: ast.Expr) -> p.Statement:
        return p.Evaluate(self.span(node), self.expression(node.value))

    def _assign(self, node: ast.Assign) -> p.Statement:
        targets = tuple([self.expression(target) for target in node.targets])
        return p.Assign(self.span(node), targets, self.expression(node.value))

    def _annotated(self, node: ast.AnnAssign) -> p.Statement:
        target = self.expression(node.target)
        if node.value is None:
            return p.Declare(self.span(node), target)
        value = self.expression(node.value)
        return p.Assign(self.span(node), (target,), value, annotated=True)

    def _augmented(self, node: ast.AugAssign) -> p.Statement:
        operator = _CHANGING_OPERATORS.get(type(node.op), "?")
        target = self.expression(node.target)
        return p.Assign(self.span(node), (target,), self.expression(node.value), operator)

    def _delete(self, node: ast.Delete) -> p.Statement:
        targets = node.targets
        if len(targets) == 1 and isinstance(targets[0], ast.Tuple):
            targets = targets[0].elts
        return p.Delete(self.span(node), tuple(map(self.expression, targets)))

    def _import(self, node: ast.Import) -> p.Statement:
        names = [
            p.ImportedName(alias.name, "", alias.asname or alias.name.partition(".")[0])
            for alias in node.names
        ]
        return p.Import(self.span(node), tuple(names))

    def _import_from(self, node: ast.ImportFrom) -> p.Statement:
        module = node.module or ""
        names = [
            p.ImportedName(module, alias.name, alias.asname or alias.name, node.level)
            for alias in node.names
        ]
        return p.Import(self.span(node), tuple(names))

    def _return(self, node: ast.Return) -> p.Statement:
        value = self.expression(node.value) if node.value is not None else None
        return p.Return(self.span(node), value)

    def _raise(self, node: ast.Raise) -> p.Statement:
        values = (self.expression(node.exc),) if node.exc is not None else ()
        return p.Raise(self.span(node), values)

    def _jump(self, node: ast.Break | ast.Continue) -> p.Statement:
        return p.Jump(self.span(node), type(node).__name__.lower())

    def _assert(self, node: ast.Assert) -> p.Statement:
        return p.Assert(self.span(node), self.expression(node.test))

    def _global(self, node: ast.Global | ast.Nonlocal) -> p.Statement:
        return p.Global(self.span(node), tuple(node.names))

    def _pass(self, node: ast.stmt) -> p.Statement:
        return p.Pass(self.span(node))

    def _if(self, node: ast.If) -> p.Statement:
        orelse = self.block(node.orelse)
        test = self.expression(node.test)
        return p.If(self.compound(node), test, self.block(node.body), orelse)

    def _for(self, node: ast.For | ast.AsyncFor) -> p.Statement:
        target, iterable = self.expression(node.target), self.expression(node.iter)
        body, orelse = self.block(node.body), self.block(node.orelse)
        return p.For(self.compound(node), target, iterable, body, orelse)

    def _while(self, node: ast.While) -> p.Statement:
        test = self.expression(node.test)
        return p.While(self.compound(node), test, self.block(node.body), self.block(node.orelse))

    def _try(self, node: Any) -> p.Statement:
        handlers = []
        for handler in node.handlers:
            caught = handler.type
            nodes = [caught]
            if isinstance(caught, ast.Tuple) and caught.elts:
                nodes = [e.value if isinstance(e, ast.Starred) else e for e in caught.elts]
            types = tuple(_full_name(t) or "?" for t in nodes if t is not None)
            handlers.append(p.Handler(types, handler.name, self.block(handler.body)))
        return p.Try(
            self.compound(node),
            self.block(node.body),
            tuple(handlers),
            self.block(node.orelse),
            self.block(node.finalbody),
        )

    def _with(self, node: ast.With | ast.AsyncWith) -> p.Statement:
        items = tuple(
            (
                self.expression(item.context_expr),
                self.expression(item.optional_vars) if item.optional_vars is not None else None,
            )
            for item in node.items
        )
        return p.With(self.compound(node), items, self.block(node.body))

    def _match(self, node: ast.Match) -> p.Statement:
        captures: list[str] = []
        for case in node.cases:
            _captured_names(case.pattern, captures)
        last = node.cases[-1]
        exhaustive = isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None
        return p.Match(
            self.compound(node),
            self.expression(node.subject),
            tuple(self.block(case.body) for case in node.cases),
            tuple(map(self._pattern, node.cases)),
            tuple(captures),
            exhaustive and last.guard is None,
        )

    def _pattern(self, case: ast.match_case) -> p.Pattern:
        guard = self.expression(case.guard) if case.guard is not None else None
        named = isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None
        name = case.pattern.name or "" if named and isinstance(case.pattern, ast.MatchAs) else ""
        return p.Pattern(tuple(self._constants(case.pattern)), guard, name)

    def _constants(self, pattern: ast.pattern) -> list[p.Constant]:
        """The constants that a pattern takes; none if it takes anything else."""
        match pattern:
            case ast.MatchValue(value=value):
                literal = self.expression(value)
                return [literal.value] if isinstance(literal, p.Literal) else []
            case ast.MatchOr(patterns=patterns):
                several = [self._constants(one) for one in patterns]
                return [one for constants in several for one in constants] if all(several) else []
        return []

    def _definition_span(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Span:
        """From the first decorator's ``@`` to the end."""
        span = self.compound(node)
        if not node.decorator_list:
            return span
        first = self.span(node.decorator_list[0]).start
        return Span(self._source.data.rfind(b"@", 0, first), span.end)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> p.Statement:
        parameters = self._parameters(node.args)
        decorators = tuple(map(self.expression, node.decorator_list))
        self._nests = True
        span = self._definition_span(node)
        suite = p.Suite(self._later(node, span))
        is_async = isinstance(node, ast.AsyncFunctionDef)
        return p.Function(span, node.name, parameters, decorators, suite, is_async)

    def _later(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, definition: Span
    ) -> Callable[[], tuple[p.Block, bool, bool]]:
        """Lowers a function's body when it is called. Until then its tree is kept only for a while,
        as it takes twenty times the memory of its text: that is parsed again."""
        source, first = self._source, node.lineno - 1
        start, end = self._starts[first], self.span(node).end
        head = source.data[start : start + node.col_offset]
        if end - start < _SHORT or head.strip():
            return lambda: self._body(node.body)
        starts = self._starts[first : node.end_lineno]
        around = _BLOCK if head else ""
        kept, rows, left_out = self._kept, self._starts, self._left_out
        if kept is not None:
            kept.bodies[start] = node.body

        def lower() -> tuple[p.Block, bool, bool]:
            body = kept.bodies.pop(start, None) if kept is not None else None
            if body is not None:
                return NativeLowering(source, rows)._body(body)
            text = source.data[start:end].decode(source.encoding)
            inner = NativeLowering(source, (start, *starts) if around else starts)
            try:
                tree: Any = parse_quietly(around + text, "exec")
                if left_out is not None:
                    inner.check_limits(tree, left_out.limits)
                found = tree.body[0].body[0] if around else tree.body[0]
                return inner._body(found.body)
            except (NotNative, *_UNREADABLE):
                if left_out is None:
                    raise
                return left_out.read_otherwise(definition)

        return lower

    def _body(self, body: list[ast.stmt]) -> tuple[p.Block, bool, bool]:
        outer = self._yields, self._nests
        self._yields = self._nests = False
        block = self.block(body)
        found = self._yields, self._nests
        self._yields, self._nests = outer
        return (block, *found)

    def _class(self, node: ast.ClassDef) -> p.Statement:
        self._nests = True
        bases = [base.value if isinstance(base, ast.Starred) else base for base in node.bases]
        values = [*bases, *(keyword.value for keyword in node.keywords)]
        return p.Class(
            self._definition_span(node),
            node.name,
            tuple(map(self.expression, values)),
            tuple(map(self.expression, node.decorator_list)),
            self.block(node.body),
        )


def _place(given: tuple[ast.expr, str | None, str]) -> tuple[int, int]:
    return given[0].lineno, given[0].col_offset


def _full_name(node: ast.expr) -> str | None:
    """The dotted name of an expression, as far as it has one."""
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            return f"{_full_name(node.value)}.{node.attr}"
        case ast.Call():
            return _full_name(node.func)
        case ast.Subscript():
            return _full_name(node.value)
    return None


def _captured_names(pattern: ast.AST, found: list[str]) -> None:
    if isinstance(pattern, (ast.MatchAs, ast.MatchStar)) and pattern.name is not None:
        found.append(pattern.name)
    for child in ast.iter_child_nodes(pattern):
        _captured_names(child, found)


_EXPRESSIONS: dict[type[ast.expr], _ExpressionRule] = {
    ast.Name: NativeLowering._name,
    ast.Constant: NativeLowering._constant,
    ast.Attribute: NativeLowering._attribute,
    ast.Call: NativeLowering._call,
    ast.JoinedStr: NativeLowering._joined,
    ast.List: NativeLowering._sequence,
    ast.Tuple: NativeLowering._sequence,
    ast.Set: NativeLowering._sequence,
    ast.Starred: NativeLowering._starred,
    ast.Dict: NativeLowering._mapping,
    ast.Subscript: NativeLowering._subscript,
    ast.IfExp: NativeLowering._conditional,
    ast.Compare: NativeLowering._comparison,
    ast.BoolOp: NativeLowering._boolean,
    ast.UnaryOp: NativeLowering._unary,
    ast.BinOp: NativeLowering._binary,
    ast.Lambda: NativeLowering._lambda,
    ast.NamedExpr: NativeLowering._walrus,
    ast.ListComp: NativeLowering._comprehension,
    ast.SetComp: NativeLowering._comprehension,
    ast.GeneratorExp: NativeLowering._comprehension,
    ast.DictComp: NativeLowering._comprehension,
    ast.Yield: NativeLowering._yield,
    ast.YieldFrom: NativeLowering._yield,
    ast.Await: NativeLowering._await,
}
_COMPREHENSIONS: dict[type[ast.expr], str] = {
    ast.ListComp: "list",
    ast.SetComp: "set",
    ast.DictComp: "dict",
    ast.GeneratorExp: "generator",
}
_STATEMENTS: dict[type[ast.stmt], _StatementRule] = {
    ast.Expr: NativeLowering._evaluate,
    ast.Assign: NativeLowering._assign,
    ast.AnnAssign: NativeLowering._annotated,
    ast.AugAssign: NativeLowering._augmented,
    ast.Delete: NativeLowering._delete,
    ast.Import: NativeLowering._import,
    ast.ImportFrom: NativeLowering._import_from,
    ast.Return: NativeLowering._return,
    ast.Raise: NativeLowering._raise,
    ast.Break: NativeLowering._jump,
    ast.Continue: NativeLowering._jump,
    ast.Assert: NativeLowering._assert,
    ast.Global: NativeLowering._global,
    ast.Nonlocal: NativeLowering._global,
    ast.Pass: NativeLowering._pass,
    ast.If: NativeLowering._if,
    ast.For: NativeLowering._for,
    ast.AsyncFor: NativeLowering._for,
    ast.While: NativeLowering._while,
    ast.Try: NativeLowering._try,
    ast.With: NativeLowering._with,
    ast.AsyncWith: NativeLowering._with,
    ast.Match: NativeLowering._match,
    ast.FunctionDef: NativeLowering._function,
    ast.AsyncFunctionDef: NativeLowering._function,
    ast.ClassDef: NativeLowering._class,
}
for _name in ("TryStar", "TypeAlias"):
    if (_type := getattr(ast, _name, None)) is not None:
        _rule = NativeLowering._try if _name == "TryStar" else NativeLowering._pass
        _STATEMENTS[_type] = _rule
