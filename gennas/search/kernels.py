"""Views: what a search's Gaussian processes see of graphs, and the kernel that says how similar these are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import Kernel, LinearKernel, ScaleKernel
from gpytorch.priors import LogNormalPrior
from linear_operator import to_dense
from torch import Tensor

from gennas.arch import Arch
from gennas.predictors.features import COSTS, GraphFeatures
from gennas.predictors.gaussian_process import SMALLEST, matern
from gennas.spaces import Space
from gennas.tasks import Task


class View(ABC):
    """Numbers that describe graphs, and a covariance over them.

    Attributes:
        width: how many numbers.
        costs: which of them are logarithms of costs.
    """

    width: int
    costs: tuple[int, ...] = ()

    @abstractmethod
    def of(self, archs: Sequence[Arch]) -> np.ndarray:
        """``(N, width)``."""

    @abstractmethod
    def kernel(self, amplitude: LogNormalPrior) -> Kernel:
        """A covariance of these columns.

        Args:
            amplitude: the prior of its scale.
        """


class FeatureView(View):
    """Features of graphs, standardised over a space, and a Matern 5/2 kernel with one length scale for each of them.

    Args:
        space: whose graphs are described.
        task: what the networks are for; costs are among the features.
        reference: archs that stand for the space.
    """

    def __init__(self, space: Space, task: Task, reference: Sequence[Arch]) -> None:
        self.task, self._features = task, GraphFeatures(space)
        features = self._features.of(reference, task)
        std = features.std(axis=0)
        self._varies = std > 1e-9
        self._centre, self._std = features[:, self._varies].mean(axis=0), std[self._varies]
        self.width = int(self._varies.sum())
        self.costs = tuple(range(int(self._varies[:COSTS].sum())))

    def of(self, archs: Sequence[Arch]) -> np.ndarray:
        return (self._features.of(archs, self.task)[:, self._varies] - self._centre) / self._std

    def kernel(self, amplitude: LogNormalPrior) -> Kernel:
        kernel = ScaleKernel(
            matern(self.width, np.e**2), outputscale_prior=amplitude, outputscale_constraint=GreaterThan(SMALLEST)
        )
        kernel.outputscale = amplitude.mode
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


def log_normal(mode: float, std: float) -> LogNormalPrior:
    """A prior whose density is highest at ``mode``; ``std`` is the standard deviation of the logarithm."""
    return LogNormalPrior(np.log(mode) + std**2, std)
