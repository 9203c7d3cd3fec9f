"""A new task's Gaussian process: what archs, known tasks and a few evaluations say of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from gpytorch.kernels import ConstantKernel, Kernel
from gpytorch.likelihoods import GaussianLikelihood
from scipy.stats import norm
from scipy.stats.qmc import Sobol
from torch import Tensor

from gennas.predictors.gaussian_process import Process, fitted, log_normal, scaled
from gennas.predictors.task_kernel import (
    LEAST_MODE,
    LOG_STD,
    RANK_SHARE,
    TASK_LOG_STD,
    TaskKernel,
    TaskMean,
    label_scores,
    rank_noise,
    task_covariance,
    task_shares,
)

#: Settings of the hyperparameters that are weighed by the evidence, and how often they are drawn anew where it is high.
DRAWS, ROUNDS = 128, 3
#: By how much draws are wider than what they weighed, and how narrow they may become.
WIDER, LEAST_SPREAD = 1.2, 0.2
#: By how much the variances of the logarithms of a prior's variances are larger where it is learnt from few tasks,
#: times their number.
FEW_TASKS = 5.0
#: Variance of what all labels are off by together.
OFFSET = 0.5
#: Of each known task in turn as a new one: archs of a draw, and draws.
ARCHS, SUBSETS = 60, 3
#: Steps and rate of the optimiser that learns a prior; each known task counts as so many independent archs.
STEPS, RATE, COUNTS = 120, 0.1, 60
#: Stds of the prior of a prior: of the logarithms of variances, and of the mean's scale.
PRIOR_LOG_STD, SCALE_STD = 3.0, 0.5


@dataclass(frozen=True)
class TaskPrior:
    """What is usual of a new task, in variances of its labels' scores, before any evaluation.

    Attributes:
        arch: of what a kernel of archs explains and known tasks do not.
        shared: of how far it follows the mean of the known tasks; see :class:`TaskKernel`.
        task: of which single tasks it is like.
        behaviour: of what archs share that do alike on all known tasks.
        noise: of what nothing explains.
        scale: how far the mean of the known tasks' scores is expected to repeat.
    """

    arch: float = 0.2
    shared: float = 0.05
    task: float = 0.1
    behaviour: float = 0.1
    noise: float = 0.3
    scale: float = 0.5

    @classmethod
    def learnt(
        cls, kernel: Kernel, inputs: np.ndarray, scores: np.ndarray, values: np.ndarray, *, seed: int = 0
    ) -> TaskPrior:
        """The prior under which each known task, given the others, is most likely (empirical Bayes).

        Args:
            kernel: of archs, with variance about 1.
            inputs: ``(N, d)`` what it sees of archs.
            scores: ``(N, T)`` their scores on the known tasks.
            values: ``(N, T)`` what evaluations would give there, in any increasing unit.
            seed: of the archs that are drawn.
        """
        tasks, rng = scores.shape[1], np.random.default_rng(seed)
        usual = cls()
        if tasks < 2:
            return usual
        grams, others, labels = [], [], []
        for task in range(tasks):
            for _ in range(SUBSETS):
                rows = rng.choice(len(scores), min(ARCHS, len(scores)), replace=False)
                with torch.no_grad():
                    grams.append(kernel(torch.from_numpy(inputs[rows])).to_dense())
                others.append(torch.from_numpy(np.delete(scores[rows], task, axis=1)))
                labels.append(torch.from_numpy(label_scores(values[rows, task])))
        gram, known, label = torch.stack(grams), torch.stack(others), torch.stack(labels)
        shares = torch.full((tasks - 1,), 1 / (tasks - 1), dtype=torch.double)
        begin, ranks = usual._logs, rank_noise(label.shape[1])
        logs, scale = begin.clone().requires_grad_(), torch.tensor(usual.scale, dtype=torch.double, requires_grad=True)
        optimiser = torch.optim.Adam([logs, scale], lr=RATE)
        for _ in range(STEPS):
            optimiser.zero_grad()
            expected = scale * known @ shares
            evidence = _evidence(gram, known, label - expected, shares, logs, logs[2] + shares.log(), ranks)
            prior = ((logs - begin) / PRIOR_LOG_STD).square().sum() + ((scale - usual.scale) / SCALE_STD).square()
            (prior / 2 - COUNTS * evidence.sum() / label.shape[1] / SUBSETS).backward()
            optimiser.step()
        arch, shared, task, behaviour, noise = logs.detach().exp().tolist()
        return cls(arch, shared, task, behaviour, noise, scale.item())

    @property
    def _logs(self) -> Tensor:
        """``(5,)`` the logarithms of the variances."""
        variances = [self.arch, self.shared, self.task, self.behaviour, self.noise]
        return torch.tensor(variances, dtype=torch.double).log()


@dataclass(frozen=True)
class Hyperparameters:
    """Those of a new task's process.

    Attributes:
        arch: see :class:`TaskPrior`, as are ``shared``, ``behaviour`` and ``noise``.
        shared: see there.
        behaviour: see there.
        noise: see there.
        size: of the labels' scores, where those of all archs have std 1: scores of few labels do not tell it.
        size_std: of its logarithm.
        tasks: ``(T,)`` the variance of each known task.
    """

    arch: float
    shared: float
    behaviour: float
    noise: float
    size: float
    size_std: float
    tasks: np.ndarray


@dataclass(frozen=True, eq=False)
class NewTask:
    """A task of which some archs are evaluated, beside ``T`` known ones.

    The hyperparameters are the means of their posterior, taken over draws of the prior that the evidence weighs: of
    three labels an optimum says nothing, and of thirty it is the same.

    Args:
        kernel: of archs, with variance about 1 and the first ``d`` columns as its active dimensions, as scores stand
            behind them; what it has learnt is kept.
        inputs: ``(N, d)`` what it sees of ``N`` archs.
        scores: ``(N, T)`` their scores on the known tasks, with mean 0 and std about 1.
        similarity: ``(T,)`` how alike each known task is expected to be; see :class:`TaskKernel`.
        prior: what is usual of a new task.
    """

    kernel: Kernel
    inputs: np.ndarray
    scores: np.ndarray
    similarity: np.ndarray | None = None
    prior: TaskPrior = TaskPrior()

    @cached_property
    def points(self) -> Tensor:
        """``(N, d + T)`` inputs and scores."""
        return torch.from_numpy(np.hstack([self.inputs, self.scores]))

    def expected(self) -> np.ndarray:
        """``(N,)`` mean scores before any evaluation."""
        return self.prior.scale * self.scores @ task_shares(self.scores.shape[1], self.similarity)

    def fit(self, rows: np.ndarray, values: np.ndarray) -> Process:
        """The process of the new task's scores, over :attr:`points`.

        Args:
            rows: ``(k,)`` the evaluated archs, at least one.
            values: ``(k,)`` their values.
        """
        labels = label_scores(np.asarray(values, dtype=float))
        found = self.hyperparameters(rows, labels)
        columns = range(self.inputs.shape[1], self.points.shape[1])
        tasks = TaskKernel(columns, self.similarity, shared=found.shared, behaviour=found.behaviour)
        tasks.set_variances("task", torch.from_numpy(found.tasks))
        mean = TaskMean(columns, torch.zeros(len(columns), dtype=torch.double), self.prior.scale, self.similarity)
        likelihood = GaussianLikelihood(noise_prior=log_normal(found.noise, LOG_STD))
        likelihood.noise, offset = found.noise + rank_noise(len(rows)), ConstantKernel().double()
        offset.constant = torch.tensor([OFFSET], dtype=torch.double)
        covariance = scaled(self.kernel, log_normal(found.arch, LOG_STD)) + tasks + offset
        scores = torch.from_numpy(labels / found.size)
        return fitted(self.points[rows], scores, covariance, steps=0, mean=mean, likelihood=likelihood)

    def weights(self, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        """``(T,)`` how alike each known task is to the new one by now, as shares of 1: the variances of
        :class:`TaskKernel` after ``k`` evaluations."""
        found = self.hyperparameters(rows, label_scores(np.asarray(values, dtype=float))).tasks
        return found / found.sum()

    def hyperparameters(self, rows: np.ndarray, labels: np.ndarray, rank_share: float = RANK_SHARE) -> Hyperparameters:
        """What the scores ``(k,)`` of labels at some archs say, a share of which is told by ranks alone."""
        tasks, few = self.scores.shape[1], (2 * len(rows)) ** -0.5
        ranks = rank_noise(len(rows), rank_share)
        wide = (LOG_STD**2 + FEW_TASKS / tasks) ** 0.5
        shares = torch.from_numpy(task_shares(tasks, self.similarity))
        draws = torch.from_numpy(norm.ppf(Sobol(6 + tasks, seed=0).random(DRAWS).clip(1e-4, 1 - 1e-4)))
        with torch.no_grad():
            gram = self.kernel(torch.from_numpy(self.inputs[rows])).to_dense()
        known, scores = torch.from_numpy(self.scores[rows]), torch.from_numpy(labels)
        expected = self.prior.scale * known @ shares
        centre, spread = draws.new_zeros(6 + tasks), draws.new_ones(6 + tasks)
        for _ in range(ROUNDS):
            at = centre + spread * draws
            logs = self.prior._logs + wide * at[:, :5]
            sizes = few * at[:, 5:6]
            each = logs[:, 2:3] + shares.clamp_min(LEAST_MODE).log() + TASK_LOG_STD * at[:, 6:]
            evidence = _evidence(gram, known, scores / sizes.exp() - expected, shares, logs, each, ranks)
            evidence = evidence - len(rows) * sizes[:, 0] + (draws.square().sum(1) - at.square().sum(1)) / 2
            weight = torch.softmax(evidence, 0)
            parts, centre = torch.cat([logs, sizes, each], 1), weight @ at
            spread = (WIDER * (weight @ (at - centre).square()).sqrt()).clamp(LEAST_SPREAD, 1.0)
        arch, shared, _, behaviour, noise, size, *of_tasks = (weight @ parts).exp().tolist()
        size_std = few * float((weight @ (at[:, 5] - centre[5]).square()).sqrt())
        return Hyperparameters(arch, shared, behaviour, noise, size, size_std, np.array(of_tasks))


def _evidence(
    gram: Tensor, known: Tensor, errors: Tensor, shares: Tensor, logs: Tensor, each: Tensor, ranks: float
) -> Tensor:
    """``(...,)`` the log-likelihood of labels.

    Args:
        gram: ``(..., k, k)`` covariances of archs.
        known: ``(..., k, T)`` scores on known tasks.
        errors: ``(..., k)`` labels less what is expected.
        shares: ``(T,)`` of the tasks.
        logs: ``(..., 5)`` logarithms of the variances of :class:`TaskPrior`.
        each: ``(..., T)`` the same of single tasks.
        ranks: variance of the noise of ranks.
    """
    arch, shared, _, behaviour, noise = logs.exp().unsqueeze(-1).unbind(-2)
    covariance = arch[..., None] * gram + task_covariance(known, known, shares, shared, each.exp(), behaviour)
    covariance = covariance + OFFSET + (noise[..., None] + ranks) * torch.eye(errors.shape[-1], dtype=torch.double)
    zero = torch.zeros_like(errors)
    return torch.distributions.MultivariateNormal(zero, covariance, validate_args=False).log_prob(errors)
