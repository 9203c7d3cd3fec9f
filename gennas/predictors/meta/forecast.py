"""A forecast: what accuracy archs will have on a task, before and after some of them were evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from scipy.special import expit

from gennas.arch import Arch
from gennas.predictors.bayesian_regression import most_reducing
from gennas.predictors.meta.arch_basis import ArchBasis
from gennas.predictors.quality import Z90

#: Nodes of the quadrature over a logit.
NODES = 15
#: Images that an accuracy is measured on, where nobody says how many.
IMAGES = 1000


@dataclass(frozen=True, eq=False)
class TaskForecast:
    """A normal distribution of the logits of archs' accuracies: a level, and weights of functions of the arch.

    Attributes:
        basis: the functions.
        mean: ``(1 + p,)`` of the level and the weights.
        covariance: ``(1 + p, 1 + p)`` likewise.
        noise: std of an arch's logit around them.
        std_scale: factor on the std that was calibrated on known tasks.
        updated_std_scale: the same, once some archs were evaluated.
    """

    basis: ArchBasis
    mean: np.ndarray
    covariance: np.ndarray
    noise: float
    std_scale: float = 1.0
    updated_std_scale: float = 1.0

    def updated(self, archs: Sequence[Arch], accuracy: np.ndarray, images: int = IMAGES) -> TaskForecast:
        """The forecast after some archs were evaluated on the task.

        Args:
            archs: ``k`` of them, possibly none.
            accuracy: ``(k,)`` as fractions.
            images: how many they were measured on.
        """
        if not len(archs):
            return self
        return self.updated_at(self.basis.of(archs), accuracy, images)

    def updated_at(self, functions: np.ndarray, accuracy: np.ndarray, images: int = IMAGES) -> TaskForecast:
        """:meth:`updated`, given the ``(k, p)`` functions of the archs."""
        if not len(functions):
            return self
        inputs = with_one(functions)
        added = np.zeros(len(inputs))
        if images < IMAGES:
            # The noise is that of accuracies on the usual number of images; fewer add theirs. Where all answers are
            # right, the accuracy is likely below 1.
            likely = (np.asarray(accuracy, dtype=float) * images + 0.5) / (images + 1)
            added = (logit_variance(accuracy, images) - logit_variance(likely, IMAGES)).clip(0)
        weighed = inputs / (self.noise**2 + added)[:, None]
        # As many rows as weights, however many archs there are.
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(values.clip(0))
        covariance = root @ np.linalg.solve(np.eye(len(root)) + root.T @ inputs.T @ weighed @ root, root.T)
        mean = self.mean + covariance @ weighed.T @ (logit(accuracy, images) - inputs @ self.mean)
        return replace(self, mean=mean, covariance=covariance, std_scale=self.updated_std_scale)

    def of_others(self, std: float) -> TaskForecast:
        """The forecast for networks that are trained otherwise: all their logits differ by one unknown number.

        Args:
            std: of that number, whose mean is 0.
        """
        covariance = self.covariance.copy()
        covariance[0, 0] += std**2
        return replace(self, covariance=covariance)

    def informative(self, functions: np.ndarray, count: int) -> list[int]:
        """Rows of the archs whose evaluations would narrow the forecasts of all of these the most, one after another.

        See :func:`gennas.predictors.bayesian_regression.most_reducing`.

        Args:
            functions: ``(N, p)`` of the archs.
            count: how many.
        """
        inputs, covariance = with_one(functions), self.covariance
        gram, remaining, found = inputs.T @ inputs, np.ones(len(inputs), dtype=bool), list[int]()
        for _ in range(min(count, len(inputs))):
            row, covariance = most_reducing(inputs, gram, covariance, self.noise**2, remaining)
            found.append(row)
            remaining[row] = False
        return found

    def logits(self, archs: Sequence[Arch]) -> tuple[np.ndarray, np.ndarray]:
        """``(N,)`` mean and std of the logits of archs' measured accuracies."""
        return self.logits_at(self.basis.of(archs))

    def logits_at(self, functions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """:meth:`logits`, given the ``(N, p)`` functions of the archs."""
        inputs = with_one(functions)
        variance = np.einsum("np,pq,nq->n", inputs, self.covariance, inputs, optimize=True) + self.noise**2
        return inputs @ self.mean, self.std_scale * np.sqrt(variance.clip(1e-9))

    def predict(self, archs: Sequence[Arch]) -> tuple[np.ndarray, np.ndarray]:
        """``(N,)`` mean and std of the accuracies, as fractions."""
        return fractions(*self.logits(archs))

    def interval(self, archs: Sequence[Arch]) -> np.ndarray:
        """``(N, 3)`` median, and lower and upper end of the 90 % interval, of the accuracies."""
        mean, std = self.logits(archs)
        return np.stack([expit(mean), expit(mean - Z90 * std), expit(mean + Z90 * std)], axis=1)


def logit(accuracy: np.ndarray, images: int = IMAGES) -> np.ndarray:
    """Logits of accuracies measured on so many images, finite at 0 and 1."""
    hits = np.asarray(accuracy, dtype=float) * images
    found: np.ndarray = np.log((hits + 0.5) / (images - hits + 0.5))
    return found


def logit_variance(accuracy: np.ndarray, images: int) -> np.ndarray:
    """Variances of :func:`logit` by the draw of the images, elementwise."""
    hits = np.asarray(accuracy, dtype=float) * images
    found: np.ndarray = 1 / (hits + 0.5) + 1 / (images - hits + 0.5)
    return found


def fractions(mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and std of fractions whose logits are normal, by Gauss-Hermite quadrature; elementwise."""
    nodes, weights = hermegauss(NODES)
    values = expit(mean[..., None] + std[..., None] * nodes)
    expected = values @ weights / weights.sum()
    return expected, np.sqrt(np.square(values - expected[..., None]) @ weights / weights.sum())


def with_one(functions: np.ndarray) -> np.ndarray:
    """``(N, 1 + p)``: a column of ones before ``(N, p)`` functions."""
    return np.hstack([np.ones((len(functions), 1)), functions])
