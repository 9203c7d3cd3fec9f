"""Trees of computing nodes: numberings, and the canonical form of NAS-Bench-Graph.

A tree is written as its link and its operations: ``link[i]`` is the node that node ``i + 1`` reads (0 is the
input, and a node comes after the one it reads), ``ops[i]`` is its operation.
"""

import itertools
from collections.abc import Sequence
from functools import cache

import numpy as np

#: The benchmark's operations, in its order.
OPS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
NODES = 4
#: The links that stand for all others: every tree of four nodes once, numbered level by level.
LINKS = tuple(
    tuple(map(int, link)) for link in ("0000", "0001", "0011", "0012", "0013", "0111", "0112", "0122", "0123")
)

Link = tuple[int, ...]
Ops = tuple[str, ...]
#: A node with what hangs from it: operation, children.
_Tree = tuple[str, tuple["_Tree", ...]]
_SKIP: _Tree = ("skip", ())


@cache
def canonical(link: Link, ops: Ops) -> tuple[Link, Ops]:
    """The tree that stands for all that compute the same function; see ``NasBenchGraph.canonical``."""
    link, ops = _skips_first(link, ops)
    numbered = numberings(link)
    first = min(numbering[0] for numbering in numbered)
    orders = [order for canonicalised, order in numbered if canonicalised == first]
    return first, min((tuple(ops[old] for old in order) for order in orders), key=_ranks)


@cache
def numberings(link: Link) -> list[tuple[Link, Link]]:
    """All ways to number the nodes: (link, order), where ``order[i]`` is the place from which node ``i`` comes."""
    found = []
    for order in itertools.permutations(range(NODES)):
        place = {0: 0, **{old + 1: new + 1 for new, old in enumerate(order)}}
        canonicalised = tuple(place[link[old]] for old in order)
        if all(source <= node for node, source in enumerate(canonicalised)):
            found.append((canonicalised, order))
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


def canonicalised(links: np.ndarray, ops: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The same trees, each in a numbering drawn uniformly from all that it has.

    Args:
        links: ``(b, 4)`` integers.
        ops: ``(b, 4)`` indices into ``OPS``.
        rng: draws the numberings.
    """
    count, new_links, orders = _numbering_arrays()
    codes = _codes(links)
    pick = rng.integers(count[codes])
    return new_links[codes, pick], np.take_along_axis(ops, orders[codes, pick], axis=1)


@cache
def _numbering_arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each of the 24 links: how many numberings it has, ``(24,)``; their links and orders, ``(24, 24, 4)``."""
    count = np.zeros(24, dtype=np.int64)
    links, orders = np.zeros((2, 24, 24, NODES), dtype=np.int64)
    for link in itertools.product(*(range(node) for node in range(1, NODES + 1))):
        (code,) = _codes(np.array([link]))
        found = numberings(link)
        count[code] = len(found)
        links[code, : len(found)], orders[code, : len(found)] = zip(*found, strict=True)
    return count, links, orders


def _codes(links: np.ndarray) -> np.ndarray:
    return links[:, 1] * 12 + links[:, 2] * 4 + links[:, 3]


def _ranks(ops: Sequence[str]) -> tuple[int, ...]:
    return tuple(OPS.index(op) for op in ops)


def _skips_first(link: Link, ops: Ops) -> tuple[Link, Ops]:
    """The same tree with the skips that do nothing moved to the front: input -> skip -> ... -> all the rest."""
    if "skip" not in ops:
        return link, ops
    # A skip of the input: its features cannot stand beside outputs of another width.
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
    """What hangs from a node (0: the input), without the skips that only hand on what they read."""
    found: list[_Tree] = []
    for node in range(1, NODES + 1):
        if link[node - 1] != source:
            continue
        below = _branches(node, link, ops)
        if ops[node - 1] == "skip":
            # One that is read hands on; one that nobody reads is an output of its own beside its brothers.
            found += below or [_SKIP]
        else:
            found.append((ops[node - 1], below))
    return () if found == [_SKIP] else tuple(found)


def _size(tree: _Tree) -> int:
    return 1 + sum(map(_size, tree[1]))
