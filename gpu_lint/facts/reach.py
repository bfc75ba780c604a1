"""What can be reached in a directed graph, for every node, at the price of going through it once.

Nodes that reach one another share one answer (Tarjan's strongly connected components), and sets
of nodes are the bits of one integer, so that a question about thousands of them is one operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

_FEW = 50
"""Bits that are picked one by one in the time in which all are gone through."""


class Reachability:
    """Reachability over nodes that are names; every node reaches itself."""

    def __init__(self, edges: Callable[[str], Iterable[str]]) -> None:
        self._edges = edges
        self._bits: dict[str, int] = {}
        self._names: list[str] = []
        self._masks: dict[str, int] = {}
        """Of nodes that reach others."""
        self._alone: set[str] = set()
        self._sets: dict[int, frozenset[str]] = {}

    def bit(self, name: str) -> int:
        """The integer that stands for a node alone."""
        if name not in self._bits:
            self._bits[name] = len(self._names)
            self._names.append(name)
        return 1 << self._bits[name]

    def bits(self, names: Iterable[str]) -> int:
        """The integer that stands for some nodes."""
        found = 0
        for name in names:
            found |= self.bit(name)
        return found

    def mask(self, name: str) -> int:
        """Everything that a node reaches, as bits."""
        if not self._is_known(name):
            self._find(name)
        return self._masks[name] if name in self._masks else self.bit(name)

    def _is_known(self, name: str) -> bool:
        return name in self._masks or name in self._alone

    def closure(self, name: str) -> frozenset[str]:
        """Everything that a node reaches, itself included."""
        mask = self.mask(name)
        if mask not in self._sets:
            self._sets[mask] = frozenset(self.names(mask))
        return self._sets[mask]

    def names(self, mask: int) -> list[str]:
        """The nodes that bits stand for."""
        if mask.bit_count() < _FEW:
            found = []
            while mask:
                lowest = mask & -mask
                found.append(self._names[lowest.bit_length() - 1])
                mask ^= lowest
            return found
        digits = bin(mask)[:1:-1]
        return [name for name, digit in zip(self._names, digits, strict=False) if digit == "1"]

    def _find(self, root: str) -> None:
        """Tarjan's algorithm from one node on, without recursion."""
        order: dict[str, int] = {}
        low: dict[str, int] = {}
        waiting: list[str] = []
        path = [(root, iter(self._edges(root)))]
        order[root] = low[root] = 0
        waiting.append(root)
        while path:
            node, successors = path[-1]
            for other in successors:
                if self._is_known(other):
                    continue
                if other not in order:
                    order[other] = low[other] = len(order)
                    waiting.append(other)
                    path.append((other, iter(self._edges(other))))
                    break
                low[node] = min(low[node], order[other])
            else:
                path.pop()
                if path:
                    above = path[-1][0]
                    low[above] = min(low[above], low[node])
                if low[node] == order[node]:
                    self._close(node, waiting)

    def _close(self, node: str, waiting: list[str]) -> None:
        """Take a finished component off the stack and give its nodes their common answer."""
        members = [waiting.pop()]
        if members[0] == node and all(other == node for other in self._edges(node)):
            self._alone.add(node)
            return
        while members[-1] != node:
            members.append(waiting.pop())
        mask = 0
        for member in members:
            mask |= self.bit(member)
        for member in members:
            for other in self._edges(member):
                mask |= self.bit(other) if other in self._alone else self._masks.get(other, 0)
        for member in members:
            self._masks[member] = mask
