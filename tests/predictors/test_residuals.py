"""Residuals: Gaussian until something is learnt, then as often below a bound as calibration archs were."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from gennas.predictors.residuals import BINS, PER_BIN, Residuals

seeds = st.integers(0, 2**31)


def bimodal(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictions, and errors that jump: of low ones far more often than of high ones."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=count)
    jumps = rng.random(count) < np.where(mean < 0, 0.5, 0.1)
    return mean, rng.normal(size=count) * 0.1 + jumps * 2 - 0.3


@given(seeds)
def test_before_it_learns_errors_are_gaussian(seed: int) -> None:
    mean, margin = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(seed)) * 3
    assert torch.allclose(Residuals(2).normal_quantile(1, mean, margin), margin, atol=1e-5)


def test_from_few_archs_nothing_is_learnt() -> None:
    residuals = Residuals(1)
    residuals.fit(0, *bimodal(0, PER_BIN - 1))
    assert residuals.edges.isinf().all()
    margin = torch.linspace(-5, 5, 21)
    assert torch.allclose(residuals.normal_quantile(0, torch.zeros(21), margin), margin, atol=1e-5)


@pytest.mark.parametrize("count", [PER_BIN, 900, 20_000])
def test_gaussian_errors_stay_gaussian(count: int) -> None:
    rng = np.random.default_rng(0)
    residuals = Residuals(1)
    residuals.fit(0, rng.normal(size=count), rng.normal(size=count))
    assert int(residuals.edges.isfinite().sum()) == min(count // PER_BIN, BINS) - 1
    margin = torch.linspace(-1.5, 1.5, 13)
    for mean in (-1.0, 0.0, 1.0):
        found = residuals.normal_quantile(0, torch.full((13,), mean), margin)
        assert torch.allclose(found, margin, atol=0.5 if count < 20_000 else 0.2)


def test_bounds_hold_as_often_as_they_say() -> None:
    residuals = Residuals(2)
    mean, errors = bimodal(0, 20_000)
    residuals.fit(1, mean, errors)
    fresh, truth = bimodal(1, 20_000)
    for low, high in ((-9, -0.5), (0.5, 9)):
        at = (fresh > low) & (fresh < high)
        for margin in (-0.4, -0.2, 0.5, 1.6, 1.8):
            told = norm.cdf(residuals.normal_quantile(1, torch.from_numpy(fresh[at]), torch.full((at.sum(),), margin)))
            assert told.mean() == pytest.approx((truth[at] < margin).mean(), abs=0.04)
    # A metric of which nothing was learnt is left alone.
    assert torch.allclose(residuals.normal_quantile(0, torch.zeros(1), torch.ones(1)), torch.ones(1), atol=1e-5)


@given(seeds, st.sampled_from([50, 150, 1000]))
def test_a_looser_bound_holds_more_often(seed: int, count: int) -> None:
    residuals = Residuals(1)
    residuals.fit(0, *bimodal(seed, count))
    margin = torch.linspace(-8, 8, 200)
    for mean in (-2.0, 0.0, 2.0):
        found = residuals.normal_quantile(0, torch.full((200,), mean), margin)
        assert (found.diff() > 0).all()
        assert found.isfinite().all()


def test_bounds_beyond_everything_are_sure() -> None:
    residuals = Residuals(1)
    residuals.fit(0, *bimodal(0, 1000))
    found = residuals.normal_quantile(0, torch.zeros(2), torch.tensor([math.inf, -math.inf]))
    assert found.tolist() == [math.inf, -math.inf]


def test_equal_errors_are_no_trouble() -> None:
    residuals = Residuals(1)
    residuals.fit(0, np.zeros(500), np.zeros(500))
    found = residuals.normal_quantile(0, torch.zeros(3), torch.tensor([-1.0, 0.0, 1.0]))
    assert found.isfinite().all()
    assert found[0] < -2 < found[1] < 2 < found[2]
