"""A Python program reduced to what decides its GPU: the input of the interpreter.

These classes are what syntax trees are lowered to, one statement at a time. They are frozen,
know neither a parser nor policy, and carry byte spans: :mod:`gpu_lint.facts.native` and
:mod:`gpu_lint.facts.lowering` make the same program of a file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any, TypeAlias

from gpu_lint.records import record
from gpu_lint.source import Span

Constant: TypeAlias = "str | bytes | int | float | bool | None"


# --- expressions -------------------------------------------------------------------------


@record
class Literal:
    """A constant; implicitly concatenated strings are one literal."""

    span: Span
    value: Constant
    found: Any = field(init=False, compare=False, repr=False, default=None)
    """What evaluating it gave: the same whenever that is, so that it is made once."""


@record
class Name:
    span: Span
    id: str


@record
class Attribute:
    span: Span
    base: Expression
    name: str


@record
class Argument:
    """``star`` is ``""``, ``"*"`` or ``"**"``."""

    value: Expression
    keyword: str | None = None
    star: str = ""


@record
class Call:
    span: Span
    function: Expression
    arguments: tuple[Argument, ...]


@record
class Template:
    """An f-string, its parts in order."""

    span: Span
    parts: tuple[Expression, ...]


@record
class Formatted:
    """What stands in an f-string for a value that is converted, or has a format."""

    span: Span
    value: Expression
    conversion: str
    specification: str


@record
class Sequence:
    """A list, tuple or set display; ``kind`` names which."""

    span: Span
    kind: str
    items: tuple[Expression, ...]


@record
class Mapping:
    """A dict display; an item whose key is None is ``**value``."""

    span: Span
    items: tuple[tuple[Expression | None, Expression], ...]


@record
class Subscript:
    span: Span
    base: Expression
    key: Expression


@record
class Slice:
    """``lower:upper:step`` between brackets."""

    span: Span
    lower: Expression | None
    upper: Expression | None
    step: Expression | None


@record
class Conditional:
    span: Span
    test: Expression
    body: Expression
    orelse: Expression


@record
class Comparison:
    """``left op right``; a chain is lowered to a :class:`Boolean` of its links."""

    span: Span
    left: Expression
    operator: str
    right: Expression


@record
class Boolean:
    """``and`` / ``or`` over two operands."""

    span: Span
    operator: str
    left: Expression
    right: Expression


@record
class Unary:
    span: Span
    operator: str
    operand: Expression


@record
class Binary:
    span: Span
    left: Expression
    operator: str
    right: Expression


@record
class Lambda:
    span: Span
    parameters: tuple[Parameter, ...]
    body: Expression


@record
class Walrus:
    span: Span
    target: str
    value: Expression


@record
class Generator:
    """One ``for target in iterable if conditions`` of a comprehension."""

    target: Expression
    iterable: Expression
    conditions: tuple[Expression, ...]


@record
class Comprehension:
    """``kind`` is ``list``, ``set``, ``dict`` or ``generator`` (which runs when iterated)."""

    span: Span
    generators: tuple[Generator, ...]
    elements: tuple[Expression, ...]
    kind: str = "list"


@record
class Await:
    span: Span
    value: Expression


@record
class Yield:
    """``yield value``, or ``yield from value``: the function is a generator."""

    span: Span
    value: Expression | None


@record
class Opaque:
    """Any other expression: its value is unknown, its children run in order."""

    span: Span
    children: tuple[Expression, ...]


Expression: TypeAlias = (
    "Literal | Name | Attribute | Call | Template | Formatted | Sequence | Mapping | Subscript"
    " | Slice | Conditional | Comparison | Boolean | Unary | Binary | Lambda | Walrus"
    " | Comprehension | Yield | Await | Opaque"
)


def in_text(
    span: Span, value: Expression, conversion: str, specification: str, *, is_named: bool
) -> Expression:
    """Return what stands in an f-string for a value with a conversion and a format."""
    if is_named or "{" in specification:
        return Opaque(span, (value,))
    if conversion in ("", "s") and not specification:
        return value
    return Formatted(span, value, conversion, specification)


@record
class Parameter:
    name: str
    default: Expression | None = None
    star: str = ""
    keyword_only: bool = False


# --- statements --------------------------------------------------------------------------


@record
class Evaluate:
    """An expression statement."""

    span: Span
    value: Expression


@record
class Assign:
    """``operator`` is empty, or that of an augmented assignment (``"+"`` for ``+=``)."""

    span: Span
    targets: tuple[Expression, ...]
    value: Expression
    operator: str = ""
    annotated: bool = False


@record
class Declare:
    """An annotation without a value: ``index: int``."""

    span: Span
    target: Expression


@record
class Delete:
    span: Span
    targets: tuple[Expression, ...]


@record
class ImportedName:
    """``import module as bound`` (``name`` empty), or ``from module import name as bound``."""

    module: str
    name: str
    bound: str
    level: int = 0
    """Number of leading dots of a relative import."""


@record
class Import:
    span: Span
    names: tuple[ImportedName, ...]


@record
class Return:
    span: Span
    value: Expression | None


@record
class Raise:
    span: Span
    values: tuple[Expression, ...]


@record
class Jump:
    """``break`` or ``continue``."""

    span: Span
    kind: str


@record
class Assert:
    span: Span
    test: Expression


@record
class Global:
    span: Span
    names: tuple[str, ...]


@record
class Pass:
    span: Span


@record
class If:
    span: Span
    test: Expression
    body: Block
    orelse: Block


@record
class For:
    span: Span
    target: Expression
    iterable: Expression
    body: Block
    orelse: Block


@record
class While:
    span: Span
    test: Expression
    body: Block
    orelse: Block


@record
class Handler:
    """``except types``: the dotted names it catches; empty for a bare ``except``."""

    types: tuple[str, ...]
    bound: str | None
    body: Block


@record
class Try:
    span: Span
    body: Block
    handlers: tuple[Handler, ...]
    orelse: Block
    finalbody: Block


@record
class With:
    span: Span
    items: tuple[tuple[Expression, Expression | None], ...]
    body: Block


@record
class Pattern:
    """What a case takes: one of some constants, or, without any, what only the run will tell."""

    constants: tuple[Constant, ...]
    guard: Expression | None
    name: str
    """The name that is bound to all that is matched, if the case takes anything; else empty."""


@record
class Match:
    """The cases exclude each other; ``exhaustive`` when the last one catches everything."""

    span: Span
    subject: Expression
    cases: tuple[Block, ...]
    patterns: tuple[Pattern, ...]
    """Of each case."""
    captures: tuple[str, ...]
    exhaustive: bool


class Suite:
    """A function's body, lowered when somebody first looks into it."""

    __slots__ = ("_content", "_lower")

    def __init__(self, lower: Callable[[], tuple[Block, bool, bool]]) -> None:
        """``lower`` gives the block, whether it yields, and whether it defines functions."""
        self._lower = lower
        self._content: tuple[Block, bool, bool] | None = None

    @property
    def content(self) -> tuple[Block, bool, bool]:
        if self._content is None:
            self._content = self._lower()
        return self._content

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Suite) and self.content == other.content

    def __hash__(self) -> int:
        return hash(self.content)

    def __repr__(self) -> str:
        return f"Suite({self.content!r})"


@record
class Function:
    span: Span
    name: str
    parameters: tuple[Parameter, ...]
    decorators: tuple[Expression, ...]
    suite: Suite
    asynchronous: bool = False
    """A call of it runs nothing; to await what it returns does."""

    @property
    def body(self) -> Block:
        return self.suite.content[0]

    @property
    def generator(self) -> bool:
        """A call of it runs nothing; iterating over what it returns does."""
        return self.suite.content[1]

    @property
    def nests(self) -> bool:
        """It defines functions of its own, which may outlive a call of it."""
        return self.suite.content[2]


@record
class Class:
    span: Span
    name: str
    bases: tuple[Expression, ...]
    decorators: tuple[Expression, ...]
    body: Block


Statement: TypeAlias = (
    "Evaluate | Assign | Declare | Delete | Import | Return | Raise | Jump | Assert | Global | Pass"
    " | If | For | While | Try | With | Match | Function | Class"
)
Block: TypeAlias = "tuple[Statement, ...]"


@record
class Comment:
    """A comment, ``#`` included; ``own_line`` when nothing but blanks stands before it."""

    span: Span
    text: str
    own_line: bool


@record
class Program:
    """A whole file."""

    body: Block
