"""Trees of computing nodes: permutations, and the canonical form of NAS-Bench-Graph.

A tree is given by its links and operations: ``link[i]`` is the node that node ``i + 1`` reads (0 is the input, and
a node comes after the one that it reads), ``ops[i]`` is its operation.
"""

import itertools
from collections.abc import Sequence
from functools import cache

import numpy as np

#: The benchmark's operations, in its order.
OPS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
NODES = 4
#: The canonical links: every tree of four nodes once, numbered level by level.
LINKS = tuple(
    tuple(map(int, link)) for link in ("0000", "0001", "0011", "0012", "0013", "0111", "0112", "0122", "0123")
)

Link = tuple[int, ...]
Ops = tuple[str, ...]
#: A node and its subtrees: operation, children.
_Tree = tuple[str, tuple["_Tree", ...]]
_SKIP: _Tree = ("skip", ())


@cache
def canonical(link: Link, ops: Ops) -> tuple[Link, Ops]:
    """The canonical tree of all that compute the same function; see ``NasBenchGraph.canonical``."""
    link, ops = _skips_first(link, ops)
    all_permutations = permutations(link)
    first = min(new_link for new_link, _ in all_permutations)
    orders = [order for new_link, order in all_permutations if new_link == first]
    return first, min((tuple(ops[old] for old in order) for order in orders), key=_ranks)


@cache
def permutations(link: Link) -> list[tuple[Link, Link]]:
    """All valid permutations of the nodes: (link, order), where ``order[i]`` is the old index of node ``i``."""
    found = []
    for order in itertools.permutations(range(NODES)):
        position = {0: 0, **{old + 1: new + 1 for new, old in enumerate(order)}}
        new_link = tuple(position[link[old]] for old in order)
        if all(source <= node for node, source in enumerate(new_link)):
            found.append((new_link, order))
    return found


@cache
def canonical_trees() -> tuple[np.ndarray, np.ndarray]:
    """``(26206, 4)`` links and ``(26206, 4)`` indices into ``OPS`` of all canonical trees, in a fixed order."""
    rows = [
        (*link, *_ranks(ops))
        for link in LINKS
        for ops in itertools.product(OPS, repeat=NODES)
        if canonical(link, ops) == (link, ops)
    ]
    table = np.array(rows)
    return table[:, :NODES], table[:, NODES:]


def permuted(links: np.ndarray, ops: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The same trees, each permuted uniformly at random among its valid permutations.

    Args:
        links: ``(b, 4)`` integers.
        ops: ``(b, 4)`` indices into ``OPS``.
        rng: draws the permutations.
    """
    count, new_links, orders = _permutation_arrays()
    codes = _codes(links)
    pick = rng.integers(count[codes])
    return new_links[codes, pick], np.take_along_axis(ops, orders[codes, pick], axis=1)


@cache
def _permutation_arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of the 24 links: ``(24,)`` number of permutations; ``(24, 24, 4)`` their links and their orders."""
    count = np.zeros(24, dtype=np.int64)
    links, orders = np.zeros((2, 24, 24, NODES), dtype=np.int64)
    for link in itertools.product(*(range(node) for node in range(1, NODES + 1))):
        (code,) = _codes(np.array([link]))
        found = permutations(link)
        count[code] = len(found)
        links[code, : len(found)], orders[code, : len(found)] = zip(*found, strict=True)
    return count, links, orders


def _codes(links: np.ndarray) -> np.ndarray:
    return links[:, 1] * 12 + links[:, 2] * 4 + links[:, 3]


def _ranks(ops: Sequence[str]) -> tuple[int, ...]:
    return tuple(OPS.index(op) for op in ops)


def _skips_first(link: Link, ops: Ops) -> tuple[Link, Ops]:
    """The same tree with the skips that do nothing moved to the front: input -> skip -> ... -> the other nodes."""
    if "skip" not in ops:
        return link, ops
    # A skip of the input is dropped: raw features cannot be concatenated with outputs of another width.
    rest = [branch for branch in _branches(0, link, ops) if branch != _SKIP] or [("fc", ())]
    idle = NODES - sum(map(_size, rest))
    new_link: list[int] = list(range(idle))
    new_ops = ["skip"] * idle

    def write(branches: Sequence[_Tree], source: int) -> None:
        for op, children in branches:
            new_link.append(source)
            new_ops.append(op)
            write(children, len(new_ops))

    write(rest, idle)
    return tuple(new_link), tuple(new_ops)


def _branches(source: int, link: Link, ops: Ops) -> tuple[_Tree, ...]:
    """The subtrees of a node (0 for the input), without the skips that are the identity."""
    found: list[_Tree] = []
    for node in range(1, NODES + 1):
        if link[node - 1] != source:
            continue
        below = _branches(node, link, ops)
        if ops[node - 1] == "skip":
            # A skip that is read is the identity; one that no node reads is a leaf next to its siblings.
            found += below or [_SKIP]
        else:
            found.append((ops[node - 1], below))
    return () if found == [_SKIP] else tuple(found)


def _size(tree: _Tree) -> int:
    return 1 + sum(map(_size, tree[1]))
