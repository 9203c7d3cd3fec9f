"""MLPPredictor: an ensemble of small networks over an arch's decisions, trained in seconds."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gennas.graph import GraphBatch, decisions_of
from gennas.predictors.gnn import GNNPredictor
from gennas.spaces import Template


class DecisionMember(nn.Module):
    """One network of the ensemble: a multilayer perceptron over which choice every decision has, or that it is masked.

    A further decision changes one summand of the first layer, so that what is predicted after a choice is exactly what
    is predicted of the graph in which it was made.
    """

    def __init__(self, template: Template, width: int, layers: int, outputs: int, *, sums: bool) -> None:
        super().__init__()
        decisions, self.c = decisions_of(template).allowed.shape
        # One summand per decision and choice; the last choice is the mask.
        self.choice = nn.Embedding(decisions * (self.c + 1), width)
        self.bias = nn.Parameter(torch.zeros(width))
        self.rest = nn.Sequential(nn.GELU())
        for _ in range(layers - 1):
            self.rest.extend([nn.Linear(width, width), nn.GELU()])
        self.rest.append(nn.Linear(width, outputs))
        self.sum = nn.Linear(width, outputs, bias=False) if sums else None
        nn.init.normal_(self.choice.weight, std=decisions**-0.5)

    def forward(self, graph: GraphBatch, decisions: Tensor, choices: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs ``(b, outputs)`` of the graphs, and ``(b, q, c, outputs)`` after each choice."""
        own = graph.choices()
        at = torch.arange(own.shape[1], device=own.device) * (self.c + 1)
        summed = self.choice(at + torch.where(own < 0, self.c, own)).sum(1) + self.bias  # (b, width)
        made = self.choice(at[decisions][..., None] + choices) - self.choice(at[decisions] + self.c)[:, :, None]
        return self._outputs(summed), self._outputs(summed[:, None, None] + made)

    def _outputs(self, summed: Tensor) -> Tensor:
        """``(..., width)`` of the first layer -> ``(..., outputs)``."""
        found: Tensor = self.rest(summed)
        return found if self.sum is None else found + self.sum(summed)


class MLPPredictor(GNNPredictor):
    """A deep ensemble of multilayer perceptrons with a Gaussian head per metric.

    It knows nothing of graphs, so that it learns a space from thousands of archs only; distilled from a model of few
    labels it has as many as it needs, and is trained in seconds where graph networks take minutes.

    Args:
        template: the template of the space.
        metrics: names of the ``m`` predicted metrics.
        width: units of a layer.
        layers: hidden layers.
        members: networks in the ensemble.
        described: as of :class:`gennas.predictors.gnn.GNNPredictor`.
        sums: whether the first layer has a linear way to the outputs, as those of older checkpoints have not.
    """

    #: What is predicted after a choice needs no training of its own.
    trained_choices = 0

    def __init__(
        self,
        template: Template,
        metrics: tuple[str, ...],
        width: int = 256,
        layers: int = 3,
        members: int = 1,
        described: int = 0,
        sums: bool = False,
    ) -> None:
        self._sums = sums
        super().__init__(template, metrics, width, layers, members, described)
        self.config = {**self.config, "sums": sums}

    def member(self, width: int, layers: int, outputs: int) -> nn.Module:
        return DecisionMember(self.template, width, layers, outputs, sums=self._sums)
