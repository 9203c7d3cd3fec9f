"""Predictor: the interface of a model that predicts metrics of archs."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from gennas.graph import GraphBatch
from gennas.predictors.normal_scores import NormalScores


def mixture(mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """``(...,)`` mean and std of an equally weighted mixture, from the ``(..., g)`` means and stds of its parts."""
    if mean.shape[-1] == 1:
        return mean[..., 0], std[..., 0]
    return mean.mean(-1), (std.square().mean(-1) + mean.var(-1, correction=0)).sqrt()


class Predictor(nn.Module, ABC):
    """Predicts ``m`` metrics of decided and of partly masked graphs.

    Each metric is modelled as a Gaussian in *normal scores*: the monotone scale on which the metric is standard normal
    over the space (0 is the median arch, 1 the 84th percentile). On this scale metrics of different units can be added
    and tilted, and a heavy tail of bad archs does not hide the differences between good ones.

    Attributes:
        metrics: the ``m`` metric names with their targets, e.g. ``accuracy@cifar10``.
        scores: maps between the metrics' units and normal scores.
    """

    metrics: tuple[str, ...]
    scores: NormalScores

    @abstractmethod
    def score_choices(self, graph: GraphBatch, decisions: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and std in normal scores of graphs, and of the same graphs with one more decision made.

        For masked graphs these are the moments of a random completion.

        Args:
            graph: ``b`` graphs.
            decisions: ``(b, q)`` masked decisions, each considered on its own; ``q`` may be 0.

        Returns:
            Mean and std, both ``(b, 1 + q * c, m)``: the graph as it is, then each of the ``c`` choices of
            :func:`gennas.graph.decisions_of` for each decision; entries for choices that a decision does not have are
            arbitrary.
        """

    def score(self, graph: GraphBatch) -> tuple[Tensor, Tensor]:
        """Mean and std in normal scores, both ``(b, m)``; for masked graphs, of a random completion."""
        mean, std = self.score_choices(graph, graph.no_decision())
        return mean[:, 0], std[:, 0]

    @abstractmethod
    def noise(self) -> Tensor:
        """``(m,)`` std in normal scores that remains for a decided arch: measurement noise and model error."""

    def satisfaction_quantile(self, metric: int, mean: Tensor, margin: Tensor) -> Tensor:
        """The probability that a decided arch satisfies an upper bound, as a normal quantile.

        With Gaussian errors, as assumed here, this is the margin itself. Predictors with calibrated errors override it.

        Args:
            metric: column of the metric.
            mean: ``(...,)`` predicted normal scores of decided archs.
            margin: ``(...,)`` distance from the mean up to the bound, in stds.
        """
        return margin

    def forward(self, graph: GraphBatch) -> tuple[Tensor, Tensor]:
        """Mean and std in the metrics' units, both ``(b, m)``."""
        return self.scores.to_units(*self.score(graph))

    def targets(self, kind: str) -> tuple[str, ...]:
        """The targets (tasks or hardware) that a metric kind such as ``latency_ms`` is predicted for."""
        pairs = (name.partition("@") for name in self.metrics)
        return tuple(target for name, _, target in pairs if name == kind)

    @torch.inference_mode()
    def predict(self, graph: GraphBatch, batch_size: int = 2048) -> tuple[Tensor, Tensor]:
        """:meth:`forward` in evaluation mode, without gradients, in batches."""
        self.eval()
        rows = torch.arange(len(graph)).split(batch_size)
        means, stds = zip(*(self(graph[chunk]) for chunk in rows), strict=True)
        return torch.cat(means), torch.cat(stds)
