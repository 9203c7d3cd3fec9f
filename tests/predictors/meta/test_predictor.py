"""The meta-predictor on worlds whose law is known: what an encoding tells is used, and intervals hold."""

from __future__ import annotations

import numpy as np
import pytest
from meta_world import FACTS, NB201, SIZED, World, facts_of
from scipy.special import expit
from scipy.stats import kendalltau

from gennas.errors import InvalidInputError
from gennas.predictors.meta.arch_basis import ArchBasis
from gennas.predictors.meta.forecast import fractions, logit
from gennas.predictors.meta.predictor import MetaPredictor, MetaSettings, Ridge, TrainedTask
from gennas.predictors.quality import Z90


@pytest.fixture(scope="module")
def world() -> World:
    return World(ArchBasis.of_space(NB201, SIZED, width=10))


@pytest.fixture(scope="module")
def meta(world: World) -> MetaPredictor:
    return MetaPredictor.fit(world.basis, FACTS, world.tasks(40, 50))


def taus(meta: MetaPredictor, tasks: list[TrainedTask], known: bool, evaluations: int = 0) -> float:
    found = []
    for task in tasks:
        forecast = meta.forecast(facts_of(task) if known else None)
        forecast = forecast.updated_at(task.functions[:evaluations], task.accuracy[:evaluations])
        mean, _ = forecast.logits_at(task.functions[evaluations:])
        found.append(kendalltau(mean, task.accuracy[evaluations:]).statistic)
    return float(np.mean(found))


def test_an_encoding_ranks_archs_of_tasks_never_seen_and_evaluations_do_more(world: World, meta: MetaPredictor) -> None:
    fresh = world.tasks(15, 150, seed=5)
    shared, encoded, updated = taus(meta, fresh, False), taus(meta, fresh, True), taus(meta, fresh, True, 20)
    assert shared + 0.2 < encoded < updated


def test_intervals_hold_what_they_promise(world: World, meta: MetaPredictor) -> None:
    inside, widths = [], []
    for task in world.tasks(60, 40, seed=7):
        mean, std = meta.forecast(facts_of(task)).logits_at(task.functions)
        inside.append(np.abs(logit(task.accuracy) - mean) <= Z90 * std)
        widths.append(expit(mean + Z90 * std) - expit(mean - Z90 * std))
    assert 0.82 < np.mean(inside) < 0.97
    assert np.mean(widths) < 0.6  # those of a task of which nothing is known are wider
    unknown = meta.forecast(None).logits_at(task.functions)[1]
    assert unknown.mean() > 0


def test_an_update_is_that_of_a_gaussian_process(world: World, meta: MetaPredictor) -> None:
    task = world.tasks(1, 30, seed=3)[0]
    forecast = meta.forecast(facts_of(task))
    inputs = np.hstack([np.ones((30, 1)), task.functions])
    kernel = inputs @ forecast.covariance @ inputs.T
    noisy = kernel[:5, :5] + forecast.noise**2 * np.eye(5)
    residual = logit(task.accuracy[:5]) - inputs[:5] @ forecast.mean
    expected = inputs[5:] @ forecast.mean + kernel[5:, :5] @ np.linalg.solve(noisy, residual)
    left = kernel[5:, 5:] - kernel[5:, :5] @ np.linalg.solve(noisy, kernel[:5, 5:])
    mean, std = forecast.updated_at(task.functions[:5], task.accuracy[:5]).logits_at(task.functions[5:])
    np.testing.assert_allclose(mean, expected, atol=1e-8)
    np.testing.assert_allclose(std, np.sqrt(np.diag(left) + forecast.noise**2), atol=1e-8)


def test_nothing_evaluated_changes_nothing(meta: MetaPredictor) -> None:
    forecast = meta.forecast(None)
    assert forecast.updated([], np.array([])) is forecast


def test_errors_of_a_ridge_are_those_of_leaving_one_out() -> None:
    rng = np.random.default_rng(0)
    inputs, values = rng.normal(size=(12, 3)), rng.normal(size=12)
    errors = []
    for row in range(12):
        others = np.arange(12) != row
        errors.append(values[row] - Ridge.fit(inputs[others], values[others], 2.0).predict(inputs[row]))
    assert Ridge.fit(inputs, values, 2.0).std == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-4)


def test_fractions_of_normal_logits() -> None:
    rng = np.random.default_rng(0)
    drawn = expit(0.7 + 0.9 * rng.normal(size=400_000))
    mean, std = fractions(np.array([0.7]), np.array([0.9]))
    assert mean[0] == pytest.approx(drawn.mean(), abs=1e-3)
    assert std[0] == pytest.approx(drawn.std(), abs=1e-3)


def test_a_fact_that_is_missing_is_named(meta: MetaPredictor) -> None:
    with pytest.raises(InvalidInputError, match="lacks three"):
        meta.forecast({"one": 0.0, "two": 1.0})


def test_one_task_is_too_few(world: World) -> None:
    with pytest.raises(InvalidInputError, match="at least 2"):
        MetaPredictor.fit(world.basis, FACTS, world.tasks(1, 20))


def test_settings_change_how_much_an_encoding_says(world: World) -> None:
    from gennas.predictors.meta.hierarchy import Priors

    known = world.tasks(20, 40)
    deaf = MetaPredictor.fit(world.basis, FACTS, known, MetaSettings(Priors(ridge=1e9), 1e9, 1e9))
    one, other = (deaf.forecast(facts_of(task)) for task in known[:2])
    np.testing.assert_allclose(one.mean, other.mean, atol=1e-5)
