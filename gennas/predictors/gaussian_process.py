"""Process: a fitted Gaussian process with fast marginal posteriors at many points."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import torch
from botorch.exceptions.errors import ModelFittingError
from botorch.exceptions.warnings import InputDataWarning, OptimizationWarning
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import Kernel, LinearKernel, MaternKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.means import Mean
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import LogNormalPrior, NormalPrior
from linear_operator import to_dense
from linear_operator.utils.warnings import NumericalWarning
from torch import Tensor

#: Lower bounds of length scales (in stds of a feature) and of variances: a line search may step to 0, where the
#: covariance is singular and priors have no density.
SHORTEST, SMALLEST = 0.025, 1e-6
#: Std of the logarithm of a noise that repeated measurements tell, and the least variance that it is taken for.
NOISE_LOG_STD, LEAST_NOISE = 0.75, 1e-3
#: Points whose posterior is computed at once: their covariances with a thousand observations take 33 MB.
AT_ONCE = 4096


def matern(width: int, median: float, *, ard: bool = True) -> MaternKernel:
    """A Matern 5/2 kernel on standardised features, with a length-scale prior that grows with their number.

    Hvarfner, Hellsten and Nardi, "Vanilla Bayesian Optimization Performs Great in High Dimensions", ICML 2024.

    Args:
        width: number of features; they are the first columns of the input.
        median: prior median of the length scale with a single feature.
        ard: whether each feature has its own length scale.
    """
    kernel = MaternKernel(
        2.5,
        ard_num_dims=width if ard else None,
        active_dims=list(range(width)),
        lengthscale_prior=LogNormalPrior(np.log(median) + np.log(width) / 2, 1.0),
        lengthscale_constraint=GreaterThan(SHORTEST),
    )
    kernel.lengthscale = 2 * width**0.5
    return kernel


class PlainLinearKernel(LinearKernel):
    """A linear kernel as plain numbers: in a sum its low rank would be made use of, by a factorisation that perturbs
    the other summand where archs that compute the same make it singular.

    Args:
        columns: of the inputs, those that count.
        variance: the prior of its variance.
    """

    def __init__(self, columns: Sequence[int], variance: LogNormalPrior) -> None:
        super().__init__(active_dims=list(columns), variance_prior=variance, variance_constraint=GreaterThan(SMALLEST))

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: bool) -> Tensor:
        product = super().forward(x1, x2, diag=diag, **params)
        return product if diag else to_dense(product)


class SlotKernel(Kernel):
    """A Matern 5/2 kernel with one length scale for all the columns of a slot.

    Args:
        columns: of the inputs, those of :class:`gennas.predictors.slot_features.SlotColumns`.
        slot_of: the slot of each of these columns, counted from 0 without gaps.
    """

    has_lengthscale = True
    slot_of: Tensor

    def __init__(self, columns: Sequence[int], slot_of: Sequence[int]) -> None:
        count = max(slot_of) + 1
        super().__init__(
            ard_num_dims=count,
            active_dims=list(columns),
            lengthscale_prior=LogNormalPrior(np.log(count) / 2, 1.0),
            lengthscale_constraint=GreaterThan(SHORTEST),
        )
        # The number of length scales is not that of columns, which GPyTorch would check.
        self.ard_num_dims = None
        self.register_buffer("slot_of", torch.tensor(list(slot_of)))
        self.lengthscale = count**0.5

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: bool) -> Tensor:
        lengths = self.lengthscale[..., self.slot_of]
        distance = math.sqrt(5) * self.covar_dist(x1 / lengths, x2 / lengths, diag=diag)
        return (1 + distance + distance.square() / 3) * torch.exp(-distance)


def slot_covariance(columns: Sequence[int], slot_of: Sequence[int], mode: float, std: float = 1.0) -> Kernel:
    """How alike two archs are, slot by slot: by all slots together, and by a sum over them.

    Of few labels the sum is learnt first, the kernel of all slots together adds what they do with each other. It is to
    be added to a kernel of the features of the whole graph, which know no positions.

    Args:
        columns: of the inputs, those of :class:`gennas.predictors.slot_features.SlotColumns`.
        slot_of: the slot of each of these columns, counted from 0 without gaps.
        mode: of the prior of the variance of all slots together; that of the sum is a third.
        std: of the logarithms of both variances.
    """
    together = scaled(SlotKernel(columns, slot_of), log_normal(mode, std))
    total = PlainLinearKernel(columns, log_normal(mode / 3, std))
    total.variance = mode / 3
    return together + total


def scaled(kernel: Kernel, amplitude: LogNormalPrior) -> ScaleKernel:
    """A kernel times a variance that is learnt, from the mode of its prior on."""
    product = ScaleKernel(kernel, outputscale_prior=amplitude, outputscale_constraint=GreaterThan(SMALLEST))
    product.outputscale = amplitude.mode
    return product


def log_normal(mode: float, std: float) -> LogNormalPrior:
    """A prior whose density is highest at ``mode``; ``std`` is the standard deviation of the logarithm."""
    return LogNormalPrior(np.log(mode) + std**2, std)


class PriorMean(Mean):
    """``constant + scale * (mean of the prior's functions)``, the functions centred on the evaluated archs.

    Args:
        columns: of the inputs, those with the prior's functions.
        centre: ``(D,)`` their means over the evaluated archs.
        scale: the usual one, which the fitted scale is a multiple of; negative where they are smaller for better archs.
    """

    def __init__(self, columns: Sequence[int], centre: Tensor, scale: float) -> None:
        super().__init__()
        self.columns, self.scale = list(columns), scale
        self.register_buffer("centre", centre)
        self.register_parameter("constant", torch.nn.Parameter(torch.zeros((), dtype=torch.double)))
        self.register_prior("constant_prior", NormalPrior(0.0, 1.0), "constant")
        if self.columns:
            self.register_parameter("log_scale", torch.nn.Parameter(torch.zeros((), dtype=torch.double)))
            self.register_prior("log_scale_prior", NormalPrior(0.0, 0.5), "log_scale")

    def forward(self, x: Tensor) -> Tensor:
        """``(..., N)`` of inputs ``(..., N, d)``."""
        mean = self.constant.expand(x.shape[:-1])
        if self.columns:
            mean = mean + self.scale * self.log_scale.exp() * self.averaged(x[..., self.columns] - self.centre)
        return mean

    def averaged(self, functions: Tensor) -> Tensor:
        """``(..., N)`` the mean of functions ``(..., N, D)``."""
        return functions.mean(-1)


def measured_noise(variance: float) -> GaussianLikelihood:
    """The likelihood of scores whose noise repeated measurements tell; it is fitted too, as archs with the same
    features may still differ.

    Args:
        variance: of the noise of scores.
    """
    prior = log_normal(max(variance, LEAST_NOISE), NOISE_LOG_STD)
    return GaussianLikelihood(noise_prior=prior, noise_constraint=GreaterThan(1e-5, initial_value=max(variance, 1e-3)))


def fitted(
    inputs: Tensor,
    scores: Tensor,
    kernel: Kernel,
    *,
    steps: int,
    mean: Mean | None = None,
    likelihood: GaussianLikelihood | None = None,
) -> Process:
    """Fits a Gaussian process by maximum a posteriori estimation.

    If every attempt to fit it fails, the hyperparameters keep their initial values.

    Args:
        inputs: ``(n, d)`` double, standardised.
        scores: ``(n,)`` double, roughly standard normal.
        kernel: the covariance function, with priors.
        steps: maximum number of optimiser steps; 0 keeps the initial values.
        mean: the mean function; constant by default.
        likelihood: the likelihood; BoTorch's default if None.
    """
    with warnings.catch_warnings():
        # Inputs are standardised over the space, not over these rows; stopping at the step limit is intended.
        warnings.simplefilter("ignore", InputDataWarning)
        warnings.simplefilter("ignore", OptimizationWarning)
        # Equivalent archs have equal features.
        warnings.simplefilter("ignore", NumericalWarning)
        model = SingleTaskGP(
            inputs, scores[:, None], likelihood=likelihood, covar_module=kernel, mean_module=mean,
            outcome_transform=None,
        )  # fmt: skip
        if steps:
            likelihood_of_scores = ExactMarginalLogLikelihood(model.likelihood, model)
            with suppress(ModelFittingError):
                fit_gpytorch_mll(likelihood_of_scores, optimizer_kwargs={"options": {"maxiter": steps}})
    return Process(model.eval(), inputs, scores)


class Process:
    """A fitted Gaussian process and its marginal posteriors at many points.

    Args:
        model: the fitted BoTorch model.
        inputs: ``(n, d)`` training inputs.
        scores: ``(n,)`` training targets.

    Attributes:
        noise: variance of the observation noise.
    """

    def __init__(self, model: SingleTaskGP, inputs: Tensor, scores: Tensor) -> None:
        with torch.no_grad():
            gram = model.covar_module(inputs).to_dense() + model.likelihood.noise * torch.eye(len(inputs))
            self._set(model, inputs, scores, torch.linalg.cholesky(gram))

    @torch.no_grad()
    def _set(self, model: SingleTaskGP, inputs: Tensor, scores: Tensor, factor: Tensor) -> None:
        self.model, self.inputs, self._scores, self._factor = model, inputs, scores, factor
        self.noise = float(model.likelihood.noise)
        self._weights = torch.cholesky_solve((scores - model.mean_module(inputs))[:, None], factor)

    @torch.no_grad()
    def mean(self, points: Tensor) -> Tensor:
        """``(N,)`` posterior mean at ``points (N, d)``, faster than :meth:`moments`."""
        return torch.cat([self._mean(part, self._cross(part)) for part in points.split(AT_ONCE)])

    @torch.no_grad()
    def moments(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """``(N,)`` posterior mean and std, without observation noise, at ``points (N, d)``."""
        means, stds = [], []
        for part in points.split(AT_ONCE):
            cross = self._cross(part)
            solved = torch.linalg.solve_triangular(self._factor, cross.T, upper=False)
            variance = self.model.covar_module(part, diag=True) - solved.square().sum(0)
            means.append(self._mean(part, cross))
            stds.append(variance.clamp_min(1e-10).sqrt())
        return torch.cat(means), torch.cat(stds)

    def _cross(self, points: Tensor) -> Tensor:
        """``(N, n)`` covariances of points with the training inputs."""
        return self.model.covar_module(points, self.inputs).to_dense()

    def _mean(self, points: Tensor, cross: Tensor) -> Tensor:
        return self.model.mean_module(points) + (cross @ self._weights)[:, 0]

    @torch.no_grad()
    def fantasize(self, points: Tensor, scores: Tensor) -> Process:
        """The process conditioned on more ``points (N, d)`` and ``scores (N,)``; hyperparameters are kept.

        The Cholesky factor grows by a block of rows: quadratic in the number of observations, not cubic.
        """
        count = len(self.inputs)
        lower = torch.linalg.solve_triangular(self._factor, self._cross(points).T, upper=False).T
        own = self.model.covar_module(points).to_dense() + self.model.likelihood.noise * torch.eye(len(points))
        factor = self._factor.new_zeros(count + len(points), count + len(points))
        factor[:count, :count], factor[count:, :count] = self._factor, lower
        factor[count:, count:] = torch.linalg.cholesky(own - lower @ lower.T)
        grown = Process.__new__(Process)
        grown._set(self.model, torch.cat([self.inputs, points]), torch.cat([self._scores, scores]), factor)
        return grown

    @torch.no_grad()
    def left_out(self) -> tuple[Tensor, Tensor]:
        """``(n,)`` leave-one-out mean and variance of each training target, noise included.

        In closed form: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, equations 5.10-5.12.
        """
        precision = torch.cholesky_inverse(self._factor).diagonal()
        return self._scores - self._weights[:, 0] / precision, 1 / precision


def spread_rows(scores: Tensor, count: int) -> Tensor:
    """``(min(n, count),)`` rows spread evenly over the ranks of scores ``(n,)``, in their own order."""
    if len(scores) <= count:
        return torch.arange(len(scores))
    ranks = torch.linspace(0, len(scores) - 1, count).round().long()
    return scores.argsort(stable=True)[ranks].sort().values
