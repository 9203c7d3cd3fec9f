"""Guide: what bends the sampling; foresight: a guide that scores all choices of a decision at once."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from gennas.graph import GraphBatch, decisions_of


class Guide(ABC):
    """A log-value for partly masked graphs; strength 0 is exactly no guide."""

    strength: float = 1.0

    @abstractmethod
    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        """``(b,)`` log-values.

        Args:
            graph: ``b`` partly masked graphs.
            row: ``(b,)`` which of the sampled graphs each of them is, or continues.
        """

    def values(self, graph: GraphBatch, row: Tensor, decisions: Tensor) -> tuple[Tensor, Tensor]:
        """Log-values of graphs, and of what their next decisions make of them.

        A guide that can tell without looking at every graph that might come overrides this.

        Args:
            graph: ``b`` partly masked graphs.
            row: ``(b,)`` which of the sampled graphs they are.
            decisions: ``(b, q)`` decisions, each taken alone; ``q`` may be 0.

        Returns:
            ``(b,)`` and ``(b, q, c)``; what a decision does not have among its choices, or is decided, has any value.
        """
        allowed = decisions_of(graph.template).allowed.to(graph.device)
        then = torch.zeros(*decisions.shape, allowed.shape[1], device=graph.device)
        at, decision, choice = allowed[decisions].nonzero(as_tuple=True)
        if len(at):
            candidates = graph[at].decide(decisions[at, decision][:, None], choice[:, None])
            then[at, decision, choice] = self.log_values(candidates, row[at])
        return self.log_values(graph, row), then


class ForesightGuide(Guide):
    """A guide that tells graphs, and what their next decisions make of them, in one go."""

    @abstractmethod
    def at_once(self, graph: GraphBatch, row: Tensor, decisions: Tensor) -> Tensor:
        """``(b, 1 + q * c)`` log-values: of the graph as it is, then of every choice of every decision.

        Args:
            graph: ``b`` partly masked graphs.
            row: ``(b,)`` which of the sampled graphs they are.
            decisions: ``(b, q)`` masked decisions, each taken alone.
        """

    def values(self, graph: GraphBatch, row: Tensor, decisions: Tensor) -> tuple[Tensor, Tensor]:
        values = self.at_once(graph, row, decisions)
        c = decisions_of(graph.template).allowed.shape[1]
        return values[:, 0], values[:, 1:].reshape(len(graph), decisions.shape[1], c)

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        return self.at_once(graph, row, graph.no_decision())[:, 0]
