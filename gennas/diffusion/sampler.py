"""Sampling: undecided graphs are decided step by step, as particles that guides weigh."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from gennas.diffusion.guides.base import Guide
from gennas.graph import MASK, GraphBatch

#: Graphs and decisions ``(b, q)`` -> log-probabilities of their choices ``(b, q, c)``, -inf for forbidden ones.
LogProbs = Callable[[GraphBatch, Tensor], Tensor]
#: Share of the decisions made, 0 to 1 -> factor on the guides' log-values; whole graphs always count in full.
Schedule = Callable[[float], float]

#: A log-value that is as good as none: ``exp`` of it is 0, and yet differences of two are numbers.
FLOOR = -1e4


@dataclass(frozen=True)
class SamplerConfig:
    """How graphs are sampled.

    Attributes:
        steps: network calls at most. Where a graph has more decisions, several are made at once, as if they were
            independent; with one a step, unguided sampling is exact for the denoiser's distribution.
        particles: guided graphs that compete with each other; 1 is guidance without correction.
        corrections: how many times one decision of every guided graph is masked again and redrawn.
        schedule: lets the guidance of partly masked graphs grow or fade.
    """

    steps: int = 32
    particles: int = 64
    corrections: int = 4
    schedule: Schedule = lambda made: 1.0


class SamplerOutput(NamedTuple):
    """Decided graphs, and how well the guides foresaw what became of partly masked ones.

    Attributes:
        graph: the decided graphs.
        effective_share: the lowest effective sample size of any step, as a share of the particles, on average over
            the islands; 1 where the log-values of partly masked graphs were exact, near 0 where hardly any particle
            was worth going on.
    """

    graph: GraphBatch
    effective_share: float


@torch.inference_mode()
def sample(
    log_probs: LogProbs,
    graph: GraphBatch,
    rng: torch.Generator,
    guides: Sequence[Guide] = (),
    sampling: SamplerConfig = SamplerConfig(),
) -> SamplerOutput:
    """Decides everything that is MASK in ``graph``; what is decided already never changes.

    The target is ``p(x) * exp(sum of the guides' log-values of x)``. Masked decisions of every graph come in random
    order; a choice ``v`` is drawn with probability proportional to ``p(v | graph) * exp(sum of the guides' log-values
    of the graph with v decided)``. Were these log-values exact, nothing more would be needed. They are estimates, and
    what they got wrong is made up for by sequential Monte Carlo (Del Moral, Doucet and Jasra, "Sequential Monte
    Carlo samplers", 2006; for diffusion Wu et al., "Practical and Asymptotically Exact Conditional Sampling in
    Diffusion Models", NeurIPS 2023): a step multiplies a graph's weight by ``p / proposal * exp(its new log-value -
    its old one)``, and within islands of ``how.particles`` graphs the good are copied in place of the bad when the
    weights get uneven. The copies move apart by ``how.corrections`` Metropolis-Hastings steps that mask a decision
    again and redraw it, which leave the target as it is.

    Args:
        log_probs: ``p``, a denoiser's log-probabilities.
        graph: ``b`` partly masked graphs, if guided a multiple of ``how.particles``; an island may start from
            different ones.
        rng: all randomness; guides draw none from it, so guides of strength 0 change nothing, bit for bit.
        guides: they add up, and treat the graphs of an island alike.
        sampling: steps, particles and corrections.

    Raises:
        ValueError: guided graphs that make no whole islands.
    """
    active = [guide for guide in guides if guide.strength != 0]
    if active and len(graph) % sampling.particles:
        raise ValueError(f"{len(graph)} guided graphs make no whole islands of {sampling.particles} particles")
    masked = graph.masked_decisions()
    most = int(masked.sum(1).max()) if len(graph) else 0
    if most == 0:
        return SamplerOutput(graph, 1.0)
    # Masked decisions first, in random order, for every graph its own.
    order = torch.rand(masked.shape, generator=rng).to(graph.device).masked_fill(~masked, 2.0).argsort(dim=1)
    particles = _Particles(log_probs, graph, order, rng, active, sampling)
    at_once = -(-most // sampling.steps)
    for start in range(0, most, at_once):
        particles.step(start, min(start + at_once, most), most)
    if not active:
        return SamplerOutput(particles.graph, 1.0)
    particles.finish()
    for _ in range(sampling.corrections):
        particles.correct()
    return SamplerOutput(particles.graph, float(particles.effective.mean()))


class _Particles:
    """Graphs on their way, with their weights."""

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
        #: What was not decided at the start, and may be decided anew.
        self.free = graph.masked_decisions()
        self.guides, self.sampling = guides, sampling
        self.row = torch.arange(len(graph), device=graph.device)
        self.log_weights = torch.zeros(len(graph), device=graph.device)
        #: The scaled log-values of the graphs that the weights already count.
        self.counted: Tensor | None = None
        #: Of every island the lowest effective sample size so far, as a share.
        self.effective = torch.ones(1, device=graph.device)

    def values(self, graph: GraphBatch, decisions: Tensor) -> tuple[Tensor, Tensor]:
        """Summed log-values of graphs ``(b,)`` and of every choice of their decisions ``(b, q, c)``."""
        now, then = zip(*(guide.values(graph, self.row, decisions) for guide in self.guides), strict=True)
        return torch.stack(now).sum(0).clamp_min(FLOOR), torch.stack(then).sum(0).clamp_min(FLOOR)

    def step(self, start: int, end: int, most: int) -> None:
        """Makes the decisions ``start`` to ``end`` of every graph's order."""
        decisions = self.order[:, start:end]
        if self.guides:
            now, then = self.values(self.graph, decisions)
            before, after = (
                self.sampling.schedule(start / most),
                self.sampling.schedule(end / most) if end < most else 1.0,
            )
            ancestor = self.weigh(before * now)
            decisions, then = decisions[ancestor], after * then[ancestor]
        log_p = self.log_probs(self.graph, decisions)  # (b, q, c)
        # Drawn on the CPU whatever the device, so that a seed means the same everywhere.
        gumbel = -torch.empty(log_p.shape).exponential_(generator=self.rng).log().to(log_p.device)
        current = self.graph.choices().gather(1, decisions)
        proposal = (log_p + then).log_softmax(-1) if self.guides else log_p
        choice = torch.where(current == MASK, (proposal + gumbel).argmax(-1), current)
        if self.guides:
            drawn = choice[..., None].clamp_min(0)
            gain = (log_p - proposal).gather(2, drawn).squeeze(-1)
            self.log_weights = self.log_weights + torch.where(current == MASK, gain, 0.0).sum(1)
        self.graph = self.graph.decide(decisions, choice)

    def weigh(self, values: Tensor, always: bool = False) -> Tensor:
        """Counts new log-values; copies the good in place of the bad; returns where every graph came from ``(b,)``."""
        if self.counted is not None:
            self.log_weights = self.log_weights + values - self.counted
        self.counted = values
        ancestor = self.row
        if self.sampling.particles > 1:
            weights = self.log_weights.view(-1, self.sampling.particles).softmax(1)
            effective = 1 / weights.square().sum(1) / self.sampling.particles  # (islands,)
            self.effective = effective.minimum(self.effective)
            again = ((effective < 0.5) | always).repeat_interleave(self.sampling.particles)
            ancestor = torch.where(again, systematic(weights, self.rng), self.row)
            self.log_weights = torch.where(again, 0.0, self.log_weights)
        self.graph, self.order, self.free = self.graph[ancestor], self.order[ancestor], self.free[ancestor]
        self.counted = values[ancestor]
        return ancestor

    def finish(self) -> None:
        """Weighs the whole graphs, and makes all weights equal."""
        now, _ = self.values(self.graph, self.order[:, :0])
        self.weigh(now, always=True)

    def correct(self) -> None:
        """One Metropolis-Hastings step on one of every graph's free decisions."""
        free = self.free
        draws = torch.rand(free.shape, generator=self.rng).to(free.device).masked_fill(~free, -1.0)
        decisions = draws.argmax(dim=1, keepdim=True)
        again = torch.zeros_like(free).scatter(1, decisions, True) & free
        masked = self.graph.with_mask(again)
        _, then = self.values(masked, decisions)
        log_p = self.log_probs(masked, decisions).squeeze(1)
        proposal = (log_p + then.squeeze(1)).log_softmax(-1)
        gumbel = -torch.empty(log_p.shape).exponential_(generator=self.rng).log().to(log_p.device)
        current = self.graph.choices().gather(1, decisions)
        choice = (proposal + gumbel).argmax(-1, keepdim=True)
        proposed = masked.decide(decisions, torch.where(again.gather(1, decisions), choice, current))
        value, _ = self.values(proposed, decisions[:, :0])
        assert self.counted is not None
        gain = (log_p - proposal).gather(1, choice) - (log_p - proposal).gather(1, current)
        log_accept = gain.squeeze(1) + value - self.counted
        uniform = torch.rand(len(decisions), generator=self.rng).log().to(log_accept.device)
        accepted = uniform < log_accept
        made = torch.where(accepted[:, None], proposed.choices(), self.graph.choices())
        every = torch.arange(made.shape[1], device=made.device).expand_as(made)
        self.graph = self.graph.decide(every, made)
        self.counted = torch.where(accepted, value, self.counted)


def systematic(weights: Tensor, rng: torch.Generator) -> Tensor:
    """``(islands * particles,)`` rows drawn by systematic resampling from weights ``(islands, particles)``.

    Kitagawa 1996: one uniform number an island, so that a particle of weight ``w`` gets ``w * particles`` copies,
    rounded up or down. The rows of an island come in random order: any of them stands for the island.
    """
    islands, size = weights.shape
    start = torch.rand(islands, 1, generator=rng).to(weights.device)
    points = (torch.arange(size, device=weights.device) + start) / size
    chosen = torch.searchsorted(weights.cumsum(1).contiguous(), points).clamp_max(size - 1)
    shuffled = chosen.gather(1, torch.rand(islands, size, generator=rng).to(weights.device).argsort(dim=1))
    return (shuffled + torch.arange(islands, device=weights.device)[:, None] * size).flatten()
