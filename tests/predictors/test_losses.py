"""Losses against their formulas; unknown values are ignored."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import Tensor

from gennas.predictors.losses import _SHIFTS, RANKINGS, list_mle, pairwise, weighted_likelihood

Loss = Callable[[Tensor, Tensor], Tensor]
seeds = st.integers(0, 2**31)


def batch(seed: int, rows: int = 12, holes: bool = False) -> tuple[Tensor, Tensor]:
    """``(rows, 2)`` scores, and targets with ties and, if asked, with holes."""
    rng = torch.Generator().manual_seed(seed)
    score = torch.randn(rows, 2, generator=rng, dtype=torch.float64)
    target = torch.randint(0, 9, (rows, 2), generator=rng).double()
    if holes:
        target[torch.rand(rows, 2, generator=rng) < 0.3] = torch.nan
    return score, target


@given(seeds, st.integers(2, 12), st.booleans())
def test_pairwise_is_the_mean_over_pairs(seed: int, rows: int, holes: bool) -> None:
    score, target = batch(seed, rows, holes)
    losses = []
    for metric in range(2):
        for shift in (shift for shift in _SHIFTS if shift < rows):
            for i in range(rows):
                s, y = ((x[i, metric] - x[(i - shift) % rows, metric]).item() for x in (score, target))
                if y < 0 or y > 0:
                    losses.append(np.log1p(np.exp(-np.sign(y) * s)))
    assert float(pairwise(score, target)) == pytest.approx(np.mean(losses) if losses else 0.0)


@given(seeds, st.integers(1, 12), st.booleans())
def test_list_mle_is_the_likelihood_of_the_order(seed: int, rows: int, holes: bool) -> None:
    score, target = batch(seed, rows, holes)
    # Without ties, whose order is free.
    target += torch.linspace(0, 0.5, rows, dtype=torch.float64)[:, None]
    losses = []
    for s, y in zip(score.T.tolist(), target.T.tolist(), strict=True):
        left = [row for row in range(rows) if not np.isnan(y[row])]
        for row in sorted(left, key=lambda row: -y[row]):
            losses.append(np.log(np.exp([s[other] for other in left]).sum()) - s[row])
            left.remove(row)
    assert float(list_mle(score, target)) == pytest.approx(np.mean(losses) if losses else 0.0)


@pytest.mark.parametrize("loss", RANKINGS.values(), ids=RANKINGS)
def test_the_right_order_costs_less_and_going_downhill_leads_there(loss: Loss) -> None:
    target = torch.randperm(16, generator=torch.Generator().manual_seed(0))[:, None].double()
    assert loss(target, target) < loss(torch.zeros_like(target), target) < loss(-target, target)
    score = torch.zeros(16, 1, dtype=torch.float64, requires_grad=True)
    loss(score, target).backward()
    assert score.grad is not None
    # The best must rise and the worst fall.
    assert score.grad[target.argmax()] < 0 < score.grad[target.argmin()]
    optimiser = torch.optim.Adam([score], lr=0.3)
    for _ in range(200):
        optimiser.zero_grad()
        loss(score, target).backward()
        optimiser.step()
    # In a batch not every pair is looked at.
    assert spearmanr(score.detach()[:, 0], target[:, 0]).statistic > 0.95


@pytest.mark.parametrize("loss", RANKINGS.values(), ids=RANKINGS)
@pytest.mark.parametrize("seed", range(5))
def test_adding_a_number_to_all_scores_changes_nothing(loss: Loss, seed: int) -> None:
    score, target = batch(seed)
    assert float(loss(score + 3.7, target)) == pytest.approx(float(loss(score, target)))


@pytest.mark.parametrize("loss", RANKINGS.values(), ids=RANKINGS)
@pytest.mark.parametrize("seed", range(5))
def test_unknown_values_are_ignored_and_get_no_gradient(loss: Loss, seed: int) -> None:
    score, target = batch(seed, holes=True)
    score.requires_grad_()
    loss(score, target).backward()
    assert score.grad is not None
    assert score.grad.isfinite().all()
    assert (score.grad[target.isnan()] == 0).all()
    assert (score.grad != 0).any()
    moved = torch.where(target.isnan(), 100.0, score.detach())
    assert float(loss(moved, target)) == pytest.approx(float(loss(score.detach(), target)))


@pytest.mark.parametrize("loss", RANKINGS.values(), ids=RANKINGS)
@pytest.mark.parametrize("rows", [0, 1, 4])
def test_where_there_is_no_order_there_is_no_loss(loss: Loss, rows: int) -> None:
    score = torch.randn(rows, 2, requires_grad=True)
    value = loss(score, torch.full((rows, 2), torch.nan))
    assert value == 0
    value.backward()
    assert score.grad is not None
    assert (score.grad == 0).all()


def test_equal_targets_are_no_pair() -> None:
    assert pairwise(torch.randn(6, 1), torch.ones(6, 1)) == 0


@given(seeds)
def test_the_weighted_likelihood_is_that_of_a_gaussian_times_its_std(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    mean, target = torch.randn(2, 5, 3, generator=rng, dtype=torch.float64)
    variance = torch.rand(5, 3, generator=rng, dtype=torch.float64) + 0.01
    gaussian = torch.distributions.Normal(mean, variance.sqrt())
    expected = -(gaussian.log_prob(target) + np.log(2 * np.pi) / 2) * variance.sqrt()
    assert torch.allclose(weighted_likelihood(mean, variance, target), expected)


def test_the_weight_has_no_gradient_and_evens_out_the_pull_on_the_mean() -> None:
    mean = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    variance = torch.tensor([0.01, 4.0], dtype=torch.float64, requires_grad=True)
    weighted_likelihood(mean, variance, torch.ones(2, dtype=torch.float64)).sum().backward()
    assert mean.grad is not None
    assert variance.grad is not None
    # (mean - target) / std, instead of over the variance.
    assert mean.grad.tolist() == pytest.approx([-10, -0.5])
    expected = [(1 / v - 1 / v**2) / 2 * v**0.5 for v in (0.01, 4.0)]
    assert variance.grad.tolist() == pytest.approx(expected)
    # Where the variance is the mean square of the errors it pulls neither way.
    error = torch.randn(10_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    variance = error.square().mean().clone().requires_grad_()
    weighted_likelihood(torch.zeros_like(error), variance, error).mean().backward()
    assert variance.grad is not None
    assert float(variance.grad) == pytest.approx(0, abs=1e-9)
