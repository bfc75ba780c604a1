"""Python's own parser, without what it says of the text on the way.

A module of its own, so that seeing that a file parses needs nothing that reads what is in it.
"""

from __future__ import annotations

import ast
import warnings


def parse_quietly(text: str, mode: str) -> ast.AST:
    """``ast.parse`` without its warnings about the text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text, mode=mode)
