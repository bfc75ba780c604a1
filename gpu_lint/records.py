"""Records: small classes whose objects never change.

A frozen dataclass looks at every assignment while the program runs, at those of its own constructor
too, which makes objects at half the speed; we make millions. Of a record the type checker alone
sees to it that nobody assigns to its fields.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar, overload

    from typing_extensions import dataclass_transform

    C = TypeVar("C", bound="type[Any]")

    @overload
    def record(cls: C, /) -> C: ...
    @overload
    def record(*, order: bool = False, keeps_hash: bool = False) -> Callable[[C], C]: ...
    @dataclass_transform(frozen_default=True, field_specifiers=(field,))
    def record(*_: Any, **__: Any) -> Any:
        """A dataclass with slots that compares and hashes by its fields; one that ``keeps_hash``,
        in a field ``hashed``, works it out once."""
else:

    def record(cls=None, /, *, order=False, keeps_hash=False):
        if cls is None:
            return partial(record, order=order, keeps_hash=keeps_hash)
        cls.__doc__ = cls.__doc__ or cls.__name__
        if order:
            return dataclass(slots=True, unsafe_hash=True, order=True)(cls)
        made = dataclass(slots=True, repr=False, eq=False)(cls)
        made.__eq__, made.__hash__ = _by_content([one.name for one in fields(made) if one.compare])
        if keeps_hash:
            made.__hash__ = _kept(made.__hash__)
            made.__reduce__ = _made_again([one.name for one in fields(made) if one.init])
        made.__repr__ = _shown
        return made


def _by_content(names: list[str]) -> tuple[Callable[..., Any], Callable[[Any], int]]:
    """``__eq__`` and ``__hash__`` of a record with some fields. ``dataclass`` compiles its own for
    each class, which takes longer than all else that a short run does."""
    content: Callable[[Any], Any] = attrgetter(*names) if names else lambda one: ()

    def __eq__(self: Any, other: Any) -> Any:
        if self is other:
            return True
        return content(self) == content(other) if type(self) is type(other) else NotImplemented

    def __hash__(self: Any) -> int:
        return hash(content(self))

    return __eq__, __hash__


def _kept(find: Callable[[Any], int]) -> Callable[[Any], int]:
    """``__hash__`` of a record that keeps what was found."""

    def __hash__(self: Any) -> Any:
        hashed = self.hashed
        if not hashed:
            hashed = self.hashed = find(self)
        return hashed

    return __hash__


def _made_again(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """``__reduce__`` of a record that keeps its hash, which another process has other ones for."""

    def __reduce__(self: Any) -> tuple[Any, ...]:
        return type(self), tuple([getattr(self, name) for name in names])

    return __reduce__


def _shown(self: Any) -> str:
    """``__repr__`` of a record."""
    shown = [f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr]
    return f"{type(self).__qualname__}({', '.join(shown)})"
