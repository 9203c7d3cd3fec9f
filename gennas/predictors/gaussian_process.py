"""Process: a Gaussian process on features of graphs, fitted, and what it says of many archs one by one."""

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

#: No length scale is shorter, in stds of a feature, and no variance smaller: a line search may step to 0, where there
#: is no covariance, and where priors have no density.
SHORTEST, SMALLEST = 0.025, 1e-6


def matern(width: int, median: float, *, apart: bool = True) -> MaternKernel:
    """A Matern 5/2 kernel of standardised features, whose length scales are expected to grow with their number.

    Hvarfner, Hellsten and Nardi, "Vanilla Bayesian Optimization Performs Great in High Dimensions", ICML 2024.

    Args:
        width: how many features; they are the first columns.
        median: of the prior of a length scale, were there one feature.
        apart: whether every feature has a length scale of its own.
    """
    kernel = MaternKernel(
        2.5,
        ard_num_dims=width if apart else None,
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
    """A Gaussian process fitted by maximum a posteriori.

    Where no attempt of the optimiser ends in a covariance, it stays as it began: its priors' guess, which is better
    than the end of a search.

    Args:
        inputs: ``(n, d)`` double, standardised.
        scores: ``(n,)`` double, about standard normal.
        kernel: the covariance, with priors.
        steps: of the optimiser, at most.
        mean: a constant one by default.
        likelihood: BoTorch's by default.
    """
    with warnings.catch_warnings():
        # Inputs are standardised over the space; that the optimiser stops at its limit is meant.
        warnings.simplefilter("ignore", InputDataWarning)
        warnings.simplefilter("ignore", OptimizationWarning)
        # Archs that compute the same have equal features.
        warnings.simplefilter("ignore", NumericalWarning)
        model = SingleTaskGP(
            inputs, scores[:, None], likelihood=likelihood, covar_module=kernel, mean_module=mean,
            outcome_transform=None,
        )  # fmt: skip
        with suppress(ModelFittingError):
            fit_gpytorch_mll(
                ExactMarginalLogLikelihood(model.likelihood, model), optimizer_kwargs={"options": {"maxiter": steps}}
            )
    return Process(model.eval(), inputs, scores)


class Process:
    """A fitted Gaussian process, and its posterior for many archs one by one.

    Args:
        model: the BoTorch model, whose posterior is a joint one.
        inputs: ``(n, d)`` of the archs that it learnt from.
        scores: ``(n,)`` theirs.

    Attributes:
        noise: variance of scores that are evaluated again.
    """

    def __init__(self, model: SingleTaskGP, inputs: Tensor, scores: Tensor) -> None:
        self.model, self.inputs = model, inputs
        self.noise = float(model.likelihood.noise.detach())
        with torch.no_grad():
            gram = model.covar_module(inputs).to_dense() + model.likelihood.noise * torch.eye(len(inputs))
            self._scores, self._factor = scores, torch.linalg.cholesky(gram)
            self._weights = torch.cholesky_solve((scores - model.mean_module(inputs))[:, None], self._factor)

    @torch.no_grad()
    def moments(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """``(N,)`` mean and std of the noiseless scores at ``points (N, d)``."""
        means, stds = [], []
        for part in points.split(4096):
            cross = self.model.covar_module(part, self.inputs).to_dense()
            solved = torch.linalg.solve_triangular(self._factor, cross.T, upper=False)
            variance = self.model.covar_module(part, diag=True) - solved.square().sum(0)
            means.append(self.model.mean_module(part) + (cross @ self._weights)[:, 0])
            stds.append(variance.clamp_min(1e-10).sqrt())
        return torch.cat(means), torch.cat(stds)

    def fantasize(self, points: Tensor, scores: Tensor) -> Process:
        """The process, were archs at ``points (N, d)`` evaluated with these scores ``(N,)``; nothing is fitted anew."""
        return Process(self.model, torch.cat([self.inputs, points]), torch.cat([self._scores, scores]))

    @torch.no_grad()
    def left_out(self) -> tuple[Tensor, Tensor]:
        """``(n,)`` mean and variance of every score, noise included, as the others foretell it.

        In closed form: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 5.10-5.12.
        """
        precision = torch.cholesky_inverse(self._factor).diagonal()
        return self._scores - self._weights[:, 0] / precision, 1 / precision
