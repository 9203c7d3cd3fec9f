"""Pareto fronts: which points no other one beats, and how much of the space they dominate."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def pareto_order(values: Tensor) -> list[int]:
    """Rows of ``values (N, m)``, larger is better, by successive Pareto fronts; earlier rows first within a front."""
    if values.shape[1] == 1:
        return values[:, 0].argsort(descending=True, stable=True).tolist()
    # Here, because botorch takes a second to import and one metric is the common case.
    from botorch.utils.multi_objective.pareto import is_non_dominated

    order: list[int] = []
    left = torch.arange(len(values))
    while len(left):
        front = is_non_dominated(values[left], deduplicate=False)
        order += left[front].tolist()
        left = left[~front]
    return order


def pareto(gains: np.ndarray) -> np.ndarray:
    """The rows that no other row dominates; larger is better."""
    from botorch.utils.multi_objective.pareto import is_non_dominated

    return gains[is_non_dominated(torch.from_numpy(gains)).numpy()]


def hypervolume(gains: np.ndarray, reference: np.ndarray) -> float:
    """What some archs dominate beyond a reference point; 0 for none.

    Args:
        gains: ``(N, m)``, larger is better.
        reference: ``(m,)``.
    """
    from botorch.utils.multi_objective.hypervolume import Hypervolume

    if not len(gains):
        return 0.0
    front = torch.from_numpy(pareto(gains))
    return float(Hypervolume(torch.from_numpy(reference)).compute(front))
