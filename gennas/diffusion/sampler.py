"""Sampling: undecided graphs are decided one choice at a time, in random order."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gennas.diffusion.guidance import Guide
from gennas.graph import MASK, GraphBatch

LogProbs = Callable[[GraphBatch], Tensor]

#: Redrawn decisions per guided graph.
CORRECTIONS = 12


@torch.inference_mode()
def sample(
    log_probs: LogProbs,
    graph: GraphBatch,
    rng: torch.Generator,
    guides: Sequence[Guide] = (),
    corrections: int = CORRECTIONS,
) -> GraphBatch:
    """Decides everything that is MASK in ``graph``; what is decided already never changes.

    Each step picks one masked decision of every graph uniformly and draws its choice ``v`` with probability
    proportional to ``p(v | graph) * exp(sum of the guides' log-values of the graph with v decided)``. One decision
    a step makes the unguided sampler exact for the denoiser's distribution: at most ``D`` network calls in all.

    Guides know a partly masked graph only approximately, and their sum ignores that they may pull against each
    other. Guided graphs are therefore corrected: ``corrections`` times one of their decisions is masked again and
    redrawn. With all others decided the guides say what they mean, so that this is Gibbs sampling (Geman and
    Geman 1984) of ``p(x) * exp(sum of the guides' log-values of x)``.

    Args:
        log_probs: ``p``: a denoiser's log-probabilities, ``(b, D, c)`` for every choice of every decision.
        graph: ``b`` partly masked graphs.
        rng: all randomness; guides draw none from it, so guides of strength 0 change nothing, bit for bit.
        guides: they add up.
        corrections: redrawn decisions per graph; unguided sampling needs and does none.

    Returns:
        The decided graphs.
    """
    active = [guide for guide in guides if guide.strength != 0]
    free = graph.masked_decisions()
    while (masked := graph.masked_decisions()).any():
        graph = _decide(log_probs, graph, _random_decision(masked, rng), rng, active)
    if not active or not free.any():
        return graph
    for _ in range(corrections):
        which = _random_decision(free, rng)
        again = torch.zeros_like(free).scatter(1, which[:, None], True) & free
        graph = _decide(log_probs, graph.with_mask(again), which, rng, active)
    return graph


def _random_decision(among: Tensor, rng: torch.Generator) -> Tensor:
    """``(b,)`` one of the true decisions of every row of ``among (b, D)``, uniformly; any where none is true."""
    return torch.rand(among.shape, generator=rng).to(among.device).masked_fill(~among, -1.0).argmax(dim=1)


def _decide(
    log_probs: LogProbs, graph: GraphBatch, which: Tensor, rng: torch.Generator, guides: Sequence[Guide]
) -> GraphBatch:
    """Draws decision ``which[b]`` of every graph where it is MASK, and leaves the others as they are."""
    row = torch.arange(len(graph), device=graph.device)
    weights = log_probs(graph)[row, which]  # (b, c)
    gumbel = -torch.empty(weights.shape).exponential_(generator=rng).log()
    if guides:
        weights = weights + guide_values(graph, which, weights, guides)
    current = graph.choices()[row, which]
    choice = (weights + gumbel.to(graph.device)).argmax(dim=1)
    return graph.decide(which, torch.where(current == MASK, choice, current))


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
