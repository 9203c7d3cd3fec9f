"""A forecast: what evaluations change, by how much, and which of them would change the most."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from meta_world import NB201, SIZED, World, facts_of

from gennas.predictors.meta.arch_basis import ArchBasis
from gennas.predictors.meta.forecast import IMAGES, TaskForecast, logit, logit_variance, with_one
from gennas.predictors.meta.predictor import MetaPredictor


@pytest.fixture(scope="module")
def known() -> tuple[TaskForecast, np.ndarray]:
    """A forecast, and the functions of 40 archs."""
    world = World(ArchBasis.of_space(NB201, SIZED, width=8))
    tasks = world.tasks(8, 40)
    meta = MetaPredictor.fit(world.basis, ("one", "two", "three"), tasks)
    return meta.forecast(facts_of(tasks[0])), tasks[0].functions


def test_the_informative_archs_narrow_forecasts_the_most(known: tuple[TaskForecast, np.ndarray]) -> None:
    forecast, functions = known
    (first,) = forecast.informative(functions, 1)

    def left(rows: list[int]) -> float:
        """The mean variance after some evaluations, whatever their values."""
        later = forecast.updated_at(functions[rows], np.full(len(rows), 0.5))
        return float(np.square(later.logits_at(functions)[1]).mean())

    assert left([first]) == pytest.approx(min(left([row]) for row in range(len(functions))))
    three = forecast.informative(functions, 3)
    assert three[0] == first
    assert len(set(three)) == 3
    assert left(three) == pytest.approx(min(left([*three[:2], row]) for row in range(len(functions))))
    assert len(forecast.informative(functions[:2], 5)) == 2


def test_an_update_is_that_of_a_gaussian_process(known: tuple[TaskForecast, np.ndarray]) -> None:
    """Conditioned in the space of the labels (Rasmussen and Williams, 2006, equations 2.23 and 2.24)."""
    forecast, functions = known
    accuracy, inputs = np.linspace(0.3, 0.9, 5), with_one(functions)
    shared = inputs @ forecast.covariance @ inputs[:5].T
    inner = shared[:5] + forecast.noise**2 * np.eye(5)
    mean = inputs @ forecast.mean + shared @ np.linalg.solve(inner, logit(accuracy) - inputs[:5] @ forecast.mean)
    left = inputs @ forecast.covariance @ inputs.T - shared @ np.linalg.solve(inner, shared.T)
    found = forecast.updated_at(functions[:5], accuracy).logits_at(functions)
    np.testing.assert_allclose(found[0], mean, atol=1e-9)
    np.testing.assert_allclose(found[1], np.sqrt(np.diag(left) + forecast.noise**2), atol=1e-9)


@pytest.mark.parametrize("values", [[0.9, 0.8], [1.0, 1.0], [0.0, 0.5]])
def test_accuracies_on_few_images_count_less(known: tuple[TaskForecast, np.ndarray], values: list[float]) -> None:
    forecast, functions = known
    accuracy = np.array(values)
    stds = [forecast.updated_at(functions[:2], accuracy, images).logits_at(functions)[1] for images in (20, IMAGES)]
    assert (stds[0] > stds[1]).all()
    assert (stds[0] < forecast.logits_at(functions)[1]).all()


def test_the_variance_of_a_logit_is_that_of_drawn_images() -> None:
    rng = np.random.default_rng(0)
    for accuracy, images in ((0.5, 150), (0.8, 150), (0.9, 1000)):
        drawn = rng.binomial(images, accuracy, 20_000) / images
        assert logit(drawn, images).var() == pytest.approx(logit_variance(np.array(accuracy), images), rel=0.06)


def test_stds_have_a_factor_of_their_own_once_archs_were_evaluated(known: tuple[TaskForecast, np.ndarray]) -> None:
    forecast, functions = known
    plain = forecast.updated_at(functions[:1], np.array([0.5])).logits_at(functions)[1]
    wider = replace(forecast, updated_std_scale=2.0)
    for unchanged in (wider, wider.updated_at(functions[:0], np.zeros(0))):
        np.testing.assert_array_equal(unchanged.logits_at(functions)[1], forecast.logits_at(functions)[1])
    np.testing.assert_allclose(wider.updated_at(functions[:1], np.array([0.5])).logits_at(functions)[1], 2 * plain)


def test_of_other_trainings_all_logits_differ_by_the_same(known: tuple[TaskForecast, np.ndarray]) -> None:
    """A common number adds its variance to every arch, and nothing to the difference of two."""
    forecast, functions = known
    other = forecast.of_others(0.7)
    np.testing.assert_array_equal(other.mean, forecast.mean)
    inputs = with_one(functions)
    before, after = (inputs @ one.covariance @ inputs.T for one in (forecast, other))
    np.testing.assert_allclose(after - before, 0.7**2)
    assert forecast.covariance[0, 0] < other.covariance[0, 0]
