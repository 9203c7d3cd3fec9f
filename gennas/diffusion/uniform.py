"""UniformGenerator: what draws archs of a space for which no generator was trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from gennas.diffusion.exact_denoiser import ExactDenoiser
from gennas.diffusion.generator import Generator, Samples, torch_generator
from gennas.diffusion.guides.base import Guide
from gennas.diffusion.sampler import SamplerConfig
from gennas.graph import GraphBatch
from gennas.spaces import Space


class UniformGenerator(Generator):
    """Draws archs as :meth:`gennas.spaces.Space.sample` does; there is nothing to train, and nothing to guide.

    Partial archs and mutations are completed from the distribution that the space knows before rules of its own, if it
    knows one, or else as in such a draw. Guides are not asked: what is drawn must be chosen from afterwards.

    Args:
        space: the space.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        undecided = np.full((1, len(space.template.slots)), -1)
        knows = space.probabilities(undecided) is not None
        self._completing = Generator(space, ExactDenoiser(space)) if knows else None

    def _decided(
        self, start: GraphBatch, n: int, guides: Sequence[Guide], sampling: SamplerConfig, seed: int | torch.Generator
    ) -> Samples:
        start = start[torch.arange(n)]
        if not start.masked_decisions().all() and self._completing is not None:
            return self._completing._decided(start, n, (), sampling, seed)
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=torch_generator(seed))))
        drawn = GraphBatch.from_archs([self.space.sample(rng) for _ in range(n)], self.space.template).choices()
        choices = torch.where(start.masked_decisions(), drawn, start.choices())
        graph = start.decide(torch.arange(choices.shape[1]).expand_as(choices), choices)
        return Samples(tuple(arch for arch in graph.to_archs(self.space) if arch is not None), n)
