"""Regularised evolution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gennas.problem import Problem
from gennas.search.base import Policy, Proposal, Seen
from gennas.search.mutation import cost_bounds, fresh_mutant
from gennas.search.policies.fitness import fitness
from gennas.search.policies.random_search import topped_up


@dataclass(frozen=True, eq=False)
class RegularisedEvolution(Policy):
    """The best of some archs of the youngest generation has a child; the oldest dies.

    Real, Aggarwal, Huang and Le, "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019. The
    population is the last ``population`` archs whose values are known; what failed has no children. Several objectives:
    by Pareto front, at random within one.

    Args:
        problem: what is searched.
        population: how many archs live.
        sample: how many of them compete to be the parent.
    """

    name = "regularised_evolution"
    problem: Problem
    population: int = 20
    sample: int = 10

    def propose(self, q: int, seen: Seen, rng: np.random.Generator) -> list[Proposal]:
        worth = fitness(self.problem, seen)
        living = np.flatnonzero(worth > -np.inf)[-self.population :]
        born = self.first(min(q, max(self.population - len(seen.archs), 0)), seen, rng)
        if not len(living):
            return topped_up(self.problem, born, q, seen, rng)
        fits = cost_bounds(self.problem)
        while len(born) < q:
            rivals = rng.permutation(living)[: self.sample]
            # The permutation decides among equals.
            parent = seen.archs[rivals[worth[rivals].argmax()]]
            taken = seen.keys | {proposal.arch.key for proposal in born}
            child = fresh_mutant(self.problem.space, parent, rng, taken, fits)
            if child is None:
                break
            born.append(Proposal(child, "mutated"))
        return topped_up(self.problem, born, q, seen, rng)

    def first(self, count: int, seen: Seen, rng: np.random.Generator) -> list[Proposal]:
        """What the first population is made of: random archs."""
        return topped_up(self.problem, [], count, seen, rng)
