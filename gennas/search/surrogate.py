"""Surrogate: Gaussian processes that learn the metrics of a run from what was evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from gpytorch.constraints import GreaterThan
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.means import Mean
from gpytorch.priors import LogNormalPrior, NormalPrior
from torch import Tensor

from gennas.arch import Arch
from gennas.metrics import Metric, MetricKind
from gennas.predictors.gaussian_process import Process, fitted
from gennas.predictors.normal_scores import normal_scores
from gennas.search.kernels import FeatureView, PlainLinearKernel, View, ViewName, WeisfeilerLehmanView, log_normal
from gennas.search.prior_mean import Prior
from gennas.spaces import Space
from gennas.tasks import Task

#: How many random archs stand for the space.
REFERENCE = 2000
#: Least std over the evaluated archs, in stds over the space, by which what is known beforehand is scaled.
LEAST_SPREAD = 0.25
#: By how much what is known beforehand is taken to err, in stds over the space, before anything was evaluated.
KNOWN_ERRS = 0.3
#: Steps of the optimiser that fits a process.
STEPS = 60
#: What is expected of the noise of evaluations, a variance of scores, before any were seen: the mode, and the spread of
#: the logarithm. Trainings differ more than timings do; what is left beyond good knowledge is mostly chance.
TRAINED, TRAINED_AND_KNOWN, MEASURED = (0.2, 1.5), (0.4, 1.0), (0.005, 1.5)


class PriorSurrogate:
    """A metric of which nothing was evaluated yet, as what is known beforehand foretells it.

    Args:
        known: the columns with functions that are known beforehand.
        sign: of the metric: 1 where larger is better.
    """

    noise = 0.0

    def __init__(self, known: Sequence[int], sign: float) -> None:
        self.known, self.sign = list(known), sign

    def moments(self, points: Tensor) -> tuple[Tensor, Tensor]:
        mean = self.sign * points[:, self.known].mean(1)
        return mean, torch.full_like(mean, KNOWN_ERRS)

    def fantasize(self, points: Tensor, scores: Tensor) -> PriorSurrogate:
        return self


#: What is expected of one metric's scores; larger is better.
Surrogate = Process | PriorSurrogate


class Inputs:
    """What the processes see of archs: features of the graph, and what is known beforehand of each metric.

    Args:
        space: of the archs.
        task: what the networks are for.
        metrics: that are learnt.
        prior: what is known of them; None for nothing.
        view: what the processes see of graphs.

    Attributes:
        reference: random archs, that stand for the space.
        view: says the first columns.
        known: for each metric the columns with what is known of it.
    """

    def __init__(
        self,
        space: Space,
        task: Task,
        metrics: Sequence[Metric],
        prior: Prior | None = None,
        view: ViewName = "features",
    ) -> None:
        self.metrics, self.prior = tuple(metrics), prior
        rng = np.random.default_rng(0)
        self.reference = [space.sample(rng) for _ in range(REFERENCE)]
        features = view == "features"
        self.view = FeatureView(space, task, self.reference) if features else WeisfeilerLehmanView(space)
        widths = [prior.of(self.reference[:2], metric).shape[1] if prior else 0 for metric in self.metrics]
        ends = self.view.width + np.cumsum([0, *widths])
        self.known = tuple(tuple(range(start, end)) for start, end in pairwise(ends.tolist()))
        self._rows: dict[str, np.ndarray] = {}

    def of(self, archs: Sequence[Arch]) -> Tensor:
        """``(N, d)`` double; what was asked before is remembered."""
        new = [arch for arch in dict.fromkeys(archs) if arch.key not in self._rows]
        if new:
            features = self.view.of(new)
            told = [self.prior.of(new, metric) for metric in self.metrics] if self.prior else []
            self._rows.update(zip((arch.key for arch in new), np.hstack([features, *told]), strict=True))
        width = self.view.width + sum(map(len, self.known))
        rows = np.array([self._rows[arch.key] for arch in archs]).reshape(len(archs), width)
        return torch.from_numpy(rows)


@dataclass(frozen=True)
class Scale:
    """A metric on the scale on which it is learnt: increasing piecewise-linear, larger where the metric is better.

    Attributes:
        values: ``(k,)`` increasing knots, in the metric's unit times its sign.
        scores: ``(k,)`` increasing, there.
        sign: of the metric: 1 where larger is better.
    """

    values: np.ndarray
    scores: np.ndarray
    sign: float

    @classmethod
    def by_rank(cls, metric: Metric, values: np.ndarray) -> Scale:
        """Normal scores of the evaluated archs among themselves: outliers and units do not matter."""
        sign = metric.kind.sign
        scores, gains = normal_scores(sign * values), sign * values
        knots, first = np.unique(gains, return_index=True)
        return cls(knots, scores[first], sign)

    @classmethod
    def by_size(cls, metric: Metric, values: np.ndarray) -> Scale:
        """Standardised, where a hypervolume counts: logarithms of what is minimised; of accuracies what is below the
        median counts the less the lower it is."""
        sign = metric.kind.sign
        knots = np.unique(sign * values)
        if sign < 0:
            scores = -np.log(np.maximum(-knots, 1e-9))
        else:
            middle, upper = np.quantile(values, [0.5, 0.9])
            apart = (knots - middle) / max(upper - middle, 1e-9)
            scores = np.where(apart < -1, -1 - np.log1p(np.maximum(-1 - apart, 0)), apart)
        told = np.interp(sign * values, knots, scores)
        return cls(knots, (scores - told.mean()) / max(told.std(), 1e-9), sign)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """``(N,)`` scores of values in the metric's unit; beyond the knots a line goes on as they do on the whole."""
        gains = self.sign * np.asarray(values, dtype=float)
        width = self.values[-1] - self.values[0]
        slope = (self.scores[-1] - self.scores[0]) / width if width > 0 else 1.0
        beyond = gains - gains.clip(self.values[0], self.values[-1])
        return np.interp(gains, self.values, self.scores) + slope * beyond


