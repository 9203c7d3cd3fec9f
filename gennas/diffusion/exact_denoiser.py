"""ExactDenoiser: the uniform distribution over the archs of a space, where it is known in closed form."""

from __future__ import annotations

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
        of_decision = torch.from_numpy(probabilities[:, layout.slots]).float()  # (b, D, k)
        c = layout.allowed.shape[1]
        of_decision = nn.functional.pad(of_decision, (0, c - of_decision.shape[2]))
        lost = of_decision.sum(2, keepdim=True) == 0
        of_decision = torch.where(lost, layout.allowed / layout.allowed.sum(1, keepdim=True), of_decision)
        if decisions is not None:
            of_decision = of_decision.gather(1, decisions.cpu()[..., None].expand(-1, -1, c))
        return of_decision.log().to(graph.device)
