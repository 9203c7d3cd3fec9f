"""The surrogate of a problem: what is predicted of all its metrics after some evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from gennas.metrics import Constraint
from gennas.problem import Problem
from gennas.search.base import History
from gennas.search.inputs import Inputs
from gennas.search.metric_surrogate import MetricSurrogate, PriorSurrogate, fit_process
from gennas.search.scale import Scale


@dataclass(frozen=True)
class Bound:
    """A constraint on the scale on which its metric is modelled.

    Attributes:
        column: of the metric.
        score: the bound's.
        side: 1 where scores must be above it, -1 where below.
    """

    column: int
    score: float
    side: float

    @classmethod
    def of(cls, constraint: Constraint, problem: Problem, scales: Sequence[Scale]) -> Bound:
        column = problem.metrics.index(constraint.metric)
        score = float(scales[column](np.array([constraint.bound]))[0])
        larger_is_better = constraint.metric.kind.sign > 0
        return cls(column, score, 1.0 if larger_is_better == (constraint.relation == ">=") else -1.0)

    def log_probability(self, mean: Tensor, std: Tensor) -> Tensor:
        """``(N,)`` the log-probability that it holds, of moments ``(N, M)`` of all metrics' scores."""
        return torch.special.log_ndtr(self.side * (mean[:, self.column] - self.score) / std[:, self.column])


@dataclass(frozen=True, eq=False)
class ProblemSurrogate:
    """One surrogate for each metric of a problem, the scales of their scores, and the problem's bounds on them.

    Attributes:
        objectives: how many of the metrics, the first ones, are objectives.
        inputs: what the surrogates see.
        metrics: the surrogates of the ``M`` metrics.
        scales: of the metrics; none before any evaluation.
        bounds: of the problem.
    """

    objectives: int
    inputs: Inputs
    metrics: tuple[MetricSurrogate, ...]
    scales: tuple[Scale, ...]
    bounds: tuple[Bound, ...]

    @classmethod
    def fit(cls, problem: Problem, inputs: Inputs, history: History) -> ProblemSurrogate:
        """Gaussian processes fitted to some evaluations.

        Args:
            problem: what is searched.
            inputs: what the surrogates see.
            history: all archs so far; every metric has been evaluated of at least two archs, with different values.
        """
        points, objectives = inputs.of(history.archs), len(problem.objective.metrics)
        scales: list[Scale] = []
        surrogates: list[MetricSurrogate] = []
        scale_of = Scale.by_rank if objectives == 1 else Scale.by_size
        for column, metric in enumerate(problem.metrics):
            rows = np.flatnonzero(np.isfinite(history.values[:, column]))
            values = history.values[rows, column]
            scales.append(scale_of(metric, values))
            scores = torch.from_numpy(scales[-1](values))
            surrogates.append(fit_process(points[rows], scores, inputs.view, inputs.prior_columns[column], metric.kind))
        bounds = tuple(Bound.of(constraint, problem, scales) for constraint in problem.where)
        return cls(objectives, inputs, tuple(surrogates), tuple(scales), bounds)

    @classmethod
    def from_prior(cls, problem: Problem, inputs: Inputs) -> ProblemSurrogate:
        """Before any evaluation, where there is a prior of every objective; without the bounds."""
        metrics = problem.objective.metrics
        columns = inputs.prior_columns[: len(metrics)]
        surrogates = [PriorSurrogate(own, metric.kind.sign) for metric, own in zip(metrics, columns, strict=True)]
        return cls(len(metrics), inputs, tuple(surrogates), (), ())

    @property
    def noise(self) -> Tensor:
        """``(M,)`` variances of scores that are evaluated again."""
        return torch.tensor([surrogate.noise for surrogate in self.metrics], dtype=torch.double)

    def moments(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """``(N, M)`` means and stds of the noiseless scores at ``points (N, d)``."""
        moments = [surrogate.moments(points) for surrogate in self.metrics]
        return torch.stack([mean for mean, _ in moments], 1), torch.stack([std for _, std in moments], 1)

    def expected_objectives(self, points: Tensor) -> Tensor:
        """``(N, m)`` means of the objectives' scores at ``points (N, d)``."""
        return torch.stack([surrogate.moments(points)[0] for surrogate in self.metrics[: self.objectives]], 1)

    def observed_objectives(self, values: np.ndarray) -> Tensor:
        """``(R, m)`` the objectives' scores of evaluated values ``(R, M)``."""
        columns = [self.scales[column](values[:, column]) for column in range(self.objectives)]
        return torch.from_numpy(np.column_stack(columns))

    def condition_on(self, points: Tensor, scores: Tensor) -> ProblemSurrogate:
        """The same, had archs at ``points (N, d)`` been evaluated with these scores ``(N, M)``; nothing is refitted."""
        conditioned = [
            surrogate.fantasize(points, column) for surrogate, column in zip(self.metrics, scores.T, strict=True)
        ]
        return replace(self, metrics=tuple(conditioned))
