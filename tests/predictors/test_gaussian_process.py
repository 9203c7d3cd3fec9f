"""Processes are fitted whatever the archs are like."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from botorch.exceptions.errors import ModelFittingError
from gpytorch.kernels import MaternKernel, ScaleKernel

from gennas.predictors.gaussian_process import (
    SHORTEST,
    Process,
    SlotKernel,
    fitted,
    matern,
    slot_covariance,
    spread_rows,
)

INPUTS = torch.from_numpy(np.random.default_rng(0).normal(size=(30, 4)))
SCORES = INPUTS.sum(1) / 2


def test_length_scales_stay_above_their_bound() -> None:
    """As it did in a line search of scipy's, on NAS-Bench-Graph."""
    kernel = matern(4, 1.0)
    kernel.raw_lengthscale.data[:, 2] = -1e3
    assert float(kernel.lengthscale.detach().min()) == pytest.approx(SHORTEST)
    gram = kernel(INPUTS).to_dense().detach()
    assert gram.isfinite().all()
    assert torch.linalg.eigvalsh(gram).min() > 0


def test_failed_fits_keep_the_initial_values(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **options: object) -> None:
        raise ModelFittingError("All attempts to fit the model have failed.")

    monkeypatch.setattr("gennas.predictors.gaussian_process.fit_gpytorch_mll", fails)
    process = fitted(INPUTS, SCORES, ScaleKernel(matern(4, 1.0)), steps=5)
    assert process.model.covar_module.base_kernel.lengthscale.flatten().tolist() == pytest.approx([4.0] * 4)
    mean, std = process.moments(INPUTS)
    assert mean.isfinite().all()
    assert (std > 0).all()


@pytest.mark.parametrize("ard", [True, False])
def test_expected_length_scales_grow_with_the_number_of_features(ard: bool) -> None:
    medians = [float(matern(width, 3.0, ard=ard).lengthscale_prior.loc.exp()) for width in (1, 100)]
    assert medians == pytest.approx([3.0, 30.0])
    assert matern(4, 3.0, ard=ard).lengthscale.numel() == (4 if ard else 1)


def test_a_grown_process_is_the_one_of_all_observations() -> None:
    process = fitted(INPUTS[:20], SCORES[:20], ScaleKernel(matern(4, 1.0)), steps=20)
    grown = process.fantasize(INPUTS[20:26], SCORES[20:26]).fantasize(INPUTS[26:27], SCORES[26:27])
    whole = Process(process.model, INPUTS[:27], SCORES[:27])
    for ours, theirs in zip(grown.moments(INPUTS), whole.moments(INPUTS), strict=True):
        torch.testing.assert_close(ours, theirs)
    for ours, theirs in zip(grown.left_out(), whole.left_out(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_process_grows_by_what_it_has_seen_already() -> None:
    process = fitted(INPUTS, SCORES, ScaleKernel(matern(4, 1.0)), steps=20)
    again = process.fantasize(INPUTS[[3, 3, 3]], SCORES[[3, 3, 3]])
    assert again.moments(INPUTS)[1][3] < process.moments(INPUTS)[1][3]


def test_means_are_those_of_the_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    process = fitted(INPUTS, SCORES, ScaleKernel(matern(4, 1.0)), steps=5)
    monkeypatch.setattr("gennas.predictors.gaussian_process.AT_ONCE", 7)
    torch.testing.assert_close(process.mean(INPUTS), process.moments(INPUTS)[0], rtol=0, atol=0)


def test_all_columns_of_a_slot_share_a_length_scale() -> None:
    kernel = SlotKernel([1, 2, 3], [0, 1, 1])
    kernel.lengthscale = torch.tensor([0.5, 2.0])
    expected = MaternKernel(2.5, ard_num_dims=3)
    expected.lengthscale = torch.tensor([0.5, 2.0, 2.0])
    points = INPUTS.float()
    for other in (points, points[:7]):
        found, wanted = kernel(points, other).to_dense(), expected(points[:, 1:], other[:, 1:]).to_dense()
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert kernel(points, diag=True).tolist() == [1] * len(points)


def test_slots_are_compared_together_and_in_sum() -> None:
    covariance = slot_covariance([2, 3], [0, 1], 0.3).double()
    together = SlotKernel([2, 3], [0, 1]).double()
    found = covariance(INPUTS).to_dense().detach()
    expected = 0.3 * together(INPUTS).to_dense() + 0.1 * INPUTS[:, 2:] @ INPUTS[:, 2:].T
    torch.testing.assert_close(found, expected.detach())
    assert {name for name, *_ in covariance.named_priors()} == {
        "kernels.0.outputscale_prior",
        "kernels.0.base_kernel.lengthscale_prior",
        "kernels.1.variance_prior",
    }


def test_spread_rows_cover_all_ranks() -> None:
    scores = torch.tensor([5.0, 1.0, 3.0, 3.0, 2.0, 4.0], dtype=torch.double)
    assert spread_rows(scores, 6).tolist() == [0, 1, 2, 3, 4, 5]
    assert spread_rows(scores, 2).tolist() == [0, 1]
    assert spread_rows(scores, 4).tolist() == sorted(spread_rows(scores, 4).tolist())
    assert {0, 1} < set(spread_rows(scores, 4).tolist())
