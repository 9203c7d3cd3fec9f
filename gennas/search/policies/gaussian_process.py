"""Gaussian processes without a generator: BoTorch over random archs and mutants of the best."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from gennas.arch import Arch
from gennas.predictors.features import GraphFeatures
from gennas.problem import Problem
from gennas.search.base import History, Policy, Proposal
from gennas.search.inputs import Inputs
from gennas.search.mutation import cost_feasibility, mutated, random_archs
from gennas.search.policies.fitness import best_rows, targets
from gennas.search.policies.noisy_ei import picked
from gennas.search.policies.random_search import fill_with_random, likely_random
from gennas.search.success import Success

if TYPE_CHECKING:
    from gpytorch.kernels import Kernel


@dataclass(frozen=True, eq=False)
class NoisyImprovement(Policy):
    """Noisy expected improvement of a Gaussian process, one pick after the other.

    Ament, Daulton, Eriksson, Balandat and Bakshy, "Unexpected Improvements to Expected Improvement for Bayesian
    Optimization", NeurIPS 2023: qLogNEI for one objective, qLogNEHVI for several. Modelled are normal scores of the
    objective, and by how much each bound is kept; where evaluations failed, improvements count times the probability
    of success. The reference point is the worst of the archs so far, by metric, and
    a tenth of their range further.

    Args:
        problem: what is searched.
        first: random archs at the beginning.
        candidates: archs to choose from, half of them random, half mutants.
        parents: how many of the best archs are mutated.
        steps: of the fit, at most.
    """

    problem: Problem
    first: int = 10
    candidates: int = 200
    parents: int = 10
    steps: int = 75

    @abstractmethod
    def points(self, archs: list[Arch]) -> np.ndarray:
        """``(N, d)`` what the process sees of archs."""

    def kernel(self) -> Kernel | None:
        """The covariance over points, a new one for every metric; None for BoTorch's own."""
        return None

    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        # What broke a bound says so, although nothing else of it was evaluated.
        evaluated = np.flatnonzero(~history.failed & np.isfinite(history.values).any(1))
        success = Success.of(self._inputs, history) if history.failed.any() else None
        known = np.isfinite(history.values[evaluated])
        # Improvements are over what was evaluated whole.
        if len(history.archs) < self.first or known.sum(0).min() < 2 or not known.all(1).any():
            return likely_random(self.problem, q, history, rng, success)
        pool = self._pool(history, rng)
        if not pool:
            return []
        archs = [history.archs[row] for row in evaluated]
        running = [arch for arch, waits in zip(history.archs, history.pending, strict=True) if waits]
        points = torch.from_numpy(self.points([*archs, *running, *(arch for arch, _ in pool)]))
        x, pending, choices = points.split([len(evaluated), len(running), len(pool)])
        y = torch.from_numpy(targets(self.problem, history.values[evaluated]))
        m, seed = len(self.problem.objective.metrics), int(rng.integers(2**62))
        likely = None if success is None else success.log_probability_of([arch for arch, _ in pool])
        rows = picked(
            x,
            y,
            pending,
            choices,
            kernel_of=self.kernel,
            m=m,
            q=min(q, len(pool)),
            steps=self.steps,
            seed=seed,
            log_success=likely,
        )
        proposals = [Proposal(pool[row][0], pool[row][1], value) for row, value in rows]
        return fill_with_random(self.problem, proposals, q, history, rng)

    def _pool(self, history: History, rng: np.random.Generator) -> list[tuple[Arch, str]]:
        space, is_feasible = self.problem.space, cost_feasibility(self.problem)
        best = best_rows(self.problem, history, self.parents)
        half = self.candidates // 2
        parents = [history.archs[best[row]] for row in rng.integers(len(best), size=half)] if best else []
        mutants = list(history.taken.untaken(mutated(space, parents, rng, self.problem.among), is_feasible))
        taken = history.taken.beside(mutants)
        random = random_archs(space, self.candidates - half, rng, taken, is_feasible, self.problem.among)
        return [*((arch, "mutated") for arch in mutants), *((arch, "random") for arch in random)]

    @cached_property
    def _inputs(self) -> Inputs:
        return Inputs(self.problem.space, self.problem.task, ())


@dataclass(frozen=True, eq=False)
class GaussianProcess(NoisyImprovement):
    """Noisy expected improvement of a Gaussian process on features of graphs; see :class:`NoisyImprovement`.

    Args:
        problem: what is searched.
        first: random archs at the beginning.
        candidates: archs to choose from, half of them random, half mutants.
        parents: how many of the best archs are mutated.
        steps: of the fit, at most.
        components: principal ones of the features: among all of them, which are many, everything is far from everything
            else, and the process does nothing but explore.
    """

    name = "gp"
    components: int = 12
    _features: dict[str, np.ndarray] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def _describe(self) -> GraphFeatures:
        return GraphFeatures(self.problem.space)

    def points(self, archs: list[Arch]) -> np.ndarray:
        """``(N, components)``, the first of which has standard deviation 1 over the archs."""
        new = [arch for arch in archs if arch.key not in self._features]
        if new:
            rows = self._describe.of(new, self.problem.task)
            self._features.update({arch.key: row for arch, row in zip(new, rows, strict=True)})
        features = np.stack([self._features[arch.key] for arch in archs])
        std = features.std(0)
        scaled = ((features - features.mean(0)) / np.where(std > 1e-9, std, 1)).clip(-3, 3)
        left, sizes, _ = np.linalg.svd(scaled - scaled.mean(0), full_matrices=False)
        parts = (left * sizes)[:, : self.components]
        return parts / max(parts[:, 0].std(), 1e-9)
