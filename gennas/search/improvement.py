"""Improvement: what an arch is expected to add to the best that was evaluated, in closed form."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from botorch.acquisition.analytic import LogExpectedImprovement
from botorch.acquisition.multi_objective.analytic import ExpectedHypervolumeImprovement
from botorch.models.model import Model
from botorch.posteriors import GPyTorchPosterior
from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning
from gpytorch.distributions import MultitaskMultivariateNormal
from linear_operator.operators import DiagLinearOperator
from torch import Tensor

#: What a hypervolume's improvement is at least taken to be.
LEAST = 1e-30
#: Archs whose improvement of a hypervolume is computed at once.
AT_ONCE = 1024


class Improvement(ABC):
    """Over observed scores, larger being better.

    Args:
        observed: ``(R, m)``.
    """

    def __init__(self, observed: Tensor) -> None:
        self.observed = observed

    @abstractmethod
    def log(self, mean: Tensor, std: Tensor) -> Tensor:
        """``(N,)`` the logarithm of what independent normal scores are expected to improve.

        Args:
            mean: ``(N, m)``.
            std: ``(N, m)``.
        """

    @abstractmethod
    def condition_on(self, scores: Tensor) -> Improvement:
        """The same, had scores ``(n, m)`` been observed besides."""


class LogEI(Improvement):
    """Over the best score (Jones et al. 1998; its logarithm as in Ament et al., "Unexpected Improvements to Expected
    Improvement for Bayesian Optimization", NeurIPS 2023, by BoTorch).

    Args:
        observed: ``(R, 1)``.
    """

    def log(self, mean: Tensor, std: Tensor) -> Tensor:
        improvement = LogExpectedImprovement(Moments(mean, std), best_f=self.observed.max())
        with torch.no_grad():
            return improvement(_rows(mean))

    def condition_on(self, scores: Tensor) -> LogEI:
        return LogEI(torch.cat([self.observed, scores]))


class LogEHVI(Improvement):
    """Of the hypervolume that is dominated (Yang et al., "Efficient Computation of Expected Hypervolume Improvement
    Using Box Decomposition Algorithms", 2019, by BoTorch).

    Args:
        observed: ``(R, m)``; R may be 0.
        reference: ``(m,)`` where the hypervolume ends.
    """

    def __init__(self, observed: Tensor, reference: Tensor) -> None:
        super().__init__(observed)
        self.reference = reference
        self._cells = FastNondominatedPartitioning(reference, observed)

    def log(self, mean: Tensor, std: Tensor) -> Tensor:
        model = Moments(mean, std)
        improvement = ExpectedHypervolumeImprovement(model, self.reference.tolist(), self._cells)  # type: ignore[arg-type]
        with torch.no_grad():
            values = torch.cat([improvement(part) for part in _rows(mean).split(AT_ONCE)])
        return values.clamp_min(LEAST).log()

    def condition_on(self, scores: Tensor) -> LogEHVI:
        return LogEHVI(torch.cat([self.observed, scores]), self.reference)


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
        variance = DiagLinearOperator(self.std[rows].square())
        return GPyTorchPosterior(MultitaskMultivariateNormal(self.mean[rows][:, None], variance))


def _rows(mean: Tensor) -> Tensor:
    """``(N, 1, 1)`` what :class:`Moments` takes as the points of ``(N, m)`` moments."""
    return torch.arange(len(mean), dtype=torch.double)[:, None, None]
