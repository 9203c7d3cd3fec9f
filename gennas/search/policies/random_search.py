"""Random search; how every other method begins, and what it falls back to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gennas.problem import Problem
from gennas.search.base import History, Policy, Proposal
from gennas.search.mutation import cost_feasibility, random_archs
from gennas.search.success import DRAWS, Success, drawn_by


@dataclass(frozen=True, eq=False)
class RandomSearch(Policy):
    """Archs as the space samples them.

    Li and Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019.

    Args:
        problem: what is searched.
    """

    name = "random"
    problem: Problem

    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        return fill_with_random(self.problem, [], q, history, rng)


def likely_random(
    problem: Problem, q: int, history: History, rng: np.random.Generator, success: Success | None
) -> list[Proposal]:
    """Random archs, drawn the more often the likelier their evaluations are to succeed."""
    if success is None:
        return fill_with_random(problem, [], q, history, rng)
    drawn = fill_with_random(problem, [], DRAWS * q, history, rng)
    rows = drawn_by(success.log_probability_of([proposal.arch for proposal in drawn]), q, rng)
    return [drawn[row] for row in rows]


def fill_with_random(
    problem: Problem, proposals: Sequence[Proposal], q: int, history: History, rng: np.random.Generator
) -> list[Proposal]:
    """Proposals, and random archs beside them until there are ``q``."""
    taken = history.taken.beside(proposal.arch for proposal in proposals)
    archs = random_archs(problem.space, q - len(proposals), rng, taken, cost_feasibility(problem), problem.among)
    return [*proposals, *(Proposal(arch, "random") for arch in archs)]
