"""ExactDenoiser: the uniform distribution over the archs of a space, where it is known in closed form."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from gennas.graph import GraphBatch, decisions_of
from gennas.spaces import Space


class ExactDenoiser(nn.Module):
    """The denoiser that training would lead to: it gives every decision its share among the archs that agree.

    With it the sampler draws uniformly from all archs, and under guides from their exact tilt. Nothing is trained.

    Args:
        space: one that knows :meth:`gennas.spaces.Space.probabilities`.
    """

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space

    def log_probs(self, graph: GraphBatch, decisions: Tensor | None = None) -> Tensor:
        """``(b, q, c)`` log-probabilities of all choices of the given decisions; see :meth:`.Denoiser.log_probs`.

        Choices are as probable as each other where what is decided contradicts itself.
        """
        layout = decisions_of(graph.template)
        probabilities = self.space.probabilities(graph.ops.cpu().numpy())
        assert probabilities is not None
        c = layout.allowed.shape[1]
        asked = torch.arange(len(layout.allowed)).expand(len(graph), -1) if decisions is None else decisions.cpu()
        slots = layout.slots[asked].numpy()
        found = torch.from_numpy(probabilities[np.arange(len(slots))[:, None], slots]).float()  # (b, q, k)
        found = nn.functional.pad(found, (0, c - found.shape[2]))
        lost = found.sum(2, keepdim=True) == 0
        if lost.any():
            share = layout.allowed / layout.allowed.sum(1, keepdim=True)
            found = torch.where(lost, share[asked], found)
        return found.log().to(graph.device)
