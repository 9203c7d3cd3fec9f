"""Acquisition: what evaluating an arch promises, and the picking of several archs that promise most together."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from botorch.acquisition import AcquisitionFunction
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.acquisition.objective import GenericMCObjective
from botorch.exceptions.warnings import BotorchWarning
from botorch.models import ModelListGP
from botorch.models.model import Model
from botorch.optim import optimize_acqf_discrete
from botorch.sampling.normal import SobolQMCNormalSampler
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from linear_operator.utils.warnings import NumericalWarning
from torch import Tensor

from gennas.arch import Arch
from gennas.metrics import Constraint
from gennas.pareto import pareto_order
from gennas.predictors.gaussian_process import Process
from gennas.problem import Problem
from gennas.search.base import History
from gennas.search.botorch_compat import qLogNoisyExpectedHypervolumeImprovement
from gennas.search.improvement import Improvement, LogEHVI, LogEI, Moments
from gennas.search.surrogate import Inputs, PriorSurrogate, Scale, Surrogate, fit_process

#: Monte Carlo samples of BoTorch's acquisition functions of means.
SAMPLES = 64
#: What a search hopes to improve.
Improve = Literal["outcome", "mean"]
#: The best archs so far, front after front, with which an acquisition compares; more make hypervolumes slow.
COMPARED = 40


@dataclass(frozen=True)
class Bound:
    """A constraint on the scale on which its metric is learnt.

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


