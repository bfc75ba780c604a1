"""What one file says by itself: source → syntax tree → program (ours) → reading.

Python's own parser is the quick way (:mod:`gpu_lint.facts.native`). LibCST reads what the
running Python cannot, such as newer syntax, and is the reference: both give equal readings.
"""

from __future__ import annotations

import re
import warnings
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property

from gpu_lint.errors import SourceError, SyntaxFault
from gpu_lint.facts import program as p
from gpu_lint.facts.assertions import Assertion, assertions, function_around
from gpu_lint.facts.bodies import Bodies
from gpu_lint.facts.calling import functions_of, guarded, names_called, run_on_import
from gpu_lint.facts.comments import comments_of
from gpu_lint.facts.functions import function_facts
from gpu_lint.facts.imports import module_at_path, named_module
from gpu_lint.facts.knowledge import Knowledge
from gpu_lint.facts.layout import is_stdlib, layout_of
from gpu_lint.facts.limits import USUAL, Limits, deep_recursion
from gpu_lint.facts.listed import listed
from gpu_lint.facts.listing import may_list
from gpu_lint.facts.machine_numbers import MachineNumbers
from gpu_lint.facts.markers import MARKER, managed_blocks
from gpu_lint.facts.mentions import Mentions
from gpu_lint.facts.model import FunctionFacts, Layout, ManagedBlock
from gpu_lint.facts.native import NotNative, lower_heads, lower_native, lower_part
from gpu_lint.facts.needles import needles_for
from gpu_lint.facts.outcomes import is_main_guard
from gpu_lint.facts.outline import NoOutline, binds_os, opening, outlined
from gpu_lint.facts.skim import inside
from gpu_lint.facts.skimmed import Imported, Skimmed
from gpu_lint.facts.touch import Touch
from gpu_lint.facts.values import CHANGING_METHODS
from gpu_lint.facts.walk import (
    blocks,
    children,
    expressions,
    mentioned_names,
    own_expressions,
    statements,
)
from gpu_lint.source import Source, Span
from gpu_lint.variables import MASK, ORDER

__all__ = ["Reading", "SyntaxFault", "read_file"]

_ENVIRONMENT_KEY = re.compile(
    rb"(?:environb?\s*(?:\.\s*(?:__\w+__|pop)\s*\(|\[)|putenv\s*\()\s*([A-Za-z_]\w*)"
)
"""Where the environment is written under the name that a variable of the program holds."""


