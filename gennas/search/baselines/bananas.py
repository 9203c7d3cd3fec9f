"""A BANANAS-style search: an ensemble of small networks on the path encoding, and mutants of the best."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from gennas.predictors.scores import normal_scores
from gennas.search.base import Policy, Problem, Proposal, Seen
from gennas.search.baselines.fitness import best_rows
from gennas.search.baselines.paths import encoded, paths_of
from gennas.search.baselines.random_search import topped_up
from gennas.search.mutate import cost_bounds, mutated


@dataclass(frozen=True, eq=False)
class Bananas(Policy):
    """Independent Thompson sampling by an ensemble, over mutants of the best archs so far.

    White, Neiswanger and Savani, "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture
    Search", AAAI 2021. Known here are the paths that occur in the archs so far, what is learnt are normal scores, and
    the networks are shallower than the published ones of ten layers. Several objectives: every pick weights the
    metrics at random, and takes the arch whose worst weighted metric is best. A mutant that breaks a bound in its draw
    comes after all that do not.

    Args:
        problem: what is searched.
        first: random archs at the beginning.
        members: networks of the ensemble.
        candidates: mutants that are drawn for every batch.
        parents: how many of the best archs are mutated.
        steps: of the training of each network.
    """

    name = "bananas"
    problem: Problem
    first: int = 10
    members: int = 5
    candidates: int = 200
    parents: int = 10
    steps: int = 150

    def propose(self, q: int, seen: Seen, rng: np.random.Generator) -> list[Proposal]:
        known = np.flatnonzero(~seen.failed & ~np.isnan(seen.values).any(1))
        best = best_rows(self.problem, seen, self.parents)
        if len(seen.archs) < self.first or len(known) < 2:
            return topped_up(self.problem, [], q, seen, rng)
        space, fits = self.problem.space, cost_bounds(self.problem)
        parents = [seen.archs[best[row]] for row in rng.integers(len(best), size=self.candidates)]
        children = {arch.key: arch for arch in mutated(space, parents, rng)}
        pool = [arch for key, arch in children.items() if key not in seen.keys and fits(arch)]
        if not pool:
            return topped_up(self.problem, [], q, seen, rng)
        told = paths_of(space, [seen.archs[row] for row in known])
        columns = sorted(frozenset().union(*told))
        targets = self._targets(seen.values[known])
        mean, std = fit_ensemble(
            encoded(told, columns), targets, encoded(paths_of(space, pool), columns), self.members, self.steps, rng
        )
        picked: list[int] = []
        for _ in range(min(q, len(pool))):
            draw = mean + std * rng.standard_normal(mean.shape)
            worth = self._worth(draw, rng)
            worth[picked] = -np.inf
            picked.append(int(worth.argmax()))
        proposals = [Proposal(pool[row], "mutated") for row in picked]
        return topped_up(self.problem, proposals, q, seen, rng)

    def _targets(self, values: np.ndarray) -> np.ndarray:
        """``(N, m + c)`` normal scores of the objective's gains, and by how much each bound is kept, in deviations."""
        columns = [normal_scores(gain) for gain in self.problem.gains(values).T]
        for bound in self.problem.where:
            column = values[:, self.problem.metrics.index(bound.metric)]
            kept = bound.bound - column if bound.relation == "<=" else column - bound.bound
            columns.append(kept / max(kept.std(), 1e-9))
        return np.stack(columns, axis=1)

    def _worth(self, draw: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        m = len(self.problem.objective.metrics)
        weights = rng.dirichlet(np.ones(m))
        worth = draw[:, 0] if m == 1 else (weights * (draw[:, :m] - draw[:, :m].max(0))).min(1)
        # Normal scores are never this far apart.
        return worth - 1e3 * (draw[:, m:] < 0).sum(1)


def fit_ensemble(
    inputs: np.ndarray, targets: np.ndarray, asked: np.ndarray, members: int, steps: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and std ``(A, t)`` over networks of three hidden layers, trained from different weights.

    Args:
        inputs: ``(N, f)``.
        targets: ``(N, t)``.
        asked: ``(A, f)``.
        members: how many networks.
        steps: of Adam on all archs at once.
        rng: of the weights.
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    widths = [inputs.shape[1], 64, 64, 64, targets.shape[1]]
    weights = [
        (torch.randn(members, i, o, generator=generator) * (2 / max(i, 1)) ** 0.5).requires_grad_()
        for i, o in pairwise(widths)
    ]
    biases = [torch.zeros(members, 1, o, requires_grad=True) for o in widths[1:]]

    def told(rows: torch.Tensor) -> torch.Tensor:
        """``(N, f) -> (members, N, t)``"""
        rows = rows.expand(members, -1, -1)
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            rows = torch.baddbmm(bias, rows.relu() if layer else rows, weight)
        return rows

    points, values = torch.from_numpy(inputs), torch.from_numpy(targets).float()
    optimiser = torch.optim.Adam([*weights, *biases], lr=0.01)
    with torch.enable_grad():
        for _ in range(steps):
            optimiser.zero_grad()
            # Members do not share weights: the sum trains each as if it were alone.
            (told(points) - values).square().mean((1, 2)).sum().backward()
            optimiser.step()
    with torch.no_grad():
        answers = told(torch.from_numpy(asked)).double()
    return answers.mean(0).numpy(), answers.std(0).numpy()
