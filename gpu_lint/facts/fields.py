"""Fields of classes whose constructor is generated: dataclasses, attrs and pydantic models.

``device: str = field(default="cuda:1")`` gives every object that attribute unless the caller gives
another, and ``default_factory`` is called for each object.
"""

from __future__ import annotations

from gpu_lint.facts import program as p
from gpu_lint.facts.environment import Arguments
from gpu_lint.facts.values import UNKNOWN, Bound, Items, Known, Value, text_of
from gpu_lint.facts.walk import last_name

_DEFAULT_AT = {
    "dataclasses.field": None,
    "pydantic.Field": 0,
    "pydantic.fields.Field": 0,
    "pydantic_settings.Field": 0,
    "sqlmodel.Field": 0,
    "attr.ib": 0,
    "attr.attrib": 0,
    "attr.field": None,
    "attrs.field": None,
}
"""Functions that describe a field, by the position of its default; None where it has a keyword
alone."""
_FACTORIES = frozenset({"attr.Factory", "attrs.Factory"})
_UNANNOTATED = frozenset({"ib", "attrib", "field"})
"""Last names of those that make a field of a name without an annotation."""
NAMED_TUPLE = "collections.namedtuple"
"""The function, the kind of a :class:`Bound` that is a class that it made, and the symbol of the
objects of such a class."""
FACTORY = "factory"
"""The kind of a :class:`Bound` that is called for each object."""


def class_of_tuples(args: Arguments) -> Value:
    """Return the class that ``namedtuple("Name", fields)`` makes; unknown where its fields are not
    known, or some may be left out."""
    given = args.value(1, "field_names")
    names: tuple[Value, ...] = ()
    if given is not None and (text := text_of(given)) is not None:
        names = tuple(map(Known, text.replace(",", " ").split()))
    elif isinstance(given, Items) and given.kind in ("list", "tuple"):
        names = given.values
    if "defaults" in args.keywords or any(text_of(name) is None for name in names):
        return UNKNOWN
    return Bound(NAMED_TUPLE, Items("tuple", names), None) if names else UNKNOWN


def fields_given(names: Value, args: Arguments) -> dict[str, Value] | None:
    """Return what the fields of such a class are, given the arguments of its call; None where they
    do not fit."""
    wanted = [text_of(name) or "" for name in names.values] if isinstance(names, Items) else []
    found = {name: args.value(at, name) for at, name in enumerate(wanted)}
    known = {name: value for name, value in found.items() if value is not None}
    is_whole = len(args.positional) + len(args.keywords) == len(wanted) == len(known)
    return known if args.exact and is_whole else None


def default_of_field(name: str, args: Arguments) -> Value | None:
    """Return the default of the field that a call by a dotted name describes; None for any other
    call."""
    if name in _FACTORIES:
        factory = args.value(0, "factory")
        return UNKNOWN if factory is None else _called_later(factory)
    if name not in _DEFAULT_AT:
        return None
    for keyword in ("default_factory", "factory"):
        if keyword in args.keywords:
            return _called_later(args.keywords[keyword][1])
    found = args.find(_DEFAULT_AT[name], "default")
    return UNKNOWN if found is None else found[1]


def _called_later(factory: Value) -> Value:
    return Bound(FACTORY, factory, Arguments())


def is_factory(value: Value | None) -> bool:
    """Whether a field's default is what a call gives that is made for each object."""
    return isinstance(value, Bound) and value.kind == FACTORY


def field_name(statement: p.Statement) -> str:
    """Return the name of the field that a statement of a class body defines; empty if it defines
    none."""
    target: p.Expression | None = None
    if isinstance(statement, p.Declare):
        target = statement.target
    elif isinstance(statement, p.Assign) and not statement.operator:
        value = statement.value
        described = isinstance(value, p.Call) and last_name(value.function) in _UNANNOTATED
        if statement.annotated or described:
            target = statement.targets[0]
    return target.id if isinstance(target, p.Name) else ""
