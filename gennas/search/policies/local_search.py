"""Local search."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from gennas.arch import Arch
from gennas.problem import Problem
from gennas.search.base import Policy, Proposal, Seen
from gennas.search.mutation import cost_bounds, neighbours
from gennas.search.policies.fitness import fitness
from gennas.search.policies.random_search import topped_up


@dataclass(frozen=True, eq=False)
class LocalSearch(Policy):
    """Goes to a better neighbour as long as there is one, from the best of some random archs.

    White, Nolen and Savani, "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021 ("Local Search is
    State of the Art for NAS Benchmarks"), in the form that moves as soon as a batch has brought a better neighbour.
    Once an optimum has no unknown neighbour left, the next best random arch is climbed from; once all are, there are
    new ones. Several objectives: a neighbour is better on an earlier Pareto front of all archs so far.

    Args:
        problem: what is searched.
        starts: how many random archs there are at the beginning.
    """

    name = "local_search"
    problem: Problem
    starts: int = 10
    _around: dict[str, list[Arch]] = field(default_factory=dict, init=False, repr=False)

    def propose(self, q: int, seen: Seen, rng: np.random.Generator) -> list[Proposal]:
        if len(seen.archs) < self.starts:
            return topped_up(self.problem, [], q, seen, rng)
        values = fitness(self.problem, seen)
        worth = {arch.key: value for arch, value in zip(seen.archs, values, strict=True) if value > -np.inf}
        begun = [
            arch
            for arch, origin in zip(seen.archs, seen.origins, strict=True)
            if origin == "random" and arch.key in worth
        ]
        tops = {top.key: top for top in (self._top(start, worth) for start in begun)}
        fits, taken = cost_bounds(self.problem), set(seen.keys)
        proposals: list[Proposal] = []
        for top in sorted(tops.values(), key=lambda arch: -worth[arch.key]):
            fresh = [arch for arch in self._near(top) if arch.key not in taken and fits(arch)]
            chosen = rng.permutation(len(fresh))[: q - len(proposals)]
            proposals += [Proposal(fresh[row], "neighbour") for row in chosen]
            taken |= {proposal.arch.key for proposal in proposals}
            if len(proposals) == q:
                break
        return topped_up(self.problem, proposals, q, seen, rng)

    def _top(self, arch: Arch, worth: dict[str, float]) -> Arch:
        """Where one comes from an arch by going to the best known neighbour again and again."""
        while True:
            best = max(
                (other for other in self._near(arch) if other.key in worth), key=lambda o: worth[o.key], default=arch
            )
            if worth[best.key] <= worth[arch.key]:
                return arch
            arch = best

    def _near(self, arch: Arch) -> list[Arch]:
        if arch.key not in self._around:
            self._around[arch.key] = neighbours(self.problem.space, arch)
        return self._around[arch.key]
