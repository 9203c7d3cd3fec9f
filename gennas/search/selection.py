"""Selection: several archs that are picked together, each given those before it."""

from __future__ import annotations

import warnings

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.exceptions.warnings import BotorchWarning
from botorch.optim import optimize_acqf_discrete
from linear_operator.utils.warnings import NumericalWarning
from torch import Tensor

from gennas.search.acquisition import Acquisition
from gennas.search.improvement import Moments


class LogExpectedImprovementOfOutcomes(AcquisitionFunction):
    """An :class:`gennas.search.acquisition.Acquisition` for BoTorch, which hands over what is picked and pending."""

    def __init__(self, acquisition: Acquisition) -> None:
        # BoTorch wants a model, but nothing is asked of it.
        super().__init__(Moments(torch.zeros(1, 1), torch.ones(1, 1)))
        self.acquisition = self.conditioned = acquisition

    def set_X_pending(self, X_pending: Tensor | None = None) -> None:
        super().set_X_pending(X_pending)
        self.conditioned = self.acquisition if X_pending is None else self.acquisition.fantasize(X_pending)

    def forward(self, X: Tensor) -> Tensor:
        """``(N,)`` of ``(N, 1, d)``."""
        return self.conditioned.values(X[:, 0])


def select(function: AcquisitionFunction, choices: Tensor, q: int, pending: Tensor) -> tuple[list[int], list[float]]:
    """``q`` rows of ``choices (N, d)``, the best one after the other, and the acquisition value of each.

    Args:
        function: of a single point, given what is pending.
        choices: ``(N, d)``, at least ``q``.
        q: how many.
        pending: ``(P, d)`` what is being evaluated.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BotorchWarning)
        warnings.simplefilter("ignore", NumericalWarning)
        function.set_X_pending(pending if len(pending) else None)
        chosen, values = optimize_acqf_discrete(function, q, choices, max_batch_size=1024, unique=True)
    rows: list[int] = []
    for point in chosen:
        # Archs that compute the same have equal inputs.
        same = (choices == point).all(1).nonzero()[:, 0].tolist()
        rows.append(next(row for row in same if row not in rows))
    return rows, values.reshape(-1).expand(len(rows)).tolist()


def select_outcomes(acquisition: Acquisition, choices: Tensor, q: int) -> tuple[list[int], list[float]]:
    """The same by exact improvements of outcomes.

    Improvements are rare, and samples hardly ever meet one. What is picked or being evaluated counts as evaluated with
    its expected scores.
    """
    return select(LogExpectedImprovementOfOutcomes(acquisition), choices, q, acquisition.pending)
