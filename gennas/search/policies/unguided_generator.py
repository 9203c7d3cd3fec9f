"""A generator without a surrogate: archs as an unguided diffusion model draws them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from gennas.checkpoint import Checkpoint
from gennas.diffusion.generator import Generator
from gennas.errors import DataMissingError
from gennas.part_files import pretrain_command
from gennas.problem import Problem
from gennas.search.base import History, Policy, Proposal
from gennas.search.mutation import cost_feasibility
from gennas.search.policies.random_search import fill_with_random

#: Graphs that are drawn at once, and how often at most for a batch.
DRAWN, ROUNDS = 64, 20


@dataclass(frozen=True, eq=False)
class UnguidedGenerator(Policy):
    """What a generator makes, without any surrogate of the evaluations: what is left of a search without its surrogate.

    Args:
        problem: what is searched.
        checkpoint: a name of ``gennas list checkpoints``, or a folder; the one named as the space by default.

    Raises:
        DataMissingError: there is no generator of the space; uniform draws are policy ``random``.
    """

    name = "generator"
    uses_generator = True
    problem: Problem
    checkpoint: str | None = None

    def __post_init__(self) -> None:
        source = self._source
        if source is None or "generator" not in source.parts:
            raise DataMissingError(
                f"policy 'generator' needs a generator of space {self.problem.space.name!r}; train one: "
                + pretrain_command("generator", self.problem.space)
            )

    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        space, is_feasible = self.problem.space, cost_feasibility(self.problem)
        source = torch.Generator().manual_seed(int(rng.integers(2**62)))
        found: list[Proposal] = []
        taken = history.taken
        for _ in range(ROUNDS):
            drawn = space.canonicalised(self._generator.sample(DRAWN, seed=source).archs)
            new = list(taken.untaken(drawn, is_feasible))
            found += [Proposal(arch, "generated") for arch in new]
            taken = taken.beside(new)
            if len(found) >= q:
                break
        return fill_with_random(self.problem, found[:q], q, history, rng)

    @cached_property
    def _generator(self) -> Generator:
        assert self._source is not None
        return self._source.generator(self.problem.space)

    @cached_property
    def _source(self) -> Checkpoint | None:
        space = self.problem.space
        return Checkpoint(self.checkpoint, space) if self.checkpoint else Checkpoint.for_space(space)