class Reading:
    """What one file says by itself, whoever runs it; found out when it is asked for."""

    def __init__(
        self,
        source: Source,
        knowledge: Knowledge,
        program: p.Program,
        comments: Callable[[], tuple[p.Comment, ...]],
        left_out: Bodies | None = None,
    ) -> None:
        self.source = source
        self.program = program
        self._knowledge = knowledge
        self._comments = comments
        self._left_out = left_out
        self._may_change: dict[str, bool] = {}

    @property
    def is_broken(self) -> bool:
        """Whether a function has turned out to be no Python that was parsed when it was needed."""
        return self._left_out is not None and self._left_out.broken

    @cached_property
    def comments(self) -> tuple[p.Comment, ...]:
        return self._comments()

    @cached_property
    def mentions(self) -> Mentions:
        return Mentions(self.source.data, needles_for(self._knowledge))

    @cached_property
    def environment_keys(self) -> frozenset[str]:
        """The plain names under which the file writes or removes environment variables, each with
        a ``$`` before it."""
        data = self.source.data
        found = _ENVIRONMENT_KEY.findall(data) if b"environ" in data or b"putenv" in data else ()
        return frozenset(f"${name.decode()}" for name in found)

    @cached_property
    def layout(self) -> Layout:
        return layout_of(self.program)

    @cached_property
    def imported(self) -> tuple[Imported, ...]:
        """Every import, by a literal name too, except what only type checkers see."""
        found = [*_imported_names(self.program, self._mentioning(b"import"))]
        if may_list(self.source.data):
            found += _listed(self.program)
        return tuple(found)

    @property
    def skimmed(self) -> Skimmed:
        """What skimming the file would tell, were it written so that this can be done."""
        return Skimmed(self.imported, self.layout.guard is not None)

    @cached_property
    def framework_names(self) -> frozenset[str]:
        """Frameworks that an import anywhere in the file mentions."""
        return frozenset(
            framework.name
            for one in self.imported
            if (framework := self._knowledge.framework_of(one.module)) is not None
        )

    @cached_property
    def functions(self) -> list[tuple[str, Callable[[], FunctionFacts]]]:
        """The functions of the module itself: a name, and what tells the facts of it."""
        return function_facts(self.program)

    def calls_of(self, function: str) -> frozenset[str]:
        """The names of all that a function of the module calls, directly or by other functions of
        the module."""
        found = self.functions_by_name.get(function)
        return frozenset() if found is None else names_called(found.body, self.functions_by_name)

    @cached_property
    def calls_of_guard(self) -> frozenset[str]:
        """The same of what stands behind the main guard."""
        return names_called(guarded(self.program), self.functions_by_name)

    @cached_property
    def calls_on_import(self) -> frozenset[str]:
        """The same of what runs when the module is imported."""
        return names_called(run_on_import(self.program), self.functions_by_name)

    @cached_property
    def functions_by_name(self) -> dict[str, p.Function]:
        """The functions of the module itself; of several of one name, the last."""
        return functions_of(self.program)

    @cached_property
    def imported_functions(self) -> frozenset[str]:
        """Names imported from outside the frameworks."""
        return frozenset(
            name.bound
            for statement in statements(self.program.body)
            if isinstance(statement, p.Import)
            for name in statement.names
            if name.name and self._knowledge.framework_of(name.module) is None
        )

    @cached_property
    def referenced(self) -> frozenset[str]:
        """Names that are mentioned, and functions that others call: decorated ones, methods."""
        return mentioned_names(self.program.body) | _called_by_others(self.program)

    @cached_property
    def blocks(self) -> tuple[ManagedBlock, ...]:
        if MARKER not in self.source.data:
            return ()
        return tuple(managed_blocks(self.program, self.comments, self.source))

    @cached_property
    def mentioned_variables(self) -> tuple[str, ...]:
        """The variables among the mask and the order that the text mentions."""
        return tuple(one for one in (MASK, ORDER) if one.encode() in self.source.data)

    @cached_property
    def rebound(self) -> frozenset[str]:
        """Names of the module that functions bind anew."""
        if b"global" not in self.source.data:
            return frozenset()
        return frozenset(_global_names(self.program.body, self._mentioning(b"global")))

    def changes_container(self, name: str) -> bool:
        """Whether the container that a name holds may be changed in place somewhere."""
        if name not in self._may_change:
            places = self._places_of_changes.get(name.encode(), ())

            def holds_one(statement: p.Statement) -> bool:
                at = bisect_left(places, statement.span.start)
                return at < len(places) and places[at] < statement.span.end

            self._may_change[name] = bool(places) and any(
                changed == name for changed in _containers_changed(self.program.body, holds_one)
            )
        return self._may_change[name]

    @cached_property
    def _places_of_changes(self) -> dict[bytes, list[int]]:
        """Where each name stands whose container may be changed in place there."""
        found: dict[bytes, list[int]] = {}
        for match in _CHANGING.finditer(self.source.data):
            found.setdefault(match.group(1), []).append(match.start())
        return found

    def _mentioning(self, text: bytes) -> Callable[[p.Statement], bool]:
        """Tells which statements mention something: others need not be looked through."""
        data = self.source.data
        return lambda one: data.find(text, one.span.start, one.span.end) >= 0

    @cached_property
    def compared(self) -> frozenset[str]:
        """String constants that the file compares with something."""
        return frozenset(_compared(self.program))

    @cached_property
    def assertions(self) -> tuple[Assertion, ...]:
        """What its tests expect."""
        if b"assert" not in self.source.data and b"raises" not in self.source.data:
            return ()
        return tuple(assertions(self.program, self._functions))

    @cached_property
    def _functions(self) -> tuple[Span, ...]:
        """Where all functions stand, nested ones too."""
        return tuple(
            one.span for one in statements(self.program.body) if isinstance(one, p.Function)
        )

    def is_asserted(self, span: Span, *values: str | int) -> bool:
        """Whether a span stands in an assertion, or beside one that expects one of some values:
        in the same function; of what the module writes itself, anywhere."""
        if not self.assertions:
            return False
        around = function_around(span, self._functions)
        return any(
            (one.span.start <= span.start and span.end <= one.span.end)
            or (around in (None, one.function) and any(map(one.expects, values)))
            for one in self.assertions
        )

    def counted_by(self, span: Span) -> str | None:
        """Return what counted the number that an expression is, such as ``nvidia-smi``, if it
        counts the machine's GPUs; None where nothing says so."""
        return self._machine_numbers.source_of(span) if self._may_count_gpus else None

    @cached_property
    def _may_count_gpus(self) -> bool:
        """Whether it mentions what counts the machine's GPUs."""
        data = self.source.data
        return any(one in data for one in (b"nvidia-smi", *self._knowledge.roots_beside_cuda))

    @cached_property
    def _machine_numbers(self) -> MachineNumbers:
        return MachineNumbers(self.program, self._knowledge)

    @cached_property
    def decides(self) -> bool:
        """It names an environment variable that decides about GPUs, and may write it."""
        needles = needles_for(self._knowledge)
        if not needles.settings(self.source.data) & Touch.SETTINGS:
            return False
        return any(map(needles.is_variable, _texts(self.program.body)))

    def decides_beside(self, header: Span) -> bool:
        """Whether it does so elsewhere than in its header, which stands at module level."""
        body = tuple(one for one in self.program.body if one.span not in header)
        return any(map(needles_for(self._knowledge).is_variable, _texts(body)))

    def until(self, end: int) -> Reading:
        """What it says by its statements that end before an offset."""
        body = tuple(one for one in self.program.body if one.span.end <= end)
        return Reading(self.source, self._knowledge, p.Program(body), self._comments)


