"""Python's own parser, without what it says of the text on the way.

A module of its own, so that seeing that a file parses needs nothing that reads what is in it.
"""

from __future__ import annotations

import ast
import os
import warnings
from functools import partial

from gpu_lint.facts.limits import check_imports

_SHALLOW = 16_000 if os.name == "nt" else 32_000
"""Characters of a text that the stack of a main thread is enough for: it has 2 MiB on Windows and 8
elsewhere, and two characters take up to 250 bytes."""


def parse_quietly(text: str, mode: str) -> ast.AST:
    """``ast.parse`` without its warnings about the text.

    Raises what that raises, ``RecursionError`` and ``MemoryError`` for what is nested too deeply
    included, and :class:`gpu_lint.errors.SourceError` for what takes it too long.
    """
    check_imports(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if len(text) < _SHALLOW:
            return ast.parse(text, mode=mode)
        from gpu_lint.facts.deepstack import on_deep_stack

        tree: ast.AST = on_deep_stack(partial(ast.parse, text, mode=mode))
        return tree
