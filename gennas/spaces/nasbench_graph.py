"""NAS-Bench-Graph: graph neural networks of four computing nodes in a tree (26,206 archs).

Qin, Zhang, Wang, Zhang and Zhu, "NAS-Bench-Graph: Benchmarking Graph Neural Architecture Search", NeurIPS 2022
Datasets and Benchmarks.

Every computing node reads the output of one earlier node, or the input, and applies one of nine operations; what
no other node reads goes to the output, side by side. In the template a node's link and its operation are a slot
each, so that every combination of choices is an arch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidArchError, unknown
from gennas.spaces.base import FIXED, Space, Template

if TYPE_CHECKING:
    from torch import nn

    from gennas.tasks import Task

#: The benchmark's operations, in its order.
OPS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
#: The links that stand for all others: those of every tree of four nodes, numbered level by level.
LINKS = ("0000", "0001", "0011", "0012", "0013", "0111", "0112", "0122", "0123")
NODES = 4
_FORM = "'0012 gat gcn gin cheb' (whom each node reads, 0 being the input; then their operations)"

#: A node with what hangs from it: operation, children.
_Tree = tuple[str, tuple["_Tree", ...]]


def _template() -> Template:
    slots = ["input", "node1"]
    for node in range(2, NODES + 1):
        slots += [f"link{node}", f"node{node}"]
    slots.append("output")
    sources = tuple(f"from{node}" for node in range(NODES))
    vocabulary = ("input", *sources, *OPS, "output")
    allowed = np.zeros((len(slots), len(vocabulary)), dtype=bool)
    allowed[0, 0] = allowed[-1, -1] = True
    edges = np.zeros((len(slots), len(slots)), dtype=np.int8)
    edges[0, 1] = FIXED
    outputs = [0]
    for node in range(1, NODES + 1):
        slot, link = slots.index(f"node{node}"), 2 * node - 2
        allowed[slot, vocabulary.index(OPS[0]) : vocabulary.index(OPS[-1]) + 1] = True
        if node > 1:
            allowed[link, 1 : 1 + node] = True
            edges[outputs, link] = FIXED
            edges[link, slot] = FIXED
        edges[slot, -1] = FIXED
        outputs.append(slot)
    return Template(tuple(slots), vocabulary, allowed, edges)


_TEMPLATE = _template()
_LINK_SLOTS = tuple(_TEMPLATE.slots.index(f"link{node}") for node in range(2, NODES + 1))
_NODE_SLOTS = tuple(_TEMPLATE.slots.index(f"node{node}") for node in range(1, NODES + 1))
_FROM0 = _TEMPLATE.vocabulary.index("from0")


def link_of(ops: Sequence[str]) -> tuple[int, ...]:
    """Whom each of the four nodes reads, 0 being the input, given the operations of all slots."""
    return (0, *(int(ops[slot].removeprefix("from")) for slot in _LINK_SLOTS))


def _slots(link: Sequence[int], ops: Sequence[str]) -> tuple[str, ...]:
    words = ["input", ops[0]]
    for source, op in zip(link[1:], ops[1:], strict=True):
        words += [f"from{source}", op]
    return (*words, "output")


def _numberings(link: Sequence[int]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """All (link, order) with every node after the one it reads: ``order[i]`` is the old place of new node ``i``."""
    found = []
    for order in itertools.permutations(range(NODES)):
        place = {0: 0, **{old + 1: new + 1 for new, old in enumerate(order)}}
        renumbered = tuple(place[link[old]] for old in order)
        if all(source <= node for node, source in enumerate(renumbered)):
            found.append((renumbered, order))
    return found


@cache
def _levelled(link: tuple[int, ...]) -> tuple[str, list[tuple[int, ...]]]:
    """The first of the links that a tree can have, and all orders of its nodes that lead to it."""
    numberings = _numberings(link)
    first = min(numbering[0] for numbering in numberings)
    return "".join(map(str, first)), [order for renumbered, order in numberings if renumbered == first]


@cache
def _canonical(link: tuple[int, ...], ops: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Link and operations of the arch that stands for all that compute the same function; see ``canonical``."""
    link, ops = _skips_first(link, ops)
    first, orders = _levelled(link)
    return first, min((tuple(ops[old] for old in order) for order in orders), key=_ranks)


