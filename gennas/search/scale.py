"""Scale: the scores on which a search models a metric, in place of its values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gennas.metrics import Metric
from gennas.predictors.normal_scores import normal_scores


@dataclass(frozen=True)
class Scale:
    """Values of a metric to scores: increasing piecewise-linear, larger where the metric is better.

    Attributes:
        values: ``(k,)`` increasing knots, in the metric's unit times its sign.
        scores: ``(k,)`` increasing, there.
        sign: of the metric: 1 where larger is better.
    """

    values: np.ndarray
    scores: np.ndarray
    sign: float

    @classmethod
    def by_rank(cls, metric: Metric, values: np.ndarray) -> Scale:
        """Normal scores of the evaluated archs among themselves: outliers and units do not matter."""
        sign = metric.kind.sign
        scores, gains = normal_scores(sign * values), sign * values
        knots, first = np.unique(gains, return_index=True)
        return cls(knots, scores[first], sign)

    @classmethod
    def by_size(cls, metric: Metric, values: np.ndarray) -> Scale:
        """Standardised, for hypervolumes: logarithms of what is minimised; accuracies below the median are compressed,
        the more the lower they are."""
        sign = metric.kind.sign
        knots = np.unique(sign * values)
        if sign < 0:
            scores = -np.log(np.maximum(-knots, 1e-9))
        else:
            middle, upper = np.quantile(values, [0.5, 0.9])
            distance = (knots - middle) / max(upper - middle, 1e-9)
            scores = np.where(distance < -1, -1 - np.log1p(np.maximum(-1 - distance, 0)), distance)
        observed = np.interp(sign * values, knots, scores)
        return cls(knots, (scores - observed.mean()) / max(observed.std(), 1e-9), sign)

    def noise_of(self, values: np.ndarray, std: float) -> float:
        """The variance of scores whose values ``(N,)`` have errors of this std, averaged over the values."""
        return float(np.square((self(values + std) - self(values - std)) / 2).mean())

    def value_of(self, scores: np.ndarray) -> np.ndarray:
        """``(N,)`` values in the metric's unit of scores: the inverse, quantiles of scores are those of values."""
        width = self.values[-1] - self.values[0]
        slope = (self.scores[-1] - self.scores[0]) / width if width > 0 else 1.0
        within = scores.clip(self.scores[0], self.scores[-1])
        gains: np.ndarray = np.interp(within, self.scores, self.values) + (scores - within) / slope
        return self.sign * gains

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """``(N,)`` scores of values in the metric's unit; beyond the knots a line continues with the overall slope."""
        gains = self.sign * np.asarray(values, dtype=float)
        width = self.values[-1] - self.values[0]
        slope = (self.scores[-1] - self.scores[0]) / width if width > 0 else 1.0
        beyond = gains - gains.clip(self.values[0], self.values[-1])
        return np.interp(gains, self.values, self.scores) + slope * beyond
