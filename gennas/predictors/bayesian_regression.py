"""Bayesian linear regression of a new metric on the predictions for known targets, from a few measurements."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

#: Stds of the weights and of the errors that are averaged over, in units of the new metric's scale.
TAUS, SIGMAS = (0.02, 0.05, 0.1, 0.2, 0.4), (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
#: Medians of their log-normal priors, and the std of their logarithms.
PRIOR_TAU, PRIOR_SIGMA, PRIOR_LOG_STD = 0.06, 0.15, 0.7
#: Scales of the new metric, relative to what the measured values suggest, and the prior std of their logarithm.
FACTORS, FACTOR_LOG_STD = np.exp(np.linspace(-0.9, 0.9, 13)), 0.5
#: Std of the offset, in units of the new metric's scale.
OFFSET_STD = 3.0
#: Measured archs after which one that ignores its input is more informative than any other.
CONSTANT_AFTER = 5
#: Fits of a cross-validation, at most: each measurement is left out alone of as many.
FOLDS = 25


@dataclass(frozen=True)
class LinearTransfer:
    """``y(x) = coefficients . (1, z(x)) + e``: Bayesian linear regression on ``D`` basis functions ``z``.

    The coefficients embed the new target among the known ones.

    Attributes:
        coefficients: ``(1 + D,)`` posterior mean of offset and weights.
        covariance: ``(1 + D, 1 + D)`` their posterior covariance.
        noise: std of the error ``e``.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    noise: float

    def mean(self, basis: np.ndarray) -> np.ndarray:
        """``(N,)`` mean, in the new metric's units, at ``(N, D)`` values of the basis functions."""
        return basis @ self.coefficients[1:] + self.coefficients[0]

    def predict(self, basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(N,)`` mean and std, in the new metric's units, at ``(N, D)`` values of the basis functions."""
        inputs = np.column_stack([np.ones(len(basis)), basis])
        variance = np.einsum("nd,de,ne->n", inputs, self.covariance, inputs) + self.noise**2
        return self.mean(basis), np.sqrt(variance)


def fit_transfer(basis: np.ndarray, values: np.ndarray, prior: np.ndarray) -> LinearTransfer:
    """Fits a new metric to a few measurements of it.

    The model is ``scale * (offset + weights . z(x) + e)`` with ``weights ~ N(prior, tau^2 I)`` and
    ``e ~ N(0, sigma^2)``. ``scale``, ``tau`` and ``sigma`` are averaged over a grid, weighted by evidence and prior
    (MacKay, "Bayesian Interpolation", Neural Computation 1992); with ten measurements, maximising the evidence is
    overconfident. Several prior means are averaged in the same way: the first has half of the probability, and the
    others share the rest.

    Args:
        basis: ``(k, D)`` basis functions at the measured archs, each with mean 0 and std 1 over the space.
        values: ``(k,)`` measurements, not all equal.
        prior: ``(D,)`` prior mean of the weights, or ``(C, D)`` several.
    """
    means = np.atleast_2d(prior)
    count = len(means)
    inputs, mean = np.column_stack([np.ones(len(basis)), basis]), np.column_stack([np.zeros(count), means])
    centre, expected = values.mean(), mean @ inputs.T  # (C, k)
    # Measured archs with equal prior predictions carry no information about the scale.
    scales = FACTORS * (values.std() / expected.std(axis=1).clip(0.2))[:, None]  # (C, scales)
    errors = (values - centre) / scales[..., None] - expected[:, None]  # (C, scales, k)
    shares = np.full(count, 0.5 / max(count - 1, 1))
    shares[0] = 0.5 if count > 1 else 1.0
    of_scales = (
        np.square(np.log(FACTORS) / FACTOR_LOG_STD) + 2 * len(values) * np.log(scales) - 2 * np.log(shares)[:, None]
    )
    gram, projected = inputs.T @ inputs, errors @ inputs
    evidences, coefficients, covariances, sigmas = [], [], [], []
    for tau, sigma in product(TAUS, SIGMAS):
        variances = np.array([OFFSET_STD**2, *np.full(basis.shape[1], tau**2)])
        # In the coefficients, of which there are few, however many measurements there are.
        precision = gram / sigma**2 + np.diag(1 / variances)
        covariance = np.linalg.inv(precision)
        found = projected @ covariance / sigma**2  # (C, scales, 1 + D)
        misfit = (errors * (errors - found @ inputs.T)).sum(-1) / sigma**2
        log_determinant = np.linalg.slogdet(precision)[1] + np.log(variances).sum() + 2 * len(values) * np.log(sigma)
        settings = (np.log(tau / PRIOR_TAU) ** 2 + np.log(sigma / PRIOR_SIGMA) ** 2) / PRIOR_LOG_STD**2
        evidences.append(-0.5 * (misfit + log_determinant + settings + of_scales))
        coefficients.append(scales[..., None] * (mean[:, None] + found))
        covariances.append(covariance)
        sigmas.append(sigma)
    weight = np.exp(np.array(evidences) - np.max(evidences))  # (settings, C, scales)
    weight /= weight.sum()
    every = np.array(coefficients).reshape(-1, inputs.shape[1])
    average = weight.ravel() @ every
    squares = (weight * np.square(scales)).sum((1, 2))
    covariance = np.einsum("s,sde->de", squares, np.array(covariances))
    covariance += (weight.ravel()[:, None] * (every - average)).T @ (every - average)
    average[0] += centre
    return LinearTransfer(average, covariance, float(np.sqrt(squares @ np.square(sigmas))))


def leave_one_out(basis: np.ndarray, values: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(k,)`` mean and std of each measurement as predicted from the others; see :func:`fit_transfer`.

    Of more than :data:`FOLDS` measurements, one in so many is left out at a time. The std is NaN where the others are
    all equal.
    """
    moments = np.empty((2, len(values)))
    for left_out in folds(len(values)):
        others = ~left_out
        if np.ptp(values[others]) == 0:
            moments[0, left_out], moments[1, left_out] = values[others].mean(), np.nan
            continue
        moments[:, left_out] = fit_transfer(basis[others], values[others], prior).predict(basis[left_out])
    return moments[0], moments[1]


def folds(count: int, most: int = FOLDS) -> list[np.ndarray]:
    """``(count,)`` boolean rows of each of at most ``most`` folds, among which the rows are dealt like cards."""
    parts = min(count, most)
    return [np.arange(count) % parts == part for part in range(parts)]


def informative_rows(basis: np.ndarray, count: int, constant: np.ndarray | None = None) -> np.ndarray:
    """Up to ``count`` rows whose measurement most reduces the uncertainty about all others.

    Active learning after Cohn ("Neural Network Exploration Using Optimal Experiment Design", 1996): rows are chosen
    greedily by how much they reduce the total variance, under weights ``N(0, I / D)``, an offset ``N(0, 1)`` and noise
    of variance 0.1. Without the offset only the distance from the centre would count, and most distant archs are on the
    fast side. Values are clipped to the central 99 % of archs; otherwise only outliers would be chosen.

    Args:
        basis: ``(N, D)`` values of the basis functions.
        count: number of rows; fewer are returned if there are fewer.
        constant: ``(N,)`` whether an arch ignores its input; None if none does. Some devices skip the computations of
            such an arch and others do not, which no other arch reveals, so the sixth row is one of them; no other row
            is.
    """
    is_constant = np.zeros(len(basis), dtype=bool) if constant is None else constant
    lower, upper = np.quantile(basis, [0.005, 0.995], axis=0)
    inputs = np.column_stack([np.ones(len(basis)), basis.clip(lower, upper)])
    covariance = np.diag([1.0, *np.full(basis.shape[1], 1 / basis.shape[1])])
    gram, remaining = inputs.T @ inputs, ~is_constant
    chosen: list[int] = []
    while len(chosen) < count:
        allowed = is_constant if len(chosen) == CONSTANT_AFTER and is_constant.any() else remaining
        if not allowed.any():
            break
        row, covariance = most_reducing(inputs, gram, covariance, 0.1, allowed)
        chosen.append(row)
        remaining[row] = False
    return np.array(chosen, dtype=int)


def most_reducing(
    inputs: np.ndarray, gram: np.ndarray, covariance: np.ndarray, noise: float, allowed: np.ndarray
) -> tuple[int, np.ndarray]:
    """The row whose measurement most reduces the total variance of all rows, and the coefficients' covariance after it.

    In a normal distribution that depends on no measured value (MacKay, "Information-Based Objective Functions for
    Active Data Selection", Neural Computation 4, 1992).

    Args:
        inputs: ``(N, D)`` of a linear model.
        gram: ``(D, D)`` the product of their transpose and them.
        covariance: ``(D, D)`` of its coefficients.
        noise: variance of a measurement.
        allowed: ``(N,)`` rows to choose among.
    """
    cross = inputs @ covariance  # (N, D), between rows and coefficients
    variance = (cross * inputs).sum(1) + noise
    reduction = ((cross @ gram) * cross).sum(1) / variance
    row = int(np.where(allowed, reduction, -1.0).argmax())
    return row, covariance - np.outer(cross[row], cross[row]) / variance[row]
