"""A Gaussian process without a generator: BoTorch on features of graphs, over random archs and mutants of the best."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gennas.arch import Arch
from gennas.predictors.features import GraphFeatures
from gennas.predictors.scores import normal_scores
from gennas.search.base import Policy, Problem, Proposal, Seen
from gennas.search.baselines.fitness import best_rows
from gennas.search.baselines.random_search import topped_up
from gennas.search.mutate import cost_bounds, mutated, random_archs

if TYPE_CHECKING:
    from botorch.acquisition import AcquisitionFunction


@dataclass(frozen=True, eq=False)
class GaussianProcess(Policy):
    """Noisy expected improvement of a Gaussian process, one pick after the other.

    Ament, Daulton, Eriksson, Balandat and Bakshy, "Unexpected Improvements to Expected Improvement for Bayesian
    Optimization", NeurIPS 2023: qLogNEI for one objective, qLogNEHVI for several. What is modelled are normal scores of
    the objective, and how far each bound is kept. The reference point is the worst of the archs so far, by metric, and
    a tenth of their range further.

    Args:
        problem: what is searched.
        first: random archs at the beginning.
        candidates: archs to choose from, half of them random, half mutants.
        parents: how many of the best archs are mutated.
        components: principal ones of the features: among all of them, which are many, everything is far from everything
            else, and the process does nothing but explore.
        steps: of the fit, at most.
    """

    name = "gp"
    problem: Problem
    first: int = 10
    candidates: int = 200
    parents: int = 10
    components: int = 12
    steps: int = 75
    _told: dict[str, np.ndarray] = field(default_factory=dict, init=False, repr=False)

    def propose(self, q: int, seen: Seen, rng: np.random.Generator) -> list[Proposal]:
        known = np.flatnonzero(~seen.failed & ~np.isnan(seen.values).any(1))
        if len(seen.archs) < self.first or len(known) < 2:
            return topped_up(self.problem, [], q, seen, rng)
        pool = self._pool(seen, rng)
        if not pool:
            return []
        archs = [seen.archs[row] for row in known]
        running = [arch for arch, waits in zip(seen.archs, seen.pending, strict=True) if waits]
        points = torch.from_numpy(self._components([*archs, *running, *(arch for arch, _ in pool)]))
        x, pending, choices = points.split([len(known), len(running), len(pool)])
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            torch.manual_seed(int(rng.integers(2**62)))
            # That the optimiser stops at its limit is meant, and archs that compute the same have equal features.
            warnings.simplefilter("ignore")
            rows = self._picked(x, self._targets(seen.values[known]), pending, choices, min(q, len(pool)))
        proposals = [Proposal(pool[row][0], pool[row][1], worth) for row, worth in rows]
        return topped_up(self.problem, proposals, q, seen, rng)

    def _pool(self, seen: Seen, rng: np.random.Generator) -> list[tuple[Arch, str]]:
        space, fits = self.problem.space, cost_bounds(self.problem)
        best = best_rows(self.problem, seen, self.parents)
        half = self.candidates // 2
        parents = [seen.archs[best[row]] for row in rng.integers(len(best), size=half)] if best else []
        pool = {arch.key: (arch, "mutated") for arch in mutated(space, parents, rng)}
        pool = {key: pair for key, pair in pool.items() if key not in seen.keys and fits(pair[0])}
        random = random_archs(space, self.candidates - half, rng, seen.keys | pool.keys(), fits)
        return [*pool.values(), *((arch, "random") for arch in random)]

    @cached_property
    def _describe(self) -> GraphFeatures:
        return GraphFeatures(self.problem.space)

    def _components(self, archs: list[Arch]) -> np.ndarray:
        """``(N, components)``, the first of which has standard deviation 1 over the archs."""
        new = [arch for arch in archs if arch.key not in self._told]
        if new:
            told = self._describe.of(new, self.problem.task)
            self._told.update({arch.key: row for arch, row in zip(new, told, strict=True)})
        features = np.stack([self._told[arch.key] for arch in archs])
        spread = features.std(0)
        scaled = ((features - features.mean(0)) / np.where(spread > 1e-9, spread, 1)).clip(-3, 3)
        left, sizes, _ = np.linalg.svd(scaled - scaled.mean(0), full_matrices=False)
        parts = (left * sizes)[:, : self.components]
        return parts / max(parts[:, 0].std(), 1e-9)

    def _targets(self, values: np.ndarray) -> Tensor:
        """``(N, m + c)`` normal scores of the gains, then what is above 0 where a bound is broken, in deviations."""
        columns = [normal_scores(gain) for gain in self.problem.gains(values).T]
        for bound in self.problem.where:
            column = values[:, self.problem.metrics.index(bound.metric)]
            broken = column - bound.bound if bound.relation == "<=" else bound.bound - column
            columns.append(broken / max(broken.std(), 1e-9))
        return torch.from_numpy(np.stack(columns, axis=1))

    def _picked(self, x: Tensor, y: Tensor, pending: Tensor, choices: Tensor, q: int) -> list[tuple[int, float]]:
        acquisition = self._acquisition(x, y)
        rows: list[tuple[int, float]] = []
        for _ in range(q):
            waiting = torch.cat([pending, *(choices[row][None] for row, _ in rows)])
            acquisition.set_X_pending(waiting if len(waiting) else None)
            with torch.no_grad():
                worth = acquisition(choices[:, None])
            worth[[row for row, _ in rows]] = -torch.inf
            rows.append((int(worth.argmax()), float(worth.max())))
        return rows

    def _acquisition(self, x: Tensor, y: Tensor) -> AcquisitionFunction:
        from botorch.acquisition.logei import qLogNoisyExpectedImprovement
        from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
        from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
        from botorch.acquisition.objective import GenericMCObjective
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import ModelListGP, SingleTaskGP
        from botorch.sampling import SobolQMCNormalSampler
        from gpytorch.mlls import ExactMarginalLogLikelihood

        models = []
        for column in y.T:
            model = SingleTaskGP(x, column[:, None])
            mll = ExactMarginalLogLikelihood(model.likelihood, model)
            fit_gpytorch_mll(mll, optimizer_kwargs={"options": {"maxiter": self.steps}})
            models.append(model)
        model = models[0] if len(models) == 1 else ModelListGP(*models)
        m = len(self.problem.objective.metrics)
        columns = range(m, y.shape[1])
        bounds: list[Callable[[Tensor], Tensor]] | None = [partial(_column, index=c) for c in columns] or None
        sampler = SobolQMCNormalSampler(torch.Size([64]), seed=0)
        if m == 1:
            objective = GenericMCObjective(_first) if bounds else None
            return qLogNoisyExpectedImprovement(model, x, sampler, objective, constraints=bounds)
        low, high = y[:, :m].min(0).values, y[:, :m].max(0).values
        return qLogNoisyExpectedHypervolumeImprovement(
            model, low - 0.1 * (high - low), x, sampler, IdentityMCMultiOutputObjective(list(range(m))),
            constraints=bounds, prune_baseline=True,
        )  # fmt: skip


def _column(samples: Tensor, index: int) -> Tensor:
    return samples[..., index]


def _first(samples: Tensor, X: Tensor | None = None) -> Tensor:
    return samples[..., 0]
