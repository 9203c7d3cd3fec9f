"""Similarity: closed-form cases, and what is forecast is what is found."""

from __future__ import annotations

import numpy as np
import pytest
from meta_world import FACTS, NB201, SIZED, World, facts_of
from scipy.stats import kendalltau

from gennas.predictors.meta.arch_basis import ArchBasis
from gennas.predictors.meta.predictor import MetaPredictor
from gennas.predictors.meta.similarity import prior_weights, rank_correlations


def test_weights_are_in_proportion_to_positive_correlations() -> None:
    assert prior_weights({"a": 0.6, "b": -0.5, "c": 0.3}) == pytest.approx({"a": 2.0, "b": 0.0, "c": 1.0})
    assert prior_weights({"a": 0.6, "b": 0.3}, power=2) == pytest.approx({"a": 1.6, "b": 0.4})


def test_where_no_task_is_alike_all_weigh_the_same() -> None:
    assert prior_weights({"a": -0.1, "b": -0.5}) == {"a": 1.0, "b": 1.0}


def test_correlations_are_those_of_the_forecast_weights() -> None:
    world = World(ArchBasis.of_space(NB201, SIZED, width=6), own=0.0)
    known = world.tasks(30, 60)
    meta = MetaPredictor.fit(world.basis, FACTS, known)
    functions = world.basis.reference_values
    weights, covariance = meta.hierarchy.prior(meta.encoded(facts_of(known[0])))
    correlations = rank_correlations(meta, facts_of(known[0]))
    for row, name in enumerate(meta.names[:4]):
        other = functions @ meta.hierarchy.weights[row]
        variance = (functions @ weights).var() + np.trace(np.cov(functions.T, bias=True) @ covariance)
        rho = np.cov(functions @ weights, other, bias=True)[0, 1] / np.sqrt(variance * other.var())
        assert correlations[name] == pytest.approx(2 / np.pi * np.arcsin(rho), abs=0.02)
    assert correlations["task0_0"] > np.mean(list(correlations.values()))


def test_forecast_correlations_are_those_of_ranks() -> None:
    world = World(ArchBasis.of_space(NB201, SIZED, width=6))
    known, fresh = world.tasks(40, 80), world.tasks(8, 80, seed=9)
    meta = MetaPredictor.fit(world.basis, FACTS, known)
    forecast, found = [], []
    rng = np.random.default_rng(2)
    functions = world.basis.of([NB201.sample(rng) for _ in range(200)])
    for task in fresh:
        correlations = rank_correlations(meta, facts_of(task))
        own = functions @ np.linalg.lstsq(task.functions, task.accuracy - task.accuracy.mean(), rcond=None)[0]
        for row, name in enumerate(meta.names):
            forecast.append(correlations[name])
            found.append(kendalltau(own, functions @ meta.hierarchy.weights[row]).statistic)
    assert np.corrcoef(forecast, found)[0, 1] > 0.6
