"""A BANANAS-style search: an ensemble of small networks on the path encoding, and mutants of the best."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gennas.problem import Problem
from gennas.search.base import History, Policy, Proposal
from gennas.search.inputs import Inputs
from gennas.search.mutation import cost_feasibility, mutated
from gennas.search.policies.ensemble import fit_ensemble
from gennas.search.policies.fitness import best_rows, targets
from gennas.search.policies.path_encoding import encoded, paths_of
from gennas.search.policies.random_search import fill_with_random, likely_random
from gennas.search.success import Success


@dataclass(frozen=True, eq=False)
class Bananas(Policy):
    """Independent Thompson sampling by an ensemble, over mutants of the best archs so far.

    White, Neiswanger and Savani, "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture
    Search", AAAI 2021. Paths are those that occur in the archs so far, targets are normal scores, and
    the networks are shallower than the published ones of ten layers. Several objectives: every pick weights the
    metrics at random, and takes the arch whose worst weighted metric is best. A mutant that breaks a bound in its draw
    comes after all that do not, by how far it does; where evaluations failed, those that fail in their draw come last.

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

    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        # What broke a bound says so, although nothing else of it was evaluated.
        evaluated = np.flatnonzero(~history.failed & np.isfinite(history.values).any(1))
        best = best_rows(self.problem, history, self.parents)
        success = Success.of(self._inputs, history) if history.failed.any() else None
        if len(history.archs) < self.first or len(evaluated) < 2:
            return likely_random(self.problem, q, history, rng, success)
        space, is_feasible = self.problem.space, cost_feasibility(self.problem)
        parents = [history.archs[best[row]] for row in rng.integers(len(best), size=self.candidates)]
        pool = list(history.taken.untaken(mutated(space, parents, rng, self.problem.among), is_feasible))
        if not pool:
            return fill_with_random(self.problem, [], q, history, rng)
        paths = paths_of(space, [history.archs[row] for row in evaluated])
        columns = sorted(frozenset().union(*paths))
        values = targets(self.problem, history.values[evaluated])
        mean, std = fit_ensemble(
            encoded(paths, columns), values, encoded(paths_of(space, pool), columns), self.members, self.steps, rng
        )
        picked: list[int] = []
        for _ in range(min(q, len(pool))):
            draw = mean + std * rng.standard_normal(mean.shape)
            score = self._scalarised(draw, rng)
            if success is not None:
                # Nor is a broken bound ever this far from what is kept.
                score[rng.random(len(pool)) > np.exp(success.log_probability_of(pool))] -= 1e6
            score[picked] = -np.inf
            picked.append(int(score.argmax()))
        proposals = [Proposal(pool[row], "mutated") for row in picked]
        return fill_with_random(self.problem, proposals, q, history, rng)

    @cached_property
    def _inputs(self) -> Inputs:
        return Inputs(self.problem.space, self.problem.task, ())

    def _scalarised(self, draw: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        m = len(self.problem.objective.metrics)
        weights = rng.dirichlet(np.ones(m))
        score = draw[:, 0] if m == 1 else (weights * (draw[:, :m] - draw[:, :m].max(0))).min(1)
        broken = draw[:, m:].clip(max=0).sum(1)
        # Normal scores are never this far apart.
        return np.where(broken < 0, broken - 1e3, score)
