"""Predictor: the interface of a model that predicts metrics of archs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from gennas.errors import DataMissingError, InvalidInputError
from gennas.graph import GraphBatch
from gennas.metrics import Metric, Scope, own_kinds
from gennas.part_files import expect_finite, fitting_together, read_config, read_tensors, write_part
from gennas.predictors import PREDICTORS
from gennas.predictors.normal_scores import NormalScores
from gennas.spaces import registered_space


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
    #: Constructor arguments after the template and the metrics, as ``config.json`` keeps them.
    config: Mapping[str, Any]
    #: How many numbers :meth:`score_everything` gives beside the metrics.
    described: int = 0

    @classmethod
    def load(cls, checkpoint: Path) -> Self:
        """The predictor that :meth:`save` wrote; :func:`gennas.predictors.load_predictor` finds out of which class.

        A class whose constructor takes something else than ``(template, metrics, **config)`` overrides both.

        Raises:
            DataMissingError: the checkpoint lacks a predictor, or a file of it is damaged.
        """
        document = read_config(checkpoint, "predictor")
        template = registered_space(document["space"]).template
        with fitting_together(checkpoint, "predictor"):
            predictor = cls(template, tuple(document["metrics"]), **document["predictor"])
            predictor.load_state_dict(read_tensors(checkpoint, "predictor"))
        expect_finite(predictor, checkpoint, "predictor")
        # Between its ends, which are extrapolated, a scale consists of values that the predictor was trained on.
        for name, (least, *_, most) in zip(predictor.metrics, predictor.scores.values[:, 1:-1].tolist(), strict=True):
            kind = Metric.parse(name).kind
            if not min(kind.lower, 0.0) <= least <= most <= kind.upper:
                raise DataMissingError(
                    f"the predictor in {checkpoint} is damaged: it predicts {name} from {least:g} to {most:g} "
                    f"{kind.unit}. Train it again."
                )
        return predictor.eval()

    def save(self, checkpoint: Path, facts: Mapping[str, Any], quality: Mapping[str, Any], card: str) -> Path:
        """Writes the part ``predictor`` of a checkpoint.

        Args:
            checkpoint: folder.
            facts: of ``config.json``: ``space`` (its registered name), and what the training was.
            quality: of ``metrics.json``.
            card: of ``README.md``.

        Raises:
            InvalidInputError: the class is not registered.
        """
        return write_part(checkpoint, "predictor", {**facts, **self.described_by()}, self.state_dict(), quality, card)

    def described_by(self) -> dict[str, Any]:
        """What ``config.json`` keeps of the predictor itself: its class, its metrics, its constructor's arguments.

        Raises:
            InvalidInputError: the class is not registered.
        """
        name = PREDICTORS.name_of(type(self))
        if name is None:
            raise InvalidInputError(
                f"{type(self).__name__} is not registered, so that no checkpoint could name it; decorate the class "
                f'with @PREDICTORS.register("{type(self).__name__.lower()}").'
            )
        described = {"class": name, "metrics": list(self.metrics), "predictor": dict(self.config)}
        return described | ({"metric_kinds": kinds} if (kinds := own_kinds(self.metrics)) else {})

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

    def score_everything(self, graph: GraphBatch, decisions: Tensor) -> tuple[Tensor, Tensor]:
        """:meth:`score_choices`, after the metrics what describes the graph: ``(b, 1 + q * c, m + described)``."""
        return self.score_choices(graph, decisions)

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

    def places(self, scope: Scope) -> tuple[str, ...]:
        """The tasks or the hardware that some metric is predicted for, each once."""
        metrics = [Metric.parse(name) for name in self.metrics]
        return tuple(dict.fromkeys(str(one.target) for one in metrics if one.kind.scope == scope and one.target))

    @torch.inference_mode()
    def predict(self, graph: GraphBatch, batch_size: int = 2048) -> tuple[Tensor, Tensor]:
        """:meth:`forward` in evaluation mode, without gradients, in batches."""
        self.eval()
        rows = torch.arange(len(graph)).split(batch_size)
        means, stds = zip(*(self(graph[chunk]) for chunk in rows), strict=True)
        return torch.cat(means), torch.cat(stds)
