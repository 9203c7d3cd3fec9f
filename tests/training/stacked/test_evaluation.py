"""Metrics of a confusion matrix, against those of predictions."""

from __future__ import annotations

import numpy as np
import pytest

from gennas.training.quality import Predictions
from gennas.training.stacked.evaluation import metrics_of


@pytest.mark.parametrize("seed", range(5))
def test_metrics_are_those_of_predictions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Class 3 is never shown, class 4 neither shown nor predicted.
    labels, predicted = rng.integers(0, 3, 30), rng.integers(0, 4, 30)
    matrix = np.zeros((5, 5), int)
    np.add.at(matrix, (labels, predicted), 1)
    assert metrics_of(matrix) == pytest.approx(Predictions(labels, np.eye(5)[predicted]).metrics())