def read_file(
    source: Source, knowledge: Knowledge, limits: Limits = USUAL, *, reference: bool = False
) -> Reading:
    """Read what a file says; with ``reference``, by way of LibCST alone.

    Raises :class:`SyntaxFault` for a syntax error and
    :class:`gpu_lint.errors.SourceError` for a file that cannot be checked.
    """
    limits.check_size(source.data)
    if not reference:
        try:
            with deep_recursion():
                program = lower_native(source, limits)
            return Reading(source, knowledge, program, lambda: comments_of(source))
        except NotNative as reason:
            fault = reason.__cause__
            try:
                return _read_whole(source, knowledge, limits)
            except SourceError:
                if isinstance(fault, SyntaxError):
                    raise SyntaxFault(f"syntax error: {fault.msg}", 0) from fault
                raise
    return _read_whole(source, knowledge, limits)


def read_heads(source: Source, knowledge: Knowledge, limits: Limits) -> Reading | None:
    """Read what a file says, its functions when somebody looks into them: a syntax error in one
    goes unnoticed until then. None where it must be read as a whole."""

    def whole() -> p.Program | None:
        try:
            return _read_whole(source, knowledge, limits).program
        except (SyntaxFault, SourceError):
            return None

    bodies = Bodies(limits, whole)
    try:
        limits.check_size(source.data)
        with deep_recursion():
            program = lower_heads(source, bodies)
    except (NotNative, SourceError):
        return None
    return Reading(source, knowledge, program, lambda: comments_of(source), bodies)


def read_outline(
    source: Source,
    knowledge: Knowledge,
    limits: Limits,
    skimmed: Skimmed,
    *,
    header_alone: bool = False,
    meant_for_us: bool = True,
) -> Reading | None:
    """Read what a file says outside of its functions, given what was skimmed of it. With
    ``header_alone`` nothing will be asked for but its header, which most often depends on its
    first statements alone; unless a comment may be ``meant_for_us``, none is looked for.

    None where that takes reading it as a whole. A syntax error elsewhere goes unnoticed.
    """
    try:
        limits.check_size(source.data)
        with deep_recursion():
            reading = None
            if header_alone:
                reading = _opening(source, knowledge, skimmed, meant_for_us)
            if reading is None:
                program = lower_part(source, lambda: outlined(source))
                reading = Reading(source, knowledge, program, lambda: comments_of(source))
    except (NotNative, SourceError):
        return None
    reading.imported = skimmed.imported
    return reading


