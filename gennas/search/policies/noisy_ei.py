"""Noisy expected improvement by BoTorch: fitting, and picking one after the other."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from botorch.acquisition import AcquisitionFunction
    from botorch.models.model import Model
    from gpytorch.kernels import Kernel

#: Monte Carlo samples of an acquisition function.
SAMPLES = 64


def picked(
    x: Tensor,
    y: Tensor,
    pending: Tensor,
    choices: Tensor,
    *,
    kernel_of: Callable[[], Kernel | None] = lambda: None,
    m: int,
    q: int,
    steps: int,
    seed: int,
    log_success: np.ndarray | None = None,
) -> list[tuple[int, float]]:
    """``q`` rows of ``choices``, each the best given those before it, with the logarithm of its improvement.

    Args:
        x: ``(N, d)`` what was evaluated.
        y: ``(N, m + c)`` what came of it, larger is better; the last ``c`` are above 0 where a bound is kept. Each
            column has two values at least; others may be NaN.
        pending: ``(P, d)`` what is being evaluated.
        choices: ``(C, d)``.
        kernel_of: makes the covariance of a column's process; BoTorch's own where that is None.
        m: how many columns are objectives.
        q: how many to pick.
        steps: of the fit, at most.
        seed: of whatever is random.
        log_success: ``(C,)`` the log-probability that the evaluation of a choice succeeds; None where nothing failed.
    """
    more = torch.zeros(len(choices)) if log_success is None else torch.from_numpy(log_success)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        torch.manual_seed(seed)
        # That the optimiser stops at its limit is meant, and archs that compute the same have equal features.
        warnings.simplefilter("ignore")
        acquisition = _acquisition(x, y, kernel_of, m, steps)
        rows: list[tuple[int, float]] = []
        for _ in range(q):
            waiting = torch.cat([pending, *(choices[row][None] for row, _ in rows)])
            acquisition.set_X_pending(waiting if len(waiting) else None)
            with torch.no_grad():
                values = acquisition(choices[:, None]) + more
            values[[row for row, _ in rows]] = -torch.inf
            rows.append((int(values.argmax()), float(values.max())))
    return rows


def noisy_improvement(
    model: Model,
    baseline: Tensor,
    *,
    objectives: int,
    constraints: Sequence[Callable[[Tensor], Tensor]] = (),
    reference: Tensor | None = None,
    seed: int = 0,
) -> AcquisitionFunction:
    """qLogNEI, or with several objectives qLogNEHVI (Ament et al. 2023).

    Args:
        model: of the objectives, then of what is constrained.
        baseline: ``(R, d)`` the points over which others improve.
        objectives: how many outputs of the model are objectives.
        constraints: functions of samples ``(..., M)`` that are negative where a constraint holds.
        reference: ``(m,)`` where the hypervolume of several objectives ends.
        seed: of the samples.
    """
    # Here, because botorch takes a second to import.
    from botorch.acquisition.logei import qLogNoisyExpectedImprovement
    from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
    from botorch.acquisition.objective import GenericMCObjective
    from botorch.sampling import SobolQMCNormalSampler

    from gennas.search.botorch_compat import qLogNoisyExpectedHypervolumeImprovement

    sampler, bounds = SobolQMCNormalSampler(torch.Size([SAMPLES]), seed=seed), list(constraints) or None
    if reference is None:
        objective = GenericMCObjective(_first) if bounds else None
        return qLogNoisyExpectedImprovement(
            model, baseline, sampler, objective, constraints=bounds, prune_baseline=True
        )
    front = IdentityMCMultiOutputObjective(list(range(objectives)))
    return qLogNoisyExpectedHypervolumeImprovement(
        model, reference, baseline, sampler, front, constraints=bounds, prune_baseline=True
    )


def _acquisition(
    x: Tensor, y: Tensor, kernel_of: Callable[[], Kernel | None], m: int, steps: int
) -> AcquisitionFunction:
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import ModelListGP, SingleTaskGP
    from gpytorch.mlls import ExactMarginalLogLikelihood

    models = []
    for column in y.T:
        known = column.isfinite()
        model = SingleTaskGP(x[known], column[known][:, None], covar_module=kernel_of())
        mll = ExactMarginalLogLikelihood(model.likelihood, model)
        fit_gpytorch_mll(mll, optimizer_kwargs={"options": {"maxiter": steps}})
        models.append(model)
    model = models[0] if len(models) == 1 else ModelListGP(*models)
    x, y = x[y.isfinite().all(1)], y[y.isfinite().all(1)]
    constraints = [partial(_excess, column=column) for column in range(m, y.shape[1])]
    if m == 1:
        return noisy_improvement(model, x, objectives=m, constraints=constraints)
    low, high = y[:, :m].min(0).values, y[:, :m].max(0).values
    return noisy_improvement(model, x, objectives=m, constraints=constraints, reference=low - 0.1 * (high - low))


def _excess(samples: Tensor, column: int) -> Tensor:
    """What BoTorch calls a constraint: it holds where this is not above 0."""
    return -samples[..., column]


def _first(samples: Tensor, X: Tensor | None = None) -> Tensor:
    return samples[..., 0]
