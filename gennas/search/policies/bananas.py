"""A BANANAS-style search: an ensemble of small networks on the path encoding, and mutants of the best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gennas.problem import Problem
from gennas.search.base import Policy, Proposal, Seen
from gennas.search.mutation import cost_bounds, mutated
from gennas.search.policies.ensemble import fit_ensemble
from gennas.search.policies.fitness import best_rows, targets
from gennas.search.policies.path_encoding import encoded, paths_of
from gennas.search.policies.random_search import topped_up


@dataclass(frozen=True, eq=False)
class Bananas(Policy):
    """Independent Thompson sampling by an ensemble, over mutants of the best archs so far.

    White, Neiswanger and Savani, "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture
    Search", AAAI 2021. Known here are the paths that occur in the archs so far, what is learnt are normal scores, and
    the networks are shallower than the published ones of ten layers. Several objectives: every pick weights the
    metrics at random, and takes the arch whose worst weighted metric is best. A mutant that breaks a bound in its draw
    comes after all that do not, by how far it does.

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
        learnt = targets(self.problem, seen.values[known])
        mean, std = fit_ensemble(
            encoded(told, columns), learnt, encoded(paths_of(space, pool), columns), self.members, self.steps, rng
        )
        picked: list[int] = []
        for _ in range(min(q, len(pool))):
            draw = mean + std * rng.standard_normal(mean.shape)
            worth = self._worth(draw, rng)
            worth[picked] = -np.inf
            picked.append(int(worth.argmax()))
        proposals = [Proposal(pool[row], "mutated") for row in picked]
        return topped_up(self.problem, proposals, q, seen, rng)

    def _worth(self, draw: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        m = len(self.problem.objective.metrics)
        weights = rng.dirichlet(np.ones(m))
        worth = draw[:, 0] if m == 1 else (weights * (draw[:, :m] - draw[:, :m].max(0))).min(1)
        broken = draw[:, m:].clip(max=0).sum(1)
        # Normal scores are never this far apart.
        return np.where(broken < 0, broken - 1e3, worth)
