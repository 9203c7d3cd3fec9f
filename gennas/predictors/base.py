"""Predictor: what guidance and the command line need to know about a model that predicts metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from gennas.graph import GraphBatch
from gennas.predictors.normal_scores import NormalScores


def mixture(mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """``(...,)`` mean and std of an equal mixture of ``g`` distributions, from theirs ``(..., g)``."""
    if mean.shape[-1] == 1:
        return mean[..., 0], std[..., 0]
    return mean.mean(-1), (std.square().mean(-1) + mean.var(-1, correction=0)).sqrt()


class Predictor(nn.Module, ABC):
    """Predicts ``m`` metrics of decided and partly masked graphs alike.

    A metric is modelled as a Gaussian in *normal scores*: the monotone scale on which the metric is standard
    normal over the space (0 is the median arch, 1 the 84th percentile). On that scale metrics of any unit can be
    added and tilted, and a heavy tail of bad archs does not hide the differences between good ones.

    Attributes:
        metrics: the ``m`` metric names with their targets, e.g. ``accuracy@cifar10``.
        scores: the scale of every metric.
    """

    metrics: tuple[str, ...]
    scores: NormalScores

    @abstractmethod
    def score_choices(self, graph: GraphBatch, decisions: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and std in normal scores of graphs, and of what their next decisions make of them.

        For masked graphs they are those of a random completion.

        Args:
            graph: ``b`` graphs.
            decisions: ``(b, q)`` masked decisions, each taken alone; ``q`` may be 0.

        Returns:
            Both ``(b, 1 + q * c, m)``: the graph as it is, then for every decision every one of the ``c`` choices of
            :func:`gennas.graph.decisions_of`; values of choices that a decision does not have mean nothing.
        """

    def score(self, graph: GraphBatch) -> tuple[Tensor, Tensor]:
        """Mean and std in normal scores, both ``(b, m)``; for masked graphs those of a random completion."""
        mean, std = self.score_choices(graph, graph.no_decision())
        return mean[:, 0], std[:, 0]

    @abstractmethod
    def noise(self) -> Tensor:
        """``(m,)`` the std in normal scores that remains for a decided arch: measurement noise and model error."""

    def satisfaction_quantile(self, metric: int, mean: Tensor, margin: Tensor) -> Tensor:
        """The normal quantile of the probability that a whole arch stays below a bound.

        Here errors are Gaussian, and it is the margin itself; a predictor that knows better overrides this.

        Args:
            metric: column of the metric.
            mean: ``(...,)`` predicted normal scores of decided archs.
            margin: ``(...,)`` how many stds the bound lies above them.
        """
        return margin

    def forward(self, graph: GraphBatch) -> tuple[Tensor, Tensor]:
        """Mean and std in the metrics' own units, both ``(b, m)``."""
        return self.scores.to_units(*self.score(graph))

    def targets(self, kind: str) -> tuple[str, ...]:
        """The targets (tasks or hardware) for which a metric kind such as ``latency_ms`` is predicted."""
        pairs = (name.partition("@") for name in self.metrics)
        return tuple(target for name, _, target in pairs if name == kind)

    @torch.inference_mode()
    def predict(self, graph: GraphBatch, batch_size: int = 2048) -> tuple[Tensor, Tensor]:
        """:meth:`forward` without gradients, in evaluation mode, a batch at a time."""
        self.eval()
        rows = torch.arange(len(graph)).split(batch_size)
        means, stds = zip(*(self(graph[chunk]) for chunk in rows), strict=True)
        return torch.cat(means), torch.cat(stds)
