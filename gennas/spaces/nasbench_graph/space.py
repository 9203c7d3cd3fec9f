"""NAS-Bench-Graph: graph neural networks of four computing nodes in a tree (26,206 archs).

Qin, Zhang, Wang, Zhang and Zhu, "NAS-Bench-Graph: Benchmarking Graph Neural Architecture Search", NeurIPS 2022
Datasets and Benchmarks.

Every computing node reads the output of one earlier node, or the input, and applies one of nine operations; the
outputs that no other node reads are concatenated. In the template a node's link and its operation are a slot each,
so that every combination of choices is an arch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidArchError, unknown
from gennas.spaces.base import Space
from gennas.spaces.nasbench_graph.macro import PUBLISHED, USUAL, Macro
from gennas.spaces.nasbench_graph.trees import NODES, OPS, Link, Ops, canonical, canonical_trees, permuted
from gennas.spaces.template import FIXED, Template
from gennas.tasks.base import feature_count

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gennas.tasks import Task

_FORM = "'0012 gat gcn gin cheb' (the node that each node reads, 0 for the input; then their operations)"


def _template() -> Template:
    slots = ["input", "node1"]
    for node in range(2, NODES + 1):
        slots += [f"link{node}", f"node{node}"]
    slots.append("output")
    vocabulary = ["input", *(f"from{node}" for node in range(NODES)), *OPS, "output"]
    allowed = np.zeros((len(slots), len(vocabulary)), dtype=bool)
    allowed[0, 0] = allowed[-1, -1] = True
    edges = np.zeros((len(slots), len(slots)), dtype=np.int8)
    edges[0, 1] = FIXED
    sources = [0]
    for node in range(1, NODES + 1):
        slot = slots.index(f"node{node}")
        allowed[slot, [vocabulary.index(op) for op in OPS]] = True
        if node > 1:
            # The first node has no link slot, as it can only read the input.
            link = slots.index(f"link{node}")
            allowed[link, [vocabulary.index(f"from{source}") for source in range(node)]] = True
            edges[sources, link] = edges[link, slot] = FIXED
        edges[slot, -1] = FIXED
        sources.append(slot)
    return Template(tuple(slots), tuple(vocabulary), allowed, edges)


_TEMPLATE = _template()
_LINKS = [_TEMPLATE.slots.index(f"link{node}") for node in range(2, NODES + 1)]
_NODES = [_TEMPLATE.slots.index(f"node{node}") for node in range(1, NODES + 1)]
_FROM0, _OP0 = _TEMPLATE.vocabulary.index("from0"), _TEMPLATE.vocabulary.index(OPS[0])


def _tree(slots: Sequence[str]) -> tuple[Link, Ops]:
    """The links and operations of the four nodes, given the operations of all slots."""
    link = (0, *(int(slots[slot].removeprefix("from")) for slot in _LINKS))
    return link, tuple(slots[slot] for slot in _NODES)


def _slots(link: Sequence[int], ops: Sequence[str]) -> tuple[str, ...]:
    """The operations of all slots, given the links and operations of the four nodes."""
    words = ["input", ops[0]]
    for source, op in zip(link[1:], ops[1:], strict=True):
        words += [f"from{source}", op]
    return (*words, "output")


def _read(ops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(b, 4)`` links and ``(b, 4)`` indices into ``OPS``, given ``(b, slots)`` indices into the vocabulary."""
    links = np.zeros((len(ops), NODES), dtype=np.int64)
    links[:, 1:] = ops[:, _LINKS] - _FROM0
    return links, ops[:, _NODES] - _OP0


