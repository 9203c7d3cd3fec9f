"""Guides bend the sampling: each says how much a partly masked graph is worth.

The target is ``p(x) * exp(strength * f(x))``. At a partly masked graph ``x_t`` the exact log-value is
``V(x_t) = log E[exp(strength * f(x)) | x_t]``; guides add their log-values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gennas.graph import MASK, GraphBatch
from gennas.metrics import Constraint, Objective
from gennas.predictors.base import Predictor
from gennas.spaces import Space
from gennas.tasks import Task


class Guide(ABC):
    """A log-value for partly masked graphs; strength 0 is exactly no guide."""

    strength: float = 1.0

    @abstractmethod
    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        """``(b,)`` log-values.

        Args:
            graph: ``b`` partly masked graphs.
            row: ``(b,)`` which of the sampled graphs each of them continues.
        """


class ScoreSource:
    """Scores several guides from one call of a predictor.

    Guides of one sampling step see the same graphs; the last answer is kept for them.

    Args:
        predictor: the predictor.
        groups: guided metric name -> the predicted metrics whose normal scores are averaged for it.
    """

    def __init__(self, predictor: Predictor, groups: dict[str, Sequence[str]]) -> None:
        self.predictor = predictor.eval()
        self.index = {name: [predictor.metrics.index(part) for part in parts] for name, parts in groups.items()}
        self._graph: GraphBatch | None = None
        self._scores: tuple[Tensor, Tensor] | None = None

    def score(self, graph: GraphBatch, metric: str) -> tuple[Tensor, Tensor]:
        """``(b,)`` mean and std of the normal score of a guided metric."""
        if self._scores is None or self._graph is not graph:
            self._graph, self._scores = graph, self.predictor.score(graph)
        mean, std = (values[:, self.index[metric]] for values in self._scores)
        if mean.shape[1] == 1:
            return mean[:, 0], std[:, 0]
        return mean.mean(1), (std.square().mean(1) + mean.var(1, correction=0)).sqrt()

    def noise(self, metric: str) -> Tensor:
        """The std that is left for decided archs."""
        return self.predictor.noise()[self.index[metric]].mean()


class ObjectiveGuide(Guide):
    """Tilts towards an objective: ``f`` is the weighted sum of its metrics' normal scores, larger is better.

    The normal score of a random completion of ``x_t`` is modelled as Gaussian, so that
    ``V = strength * mean + strength^2 * spread^2 / 2``. ``spread`` is what the completions add to the noise that
    even decided archs have: the tilt shall reward possibilities, not a predictor's ignorance.

    Args:
        source: predicts the normal scores.
        objective: one or several metrics with their places.
        strength: standard deviations of the objective by which a Gaussian space would be shifted.
        weights: ``(rows, metrics)`` weights of the metrics for every sampled graph, summing to 1.
    """

    def __init__(self, source: ScoreSource, objective: Objective, strength: float, weights: Tensor) -> None:
        self.source = source
        self.objective = objective
        self.strength = strength
        self.weights = weights

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        total = torch.zeros(len(graph), device=graph.device)
        for column, metric in enumerate(self.objective.metrics):
            mean, std = self.source.score(graph, metric.name)
            tilt = self.strength * self.weights[row, column]
            sign = 1.0 if metric.kind.direction == "max" else -1.0
            spread = (std.square() - self.source.noise(metric.name).square()).clamp_min(0)
            total = total + tilt * sign * mean + tilt.square() * spread / 2
        return total


class ConstraintGuide(Guide):
    """The log-probability that a bound on a predicted metric holds.

    Args:
        source: predicts the normal scores.
        constraint: the bound, in the metric's unit.
    """

    def __init__(self, source: ScoreSource, constraint: Constraint) -> None:
        self.source = source
        self.constraint = constraint

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        mean, std = self.source.score(graph, self.constraint.metric.name)
        parts = self.source.index[self.constraint.metric.name]
        bound = np.mean([self.source.predictor.scores.score_of(part, self.constraint.bound) for part in parts])
        margin = (bound - mean) / std if self.constraint.relation == "<=" else (mean - bound) / std
        return torch.special.log_ndtr(margin)


class CostGuide(Guide):
    """The log-probability that a bound on an exactly computable cost holds.

    Costs are sums over slots, so the least and the greatest cost of a completion are exact: a choice after which
    no completion can satisfy the bound gets -inf. In between the sum over masked slots is modelled as Gaussian,
    each slot uniform over its operations.

    Args:
        space: knows the costs.
        task: what the networks are for.
        constraint: the bound on ``params_m`` or ``macs_m``.
    """

    def __init__(self, space: Space, task: Task, constraint: Constraint) -> None:
        base, table = space.slot_costs(task)[constraint.metric.kind.name]
        sign = 1.0 if constraint.relation == "<=" else -1.0
        allowed = torch.from_numpy(space.template.allowed)
        self.cost = torch.from_numpy(sign * table)
        self.bound = sign * (constraint.bound - base)
        count = allowed.sum(1)
        self.least = self.cost.masked_fill(~allowed, torch.inf).amin(1)
        self.mean = self.cost.masked_fill(~allowed, 0).sum(1) / count
        self.variance = ((self.cost - self.mean[:, None]) ** 2).masked_fill(~allowed, 0).sum(1) / count

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        masked = graph.ops.cpu() == MASK
        slots = torch.arange(masked.shape[1])
        decided = self.cost[slots, graph.ops.cpu().clamp_min(0)]
        # Sums of a few terms in another order than the final check may differ in the last bits.
        slack = 1e-9 * (1 + abs(self.bound))
        possible = torch.where(masked, self.least, decided).sum(1) <= self.bound + slack
        expected = torch.where(masked, self.mean, decided).sum(1)
        std = torch.where(masked, self.variance, 0.0).sum(1).sqrt().clamp_min(1e-9)
        margin = torch.where(masked.any(1), (self.bound + slack - expected) / std, 0.0)
        return torch.special.log_ndtr(margin).masked_fill(~possible, -torch.inf).float().to(graph.device)
