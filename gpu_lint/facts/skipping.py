"""Which functions a test runner never runs: those that a decorator always skips."""

from __future__ import annotations

from collections.abc import Iterable

from gpu_lint.facts import program as p

_ALWAYS = frozenset({"skip", "unittest.skip", "mark.skip", "pytest.mark.skip"})
_IF = frozenset({"skipIf", "unittest.skipIf", "mark.skipif", "pytest.mark.skipif"})
_UNLESS = frozenset({"skipUnless", "unittest.skipUnless"})


def is_skipped(decorators: Iterable[p.Expression]) -> bool:
    """Return whether one of some decorators skips a test in every run."""
    return any(map(_skips, decorators))


def _skips(decorator: p.Expression) -> bool:
    if not isinstance(decorator, p.Call):
        return _dotted(decorator) in _ALWAYS
    name = _dotted(decorator.function)
    if name in _ALWAYS:
        return True
    first = decorator.arguments[0].value if decorator.arguments else None
    if not isinstance(first, p.Literal):
        return False
    return (name in _IF and bool(first.value)) or (name in _UNLESS and not first.value)


def _dotted(node: p.Expression) -> str:
    if isinstance(node, p.Attribute):
        base = _dotted(node.base)
        return f"{base}.{node.name}" if base else ""
    return node.id if isinstance(node, p.Name) else ""
