"""A new function as a mix of known ones: what few measurements on a new place say, given many on others."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

#: Spreads of the weights and of the errors that are weighed against each other, in units of the new function's spread.
TAUS, SIGMAS = (0.02, 0.05, 0.1, 0.2, 0.4), (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
#: Where both are expected, and the std of their logarithms.
USUAL_TAU, USUAL_SIGMA, LOG_SPREAD = 0.06, 0.15, 0.7
#: Spreads of the new function, as multiples of what the measured values suggest, and the std of their logarithm.
FACTORS, FACTOR_LOG_SPREAD = np.exp(np.linspace(-0.9, 0.9, 13)), 0.5
#: Std of the offset, in units of the new function's spread.
OFFSET_STD = 3.0
#: Measured archs after which one that ignores its input tells more than another that does not.
CONSTANT_AFTER = 5


@dataclass(frozen=True)
class LinearTransfer:
    """``y(x) = coefficients . (1, z(x)) + e``: Bayesian linear regression on ``D`` known functions.

    The coefficients are what is known of the new place: its embedding among the known ones.

    Attributes:
        coefficients: ``(1 + D,)`` mean of offset and weights.
        covariance: ``(1 + D, 1 + D)`` of them.
        noise: std of the error ``e``.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    noise: float

    def mean(self, known: np.ndarray) -> np.ndarray:
        """``(N,)`` mean, in the new function's units, at ``(N, D)`` values of the known functions."""
        return known @ self.coefficients[1:] + self.coefficients[0]

    def predict(self, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(N,)`` mean and std, in the new function's units, at ``(N, D)`` values of the known functions."""
        inputs = np.column_stack([np.ones(len(known)), known])
        variance = np.einsum("nd,de,ne->n", inputs, self.covariance, inputs) + self.noise**2
        return self.mean(known), np.sqrt(variance)


def fit_transfer(known: np.ndarray, values: np.ndarray, prior: np.ndarray) -> LinearTransfer:
    """What measurements say of a new function.

    It is ``scale * (offset + weights . z(x) + e)`` with ``weights ~ N(prior, tau^2 I)`` and ``e ~ N(0, sigma^2)``.
    ``scale``, ``tau`` and ``sigma`` are not chosen but averaged over, each setting with its evidence and prior (MacKay,
    "Bayesian Interpolation", Neural Computation 1992; with ten measurements the greatest evidence is far too sure).

    Args:
        known: ``(k, D)`` the known functions at the measured archs, each with mean 0 and std 1 over the space.
        values: ``(k,)`` measurements that are not all equal.
        prior: ``(D,)`` expected weights.
    """
    inputs, middle = np.column_stack([np.ones(len(known)), known]), values.mean()
    mean = np.array([0.0, *prior])
    expected = inputs @ mean
    # Measured archs that agree in the prior say nothing about the scale.
    usual_scale = values.std() / max(expected.std(), 0.2)
    evidences, coefficients, covariances, noises = [], [], [], []
    for tau, sigma in product(TAUS, SIGMAS):
        spread = np.array([OFFSET_STD**2, *np.full(len(prior), tau**2)])
        kernel = (inputs * spread) @ inputs.T + sigma**2 * np.eye(len(values))
        gain = np.linalg.solve(kernel, inputs * spread).T  # (1 + D, k)
        covariance = np.diag(spread) - gain @ (inputs * spread)
        settings = (np.log(tau / USUAL_TAU) ** 2 + np.log(sigma / USUAL_SIGMA) ** 2) / LOG_SPREAD**2
        log_determinant = np.linalg.slogdet(kernel)[1]
        for factor in FACTORS:
            scale = factor * usual_scale
            error = (values - middle) / scale - expected
            fit = error @ np.linalg.solve(kernel, error) + log_determinant + 2 * len(values) * np.log(factor)
            evidences.append(-0.5 * (fit + settings + (np.log(factor) / FACTOR_LOG_SPREAD) ** 2))
            coefficients.append(scale * (mean + gain @ error))
            covariances.append(scale**2 * covariance)
            noises.append(scale * sigma)
    weight = np.exp(np.array(evidences) - max(evidences))
    weight /= weight.sum()
    average = weight @ np.array(coefficients)
    apart = np.array(coefficients) - average
    covariance = np.einsum("s,sde->de", weight, np.array(covariances)) + (weight[:, None] * apart).T @ apart
    average[0] += middle
    return LinearTransfer(average, covariance, float(np.sqrt(weight @ np.square(noises))))


def leave_one_out(known: np.ndarray, values: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(k,)`` mean and std of every measurement as foretold by a mix of the others."""
    found = np.empty((2, len(values)))
    for row in range(len(values)):
        others = np.arange(len(values)) != row
        if np.ptp(values[others]) == 0:
            found[:, row] = values[others].mean(), np.nan
            continue
        mean, std = fit_transfer(known[others], values[others], prior).predict(known[row : row + 1])
        found[:, row] = mean[0], std[0]
    return found[0], found[1]


def informative_rows(known: np.ndarray, count: int, constant: np.ndarray | None = None) -> np.ndarray:
    """Up to ``count`` rows of ``known (N, D)`` whose measurement lowers the uncertainty about all others the most.

    Active learning after Cohn ("Neural Network Exploration Using Optimal Experiment Design", 1996): one row after the
    other, by the variance that it takes from the others, under weights ``N(0, I / D)``, an offset ``N(0, 1)`` and a
    tenth of noise. Without the offset it would only count how far from the middle an arch is, and most that are far
    are on one side, the fast one. Values are cut to what 99 of 100 archs have, or outliers would be all that is ever
    measured.

    Args:
        known: values of the known functions.
        count: of the rows; fewer come back where there are fewer.
        constant: ``(N,)`` which archs ignore their input; None for none. Some devices drop what such an arch computes,
            others do not, and nothing else tells which: the sixth row is one of them, and no other.
    """
    ignoring = np.zeros(len(known), dtype=bool) if constant is None else constant
    lower, upper = np.quantile(known, [0.005, 0.995], axis=0)
    inputs = np.column_stack([np.ones(len(known)), known.clip(lower, upper)])
    covariance = np.diag([1.0, *np.full(known.shape[1], 1 / known.shape[1])])
    gram, left = inputs.T @ inputs, ~ignoring
    chosen: list[int] = []
    while len(chosen) < count:
        may = ignoring if len(chosen) == CONSTANT_AFTER and ignoring.any() else left
        if not may.any():
            break
        told = inputs @ covariance  # (N, 1 + D), of every row with the coefficients
        variance = (told * inputs).sum(1) + 0.1
        gain = ((told @ gram) * told).sum(1) / variance
        row = int(np.where(may, gain, -1.0).argmax())
        chosen.append(row)
        left[row] = False
        covariance = covariance - np.outer(told[row], told[row]) / variance[row]
    return np.array(chosen, dtype=int)
