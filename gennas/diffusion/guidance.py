"""Guides bend the sampling: each says how much a partly masked graph is worth.

The target is ``p(x) * exp(strength * f(x))``. At a partly masked graph ``x_t`` the exact log-value is
``V(x_t) = log E[exp(strength * f(x)) | x_t]``; guides add their log-values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from gennas.diffusion.memo import GraphMemo
from gennas.graph import MASK, GraphBatch
from gennas.metrics import Constraint, Metric
from gennas.predictors.base import Predictor, mixture
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
    """Normal scores for all guides of a sampling; every graph is scored by the predictor once.

    Args:
        predictor: the predictor.
        groups: guided metric name -> the predicted metrics whose normal scores are averaged for it.
    """

    def __init__(self, predictor: Predictor, groups: Mapping[str, Sequence[str]]) -> None:
        self.predictor = predictor.eval()
        self.index = {name: [predictor.metrics.index(part) for part in parts] for name, parts in groups.items()}
        self._memo = GraphMemo(lambda graph: torch.stack(predictor.score(graph), dim=1))
        self._graph: GraphBatch | None = None
        self._scores = torch.empty(0)

    def score(self, graph: GraphBatch, metric: str) -> tuple[Tensor, Tensor]:
        """``(b,)`` mean and std of the normal score of a guided metric."""
        if self._graph is not graph:
            self._graph, self._scores = graph, self._memo(graph)  # (b, 2, m)
        mean, std = self._scores[..., self.index[metric]].unbind(1)
        return mixture(mean, std)

    def noise(self, metric: str) -> Tensor:
        """The std that is left for decided archs."""
        return self.predictor.noise()[self.index[metric]].mean()


class ObjectiveGuide(Guide):
    """Tilts towards better values of a predicted metric: ``f`` is its normal score, negated if smaller is better.

    The normal score of a random completion of ``x_t`` is modelled as Gaussian, so that
    ``V = strength * mean + strength^2 * spread^2 / 2``. ``spread`` is what the completions add to the noise that
    even decided archs have: the tilt shall reward possibilities, not a predictor's ignorance.

    Args:
        source: predicts the normal scores.
        metric: the metric, with its place.
        strength: standard deviations by which a Gaussian space would be shifted.
        weights: ``(rows,)`` weight of this metric in the objective of every sampled graph.
    """

    def __init__(self, source: ScoreSource, metric: Metric, strength: float, weights: Tensor) -> None:
        self.source = source
        self.metric = metric
        self.strength = strength
        self.weights = weights

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        mean, std = self.source.score(graph, self.metric.name)
        tilt = (self.strength * self.weights[row]).to(graph.device)
        spread = (std.square() - self.source.noise(self.metric.name).square()).clamp_min(0)
        return tilt * self.metric.kind.sign * mean + tilt.square() * spread / 2


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
        normal_scores = self.source.predictor.scores
        bound = float(np.mean([normal_scores.score_of(part, self.constraint.bound) for part in parts]))
        margin = (bound - mean) / std if self.constraint.relation == "<=" else (mean - bound) / std
        return torch.special.log_ndtr(margin)


class SlotCosts:
    """An exactly computable cost of partly masked graphs, as a sum over slots.

    Args:
        space: knows the costs.
        task: what the networks are for.
        metric: ``params_m`` or ``macs_m``.

    Attributes:
        base: cost of the skeleton.
        table: ``(n, k)`` cost of every choice of every slot.
        allowed: ``(n, k)`` which choices there are.
    """

    def __init__(self, space: Space, task: Task, metric: Metric) -> None:
        self.base, table = space.slot_costs(task)[metric.kind.name]
        self.table = torch.from_numpy(table)
        self.allowed = torch.from_numpy(space.template.allowed)

    def over_slots(self, graph: GraphBatch, masked_value: Tensor, table: Tensor) -> Tensor:
        """``(b,)`` sums of ``table`` at the decided slots and of ``masked_value (n,)`` at the masked ones."""
        ops = graph.ops.cpu()
        slots = torch.arange(ops.shape[1])
        return torch.where(ops == MASK, masked_value, table[slots, ops.clamp_min(0)]).sum(1)

    def range(self) -> tuple[float, float]:
        """The least and the greatest cost of any arch of the template."""
        least = self.table.masked_fill(~self.allowed, torch.inf).amin(1).sum()
        greatest = self.table.masked_fill(~self.allowed, -torch.inf).amax(1).sum()
        return self.base + float(least), self.base + float(greatest)

    def moments(self) -> tuple[Tensor, Tensor]:
        """``(n,)`` mean and variance of every slot's cost when its operation is uniform."""
        count = self.allowed.sum(1)
        mean = self.table.masked_fill(~self.allowed, 0).sum(1) / count
        return mean, ((self.table - mean[:, None]) ** 2).masked_fill(~self.allowed, 0).sum(1) / count


class CostConstraintGuide(Guide):
    """The log-probability that a bound on an exactly computable cost holds.

    The least and the greatest cost of a completion are exact: a choice after which no completion can satisfy the
    bound gets -inf. In between the sum over masked slots is modelled as Gaussian, each slot uniform.

    Args:
        costs: the constrained cost.
        constraint: the bound, in the cost's unit.
    """

    def __init__(self, costs: SlotCosts, constraint: Constraint) -> None:
        self.costs = costs
        self.sign = 1.0 if constraint.relation == "<=" else -1.0
        self.bound = self.sign * (constraint.bound - costs.base)
        self.least = (self.sign * costs.table).masked_fill(~costs.allowed, torch.inf).amin(1)
        self.mean, self.variance = costs.moments()

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        table = self.sign * self.costs.table
        # Sums of a few terms in another order than the final check may differ in the last bits.
        slack = 1e-9 * (1 + abs(self.bound))
        room = self.bound + slack - self.costs.over_slots(graph, self.least, table)
        expected = self.costs.over_slots(graph, self.sign * self.mean, table)
        std = self.costs.over_slots(graph, self.variance, torch.zeros_like(table)).sqrt()
        margin = torch.where(std > 0, (self.bound - expected) / std.clamp_min(1e-12), torch.inf)
        return torch.special.log_ndtr(margin).masked_fill(room < 0, -torch.inf).float().to(graph.device)


class CostObjectiveGuide(Guide):
    """Tilts towards a low cost; exact for slots that are uniform and independent.

    ``f`` is the cost in standard deviations of the uniform distribution over the template, negated, so that
    ``V = sum over decided slots of s f_i + sum over masked slots of log mean_v exp(s f_i(v))``.

    Args:
        costs: the cost to be minimised.
        strength: as for :class:`ObjectiveGuide`.
        weights: ``(rows,)`` weight of this metric in the objective of every sampled graph.
    """

    def __init__(self, costs: SlotCosts, strength: float, weights: Tensor) -> None:
        self.costs = costs
        self.strength = strength
        self.weights = weights
        mean, variance = costs.moments()
        self.scores = -(costs.table - mean[:, None]) / variance.sum().sqrt().clamp_min(1e-12)

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        tilt = (self.strength * self.weights[row]).cpu().double()
        count = self.costs.allowed.sum(1).double().log()
        exponent = tilt[:, None, None] * self.scores  # (b, n, k)
        masked = exponent.masked_fill(~self.costs.allowed, -torch.inf).logsumexp(2) - count
        ops = graph.ops.cpu()
        decided = exponent.gather(2, ops.clamp_min(0)[..., None]).squeeze(-1)
        return torch.where(ops == MASK, masked, decided).sum(1).float().to(graph.device)
