"""What every guide is held to."""

from __future__ import annotations

import torch
from torch import Tensor

from gennas.diffusion.guides.base import Guide
from gennas.graph import GraphBatch, decisions_of


def asked(graph: GraphBatch, count: int = 2) -> Tensor:
    """Decisions of every graph, masked ones first."""
    return graph.masked_decisions().long().argsort(dim=1, descending=True, stable=True)[:, :count]


def check_values(guide: Guide, graph: GraphBatch, row: Tensor, decisions: Tensor, atol: float = 1e-4) -> None:
    """What a guide says of next decisions is what it says of the graphs that they make."""
    now, then = guide.values(graph, row, decisions)
    allowed = decisions_of(graph.template).allowed
    assert then.shape == (len(graph), decisions.shape[1], allowed.shape[1])
    assert torch.allclose(now, guide.log_values(graph, row), atol=atol)
    for column in range(decisions.shape[1]):
        decision = decisions[:, column]
        masked = graph.masked_decisions().gather(1, decision[:, None])[:, 0]
        for choice in range(allowed.shape[1]):
            ok = allowed[decision, choice] & masked
            made = graph.decide(decision[:, None], torch.full((len(graph), 1), choice))
            if ok.any():
                expected = guide.log_values(made[ok], row[ok])
                assert torch.allclose(then[ok, column, choice], expected, atol=atol), (column, choice)
