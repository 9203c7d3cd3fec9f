"""Basis functions: the metrics that a predictor knows, from which a new metric is composed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gennas.arch import Arch
from gennas.commands import command
from gennas.errors import InvalidInputError
from gennas.graph import GraphBatch
from gennas.predictors.base import Predictor
from gennas.predictors.normal_scores import quadrature
from gennas.spaces import Space, space_option

#: Random archs over which the basis functions are standardised.
REFERENCE_ARCHS = 2000
#: How many of these are also masked, to see how the functions vary together over completions.
MASKED_ARCHS = 512
#: Scale of a graph descriptor relative to a predicted metric.
DESCRIPTOR_SCALE = 0.35
#: Nodes of the quadrature over a normal score.
NODES = 5


class BasisFunctions:
    """``D`` predictions of a predictor as functions of the arch, with mean 0 and std 1 over the space.

    Latencies enter as logarithms, on which devices differ by sums; accuracies as normal scores. Graph descriptors
    (:func:`gennas.predictors.features.describe`) are added to accuracies, and stand in for latencies if the predictor
    has none.

    Args:
        predictor: the predictor whose metrics are used.
        space: space of the archs.
        kind: kind of the metrics to use: ``latency_ms`` or ``accuracy``.

    Attributes:
        archs: random reference archs.
        reference: ``(N, D)`` values of the functions at these.
        num_metrics: how many of the functions are metrics; they come first.

    Raises:
        InvalidInputError: the predictor has neither metrics of this kind nor graph descriptors.
    """

    def __init__(self, predictor: Predictor, space: Space, kind: str) -> None:
        self.predictor, self.space, self.logs = predictor, space, kind == "latency_ms"
        metrics = [column for column, name in enumerate(predictor.metrics) if name.startswith(f"{kind}@")]
        described = [] if self.logs and metrics else range(predictor.described)
        self.columns = torch.tensor([*metrics, *(len(predictor.metrics) + column for column in described)])
        self.num_metrics = len(metrics)
        if not len(self.columns):
            raise InvalidInputError(
                f"this checkpoint's predictor predicts no {kind}, so it cannot be adapted to a new one; retrain it "
                f"with: {command('pretrain', 'predictor', space=space_option(space))}"
            )
        rng = np.random.default_rng(0)
        self.archs = list(dict.fromkeys(space.sample(rng) for _ in range(REFERENCE_ARCHS)))
        self.graphs = GraphBatch.from_archs(self.archs, space.template)
        self.centre, self.scale = torch.zeros(len(self.columns)), torch.ones(len(self.columns))
        values = self.of(self.archs)
        self.centre = torch.from_numpy(values.mean(axis=0)).float()
        self.scale = torch.from_numpy(values.std(axis=0)).float().clamp_min(1e-6)
        self.scale[self.num_metrics :] /= DESCRIPTOR_SCALE
        self.reference = (values - self.centre.double().numpy()) / self.scale.double().numpy()

    @property
    def prior(self) -> np.ndarray:
        """``(D,)`` prior mean of the weights: a new target is like the average of the predicted ones."""
        weights = np.zeros(len(self.columns))
        weights[: self.num_metrics] = 1 / max(self.num_metrics, 1)
        return weights

    @property
    def prior_means(self) -> np.ndarray:
        """``(C, D)`` prior means of the weights of a device: it is like the average, or like one known."""
        if self.num_metrics < 2:
            return self.prior[None]
        return np.vstack([self.prior, np.eye(self.num_metrics, len(self.columns))])

    @torch.inference_mode()
    def of(self, archs: Sequence[Arch]) -> np.ndarray:
        """``(N, D)`` values of the functions at some archs."""
        graphs = GraphBatch.from_archs(archs, self.space.template)
        parts = []
        for rows in torch.arange(len(graphs)).split(1024):
            graph = graphs[rows]
            mean, std = self.predictor.score_everything(graph, graph.no_decision())
            parts.append(self.moments(mean[:, 0], std[:, 0])[0])
        return torch.cat(parts).double().numpy()

    def moments(self, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        """``(..., D)`` mean and std of the functions, from those of ``(..., m + described)`` normal scores."""
        mean, std = mean[..., self.columns.to(mean.device)], std[..., self.columns.to(mean.device)]
        if self.logs and self.num_metrics:
            logs, (nodes, weights) = [], quadrature(NODES, mean)
            for column, metric in enumerate(self.columns.tolist()):
                at = mean[..., column, None] + std[..., column, None] * nodes
                logs.append(self.predictor.scores.value_of(metric, at).clamp_min(1e-6).log())
            values = torch.stack(logs, dim=-2)
            mean = (values * weights).sum(-1)
            std = ((values - mean[..., None]).square() * weights).sum(-1).sqrt()
        return (mean - self.centre.to(mean.device)) / self.scale.to(mean.device), std / self.scale.to(mean.device)

    @torch.inference_mode()
    def masked(self) -> tuple[Tensor, Tensor]:
        """How the functions change when partly masked graphs are completed.

        Returns:
            ``(M, D)`` values of the completed graphs minus those of the masked ones, and the predicted std of this.
        """
        rng = torch.Generator().manual_seed(0)
        graphs = self.graphs[torch.arange(min(MASKED_ARCHS, len(self.graphs)))]
        where = graphs.random_mask(rng)
        whole, partly = (
            tuple(part[:, 0] for part in self.predictor.score_everything(graph, graph.no_decision()))
            for graph in (graphs, graphs.with_mask(where))
        )
        value, std = self.moments(*partly)
        return self.moments(*whole)[0] - value, self.completion_std(partly[0], std)

    def completion_std(self, mean: Tensor, std: Tensor) -> Tensor:
        """``(..., D)`` the part of the functions' std that is due to open decisions.

        Args:
            mean: ``(..., m + described)`` mean normal scores.
            std: ``(..., D)`` std of the functions.
        """
        decided_std = torch.cat([self.predictor.noise(), mean.new_zeros(self.predictor.described)])
        error_std = self.moments(mean, decided_std.expand_as(mean))[1]
        return (std.square() - error_std.square()).clamp_min(0).sqrt()
