"""A Python program reduced to what decides its GPU: the input of the interpreter.

These classes are what syntax trees are lowered to, one statement at a time. They are frozen,
know neither a parser nor policy, and carry byte spans: :mod:`gpu_lint.facts.native` and
:mod:`gpu_lint.facts.lowering` make the same program of a file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from gpu_lint.source import Span

Constant: TypeAlias = "str | int | float | bool | None"


# --- expressions -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; implicitly concatenated strings are one literal."""

    span: Span
    value: Constant


@dataclass(frozen=True, slots=True)
class Name:
    span: Span
    id: str


@dataclass(frozen=True, slots=True)
class Attribute:
    span: Span
    base: Expression
    name: str


@dataclass(frozen=True, slots=True)
class Argument:
    """``star`` is ``""``, ``"*"`` or ``"**"``."""

    value: Expression
    keyword: str | None = None
    star: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    span: Span
    function: Expression
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """An f-string, its parts in order."""

    span: Span
    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list, tuple or set display; ``kind`` names which."""

    span: Span
    kind: str
    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """A dict display; an item whose key is None is ``**value``."""

    span: Span
    items: tuple[tuple[Expression | None, Expression], ...]


@dataclass(frozen=True, slots=True)
class Subscript:
    span: Span
    base: Expression
    key: Expression


@dataclass(frozen=True, slots=True)
class Conditional:
    span: Span
    test: Expression
    body: Expression
    orelse: Expression


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left op right``; a chain is lowered to a :class:`Boolean` of its links."""

    span: Span
    left: Expression
    operator: str
    right: Expression


@dataclass(frozen=True, slots=True)
class Boolean:
    """``and`` / ``or`` over two operands."""

    span: Span
    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Unary:
    span: Span
    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    span: Span
    left: Expression
    operator: str
    right: Expression


@dataclass(frozen=True, slots=True)
class Lambda:
    span: Span
    parameters: tuple[Parameter, ...]
    body: Expression


@dataclass(frozen=True, slots=True)
class Walrus:
    span: Span
    target: str
    value: Expression


@dataclass(frozen=True, slots=True)
class Generator:
    """One ``for target in iterable if conditions`` of a comprehension."""

    target: Expression
    iterable: Expression
    conditions: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Comprehension:
    """``kind`` is ``list``, ``set``, ``dict`` or ``generator`` (which runs when iterated)."""

    span: Span
    generators: tuple[Generator, ...]
    elements: tuple[Expression, ...]
    kind: str = "list"


@dataclass(frozen=True, slots=True)
class Yield:
    """``yield value``, or ``yield from value``: the function is a generator."""

    span: Span
    value: Expression | None


@dataclass(frozen=True, slots=True)
class Opaque:
    """Any other expression: its value is unknown, its children run in order."""

    span: Span
    children: tuple[Expression, ...]


Expression: TypeAlias = (
    "Literal | Name | Attribute | Call | Template | Sequence | Mapping | Subscript"
    " | Conditional | Comparison | Boolean | Unary | Binary | Lambda | Walrus"
    " | Comprehension | Yield | Opaque"
)


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    default: Expression | None = None
    star: str = ""
    keyword_only: bool = False


# --- statements --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Evaluate:
    """An expression statement."""

    span: Span
    value: Expression


@dataclass(frozen=True, slots=True)
class Assign:
    """``operator`` is empty, or that of an augmented assignment (``"+"`` for ``+=``)."""

    span: Span
    targets: tuple[Expression, ...]
    value: Expression
    operator: str = ""
    annotated: bool = False


@dataclass(frozen=True, slots=True)
class Declare:
    """An annotation without a value: ``index: int``."""

    span: Span
    target: Expression


@dataclass(frozen=True, slots=True)
class Delete:
    span: Span
    targets: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class ImportedName:
    """``import module as bound`` (``name`` empty), or ``from module import name as bound``."""

    module: str
    name: str
    bound: str
    level: int = 0
    """Number of leading dots of a relative import."""


@dataclass(frozen=True, slots=True)
class Import:
    span: Span
    names: tuple[ImportedName, ...]


@dataclass(frozen=True, slots=True)
class Return:
    span: Span
    value: Expression | None


@dataclass(frozen=True, slots=True)
class Raise:
    span: Span
    values: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Jump:
    """``break`` or ``continue``."""

    span: Span
    kind: str


@dataclass(frozen=True, slots=True)
class Assert:
    span: Span
    test: Expression


@dataclass(frozen=True, slots=True)
class Global:
    span: Span
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pass:
    span: Span


@dataclass(frozen=True, slots=True)
class If:
    span: Span
    test: Expression
    body: Block
    orelse: Block


@dataclass(frozen=True, slots=True)
class For:
    span: Span
    target: Expression
    iterable: Expression
    body: Block
    orelse: Block


@dataclass(frozen=True, slots=True)
class While:
    span: Span
    test: Expression
    body: Block
    orelse: Block


@dataclass(frozen=True, slots=True)
class Handler:
    """``except types``: the dotted names it catches; empty for a bare ``except``."""

    types: tuple[str, ...]
    bound: str | None
    body: Block


@dataclass(frozen=True, slots=True)
class Try:
    span: Span
    body: Block
    handlers: tuple[Handler, ...]
    orelse: Block
    finalbody: Block


@dataclass(frozen=True, slots=True)
class With:
    span: Span
    items: tuple[tuple[Expression, Expression | None], ...]
    body: Block


@dataclass(frozen=True, slots=True)
class Match:
    """The cases exclude each other; ``exhaustive`` when the last one catches everything."""

    span: Span
    subject: Expression
    cases: tuple[Block, ...]
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


@dataclass(frozen=True, slots=True)
class Function:
    span: Span
    name: str
    parameters: tuple[Parameter, ...]
    decorators: tuple[Expression, ...]
    suite: Suite

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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment, ``#`` included; ``own_line`` when nothing but blanks stands before it."""

    span: Span
    text: str
    own_line: bool


@dataclass(frozen=True, slots=True)
class Program:
    """A whole file."""

    body: Block
