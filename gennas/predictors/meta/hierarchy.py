"""The hierarchy: what tasks prefer, as weights of archs' functions that are drawn around what their encodings say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Rounds of expectation-maximisation; later ones change predictions by less than a percent of their std.
ROUNDS = 15
#: Labels' worth of the prior of a task's noise, and that prior: the share of the variance over archs.
NOISE_LABELS, NOISE = 10.0, 0.15


@dataclass(frozen=True, eq=False)
class KnownTask:
    """What a known task's trained archs say.

    Attributes:
        inputs: ``(n, p)`` functions of the archs.
        values: ``(n,)`` its accuracies there, standardised.
        encoding: ``(f,)`` numbers that describe it.
    """

    inputs: np.ndarray
    values: np.ndarray
    encoding: np.ndarray


@dataclass(frozen=True)
class Priors:
    """What is assumed before any task is seen.

    Attributes:
        ridge: penalty on what an encoding says, in tasks.
        tasks: how many tasks' worth the arch kernel has in the covariance of weights.
        scale: std of the functions that a task prefers, under the arch kernel alone.
    """

    ridge: float = 30.0
    tasks: float = 20.0
    scale: float = 1.0


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """A hierarchical linear model: the weights of task t are normal with mean ``B z_t`` and covariance ``S``.

    Attributes:
        coefficients: ``(p, f + 1)`` the matrix B; the first column is what all tasks share.
        covariance: ``(p, p)`` S.
        precision: ``(f + 1, f + 1)`` the inverse of how well B is known, in units of S.
        weights: ``(t, p)`` those of the known tasks.
        noise: std of the values of a new task around their function.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    precision: np.ndarray
    weights: np.ndarray
    noise: float

    @classmethod
    def fit(cls, tasks: Sequence[KnownTask], priors: Priors = Priors()) -> Hierarchy:
        """Learns from known tasks, by expectation-maximisation.

        Yu, Tresp and Schwaighofer, "Learning Gaussian Processes from Multiple Tasks", ICML 2005, with a mean that
        depends on the task. The covariance has an inverse Wishart prior at the arch kernel, so that with no tasks this
        is a Gaussian process of the archs, and with many it is one over what tasks were seen to prefer.

        Args:
            tasks: known ones.
            priors: see :class:`Priors`.
        """
        width, count = tasks[0].inputs.shape[1], len(tasks)
        encodings = np.array([_with_one(task.encoding) for task in tasks])  # (t, f + 1)
        # What all tasks share is hardly penalised.
        penalty = np.diag([0.1, *[priors.ridge] * (encodings.shape[1] - 1)])
        precision = encodings.T @ encodings + penalty
        kernel = priors.scale**2 * np.eye(width)
        covariance, coefficients = kernel.copy(), np.zeros((width, encodings.shape[1]))
        noise = np.full(count, NOISE)
        grams = np.array([task.inputs.T @ task.inputs for task in tasks])
        moments = np.array([task.inputs.T @ task.values for task in tasks])
        labels = np.array([len(task.values) for task in tasks])
        weights = np.zeros((count, width))
        for _ in range(ROUNDS):
            inverse, expected = np.linalg.inv(covariance), encodings @ coefficients.T
            posteriors = np.linalg.inv(inverse + grams / noise[:, None, None])  # (t, p, p)
            weights = np.einsum("tpq,tq->tp", posteriors, expected @ inverse + moments / noise[:, None])
            left = [np.square(task.values - task.inputs @ own).sum() for task, own in zip(tasks, weights, strict=True)]
            residuals = left + (grams * posteriors).sum((1, 2))
            noise = (NOISE_LABELS * NOISE + residuals) / (NOISE_LABELS + labels)
            coefficients = np.linalg.solve(precision, encodings.T @ weights).T
            deviations = weights - encodings @ coefficients.T
            scatter = priors.tasks * kernel + deviations.T @ deviations + posteriors.sum(0)
            covariance = scatter / (priors.tasks + count)
        return cls(coefficients, covariance, precision, weights, float(np.sqrt(np.mean(noise))))

    def prior(self, encoding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean ``(p,)`` and covariance ``(p, p)`` of a new task's weights."""
        z = _with_one(encoding)
        # B is uncertain, too, the more so the less alike the known tasks are.
        doubt = float(z @ np.linalg.solve(self.precision, z))
        return self.coefficients @ z, (1 + doubt) * self.covariance


def _with_one(encoding: np.ndarray) -> np.ndarray:
    return np.concatenate([[1.0], encoding])
