"""How good the archs of a run are, as one number each: what methods without a model of several metrics go by."""

from __future__ import annotations

import numpy as np

from gennas.pareto import front_numbers
from gennas.predictors.normal_scores import normal_scores
from gennas.problem import Problem
from gennas.search.base import History


def fitness(problem: Problem, history: History) -> np.ndarray:
    """``(N,)`` larger is better; ``-inf`` for what failed or is not evaluated yet.

    One objective: its rank. Several: minus the number of the Pareto front, so that the archs of a front are equal
    (the non-dominated sorting of Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", 2002).
    Archs that break a bound come after all others, by how far they break it, as there.
    """
    found = np.full(len(history.archs), -np.inf)
    evaluated = np.flatnonzero(~history.failed & ~history.pending)
    values = history.values[evaluated]
    gains = problem.gains(values)
    good = problem.feasible(values) & ~np.isnan(gains).any(1)
    # One arch more than there are, so that a broken bound is worse than any front.
    found[evaluated[~good]] = -len(evaluated) - 1 - violation(problem, values[~good])
    found[evaluated[good]] = _levels(gains[good])
    return found


def violation(problem: Problem, values: np.ndarray) -> np.ndarray:
    """``(N,)`` by how much values ``(N, M)`` break the bounds, each in units of the bound; 0 where one is missing."""
    return np.nan_to_num(excesses(problem, values).clip(0)).sum(1)


def excesses(problem: Problem, values: np.ndarray) -> np.ndarray:
    """``(N, c)`` by how much values ``(N, M)`` exceed each bound, in units of the bound, below 0 where they keep it;
    NaN as there."""
    found = np.empty((len(values), len(problem.where)))
    for row, constraint in enumerate(problem.where):
        column = values[:, problem.metrics.index(constraint.metric)]
        excess = column - constraint.bound if constraint.relation == "<=" else constraint.bound - column
        found[:, row] = excess / max(abs(constraint.bound), 1e-9)
    return found


def targets(problem: Problem, values: np.ndarray) -> np.ndarray:
    """``(N, m + c)`` what a model is fitted to, of evaluated values ``(N, M)``, larger is better; NaN as there.

    Normal scores of the objective's gains, then by how much each bound is kept, in standard deviations.
    """
    columns = []
    for gain in problem.gains(values).T:
        known = np.isfinite(gain)
        columns.append(np.full(len(gain), np.nan))
        columns[-1][known] = normal_scores(gain[known]) if known.any() else ()
    for constraint in problem.where:
        column = values[:, problem.metrics.index(constraint.metric)]
        kept = constraint.bound - column if constraint.relation == "<=" else column - constraint.bound
        known = np.isfinite(kept)
        columns.append(kept / max(kept[known].std() if known.any() else 0.0, 1e-9))
    return np.stack(columns, axis=1)


def best_rows(problem: Problem, history: History, count: int) -> list[int]:
    """The ``count`` best of the archs whose values were evaluated, best first, earlier ones first among equals."""
    values = fitness(problem, history)
    order = np.argsort(-values, kind="stable")
    return [int(row) for row in order[:count] if values[row] > -np.inf]


def _levels(gains: np.ndarray) -> np.ndarray:
    if gains.shape[1] == 1:
        return np.unique(gains[:, 0], return_inverse=True)[1].astype(float)
    return -front_numbers(gains).astype(float)
