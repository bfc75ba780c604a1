"""Records: small classes whose objects never change.

A frozen dataclass looks at every assignment while the program runs, at those of its own constructor
too, which makes objects at half the speed; we make millions. Of a record the type checker alone
sees to it that nobody assigns to its fields.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar, overload

    from typing_extensions import dataclass_transform

    C = TypeVar("C", bound="type[Any]")

    @overload
    def record(cls: C, /) -> C: ...
    @overload
    def record(*, order: bool = False) -> Callable[[C], C]: ...
    @dataclass_transform(frozen_default=True, field_specifiers=(field,))
    def record(*_: Any, **__: Any) -> Any:
        """A dataclass with slots that compares and hashes by its fields."""
else:
    record = partial(dataclass, slots=True, unsafe_hash=True)
