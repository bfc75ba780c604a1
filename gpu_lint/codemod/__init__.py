"""The codemod: turns the remedy that a check names into edits on the source.

A remedy names what it is about by its place. The statement there is cut out and parsed by LibCST,
its nodes are changed, and what differs are byte splices, which are proved by reading the result
again. A file is never rendered anew from its tree.
"""
