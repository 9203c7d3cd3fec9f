"""NSGA-II, for several objectives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gennas.errors import DataMissingError
from gennas.problem import Problem
from gennas.search.base import History, Policy, Proposal
from gennas.search.mutation import cost_feasibility, crossed, fresh_mutant, mutated
from gennas.search.policies.fitness import violation
from gennas.search.policies.random_search import fill_with_random


@dataclass(frozen=True, eq=False)
class Nsga2(Policy):
    """Parents by tournament of front and crowding, children by uniform crossover and mutation, the elite survives.

    Deb, Pratap, Agarwal and Meyarivan, "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE TEVC 2002.
    Survival and tournament are pymoo's. The generations are made again from the order of the proposals, every
    ``population`` archs being one; archs of an unfinished generation compete already. What failed has no children.

    Args:
        problem: what is searched.
        population: how many archs survive.
        crossover: how often a child has two parents.
        mutation: how often one of its decisions is changed; always where it would not be new.
    """

    name = "nsga2"
    problem: Problem
    population: int = 20
    crossover: float = 0.9
    mutation: float = 0.6

    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        evaluated = np.flatnonzero(~history.failed & ~history.pending)
        random = fill_with_random(self.problem, [], min(q, max(self.population - len(history.archs), 0)), history, rng)
        if len(random) == q or len(evaluated) < 2:
            return fill_with_random(self.problem, random, q, history, rng)
        survivors = self._survivors(history, evaluated)
        space, is_feasible, born = self.problem.space, cost_feasibility(self.problem), random
        while len(born) < q:
            mother, father = (history.archs[row] for row in _parents(survivors, rng))
            child = crossed(space, mother, father, rng) if rng.random() < self.crossover else None
            child = child or mother
            if rng.random() < self.mutation:
                (child,) = mutated(space, [child], rng, self.problem.among)
            taken = history.taken.beside(proposal.arch for proposal in born)
            fresh = (
                child
                if child not in taken and is_feasible(child)
                else fresh_mutant(space, child, rng, taken, is_feasible, among=self.problem.among)
            )
            if fresh is None:
                break
            born.append(Proposal(fresh, "born"))
        return fill_with_random(self.problem, born, q, history, rng)

    def _survivors(self, history: History, evaluated: np.ndarray) -> Any:
        """pymoo's population, each individual with its ``row``."""
        try:
            from pymoo.core.population import Population
            from pymoo.core.problem import Problem as Shape
            from pymoo.operators.survival.rank_and_crowding import RankAndCrowding
        except ImportError as error:
            raise DataMissingError(f"nsga2 needs pymoo ({error}); install it: pip install 'gennas[bench]'") from error
        values = history.values[evaluated]
        gains = self.problem.gains(values)
        broken = violation(self.problem, values) + np.isnan(gains).any(1)
        everyone = Population.new(F=-np.nan_to_num(gains), G=broken[:, None])
        everyone.set("row", evaluated)
        shape = Shape(n_var=1, n_obj=gains.shape[1], n_ieq_constr=1)
        alive = everyone[:0]
        for first in range(0, len(evaluated), self.population):
            rivals = Population.merge(alive, everyone[first : first + self.population])
            # Replayed generations must come out the same every time.
            alive = RankAndCrowding().do(
                shape, rivals, n_survive=self.population, random_state=np.random.default_rng(0)
            )
        return alive


def _parents(survivors: Any, rng: np.random.Generator) -> tuple[int, int]:
    """Rows of two parents, each the winner of a tournament of two."""
    from pymoo.algorithms.moo.nsga2 import NSGA2, binary_tournament
    from pymoo.operators.selection.tournament import TournamentSelection

    # It says how a tournament is decided; the comparison draws lots from it.
    algorithm = NSGA2()
    algorithm.random_state = rng
    chosen = TournamentSelection(func_comp=binary_tournament).do(
        None, survivors, 1, 2, to_pop=False, algorithm=algorithm, random_state=rng
    )
    mother, father = (int(survivors[row].get("row")) for row in chosen[0])
    return mother, father
