"""Normal scores: each metric on the scale where it is standard normal over a reference set of archs."""

from __future__ import annotations

import numpy as np
import torch
from numpy.polynomial.hermite_e import hermegauss
from scipy.stats import norm, rankdata
from torch import Tensor, nn

_KNOTS = 129
#: Normal scores lie between -REACH and REACH.
REACH = 6.0


def normal_scores(values: np.ndarray) -> np.ndarray:
    """``(N,)`` normal scores of some values by their ranks (van der Waerden 1952)."""
    return norm.ppf((rankdata(values) - 0.5) / max(len(values), 1))


def noise_of_scores(values: np.ndarray, std: float) -> float:
    """The variance of the normal scores of values ``(N,)`` with errors of this std, averaged over the values."""
    knots, first = np.unique(values, return_index=True)
    scores = normal_scores(values)[first]
    above, below = (np.interp(values + error, knots, scores) for error in (std, -std))
    return float(np.square((above - below) / 2).mean())


class NormalScores(nn.Module):
    """Monotone piecewise linear maps between the units of ``m`` metrics and their normal scores.

    Attributes:
        grid: ``(q,)`` normal scores of the knots, increasing.
        values: ``(m, q)`` values of the metrics at the knots, not decreasing.
    """

    grid: Tensor
    values: Tensor

    def __init__(self, num_metrics: int) -> None:
        super().__init__()
        self.register_buffer("grid", torch.zeros(_KNOTS + 2))
        self.register_buffer("values", torch.zeros(num_metrics, _KNOTS + 2))

    @torch.no_grad()
    def fit(self, targets: np.ndarray, lower: float = 0.0) -> Tensor:
        """Fits the maps, and returns the ``(N, m)`` normal scores of the targets.

        Args:
            targets: ``(N, m)`` values in the metrics' units; NaN if unknown. The map of a metric without any value is
                NaN too.
            lower: extrapolations never go below this value.
        """
        reach = norm.ppf(1 - 0.5 / len(targets))
        inner = np.linspace(-reach, reach, _KNOTS)
        grid = np.concatenate([[-REACH], inner, [REACH]])
        scores = np.full(targets.shape, np.nan)
        for metric, column in enumerate(targets.T):
            known = ~np.isnan(column)
            if not known.any():
                self.values[metric] = torch.nan
                continue
            scores[known, metric] = normal_scores(column[known])
            knots = np.quantile(column[known], norm.cdf(inner))
            # Beyond the best and the worst arch, extrapolate with the slope of the outermost eighth of the knots.
            span, far = _KNOTS // 8, REACH - reach
            below = max(lower, knots[0] - (knots[span] - knots[0]) / (inner[span] - inner[0]) * far)
            above = knots[-1] + (knots[-1] - knots[-1 - span]) / (inner[-1] - inner[-1 - span]) * far
            self.values[metric] = torch.from_numpy(np.concatenate([[min(below, knots[0])], knots, [above]]))
        self.grid.copy_(torch.from_numpy(grid))
        return torch.from_numpy(scores).float()

    def value(self, score: Tensor) -> Tensor:
        """Maps normal scores to units, ``(..., m) -> (..., m)``."""
        columns = [self.value_of(metric, column) for metric, column in enumerate(score.unbind(-1))]
        return torch.stack(columns, dim=-1)

    def value_of(self, metric: int, score: Tensor) -> Tensor:
        """Maps normal scores of one metric to units, elementwise."""
        grid, values, score = self.grid, self.values[metric], score.clamp(-REACH, REACH)
        right = torch.searchsorted(grid, score.contiguous()).clamp(1, len(grid) - 1)
        weight = (score - grid[right - 1]) / (grid[right] - grid[right - 1])
        low, high = values[right - 1], values[right]
        # Rounding must not exceed the last knot, beyond which there are no scores.
        return (low + weight * (high - low)).minimum(high)

    def scores_of(self, metric: int, value: Tensor) -> Tensor:
        """Maps values of one metric to normal scores, elementwise.

        Values beyond the ends are clipped; where the map is flat, the mean of its scores is returned.
        """
        grid, values, value = self.grid, self.values[metric], value.contiguous()
        first, last = torch.searchsorted(values, value), torch.searchsorted(values, value, right=True)
        right = first.clamp(1, len(values) - 1)
        low, high = values[right - 1], values[right]
        share = ((value - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
        sums = torch.cat([grid.new_zeros(1), grid.cumsum(0)])
        middle = (sums[last] - sums[first]) / (last - first).clamp_min(1)
        return torch.where(last - first > 1, middle, grid[right - 1] + share * (grid[right] - grid[right - 1]))

    def score_of(self, metric: int, value: float) -> float:
        """The normal score of one value: infinite beyond the ends, the mean of the scores where the map is flat."""
        values, grid = self.values[metric].double().cpu().numpy(), self.grid.double().cpu().numpy()
        # Knots are in single precision; in double, a value that many archs share would miss its knot.
        value = float(np.float32(value))
        if not values[0] <= value <= values[-1]:
            return float("inf") if value > values[-1] else float("-inf")
        first, last = (int(np.searchsorted(values, value, side)) for side in ("left", "right"))
        if last - first > 1:
            return float(grid[first:last].mean())
        right = min(max(last, 1), len(values) - 1)
        low, high = values[right - 1], values[right]
        share = (value - low) / (high - low) if high > low else 0.0
        return float(grid[right - 1] + share * (grid[right] - grid[right - 1]))

    def to_units(self, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and std of the metrics, given those of their Gaussian normal scores; all ``(b, m)``.

        By Gauss-Hermite quadrature.
        """
        node, weight = (part[:, None, None] for part in quadrature(9, mean))
        values = self.value(mean + std * node)
        expected = (weight * values).sum(0)
        return expected, (weight * (values - expected) ** 2).sum(0).clamp_min(0).sqrt()


def quadrature(count: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """``(count,)`` nodes and weights, which sum to 1, of Gauss-Hermite quadrature over a standard normal variable.

    Args:
        count: of nodes.
        like: has the type and device of the result.
    """
    nodes, weights = hermegauss(count)
    weights = weights / weights.sum()
    return like.new_tensor(nodes), like.new_tensor(weights)
