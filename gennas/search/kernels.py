"""Views: what a search's processes see of graphs, and how alike it makes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import numpy as np
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import AdditiveKernel, Kernel, LinearKernel, ScaleKernel
from gpytorch.priors import LogNormalPrior
from linear_operator import to_dense
from torch import Tensor

from gennas.arch import Arch
from gennas.predictors.features import GraphFeatures, live
from gennas.predictors.gaussian_process import SMALLEST, matern
from gennas.spaces import Space
from gennas.tasks import Task

#: The views by name.
ViewName = Literal["features", "weisfeiler_lehman"]


class View(ABC):
    """Numbers that describe graphs, and a covariance of what they say.

    Attributes:
        width: how many numbers.
    """

    width: int

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
        spread = features.std(axis=0)
        self._varies = spread > 1e-9
        self._centre, self._spread = features[:, self._varies].mean(axis=0), spread[self._varies]
        self.width = int(self._varies.sum())

    def of(self, archs: Sequence[Arch]) -> np.ndarray:
        return (self._features.of(archs, self.task)[:, self._varies] - self._centre) / self._spread

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


def log_normal(mode: float, spread: float) -> LogNormalPrior:
    """A prior whose density is highest at ``mode``; ``spread`` is the standard deviation of the logarithm."""
    return LogNormalPrior(np.log(mode) + spread**2, spread)


#: Levels of neighbourhoods: operations alone, with their neighbours, with those of these.
LEVELS = 3
#: Kinds of neighbourhoods that are told apart at every level; rare collisions make graphs a little more alike.
BUCKETS = 256
_MULTIPLIERS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)


class WeisfeilerLehmanView(View):
    """How often each kind of neighbourhood occurs in a graph, level by level.

    Shervashidze et al., "Weisfeiler-Lehman Graph Kernels", JMLR 2011, used for architectures by Ru et al.,
    "Interpretable Neural Architecture Search via Bayesian Optimisation with Weisfeiler-Lehman Kernels", ICLR 2021. What
    feeds an operation and what it feeds are told apart; only what lies between input and output counts. The scalar
    product of two graphs' features is the sum over levels of how alike they are there, 1 for equal ones.

    Args:
        space: whose graphs are described.
    """

    width = LEVELS * BUCKETS

    def __init__(self, space: Space) -> None:
        self.space = space

    def kernel(self, amplitude: LogNormalPrior) -> Kernel:
        """How alike two graphs are at each level, each level with a weight of its own."""
        kernels = []
        for level in range(LEVELS):
            columns = list(range(level * BUCKETS, (level + 1) * BUCKETS))
            kernels.append(PlainLinearKernel(columns, amplitude))
            kernels[-1].variance = amplitude.mode / LEVELS
        return AdditiveKernel(*kernels)

    def of(self, archs: Sequence[Arch]) -> np.ndarray:
        """``(N, LEVELS * BUCKETS)``; the counts of every level have length 1."""
        ops, edges = live(*self.space.dataflow(*self.space.arrays(archs)))
        there, labels = ops >= 0, _mixed(ops.astype(np.uint64) + np.uint64(1))
        # The ends have the same label as nothing else.
        labels[:, 0], labels[:, -1] = _mixed(np.array([1 << 32, 1 << 33], dtype=np.uint64))
        counts = np.zeros((len(ops), LEVELS, BUCKETS))
        rows = np.broadcast_to(np.arange(len(ops))[:, None], ops.shape)
        for level in range(LEVELS):
            bucket = (labels >> np.uint64(40)) % np.uint64(BUCKETS)
            np.add.at(counts[:, level], (rows[there], bucket[there].astype(int)), 1)
            labels = self._with_neighbours(labels, edges)
        length = np.linalg.norm(counts, axis=2, keepdims=True)
        return (counts / np.maximum(length, 1)).reshape(len(ops), self.width)

    @staticmethod
    def _with_neighbours(labels: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """A label for each label with what feeds it and what it feeds; sums, so that no order counts."""
        present = edges.astype(np.uint64)
        fed_by = (present * _mixed(labels * _MULTIPLIERS[1])[:, :, None]).sum(1)
        feeds = (present * _mixed(labels * _MULTIPLIERS[2])[:, None, :]).sum(2)
        return _mixed(labels + _mixed(fed_by + _MULTIPLIERS[1]) + _mixed(feeds + _MULTIPLIERS[2]))


def _mixed(values: np.ndarray) -> np.ndarray:
    """A hash of 64-bit integers (the finaliser of Steele, Lea and Flood's SplitMix, 2014)."""
    values = values * _MULTIPLIERS[0]
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
