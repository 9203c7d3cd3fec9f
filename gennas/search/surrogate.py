"""The surrogate of a problem: what is predicted of all its metrics after some evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from gennas.hardware.target import HardwareTarget
from gennas.metrics import Constraint, Metric
from gennas.problem import Problem
from gennas.search.base import NORMAL_95, History, PredictedValue
from gennas.search.inputs import Inputs
from gennas.search.metric_surrogate import (
    FITTED,
    MACHINE_ERROR,
    PREDICTED_ERROR,
    PRIOR_ERROR,
    MetricSurrogate,
    PriorSurrogate,
    fit_process,
)
from gennas.search.scale import Scale

#: From so many values on, a bounded metric that a predictor predicts is learnt from them: they may be others than its
#: predictions, but of fewer the ranks say less than these do.
FITTED_FROM = 10


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
    def of(cls, constraint: Constraint, problem: Problem, scales: Sequence[Scale | None]) -> Bound | None:
        """None where the metric has no scale yet."""
        column = problem.metrics.index(constraint.metric)
        scale = scales[column]
        return None if scale is None else cls._at(column, float(scale(np.array([constraint.bound]))[0]), constraint)

    @classmethod
    def by_prior(cls, constraint: Constraint, problem: Problem, inputs: Inputs) -> Bound | None:
        """None where the prior does not tell what its metric's values will be."""
        score = inputs.prior.score_of(constraint.metric, constraint.bound) if inputs.prior else None
        if score is None:
            return None
        return cls._at(problem.metrics.index(constraint.metric), constraint.metric.kind.sign * score, constraint)

    @classmethod
    def _at(cls, column: int, score: float, constraint: Constraint) -> Bound:
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
        scales: of the metrics; None for one whose evaluations distinguish nothing yet.
        bounds: of the problem, on metrics with a scale.
        modelled: the ``M`` metrics themselves.
    """

    objectives: int
    inputs: Inputs
    metrics: tuple[MetricSurrogate, ...]
    scales: tuple[Scale | None, ...]
    bounds: tuple[Bound, ...]
    modelled: tuple[Metric, ...] = ()

    @classmethod
    def fit(cls, problem: Problem, inputs: Inputs, history: History) -> ProblemSurrogate:
        """Gaussian processes fitted to some evaluations.

        Args:
            problem: what is searched.
            inputs: what the surrogates see.
            history: all archs so far. A metric that was not evaluated of two archs with different values keeps its
                prior.
        """
        points, objectives = inputs.of(history.archs), len(problem.objective.metrics)
        scales: list[Scale | None] = []
        surrogates: list[MetricSurrogate] = []
        scale_of = Scale.by_rank if objectives == 1 else Scale.by_size
        for column, metric in enumerate(problem.metrics):
            rows = np.flatnonzero(np.isfinite(history.values[:, column]))
            values, prior = history.values[rows, column], inputs.prior_columns_of(metric)
            is_predicted = column >= objectives and not _is_of_this_machine(metric) and _tells(inputs, metric)
            if len(np.unique(values)) < (FITTED_FROM if is_predicted else 2):
                scales.append(None)
                surrogates.append(_prior_surrogate(metric, inputs))
                continue
            scale = scale_of(metric, values)
            scales.append(scale)
            scores, most = torch.from_numpy(scale(values)), FITTED // len(problem.metrics)
            noise = scale.noise_of(values, history.noise[metric.name]) if metric.name in history.noise else None
            surrogates.append(fit_process(points[rows], scores, inputs.view, prior, metric.kind, most, noise))
        bounds = (
            Bound.of(constraint, problem, scales) or Bound.by_prior(constraint, problem, inputs)
            for constraint in problem.where
            if scales[problem.metrics.index(constraint.metric)]
            or problem.metrics.index(constraint.metric) >= objectives
        )
        kept = tuple(bound for bound in bounds if bound is not None)
        return cls(objectives, inputs, tuple(surrogates), tuple(scales), kept, problem.metrics)

    @classmethod
    def from_prior(cls, problem: Problem, inputs: Inputs) -> ProblemSurrogate:
        """Before any evaluation; the bounds count as far as the prior tells values of their metrics."""
        surrogates = [_prior_surrogate(metric, inputs) for metric in problem.metrics]
        bounds = (Bound.by_prior(constraint, problem, inputs) for constraint in problem.where)
        objectives = len(problem.objective.metrics)
        nothing = (None,) * len(surrogates)
        kept = tuple(bound for bound in bounds if bound is not None)
        return cls(objectives, inputs, tuple(surrogates), nothing, kept, problem.metrics)

    def log_feasibility(self, points: Tensor) -> Tensor:
        """``(N,)`` the log-probability that all bounds hold at ``points (N, d)``."""
        mean, std = self.moments(points)
        total = torch.zeros(len(points), dtype=torch.double)
        for bound in self.bounds:
            total = total + bound.log_probability(mean, std)
        return total

    @property
    def noise(self) -> Tensor:
        """``(M,)`` variances of scores that are evaluated again."""
        return torch.tensor([surrogate.noise for surrogate in self.metrics], dtype=torch.double)

    def moments(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """``(N, M)`` means and stds of the noiseless scores at ``points (N, d)``."""
        moments = [surrogate.moments(points) for surrogate in self.metrics]
        return torch.stack([mean for mean, _ in moments], 1), torch.stack([std for _, std in moments], 1)

    def predicted(self, points: Tensor) -> list[dict[str, PredictedValue]]:
        """What the values of ``N`` archs at ``points (N, d)`` will be, noise included: a dict for each, with the
        metrics whose evaluations distinguish something already."""
        mean, std = (moment.detach().numpy() for moment in self.moments(points))
        reach = NORMAL_95 * np.sqrt(np.square(std) + self.noise.numpy())
        found: list[dict[str, PredictedValue]] = [{} for _ in range(len(points))]
        for column, (metric, scale) in enumerate(zip(self.modelled, self.scales, strict=False)):
            if scale is None:
                continue
            centre, kind = mean[:, column], metric.kind
            ends = [scale.value_of(centre + side * reach[:, column]) for side in (-1.0, 0.0, 1.0)]
            # Beyond all values so far, a line goes on to where no value can be.
            for own, values in zip(found, np.sort(np.clip(ends, kind.lower, kind.upper), axis=0).T, strict=True):
                low, median, high = map(float, values)
                own[metric.name] = PredictedValue(median, low, high)
        return found

    def expected(self, points: Tensor) -> Tensor:
        """``(N, M)`` means of the scores at ``points (N, d)``."""
        return torch.stack([surrogate.mean(points) for surrogate in self.metrics], 1)

    def expected_objectives(self, points: Tensor) -> Tensor:
        """``(N, m)`` means of the objectives' scores at ``points (N, d)``."""
        return torch.stack([surrogate.mean(points) for surrogate in self.metrics[: self.objectives]], 1)

    def observed_objectives(self, points: Tensor, values: np.ndarray) -> Tensor:
        """``(R, m)`` the objectives' scores of evaluated values ``(R, M)`` at ``points (R, d)``; those of an objective
        without a scale are what is expected of them."""
        expected, scales = self.expected_objectives(points), self.scales[: self.objectives]
        columns = [
            expected[:, column] if scale is None else torch.from_numpy(scale(values[:, column]))
            for column, scale in enumerate(scales)
        ]
        return torch.stack(columns, 1)

    def condition_on(self, points: Tensor, scores: Tensor) -> ProblemSurrogate:
        """The same, had archs at ``points (N, d)`` been evaluated with these scores ``(N, M)``; nothing is refitted."""
        conditioned = [
            surrogate.fantasize(points, column) for surrogate, column in zip(self.metrics, scores.T, strict=True)
        ]
        return replace(self, metrics=tuple(conditioned))


def _prior_surrogate(metric: Metric, inputs: Inputs) -> PriorSurrogate:
    error = PRIOR_ERROR
    if _tells(inputs, metric):
        error = MACHINE_ERROR if _is_of_this_machine(metric) else PREDICTED_ERROR
    return PriorSurrogate(inputs.prior_columns_of(metric), metric.kind.sign, error)


def _is_of_this_machine(metric: Metric) -> bool:
    return metric.kind.name == "latency_ms" and HardwareTarget.parse(str(metric.target)) is not None


def _tells(inputs: Inputs, metric: Metric) -> bool:
    """Whether the prior tells a metric in its unit."""
    return inputs.prior is not None and inputs.prior.score_of(metric, 1.0) is not None