def _ranks(ops: Sequence[str]) -> tuple[int, ...]:
    return tuple(OPS.index(op) for op in ops)


def _skips_first(link: tuple[int, ...], ops: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The same arch with each skip that does nothing moved to the front: input -> skip -> ... -> all the rest."""
    if "skip" not in ops:
        return link, ops
    rest: list[_Tree] = [branch for branch in _branches(0, link, ops) if branch != ("skip", ())]
    rest = rest or [("fc", ())]
    new_link: list[int] = []
    new_ops: list[str] = []

    def write(branches: Sequence[_Tree], source: int) -> None:
        for op, children in branches:
            new_link.append(source)
            new_ops.append(op)
            write(children, len(new_ops))

    for _ in range(NODES - sum(map(_size, rest))):
        new_link.append(len(new_ops))
        new_ops.append("skip")
    write(rest, len(new_ops))
    return tuple(new_link), tuple(new_ops)


def _branches(source: int, link: Sequence[int], ops: Sequence[str]) -> tuple[_Tree, ...]:
    """What hangs from a node (0: the input), without the skips that only hand on their input."""
    found: list[_Tree] = []
    readers = [node for node in range(1, NODES + 1) if link[node - 1] == source]
    for node in readers:
        below = _branches(node, link, ops)
        if ops[node - 1] != "skip":
            found.append((ops[node - 1], below))
        else:
            # A skip that is read hands on; one that nobody reads is an output of its own beside its brothers.
            found += below or [("skip", ())]
    return () if found == [("skip", ())] else tuple(found)


def _size(tree: _Tree) -> int:
    return 1 + sum(map(_size, tree[1]))


@cache
def _representatives() -> tuple[np.ndarray, np.ndarray]:
    """``(26206, 4)`` links and ``(26206, 4)`` numbers of operations of all canonical archs, in the order of keys."""
    rows = []
    for first in LINKS:
        link = tuple(map(int, first))
        for ops in itertools.product(OPS, repeat=NODES):
            if _canonical(link, ops) == (first, ops):
                rows.append((*link, *_ranks(ops)))
    table = np.array(rows)
    return table[:, :NODES], table[:, NODES:]


@cache
def _relabelling() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each link: how many numberings its nodes have, ``(24,)``; their links and orders, ``(24, 24, 4)``."""
    count = np.zeros(24, dtype=np.int64)
    links, orders = np.zeros((2, 24, 24, NODES), dtype=np.int64)
    for link in itertools.product(*(range(node) for node in range(1, NODES + 1))):
        code = int(_codes(np.array([link]))[0])
        for i, (renumbered, order) in enumerate(_numberings(link)):
            links[code, i], orders[code, i] = renumbered, order
            count[code] = i + 1
    return count, links, orders


def _codes(links: np.ndarray) -> np.ndarray:
    return links[:, 1] * 12 + links[:, 2] * 4 + links[:, 3]


@dataclass(frozen=True)
class NasBenchGraph(Space):
    """The space ``nasbench_graph``; the network around the four nodes is the benchmark's for each task."""

    name: ClassVar[str] = "nasbench_graph"
    template: ClassVar[Template] = _TEMPLATE
    size: ClassVar[int | None] = 26_206

    def key(self, ops: Sequence[str], edges: Sequence[tuple[int, int]]) -> str:
        """``0012 gat gcn gin cheb``: whom each node reads (0 is the input), then the operation of each node."""
        return " ".join(["".join(map(str, link_of(ops))), *(ops[slot] for slot in _NODE_SLOTS)])

    def read(self, key: str) -> PartialArch:
        words = key.split()
        if len(words) != 1 + NODES:
            raise InvalidArchError(
                f"{key!r} is no {self.name} arch: it has {len(words)} words, expected {1 + NODES} as in {_FORM}."
            )
        digits, ops = words[0], words[1:]
        if len(digits) != NODES:
            raise InvalidArchError(f"{key!r}: {digits!r} links {len(digits)} nodes, expected {NODES} as in {_FORM}.")
        slots: list[str | None] = ["input"]
        for node, (digit, op) in enumerate(zip(digits, ops, strict=True), start=1):
            if digit not in "?0123"[: 1 + node]:
                earlier = "0" if node == 1 else f"0 to {node - 1}"
                raise InvalidArchError(f"{key!r}: node {node} reads {digit!r}; expected {earlier}, or '?'.")
            if op not in ("?", *OPS):
                raise InvalidArchError(f"{key!r}: {unknown(f'{self.name} operation', op, OPS)}")
            if node > 1:
                slots.append(None if digit == "?" else f"from{digit}")
            slots.append(None if op == "?" else op)
        return PartialArch(self.name, (*slots, "output"), self.template.fixed_edges)

    def canonical(self, arch: Arch) -> Arch:
        """The arch of the benchmark's table that computes the same function, one of 26,206.

        As the benchmark's ``valid_hash`` has it: nodes may be renumbered; a ``skip`` that another node reads, or
        that alone reads a node, changes nothing; and a ``skip`` of the input beside other nodes is left out (the
        features cannot stand beside outputs of another width). A skip that does nothing moves to the front, where
        all the rest reads it; of all numberings the first is taken.

        The benchmark has no arch of four skips. A network without any operation is taken as the linear one,
        ``0123 skip skip skip fc``, so that every choice of the template stands for a measured arch.
        """
        link, ops = _canonical(link_of(arch.ops), tuple(arch.ops[slot] for slot in _NODE_SLOTS))
        return self.arch(_slots([int(digit) for digit in link], ops))

    def sample(self, rng: np.random.Generator) -> Arch:
        """A uniformly drawn canonical arch."""
        links, ops = _representatives()
        row = int(rng.integers(len(links)))
        return self.arch(_slots(links[row].tolist(), [OPS[op] for op in ops[row]]))

    def enumerate(self) -> Iterator[Arch]:
        for link, ops in zip(*_representatives(), strict=True):
            yield self.arch(_slots(link.tolist(), [OPS[op] for op in ops]))

    def enumerate_graphs(self) -> tuple[np.ndarray, np.ndarray]:
        links, numbers = _representatives()
        vocabulary = self.template.vocabulary
        ops = np.zeros((len(links), len(self.template.slots)), dtype=np.int64)
        ops[:, _LINK_SLOTS] = _FROM0 + links[:, 1:]
        ops[:, _NODE_SLOTS] = vocabulary.index(OPS[0]) + numbers
        ops[:, -1] = vocabulary.index("output")
        return ops, np.repeat(self.template.edges[None] == FIXED, len(ops), axis=0)

    def relabelled(self, ops: np.ndarray, edges: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The same graphs, their nodes numbered anew: uniform among the orders in which a node follows what it reads."""
        count, links, orders = _relabelling()
        old = np.concatenate([np.zeros((len(ops), 1), dtype=np.int64), ops[:, _LINK_SLOTS] - _FROM0], axis=1)
        code = _codes(old)
        pick = rng.integers(count[code])
        new = ops.copy()
        new[:, _LINK_SLOTS] = _FROM0 + links[code, pick][:, 1:]
        new[:, _NODE_SLOTS] = np.take_along_axis(ops[:, _NODE_SLOTS], orders[code, pick], axis=1)
        return new, edges

    def build(self, arch: Arch, task: Task) -> nn.Module:
        raise NotImplementedError("networks of nasbench_graph are still to come")
