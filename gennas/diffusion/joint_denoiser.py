"""JointDenoiser: a denoiser of archs, with uniform further choices, for a joint space."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gennas.graph import GraphBatch, decisions_of
from gennas.spaces import JointSpace


class JointDenoiser(nn.Module):
    """Lets the denoiser of a joint space's archs see these alone, and gives all further choices the same probability.

    Nothing is trained: under the archs that a denoiser has learnt, any recipe is as likely as any other.

    Args:
        space: the joint space.
        denoiser: of its archs, with a method ``log_probs``.
    """

    def __init__(self, space: JointSpace, denoiser: nn.Module) -> None:
        super().__init__()
        self.space, self.denoiser = space, denoiser

    def log_probs(self, graph: GraphBatch, decisions: Tensor | None = None) -> Tensor:
        """``(b, q, c)`` log-probabilities of all choices of the given decisions; see :meth:`.Denoiser.log_probs`."""
        own, layout = self.space.arch_space.template, decisions_of(graph.template)
        n, slots = len(own.slots), len(own.free_slots)
        part = GraphBatch(own, graph.ops[:, :n], graph.edges[:, :n, :n])
        share = layout.allowed.float().to(graph.device)
        uniform = (share / share.sum(1, keepdim=True)).log()
        found = uniform.expand(len(graph), -1, -1).clone()  # (b, D, c)
        if own.decisions:
            known: Tensor = self.denoiser.log_probs(part)  # type: ignore[operator]
            wide = nn.functional.pad(known, (0, found.shape[2] - known.shape[2]), value=-torch.inf)
            # Decisions of slots come first: the archs', the further ones, and then the archs' edges.
            found[:, :slots] = wide[:, :slots]
            found[:, len(layout.slots) :] = wide[:, slots:]
        if decisions is None:
            return found
        return found.gather(1, decisions[..., None].expand(-1, -1, found.shape[2]))
