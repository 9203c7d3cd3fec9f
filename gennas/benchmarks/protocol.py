"""How searches are compared: what is reported of one run, of many seeds, and of several benchmarks.

After Yang, Esperanca and Carlucci, "NAS Evaluation is Frustratingly Hard", ICLR 2020, and Lindauer and Hutter, "Best
Practices for Scientific Research on Neural Architecture Search", JMLR 2020: archs are selected on validation and the
test of the selected is reported; many seeds; a comparison with random search and with the average random arch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True, eq=False)
class Curves:
    """What a run with one objective has reached after every query; NaN before the first success.

    Attributes:
        best: ``(N,)`` the best validation value so far, among archs that keep all bounds.
        selected_test: ``(N,)`` the test value of the arch that has it, the first one where several do; NaN where there
            are no test values.
        best_test: ``(N,)`` the best test value of any arch so far. Nobody can select that arch without looking at the
            test: it is reported separately and never compared.
        regret: ``(N,)`` by how much the table's best validation value is better.
        cost: ``(N,)`` the summed cost of all evaluations so far.
    """

    best: np.ndarray
    selected_test: np.ndarray
    best_test: np.ndarray
    regret: np.ndarray
    cost: np.ndarray


def curves(gains: np.ndarray, tests: np.ndarray, costs: np.ndarray, best: float) -> Curves:
    """The curves of one run.

    Args:
        gains: ``(N,)`` validation values, larger is better, NaN for what failed or breaks a bound.
        tests: ``(N,)`` test values of the same archs, larger is better; NaN where there are none.
        costs: ``(N,)`` of the evaluations.
        best: the table's best validation value.
    """
    row = best_so_far(gains)
    found = row >= 0
    reached = np.where(found, gains[row], np.nan)
    selected = np.where(found, tests[row], np.nan)
    history = (
        np.maximum.accumulate(np.where(np.isnan(tests) | np.isnan(gains), -np.inf, tests)) if len(tests) else tests
    )
    history = np.where(np.isinf(history), np.nan, history)
    return Curves(reached, selected, history, best - reached, np.cumsum(costs))


def best_so_far(gains: np.ndarray) -> np.ndarray:
    """``(N,)`` the row of the best value so far, the first one among equals; -1 before there is any."""
    rows = np.empty(len(gains), dtype=int)
    best = -1
    for row, gain in enumerate(gains):
        if not np.isnan(gain) and (best < 0 or gain > gains[best]):
            best = row
        rows[row] = best
    return rows


def queries_until(gains: np.ndarray, best: float) -> int | None:
    """How many queries it took to evaluate an arch with the table's best validation value; None if it was not found."""
    hits = np.flatnonzero(gains >= best)
    return int(hits[0]) + 1 if len(hits) else None


@dataclass(frozen=True)
class Statistics:
    """A number over seeds: mean, median and quartiles (linear interpolation); NaN seeds are left out and counted."""

    mean: float
    median: float
    lower: float
    upper: float
    seeds: int
    missing: int

    @classmethod
    def of(cls, values: Sequence[float] | np.ndarray) -> Statistics:
        numbers = np.asarray(values, dtype=float)
        there = numbers[~np.isnan(numbers)]
        if not len(there):
            return cls(*(float("nan"),) * 4, 0, len(numbers))
        lower, median, upper = np.quantile(there, [0.25, 0.5, 0.75])
        return cls(
            float(there.mean()), float(median), float(lower), float(upper), len(there), len(numbers) - len(there)
        )


@dataclass(frozen=True)
class Queries:
    """Queries until the best-validation arch over seeds; runs that did not find it count as their whole budget.

    Attributes:
        statistics: of the counted queries; its mean is too small by what unfinished runs would have needed further.
        censored: how many runs did not find it.
    """

    statistics: Statistics
    censored: int

    @classmethod
    def of(cls, found: Sequence[int | None], budget: int) -> Queries:
        """Of what :func:`queries_until` says of every run."""
        counted = [budget if queries is None else queries for queries in found]
        return cls(Statistics.of(counted), sum(queries is None for queries in found))


def over_seeds(rows: Sequence[np.ndarray]) -> pd.DataFrame:
    """Mean, median and quartiles of equally long curves, one row per query from 1; NaN are left out."""
    values = np.stack(rows)
    statistics = [Statistics.of(column) for column in values.T]
    frame = pd.DataFrame([vars(one) for one in statistics], columns=list(Statistics.__dataclass_fields__))
    return frame.set_axis(range(1, len(frame) + 1)).rename_axis("query")


def padded(curve: np.ndarray, length: int) -> np.ndarray:
    """A curve that stays where it ended: of a run that had no further archs to propose."""
    return np.concatenate([curve, np.full(length - len(curve), curve[-1] if len(curve) else np.nan)])


def against_cost(costs: np.ndarray, curve: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """``(G,)`` what a run had reached when it had spent so much; NaN before its first evaluation was paid for.

    Args:
        costs: ``(N,)`` summed costs, not decreasing.
        curve: ``(N,)`` what was reached then.
        grid: ``(G,)`` sums of costs.
    """
    row = np.searchsorted(costs, grid, side="right") - 1
    return np.where(row >= 0, curve[row.clip(0)], np.nan)


def relative_improvement(accuracy: float, random: float) -> float:
    """``100 (accuracy - random) / random``, the RI of Yang et al. 2020, in per cent.

    Args:
        accuracy: test accuracy of the selected arch.
        random: mean test accuracy of random archs; of a table, of all its archs.
    """
    # What is to be small is a negative number here.
    return 100 * (accuracy - random) / abs(random)


def mean_ranks(scores: pd.DataFrame) -> pd.Series:
    """The rank of every method, averaged over benchmarks; 1 is best, equal scores share their mean rank.

    Args:
        scores: a row per method, a column per benchmark; larger is better. NaN ranks last.
    """
    return scores.rank(ascending=False, na_option="bottom").mean(axis=1).sort_values()
