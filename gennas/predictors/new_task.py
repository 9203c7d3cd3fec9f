"""A new task's Gaussian process: what archs, known tasks and a few evaluations say of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from gpytorch.kernels import ConstantKernel, Kernel
from gpytorch.likelihoods import GaussianLikelihood
from scipy.optimize import minimize
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
#: Draws that count at least, however much more evidence few of them have: their effective number (Kish 1965).
LEAST_DRAWS = 32
#: Steps of the search for where the evidence is highest, and how far from the prior's mean it looks, in stds.
SEARCH_STEPS, SEARCH_REACH = 40, 4.0
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
    three labels an optimum says nothing. Many labels and tasks make the posterior too narrow for draws of the prior,
    and further ones begin at its optimum there.

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
        posterior = self._posterior(rows, labels, rank_share)
        at, weight = posterior.weighed()
        arch, shared, _, behaviour, noise, size, *of_tasks = (
            (weight @ torch.cat(posterior.settings(at), 1)).exp().tolist()
        )
        size_std = posterior.few * float((weight @ (at[:, 5] - weight @ at[:, 5]).square()).sqrt())
        return Hyperparameters(arch, shared, behaviour, noise, size, size_std, np.array(of_tasks))

    def _posterior(self, rows: np.ndarray, labels: np.ndarray, rank_share: float) -> _Posterior:
        shares = torch.from_numpy(task_shares(self.scores.shape[1], self.similarity))
        with torch.no_grad():
            gram = self.kernel(torch.from_numpy(self.inputs[rows])).to_dense()
        known, scores = torch.from_numpy(self.scores[rows]), torch.from_numpy(labels)
        return _Posterior(gram, known, scores, shares, self.prior, rank_noise(len(rows), rank_share))


@dataclass(frozen=True, eq=False)
class _Posterior:
    """Of a new task's hyperparameters, as points of which the prior is standard normal: five variances, a size, tasks.

    Args:
        gram: ``(k, k)`` covariances of the evaluated archs.
        known: ``(k, T)`` their scores on known tasks.
        scores: ``(k,)`` of their labels.
        shares: ``(T,)`` of the tasks.
        prior: what is usual of a new task.
        ranks: variance of the noise of ranks.
    """

    gram: Tensor
    known: Tensor
    scores: Tensor
    shares: Tensor
    prior: TaskPrior
    ranks: float

    @property
    def few(self) -> float:
        """Std of the logarithm of the labels' size."""
        return float((2 * len(self.scores)) ** -0.5)

    def settings(self, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logarithms at points ``(n, 6 + T)``: ``(n, 5)`` of variances, ``(n, 1)`` of sizes, ``(n, T)`` of tasks."""
        wide = (LOG_STD**2 + FEW_TASKS / len(self.shares)) ** 0.5
        logs = self.prior._logs + wide * at[:, :5]
        each = logs[:, 2:3] + self.shares.clamp_min(LEAST_MODE).log() + TASK_LOG_STD * at[:, 6:]
        return logs, self.few * at[:, 5:6], each

    def density(self, at: Tensor) -> Tensor:
        """``(n,)`` its logarithm at points, up to a constant."""
        logs, sizes, each = self.settings(at)
        errors = self.scores / sizes.exp() - self.prior.scale * self.known @ self.shares
        evidence = _evidence(self.gram, self.known, errors, self.shares, logs, each, self.ranks)
        return evidence - len(self.scores) * sizes[:, 0] - at.square().sum(1) / 2

    def optimum(self) -> Tensor:
        """``(6 + T,)`` the point of the highest density near the prior's mean."""

        def descent(point: np.ndarray) -> tuple[float, np.ndarray]:
            at = torch.tensor(point[None], requires_grad=True)
            value = -self.density(at).sum()
            (slope,) = torch.autograd.grad(value, at)
            return value.item(), slope[0].numpy()

        begin = np.zeros(6 + len(self.shares))
        reach = [(-SEARCH_REACH, SEARCH_REACH)] * len(begin)
        found = minimize(descent, begin, jac=True, method="L-BFGS-B", bounds=reach, options={"maxiter": SEARCH_STEPS})
        return torch.from_numpy(found.x)

    def weighed(self) -> tuple[Tensor, Tensor]:
        """``(n, 6 + T)`` points and their weights ``(n,)``, which sum to 1: importance sampling that adapts itself."""
        count = 6 + len(self.shares)
        draws = torch.from_numpy(norm.ppf(Sobol(count, seed=0).random(DRAWS).clip(1e-4, 1 - 1e-4)))
        centre, spread = draws.new_zeros(count), draws.new_ones(count)
        for number in range(ROUNDS):
            at = centre + spread * draws
            weight, is_tempered = _tempered(self.density(at) + draws.square().sum(1) / 2)
            centre = self.optimum() if is_tempered and not number else weight @ at
            spread = (WIDER * (weight @ (at - weight @ at).square()).sqrt()).clamp(LEAST_SPREAD, 1.0)
        return at, weight


def _tempered(evidence: Tensor) -> tuple[Tensor, bool]:
    """Weights ``(n,)`` of draws, and whether they are those of a power of the evidence.

    It is the largest one of which at least :data:`LEAST_DRAWS` draws count: with fewer, the next ones are drawn near
    one or two that chance brought (Koblents and Miguez, "A population Monte Carlo scheme with transformed weights and
    its application to stochastic kinetic models", 2015).
    """

    def enough(power: float) -> bool:
        return float(torch.softmax(power * evidence, 0).square().sum()) <= 1 / LEAST_DRAWS

    if enough(1.0):
        return torch.softmax(evidence, 0), False
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if enough(middle) else (low, middle)
    return torch.softmax(low * evidence, 0), True


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
