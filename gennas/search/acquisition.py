"""Acquisition: what evaluating an arch promises, and the picking of several archs that promise most together."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from botorch.acquisition.logei import qLogExpectedImprovement, qLogNoisyExpectedImprovement
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.acquisition.objective import GenericMCObjective, PosteriorTransform
from botorch.exceptions.warnings import BotorchWarning
from botorch.models import ModelListGP
from botorch.models.model import Model
from botorch.optim import optimize_acqf_discrete
from botorch.posteriors import Posterior
from botorch.sampling.normal import SobolQMCNormalSampler
from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from linear_operator.utils.warnings import NumericalWarning
from torch import Tensor

from gennas.arch import Arch
from gennas.choose import pareto_order
from gennas.metrics import Constraint
from gennas.search.base import Problem, Seen
from gennas.search.surrogate import Inputs, Process, Scale, fit_process
from gennas.search.uncompiled import qLogExpectedHypervolumeImprovement, qLogNoisyExpectedHypervolumeImprovement

#: Monte Carlo samples of the acquisition functions.
SAMPLES = 64
#: What a search hopes to improve.
Improve = Literal["outcome", "mean"]
MCAcquisition = (
    qLogExpectedImprovement
    | qLogNoisyExpectedImprovement
    | qLogExpectedHypervolumeImprovement
    | qLogNoisyExpectedHypervolumeImprovement
)
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
        improve: on what an improvement is hoped for: ``outcome``, values as they will be evaluated, chance included,
            over the best that was; or ``mean``, what they are on average, over the same of all archs so far.
    """

    def __init__(self, problem: Problem, inputs: Inputs, seen: Seen, improve: Improve = "outcome") -> None:
        self.problem, self.inputs, self.seen, self.improve = problem, inputs, seen, improve
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
        #: Rows of the archs that were evaluated whole and keep all bounds.
        self.complete = np.flatnonzero(np.isfinite(seen.values).all(1) & problem.feasible(seen.values))
        self.noise = torch.tensor([process.noise for process in self.processes], dtype=torch.double)
        rows = self.complete if len(self.complete) else np.flatnonzero(np.isfinite(seen.values).all(1))
        told = torch.from_numpy(
            np.column_stack([self.scales[k](seen.values[rows, k]) for k in range(self.objectives)])
            if improve == "outcome"
            else self.moments(self.points[rows])[0][:, : self.objectives].numpy()
        )
        #: ``(R, m)`` the scores with which others are compared.
        self.told = told if len(told) else torch.zeros(1, self.objectives, dtype=torch.double)
        self.reference, self.ideal = self._reference(self.told), self.told.max(0).values

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
        elif len(self.complete):
            spread = (std[:, 0].square() + self.noise[0]).sqrt() if self.improve == "outcome" else std[:, 0]
            worth = (log_improvement((mean[:, 0] - self.told.max()) / spread) + spread.log())[:, None]
        else:
            worth = torch.zeros(len(points), 1, dtype=torch.double)
        for constraint in self.problem.where:
            worth = worth + self._log_holding(constraint, mean, std)[:, None]
        return worth

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

    def pick(self, choices: Tensor, q: int, seed: int) -> tuple[list[int], list[float]]:
        """Rows of ``choices (N, d)`` that promise most together, one after the other, and what each adds.

        With one objective qLogEI of outcomes, or qLogNEI of means; with several qLogEHVI or qLogNEHVI (Ament et al.
        2023). What is being evaluated counts as if it were known to be what is expected of it.
        """
        pending = self.points[np.flatnonzero(self.seen.pending)]
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            # BoTorch prunes what is compared with by samples of its own.
            torch.manual_seed(seed)
            warnings.simplefilter("ignore", BotorchWarning)
            warnings.simplefilter("ignore", NumericalWarning)
            acquisition = self._acquisition(SobolQMCNormalSampler(torch.Size([SAMPLES]), seed=seed))
            acquisition.set_X_pending(pending if len(pending) else None)
            chosen, values = optimize_acqf_discrete(acquisition, q, choices, max_batch_size=256, unique=True)
        rows: list[int] = []
        for point in chosen:
            # Archs that compute the same have equal inputs.
            same = (choices == point).all(1).nonzero()[:, 0].tolist()
            rows.append(next(row for row in same if row not in rows))
        return rows, values.reshape(-1).expand(len(rows)).tolist()

    def _acquisition(self, sampler: SobolQMCNormalSampler) -> MCAcquisition:
        models = [process.model for process in self.processes]
        model: Model = models[0] if len(models) == 1 else ModelListGP(*models)
        bounds = [self._constraint_of(constraint) for constraint in self.problem.where] or None
        if self.improve == "outcome":
            model = Outcomes(model)
        if self.objectives > 1:
            front = IdentityMCMultiOutputObjective(outcomes=list(range(self.objectives)))
            if self.improve == "outcome":
                cells = FastNondominatedPartitioning(self.reference, self.told)
                return qLogExpectedHypervolumeImprovement(
                    model,
                    self.reference,
                    cells,  # type: ignore[arg-type]
                    sampler=sampler,
                    objective=front,
                    constraints=bounds,
                )
            return qLogNoisyExpectedHypervolumeImprovement(
                model, self.reference, self._compared(), sampler=sampler, objective=front, constraints=bounds,
                prune_baseline=True,
            )  # fmt: skip
        first = None if len(models) == 1 else GenericMCObjective(_first)
        if self.improve == "outcome":
            # Where no arch keeps all bounds yet, any that does is an improvement.
            best = self.told.max() if len(self.complete) else self.told.min() - 1
            return qLogExpectedImprovement(model, best, sampler=sampler, objective=first, constraints=bounds)
        return qLogNoisyExpectedImprovement(
            model, self._compared(), sampler=sampler, objective=first, constraints=bounds, prune_baseline=True
        )

    def _constraint_of(self, constraint: Constraint) -> Callable[[Tensor], Tensor]:
        """The form that BoTorch wants: negative where the bound holds."""
        column, score, side = self._bound(constraint)
        return lambda samples: side * (score - samples[..., column])

    def _compared(self) -> Tensor:
        """``(R, d)`` the evaluated archs that an improvement of means is measured against."""
        rows = self.complete if len(self.complete) else np.flatnonzero(np.isfinite(self.seen.values).all(1))
        order = pareto_order(torch.from_numpy(self.problem.gains(self.seen.values[rows])))
        return self.points[rows[order[:COMPARED]]]


class Outcomes(Model):
    """A model of values as they will be evaluated: its posterior has the noise of evaluations.

    Args:
        model: of what they are on average.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    @property
    def num_outputs(self) -> int:
        return int(self.model.num_outputs)

    def posterior(
        self,
        X: Tensor,
        output_indices: list[int] | None = None,
        observation_noise: bool | Tensor = True,
        posterior_transform: PosteriorTransform | None = None,
    ) -> Posterior:
        return self.model.posterior(X, output_indices, True, posterior_transform)


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
