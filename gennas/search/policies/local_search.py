"""Local search."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from gennas.arch import Arch
from gennas.problem import Problem
from gennas.search.base import EVALUATED, History, Policy, Proposal
from gennas.search.mutation import cost_feasibility, neighbours
from gennas.search.policies.fitness import fitness
from gennas.search.policies.random_search import fill_with_random
from gennas.spaces.functions import KeyOf


@dataclass(frozen=True, eq=False)
class LocalSearch(Policy):
    """Goes to a better neighbour as long as there is one, from the best of some random archs.

    White, Nolen and Savani, "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021 ("Local Search is
    State of the Art for NAS Benchmarks"), in the form that moves as soon as a batch has brought a better neighbour.
    Once an optimum has no new neighbour left, the next best random arch is climbed from; once all are, there are new
    ones. Several objectives: a neighbour is better on an earlier Pareto front of all archs so far.

    Args:
        problem: what is searched.
        starts: how many random archs there are at the beginning.
    """

    name = "local_search"
    problem: Problem
    starts: int = 10
    _around: dict[str, list[Arch]] = field(default_factory=dict, init=False, repr=False)

    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        if len(history.archs) < self.starts:
            return fill_with_random(self.problem, [], q, history, rng)
        values = fitness(self.problem, history)
        evaluated = {
            history.key_of(arch): value for arch, value in zip(history.archs, values, strict=True) if value > -np.inf
        }
        begun = [
            arch
            for arch, proposed_by in zip(history.archs, history.proposed_by, strict=True)
            if proposed_by in ("random", EVALUATED) and history.key_of(arch) in evaluated
        ]
        tops = {history.key_of(top): top for top in (self._top(start, evaluated, history.key_of) for start in begun)}
        is_feasible, taken = cost_feasibility(self.problem), history.taken
        proposals: list[Proposal] = []
        for top in sorted(tops.values(), key=lambda arch: -evaluated[history.key_of(arch)]):
            fresh = list(taken.untaken(self._near(top), is_feasible))
            chosen = rng.permutation(len(fresh))[: q - len(proposals)]
            proposals += [Proposal(fresh[row], "neighbour") for row in chosen]
            taken = history.taken.beside(proposal.arch for proposal in proposals)
            if len(proposals) == q:
                break
        return fill_with_random(self.problem, proposals, q, history, rng)

    def _top(self, arch: Arch, evaluated: dict[str, float], key_of: KeyOf) -> Arch:
        """The local optimum that climbing to the best evaluated neighbour reaches from an arch.

        A neighbour that counts as the same as an evaluated arch has its value.
        """
        while True:
            best = max(
                (other for other in self._near(arch) if key_of(other) in evaluated),
                key=lambda other: evaluated[key_of(other)],
                default=arch,
            )
            if evaluated[key_of(best)] <= evaluated[key_of(arch)]:
                return arch
            arch = best

    def _near(self, arch: Arch) -> list[Arch]:
        if arch.key not in self._around:
            self._around[arch.key] = neighbours(self.problem.space, arch, self.problem.among)
        return self._around[arch.key]
