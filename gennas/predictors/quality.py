"""Quality of a predictor: rank correlations, errors, and coverage of its intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.stats import kendalltau, spearmanr

from gennas.predictors.base import Predictor

if TYPE_CHECKING:
    from gennas.predictors.labels import Labels

#: Half-width of a 90 % interval, in standard deviations.
Z90 = 1.6449


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's, of ``(N,)`` values and others; NaN where either are all equal, which rank nothing."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(spearmanr(first, second).statistic)


def quality(predictor: Predictor, labels: Labels, rows: np.ndarray) -> dict[str, dict[str, float]]:
    """Quality of the predictions for some rows of the labels.

    Returns:
        Per metric, ``kendall_tau``, ``spearman``, ``mean_absolute_error``, ``coverage90`` (share of true values within
        mean +- 1.645 std) and ``archs``, the number of labels. Of labels that are all equal the first two are NaN.
    """
    mean, std = (part.numpy() for part in predictor.predict(labels.graphs[torch.from_numpy(rows)]))
    result = {}
    for column, name in enumerate(labels.metrics):
        truth = labels.values[rows, column]
        known = ~np.isnan(truth)
        error = np.abs(truth - mean[:, column])[known]
        result[name] = {
            "kendall_tau": round(float(kendalltau(truth[known], mean[known, column]).statistic), 4),
            "spearman": round(rank_correlation(truth[known], mean[known, column]), 4),
            "mean_absolute_error": round(float(error.mean()), 5),
            "coverage90": round(float((error <= Z90 * std[known, column]).mean()), 4),
            "archs": int(known.sum()),
        }
    return result
