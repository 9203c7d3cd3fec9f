"""NormalScores: monotone maps between units and normal scores, there and back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import norm

from gennas.predictors.normal_scores import REACH, NormalScores, noise_of_scores, normal_scores

seeds = st.integers(0, 2**31)


def fitted(*columns: np.ndarray) -> NormalScores:
    scores = NormalScores(len(columns))
    scores.fit(np.stack(columns, axis=1))
    return scores


def uneven(seed: int, count: int = 500) -> np.ndarray:
    """Values with a heavy tail, all different."""
    return np.random.default_rng(seed).gamma(0.8, 3.0, count) + 0.01


@given(seeds)
def test_there_and_back_where_strictly_increasing(seed: int) -> None:
    scores = fitted(uneven(seed), uneven(seed + 1) * 1000)
    z = torch.linspace(-3, 3, 41).unsqueeze(1).expand(-1, 2)
    values = scores.value(z)
    assert (values.diff(dim=0) >= 0).all()
    for metric in (0, 1):
        # From score to unit to score; where the map is nearly flat only the unit is determined.
        back = torch.tensor([[scores.score_of(metric, float(value))] * 2 for value in values[:, metric]])
        scale = float(values[-1, metric])
        assert torch.allclose(scores.value(back)[:, metric], values[:, metric], atol=1e-4 * scale)
        assert (back.diff(dim=0) >= -1e-5).all()


@given(seeds)
def test_scores_of_many_values_undo_the_map(seed: int) -> None:
    scores = fitted(uneven(seed), uneven(seed + 1) * 1000).double()
    z = (torch.rand(2, 3, 20, generator=torch.Generator().manual_seed(seed)) * 2 - 1).double() * REACH
    for metric in (0, 1):
        values = scores.value_of(metric, z)
        back = scores.scores_of(metric, values)
        assert back.shape == z.shape
        assert torch.allclose(scores.value_of(metric, back), values, rtol=1e-6)
        # The map does not extrapolate below zero: it is flat there.
        rises = scores.value_of(metric, z + 1e-3) > values
        assert torch.allclose(back[rises], z[rises], atol=1e-3)
        one = [scores.score_of(metric, float(value)) for value in values.flatten()]
        assert back.flatten().tolist() == pytest.approx(one, abs=1e-3)


@given(seeds)
def test_scores_of_values_rise_with_them_and_end_at_the_reach(seed: int) -> None:
    scores = fitted(np.random.default_rng(seed).integers(0, 5, 60) / 4)
    values = torch.linspace(-1, 3, 101)
    found = scores.scores_of(0, values)
    assert (found.diff() >= 0).all()
    assert found[0] == -REACH
    assert found[-1] == REACH
    assert torch.equal(scores.scores_of(0, values.flip(0)), found.flip(0))


def test_where_the_map_is_flat_scores_are_those_of_its_middle() -> None:
    scores = fitted(np.repeat([1.0, 2.0, 5.0], [100, 200, 100]))
    for value in (1.0, 1.5, 2.0, 4.0, 5.0):
        assert float(scores.scores_of(0, torch.tensor(value))) == pytest.approx(scores.score_of(0, value), abs=1e-4)
    assert fitted(np.full(50, 4.0)).scores_of(0, torch.tensor([3.9, 4.0, 4.1])).tolist() == [-REACH, 0.0, REACH]


def test_scores_of_values_have_gradients() -> None:
    scores = fitted(uneven(0))
    value = torch.tensor([0.5, 2.0, 4.0], requires_grad=True)
    scores.scores_of(0, value).sum().backward()
    assert value.grad is not None
    assert (value.grad > 0).all()
    assert value.grad.isfinite().all()


def test_the_scores_of_a_normal_metric_are_its_standard_deviations() -> None:
    targets = norm.ppf((np.arange(1000) + 0.5) / 1000)[:, None] * 2 + 30
    scores = NormalScores(1)
    fitted = scores.fit(targets)
    assert torch.allclose(fitted[:, 0].double(), torch.from_numpy((targets[:, 0] - 30) / 2), atol=1e-6)
    for value in (25.0, 29.0, 30.0, 33.0):
        assert scores.score_of(0, value) == pytest.approx((value - 30) / 2, abs=0.05)


@given(seeds)
def test_fit_returns_ranks_as_normal_quantiles(seed: int) -> None:
    column = uneven(seed, 60)
    fitted = NormalScores(1).fit(column[:, None])[:, 0].double().numpy()
    expected = norm.ppf((np.arange(60) + 0.5) / 60)
    assert np.allclose(fitted[np.argsort(column)], expected, atol=1e-6)


def test_unknown_values_have_no_score_and_are_ignored() -> None:
    column = uneven(0)
    holes = column.copy()
    holes[::3] = np.nan
    scores = NormalScores(2)
    fitted = scores.fit(np.stack([holes, column], axis=1))
    assert fitted[::3, 0].isnan().all()
    assert fitted[1::3].isfinite().all()
    assert scores.values.isfinite().all()
    known = holes[~np.isnan(holes)]
    assert float(scores.value(torch.zeros(1, 2))[0, 0]) == pytest.approx(np.median(known), rel=0.02)


def test_a_metric_without_values_has_no_map() -> None:
    scores = NormalScores(3)
    fitted = scores.fit(np.stack([np.full(60, np.nan), uneven(0, 60), np.r_[5.0, np.full(59, np.nan)]], axis=1))
    assert fitted[:, 0].isnan().all()
    assert fitted[:, 1].isfinite().all()
    mean, std = scores.to_units(torch.zeros(2, 3), torch.ones(2, 3))
    assert mean.isnan().tolist() == std.isnan().tolist() == [[True, False, False]] * 2
    assert mean[:, 2].tolist() == pytest.approx([5.0, 5.0])


def test_ties_share_a_score() -> None:
    column = np.repeat([1.0, 2.0, 5.0], [100, 200, 100])
    scores = NormalScores(1)
    fitted = scores.fit(column[:, None])[:, 0]
    assert len(fitted.unique()) == 3
    assert fitted[0] < fitted[150] < fitted[-1]
    # The middle of the scores at which the map is flat.
    assert scores.score_of(0, 2.0) == pytest.approx(0.0, abs=0.05)
    assert -REACH <= scores.score_of(0, 1.0) < scores.score_of(0, 1.5) < scores.score_of(0, 2.0)
    assert scores.value(torch.tensor([[0.3]])).item() == 2.0


def test_a_constant_metric() -> None:
    scores = fitted(np.full(50, 4.0))
    assert scores.value(torch.tensor([[-5.0], [0.0], [5.0]])).flatten().tolist() == [4.0, 4.0, 4.0]
    assert scores.score_of(0, 4.0) == pytest.approx(0.0, abs=1e-6)
    assert scores.score_of(0, 4.1) == math.inf
    assert scores.score_of(0, 3.9) == -math.inf


@given(seeds)
@example(1284)
def test_the_map_extrapolates_but_not_below_zero(seed: int) -> None:
    column = uneven(seed)
    scores = fitted(column)
    least, greatest = (float(scores.value(torch.tensor([[end]]))) for end in (-REACH, REACH))
    assert 0 <= least <= column.min()
    assert greatest > column.max()
    assert float(scores.value(torch.tensor([[99.0]]))) == greatest
    assert scores.score_of(0, greatest * 1.01 + 1) == math.inf
    assert scores.score_of(0, -1.0) == -math.inf
    assert scores.score_of(0, greatest) == pytest.approx(REACH, abs=1e-3)
    assert -REACH <= scores.score_of(0, float(column.min())) <= scores.score_of(0, float(column.max())) <= REACH


@given(seeds)
def test_without_uncertainty_units_are_the_value(seed: int) -> None:
    scores = fitted(uneven(seed), uneven(seed + 1))
    mean = torch.randn(20, 2, generator=torch.Generator().manual_seed(seed))
    units, std = scores.to_units(mean, torch.zeros(20, 2))
    assert torch.allclose(units, scores.value(mean), rtol=1e-5)
    assert torch.allclose(std, torch.zeros(20, 2), atol=1e-4)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 0.3), (1.2, 0.5), (-1.5, 0.2), (0.5, 1.0)])
def test_units_agree_with_a_dense_integral(mean: float, std: float) -> None:
    scores = fitted(uneven(0, 5000))
    z = np.linspace(mean - 8 * std, mean + 8 * std, 20_001)
    weight = norm.pdf(z, mean, std)
    weight /= weight.sum()
    values = scores.value(torch.from_numpy(z).float()[:, None])[:, 0].double().numpy()
    expected = float(weight @ values)
    expected_std = math.sqrt(float(weight @ (values - expected) ** 2))
    units, deviation = (float(part) for part in scores.to_units(torch.tensor([[mean]]), torch.tensor([[std]])))
    assert units == pytest.approx(expected, rel=0.02)
    assert deviation == pytest.approx(expected_std, rel=0.05)


def test_batches_of_any_shape() -> None:
    scores = fitted(uneven(0), uneven(1))
    z = torch.randn(3, 4, 2)
    values = scores.value(z)
    assert values.shape == (3, 4, 2)
    assert torch.equal(values[1], scores.value(z[1]))


def test_a_value_that_many_archs_share_has_its_score_though_knots_are_rounded() -> None:
    scores = NormalScores(1)
    scores.fit(np.concatenate([np.full(30, 0.1), np.linspace(0.5, 0.9, 70)])[:, None])
    assert -2 < scores.score_of(0, 0.1) < -0.5


def test_the_noise_of_values_is_that_of_scores() -> None:
    rng, std = np.random.default_rng(0), 0.02
    values = rng.uniform(0, 1, 400)
    knots = np.sort(values)
    drawn = np.interp(values + rng.normal(0, std, (200, 400)), knots, np.sort(normal_scores(values)))
    expected = np.square(drawn - normal_scores(values)).mean()
    assert noise_of_scores(values, std) == pytest.approx(expected, rel=0.25)
