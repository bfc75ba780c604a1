"""The signs of a program that lists a directory and imports what it finds there by name."""

from __future__ import annotations

import re

MODULES = "*.py"
"""What an import of all modules that a package holds names."""
DEEP_MODULES = "**/*.py"
"""The same with those of the packages in it."""
LISTINGS = {
    "iter_modules": MODULES,
    "walk_packages": DEEP_MODULES,
    "glob": MODULES,
    "iglob": MODULES,
    "rglob": DEEP_MODULES,
    "iterdir": MODULES,
    "listdir": MODULES,
    "scandir": MODULES,
    "walk": DEEP_MODULES,
}
"""Calls that list a directory, by their last names, and which modules in it they give."""
IMPORTERS = frozenset({"import_module", "__import__", "exec_module"})
"""Calls that import what they are given, by their last names."""
_SIGN = re.compile(rb"\b(?:" + "|".join(LISTINGS).encode() + rb")\s*\(")
_IMPORTING = re.compile(rb"\b(?:" + "|".join(sorted(IMPORTERS)).encode() + rb")\s*\(")


def may_list(data: bytes) -> bool:
    """Whether a file may import by their names what it finds in a directory."""
    return _SIGN.search(data) is not None and _IMPORTING.search(data) is not None
