"""Sampling: undecided graphs are decided one choice at a time, in random order."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gennas.diffusion.denoiser import Denoiser
from gennas.diffusion.guidance import Guide
from gennas.graph import GraphBatch


@torch.inference_mode()
def sample(denoiser: Denoiser, graph: GraphBatch, rng: torch.Generator, guides: Sequence[Guide] = ()) -> GraphBatch:
    """Decides everything that is MASK in ``graph``; what is decided already never changes.

    Each step picks one masked decision of every graph uniformly and draws its choice ``v`` with probability
    proportional to ``p(v | graph) * exp(sum of the guides' log-values of the graph with v decided)``. One decision
    a step makes the unguided sampler exact for the denoiser's distribution: at most ``D`` network calls in all.

    Args:
        denoiser: gives ``p``.
        graph: ``b`` partly masked graphs.
        rng: all randomness; guides draw none from it, so guides of strength 0 change nothing, bit for bit.
        guides: they add up.

    Returns:
        The decided graphs.
    """
    denoiser.eval()
    active = [guide for guide in guides if guide.strength != 0]
    everyone = torch.arange(len(graph))
    while (masked := graph.masked_decisions()).any():
        order = torch.rand(masked.shape, generator=rng).to(graph.device).masked_fill(~masked, -1.0)
        which = order.argmax(dim=1)
        gumbel = -torch.empty(len(graph), denoiser_width(denoiser)).exponential_(generator=rng).log()
        log_probs = denoiser.log_probs(graph)[everyone, which]  # (b, c)
        if active:
            log_probs = log_probs + guide_values(graph, which, log_probs, active)
        choice = (log_probs + gumbel.to(graph.device)).argmax(dim=1)
        decided = graph.choices()[everyone, which]
        graph = graph.decide(which, torch.where(masked.any(dim=1), choice, decided))
    return graph


def denoiser_width(denoiser: Denoiser) -> int:
    """The number ``c`` of choices per decision."""
    return max(len(denoiser.template.vocabulary), 2)


def guide_values(graph: GraphBatch, which: Tensor, log_probs: Tensor, guides: Sequence[Guide]) -> Tensor:
    """``(b, c)`` summed log-values of the guides for every possible choice of decision ``which[b]``, 0 elsewhere.

    If the guides forbid every choice (a bound already broken), none is forbidden: the graph goes on and is
    rejected, and counted, when it is whole.
    """
    row, choice = log_probs.isfinite().nonzero(as_tuple=True)
    candidates = graph[row].decide(which[row], choice)
    values = torch.zeros_like(log_probs)
    values[row, choice] = torch.stack([guide.log_values(candidates, row) for guide in guides]).sum(0)
    hopeless = (values == -torch.inf).sum(dim=1) >= log_probs.isfinite().sum(dim=1)
    return values.masked_fill(hopeless[:, None], 0.0)
