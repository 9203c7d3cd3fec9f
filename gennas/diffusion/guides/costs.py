"""Guides for costs that are computed, not predicted: parameters and multiply-adds."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gennas.arch import Arch
from gennas.diffusion.guides.base import ForesightGuide
from gennas.errors import InfeasibleError
from gennas.graph import MASK, GraphBatch, decisions_of
from gennas.metrics import Constraint, Metric
from gennas.spaces import Space
from gennas.tasks import Task

#: Archs to which a sum over decisions is fitted where costs are no sums.
FITTED_ARCHS = 2000


class CostModel:
    """A cost of partly masked graphs, as a sum over their decisions.

    Exact where the space says that its costs are sums over slots. Elsewhere the logarithm of the cost is fitted as a
    sum by least squares to the exact costs of sampled archs, and guides treat what it misses as noise; whole archs are
    then checked by :meth:`gennas.spaces.Space.costs`.

    Args:
        space: knows the costs.
        task: what the networks are for.
        metric: ``params_m`` or ``macs_m``.

    Attributes:
        scale: what the sum is of: the cost, or its logarithm.
        base: what is there whatever the decisions.
        table: ``(D, c)`` what every choice of every decision adds.
        frequency: ``(D, c)`` how frequent every choice is among all archs.
        residual: std of what the sum misses; 0 where it is exact.
    """

    def __init__(self, space: Space, task: Task, metric: Metric) -> None:
        self.space, self.task, self.metric = space, task, metric
        self.template = space.template
        allowed = decisions_of(self.template).allowed
        slot_costs = space.slot_costs(task)
        self.scale: Callable[[float], float] = float if slot_costs is not None else math.log
        if slot_costs is None:
            self._fit(allowed)
            return
        base, table = slot_costs[metric.kind.name]
        fixed = np.setdiff1d(np.arange(len(table)), self.template.free_slots)
        self.base = base + float(table[fixed, self.template.allowed.argmax(1)[fixed]].sum())
        self.table = torch.zeros(allowed.shape, dtype=torch.double)
        slots = len(self.template.free_slots)
        self.table[:slots, : table.shape[1]] = torch.from_numpy(table[list(self.template.free_slots)])
        self.frequency = allowed.double() / allowed.sum(1, keepdim=True)
        self.residual = 0.0

    def _fit(self, allowed: Tensor) -> None:
        rng = np.random.default_rng(0)
        archs = [self.space.sample(rng) for _ in range(FITTED_ARCHS)]
        costs = torch.tensor([self.scale(self.of(arch)) for arch in archs], dtype=torch.double)
        ops, edges = self.space.permuted(*self.space.arrays(archs), rng)
        choices = GraphBatch.from_arrays(ops, edges, self.template).choices()
        made = torch.nn.functional.one_hot(choices, allowed.shape[1]).double()  # (N, D, c)
        self.frequency = made.mean(0)
        features = (made - self.frequency).flatten(1)
        # Choices of one decision sum to one, so that the smallest solution is asked for.
        solution = np.linalg.lstsq(features.numpy(), (costs - costs.mean()).numpy())[0]
        self.table = torch.from_numpy(solution).view(allowed.shape)
        self.base = float(costs.mean() - (self.frequency * self.table).sum())
        self.residual = float((costs - costs.mean() - features @ torch.from_numpy(solution)).std())

    def of(self, arch: Arch) -> float:
        """The exact cost of an arch."""
        return self.space.costs(arch, self.task)[self.metric.kind.name]

    def range(self) -> tuple[float, float] | None:
        """The least and the greatest cost of any arch of the template; None where they are not known."""
        if self.residual:
            return None
        allowed = decisions_of(self.template).allowed
        least = self.table.masked_fill(~allowed, torch.inf).amin(1).sum()
        greatest = self.table.masked_fill(~allowed, -torch.inf).amax(1).sum()
        return self.base + float(least), self.base + float(greatest)

    def check(self, constraint: Constraint) -> None:
        """Refuses a bound on this cost that no arch can keep, where that is known.

        Raises:
            InfeasibleError: no arch keeps it; says the best reachable value.
        """
        if (known := self.range()) is None:
            return
        word, reachable = ("smallest", known[0]) if constraint.relation == "<=" else ("largest", known[1])
        if not constraint.holds(reachable):
            raise InfeasibleError(
                f"no {self.space.name} arch keeps '{constraint}': the {word} {constraint.metric.name} for task "
                f"{self.task.name!r} is {reachable:.6g}. Loosen this bound."
            )

    def moments(self) -> tuple[Tensor, Tensor]:
        """``(D,)`` mean and variance of what every decision adds."""
        mean = (self.table * self.frequency).sum(1)
        return mean, ((self.table - mean[:, None]).square() * self.frequency).sum(1)


def sums(graph: GraphBatch, decisions: Tensor, table: Tensor, masked: Tensor) -> Tensor:
    """Sums over decisions, of graphs and of what their next decisions make of them: ``(b, 1 + q * c)``.

    Args:
        graph: ``b`` partly masked graphs.
        decisions: ``(b, q)`` masked decisions, each taken alone.
        table: ``(D, c)``, or ``(b, D, c)``, what every choice counts.
        masked: ``(D,)``, or ``(b, D)``, what a masked decision counts.
    """
    b = len(graph)
    choices = graph.choices().cpu()
    table, masked = table.expand(b, *table.shape[-2:]), masked.expand(b, masked.shape[-1])
    made = table.gather(2, choices.clamp_min(0)[..., None]).squeeze(-1)
    now = torch.where(choices == MASK, masked, made).sum(1, keepdim=True)
    row, decisions = torch.arange(b)[:, None], decisions.cpu()
    then = (now - masked.gather(1, decisions))[..., None] + table[row, decisions]  # (b, q, c)
    return torch.cat([now, then.flatten(1)], dim=1)


class CostGuide(ForesightGuide):
    """A guide whose log-values follow from sums over decisions."""

    def __init__(self, costs: CostModel) -> None:
        self.costs = costs

    @abstractmethod
    def of_sums(self, graph: GraphBatch, row: Tensor, decisions: Tensor) -> Tensor:
        """``(b, 1 + q * c)`` log-values of graphs and of what their next decisions make of them."""

    def at_once(self, graph: GraphBatch, row: Tensor, decisions: Tensor) -> Tensor:
        return self.of_sums(graph, row, decisions).float().to(graph.device)


class CostConstraintGuide(CostGuide):
    """The log-probability that a bound on a cost holds.

    Where costs are sums, the least and the greatest cost of a completion are exact: a choice after which no
    completion can satisfy the bound gets -inf. In between the sum over masked decisions is modelled as Gaussian.

    Args:
        costs: the constrained cost.
        constraint: the bound, in the cost's unit.
    """

    def __init__(self, costs: CostModel, constraint: Constraint) -> None:
        super().__init__(costs)
        self.sign = 1.0 if constraint.relation == "<=" else -1.0
        self.bound = self.sign * (costs.scale(max(constraint.bound, 1e-12)) - costs.base)

    def of_sums(self, graph: GraphBatch, row: Tensor, decisions: Tensor) -> Tensor:
        table = self.sign * self.costs.table
        mean, variance = self.costs.moments()
        expected = sums(graph, decisions, table, self.sign * mean)
        std = (sums(graph, decisions, torch.zeros_like(table), variance) + self.costs.residual**2).sqrt()
        log_values = torch.special.log_ndtr((self.bound - expected) / std.clamp_min(1e-12))
        if self.costs.residual:
            return log_values
        # Sums of a few terms in another order than the final check may differ in the last bits.
        slack = 1e-9 * (1 + abs(self.bound))
        least = table.masked_fill(~decisions_of(self.costs.template).allowed, torch.inf).amin(1)
        room = self.bound + slack - sums(graph, decisions, table, least)
        return torch.where(std > 0, log_values, 0.0).masked_fill(room < 0, -torch.inf)


class CostObjectiveGuide(CostGuide):
    """Tilts towards a low cost; exact where costs are sums over slots that are uniform and independent.

    ``f`` is the cost (or its logarithm, see :class:`CostModel`) in standard deviations of the space, negated, so that
    ``V = sum over made decisions of s f_d + sum over masked ones of log E_v exp(s f_d(v))``.

    Args:
        costs: the cost to be minimised.
        strength: as for :class:`gennas.diffusion.guides.predicted.ObjectiveGuide`.
        weights: weight of this metric in the objective, ``(rows,)`` one for every sampled graph; 1 where not given.
    """

    def __init__(self, costs: CostModel, strength: float, weights: Tensor | None = None) -> None:
        super().__init__(costs)
        self.strength = strength
        self.weights = weights
        mean, variance = costs.moments()
        self.scores = -(costs.table - mean[:, None]) / (variance.sum() + costs.residual**2).sqrt().clamp_min(1e-12)

    def of_sums(self, graph: GraphBatch, row: Tensor, decisions: Tensor) -> Tensor:
        weights = torch.ones(len(row)) if self.weights is None else self.weights.cpu()[row.cpu()]
        exponent = (self.strength * weights.double())[:, None, None] * self.scores  # (b, D, c)
        masked = (exponent + self.costs.frequency.log()).logsumexp(2)
        return sums(graph, decisions, exponent, masked)
