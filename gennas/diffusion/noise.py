"""Absorbing-state noise: the decisions of an arch are masked at random."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gennas.graph import GraphBatch


@dataclass(frozen=True)
class NoisyBatch:
    """Noisy graphs and the weights of their losses.

    Attributes:
        graph: the partly masked graphs.
        masked: ``(b, D)`` boolean, the decisions that were masked.
        weight: ``(b,)`` factor on the summed cross-entropy of the masked decisions with which its expectation is the
            negative evidence lower bound.
    """

    graph: GraphBatch
    masked: Tensor
    weight: Tensor


def corrupt(graph: GraphBatch, rng: torch.Generator | None = None) -> NoisyBatch:
    """Masks ``m`` of the ``D`` decisions of every graph, ``m`` uniform in 1..D, the decisions uniform given ``m``.

    This is continuous-time absorbing diffusion (Austin et al., "Structured Denoising Diffusion Models in Discrete
    State-Spaces", NeurIPS 2021), integrated over time for any schedule: the bound depends on the time only through
    the number of masked decisions, and equals ``E_m[D / m * cross-entropy of the m masked decisions]``
    (Sahoo et al., "Simple and Effective Masked Diffusion Language Models", NeurIPS 2024, eq. 10; Ou et al.,
    "Your Absorbing Discrete Diffusion Secretly Models the Conditional Distributions of Clean Data", ICLR 2025).
    """
    b, decisions = len(graph), graph.template.decisions
    count = torch.randint(1, decisions + 1, (b, 1), generator=rng)
    masked = graph.random_mask(rng, count=count).to(graph.device)
    return NoisyBatch(graph.with_mask(masked), masked, (decisions / count.squeeze(1)).to(graph.device))
