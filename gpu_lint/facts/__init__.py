"""Facts: what files say about GPUs, read from their syntax trees and from nothing else.

``source → syntax tree → program (ours) → reading`` is the way of one file
(:func:`read_file`); ``readings → project → runs → facts`` that of all together
(:class:`Project`). Every step is a module of this package.
"""

from __future__ import annotations

from gpu_lint.facts.model import FileFacts
from gpu_lint.facts.project import Project
from gpu_lint.facts.reading import Reading, SyntaxFault, read_file

__all__ = ["FileFacts", "Project", "Reading", "SyntaxFault", "read_file"]
