"""The mean of several trainings, with its interval."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A mean, and how far the true one may be from it.

    Attributes:
        mean: of the values.
        half_width: of the interval about it; None for a single value, of which nothing is known.
        n: number of values.
    """

    mean: float
    half_width: float | None
    n: int

    def __str__(self) -> str:
        width = "" if self.half_width is None else f" ± {self.half_width:.4f}"
        return f"{self.mean:.4f}{width} (n={self.n})"


def interval_of(values: Iterable[float], confidence: float = 0.95) -> Interval:
    """The mean of independent values with its t-interval, which holds for normal ones.

    Args:
        values: of the same quantity, e.g. of trainings with several seeds.
        confidence: probability that such an interval covers the true mean.
    """
    from scipy.stats import t

    array = np.asarray(list(values), dtype=float)
    if len(array) < 2:
        return Interval(float(array.mean()), None, len(array))
    error = array.std(ddof=1) / len(array) ** 0.5
    return Interval(float(array.mean()), float(t.ppf((1 + confidence) / 2, len(array) - 1) * error), len(array))
