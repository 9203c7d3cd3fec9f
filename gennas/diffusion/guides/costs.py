"""Guides for exact costs: parameters and multiply-adds."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from gennas.arch import Arch, PartialArch
from gennas.diffusion.additive import frequencies
from gennas.diffusion.guides.base import ForesightGuide
from gennas.diffusion.guides.joint_costs import GREATEST, LEAST, MEAN, VARIANCE, JointCosts
from gennas.errors import InfeasibleError
from gennas.graph import MASK, GraphBatch, decisions_of
from gennas.metrics import Constraint, Metric
from gennas.spaces import Space
from gennas.spaces.costs import all_costs, cost_terms_of, slot_costs_of
from gennas.spaces.terms import CostTerm
from gennas.tasks import Task

#: Sampled archs to which a sum over decisions is fitted if costs are not additive.
FITTED_ARCHS = 2000


class CostModel:
    """A cost of partly masked graphs, as a sum over their decisions.

    Exact if the space defines :meth:`gennas.spaces.Space.slot_costs` or :meth:`gennas.spaces.Space.cost_terms`.
    Otherwise the logarithm of the cost is modelled as a sum, fitted by least squares to the costs of sampled archs, and
    guides treat the residual as noise; whole archs are then checked with :meth:`gennas.spaces.Space.costs`.

    Args:
        space: the space.
        task: the task of the networks.
        metric: ``params_m``, ``macs_m`` or ``size_mb``.

    Attributes:
        scale: maps a cost to the quantity that is summed: the cost itself, or its logarithm.
        base: the part of the sum that does not depend on decisions.
        table: ``(D, c)`` contribution of every choice of every decision.
        frequency: ``(D, c)`` frequency of every choice among all archs.
        joint: terms of several slots, which are no sums over decisions.
        residual: std of the residual; 0 if the sum is exact.
    """

    def __init__(self, space: Space, task: Task, metric: Metric) -> None:
        self.space, self.task, self.metric = space, task, metric
        self.template = space.template
        allowed = decisions_of(self.template).allowed
        slot_costs = slot_costs_of(space, task, metric.kind.name)
        terms = cost_terms_of(space, task, metric.kind.name) if slot_costs is None else None
        is_sum = slot_costs is not None or terms is not None
        self.joint = JointCosts([], self.template)
        self.scale: Callable[[float], float] = float if is_sum else math.log
        if slot_costs is not None:
            base, table = slot_costs
        elif terms is not None:
            base, table = self._of_terms(*terms)
        else:
            self._fit(allowed)
            return
        fixed = np.setdiff1d(np.arange(len(table)), self.template.free_slots)
        self.base = base + float(table[fixed, self.template.allowed.argmax(1)[fixed]].sum())
        self.table = torch.zeros(allowed.shape, dtype=torch.double)
        slots = len(self.template.free_slots)
        self.table[:slots, : table.shape[1]] = torch.from_numpy(table[list(self.template.free_slots)])
        self.frequency = frequencies(space)
        self.residual = 0.0

    def _of_terms(self, base: float, terms: Sequence[CostTerm]) -> tuple[float, np.ndarray]:
        """The constant, and the table of the terms of one slot; the others become :attr:`joint`."""
        table = np.zeros((len(self.template.slots), len(self.template.vocabulary)))
        for term in terms:
            if len(term.slots) == 1:
                table[term.slots[0], self.template.allowed[term.slots[0]]] += term.values
        self.joint = JointCosts([term for term in terms if len(term.slots) > 1], self.template)
        return base, table

    def _fit(self, allowed: Tensor) -> None:
        rng = np.random.default_rng(0)
        archs = [self.space.sample(rng) for _ in range(FITTED_ARCHS)]
        costs = torch.tensor([self.scale(self.of(arch)) for arch in archs], dtype=torch.double)
        ops, edges = self.space.permuted(*self.space.arrays(archs), rng)
        choices = GraphBatch.from_arrays(ops, edges, self.template).choices()
        made = torch.nn.functional.one_hot(choices, allowed.shape[1]).double()  # (N, D, c)
        self.frequency = made.mean(0)
        features = (made - self.frequency).flatten(1)
        # Features are collinear, as the choices of a decision sum to one; lstsq returns the minimum-norm solution.
        solution = np.linalg.lstsq(features.numpy(), (costs - costs.mean()).numpy())[0]
        self.table = torch.from_numpy(solution).view(allowed.shape)
        self.base = float(costs.mean() - (self.frequency * self.table).sum())
        self.residual = float((costs - costs.mean() - features @ torch.from_numpy(solution)).std())

    def of(self, arch: Arch) -> float:
        """The exact cost of an arch."""
        return all_costs(self.space, arch, self.task)[self.metric.kind.name]

    def of_graphs(self, graph: GraphBatch) -> Tensor:
        """``(b,)`` exact costs of decided graphs, at once where they are sums."""
        if self.residual:
            archs = graph.to_archs(self.space)
            return torch.tensor([math.nan if arch is None else self.of(arch) for arch in archs], dtype=torch.double)
        nothing, masked = graph.no_decision(), torch.zeros(len(self.table), dtype=torch.double)
        joint = self.joint.sums(graph, nothing, (MEAN,))[0, :, 0]
        return self.base + sums(graph, nothing, self.table, masked)[:, 0] + joint

    def scores(self, archs: Sequence[Arch]) -> Tensor:
        """``(N,)`` how much better than usual the costs of archs are, in standard deviations of the space."""
        return self.scores_of(torch.tensor([self.of(arch) for arch in archs], dtype=torch.double))

    def scores_of(self, costs: Tensor) -> Tensor:
        """:meth:`scores` of archs with these costs ``(N,)``."""
        summed = costs if self.scale is float else costs.log()
        mean, _ = self.moments()
        usual = self.base + mean.sum() + self.joint.undecided(MEAN)
        return self.metric.kind.sign * (summed - usual) / self.std

    def range(self, fixed: PartialArch | None = None) -> tuple[float, float] | None:
        """Bounds of the cost of any arch, or of those that complete a partial one; None if the sum is not exact.

        Sums over slots reach them. What terms of several slots are at least and at most may not go together.
        """
        if self.residual:
            return None
        template, allowed = self.template, decisions_of(self.template).allowed
        start = (
            GraphBatch.undecided_batch(template, 1) if fixed is None else GraphBatch.from_partial(fixed, template, 1)
        )
        least = self.table.masked_fill(~allowed, torch.inf).amin(1)
        greatest = self.table.masked_fill(~allowed, -torch.inf).amax(1)
        nothing = start.no_decision()
        joint_least, joint_greatest = self.joint.sums(start, nothing, (LEAST, GREATEST))[:, 0, 0].tolist()
        return (
            self.base + float(sums(start, nothing, self.table, least)[0, 0]) + joint_least,
            self.base + float(sums(start, nothing, self.table, greatest)[0, 0]) + joint_greatest,
        )

    def check(self, constraint: Constraint) -> None:
        """Checks that a bound on this cost can be satisfied, if the range of costs is known.

        Raises:
            InfeasibleError: no arch satisfies the bound; the message has the best reachable value.
        """
        if (cost_range := self.range()) is None:
            return
        word, reachable = ("smallest", cost_range[0]) if constraint.relation == "<=" else ("largest", cost_range[1])
        if constraint.holds(reachable):
            return
        name, of_task = constraint.metric.name, f"for task {self.task.name!r}"
        if self.space.has_rules or self.joint.slots:
            # What each choice costs least may not go together.
            limit = f"{name} {of_task} is {'at least' if word == 'smallest' else 'at most'} {reachable:.6g}"
        else:
            limit = f"the {word} {name} {of_task} is {reachable:.6g}"
        raise InfeasibleError(f"no {self.space.name} arch satisfies '{constraint}': {limit}. Loosen this bound.")

    def moments(self) -> tuple[Tensor, Tensor]:
        """``(D,)`` mean and variance of the contribution of every decision."""
        mean = (self.table * self.frequency).sum(1)
        return mean, ((self.table - mean[:, None]).square() * self.frequency).sum(1)

    @property
    def std(self) -> Tensor:
        """Standard deviation of the summed quantity over all archs, as if terms were independent."""
        _, variance = self.moments()
        total = variance.sum() + self.joint.undecided(VARIANCE) + self.residual**2
        return total.sqrt().clamp_min(1e-12)


def sums(graph: GraphBatch, decisions: Tensor, table: Tensor, masked: Tensor) -> Tensor:
    """``(b, 1 + q * c)`` sums over decisions, of graphs and of their continuations by one decision.

    Args:
        graph: ``b`` partly masked graphs.
        decisions: ``(b, q)`` masked decisions, each considered on its own.
        table: ``(D, c)`` or ``(b, D, c)`` contributions of the choices.
        masked: ``(D,)`` or ``(b, D)`` contributions of masked decisions.
    """
    b = len(graph)
    if not (table.any() or masked.any()):
        return torch.zeros(b, 1 + decisions.shape[1] * table.shape[-1], dtype=table.dtype)
    choices = graph.choices().cpu()
    table, masked = table.expand(b, *table.shape[-2:]), masked.expand(b, masked.shape[-1])
    made = table.gather(2, choices.clamp_min(0)[..., None]).squeeze(-1)
    now = torch.where(choices == MASK, masked, made).sum(1, keepdim=True)
    row, decisions = torch.arange(b)[:, None], decisions.cpu()
    then = (now - masked.gather(1, decisions))[..., None] + table[row, decisions]  # (b, q, c)
    return torch.cat([now, then.flatten(1)], dim=1)


class CostGuide(ForesightGuide):
    """A guide whose log-values are functions of sums over decisions."""

    def __init__(self, costs: CostModel) -> None:
        self.costs = costs

    @abstractmethod
    def of_sums(self, graph: GraphBatch, row: Tensor, decisions: Tensor) -> Tensor:
        """``(b, 1 + q * c)`` log-values of graphs and of their continuations by one decision."""

    def at_once(self, graph: GraphBatch, row: Tensor, decisions: Tensor) -> Tensor:
        return self.of_sums(graph, row, decisions).float().to(graph.device)


class CostConstraintGuide(CostGuide):
    """The log-probability that a bound on a cost holds.

    The sum over masked decisions is modelled as Gaussian. If costs are exact sums, a choice after which no completion
    can satisfy the bound gets -inf.

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
        columns = (MEAN, VARIANCE, LEAST if self.sign > 0 else GREATEST)
        joint_mean, joint_variance, joint_extreme = self.costs.joint.sums(graph, decisions, columns)
        expected = sums(graph, decisions, table, self.sign * mean) + self.sign * joint_mean
        noise = sums(graph, decisions, torch.zeros_like(table), variance) + joint_variance
        std = (noise + self.costs.residual**2).sqrt()
        log_values = torch.special.log_ndtr((self.bound - expected) / std.clamp_min(1e-12))
        if self.costs.residual:
            return log_values
        # The final check sums in another order, so that results may differ in the last bits.
        tolerance = 1e-9 * (1 + abs(self.bound))
        least = table.masked_fill(~decisions_of(self.costs.template).allowed, torch.inf).amin(1)
        margin = self.bound + tolerance - sums(graph, decisions, table, least) - self.sign * joint_extreme
        return torch.where(std > 0, log_values, 0.0).masked_fill(margin < 0, -torch.inf)


