"""Pareto fronts and hypervolumes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def pareto_order(values: Tensor, count: int | None = None) -> list[int]:
    """Row indices of ``values (N, m)``, larger is better, by non-domination rank; ties in the original order.

    Of more than the first ``count``, the order is arbitrary.
    """
    if not values.shape[1]:
        return list(range(len(values)))
    if values.shape[1] == 1:
        return values[:, 0].argsort(descending=True, stable=True).tolist()
    return np.argsort(front_numbers(values.detach().cpu().numpy(), count), kind="stable").tolist()


def spread_order(values: Tensor, count: int) -> list[int]:
    """The first ``count`` rows of :func:`pareto_order`, those of a front in an order whose beginnings are spread out.

    A front starts with its ends, the best by each column; then the row farthest from all before follows (Gonzalez,
    "Clustering to Minimize the Maximum Intercluster Distance", 1985), distances being in ranges of the front.
    """
    if values.shape[1] < 2:
        return pareto_order(values, count)[:count]
    numbers, order = front_numbers(values.detach().cpu().numpy(), count), list[int]()
    for number in range(int(numbers.max(initial=-1)) + 1):
        if len(order) >= count:
            break
        rows = np.flatnonzero(numbers == number)
        order += [int(rows[place]) for place in _spread(values[rows].double(), count - len(order))]
    return order[:count]


def _spread(front: Tensor, count: int) -> list[int]:
    """Up to ``count`` rows of ``front (F, m)``."""
    low, high = front.amin(0), front.amax(0)
    scaled = (front - low) / (high - low).clamp_min(1e-12)
    chosen = list(dict.fromkeys(front.argmax(0).tolist()))[:count]
    distance = torch.cdist(scaled, scaled[chosen]).amin(1)
    while len(chosen) < min(count, len(front)):
        distance[chosen] = -1
        chosen.append(int(distance.argmax()))
        distance = distance.minimum((scaled - scaled[chosen[-1]]).norm(dim=1))
    return chosen


def non_dominated(gains: np.ndarray) -> np.ndarray:
    """``(N,)`` boolean: the rows of ``gains (N, m)`` that no other row dominates; larger is better."""
    # Imported here, as botorch takes a second to import and a single metric does not need it.
    from botorch.utils.multi_objective.pareto import is_non_dominated

    front: np.ndarray = is_non_dominated(torch.from_numpy(gains), deduplicate=False).numpy()
    return front


def front_numbers(gains: np.ndarray, count: int | None = None) -> np.ndarray:
    """``(N,)`` int: the Pareto front of every row, from 0, by non-dominated sorting; larger is better.

    All fronts after the first ``count`` rows are taken for one.
    """
    numbers, left = np.zeros(len(gains), dtype=int), np.arange(len(gains))
    number = 0
    while len(left):
        if count is not None and len(gains) - len(left) >= count:
            numbers[left] = number
            break
        front = non_dominated(gains[left])
        numbers[left[front]] = number
        left, number = left[~front], number + 1
    return numbers


def pareto_front(gains: np.ndarray) -> list[int]:
    """Rows of ``gains (N, m)``, larger is better, that no other row dominates, the best by the first metric first.

    With one metric that is the best row alone; of equal ones the first.
    """
    if not len(gains):
        return []
    if gains.shape[1] == 1:
        return [int(gains[:, 0].argmax())]
    return sorted(np.flatnonzero(non_dominated(gains)).tolist(), key=lambda row: -float(gains[row, 0]))


def mean_ranks(gains: np.ndarray) -> np.ndarray:
    """``(N,)`` the mean over tasks of the rank of every row of ``gains (N, t)``, 1 for the best; larger is better.

    Equal gains share the mean of their ranks.
    """
    # Imported here, as scipy takes a while to import and a single task does not need it.
    from scipy.stats import rankdata

    ranks: np.ndarray = rankdata(-gains, axis=0).mean(axis=1) if len(gains) else np.zeros(0)
    return ranks


def pareto(gains: np.ndarray) -> np.ndarray:
    """The rows that no other row dominates, equal ones once; larger is better."""
    from botorch.utils.multi_objective.pareto import is_non_dominated

    return gains[is_non_dominated(torch.from_numpy(gains)).numpy()]


def hypervolume(gains: np.ndarray, reference: np.ndarray) -> float:
    """The hypervolume that some points dominate with respect to a reference point; 0 for no points.

    Args:
        gains: ``(N, m)`` points, larger is better.
        reference: ``(m,)`` reference point.
    """
    from botorch.utils.multi_objective.hypervolume import Hypervolume

    if not len(gains):
        return 0.0
    front = torch.from_numpy(pareto(gains))
    return float(Hypervolume(torch.from_numpy(reference)).compute(front))