@dataclass(frozen=True)
class NasBenchGraph(Space):
    """The space ``nasbench_graph``.

    It has no skeleton settings: the network around the four nodes is the one that the benchmark uses for each of its
    data sets (:data:`gennas.spaces.nasbench_graph.macro.PUBLISHED`), and a common choice for every other graph.
    """

    name: ClassVar[str] = "nasbench_graph"
    template: ClassVar[Template] = _TEMPLATE
    size: ClassVar[int | None] = 26_206

    def key(self, ops: Sequence[str], edges: Sequence[tuple[int, int]]) -> str:
        """``0012 gat gcn gin cheb``: the node that each node reads (0 for the input), then their operations."""
        link, words = _tree(ops)
        return " ".join(["".join(map(str, link)), *words])

    def read(self, key: str) -> PartialArch:
        words = key.split()
        if len(words) != 1 + NODES:
            raise InvalidArchError(
                f"{key!r} is not a valid {self.name} arch: it has {len(words)} words; "
                f"expected {1 + NODES}, as in {_FORM}."
            )
        link, ops = words[0], words[1:]
        if len(link) != NODES:
            raise InvalidArchError(
                f"{key!r}: {link!r} has links for {len(link)} nodes; expected {NODES}, as in {_FORM}."
            )
        slots: list[str | None] = ["input"]
        for node, (source, op) in enumerate(zip(link, ops, strict=True), start=1):
            if source not in "?0123"[: 1 + node]:
                earlier = "0" if node == 1 else f"0 to {node - 1}"
                raise InvalidArchError(f"{key!r}: node {node} reads {source!r}; expected {earlier}, or '?'.")
            if op not in ("?", *OPS):
                raise InvalidArchError(f"{key!r}: {unknown(f'{self.name} operation', op, OPS)}")
            if node > 1:
                slots.append(None if source == "?" else f"from{source}")
            slots.append(None if op == "?" else op)
        return PartialArch(self.name, (*slots, "output"), self.template.fixed_edges)

    def canonical(self, arch: Arch) -> Arch:
        """The equivalent arch in the benchmark's table, which holds 26,206 of the 157,464 combinations.

        The classes are those of the benchmark's ``valid_hash``. The order of the nodes is irrelevant. A ``skip`` that
        another node reads, or that is the only reader of a node, is the identity (up to a batch norm and ReLU). A
        ``skip`` of the input next to other leaves is dropped, as raw features cannot be concatenated with outputs of
        another width. Skips that do nothing are moved to the front, where all other nodes read them, and of all
        permutations the first is taken.

        The benchmark has no arch of four skips. A network without any operation is mapped to the linear one,
        ``0123 skip skip skip fc``, so that every combination is equivalent to a measured arch.
        """
        return self.arch(_slots(*canonical(*_tree(arch.ops))))

    def dataflow(self, ops: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A node is fed by the one that its link names; a node that feeds no other one feeds the output."""
        links, _ = _read(ops)
        flow, read = np.zeros_like(edges), np.zeros((len(ops), len(self.template.slots)), dtype=bool)
        row, slot_of = np.arange(len(ops)), np.array([0, *_NODES])
        for node, slot in enumerate(_NODES):
            source = slot_of[links[:, node]]
            flow[row, source, slot] = True
            read[row, source] = True
        for slot in _NODES:
            flow[:, slot, -1] = ~read[:, slot]
        return ops, flow

    def permuted(self, ops: np.ndarray, edges: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The same graphs, each permuted uniformly at random among the orders that its links allow."""
        return self._written(*permuted(*_read(ops), rng)), edges

    def canonical_form(self, ops: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The graphs of the canonical archs, the same for all that compute the same function."""
        links, nodes = _read(ops)
        trees, inverse = np.unique(np.hstack([links, nodes]), axis=0, return_inverse=True)
        first = [canonical(tuple(tree[:NODES]), tuple(OPS[op] for op in tree[NODES:])) for tree in trees.tolist()]
        links = np.array([link for link, _ in first]).reshape(-1, NODES)
        nodes = np.array([[OPS.index(op) for op in words] for _, words in first]).reshape(-1, NODES)
        rows = inverse.reshape(-1)
        return self._written(links[rows], nodes[rows]), edges

    def sample(self, rng: np.random.Generator) -> Arch:
        """Draws a canonical arch uniformly."""
        links, ops = canonical_trees()
        row = rng.integers(len(links))
        return self.arch(_slots(links[row].tolist(), [OPS[op] for op in ops[row]]))

    def enumerate(self) -> Iterator[Arch]:
        for link, ops in zip(*canonical_trees(), strict=True):
            yield self.arch(_slots(link.tolist(), [OPS[op] for op in ops]))

    def enumerate_graphs(self) -> tuple[np.ndarray, np.ndarray]:
        ops = self._written(*canonical_trees())
        return ops, np.repeat(self.template.edges[None] == FIXED, len(ops), axis=0)

    def _written(self, links: np.ndarray, nodes: np.ndarray) -> np.ndarray:
        """``(b, slots)`` indices into the vocabulary, given ``(b, 4)`` links and ``(b, 4)`` indices into ``OPS``."""
        ops = np.zeros((len(links), len(self.template.slots)), dtype=np.int64)
        ops[:, _LINKS] = links[:, 1:] + _FROM0
        ops[:, _NODES] = nodes + _OP0
        ops[:, -1] = self.template.vocabulary.index("output")
        return ops

    def build(self, arch: Arch, task: Task) -> nn.Module:
        """Builds the network of the canonical form: ``(nodes, features), (2, edges) -> (nodes, classes)`` logits.

        Raises:
            InvalidInputError: the task's input is not a graph.
        """
        from gennas.spaces.nasbench_graph.network import GraphNetwork

        features = feature_count(task, f"space {self.name!r}")
        return GraphNetwork(*canonical(*_tree(arch.ops)), _macro(task), features, task.num_classes)

    def example_input(self, task: Task) -> tuple[Tensor, ...]:
        """Two connected nodes: their features, ``(2, features)``, and the edges, ``(2, 2)``."""
        import torch

        return torch.zeros(2, feature_count(task, f"space {self.name!r}")), torch.tensor([[0, 1], [1, 0]])

    def costs(self, arch: Arch, task: Task) -> dict[str, float]:
        """Parameters, exactly as published, and multiply-adds per node of the graph (both in millions).

        Only the multiply-adds of weight matrices count. Sums over edges, attention, batch norms and activations are
        omitted, as they depend on the graph or are small.

        Like the published numbers, parameters include a batch norm for every node, even one that reads raw features,
        and the second weight of an ARMA layer, which only deeper ARMA networks use.

        Raises:
            InvalidInputError: the task's input is not a graph.
        """
        features = feature_count(task, f"space {self.name!r}")
        return _macro(task).costs(*canonical(*_tree(arch.ops)), features, task.num_classes)


def _macro(task: Task) -> Macro:
    return PUBLISHED.get(task.name, USUAL)
