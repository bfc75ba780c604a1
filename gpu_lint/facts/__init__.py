"""Facts: what files say about GPUs, read from their syntax trees and from nothing else.

``source → syntax tree → program (ours) → reading`` is the way of one file
(:func:`gpu_lint.facts.reading.read_file`); ``readings → project → runs → facts`` that of all
together (:class:`gpu_lint.facts.project.Project`). Every step is a module of this package;
``skim`` and ``needles`` tell, without a tree, for which files the way is worth going.
"""
