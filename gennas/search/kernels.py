"""Views: what a search's Gaussian processes see of graphs, and the kernel that says how similar these are."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from gpytorch.kernels import Kernel
from gpytorch.priors import LogNormalPrior

from gennas.arch import Arch
from gennas.predictors.features import COSTS, GraphFeatures
from gennas.predictors.gaussian_process import log_normal, matern, scaled, slot_covariance
from gennas.predictors.slot_features import SlotFeatures
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
    """Features of graphs, standardised over a space, and of their slots.

    The covariance is a Matern 5/2 kernel with one length scale for each feature of the whole graph, and
    :func:`gennas.predictors.gaussian_process.slot_covariance` of the slots, where these have positions.

    Args:
        space: whose graphs are described.
        task: what the networks are for; costs are among the features.
        reference: archs that stand for the space.
    """

    def __init__(self, space: Space, task: Task, reference: Sequence[Arch]) -> None:
        self.task, self._features, self._slots = task, GraphFeatures(space), SlotFeatures(space)
        features, slots = self._features.of(reference, task), self._slots.of(reference).values
        std = features.std(axis=0)
        self._varies, self._slots_vary = std > 1e-9, np.ptp(slots, axis=0) > 0
        self._centre, self._std = features[:, self._varies].mean(axis=0), std[self._varies]
        self._slot_centre = slots[:, self._slots_vary].mean(axis=0)
        self._slot_of = np.unique(self._slots.slot_of[self._slots_vary], return_inverse=True)[1].tolist()
        self._graph_width = int(self._varies.sum())
        self.width = self._graph_width + len(self._slot_of)
        self.costs = tuple(range(int(self._varies[:COSTS].sum())))

    def of(self, archs: Sequence[Arch]) -> np.ndarray:
        features = (self._features.of(archs, self.task)[:, self._varies] - self._centre) / self._std
        return np.hstack([features, self._slots.of(archs).values[:, self._slots_vary] - self._slot_centre])

    def kernel(self, amplitude: LogNormalPrior) -> Kernel:
        graph = matern(self._graph_width, math.e**2)
        if not self._slot_of:
            return scaled(graph, amplitude)
        columns, mode = range(self._graph_width, self.width), float(amplitude.mode) / 2
        std = float(amplitude.scale)
        return scaled(graph, log_normal(mode, std)) + slot_covariance(columns, self._slot_of, mode, std)
