"""Improvements against closed forms and against counting."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import norm

from gennas.search.improvement import LogEHVI, LogEI


@pytest.mark.parametrize("z", [-1e4, -300.0, -20.0, -1.01, -1.0, -0.5, 0.0, 3.0, 40.0])
def test_the_logarithm_of_an_expected_improvement_is_finite_and_exact(z: float) -> None:
    best, std = 0.3, 0.5
    mean = torch.tensor([[best + z * std]], dtype=torch.double)
    improvement = LogEI(torch.tensor([[0.1], [best]], dtype=torch.double))
    value = float(improvement.log(mean, torch.full_like(mean, std))[0]) - math.log(std)
    assert math.isfinite(value)
    if z > -20:
        assert value == pytest.approx(math.log(z * norm.cdf(z) + norm.pdf(z)), rel=1e-6)
    else:
        # The first terms of its expansion far out: pdf(z) / z^2 * (1 - 3 / z^2).
        assert value == pytest.approx(norm.logpdf(z) - 2 * math.log(-z) + math.log1p(-3 / z**2), rel=1e-4)


def test_a_front_of_nothing_is_all_that_dominates_the_reference() -> None:
    front = LogEHVI(torch.empty(0, 2, dtype=torch.double), torch.tensor([-1.0, -2.0], dtype=torch.double))
    mean = torch.tensor([[1.0, 1.0], [-3.0, 0.0]], dtype=torch.double)
    volumes = front.log(mean, torch.full_like(mean, 1e-4)).exp()
    assert volumes.tolist() == pytest.approx([2 * 3, 0], abs=1e-3)


def test_further_observations_count() -> None:
    mean = torch.tensor([[1.0, 1.0]], dtype=torch.double)
    std = torch.full_like(mean, 1e-4)
    front = LogEHVI(torch.empty(0, 2, dtype=torch.double), torch.zeros(2, dtype=torch.double))
    after = front.condition_on(torch.tensor([[0.5, 2.0]], dtype=torch.double))
    assert float(after.log(mean, std).exp()) == pytest.approx(0.5, abs=1e-3)
    best = LogEI(torch.tensor([[0.0], [0.5]], dtype=torch.double))
    assert float(best.log(mean[:, :1], std[:, :1]).exp()) == pytest.approx(0.5, abs=1e-3)
    assert float(best.condition_on(mean[:, :1]).log(mean[:, :1], std[:, :1]).exp()) == pytest.approx(0, abs=1e-3)