class PriorMean(Mean):
    """``constant + scale * (mean of the known functions)``, the functions centred on the evaluated archs.

    Args:
        known: their columns.
        centre: ``(D,)`` their means over the evaluated archs.
        scale: the usual one, which the fitted scale is a multiple of; negative where they are smaller for better archs.
    """

    def __init__(self, known: Sequence[int], centre: Tensor, scale: float) -> None:
        super().__init__()
        self.known, self.scale = list(known), scale
        self.register_buffer("centre", centre)
        self.register_parameter("constant", torch.nn.Parameter(torch.zeros((), dtype=torch.double)))
        self.register_prior("constant_prior", NormalPrior(0.0, 1.0), "constant")
        if self.known:
            self.register_parameter("log_scale", torch.nn.Parameter(torch.zeros((), dtype=torch.double)))
            self.register_prior("log_scale_prior", NormalPrior(0.0, 0.5), "log_scale")

    def forward(self, x: Tensor) -> Tensor:
        mean = self.constant.expand(x.shape[:-1])
        if self.known:
            mean = mean + self.scale * self.log_scale.exp() * (x[..., self.known] - self.centre).mean(-1)
        return mean


def fit_process(inputs: Tensor, scores: Tensor, view: View, known: Sequence[int], kind: MetricKind) -> Process:
    """A Gaussian process fitted by maximum a posteriori.

    Its covariance is that of a view of the graphs; where something is known beforehand, this is its mean, and a linear
    kernel says that its weights may be others.

    Args:
        inputs: ``(n, d)`` double.
        scores: ``(n,)`` double, about standard normal.
        view: of the first columns.
        known: the columns with functions that are known beforehand.
        kind: of the metric.
    """
    covariance = view.kernel(log_normal(0.15 if known else 0.6, 1.0))
    told = inputs[:, list(known)].mean(1) if known else scores
    # Archs that agree in what is known beforehand say nothing of its scale.
    scale = kind.sign / max(float(told.std()), LEAST_SPREAD)
    mean = PriorMean(known, inputs[:, list(known)].mean(0), scale)
    if known:
        linear = PlainLinearKernel(known, LogNormalPrior(-3.8, 1.4))
        linear.variance = float(np.exp(-3.8))
        covariance = covariance + linear
    trained = TRAINED_AND_KNOWN if known else TRAINED
    noise = log_normal(*(trained if kind.name == "accuracy" else MEASURED))
    likelihood = GaussianLikelihood(noise_prior=noise, noise_constraint=GreaterThan(1e-5, initial_value=0.1))
    return fitted(inputs, scores, covariance, steps=STEPS, mean=mean, likelihood=likelihood)
