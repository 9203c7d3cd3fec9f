"""Mixtures: weights, moments and what a forest foretells, against counting."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gennas.search.mixture import Mixture, Trees, bootstrapped_weights, log_density

RNG = np.random.default_rng(0)
INPUTS = torch.from_numpy(RNG.normal(size=(80, 6)))
#: A threshold: trees find it.
SCORES = (INPUTS[:, 0] > 0.3).double() * 2 - 1 + 0.1 * torch.from_numpy(RNG.normal(size=80))


def test_trees_know_what_they_err_by() -> None:
    trees = Trees(INPUTS[:60], SCORES[:60])
    mean, variance = trees.left_out()
    assert float((SCORES[:60] - mean).square().mean()) == pytest.approx(float(variance[0]))
    told, std = trees.moments(INPUTS[60:])
    assert float((told - SCORES[60:]).square().mean()) < 2 * float(variance[0])
    assert float(std[0] ** 2 + trees.noise) == pytest.approx(float(variance[0]))


def test_two_archs_are_enough_for_trees() -> None:
    mean, std = Trees(INPUTS[:2], SCORES[:2]).moments(INPUTS)
    assert torch.isfinite(mean).all()
    assert torch.isfinite(std).all()


def test_equal_members_share_and_the_better_one_gets_more() -> None:
    densities = RNG.normal(size=50)
    np.testing.assert_allclose(bootstrapped_weights(np.stack([densities, densities])), [0.5, 0.5])
    better = bootstrapped_weights(np.stack([densities, densities - 1]))
    assert better[0] > 0.99
    # What rests on one arch does not decide: the bootstrap may leave it out.
    outlier = densities.copy()
    outlier[0] -= 5
    lucky = bootstrapped_weights(np.stack([densities, outlier]))
    assert 0.7 < lucky[0] < 0.99


def test_a_mixture_is_as_uncertain_as_its_members_and_what_they_disagree_in() -> None:
    first, second = Trees(INPUTS[:60], SCORES[:60]), Trees(INPUTS[:60, :3], SCORES[:60])
    mixture = Mixture((first, Trees(INPUTS[:60], -SCORES[:60])), (0.25, 0.75))
    mean, std = mixture.moments(INPUTS[60:])
    (one, spread), (other, apart) = (member.moments(INPUTS[60:]) for member in mixture.members)
    draws = torch.cat([one + spread * torch.randn(20_000, 20), (other + apart * torch.randn(60_000, 20))])
    torch.testing.assert_close(mean, draws.mean(0), rtol=0, atol=0.05)
    torch.testing.assert_close(std, draws.std(0), rtol=0.05, atol=0.05)
    assert mixture.noise == pytest.approx(0.25 * first.noise + 0.75 * mixture.members[1].noise)
    assert log_density(second, SCORES[:60]).shape == (60,)


def test_a_group_shares_the_weight_of_its_first() -> None:
    good, bad = Trees(INPUTS, SCORES), Trees(INPUTS[:, 3:], SCORES)
    mixture = Mixture.of([[good, bad], [bad]], SCORES)
    assert mixture.members[:2] == (good, bad)
    assert mixture.weights[0] == mixture.weights[1]
    assert mixture.weights[0] > 0.4
    assert sum(mixture.weights) == pytest.approx(1)
