"""Improvement: what evaluating an arch is expected to add to the best that was evaluated, in closed form."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from botorch.acquisition.multi_objective.analytic import ExpectedHypervolumeImprovement
from botorch.models.model import Model
from botorch.posteriors import GPyTorchPosterior
from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning
from gpytorch.distributions import MultitaskMultivariateNormal
from linear_operator.operators import DiagLinearOperator
from torch import Tensor

#: What a hypervolume's improvement is at least taken to be.
LEAST = 1e-30


class Improvement(ABC):
    """Over the scores that were told, larger being better.

    Args:
        told: ``(R, m)``.
    """

    def __init__(self, told: Tensor) -> None:
        self.told = told

    @abstractmethod
    def log(self, mean: Tensor, std: Tensor) -> Tensor:
        """``(N,)`` the logarithm of what is expected of independent normal scores.

        Args:
            mean: ``(N, m)``.
            std: ``(N, m)``.
        """

    @abstractmethod
    def having(self, scores: Tensor) -> Improvement:
        """The same, had scores ``(n, m)`` been told besides."""


class LogEI(Improvement):
    """Over the best score (Jones et al. 1998; its logarithm as in Ament et al., "Unexpected Improvements to Expected
    Improvement for Bayesian Optimization", NeurIPS 2023).

    Args:
        told: ``(R, 1)``.
    """

    def log(self, mean: Tensor, std: Tensor) -> Tensor:
        return (log_improvement((mean - self.told.max()) / std) + std.log())[:, 0]

    def having(self, scores: Tensor) -> LogEI:
        return LogEI(torch.cat([self.told, scores]))


class LogEHVI(Improvement):
    """Of the hypervolume that is dominated (Yang et al., "Efficient Computation of Expected Hypervolume Improvement
    Using Box Decomposition Algorithms", 2019, by BoTorch).

    Args:
        told: ``(R, m)``; R may be 0.
        reference: ``(m,)`` where the hypervolume ends.
    """

    def __init__(self, told: Tensor, reference: Tensor) -> None:
        super().__init__(told)
        self.reference = reference
        self._cells = FastNondominatedPartitioning(reference, told)

    def log(self, mean: Tensor, std: Tensor) -> Tensor:
        model = Moments(mean, std)
        improvement = ExpectedHypervolumeImprovement(model, self.reference.tolist(), self._cells)  # type: ignore[arg-type]
        rows = torch.arange(len(mean), dtype=torch.double)[:, None, None]
        with torch.no_grad():
            told = torch.cat([improvement(part) for part in rows.split(1024)])
        return told.clamp_min(LEAST).log()

    def having(self, scores: Tensor) -> LogEHVI:
        return LogEHVI(torch.cat([self.told, scores]), self.reference)


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
