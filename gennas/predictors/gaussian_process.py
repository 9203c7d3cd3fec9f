"""Process: a fitted Gaussian process with fast marginal posteriors at many points."""

from __future__ import annotations

import warnings
from contextlib import suppress

import numpy as np
import torch
from botorch.exceptions.errors import ModelFittingError
from botorch.exceptions.warnings import InputDataWarning, OptimizationWarning
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import Kernel, MaternKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.means import Mean
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import LogNormalPrior
from linear_operator.utils.warnings import NumericalWarning
from torch import Tensor

#: Lower bounds of length scales (in stds of a feature) and of variances: a line search may step to 0, where the
#: covariance is singular and priors have no density.
SHORTEST, SMALLEST = 0.025, 1e-6
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
