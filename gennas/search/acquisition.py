"""Acquisition: what evaluating an arch promises, and the picking of several archs that promise most together."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import torch
from botorch.acquisition import AcquisitionFunction
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.multi_objective import logei
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.acquisition.objective import GenericMCObjective
from botorch.exceptions.warnings import BotorchWarning
from botorch.models import ModelListGP
from botorch.optim import optimize_acqf_discrete
from botorch.sampling.normal import SobolQMCNormalSampler
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from linear_operator.utils.warnings import NumericalWarning
from torch import Tensor

from gennas.choose import pareto_order
from gennas.metrics import Constraint
from gennas.search.base import Problem, Seen
from gennas.search.surrogate import Inputs, Process, Scale, fit_process

#: Monte Carlo samples of the acquisition functions.
SAMPLES = 64
# BoTorch would compile a C++ kernel when it is first used on a machine, silently and for a minute; and with it the same
# seed would pick other archs where there is no compiler.
logei._load_attempted = True
#: Trade-offs between several objectives, and what one length of the front counts in them, as a logarithm.
TRADES, STEEPNESS = 8, 4.0
#: The best archs so far, front after front, with which an acquisition compares; more make hypervolumes slow.
COMPARED = 40


class Learnt:
    """The processes of a problem's metrics after some evaluations, with the acquisition functions made from them.

    Args:
        problem: what is searched.
        inputs: what the processes see.
        seen: all archs so far; every metric has been evaluated of at least two archs, with different values.
    """

    def __init__(self, problem: Problem, inputs: Inputs, seen: Seen) -> None:
        self.problem, self.inputs, self.seen = problem, inputs, seen
        self.objectives = len(problem.objective.metrics)
        self.points = inputs.of(seen.archs)
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
            self.processes.append(fit_process(self.points[rows], scores, inputs.features, known, metric.kind.sign))
        #: ``(M,)`` the best expected score of an evaluated arch that keeps all bounds.
        self.complete = np.flatnonzero(np.isfinite(seen.values).all(1) & problem.feasible(seen.values))
        if len(self.complete):
            told = torch.stack([self.moments(self.points[self.complete])[0][:, k] for k in range(self.objectives)], 1)
            self.best = told[:, 0].max()
            self.reference = self._reference(told)
            self.ideal = told.max(0).values
        else:
            self.best = torch.tensor(-math.inf)
            self.reference, self.ideal = torch.full((self.objectives,), -2.0), torch.full((self.objectives,), 2.0)

    @staticmethod
    def _reference(scores: Tensor) -> Tensor:
        """The worst of the front, a tenth of its range further (BoTorch's rule); for one objective it is not used."""
        return infer_reference_point(scores) if scores.shape[1] > 1 else scores.min(0).values

    def moments(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """``(N, M)`` means and stds of the scores of archs with these inputs."""
        told = [process.moments(points) for process in self.processes]
        return torch.stack([mean for mean, _ in told], 1), torch.stack([std for _, std in told], 1)

    def worth(self, points: Tensor) -> Tensor:
        """``(N, T)`` the logarithm of what evaluating one arch promises, by each of ``T`` trade-offs.

        With one objective, hence one trade-off, the expected improvement (Jones et al. 1998; its logarithm as in Ament
        et al., "Unexpected Improvements to Expected Improvement for Bayesian Optimization", NeurIPS 2023). With
        several, how far the optimistic scores lie beyond the reference point in a direction (Zhang and Golovin,
        "Random Hypervolume Scalarizations", ICML 2020). Where there are bounds, times the probability that they hold.

        Args:
            points: ``(N, d)`` inputs.
        """
        mean, std = self.moments(points)
        if self.objectives > 1:
            optimistic = mean[:, : self.objectives] + std[:, : self.objectives]
            beyond = (optimistic - self.reference) / (self.ideal - self.reference).clamp_min(1e-3)
            worth = STEEPNESS * (beyond[:, None] / directions(self.objectives)).min(2).values.clamp(-5, 5)
        elif self.best.isfinite():
            worth = (log_improvement((mean[:, 0] - self.best) / std[:, 0]) + std[:, 0].log())[:, None]
        else:
            worth = torch.zeros(len(points), 1, dtype=torch.double)
        for constraint in self.problem.where:
            worth = worth + self._log_holding(constraint, mean, std)[:, None]
        return worth

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

    def pick(self, choices: Tensor, q: int, seed: int) -> tuple[list[int], list[float]]:
        """Rows of ``choices (N, d)`` that promise most together, one after the other, and what each adds.

        qLogNEI with one objective and qLogNEHVI with several (Ament et al. 2023); archs that are being evaluated count
        as if their values were known to be what is expected of them.
        """
        pending = self.points[np.flatnonzero(self.seen.pending)]
        sampler = SobolQMCNormalSampler(torch.Size([SAMPLES]), seed=seed)
        acquisition: AcquisitionFunction
        single = len(self.processes) == 1
        model = self.processes[0].model if single else ModelListGP(*(process.model for process in self.processes))
        bounds = [self._constraint_of(constraint) for constraint in self.problem.where]
        baseline = self.points[self._compared()]
        waiting = pending if len(pending) else None
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            # BoTorch prunes what is compared with by samples of its own.
            torch.manual_seed(seed)
            warnings.simplefilter("ignore", BotorchWarning)
            warnings.simplefilter("ignore", NumericalWarning)
            if self.objectives > 1:
                acquisition = qLogNoisyExpectedHypervolumeImprovement(
                    model,
                    self.reference,
                    baseline,
                    sampler=sampler,
                    objective=IdentityMCMultiOutputObjective(outcomes=list(range(self.objectives))),
                    constraints=bounds or None,
                    X_pending=waiting,
                    prune_baseline=True,
                )
            else:
                acquisition = qLogNoisyExpectedImprovement(
                    model,
                    baseline,
                    sampler=sampler,
                    objective=None if single else GenericMCObjective(_first),
                    constraints=bounds or None,
                    X_pending=waiting,
                    prune_baseline=True,
                )
            chosen, values = optimize_acqf_discrete(acquisition, q, choices, max_batch_size=256, unique=True)
        rows: list[int] = []
        for point in chosen:
            # Archs that compute the same have equal inputs.
            same = (choices == point).all(1).nonzero()[:, 0].tolist()
            rows.append(next(row for row in same if row not in rows))
        return rows, values.reshape(-1).expand(len(rows)).tolist()

    def _constraint_of(self, constraint: Constraint) -> Callable[[Tensor], Tensor]:
        """The form that BoTorch wants: negative where the bound holds."""
        column, score, side = self._bound(constraint)
        return lambda samples: side * (score - samples[..., column])

    def _compared(self) -> np.ndarray:
        """The evaluated archs that an improvement is measured against."""
        rows = self.complete if len(self.complete) else np.flatnonzero(np.isfinite(self.seen.values).all(1))
        return rows[pareto_order(torch.from_numpy(self.problem.gains(self.seen.values[rows])))[:COMPARED]]


def directions(objectives: int) -> Tensor:
    """``(T, m)`` positive unit vectors, the trade-offs between several objectives, evenly spread; one for one."""
    if objectives == 1:
        return torch.ones(1, 1, dtype=torch.double)
    normal = torch.distributions.Normal(0.0, 1.0)
    # Sobol points made normal, in absolute value, are spread evenly over the positive part of the sphere.
    points = torch.quasirandom.SobolEngine(objectives, scramble=True, seed=0).draw(TRADES, dtype=torch.double)
    spread = normal.icdf(points.clamp(1e-6, 1 - 1e-6)).abs().clamp_min(0.05)
    return spread / spread.norm(dim=1, keepdim=True)


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
