"""Wanted: what a request seeks in graphs, for a seeker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gennas.diffusion.guides.costs import CostModel
from gennas.diffusion.guides.predicted import ConstraintGuide, ScoreSource
from gennas.diffusion.worth import Worth
from gennas.graph import GraphBatch
from gennas.metrics import Constraint, Metric
from gennas.spaces import Space

#: Probabilities nearer to 0 or 1 than this are taken for it.
SURE = 1e-12


class Wanted:
    """Scores of the objective's metrics, and margins of the bounds on predicted ones.

    Args:
        space: of the graphs.
        metrics: of the objective; empty where any arch will do.
        where: bounds.
        confidence: probability with which every bound on a predicted metric must hold.
        source: predicts scores.
        costs: of every cost among the metrics and bounds, by name.
    """

    def __init__(
        self,
        space: Space,
        metrics: Sequence[Metric],
        where: Sequence[Constraint],
        confidence: float,
        source: ScoreSource,
        costs: Mapping[str, CostModel],
    ) -> None:
        self.space, self.metrics, self.source, self.costs = space, metrics, source, costs
        self.exact = [constraint for constraint in where if constraint.metric.is_cost]
        self.predicted = [ConstraintGuide(source, constraint) for constraint in where if not constraint.metric.is_cost]
        self.least = float(torch.special.ndtri(torch.tensor(confidence, dtype=torch.double)))

    @torch.inference_mode()
    def worth(self, graph: GraphBatch) -> Worth:
        """Scores in stds of the space, larger being better; margins in stds of the predictions."""
        scores = [self._score(graph, metric) for metric in self.metrics]
        row = torch.arange(len(graph))
        margins = [
            torch.special.ndtri(guide.log_values(graph, row).double().exp().clamp(SURE, 1 - SURE)) - self.least
            for guide in self.predicted
        ]
        empty = torch.zeros(len(graph), 0, dtype=torch.double)
        return Worth(torch.stack(scores, 1) if scores else empty, torch.stack(margins, 1) if margins else empty)

    def keeps(self, graph: GraphBatch) -> Tensor:
        """``(b,)`` which graphs keep the bounds on costs, and depend on their input."""
        keeps = torch.ones(len(graph), dtype=torch.bool)
        for constraint in self.exact:
            costs = self.costs[constraint.metric.name].of_graphs(graph)
            keeps &= (costs <= constraint.bound) if constraint.relation == "<=" else (costs >= constraint.bound)
        if self.space.may_be_constant and keeps.any():
            archs = graph[keeps].to_archs(self.space)
            usable = [arch is not None and not self.space.is_constant(arch) for arch in archs]
            keeps[keeps.clone()] = torch.tensor(usable, dtype=torch.bool)
        return keeps

    def _score(self, graph: GraphBatch, metric: Metric) -> Tensor:
        if metric.is_cost:
            costs = self.costs[metric.name]
            return costs.scores_of(costs.of_graphs(graph))
        return metric.kind.sign * self.source.score(graph, metric.name)[0].double()
