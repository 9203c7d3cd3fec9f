"""Regularised evolution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gennas.problem import Problem
from gennas.search.base import EVALUATED, History, Policy, Proposal
from gennas.search.mutation import cost_feasibility, fresh_mutant
from gennas.search.policies.fitness import fitness
from gennas.search.policies.random_search import fill_with_random


@dataclass(frozen=True, eq=False)
class RegularisedEvolution(Policy):
    """The best of some archs of the youngest generation has a child; the oldest dies.

    Real, Aggarwal, Huang and Le, "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019. The
    population is the last ``population`` archs that were evaluated; what failed has no children. Archs that the user
    had evaluated have no age: the worst of them counts as the oldest. Several objectives: by Pareto front, at random
    within one.

    Args:
        problem: what is searched.
        population: how many archs live.
        sample: how many of them compete to be the parent.
    """

    name = "regularised_evolution"
    problem: Problem
    population: int = 20
    sample: int = 10

    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        values = fitness(self.problem, history)
        alive = np.flatnonzero(values > -np.inf)
        given = np.array([history.proposed_by[row] == EVALUATED for row in alive], dtype=bool)
        by_fitness = alive[given][np.argsort(values[alive[given]], kind="stable")]
        living = np.concatenate([by_fitness, alive[~given]])[-self.population :]
        born = self.first(min(q, max(self.population - len(history.archs), 0)), history, rng)
        if not len(living):
            return fill_with_random(self.problem, born, q, history, rng)
        is_feasible = cost_feasibility(self.problem)
        while len(born) < q:
            rivals = rng.permutation(living)[: self.sample]
            # The permutation decides among equals.
            parent = history.archs[rivals[values[rivals].argmax()]]
            taken = history.taken.beside(proposal.arch for proposal in born)
            child = fresh_mutant(self.problem.space, parent, rng, taken, is_feasible, among=self.problem.among)
            if child is None:
                break
            born.append(Proposal(child, "mutated"))
        return fill_with_random(self.problem, born, q, history, rng)

    def first(self, count: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        """What the first population is made of: random archs."""
        return fill_with_random(self.problem, [], count, history, rng)