class CostObjectiveGuide(CostGuide):
    """Tilts towards a low cost, or a high one where that is asked for.

    It is exact if costs are sums over slots that are uniform and independent.

    Terms of several slots count with their mean and variance as if they were Gaussian.

    ``f`` is the negated cost (or its logarithm, see :class:`CostModel`) in standard deviations of the space, so that
    ``V = sum over made decisions of s f_d + sum over masked ones of log E_v exp(s f_d(v))``.

    Args:
        costs: the cost to minimise or, by the direction of its metric, to maximise.
        strength: as for :class:`gennas.diffusion.guides.predicted.ObjectiveGuide`.
        weights: ``(rows,)`` weight of this metric in the objective, for every sampled graph; 1 by default.
    """

    def __init__(self, costs: CostModel, strength: float, weights: Tensor | None = None) -> None:
        super().__init__(costs)
        self.strength = strength
        self.weights = weights
        mean, _ = costs.moments()
        self.scores = -(costs.table - mean[:, None]) / costs.std

    def of_sums(self, graph: GraphBatch, row: Tensor, decisions: Tensor) -> Tensor:
        weights = torch.ones(len(row)) if self.weights is None else self.weights.cpu()[row.cpu()]
        weights = -self.costs.metric.kind.sign * weights
        exponent = (self.strength * weights.double())[:, None, None] * self.scores  # (b, D, c)
        masked = (exponent + self.costs.frequency.log()).logsumexp(2)
        joint, tilt = self.costs.joint, (self.strength * weights.double() / self.costs.std)[:, None]
        joint_mean, joint_variance = joint.sums(graph, decisions, (MEAN, VARIANCE))
        gaussian = -tilt * (joint_mean - joint.undecided(MEAN)) + tilt.square() * joint_variance / 2
        return sums(graph, decisions, exponent, masked) + gaussian
