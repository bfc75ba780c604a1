"""The runtime half: what the machine says of a program that runs.

`check`, `fix`, `graph` and `rule` never import it.
"""
