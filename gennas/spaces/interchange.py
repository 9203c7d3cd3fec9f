"""Archs as graphs of networkx and as ``Data`` of PyTorch Geometric, and back.

Nodes are the slots of the space's template, edges those of its dataflow: which operation feeds which.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from gennas.arch import Arch
from gennas.errors import InvalidArchError, unknown
from gennas.spaces.base import Space

if TYPE_CHECKING:
    from torch_geometric.data import Data


def to_networkx(space: Space, arch: Arch) -> nx.DiGraph[int]:
    """An arch as a directed graph.

    Nodes are numbered as the slots, and have ``slot`` (its name), ``op`` (the operation) and ``op_index`` (its index
    in the vocabulary). The graph has ``space``, ``key`` and ``edges``, the edges of the arch itself, which differ from
    those of the dataflow where a space leaves out empty slots or writes connections as operations.

    Raises:
        InvalidArchError: an arch of another space.
    """
    ops, flow = _arrays(space, [arch])
    graph: nx.DiGraph[int] = nx.DiGraph(space=space.name, key=arch.key, edges=list(arch.edges))
    for number, (slot, op, index) in enumerate(zip(space.template.slots, arch.ops, ops[0].tolist(), strict=True)):
        graph.add_node(number, slot=slot, op=op, op_index=index)
    graph.add_edges_from((int(i), int(j)) for i, j in np.argwhere(flow[0]))
    return graph


def from_networkx(space: Space, graph: nx.DiGraph[Any]) -> Arch:
    """The arch of a graph as :func:`to_networkx` makes it, or of one made by hand.

    Args:
        space: of the arch.
        graph: a node for every slot: either numbered as the slots or named like them, or with the slot's name as
            ``slot``; its operation as ``op``. The edges of the arch are the graph's ``edges``; without these, the
            edges between nodes, beside those that the template fixes.

    Raises:
        InvalidArchError: a slot without a node, or a node without an operation, or an arch that breaks a rule.
        UnknownNameError: an operation that the space does not have.
    """
    slots = space.template.slots
    place_of: dict[Any, int] = {}
    for node, facts in graph.nodes(data=True):
        name = facts.get("slot", node)
        if name in slots:
            place_of[node] = slots.index(name)
        elif isinstance(name, int) and 0 <= name < len(slots):
            place_of[node] = name
        else:
            raise InvalidArchError(f"node {node!r} is none of the slots of {space.name}: {', '.join(slots)}.")
    if missing := [slot for place, slot in enumerate(slots) if place not in place_of.values()]:
        raise InvalidArchError(f"the graph has no node for {', '.join(missing)} of {space.name}.")
    ops = [""] * len(slots)
    for node, place in place_of.items():
        op = graph.nodes[node].get("op")
        if op is None:
            raise InvalidArchError(f"node {node!r} has no operation; expected one as its attribute 'op'.")
        ops[place] = _operation(space, str(op))
    pairs = graph.graph.get("edges")
    if pairs is None:
        free = {*space.template.free_edges}
        drawn = {(place_of[i], place_of[j]) for i, j in graph.edges}
        pairs = [*space.template.fixed_edges, *(pair for pair in drawn if pair in free)]
    return space.arch(ops, [(int(i), int(j)) for i, j in pairs])


def to_pyg(space: Space, archs: Iterable[Arch]) -> list[Data]:
    """Archs as graphs of PyTorch Geometric, which its loaders batch.

    Each has ``x`` ``(n,)`` int64, the indices of the operations in the vocabulary; ``edge_index`` ``(2, e)``, the
    dataflow; ``arch_edge_index`` ``(2, m)``, the edges of the arch itself; and ``key``.

    Raises:
        InvalidArchError: an arch of another space.
    """
    import torch
    from torch_geometric.data import Data

    archs = list(archs)
    if not archs:
        return []
    ops, flow = _arrays(space, archs)
    return [
        Data(
            x=torch.from_numpy(row.astype(np.int64)),
            edge_index=torch.from_numpy(np.argwhere(feeds).T.copy()).reshape(2, -1),
            arch_edge_index=torch.tensor(arch.edges, dtype=torch.int64).reshape(-1, 2).T.contiguous(),
            key=arch.key,
            num_nodes=len(row),
        )
        for arch, row, feeds in zip(archs, ops, flow, strict=True)
    ]


def from_pyg(space: Space, graphs: Iterable[Data]) -> list[Arch]:
    """The archs of graphs as :func:`to_pyg` makes them: read from ``x`` and ``arch_edge_index``, not from ``key``.

    Raises:
        InvalidArchError: another number of nodes than the space has slots, an index that is no operation, or an arch
            that breaks a rule.
    """
    vocabulary = space.template.vocabulary
    archs = []
    for graph in graphs:
        indices = [] if graph.x is None else graph.x.flatten().tolist()
        if len(indices) != len(space.template.slots) or not all(0 <= index < len(vocabulary) for index in indices):
            raise InvalidArchError(
                f"x is {indices}; expected {len(space.template.slots)} indices below {len(vocabulary)}, one for every "
                f"slot of {space.name}."
            )
        pairs = graph.arch_edge_index.T.tolist()
        archs.append(space.arch([vocabulary[int(index)] for index in indices], [(int(i), int(j)) for i, j in pairs]))
    return archs


def _arrays(space: Space, archs: Sequence[Arch]) -> tuple[np.ndarray, np.ndarray]:
    """``(b, n)`` operations and ``(b, n, n)`` dataflow."""
    for arch in archs:
        if arch.space != space.name:
            raise InvalidArchError(f"{arch.key!r} is an arch of space {arch.space!r}; expected {space.name!r}.")
    ops, edges = space.arrays(archs)
    return ops, space.dataflow(ops, edges)[1]


def _operation(space: Space, op: str) -> str:
    if op not in space.template.vocabulary:
        raise unknown(f"operation of {space.name}", op, space.template.vocabulary)
    return op
