"""Cells: what their nodes may be, and which cells are the same up to the numbers of their nodes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

#: A node: the two earlier nodes that it reads, and the operation on each; 0 and 1 are the two cells before.
Node = tuple[tuple[int, str], tuple[int, str]]
Cell = tuple[Node, ...]

#: The nodes of a cell that are given from outside: the outputs of the cells before the last, and of the last.
GIVEN = 2


@dataclass(frozen=True)
class CellPlan:
    """What all cells of a space have in common.

    Attributes:
        operations: that may stand on an input of a node.
        nodes: computed nodes; they are numbered from 2.
        repeats: whether both inputs of a node may be the same node.
        loose_ends: whether only those nodes are part of the output that no other node reads; otherwise all are.
    """

    operations: tuple[str, ...]
    nodes: int
    repeats: bool
    loose_ends: bool

    @property
    def numbers(self) -> range:
        """The numbers of the computed nodes."""
        return range(GIVEN, GIVEN + self.nodes)

    def pairs(self, node: int) -> list[tuple[int, int]]:
        """The pairs of nodes that a node may read."""
        choose = itertools.combinations_with_replacement if self.repeats else itertools.combinations
        return list(choose(range(node), 2))

    def concat(self, pairs: Sequence[tuple[int, int]]) -> list[int]:
        """The nodes that make the output, given the pairs that the nodes read."""
        read = {source for pair in pairs for source in pair} if self.loose_ends else set()
        return [node for node in self.numbers if node not in read]


def concat_of(plan: CellPlan, cell: Cell) -> list[int]:
    """The nodes that make the output of a cell."""
    return plan.concat([(first[0], second[0]) for first, second in cell])


@lru_cache(maxsize=1 << 16)
def canonical(cell: Cell) -> Cell:
    """The first of the cells that differ by the order of nodes, and of inputs of nodes, only."""
    return min(numberings(cell))


def numberings(cell: Cell) -> set[Cell]:
    """All cells that differ by the order of nodes only, each with its inputs in order."""
    orders = itertools.permutations(range(len(cell)))
    return {_numbered(cell, order) for order in orders if _is_topological(cell, order)}


def _is_topological(cell: Cell, order: Sequence[int]) -> bool:
    """Whether nodes come after those that they read; ``order`` is the new place of each node."""
    return all(
        source < GIVEN or order[source - GIVEN] < place
        for node, place in zip(cell, order, strict=True)
        for source, _ in node
    )


def _numbered(cell: Cell, order: Sequence[int]) -> Cell:
    name = [*range(GIVEN), *(GIVEN + place for place in order)]
    nodes: list[Node] = list(cell)
    for ((first, one), (second, other)), place in zip(cell, order, strict=True):
        pair = sorted([(name[first], one), (name[second], other)])
        nodes[place] = pair[0], pair[1]
    return tuple(nodes)
