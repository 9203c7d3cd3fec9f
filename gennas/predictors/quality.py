"""How good a predictor is: rank correlations, errors and the coverage of its intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.stats import kendalltau, spearmanr

from gennas.predictors.base import Predictor

if TYPE_CHECKING:
    from gennas.predictors.labels import Labels

#: A 90 % interval reaches this many standard deviations to either side of the mean.
Z90 = 1.6449


def quality(predictor: Predictor, labels: Labels, rows: np.ndarray) -> dict[str, dict[str, float]]:
    """Per metric, on some rows of the labels: ``kendall_tau``, ``spearman``, ``mean_absolute_error``,
    ``coverage90`` (share of true values within mean +- 1.645 std) and ``archs``, how many were known."""
    mean, std = (part.numpy() for part in predictor.predict(labels.graphs[torch.from_numpy(rows)]))
    result = {}
    for column, name in enumerate(labels.metrics):
        truth = labels.values[rows, column]
        known = ~np.isnan(truth)
        error = np.abs(truth - mean[:, column])[known]
        result[name] = {
            "kendall_tau": round(float(kendalltau(truth[known], mean[known, column]).statistic), 4),
            "spearman": round(float(spearmanr(truth[known], mean[known, column]).statistic), 4),
            "mean_absolute_error": round(float(error.mean()), 5),
            "coverage90": round(float((error <= Z90 * std[known, column]).mean()), 4),
            "archs": int(known.sum()),
        }
    return result
