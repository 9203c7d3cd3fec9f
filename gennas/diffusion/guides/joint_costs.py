"""Sums of cost terms of several slots, of partly masked graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from gennas.graph import MASK, GraphBatch, decisions_of
from gennas.spaces import Template
from gennas.spaces.terms import CostTerm


class JointCosts:
    """What terms of several slots add to a cost, given what is decided: their mean, variance and range.

    A term is looked up in a table with one more entry on every axis, which stands for an undecided slot.

    Args:
        terms: each of several slots.
        template: of the graphs.
    """

    def __init__(self, terms: Sequence[CostTerm], template: Template) -> None:
        self.slots = [term.slots for term in terms]
        k = len(template.vocabulary)
        #: Operation, or ``k`` for an undecided one -> its place on an axis, of every slot; meaningless if not allowed.
        self.places = torch.from_numpy(
            np.hstack([template.places, template.allowed.sum(axis=1, keepdims=True)]).clip(0)
        )
        assert self.places.shape == (len(template.slots), k + 1)
        decision_of = {int(slot): row for row, slot in enumerate(decisions_of(template).slots)}
        #: The decision of every slot of every term; None where there is nothing to decide.
        self.decisions = [[decision_of.get(slot) for slot in term.slots] for term in terms]
        shares = [_extended(term.shares, np.sum) for term in terms]
        first, second = (
            [
                np.divide(
                    _extended(term.shares * term.values**power, np.sum), share, np.zeros_like(share), where=share > 0
                )
                for term, share in zip(terms, shares, strict=True)
            ]
            for power in (1, 2)
        )
        self.mean = [torch.from_numpy(mean) for mean in first]
        self.variance = [torch.from_numpy((b - a**2).clip(0)) for a, b in zip(first, second, strict=True)]
        self.least, self.greatest = (
            [torch.from_numpy(_extended(np.where(term.shares > 0, term.values, worst), best)) for term in terms]
            for worst, best in ((np.inf, np.min), (-np.inf, np.max))
        )

    def sums(self, graph: GraphBatch, decisions: Tensor, tables: Sequence[Tensor]) -> Tensor:
        """``(b, 1 + q * c)`` sums over terms, of graphs and of their continuations by one decision.

        Args:
            graph: ``b`` partly masked graphs.
            decisions: ``(b, q)`` masked decisions, each considered on its own.
            tables: one of :attr:`mean`, :attr:`variance`, :attr:`least` and :attr:`greatest`.
        """
        layout, decisions = decisions_of(graph.template), decisions.cpu()
        (count, c), b = layout.allowed.shape, len(graph)
        k = len(graph.template.vocabulary)
        ops = torch.where(graph.ops == MASK, k, graph.ops).cpu()
        places = self.places.expand(b, *self.places.shape).gather(2, ops[..., None]).squeeze(2)  # (b, n)
        now, change = torch.zeros(b, 1, dtype=torch.double), torch.zeros(b, count, c, dtype=torch.double)
        for slots, own, table in zip(self.slots, self.decisions, tables, strict=True):
            strides = torch.tensor(table.stride())
            place = (places[:, list(slots)] * strides).sum(1, keepdim=True)  # (b, 1)
            flat = table.flatten()
            value = flat[place]
            now = now + value
            for axis, decision in enumerate(own):
                if decision is not None and decisions.shape[1]:
                    slot = slots[axis]
                    others = place - places[:, slot, None] * strides[axis]
                    change[:, decision, :k] += flat[others + self.places[slot, :k] * strides[axis]] - value
        then = now[..., None] + change.gather(1, decisions[..., None].expand(-1, -1, c))
        return torch.cat([now, then.flatten(1)], dim=1)

    def undecided(self, tables: Sequence[Tensor]) -> float:
        """The sum where nothing is decided."""
        return float(sum(table[(-1,) * table.dim()] for table in tables))


def _extended(values: np.ndarray, reduce: Callable[..., np.ndarray]) -> np.ndarray:
    """The values with one more entry on every axis: what is left of the axis where it is undecided."""
    for axis in range(values.ndim):
        values = np.concatenate([values, reduce(values, axis=axis, keepdims=True)], axis=axis)
    # Places are computed for this order.
    return np.ascontiguousarray(values)
