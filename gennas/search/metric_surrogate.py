"""The surrogate of one metric: a Gaussian process, or, before any evaluation, the prior alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from gpytorch.constraints import GreaterThan
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.priors import LogNormalPrior
from torch import Tensor

from gennas.metrics import MetricKind
from gennas.predictors.gaussian_process import (
    PlainLinearKernel,
    PriorMean,
    Process,
    fitted,
    log_normal,
    measured_noise,
    spread_rows,
)
from gennas.predictors.task_kernel import TaskKernel
from gennas.search.kernels import View

#: Least std of the prior over the evaluated archs, in stds over the space, by which the prior is scaled.
MIN_PRIOR_STD = 0.25
#: Std of the prior's error, in stds over the space, before any evaluation.
PRIOR_ERROR = 0.3
#: The same of what the predictor will predict: it is averaged over its own uncertainty in another order.
PREDICTED_ERROR = 0.1
#: The same of a latency on this machine, which the predictor learnt on another: all archs may be several times slower.
MACHINE_ERROR = 1.0
#: Steps of the optimiser that fits a process.
STEPS = 60
#: Observations beyond which the optimiser makes fewer steps, and how many: each is cubic in their number.
MANY, STEPS_OF_MANY = 200, 30
#: Observations from which the hyperparameters of all metrics of a problem together are fitted. The posterior, cubic
#: once, is that of all.
FITTED = 400
#: Priors of the noise of evaluations, a variance of scores: the mode, and the std of the logarithm. Trainings differ
#: more than timings do; what is left beyond a good prior is mostly noise.
TRAINED, TRAINED_WITH_PRIOR, MEASURED = (0.2, 1.5), (0.4, 1.0), (0.005, 1.5)
#: Prior of the variance of the weights of a prior's functions of devices: mean and std of its logarithm.
WEIGHTS = -3.8, 1.4


class PriorSurrogate:
    """A metric whose evaluations distinguish nothing yet, as its prior predicts it; without one all archs are alike.

    Args:
        columns: of the inputs, those with the prior's functions; none where there is no prior.
        sign: of the metric: 1 where larger is better.
        error: std of the prior's error, in stds over the space.
    """

    noise = 0.0

    def __init__(self, columns: Sequence[int], sign: float, error: float = PRIOR_ERROR) -> None:
        self.columns, self.sign, self.error = list(columns), sign, error

    def mean(self, points: Tensor) -> Tensor:
        """``(N,)`` mean of the scores at ``points (N, d)``."""
        return self.sign * points[:, self.columns].mean(1) if self.columns else points.new_zeros(len(points))

    def moments(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """``(N,)`` mean and std of the scores at ``points (N, d)``."""
        mean = self.mean(points)
        return mean, torch.full_like(mean, self.error if self.columns else 1.0)

    def fantasize(self, points: Tensor, scores: Tensor) -> PriorSurrogate:
        """The same: a prior does not change with evaluations."""
        return self


#: Predicts one metric's scores; larger is better.
MetricSurrogate = Process | PriorSurrogate


def fit_process(
    inputs: Tensor,
    scores: Tensor,
    view: View,
    prior_columns: Sequence[int],
    kind: MetricKind,
    most: int = FITTED,
    known_noise: float | None = None,
) -> Process:
    """A Gaussian process fitted by maximum a posteriori.

    Its covariance is that of a view of the graphs. The mean of a prior's functions is its mean; how alike archs are by
    these functions adds to the covariance, for tasks by :class:`.TaskKernel`, for devices by a linear kernel, so that
    evaluations tell which functions count.

    Args:
        inputs: ``(n, d)`` double.
        scores: ``(n,)`` double, about standard normal.
        view: of the first columns.
        prior_columns: those with the prior's functions; none where there is no prior.
        kind: of the metric.
        most: observations from which the hyperparameters are fitted.
        known_noise: the variance of scores that repeated measurements tell; None where nothing does.
    """
    columns = list(prior_columns)
    covariance = view.kernel(log_normal(0.15 if columns else 0.6, 1.0))
    predicted = inputs[:, columns].mean(1) if columns else scores
    # Archs for which the prior predicts the same say nothing of its scale.
    scale = kind.sign / max(float(predicted.std()), MIN_PRIOR_STD)
    mean = PriorMean(columns, inputs[:, columns].mean(0), scale)
    if columns:
        covariance = covariance + (TaskKernel(columns) if kind.scope == "task" else weights_kernel(columns))
    trained = TRAINED_WITH_PRIOR if columns else TRAINED
    noise = log_normal(*(trained if kind.scope == "task" else MEASURED))
    likelihood = GaussianLikelihood(noise_prior=noise, noise_constraint=GreaterThan(1e-5, initial_value=0.1))
    likelihood = likelihood if known_noise is None else measured_noise(known_noise)
    rows, steps = spread_rows(scores, most), STEPS if len(scores) <= MANY else STEPS_OF_MANY
    process = fitted(inputs[rows], scores[rows], covariance, steps=steps, mean=mean, likelihood=likelihood)
    return process if len(rows) == len(scores) else Process(process.model, inputs, scores)


def weights_kernel(columns: Sequence[int]) -> PlainLinearKernel:
    """A linear kernel of a prior's functions: by it, evaluations tell their weights."""
    linear = PlainLinearKernel(columns, LogNormalPrior(*WEIGHTS))
    linear.variance = math.exp(WEIGHTS[0])
    return linear
