"""Guide: the interface of guidance; ForesightGuide: a guide that scores all choices of a decision in one call."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from gennas.graph import GraphBatch, decisions_of


class Guide(ABC):
    """Assigns log-values to partly masked graphs, which tilt the sampling; strength 0 disables a guide exactly."""

    strength: float = 1.0

    @abstractmethod
    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        """``(b,)`` log-values.

        Args:
            graph: ``b`` partly masked graphs.
            row: ``(b,)`` index of the sampled graph that each of them is, or is a continuation of.
        """

    def values(self, graph: GraphBatch, row: Tensor, decisions: Tensor) -> tuple[Tensor, Tensor]:
        """Log-values of graphs, and of their continuations by one decision.

        The default evaluates every continuation; override it if they can be scored faster.

        Args:
            graph: ``b`` partly masked graphs.
            row: ``(b,)`` indices of the sampled graphs.
            decisions: ``(b, q)`` decisions, each considered on its own; ``q`` may be 0.

        Returns:
            ``(b,)`` and ``(b, q, c)``; entries of forbidden choices, and of decisions already made, are arbitrary.
        """
        allowed = decisions_of(graph.template).allowed.to(graph.device)
        then = torch.zeros(*decisions.shape, allowed.shape[1], device=graph.device)
        at, decision, choice = allowed[decisions].nonzero(as_tuple=True)
        if len(at):
            candidates = graph[at].decide(decisions[at, decision][:, None], choice[:, None])
            then[at, decision, choice] = self.log_values(candidates, row[at])
        return self.log_values(graph, row), then


class ForesightGuide(Guide):
    """A guide that scores graphs and their continuations by one decision in one call."""

    @abstractmethod
    def at_once(self, graph: GraphBatch, row: Tensor, decisions: Tensor) -> Tensor:
        """``(b, 1 + q * c)`` log-values: of the graph itself, then of every choice of every decision.

        Args:
            graph: ``b`` partly masked graphs.
            row: ``(b,)`` indices of the sampled graphs.
            decisions: ``(b, q)`` masked decisions, each considered on its own.
        """

    def values(self, graph: GraphBatch, row: Tensor, decisions: Tensor) -> tuple[Tensor, Tensor]:
        values = self.at_once(graph, row, decisions)
        c = decisions_of(graph.template).allowed.shape[1]
        return values[:, 0], values[:, 1:].reshape(len(graph), decisions.shape[1], c)

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        return self.at_once(graph, row, graph.no_decision())[:, 0]
