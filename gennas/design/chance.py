"""What a difference of accuracies, or an accuracy, may be by chance."""

from __future__ import annotations

import math

import numpy as np

#: Of the normal distribution, for 95 % intervals.
_Z = 1.959963984540054


def wilson(accuracy: float, count: int) -> tuple[float, float]:
    """The 95 % interval of an accuracy on ``count`` images.

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927; unlike the normal interval it
    stays between 0 and 1, and has a width where all or no images are classified correctly.

    Args:
        accuracy: a fraction.
        count: of images, at least 1.
    """
    z2 = _Z**2 / count
    centre = (accuracy + z2 / 2) / (1 + z2)
    half = _Z / (1 + z2) * math.sqrt(accuracy * (1 - accuracy) / count + z2 / (4 * count))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def chance_of(first: np.ndarray, second: np.ndarray) -> float:
    """The probability, were two networks equally good, that they differ at least as much on the same images.

    McNemar's test, exact: of the images that one of two networks classifies correctly, each is one or the other's.

    Args:
        first: ``(n,)`` boolean, which images are classified correctly.
        second: ``(n,)`` likewise.
    """
    from scipy.stats import binomtest

    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(binomtest(only_first, only_first + only_second).pvalue)
