"""Acquisition: what evaluating an arch promises, and the picking of several archs that promise most together."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from copy import copy
from typing import Literal

import numpy as np
import torch
from botorch.acquisition import AcquisitionFunction
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.multi_objective.analytic import ExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.acquisition.objective import GenericMCObjective
from botorch.exceptions.warnings import BotorchWarning
from botorch.models import ModelListGP
from botorch.models.model import Model
from botorch.optim import optimize_acqf_discrete
from botorch.posteriors import GPyTorchPosterior
from botorch.sampling.normal import SobolQMCNormalSampler
from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from gpytorch.distributions import MultitaskMultivariateNormal
from linear_operator.operators import DiagLinearOperator
from linear_operator.utils.warnings import NumericalWarning
from torch import Tensor

from gennas.arch import Arch
from gennas.choose import pareto_order
from gennas.metrics import Constraint
from gennas.search.base import Problem, Seen
from gennas.search.surrogate import Inputs, Process, Scale, fit_process
from gennas.search.uncompiled import qLogNoisyExpectedHypervolumeImprovement

#: Monte Carlo samples of BoTorch's acquisition functions of means.
SAMPLES = 64
#: What a search hopes to improve.
Improve = Literal["outcome", "mean"]
#: What a hypervolume's improvement is at least taken to be.
LEAST = 1e-30
#: The best archs so far, front after front, with which an acquisition compares; more make hypervolumes slow.
COMPARED = 40


class Learnt:
    """The processes of a problem's metrics after some evaluations, with the acquisition functions made from them.

    Args:
        problem: what is searched.
        inputs: what the processes see.
        seen: all archs so far; every metric has been evaluated of at least two archs, with different values.
        improve: on what an improvement is hoped for: ``outcome``, values as they will be evaluated, chance included,
            over the best that was; or ``mean``, what they are on average, over the same of all archs so far.
    """

    def __init__(self, problem: Problem, inputs: Inputs, seen: Seen, improve: Improve = "outcome") -> None:
        self.problem, self.inputs, self.seen, self.improve = problem, inputs, seen, improve
        self.objectives = len(problem.objective.metrics)
        points = inputs.of(seen.archs)
        self.scales: list[Scale] = []
        self.processes: list[Process] = []
        scale_of = Scale.by_rank if self.objectives == 1 else Scale.by_size
        for column, metric in enumerate(problem.metrics):
            rows = np.flatnonzero(np.isfinite(seen.values[:, column]))
            values = seen.values[rows, column]
            scale = scale_of(metric, values)
            scores = torch.from_numpy(scale(values))
            self.scales.append(scale)
            known = inputs.known[column]
            self.processes.append(fit_process(points[rows], scores, inputs.view, known, metric.kind))
        whole = np.isfinite(seen.values).all(1)
        complete = whole & problem.feasible(seen.values)
        #: Whether any arch was evaluated whole and keeps all bounds.
        self.any_holds = bool(complete.any())
        rows = np.flatnonzero(complete if self.any_holds else whole if whole.any() else np.ones_like(whole))
        #: ``(R, d)`` the evaluated archs with which others are compared, and ``(R, m)`` their scores.
        self.compared = points[rows]
        self.told = self.moments(self.compared)[0][:, : self.objectives]
        if improve == "outcome" and whole.any():
            told = [self.scales[k](seen.values[rows, k]) for k in range(self.objectives)]
            self.told = torch.from_numpy(np.column_stack(told))
        self.noise = torch.tensor([process.noise for process in self.processes], dtype=torch.double)
        self.reference = self._reference()
        self.pending = points[np.flatnonzero(seen.pending)]

    def _reference(self) -> Tensor:
        """The worst of the front, a tenth of its range further (BoTorch's rule); for one objective it is not used.

        The front is that of what was evaluated and of what is expected of random archs: an end of it at which nothing
        was evaluated yet counts, too.
        """
        if self.objectives == 1:
            return self.told.min(0).values
        expected = self.moments(self.inputs.of(self.inputs.reference))[0][:, : self.objectives]
        return infer_reference_point(torch.cat([self.told, expected]))

    def moments(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """``(N, M)`` means and stds of the scores of archs with these inputs."""
        told = [process.moments(points) for process in self.processes]
        return torch.stack([mean for mean, _ in told], 1), torch.stack([std for _, std in told], 1)

    def worth(self, points: Tensor) -> Tensor:
        """``(N,)`` the logarithm of what evaluating one arch promises, in closed form.

        With one objective the expected improvement (Jones et al. 1998; its logarithm as in Ament et al., "Unexpected
        Improvements to Expected Improvement for Bayesian Optimization", NeurIPS 2023), with several that of the
        hypervolume (Yang et al., "Efficient Computation of Expected Hypervolume Improvement Using Box Decomposition
        Algorithms", 2019, by BoTorch). Where there are bounds, times the probability that they hold; while no arch
        keeps them all, that alone.

        Args:
            points: ``(N, d)`` inputs.
        """
        mean, std = self.moments(points)
        worth = torch.zeros(len(points), dtype=torch.double)
        if self.any_holds:
            spread = (std.square() + self.noise).sqrt() if self.improve == "outcome" else std
            worth = self._log_improvement(mean[:, : self.objectives], spread[:, : self.objectives])
        for constraint in self.problem.where:
            worth = worth + self._log_holding(constraint, mean, std)
        return worth

    def _log_improvement(self, mean: Tensor, std: Tensor) -> Tensor:
        """``(N,)`` for means and stds of the objectives' scores ``(N, m)``."""
        if self.objectives == 1:
            return (log_improvement((mean - self.told.max()) / std) + std.log())[:, 0]
        cells = FastNondominatedPartitioning(self.reference, self.told)
        reference = self.reference.tolist()
        improvement = ExpectedHypervolumeImprovement(Moments(mean, std), reference, cells)  # type: ignore[arg-type]
        rows = torch.arange(len(mean), dtype=torch.double)[:, None, None]
        with torch.no_grad():
            told = torch.cat([improvement(part) for part in rows.split(1024)])
        return told.clamp_min(LEAST).log()

    def worth_of(self, archs: Sequence[Arch]) -> Tensor:
        """:meth:`worth` of archs."""
        return self.worth(self.inputs.of(archs))

    def _bound(self, constraint: Constraint) -> tuple[int, float, float]:
        """Its column, the bound's score, and 1 if scores must be above it, -1 if below."""
        column = self.problem.metrics.index(constraint.metric)
        score = float(self.scales[column](np.array([constraint.bound]))[0])
        larger_is_better = constraint.metric.kind.sign > 0
        return column, score, 1.0 if larger_is_better == (constraint.relation == ">=") else -1.0

    def _log_holding(self, constraint: Constraint, mean: Tensor, std: Tensor) -> Tensor:
        column, score, side = self._bound(constraint)
        margin = side * (mean[:, column] - score) / std[:, column]
        return torch.special.log_ndtr(margin)

    def believing(self, points: Tensor) -> Learnt:
        """The same, had archs at ``points (N, d)`` come out as is expected of them (Ginsbourger et al., "Kriging Is
        Well-Suited to Parallelize Optimization", 2010: the Kriging believer)."""
        then = copy(self)
        expected = self.moments(points)[0]
        then.processes = [
            process.believing(points, scores) for process, scores in zip(self.processes, expected.T, strict=True)
        ]
        then.told = torch.cat([self.told, expected[:, : self.objectives]])
        return then

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
            acquisition = Outcomes(self) if self.improve == "outcome" else self._of_means(seed)
            acquisition.set_X_pending(self.pending if len(self.pending) else None)
            chosen, values = optimize_acqf_discrete(acquisition, q, choices, max_batch_size=1024, unique=True)
        rows: list[int] = []
        for point in chosen:
            # Archs that compute the same have equal inputs.
            same = (choices == point).all(1).nonzero()[:, 0].tolist()
            rows.append(next(row for row in same if row not in rows))
        return rows, values.reshape(-1).expand(len(rows)).tolist()

    def _of_means(self, seed: int) -> qLogNoisyExpectedImprovement | qLogNoisyExpectedHypervolumeImprovement:
        models = [process.model for process in self.processes]
        model: Model = models[0] if len(models) == 1 else ModelListGP(*models)
        sampler = SobolQMCNormalSampler(torch.Size([SAMPLES]), seed=seed)
        bounds = [self._constraint_of(constraint) for constraint in self.problem.where] or None
        compared = self.compared[pareto_order(self.told)[:COMPARED]]
        if self.objectives > 1:
            front = IdentityMCMultiOutputObjective(outcomes=list(range(self.objectives)))
            return qLogNoisyExpectedHypervolumeImprovement(
                model, self.reference, compared, sampler=sampler, objective=front, constraints=bounds,
                prune_baseline=True,
            )  # fmt: skip
        first = None if len(models) == 1 else GenericMCObjective(_first)
        return qLogNoisyExpectedImprovement(
            model, compared, sampler=sampler, objective=first, constraints=bounds, prune_baseline=True
        )

    def _constraint_of(self, constraint: Constraint) -> Callable[[Tensor], Tensor]:
        """The form that BoTorch wants: negative where the bound holds."""
        column, score, side = self._bound(constraint)
        return lambda samples: side * (score - samples[..., column])


class Outcomes(AcquisitionFunction):
    """What :meth:`Learnt.worth` says, for BoTorch's optimiser, which hands over what is picked and evaluated."""

    def __init__(self, learnt: Learnt) -> None:
        super().__init__(learnt.processes[0].model)
        self.learnt = self.now = learnt

    def set_X_pending(self, X_pending: Tensor | None = None) -> None:
        super().set_X_pending(X_pending)
        self.now = self.learnt if X_pending is None else self.learnt.believing(X_pending)

    def forward(self, X: Tensor) -> Tensor:
        """``(N,)`` of ``(N, 1, d)``."""
        return self.now.worth(X[:, 0])


class Moments(Model):
    """Independent normal values that are given, for an acquisition function of BoTorch that wants a model.

    Args:
        mean: ``(N, m)``.
        std: ``(N, m)``.
    """

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    @property
    def num_outputs(self) -> int:
        return self.mean.shape[1]

    def posterior(self, X: Tensor, *args: object, **kwargs: object) -> GPyTorchPosterior:
        """Of rows ``X (b, 1, 1)``."""
        rows = X[:, 0, 0].long()
        spread = DiagLinearOperator(self.std[rows].square())
        return GPyTorchPosterior(MultitaskMultivariateNormal(self.mean[rows][:, None], spread))


def _first(samples: Tensor, X: Tensor | None = None) -> Tensor:
    return samples[..., 0]


def log_improvement(z: Tensor) -> Tensor:
    """``log(z * cdf(z) + pdf(z))`` of the standard normal distribution, for any ``z`` (Ament et al. 2023, eq. 9)."""
    log_pdf = -0.5 * z.square() - 0.5 * math.log(2 * math.pi)
    near = z.clamp_min(-1)
    plain = (near * torch.special.ndtr(near) + (-0.5 * near.square()).exp() / math.sqrt(2 * math.pi)).log()
    far = z.clamp_max(-1)
    mills = math.sqrt(math.pi / 2) * torch.special.erfcx(-far / math.sqrt(2))
    # Far out the difference loses all digits; there it is 1 / z^2.
    small = torch.where(far < -1e4, far.square().reciprocal(), (1 + far * mills).clamp_min(1e-300))
    return torch.where(z > -1, plain, log_pdf + small.log())
