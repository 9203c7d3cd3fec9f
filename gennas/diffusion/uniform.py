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
        graph = self._as_drawn(start, torch_generator(seed))
        return Samples(tuple(arch for arch in graph.to_archs(self.space) if arch is not None), n)

    def filled(self, graph: GraphBatch, guides: Sequence[Guide], rng: torch.Generator) -> GraphBatch:
        """Guided where the space knows a distribution before its own rules; else as in uniform draws."""
        return self._completing.filled(graph, guides, rng) if self._completing else self._as_drawn(graph, rng)

    def _as_drawn(self, graph: GraphBatch, rng: torch.Generator) -> GraphBatch:
        """The graphs, each with its masked decisions as in a uniform draw."""
        numbers = np.random.default_rng(int(torch.randint(2**62, (), generator=rng)))
        drawn = [self.space.sample(numbers) for _ in range(len(graph))]
        masked, choices = graph.masked_decisions(), GraphBatch.from_archs(drawn, graph.template).choices()
        choices = torch.where(masked, choices, graph.choices())
        return graph.decide(torch.arange(choices.shape[1]).expand_as(choices), choices)