def _opening(
    source: Source, knowledge: Knowledge, skimmed: Skimmed, meant_for_us: bool
) -> Reading | None:
    """What the first statements of a file say, and its source up to there if no comment below is
    meant for us; None where what stands below matters, too."""

    def reaches(module: str) -> bool:
        framework = knowledge.framework_of(module)
        return framework is not None and framework.uses_mask

    try:
        end, has_framework = opening(source, skimmed, reaches)
        part = replace(source, data=source.data[:end])
        program = lower_part(part, lambda: part.text)
    except (NoOutline, NotNative):
        return None
    layout = layout_of(program)
    modules = [found.module for found in layout.imports]
    if all(map(is_stdlib, modules)) or has_framework is not any(map(reaches, modules)):
        return None  # brackets or strings that look like the start of a statement
    anchor = layout.anchor
    known = any(at < anchor and name.endswith(".environ") for name, at in layout.environ)
    if not known and binds_os(source.data, end):
        return None
    if meant_for_us and needles_for(knowledge).comments(source.data[end:]):
        part = source
    reading = Reading(part, knowledge, program, lambda: comments_of(part))
    reading.layout = layout
    return reading


def _read_whole(source: Source, knowledge: Knowledge, limits: Limits) -> Reading:
    from gpu_lint.facts.lowering import comments, lower
    from gpu_lint.facts.tree import parse

    with deep_recursion(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Python, about escapes in the file
        tree = parse(source, limits)
        found = comments(tree, source)
        return Reading(source, knowledge, lower(tree, source), lambda: found)


def _imported_names(
    program: p.Program, may_import: Callable[[p.Statement], bool]
) -> Iterator[Imported]:
    deferred: list[Span] = []
    """Suites that do not run on import, without those that stand in others."""
    for statement in _that_may_run(program.body, may_import):
        start, end = statement.span.start, statement.span.end
        if _is_deferring(statement) and not inside(start, deferred):
            body = next(blocks(statement))
            deferred.append(Span(body[0].span.start, body[-1].span.end))
        if isinstance(statement, p.Import):
            is_deferred = inside(start, deferred)
            for name in statement.names:
                yield Imported(name.module, name.level, name.name, start, end, is_deferred)
    for node in expressions(program.body, may_import):
        if isinstance(node, p.Call) and node.arguments:
            function = node.function
            called = function.name if isinstance(function, p.Attribute) else ""
            called = function.id if isinstance(function, p.Name) else called
            if called in ("import_module", "__import__"):
                texts = [_literal_text(argument.value) for argument in node.arguments[:2]]
                module, level = named_module(texts[0], "".join(texts[1:]))
                if module:
                    start, end = node.span.start, node.span.end
                    yield Imported(module, level, "", start, end, inside(start, deferred))
            elif called == "spec_from_file_location" and (module := module_at_path(node)):
                start, end = node.span.start, node.span.end
                yield Imported(module, 0, "", start, end, inside(start, deferred))


def _listed(program: p.Program) -> Iterator[Imported]:
    """The packages of which a program imports what it finds there."""
    deferred = [s.span for s in statements(program.body) if _is_deferring(s)]
    for one in listed(program):
        is_deferred = any(one.span in span for span in deferred)
        yield one._replace(is_deferred=is_deferred)


def _is_deferring(statement: p.Statement) -> bool:
    """Whether the first suite of a statement does not run when the file is imported."""
    if isinstance(statement, p.If):
        return is_main_guard(statement.test)
    return isinstance(statement, p.Function)


def _that_may_run(body: p.Block, wanted: Callable[[p.Statement], bool]) -> Iterator[p.Statement]:
    """The ``wanted`` statements of a block and of the suites in them, without
    ``if TYPE_CHECKING:``."""
    for statement in filter(wanted, body):
        yield statement
        for number, suite in enumerate(blocks(statement)):
            if number or not (isinstance(statement, p.If) and _is_for_checkers(statement.test)):
                yield from _that_may_run(suite, wanted)


def _is_for_checkers(test: p.Expression) -> bool:
    name = test.id if isinstance(test, p.Name) else ""
    return (test.name if isinstance(test, p.Attribute) else name) == "TYPE_CHECKING"


def _literal_text(node: p.Expression) -> str:
    return node.value if isinstance(node, p.Literal) and isinstance(node.value, str) else ""


def _called_by_others(program: p.Program) -> frozenset[str]:
    """Functions that something outside the file calls: methods, and decorated ones."""
    top = {id(statement) for statement in program.body}
    return frozenset(
        statement.name
        for statement in statements(program.body)
        if isinstance(statement, p.Function) and (statement.decorators or id(statement) not in top)
    )


def _compared(program: p.Program) -> Iterator[str]:
    for node in expressions(program.body):
        if isinstance(node, p.Comparison):
            for side in (node.left, node.right):
                if isinstance(side, p.Literal) and isinstance(side.value, str):
                    yield side.value


_CHANGING = re.compile(
    rb"(?<![\w\x80-\xff])([\w\x80-\xff]+)\s*(?:\.\s*(?:"
    + "|".join(sorted(CHANGING_METHODS)).encode()
    + rb")\b|\[|\))"
)
"""A name with what stands behind that of a container which is changed in place."""


def _containers_changed(body: p.Block, wanted: Callable[[p.Statement], bool]) -> Iterator[str]:
    for node in expressions(body, wanted):
        if isinstance(node, p.Call) and isinstance(node.function, p.Attribute):
            base = node.function.base
            if node.function.name in CHANGING_METHODS and isinstance(base, p.Name):
                yield base.id
    for statement in statements(body, wanted):
        if isinstance(statement, p.Assign):
            for target in statement.targets:
                if isinstance(target, p.Subscript) and isinstance(target.base, p.Name):
                    yield target.base.id


def _global_names(body: p.Block, wanted: Callable[[p.Statement], bool]) -> Iterator[str]:
    for statement in statements(body, wanted):
        if isinstance(statement, p.Global):
            yield from statement.names


_READERS = frozenset(
    {"get", "getenv", "print", "debug", "info", "warning", "warn", "error", "exception", "critical"}
)
"""Calls that do nothing with a variable's name but read it, or tell it to somebody."""


def _texts(body: p.Block) -> Iterator[str]:
    """Every text, keyword and constant's name in a block that may be that of a variable which is
    written.

    That is not one which stands alone as a statement, is raised, compared, or read by.
    """
    for statement in statements(body):
        if isinstance(statement, p.Evaluate) and isinstance(statement.value, p.Literal):
            continue
        if isinstance(statement, p.Raise):
            continue
        if isinstance(statement, (p.Function, p.Class)):
            yield statement.name
        targets = statement.targets if isinstance(statement, (p.Assign, p.Delete)) else ()
        for expression in own_expressions(statement):
            if expression in targets and isinstance(expression, p.Subscript):
                yield from _names_in(expression.key)
            yield from _names_in(expression)


def _names_in(node: p.Expression) -> Iterator[str]:
    match node:
        case p.Literal(value=str(text)):
            yield text
        case p.Literal(value=bytes(data)):
            yield data.decode("utf-8", "replace")
        case p.Name() if node.id.isupper():
            yield node.id
        case p.Attribute() if node.name.isupper():
            yield node.name
        case p.Comparison():
            return
        case p.Subscript():
            yield from _names_in(node.base)
            if not isinstance(node.key, p.Literal):
                yield from _names_in(node.key)
            return
        case p.Call():
            called = node.function.name if isinstance(node.function, p.Attribute) else ""
            called = node.function.id if isinstance(node.function, p.Name) else called
            yield called
            yield from (a.keyword for a in node.arguments if a.keyword is not None)
            for argument in node.arguments[called in _READERS :]:
                yield from _names_in(argument.value)
            yield from _names_in(node.function)
            return
    for child in children(node):
        yield from _names_in(child)
