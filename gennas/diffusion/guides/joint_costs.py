"""Sums of cost terms of several slots, of partly masked graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from gennas.graph import MASK, GraphBatch, decisions_of
from gennas.spaces import Template
from gennas.spaces.terms import CostTerm

#: What is known of a term whose slots are undecided in part: columns of :attr:`JointCosts.table`.
MEAN, VARIANCE, LEAST, GREATEST = range(4)


class JointCosts:
    """What terms of several slots add to a cost, given what is decided: their mean, variance and range.

    A term is looked up in a table with one more entry on every axis, which stands for an undecided slot. The tables of
    all terms are laid end to end, so that all are looked up at once.

    Args:
        terms: each of several slots.
        template: of the graphs.

    Attributes:
        table: ``(entries, 4)`` mean, variance, least and greatest value of the terms.
    """

    def __init__(self, terms: Sequence[CostTerm], template: Template) -> None:
        self.template = template
        self.slots = [term.slots for term in terms]
        k = len(template.vocabulary)
        #: Operation, or ``k`` for an undecided one -> its place on an axis, of every slot; meaningless if not allowed.
        self.places = torch.from_numpy(
            np.hstack([template.places, template.allowed.sum(axis=1, keepdims=True)]).clip(0)
        )
        assert self.places.shape == (len(template.slots), k + 1)
        tables = [_moments(term) for term in terms]
        self.table = torch.from_numpy(np.concatenate([table.reshape(-1, 4) for table in tables] or [np.zeros((0, 4))]))
        most = max(map(len, self.slots), default=0)
        #: ``(T, most)`` slots of the terms and the strides of their axes; axes that a term does not have have stride 0.
        self._slots, self._strides = torch.zeros(2, len(terms), most, dtype=torch.long)
        self._starts = torch.tensor(np.cumsum([0, *(table[..., 0].size for table in tables)])[:-1], dtype=torch.long)
        for row, (term, table) in enumerate(zip(terms, tables, strict=True)):
            shape = table.shape[:-1]
            self._slots[row, : len(shape)] = torch.tensor(term.slots)
            self._strides[row, : len(shape)] = torch.tensor([int(np.prod(shape[a + 1 :])) for a in range(len(shape))])
        layout = decisions_of(template)
        decision_of = {int(slot): row for row, slot in enumerate(layout.slots)}
        uses = sorted(
            (decision_of[slot], row, axis)
            for row, own in enumerate(self.slots)
            for axis, slot in enumerate(own)
            if slot in decision_of
        )
        #: ``(U,)`` terms and axes in which decisions count, decision by decision; how many of each, and the first.
        self._term, self._axis = torch.tensor([use[1:] for use in uses], dtype=torch.long).reshape(-1, 2).T
        self._count = torch.bincount(
            torch.tensor([use[0] for use in uses], dtype=torch.long), minlength=len(layout.allowed)
        )
        self._first = self._count.cumsum(0) - self._count

    def sums(self, graph: GraphBatch, decisions: Tensor, columns: Sequence[int]) -> Tensor:
        """``(columns, b, 1 + q * c)`` sums over terms, of graphs and of their continuations by one decision.

        Args:
            graph: ``b`` partly masked graphs.
            decisions: ``(b, q)`` masked decisions, each considered on its own.
            columns: some of :data:`MEAN`, :data:`VARIANCE`, :data:`LEAST` and :data:`GREATEST`.
        """
        layout, decisions = decisions_of(graph.template), decisions.cpu()
        (_, c), (b, q) = layout.allowed.shape, decisions.shape
        if not self.slots:
            return torch.zeros(len(columns), b, 1 + q * c, dtype=torch.double)
        k = len(graph.template.vocabulary)
        table = self.table[:, list(columns)]
        ops = torch.where(graph.ops == MASK, k, graph.ops).cpu()
        places = self.places.expand(b, *self.places.shape).gather(2, ops[..., None]).squeeze(2)  # (b, n)
        entries = (places[:, self._slots] * self._strides).sum(2) + self._starts  # (b, T)
        values = table[entries]  # (b, T, columns)
        now = values.sum(1)
        # One row for every term in which a decision counts, as most count in few.
        flat = decisions.flatten()
        count = self._count[flat]
        owner = torch.arange(b * q).repeat_interleave(count)
        place = torch.arange(len(owner)) - (count.cumsum(0) - count).repeat_interleave(count)
        use = self._first[flat][owner] + place
        term, graph_row = self._term[use], owner // max(q, 1)
        slot, stride = self._slots[term, self._axis[use]], self._strides[term, self._axis[use]]
        others = entries[graph_row, term] - places[graph_row, slot] * stride
        # Places of operations that the slot does not have may lie beyond the table; their values are arbitrary.
        then_at = (others[:, None] + self.places[slot, :k] * stride[:, None]).clamp_max(len(table) - 1)
        change = table[then_at] - values[graph_row, term][:, None]  # (U, k, columns)
        then = now.repeat_interleave(q, 0)[:, None].repeat(1, c, 1)
        then[:, :k] = then[:, :k].index_add(0, owner, change)
        return torch.cat([now[:, None], then.reshape(b, q * c, len(columns))], dim=1).movedim(2, 0)

    def undecided(self, column: int) -> float:
        """The sum where nothing is decided."""
        ends = torch.cat([self._starts[1:], torch.tensor([len(self.table)])]) - 1
        return float(self.table[ends, column].sum()) if self.slots else 0.0


def _moments(term: CostTerm) -> np.ndarray:
    """``(..., 4)`` mean, variance, least and greatest value; every axis has one more entry for an undecided slot."""
    share = _extended(term.shares, np.sum)
    first, second = (
        np.divide(_extended(term.shares * term.values**power, np.sum), share, np.zeros_like(share), where=share > 0)
        for power in (1, 2)
    )
    least = _extended(np.where(term.shares > 0, term.values, np.inf), np.min)
    greatest = _extended(np.where(term.shares > 0, term.values, -np.inf), np.max)
    return np.stack([first, (second - first**2).clip(0), least, greatest], axis=-1)


def _extended(values: np.ndarray, reduce: Callable[..., np.ndarray]) -> np.ndarray:
    """The values with one more entry on every axis: what is left of the axis where it is undecided."""
    for axis in range(values.ndim):
        values = np.concatenate([values, reduce(values, axis=axis, keepdims=True)], axis=axis)
    return values
