"""Noisy expected improvement by BoTorch: fitting, and picking one after the other."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from botorch.acquisition import AcquisitionFunction


def picked(
    x: Tensor, y: Tensor, pending: Tensor, choices: Tensor, *, m: int, q: int, steps: int, seed: int
) -> list[tuple[int, float]]:
    """``q`` rows of ``choices``, each the best given those before it, with the logarithm of its improvement.

    Args:
        x: ``(N, d)`` what was evaluated.
        y: ``(N, m + c)`` what came of it, larger is better; the last ``c`` are above 0 where a bound is kept.
        pending: ``(P, d)`` what is being evaluated.
        choices: ``(C, d)``.
        m: how many columns are objectives.
        q: how many to pick.
        steps: of the fit, at most.
        seed: of whatever is random.
    """
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        torch.manual_seed(seed)
        # That the optimiser stops at its limit is meant, and archs that compute the same have equal features.
        warnings.simplefilter("ignore")
        acquisition = _acquisition(x, y, m, steps)
        rows: list[tuple[int, float]] = []
        for _ in range(q):
            waiting = torch.cat([pending, *(choices[row][None] for row, _ in rows)])
            acquisition.set_X_pending(waiting if len(waiting) else None)
            with torch.no_grad():
                acquisition_value = acquisition(choices[:, None])
            acquisition_value[[row for row, _ in rows]] = -torch.inf
            rows.append((int(acquisition_value.argmax()), float(acquisition_value.max())))
    return rows


def _acquisition(x: Tensor, y: Tensor, m: int, steps: int) -> AcquisitionFunction:
    # Here, because botorch takes a second to import.
    from botorch.acquisition.logei import qLogNoisyExpectedImprovement
    from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
    from botorch.acquisition.objective import GenericMCObjective
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import ModelListGP, SingleTaskGP
    from botorch.sampling import SobolQMCNormalSampler
    from gpytorch.mlls import ExactMarginalLogLikelihood

    from gennas.search.botorch_compat import qLogNoisyExpectedHypervolumeImprovement

    models = []
    for column in y.T:
        model = SingleTaskGP(x, column[:, None])
        mll = ExactMarginalLogLikelihood(model.likelihood, model)
        fit_gpytorch_mll(mll, optimizer_kwargs={"options": {"maxiter": steps}})
        models.append(model)
    model = models[0] if len(models) == 1 else ModelListGP(*models)
    bounds: list[Callable[[Tensor], Tensor]] | None = [partial(_broken, column=c) for c in range(m, y.shape[1])] or None
    sampler = SobolQMCNormalSampler(torch.Size([64]), seed=0)
    if m == 1:
        objective = GenericMCObjective(_first) if bounds else None
        return qLogNoisyExpectedImprovement(model, x, sampler, objective, constraints=bounds)
    low, high = y[:, :m].min(0).values, y[:, :m].max(0).values
    objectives = IdentityMCMultiOutputObjective(list(range(m)))
    return qLogNoisyExpectedHypervolumeImprovement(
        model, low - 0.1 * (high - low), x, sampler, objectives, constraints=bounds, prune_baseline=True
    )


def _broken(samples: Tensor, column: int) -> Tensor:
    """What BoTorch calls a constraint: it holds where this is not above 0."""
    return -samples[..., column]


def _first(samples: Tensor, X: Tensor | None = None) -> Tensor:
    return samples[..., 0]
