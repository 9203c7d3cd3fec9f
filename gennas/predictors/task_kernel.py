"""Task evidence in a Gaussian process: how archs do on known tasks says how alike they will do on a new one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import Kernel
from gpytorch.priors import LogNormalPrior
from torch import Tensor

from gennas.errors import InvalidInputError
from gennas.predictors.gaussian_process import SMALLEST, PriorMean
from gennas.predictors.normal_scores import normal_scores

#: Stds of the logarithms of the kernel's variances, and of those of single tasks.
LOG_STD, TASK_LOG_STD = 0.7, 1.0
#: Of a task's variance, the least mode of its prior: a task that is said to be unlike the new one keeps this.
LEAST_MODE = 1e-4
#: Of the labels' scores, the share that is told by ranks alone; the rest is told by the size of their values.
RANK_SHARE = 0.5
#: Variance of normal scores of ``k`` ranks about the normal values that have these ranks, once both have the same
#: offset and size, is near ``a / (k + b)``: medians of draws of 3 to 100.
RANK_NOISE = (1.1, 7.0)


class TaskKernel(Kernel):
    r"""How alike two archs are by their scores on ``T`` known tasks.

    .. math::
        k(x, x') = a\, \bar z \bar z' + \sum_t v_t z_t z'_t + b \exp\bigl(-\tfrac12 \sum_t s_t (z_t - z'_t)^2\bigr)

    with scores :math:`z_t`, the tasks' shares :math:`s_t` and :math:`\bar z = \sum_t s_t z_t`. The first term is how
    far the new task follows the known ones together, the second which of them it is like, or unlike: the evidence
    tells each :math:`v_t`. The third knows archs that do alike on all known tasks, whatever the new task makes of them.
    The first two are a multi-task Gaussian process (Bonilla, Chai and Williams, NIPS 2007) whose known tasks are
    observed everywhere, which makes it a linear kernel of their values.

    Args:
        columns: of the inputs, those with the known tasks' scores.
        similarity: ``(T,)`` how alike each known task is expected to be to the new one, at least 0, in any unit; all
            alike if None. Evaluations may say otherwise.
        shared: prior mode of ``a``.
        task: prior mode of the ``v_t`` together, which they share by similarity.
        behaviour: prior mode of ``b``.

    Raises:
        InvalidInputError: a similarity is negative or not finite, all are 0, or there is not one for each task.
    """

    shares: Tensor

    def __init__(
        self,
        columns: Sequence[int],
        similarity: np.ndarray | None = None,
        *,
        shared: float = 0.04,
        task: float = 0.15,
        behaviour: float = 0.2,
    ) -> None:
        super().__init__(active_dims=list(columns))
        shares = task_shares(len(columns), similarity)
        self.register_buffer("shares", torch.from_numpy(shares))
        self._register("shared", torch.tensor([shared], dtype=torch.double), LOG_STD)
        self._register("task", (task * self.shares).clamp_min(LEAST_MODE), TASK_LOG_STD)
        self._register("behaviour", torch.tensor([behaviour], dtype=torch.double), LOG_STD)

    def _register(self, name: str, modes: Tensor, std: float) -> None:
        """Variances with log-normal priors, which they begin at the modes of."""
        raw = f"raw_{name}"
        self.register_parameter(raw, torch.nn.Parameter(torch.zeros_like(modes)))
        self.register_constraint(raw, GreaterThan(SMALLEST))
        self.register_prior(
            f"{name}_prior",
            LogNormalPrior(modes.log() + std**2, std),
            lambda module: module.variances(name),
            lambda module, value: module.set_variances(name, value),
        )
        self.set_variances(name, modes)

    def variances(self, name: str) -> Tensor:
        """``(1,)`` of ``shared`` and ``behaviour``, ``(T,)`` of ``task``."""
        found: Tensor = getattr(self, f"raw_{name}_constraint").transform(getattr(self, f"raw_{name}"))
        return found

    def set_variances(self, name: str, values: Tensor) -> None:
        """Sets what :meth:`variances` gives."""
        self.initialize(**{f"raw_{name}": getattr(self, f"raw_{name}_constraint").inverse_transform(values)})

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: bool) -> Tensor:
        """``(..., n, m)`` of scores ``(..., n, T)`` and ``(..., m, T)``, or ``(..., n)``."""
        shared, task, behaviour = (self.variances(name) for name in ("shared", "task", "behaviour"))
        if diag:
            alike = torch.exp(-((x1 - x2).square() @ self.shares) / 2)
            return shared * (x1 @ self.shares) * (x2 @ self.shares) + (x1 * task * x2).sum(-1) + behaviour * alike
        return task_covariance(x1, x2, self.shares, shared, task, behaviour)


def task_covariance(x1: Tensor, x2: Tensor, shares: Tensor, shared: Tensor, task: Tensor, behaviour: Tensor) -> Tensor:
    """``(..., n, m)`` the covariances of :class:`TaskKernel`, of one or of many settings of its variances.

    Args:
        x1: ``(..., n, T)`` scores.
        x2: ``(..., m, T)`` scores.
        shares: ``(T,)``, which sum to 1.
        shared: ``(..., 1)`` the variance a.
        task: ``(..., T)`` the variances v.
        behaviour: ``(..., 1)`` the variance b.
    """
    root = shares.sqrt()
    distance = torch.cdist(x1 * root, x2 * root, compute_mode="donot_use_mm_for_euclid_dist").square()
    together = (x1 @ shares)[..., :, None] * (x2 @ shares)[..., None, :]
    each = (x1 * task[..., None, :]) @ x2.transpose(-1, -2)
    return shared[..., None] * together + each + behaviour[..., None] * torch.exp(-distance / 2)


class TaskMean(PriorMean):
    """``constant + scale * (weighted mean of the known tasks' scores)``, the scores centred on the evaluated archs.

    Args:
        columns: of the inputs, those with the scores.
        centre: as :class:`PriorMean` takes it, as is ``scale``.
        scale: see there.
        similarity: as :class:`TaskKernel` takes it.
    """

    shares: Tensor

    def __init__(
        self, columns: Sequence[int], centre: Tensor, scale: float, similarity: np.ndarray | None = None
    ) -> None:
        super().__init__(columns, centre, scale)
        if self.columns:
            self.register_buffer("shares", torch.from_numpy(task_shares(len(columns), similarity)))

    def averaged(self, functions: Tensor) -> Tensor:
        return functions @ self.shares


def task_shares(count: int, similarity: np.ndarray | None) -> np.ndarray:
    """``(T,)`` similarities as shares of 1; equal ones if None.

    Raises:
        InvalidInputError: a similarity is negative or not finite, all are 0, or there is not one for each task.
    """
    weights = np.ones(count) if similarity is None else np.asarray(similarity, dtype=float)
    if weights.shape != (count,):
        raise InvalidInputError(f"similarity: {weights.shape} values; expected one for each of {count} known tasks.")
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise InvalidInputError(
            f"similarity: {weights.tolist()}; expected finite numbers of at least 0, not all 0: how alike each known "
            "task is to the new one. Leave it out if nothing is known."
        )
    return weights / weights.sum()


def shared_scores(scores: np.ndarray, smooth: np.ndarray) -> np.ndarray:
    """``(N, T)`` what archs' scores on known tasks say of another task: smooth ones, and a part of what is left.

    What a model of archs does not explain of a task is partly the arch's own, which other tasks share, and partly the
    noise of a training. The correlation of what is left between tasks tells one from the other; of the mean of ``T``
    tasks, each with the correlation ``r``, the part ``T r / (1 + (T - 1) r)`` is shared (Spearman 1910, Brown 1910).

    Args:
        scores: ``(N, T)`` normal scores of measured values.
        smooth: ``(N, T)`` what a model of archs, fitted to each task alone, makes of them.
    """
    left, tasks = scores - smooth, scores.shape[1]
    if tasks < 2 or (left.std(axis=0) == 0).any():
        return smooth
    repeated = max(float((np.corrcoef(left.T).sum() - tasks) / (tasks * (tasks - 1))), 0.0)
    both = smooth + tasks * repeated / (1 + (tasks - 1) * repeated) * left
    return both - both.mean(axis=0)


def label_scores(values: np.ndarray) -> np.ndarray:
    """``(k,)`` the scores of a new task's labels: half by rank, half by size, both with mean 0; 0 if all are equal.

    Ranks do not mind a network that failed; sizes tell two archs that differ much from two that hardly differ.
    """
    if len(values) < 2 or np.ptp(values) == 0:
        return np.zeros(len(values))
    sizes = (values - values.mean()) / values.std()
    return RANK_SHARE * normal_scores(values) + (1 - RANK_SHARE) * sizes


def rank_noise(count: int, share: float = RANK_SHARE) -> float:
    """Variance of what the scores of ``count`` labels are off by because ranks do not tell distances.

    Args:
        count: of the labels.
        share: of the scores that is told by ranks.
    """
    return share**2 * RANK_NOISE[0] / (count + RANK_NOISE[1])