@dataclass(frozen=True, eq=False)
class Learnt:
    """What is expected of a problem's metrics, with the acquisition functions made from it.

    Attributes:
        objectives: how many.
        inputs: what the surrogates see.
        surrogates: of the metrics, those of the objectives first.
        improvement: over what was evaluated.
        bounds: the problem's.
        any_holds: whether any arch was evaluated whole and keeps all bounds.
        compared: ``(R, d)`` the evaluated archs with which others are compared, the best first.
        pending: ``(P, d)`` archs that are being evaluated.
        improve: on what an improvement is hoped for: ``outcome``, values as they will be evaluated, chance included,
            over the best that was; or ``mean``, what they are on average, over the same of all archs so far.
    """

    objectives: int
    inputs: Inputs
    surrogates: tuple[Surrogate, ...]
    improvement: Improvement
    bounds: tuple[Bound, ...]
    any_holds: bool
    compared: Tensor
    pending: Tensor
    improve: Improve

    @classmethod
    def of(cls, problem: Problem, inputs: Inputs, history: History, improve: Improve = "outcome") -> Learnt:
        """After some evaluations.

        Args:
            problem: what is searched.
            inputs: what the surrogates see.
            history: all archs so far; every metric has been evaluated of at least two archs, with different values.
            improve: see above.
        """
        points, objectives = inputs.of(history.archs), len(problem.objective.metrics)
        scales: list[Scale] = []
        surrogates: list[Surrogate] = []
        scale_of = Scale.by_rank if objectives == 1 else Scale.by_size
        for column, metric in enumerate(problem.metrics):
            rows = np.flatnonzero(np.isfinite(history.values[:, column]))
            values = history.values[rows, column]
            scales.append(scale_of(metric, values))
            scores = torch.from_numpy(scales[-1](values))
            surrogates.append(fit_process(points[rows], scores, inputs.view, inputs.known[column], metric.kind))
        whole = np.isfinite(history.values).all(1)
        complete = whole & problem.feasible(history.values)
        rows = np.flatnonzero(complete if complete.any() else whole if whole.any() else np.ones_like(whole))
        told = _expected(surrogates[:objectives], points[rows])
        if improve == "outcome" and whole.any():
            columns = [scales[k](history.values[rows, k]) for k in range(objectives)]
            told = torch.from_numpy(np.column_stack(columns))
        return cls(
            objectives,
            inputs,
            tuple(surrogates),
            _improvement(inputs, surrogates[:objectives], told),
            tuple(Bound.of(constraint, problem, scales) for constraint in problem.where),
            any_holds=bool(complete.any()),
            compared=points[rows][pareto_order(told)],
            pending=points[np.flatnonzero(history.pending)],
            improve=improve,
        )

    @classmethod
    def before(cls, problem: Problem, inputs: Inputs, history: History) -> Learnt:
        """Before any evaluation, where something is known of every objective.

        The bounds do not count yet, but those on costs, which the caller keeps.
        """
        points = inputs.of(history.archs)
        metrics = problem.objective.metrics
        foretold = [
            PriorSurrogate(known, metric.kind.sign)
            for metric, known in zip(metrics, inputs.known[: len(metrics)], strict=True)
        ]
        return cls(
            len(metrics),
            inputs,
            tuple(foretold),
            _improvement(inputs, foretold, torch.empty(0, len(metrics), dtype=torch.double)),
            (),
            any_holds=True,
            compared=points[:0],
            pending=points[np.flatnonzero(history.pending)],
            improve="outcome",
        )

    def moments(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """``(N, M)`` means and stds of the scores of archs with these inputs."""
        told = [surrogate.moments(points) for surrogate in self.surrogates]
        return torch.stack([mean for mean, _ in told], 1), torch.stack([std for _, std in told], 1)

    def acquisition_values(self, points: Tensor) -> Tensor:
        """``(N,)`` the logarithm of what evaluating one arch promises, in closed form.

        It is the expected improvement, times the probability that the bounds hold; while no arch keeps them all, that
        probability alone.

        Args:
            points: ``(N, d)`` inputs.
        """
        mean, std = self.moments(points)
        acquisition_values = torch.zeros(len(points), dtype=torch.double)
        if self.any_holds:
            noise = torch.tensor([surrogate.noise for surrogate in self.surrogates], dtype=torch.double)
            spread = (std.square() + noise).sqrt() if self.improve == "outcome" else std
            acquisition_values = self.improvement.log(mean[:, : self.objectives], spread[:, : self.objectives])
        for bound in self.bounds:
            margin = bound.side * (mean[:, bound.column] - bound.score) / std[:, bound.column]
            acquisition_values = acquisition_values + torch.special.log_ndtr(margin)
        return acquisition_values

    def values_of(self, archs: Sequence[Arch]) -> Tensor:
        """:meth:`worth` of archs."""
        return self.acquisition_values(self.inputs.of(archs))

    def fantasize(self, points: Tensor) -> Learnt:
        """The same, had archs at ``points (N, d)`` come out as is expected of them (Ginsbourger et al., "Kriging Is
        Well-Suited to Parallelize Optimization", 2010: the Kriging believer)."""
        expected = self.moments(points)[0]
        fantasize = tuple(
            surrogate.fantasize(points, scores) for surrogate, scores in zip(self.surrogates, expected.T, strict=True)
        )
        improvement = self.improvement.having(expected[:, : self.objectives])
        return replace(self, surrogates=fantasize, improvement=improvement)

    def pick(self, choices: Tensor, q: int, seed: int) -> tuple[list[int], list[float]]:
        """Rows of ``choices (N, d)`` that promise most together, one after the other, and what each adds.

        Improvements of outcomes are exact: those that count are rare, and samples hardly ever meet one. What is picked
        or being evaluated counts as if it were known to be what is expected of it. Improvements of means are qLogNEI,
        or with several objectives qLogNEHVI (Ament et al. 2023).
        """
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            # BoTorch prunes what is compared with by samples of its own.
            torch.manual_seed(seed)
            warnings.simplefilter("ignore", BotorchWarning)
            warnings.simplefilter("ignore", NumericalWarning)
            acquisition = LogExpectedImprovementOfOutcomes(self) if self.improve == "outcome" else self._of_means(seed)
            acquisition.set_X_pending(self.pending if len(self.pending) else None)
            chosen, values = optimize_acqf_discrete(acquisition, q, choices, max_batch_size=1024, unique=True)
        rows: list[int] = []
        for point in chosen:
            # Archs that compute the same have equal inputs.
            same = (choices == point).all(1).nonzero()[:, 0].tolist()
            rows.append(next(row for row in same if row not in rows))
        return rows, values.reshape(-1).expand(len(rows)).tolist()

    def _of_means(self, seed: int) -> qLogNoisyExpectedImprovement | qLogNoisyExpectedHypervolumeImprovement:
        models = [surrogate.model for surrogate in self.surrogates if isinstance(surrogate, Process)]
        model: Model = models[0] if len(models) == 1 else ModelListGP(*models)
        sampler = SobolQMCNormalSampler(torch.Size([SAMPLES]), seed=seed)
        bounds = [_as_botorch_wants(bound) for bound in self.bounds] or None
        compared = self.compared[:COMPARED]
        if isinstance(self.improvement, LogEHVI):
            front = IdentityMCMultiOutputObjective(outcomes=list(range(self.objectives)))
            return qLogNoisyExpectedHypervolumeImprovement(
                model, self.improvement.reference, compared, sampler=sampler, objective=front, constraints=bounds,
                prune_baseline=True,
            )  # fmt: skip
        first = None if len(models) == 1 else GenericMCObjective(_first)
        return qLogNoisyExpectedImprovement(
            model, compared, sampler=sampler, objective=first, constraints=bounds, prune_baseline=True
        )


def _expected(surrogates: Sequence[Surrogate], points: Tensor) -> Tensor:
    """``(N, m)`` means of scores."""
    return torch.stack([surrogate.moments(points)[0] for surrogate in surrogates], 1)


def _improvement(inputs: Inputs, surrogates: Sequence[Surrogate], told: Tensor) -> Improvement:
    """Over the scores told ``(R, m)``; before there are any, over the best that is expected of random archs.

    The reference point of a hypervolume is the worst of the front, a tenth of its range further (BoTorch's rule). That
    front is of what was evaluated and of what is expected of random archs: an end of it at which nothing was evaluated
    yet counts, too.
    """
    if len(surrogates) == 1 and len(told):
        return LogEI(told)
    expected = _expected(surrogates, inputs.of(inputs.reference))
    if len(surrogates) == 1:
        return LogEI(expected)
    return LogEHVI(told, infer_reference_point(torch.cat([told, expected])))


def _as_botorch_wants(bound: Bound) -> Callable[[Tensor], Tensor]:
    """A function of samples, negative where the bound holds."""
    return lambda samples: bound.side * (bound.score - samples[..., bound.column])


class LogExpectedImprovementOfOutcomes(AcquisitionFunction):
    """What :meth:`Learnt.acquisition_values` says, for BoTorch, which hands over what is picked and evaluated."""

    def __init__(self, learnt: Learnt) -> None:
        # BoTorch wants a model; nothing is asked of it.
        super().__init__(Moments(torch.zeros(1, 1), torch.ones(1, 1)))
        self.learnt = self.now = learnt

    def set_X_pending(self, X_pending: Tensor | None = None) -> None:
        super().set_X_pending(X_pending)
        self.now = self.learnt if X_pending is None else self.learnt.fantasize(X_pending)

    def forward(self, X: Tensor) -> Tensor:
        """``(N,)`` of ``(N, 1, d)``."""
        return self.now.acquisition_values(X[:, 0])


def _first(samples: Tensor, X: Tensor | None = None) -> Tensor:
    return samples[..., 0]
