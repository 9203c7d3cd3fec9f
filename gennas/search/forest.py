"""What a forest foretells of few rows at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.tree import ExtraTreeRegressor


def foretold(trees: Sequence[ExtraTreeRegressor], rows: np.ndarray) -> np.ndarray:
    """``(N,)`` the mean of fitted trees, as their forest's ``predict``, without checks that take longer than the trees.

    Args:
        trees: the ``estimators_`` of a fitted forest.
        rows: ``(N, d)``.
    """
    inputs = np.ascontiguousarray(rows, dtype=np.float32)
    mean: np.ndarray = np.mean([tree.tree_.predict(inputs)[:, 0] for tree in trees], axis=0)
    return mean
