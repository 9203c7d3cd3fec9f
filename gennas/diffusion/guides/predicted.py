"""Guides for predicted metrics.

The target is ``p(x) * exp(strength * f(x))``. The exact log-value of a partly masked graph ``x_t`` is
``V(x_t) = log E[exp(strength * f(x)) | x_t]``; the log-values of several guides are added.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from gennas.diffusion.guides.base import ForesightGuide
from gennas.diffusion.memo import GraphMemo
from gennas.graph import GraphBatch
from gennas.metrics import Constraint, Metric
from gennas.predictors.base import Predictor, mixture
from gennas.predictors.normal_scores import quadrature


class ScoreSource:
    """Normal scores for all guides of a sampling, cached so that the predictor scores every graph once.

    Args:
        predictor: the predictor.
        groups: name of a guided metric -> the predicted metrics whose normal scores are averaged for it.
    """

    def __init__(self, predictor: Predictor, groups: Mapping[str, Sequence[str]]) -> None:
        self.predictor = predictor.eval()
        parts = sorted({predictor.metrics.index(part) for group in groups.values() for part in group})
        self.parts = {name: [predictor.metrics.index(part) for part in group] for name, group in groups.items()}
        self._column = {name: [parts.index(part) for part in group] for name, group in self.parts.items()}
        self._parts = parts
        self._memo = GraphMemo(self._computed)
        #: Number of graphs that the predictor has scored.
        self.scored = 0
        self._last: tuple[GraphBatch, Tensor, Tensor] | None = None

    def _computed(self, graph: GraphBatch, decisions: Tensor) -> Tensor:
        self.scored += len(graph)
        return torch.stack(self.predictor.score_choices(graph, decisions), dim=1)[..., self._parts]

    def score(self, graph: GraphBatch, metric: str) -> tuple[Tensor, Tensor]:
        """Mean and std, both ``(b,)``, of the normal score of a guided metric."""
        mean, std = self.scores(graph, graph.no_decision(), metric)
        return mean[:, 0], std[:, 0]

    def scores(self, graph: GraphBatch, decisions: Tensor, metric: str) -> tuple[Tensor, Tensor]:
        """Mean and std of the normal score of a guided metric, for graphs and their continuations by one decision.

        Returns:
            Both ``(b, 1 + q * c)``, as in :meth:`gennas.predictors.base.Predictor.score_choices`.
        """
        if self._last is None or self._last[0] is not graph or self._last[1] is not decisions:
            self._last = graph, decisions, self._memo(graph, decisions)  # (b, 2, 1 + q * c, parts)
        mean, std = self._last[2][..., self._column[metric]].unbind(1)
        return mixture(mean, std)

    def noise(self, metric: str) -> Tensor:
        """The std of the normal score of decided archs."""
        return self.predictor.noise()[self.parts[metric]].mean()


class ScoreGuide(ForesightGuide):
    """A guide whose log-value is a function of the normal score of one predicted metric.

    Args:
        source: predicts normal scores.
        metric: name of the metric, with its target.
    """

    def __init__(self, source: ScoreSource, metric: str) -> None:
        self.source = source
        self.metric = metric

    @abstractmethod
    def of_scores(self, mean: Tensor, std: Tensor, row: Tensor, undecided: Tensor) -> Tensor:
        """``(b, a)`` log-values.

        Args:
            mean: ``(b, a)`` mean normal scores of ``a`` continuations of each of ``b`` sampled graphs.
            std: ``(b, a)`` their stds.
            row: ``(b,)`` indices of the sampled graphs.
            undecided: ``(b, a)`` boolean, whether a continuation is still partly masked.
        """

    def at_once(self, graph: GraphBatch, row: Tensor, decisions: Tensor) -> Tensor:
        mean, std = self.source.scores(graph, decisions, self.metric)
        masked = graph.masked_decisions().sum(1, keepdim=True)
        made = torch.ones(1, mean.shape[1], dtype=torch.long, device=masked.device)
        made[:, 0] = 0
        return self.of_scores(mean, std, row, masked > made)


class ObjectiveGuide(ScoreGuide):
    """Tilts towards better values of a predicted metric: ``f`` is its normal score, negated if smaller is better.

    The normal score of a random completion of ``x_t`` is modelled as Gaussian, so that
    ``V = strength * mean + strength^2 * scale^2 / 2``. ``scale`` is the std among completions, without the noise that
    decided archs have too: the tilt should reward open possibilities, not the predictor's uncertainty.

    Args:
        source: predicts normal scores.
        metric: the metric, with its target.
        strength: shift of a Gaussian distribution of scores, in its standard deviations.
        weights: ``(rows,)`` weight of this metric in the objective, for every sampled graph; 1 by default.
        of: another ``f``, as an elementwise function of normal scores; ``V`` is then integrated by quadrature.
    """

    def __init__(
        self,
        source: ScoreSource,
        metric: Metric,
        strength: float,
        weights: Tensor | None = None,
        of: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__(source, metric.name)
        self.sign = metric.kind.sign
        self.strength = strength
        self.weights = weights
        self.of = of

    def of_scores(self, mean: Tensor, std: Tensor, row: Tensor, undecided: Tensor) -> Tensor:
        tilt = torch.full((len(row), 1), self.strength, device=mean.device)
        if self.weights is not None:
            tilt = tilt * self.weights.to(mean.device)[row][:, None]
        scale = (std.square() - self.source.noise(self.metric).square()).clamp_min(0).masked_fill(~undecided, 0).sqrt()
        if self.of is None:
            return tilt * self.sign * mean + (tilt * scale).square() / 2
        nodes, weights = quadrature(15, mean)
        exponent = tilt[..., None] * self.of(mean[..., None] + scale[..., None] * nodes)
        return (exponent + weights.log()).logsumexp(-1)


class ConstraintGuide(ScoreGuide):
    """The log-probability that a bound on a predicted metric holds.

    Args:
        source: predicts normal scores.
        constraint: the bound, in the metric's unit.
    """

    def __init__(self, source: ScoreSource, constraint: Constraint) -> None:
        super().__init__(source, constraint.metric.name)
        self.sign = 1.0 if constraint.relation == "<=" else -1.0
        predictor, parts = source.predictor, source.parts[self.metric]
        self.bound = float(np.mean([predictor.scores.score_of(part, constraint.bound) for part in parts]))

    def of_scores(self, mean: Tensor, std: Tensor, row: Tensor, undecided: Tensor) -> Tensor:
        margin = (self.bound - mean) / std
        parts = self.source.parts[self.metric]
        if len(parts) == 1 and not undecided.all():
            # Errors of partly masked graphs are taken as Gaussian; those of decided archs have calibrated quantiles.
            margin = torch.where(undecided, margin, self.source.predictor.satisfaction_quantile(parts[0], mean, margin))
        return torch.special.log_ndtr(self.sign * margin)
