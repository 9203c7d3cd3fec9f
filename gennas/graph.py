"""GraphBatch: archs as tensors, decided or partly masked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
import torch
from torch import Tensor

from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidArchError
from gennas.spaces import Space, Template
from gennas.spaces.template import FIXED, FORBIDDEN

if TYPE_CHECKING:
    from torch_geometric.data import Data

#: State of a slot or an edge that is undecided.
MASK = -1


@dataclass(frozen=True)
class Decisions:
    """The ``D`` decisions that make an arch of a template: first the free slots, then the free edges.

    Attributes:
        slots: ``(s,)`` indices of the free slots.
        edges: ``(e, 2)`` pairs ``(i, j)`` of the free edges.
        allowed: ``(D, c)`` boolean, the choices of each decision: an operation's index for a slot, 0 (absent) or 1
            (present) for an edge; ``c = max(k, 2)``.
        ends: ``(D, 2)`` the slots that each decision concerns: the slot twice, or both ends of the edge.
    """

    slots: Tensor
    edges: Tensor
    allowed: Tensor
    ends: Tensor


@cache
# Cached tensors must not be inference tensors, or a training after a sampling could not use them.
@torch.inference_mode(False)
def decisions_of(template: Template) -> Decisions:
    """The decisions of a template, computed once per template."""
    slots = torch.tensor(template.free_slots, dtype=torch.long)
    edges = torch.tensor(template.free_edges, dtype=torch.long).reshape(-1, 2)
    allowed = torch.zeros(len(slots) + len(edges), max(len(template.vocabulary), 2), dtype=torch.bool)
    allowed[: len(slots), : len(template.vocabulary)] = torch.from_numpy(template.allowed)[slots]
    allowed[len(slots) :, :2] = True
    return Decisions(slots, edges, allowed, torch.cat([slots[:, None].expand(-1, 2), edges]))


@dataclass(frozen=True, eq=False)
class GraphBatch:
    """A batch of ``b`` graphs over one template with ``n`` slots and ``k`` operations.

    Attributes:
        template: the template they share.
        ops: ``(b, n)`` int64, operation indices or MASK.
        edges: ``(b, n, n)`` int64, 0 absent, 1 present or MASK; the lower triangle is 0.
    """

    template: Template
    ops: Tensor
    edges: Tensor

    def __len__(self) -> int:
        return self.ops.shape[0]

    @property
    def device(self) -> torch.device:
        return self.ops.device

    @classmethod
    def from_archs(cls, archs: Sequence[Arch], template: Template) -> GraphBatch:
        """The graphs of archs of one space."""
        index = {op: i for i, op in enumerate(template.vocabulary)}
        n = len(template.slots)
        ops = torch.tensor([[index[op] for op in arch.ops] for arch in archs], dtype=torch.long).reshape(-1, n)
        edges = torch.zeros(len(archs), n, n, dtype=torch.long)
        present = [(b, i, j) for b, arch in enumerate(archs) for i, j in arch.edges]
        if present:
            b, i, j = torch.tensor(present).T
            edges[b, i, j] = 1
        return cls(template, ops, edges)

    @classmethod
    def from_arrays(cls, ops: np.ndarray, edges: np.ndarray, template: Template) -> GraphBatch:
        """The graphs of ``(b, n)`` operation indices and ``(b, n, n)`` booleans of present edges."""
        return cls(template, torch.from_numpy(ops.astype(np.int64)), torch.from_numpy(edges.astype(np.int64)))

    @classmethod
    def undecided_batch(cls, template: Template, size: int) -> GraphBatch:
        """``size`` graphs in which every decision is MASK."""
        undecided = PartialArch("", (None,) * len(template.slots), template.fixed_edges, template.free_edges)
        return cls.from_partial(undecided, template, size)

    @classmethod
    def from_partial(cls, partial: PartialArch, template: Template, size: int) -> GraphBatch:
        """``size`` copies of a partial arch; its undecided parts are MASK, unless there is only one choice.

        Raises:
            InvalidArchError: the partial arch has an operation or an edge that the template forbids, or lacks an
                edge that the template fixes.
        """
        if len(partial.ops) != len(template.slots):
            raise InvalidArchError(f"{len(partial.ops)} operations for {len(template.slots)} slots")
        ops = torch.from_numpy(template.allowed.argmax(axis=1))
        ops[list(template.free_slots)] = MASK
        for slot, op in enumerate(partial.ops):
            if op is None:
                continue
            if op not in template.vocabulary or not template.allowed[slot, template.vocabulary.index(op)]:
                allowed = ", ".join(template.operations[slot])
                raise InvalidArchError(f"slot {template.slots[slot]} has operation {op!r}; allowed: {allowed}")
            ops[slot] = template.vocabulary.index(op)
        edges = torch.zeros(len(template.slots), len(template.slots), dtype=torch.long)
        for state, pairs in ((1, partial.edges), (MASK, partial.open_edges)):
            for i, j in pairs:
                edges[i, j] = state
        kinds = torch.from_numpy(template.edges)
        for kind, state, problem in ((FIXED, 1, "is fixed, it cannot be absent"), (FORBIDDEN, 0, "is not allowed")):
            edges = torch.where((kinds == kind) & (edges == MASK), state, edges)
            for i, j in ((kinds == kind) & (edges != state)).nonzero().tolist():
                raise InvalidArchError(f"edge {template.slots[i]}->{template.slots[j]} {problem}")
        edges = edges.repeat(size, 1, 1) if template.free_edges else edges.expand(size, -1, -1)
        return cls(template, ops.repeat(size, 1), edges)

    @classmethod
    def from_choices(cls, choices: Tensor, template: Template) -> GraphBatch:
        """The graphs with these choices ``(b, D)`` of all decisions, or MASK."""
        return cls.undecided_batch(template, len(choices))._with_choices(choices)

    def to_archs(self, space: Space) -> list[Arch | None]:
        """The archs of decided graphs; None where a graph breaks a rule of the space.

        Raises:
            ValueError: a slot or an edge is MASK.
        """
        if (self.ops == MASK).any() or (self.edges == MASK).any():
            raise ValueError("cannot convert partly masked graphs to archs; decide every slot and edge first")
        # Create one object per distinct graph: samples contain many duplicates, and this loop is slow.
        _, first, copies = np.unique(self.choices().cpu().numpy(), axis=0, return_index=True, return_inverse=True)
        ops, edges = self.ops[first].cpu().numpy(), self.edges[first].cpu().numpy() == 1
        keeps = space.keeps_rules(ops, edges)
        words = np.array(self.template.vocabulary, dtype=object)[ops]
        pairs = [tuple((i, j) for i, j in np.argwhere(row).tolist()) for row in edges[: None if self._free else 1]]
        archs: list[Arch | None] = []
        for row, (names, ok) in enumerate(zip(words, keeps, strict=True)):
            present = pairs[row if self._free else 0]
            archs.append(Arch(space.name, space.key(names, present), tuple(names), present) if ok else None)
        return [archs[copy] for copy in copies.ravel()]

    @property
    def _free(self) -> bool:
        return len(decisions_of(self.template).edges) > 0

    def masked_decisions(self) -> Tensor:
        """``(b, D)`` boolean: which decisions are MASK."""
        slots, edges = decisions_of(self.template).slots, decisions_of(self.template).edges
        return torch.cat([self.ops[:, slots] == MASK, self.edges[:, edges[:, 0], edges[:, 1]] == MASK], dim=1)

    def choices(self) -> Tensor:
        """``(b, D)`` int64: the choice of every decision, or MASK."""
        slots, edges = decisions_of(self.template).slots, decisions_of(self.template).edges
        return torch.cat([self.ops[:, slots], self.edges[:, edges[:, 0], edges[:, 1]]], dim=1)

    def no_decision(self) -> Tensor:
        """``(b, 0)`` int64: an empty list of decisions for every graph."""
        return torch.empty(len(self), 0, dtype=torch.long, device=self.device)

    def random_mask(self, rng: torch.Generator | None = None, *, count: Tensor | int | None = None) -> Tensor:
        """``(b, D)`` boolean, on the CPU: random decisions of every graph, to be masked by :meth:`with_mask`.

        Args:
            rng: all randomness; torch's own by default.
            count: how many of every graph, ``(b, 1)`` or one number; by default each decision with a probability that
                is uniform in 0..1 and the graph's own.
        """
        b, decisions = len(self), self.template.decisions
        if count is not None:
            return torch.rand(b, decisions, generator=rng).argsort(dim=1).argsort(dim=1) < count
        level = torch.rand(b, 1, generator=rng)
        return torch.rand(b, decisions, generator=rng) < level

    def with_mask(self, where: Tensor) -> GraphBatch:
        """A copy in which the decisions marked by ``where (b, D)`` are MASK."""
        return self._with_choices(torch.where(where.to(self.device), MASK, self.choices()))

    def decide(self, decisions: Tensor, choice: Tensor) -> GraphBatch:
        """A copy in which the ``decisions (b, q)`` of every graph are set to ``choice (b, q)``."""
        return self._with_choices(self.choices().scatter(1, decisions, choice))

    def _with_choices(self, choices: Tensor) -> GraphBatch:
        layout = decisions_of(self.template)
        ops, edges = self.ops.clone(), self.edges
        ops[:, layout.slots] = choices[:, : len(layout.slots)]
        if self._free:
            edges = edges.clone()
            edges[:, layout.edges[:, 0], layout.edges[:, 1]] = choices[:, len(layout.slots) :]
        return replace(self, ops=ops, edges=edges)

    def permuted(self, space: Space, rng: np.random.Generator) -> GraphBatch:
        """The same decided graphs with the interchangeable slots of the space randomly permuted."""
        ops, edges = self.ops.cpu().numpy(), self.edges.cpu().numpy() == 1
        return GraphBatch.from_arrays(*space.permuted(ops, edges, rng), self.template).to(self.device)

    def __getitem__(self, rows: Tensor) -> GraphBatch:
        """The graphs of the given rows, which may repeat."""
        ops = self.ops[rows]
        # Without free edges all graphs have the same: n^2 numbers each, which a view does not copy.
        edges = self.edges[rows] if self._free or not len(self) else self.edges[:1].expand(len(ops), -1, -1)
        return replace(self, ops=ops, edges=edges)

    def to(self, device: torch.device | str) -> GraphBatch:
        """The same graphs on another torch device."""
        return replace(self, ops=self.ops.to(device), edges=self.edges.to(device))

    def to_pyg(self) -> Data:
        """One PyG graph with all ``b`` graphs as components.

        ``x (b * n,)`` operation indices with MASK as ``k``; ``edge_index (2, e)`` the edges that are present or
        MASK; ``edge_state (e,)`` 0 for present, 1 for MASK; ``batch (b * n,)``.
        """
        from torch_geometric.data import Data

        b, n = self.ops.shape
        graph, source, target = self.edges.nonzero(as_tuple=True)
        return Data(
            x=torch.where(self.ops == MASK, len(self.template.vocabulary), self.ops).flatten(),
            edge_index=torch.stack([graph * n + source, graph * n + target]),
            edge_state=(self.edges[graph, source, target] == MASK).long(),
            batch=torch.arange(b, device=self.device).repeat_interleave(n),
            num_nodes=b * n,
        )


def to_networkx(arch: Arch, template: Template) -> nx.DiGraph:
    """An arch as a networkx graph: nodes are slot names with an attribute ``op``."""
    graph: nx.DiGraph = nx.DiGraph(name=arch.key)
    graph.add_nodes_from((slot, {"op": op}) for slot, op in zip(template.slots, arch.ops, strict=True))
    graph.add_edges_from((template.slots[i], template.slots[j]) for i, j in arch.edges)
    return graph


def from_networkx(graph: nx.DiGraph, space: Space) -> Arch:
    """The inverse of :func:`to_networkx`.

    Raises:
        InvalidArchError: the nodes are not the slots of the space, or the arch breaks a rule of the space.
    """
    index = {slot: i for i, slot in enumerate(space.template.slots)}
    if set(graph.nodes) != set(index):
        raise InvalidArchError(f"nodes are {sorted(graph.nodes)}; expected the slots of {space.name}: {sorted(index)}.")
    return space.arch(
        [graph.nodes[slot]["op"] for slot in space.template.slots],
        [(index[a], index[b]) for a, b in graph.edges],
    )
