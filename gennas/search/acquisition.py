"""Acquisition: the logarithm of what evaluating an arch is expected to improve, within the bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from torch import Tensor

from gennas.arch import Arch
from gennas.problem import Problem
from gennas.search.base import History
from gennas.search.improvement import Improvement, LogEHVI, LogEI
from gennas.search.success import Success
from gennas.search.surrogate import ProblemSurrogate


@dataclass(frozen=True, eq=False)
class Acquisition:
    """Log expected improvement, or with several objectives log expected hypervolume improvement, plus the
    log-probability that the bounds hold and the evaluation succeeds; while no arch keeps them all, that probability
    alone.

    An improvement is one of outcomes: of values as they will be evaluated, noise included, over those that were.

    Attributes:
        surrogate: of the problem.
        improvement: over what was evaluated.
        any_feasible: whether any arch was evaluated whole and keeps all bounds.
        pending: ``(P, d)`` inputs of archs that are being evaluated.
        success: how likely evaluations are to succeed; None where nothing says that some are not.
    """

    surrogate: ProblemSurrogate
    improvement: Improvement
    any_feasible: bool
    pending: Tensor
    success: Success | None = field(default=None, kw_only=True)

    @classmethod
    def of(cls, problem: Problem, surrogate: ProblemSurrogate, history: History) -> Acquisition:
        """After some evaluations, to which ``surrogate`` was fitted."""
        rows = baseline_rows(problem, history)
        values, points = history.values[rows], surrogate.inputs.of([history.archs[row] for row in rows])
        # Where no arch was evaluated whole, the values that are missing are predicted.
        observed = np.isfinite(values).all()
        scores = surrogate.observed_objectives(points, values) if observed else surrogate.expected_objectives(points)
        feasible = np.isfinite(history.values).all(1) & problem.feasible(history.values)
        return cls(surrogate, improvement_over(surrogate, scores), bool(feasible.any()), _pending(surrogate, history))

    @classmethod
    def from_prior(cls, surrogate: ProblemSurrogate, history: History, success: Success | None = None) -> Acquisition:
        """Before any evaluation; the bounds count as far as the prior tells values of their metrics."""
        nothing = torch.empty(0, surrogate.objectives, dtype=torch.double)
        improvement = improvement_over(surrogate, nothing)
        if surrogate.objectives == 1 and (success is not None or surrogate.bounds):
            points = surrogate.inputs.of(surrogate.inputs.reference)
            likely = surrogate.log_feasibility(points) >= len(surrogate.bounds) * np.log(0.5)
            expected = surrogate.expected_objectives(points)
            # What breaks a bound is nothing to improve upon; and while evaluations fail, whatever succeeds is better.
            if success is not None or not likely.any():
                likely = expected[:, 0] == expected.min()
            improvement = LogEI(expected[likely])
        return cls(surrogate, improvement, True, _pending(surrogate, history), success=success)

    def values(self, points: Tensor) -> Tensor:
        """``(N,)`` of archs with inputs ``points (N, d)``, each by itself, in closed form."""
        mean, std = self.surrogate.moments(points)
        values = torch.zeros(len(points), dtype=torch.double)
        if self.any_feasible:
            objectives = self.surrogate.objectives
            values = self.improvement.log(mean[:, :objectives], self.improvement_std(std)[:, :objectives])
        for bound in self.surrogate.bounds:
            values = values + bound.log_probability(mean, std)
        return values if self.success is None else values + self.success.log_weight(points)

    def improvement_std(self, std: Tensor) -> Tensor:
        """``(N, M)`` the std of what may improve, of the std ``(N, M)`` of noiseless scores."""
        return (std.square() + self.surrogate.noise).sqrt()

    def values_of(self, archs: Sequence[Arch]) -> Tensor:
        """``(N,)`` of archs, each by itself; see :meth:`values`."""
        return self.values(self.surrogate.inputs.of(archs))

    def fantasize(self, points: Tensor) -> Acquisition:
        """The same, had archs at ``points (N, d)`` been evaluated with their expected scores: the Kriging believer
        (Ginsbourger et al., "Kriging Is Well-Suited to Parallelize Optimization", 2010)."""
        expected = self.surrogate.expected(points)
        surrogate = self.surrogate.condition_on(points, expected)
        improvement = self.improvement.condition_on(expected[:, : surrogate.objectives])
        return replace(self, surrogate=surrogate, improvement=improvement)


def baseline_rows(problem: Problem, history: History) -> np.ndarray:
    """Rows of the archs over which others improve: the feasible ones; where there are none, those that were evaluated
    whole; where there are none, all."""
    whole = np.isfinite(history.values).all(1)
    feasible = whole & problem.feasible(history.values)
    return np.flatnonzero(feasible if feasible.any() else whole if whole.any() else np.ones_like(whole))


def improvement_over(surrogate: ProblemSurrogate, scores: Tensor) -> Improvement:
    """Over scores ``(R, m)``; where there are none, over the best that is expected of random archs.

    The reference point of a hypervolume is the worst of the front, a tenth of its range further (BoTorch's rule). That
    front is of these scores and of what is expected of random archs: an end of it at which nothing was evaluated yet
    counts, too.
    """
    if surrogate.objectives == 1 and len(scores):
        return LogEI(scores)
    expected = surrogate.expected_objectives(surrogate.inputs.of(surrogate.inputs.reference))
    if surrogate.objectives == 1:
        return LogEI(expected)
    return LogEHVI(scores, infer_reference_point(torch.cat([scores, expected])))


def _pending(surrogate: ProblemSurrogate, history: History) -> Tensor:
    archs = [history.archs[row] for row in np.flatnonzero(history.pending)]
    return surrogate.inputs.of(archs)
