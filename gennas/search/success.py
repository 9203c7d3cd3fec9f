"""Success: how likely the evaluation of an arch is to succeed, learnt from those that failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import Kernel, MaternKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from torch import Tensor

from gennas.arch import Arch
from gennas.predictors.gaussian_process import (
    SHORTEST,
    SMALLEST,
    PlainLinearKernel,
    PriorMean,
    Process,
    fitted,
    log_normal,
)
from gennas.search.base import History
from gennas.search.inputs import Inputs
from gennas.search.metric_surrogate import STEPS

#: The latest outcomes that are learnt from: more say hardly more, and take longer.
LATEST = 300
#: From so many successes and as many failures on, it is asked whether the archs make a difference.
ENOUGH = 4
#: By how many nats the archs must explain outcomes better than chance: the kernel was fitted to the same outcomes.
EVIDENCE = 3.0
#: How many times a log-probability below a half's counts besides, once so much has failed: however much an arch would
#: improve, nobody spends a budget on what fails again and again.
CAUTION = 9.0


@dataclass(frozen=True, eq=False)
class Success:
    """A Gaussian process fitted to 1 for evaluations that succeeded, and to -1 for those that failed.

    Its probability counts like that of a bound, whatever the failures were: time-outs, lack of memory, trainings that
    diverged. Small networks, and those unlike what failed, are expected to succeed until evaluations say otherwise.

    Attributes:
        process: of the features of graphs, and of how small their networks are.
        inputs: what surrogates see of archs.
        is_cautious: whether so much has failed that what is likelier to fail counts less than its probability.
    """

    process: Process
    inputs: Inputs
    is_cautious: bool = False

    @classmethod
    def of(cls, inputs: Inputs, history: History) -> Success | None:
        """None where nothing failed, or where failures have nothing to do with the archs."""
        succeeded = np.isfinite(history.values).all(1) & ~history.failed
        rows = np.flatnonzero(succeeded | history.failed)[-LATEST:]
        if not history.failed[rows].any():
            return None
        outcomes = torch.from_numpy(np.where(succeeded[rows], 1.0, -1.0))
        points = _points(inputs, inputs.of([history.archs[row] for row in rows]))
        success = cls(_fitted(inputs, points, outcomes), inputs)
        fewest = min(int(succeeded[rows].sum()), int(history.failed[rows].sum()))
        if fewest >= ENOUGH and not success._explains(outcomes):
            return None
        return replace(success, is_cautious=int(history.failed[rows].sum()) >= ENOUGH)

    def log_probability(self, points: Tensor) -> Tensor:
        """``(N,)`` of success, at inputs ``points (N, d)``."""
        mean, std = self.process.moments(_points(self.inputs, points))
        return torch.special.log_ndtr(mean / (std.square() + self.process.noise).sqrt())

    def log_weight(self, points: Tensor) -> Tensor:
        """``(N,)`` what an acquisition value changes by: the log-probability, and less where failure is likelier and
        much has failed."""
        values = self.log_probability(points)
        return values - CAUTION * (np.log(0.5) - values).clamp_min(0.0) if self.is_cautious else values

    def log_probability_of(self, archs: Sequence[Arch]) -> np.ndarray:
        """``(N,)`` of success, of archs."""
        return self.log_probability(self.inputs.of(archs)).numpy()

    def _explains(self, outcomes: Tensor) -> bool:
        """Whether outcomes are likelier, each by its arch and the others, than by how many others are alike."""
        mean, variance = self.process.left_out()
        by_arch = torch.special.log_ndtr(outcomes * mean / variance.sqrt())
        alike = (outcomes == outcomes[:, None]).sum(1)
        return float(by_arch.sum() - (alike / (1 + len(outcomes))).log().sum()) > EVIDENCE


#: Random archs of which one is chosen by weights.
DRAWS = 50


def drawn_by(log_weights: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of ``(N,)`` logarithms of weights, drawn without replacement: the largest of Gumbel variables around them
    (Vieira, "Gumbel-max trick and weighted reservoir sampling", 2014)."""
    return np.argsort(-log_weights - rng.gumbel(size=len(log_weights)))[:count]


def _fitted(inputs: Inputs, points: Tensor, outcomes: Tensor) -> Process:
    small = list(range(inputs.view.width, points.shape[1]))
    covariance = inputs.view.kernel(log_normal(0.5, 1.0))
    if small:
        # How much a network's size matters is not known beforehand, nor even in which direction.
        slope = PlainLinearKernel(small, log_normal(0.5, 0.5))
        slope.variance = 0.5
        covariance = covariance + slope + _step_kernel(inputs.view.costs)
    noise = log_normal(0.05, 1.0)
    likelihood = GaussianLikelihood(noise_prior=noise, noise_constraint=GreaterThan(1e-3, initial_value=0.05))
    # Failures alone would be fitted by a constant.
    steps = STEPS if (outcomes > 0).any() else 0
    mean = PriorMean(small, points[:, small].mean(0), 1.0)
    return fitted(points, outcomes, covariance, steps=steps, mean=mean, likelihood=likelihood)


def _step_kernel(costs: Sequence[int]) -> Kernel:
    """Limits of time and memory are steps in costs, for which the length scales of many features never become short."""
    matern = MaternKernel(
        2.5,
        ard_num_dims=len(costs),
        active_dims=list(costs),
        lengthscale_prior=log_normal(0.3, 0.7),
        lengthscale_constraint=GreaterThan(SHORTEST),
    )
    matern.lengthscale = 0.5
    amplitude = log_normal(0.5, 0.5)
    kernel = ScaleKernel(matern, outputscale_prior=amplitude, outputscale_constraint=GreaterThan(SMALLEST))
    kernel.outputscale = 0.5
    return kernel


def _points(inputs: Inputs, points: Tensor) -> Tensor:
    """``(N, width + 1)`` the features of graphs, and how small their networks are; the features alone where these have
    no costs."""
    features, costs = points[:, : inputs.view.width], list(inputs.view.costs)
    return torch.cat([features, -features[:, costs].mean(1, keepdim=True)], 1) if costs else features
