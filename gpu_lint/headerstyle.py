"""What ``header.style`` says: the header is in each file, or in a module that each imports."""

from __future__ import annotations

import keyword
import sys

from gpu_lint.closest import closest

INLINE = "inline"
PATTERN = r"^(inline|module:[^\W\d]\w*(\.[^\W\d]\w*)*)$"
"""What a style looks like, for the schema."""
_MODULE = "module"
_ACCEPTED = 'accepted: "inline", or a module by its name, such as "module:pkg.gpu_policy"'


def module_of(style: str) -> str:
    """Return the dotted name of the module that holds the header; empty for an inline one."""
    kind, _, name = style.partition(":")
    return name if kind == _MODULE else ""


def style_fault(style: str) -> str:
    """Return why a style is not accepted; empty if it is."""
    if style == INLINE:
        return ""
    kind, _, name = style.partition(":")
    if kind != _MODULE:
        close = closest(kind, (INLINE, _MODULE))
        meant = f"{_MODULE}:{name}" if close == [_MODULE] else INLINE
        hint = f" (did you mean {meant!r}?)" if close and not (meant == INLINE and name) else ""
        return f"{style!r} is not accepted; {_ACCEPTED}{hint}"
    if not name:
        return f"{style!r} names no module; {_ACCEPTED}"
    if name.endswith(".py") or "/" in name or "\\" in name:
        meant = name.removesuffix(".py").replace("\\", "/").strip("/").replace("/", ".")
        return f"{name!r} is a path; write the module's name: {f'{_MODULE}:{meant}'!r}"
    for part in name.split("."):
        if not part.isidentifier() or keyword.iskeyword(part):
            return f"{name!r} cannot be imported: {part!r} is no name of a module; {_ACCEPTED}"
    root = name.partition(".")[0]
    if root in sys.stdlib_module_names:
        return f"{name!r} cannot be imported: {root!r} is a module of Python's own; use another"
    return ""
