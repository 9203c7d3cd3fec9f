"""Sampling: masked decisions are made step by step, guided by sequential Monte Carlo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from gennas.diffusion.guides.base import Guide
from gennas.graph import MASK, GraphBatch

#: Graphs and decisions ``(b, q)`` -> log-probabilities of their choices ``(b, q, c)``, -inf for forbidden ones.
LogProbs = Callable[[GraphBatch, Tensor], Tensor]

#: Lower limit of log-values: its ``exp`` is 0, but differences are finite.
FLOOR = -1e4


@dataclass(frozen=True)
class SamplerConfig:
    """Settings of the sampling.

    Attributes:
        steps: maximum number of network calls. If a graph has more decisions, several are made per step as if they
            were independent; with one per step, unguided sampling follows the denoiser's distribution exactly.
        particles: size of an island, the guided graphs that are resampled together; 1 disables resampling.
        corrections: number of Metropolis-Hastings steps on every guided graph.
    """

    steps: int = 32
    particles: int = 64
    corrections: int = 4


class SamplerOutput(NamedTuple):
    """Decided graphs, and how reliable the guidance was.

    Attributes:
        graph: the decided graphs.
        effective_share: the lowest effective sample size of any step, as a fraction of the particles, averaged over
            islands; 1 if the guides' log-values of partly masked graphs were exact, near 0 if they were misleading.
    """

    graph: GraphBatch
    effective_share: float


class Sampler(Protocol):
    """A sampling algorithm, such as :func:`sample`."""

    def __call__(
        self,
        log_probs: LogProbs,
        graph: GraphBatch,
        rng: torch.Generator,
        guides: Sequence[Guide] = (),
        sampling: SamplerConfig = ...,
    ) -> SamplerOutput:
        """Makes all masked decisions of the graphs; see :func:`sample` for the arguments."""
        ...


@torch.inference_mode()
def sample(
    log_probs: LogProbs,
    graph: GraphBatch,
    rng: torch.Generator,
    guides: Sequence[Guide] = (),
    sampling: SamplerConfig = SamplerConfig(),
) -> SamplerOutput:
    """Makes all masked decisions of ``graph``; decisions already made never change.

    The target distribution is ``p(x) * exp(sum of the guides' log-values of x)``. The masked decisions of every graph
    are made in random order; a choice ``v`` is drawn with probability proportional to ``p(v | graph) * exp(sum of the
    guides' log-values of the graph with v decided)``. This would be exact if the log-values of partly masked graphs
    were. As they are estimates, their errors are corrected by sequential Monte Carlo (Del Moral, Doucet and Jasra,
    "Sequential Monte Carlo samplers", 2006; for diffusion Wu et al., "Practical and Asymptotically Exact Conditional
    Sampling in Diffusion Models", NeurIPS 2023): a step multiplies a graph's weight by ``p / proposal * exp(new
    log-value - old log-value)``, and islands of ``sampling.particles`` graphs are resampled when their weights become
    uneven. Finally ``sampling.corrections`` Metropolis-Hastings steps, which mask one decision and redraw it, make the
    copies diverse and leave the target invariant.

    Args:
        log_probs: ``p``, the log-probabilities of a denoiser.
        graph: ``b`` partly masked graphs; if guided, ``b`` must be a multiple of ``sampling.particles``. The graphs of
            an island may differ.
        rng: source of all randomness; guides do not draw from it, so guides of strength 0 change nothing.
        guides: their log-values are added; they must treat the graphs of an island alike.
        sampling: steps, particles and corrections.

    Raises:
        ValueError: the number of guided graphs is not a multiple of the particles.
    """
    active = [guide for guide in guides if guide.strength != 0]
    if active and len(graph) % sampling.particles:
        raise ValueError(f"{len(graph)} guided graphs; must be a multiple of {sampling.particles} particles")
    masked = graph.masked_decisions()
    most = int(masked.sum(1).max()) if len(graph) else 0
    if most == 0:
        return SamplerOutput(graph, 1.0)
    # Masked decisions come first, in a random order for every graph.
    order = torch.rand(masked.shape, generator=rng).to(graph.device).masked_fill(~masked, 2.0).argsort(dim=1)
    particles = _Particles(log_probs, graph, order, rng, active, sampling)
    per_step = -(-most // sampling.steps)
    for start in range(0, most, per_step):
        particles.step(start, min(start + per_step, most))
    if not active:
        return SamplerOutput(particles.graph, 1.0)
    particles.finish()
    for _ in range(sampling.corrections):
        particles.correct()
    return SamplerOutput(particles.graph, float(particles.effective.mean()))


class _Particles:
    """Partly masked graphs with their weights, as they are being sampled."""

    def __init__(
        self,
        log_probs: LogProbs,
        graph: GraphBatch,
        order: Tensor,
        rng: torch.Generator,
        guides: Sequence[Guide],
        sampling: SamplerConfig,
    ) -> None:
        self.log_probs, self.graph, self.order, self.rng = log_probs, graph, order, rng
        #: Decisions that were masked at the start, and may be resampled.
        self.free = graph.masked_decisions()
        self.guides, self.sampling = guides, sampling
        self.row = torch.arange(len(graph), device=graph.device)
        self.log_weights = torch.zeros(len(graph), device=graph.device)
        #: Scaled log-values that the weights already include.
        self.weighted_values: Tensor | None = None
        #: Lowest effective sample size of every island so far, as a fraction of its particles.
        self.effective = torch.ones(1, device=graph.device)

    def values(self, graph: GraphBatch, decisions: Tensor) -> tuple[Tensor, Tensor]:
        """Summed log-values of the graphs ``(b,)`` and of all choices of the given decisions ``(b, q, c)``."""
        now, then = zip(*(guide.values(graph, self.row, decisions) for guide in self.guides), strict=True)
        return torch.stack(now).sum(0).clamp_min(FLOOR), torch.stack(then).sum(0).clamp_min(FLOOR)

    def step(self, start: int, end: int) -> None:
        """Makes decisions ``start`` to ``end`` of every graph's order."""
        decisions = self.order[:, start:end]
        if self.guides:
            now, then = self.values(self.graph, decisions)
            ancestor = self.reweight(now)
            if self.sampling.particles > 1:
                decisions, then = decisions[ancestor], then[ancestor]
        log_p = self.log_probs(self.graph, decisions)  # (b, q, c)
        # Drawn on the CPU, so that a seed gives the same samples on every device.
        gumbel = -torch.empty(log_p.shape).exponential_(generator=self.rng).log().to(log_p.device)
        current = self.graph.choices().gather(1, decisions)
        proposal = (log_p + then).log_softmax(-1) if self.guides else log_p
        choice = torch.where(current == MASK, (proposal + gumbel).argmax(-1), current)
        if self.guides:
            drawn = choice[..., None].clamp_min(0)
            gain = (log_p - proposal).gather(2, drawn).squeeze(-1)
            self.log_weights = self.log_weights + torch.where(current == MASK, gain, 0.0).sum(1)
        self.graph = self.graph.decide(decisions, choice)

    def reweight(self, values: Tensor, always: bool = False) -> Tensor:
        """Updates the weights for new log-values and resamples uneven islands; returns the ancestors ``(b,)``."""
        if self.weighted_values is not None:
            self.log_weights = self.log_weights + values - self.weighted_values
        self.weighted_values = values
        if self.sampling.particles == 1:
            return self.row
        weights = self.log_weights.view(-1, self.sampling.particles).softmax(1)
        effective = 1 / weights.square().sum(1) / self.sampling.particles  # (islands,)
        self.effective = effective.minimum(self.effective)
        resampled = ((effective < 0.5) | always).repeat_interleave(self.sampling.particles)
        ancestor = torch.where(resampled, systematic(weights, self.rng), self.row)
        self.log_weights = torch.where(resampled, 0.0, self.log_weights)
        self.graph, self.order, self.free = self.graph[ancestor], self.order[ancestor], self.free[ancestor]
        self.weighted_values = values[ancestor]
        return ancestor

    def finish(self) -> None:
        """Resamples the decided graphs, so that all weights are equal."""
        now, _ = self.values(self.graph, self.order[:, :0])
        self.reweight(now, always=True)

    def correct(self) -> None:
        """One Metropolis-Hastings step on one free decision of every graph."""
        free = self.free
        draws = torch.rand(free.shape, generator=self.rng).to(free.device).masked_fill(~free, -1.0)
        decisions = draws.argmax(dim=1, keepdim=True)
        remasked = torch.zeros_like(free).scatter(1, decisions, True) & free
        masked = self.graph.with_mask(remasked)
        _, then = self.values(masked, decisions)
        log_p = self.log_probs(masked, decisions).squeeze(1)
        proposal = (log_p + then.squeeze(1)).log_softmax(-1)
        gumbel = -torch.empty(log_p.shape).exponential_(generator=self.rng).log().to(log_p.device)
        current = self.graph.choices().gather(1, decisions)
        choice = (proposal + gumbel).argmax(-1, keepdim=True)
        proposed = masked.decide(decisions, torch.where(remasked.gather(1, decisions), choice, current))
        value, _ = self.values(proposed, decisions[:, :0])
        assert self.weighted_values is not None
        gain = (log_p - proposal).gather(1, choice) - (log_p - proposal).gather(1, current)
        log_accept = gain.squeeze(1) + value - self.weighted_values
        uniform = torch.rand(len(decisions), generator=self.rng).log().to(log_accept.device)
        accepted = uniform < log_accept
        choices = torch.where(accepted[:, None], proposed.choices(), self.graph.choices())
        every = torch.arange(choices.shape[1], device=choices.device).expand_as(choices)
        self.graph = self.graph.decide(every, choices)
        self.weighted_values = torch.where(accepted, value, self.weighted_values)


def systematic(weights: Tensor, rng: torch.Generator) -> Tensor:
    """``(islands * particles,)`` rows drawn by systematic resampling from weights ``(islands, particles)``.

    Kitagawa 1996: with one uniform number per island, a particle of weight ``w`` gets ``w * particles`` copies, rounded
    up or down. The rows of an island are shuffled, so that any of them is a draw from the island's weights.
    """
    islands, size = weights.shape
    start = torch.rand(islands, 1, generator=rng).to(weights.device)
    points = (torch.arange(size, device=weights.device) + start) / size
    chosen = torch.searchsorted(weights.cumsum(1).contiguous(), points).clamp_max(size - 1)
    shuffled = chosen.gather(1, torch.rand(islands, size, generator=rng).to(weights.device).argsort(dim=1))
    return (shuffled + torch.arange(islands, device=weights.device)[:, None] * size).flatten()
