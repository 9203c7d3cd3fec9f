"""RulesGuide: keeps guided sampling within the rules of a space."""

from __future__ import annotations

import torch
from torch import Tensor

from gennas.diffusion.guides.base import Guide
from gennas.graph import GraphBatch
from gennas.spaces import Space


class RulesGuide(Guide):
    """Gives decided graphs that break a rule of the space -inf, and all others 0.

    A denoiser gives invalid graphs a small probability, which a strong tilt can amplify, as predictors are not trained
    on such graphs. Spaces without rules beyond their template do not need this guide.
    """

    def __init__(self, space: Space) -> None:
        self.space = space

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        values = torch.zeros(len(graph), device=graph.device)
        whole = ~graph.masked_decisions().any(dim=1)
        if whole.any():
            decided = graph[whole]
            keeps = self.space.keeps_rules(decided.ops.cpu().numpy(), decided.edges.cpu().numpy() == 1)
            values[whole] = torch.from_numpy(keeps).to(graph.device).float().log()
        return values

    def values(self, graph: GraphBatch, row: Tensor, decisions: Tensor) -> tuple[Tensor, Tensor]:
        last = graph.masked_decisions().sum(1) == 1
        now, then = super().values(graph[last], row[last], decisions[last])
        all_now = self.log_values(graph, row).masked_scatter(last, now)
        all_then = then.new_zeros(len(graph), *then.shape[1:])
        all_then[last] = then
        return all_now, all_then
