"""The forecast as a predictor: exact for partly masked graphs, and within the contract of predictors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from meta_world import FACTS, NB201, SIZED, World, facts_of
from toys import completions, drawn, partly_masked

from gennas.errors import InvalidInputError
from gennas.graph import GraphBatch
from gennas.predictors.absent import NoPredictor
from gennas.predictors.meta.arch_basis import ArchBasis
from gennas.predictors.meta.conditioned import ForecastPredictor
from gennas.predictors.meta.forecast import TaskForecast
from gennas.predictors.meta.predictor import MetaPredictor
from gennas.predictors.quality import Z90
from gennas.spaces import get_space
from gennas.testing import check_predictor


@pytest.fixture(scope="module")
def forecast() -> TaskForecast:
    world = World(ArchBasis.of_space(NB201, SIZED, width=6))
    known = world.tasks(20, 40)
    return MetaPredictor.fit(world.basis, FACTS, known).forecast(facts_of(known[0]))


@pytest.fixture(scope="module")
def predictor(forecast: TaskForecast) -> ForecastPredictor:
    return ForecastPredictor(NoPredictor(), "leaves", forecast)


def test_it_is_a_predictor(predictor: ForecastPredictor) -> None:
    assert predictor.metrics == ("accuracy@leaves",)
    check_predictor(predictor, NB201)


def test_a_masked_graph_has_the_moments_of_its_completions(
    predictor: ForecastPredictor, forecast: TaskForecast
) -> None:
    whole_graphs = GraphBatch.from_archs(drawn(NB201, 6), NB201.template)
    graph = whole_graphs.with_mask(whole_graphs.random_mask(torch.Generator().manual_seed(0), count=2))
    index = (predictor._places[torch.arange(6), graph.choices()] * predictor._strides).sum(1)
    for row in range(6):
        whole = completions(graph[torch.tensor([row])], NB201)
        mean, std = forecast.logits(whole)
        assert float(predictor.mean[index[row]]) == pytest.approx(mean.mean(), abs=1e-4)
        variance = np.mean(np.square(std)) + mean.var()
        assert float(predictor.variance[index[row]]) == pytest.approx(variance, rel=1e-3)


def test_a_choice_is_the_graph_with_that_choice_made(predictor: ForecastPredictor) -> None:
    masked = partly_masked(NB201, 5)
    decisions = masked.masked_decisions().float().argmax(1, keepdim=True)
    graph = masked.with_mask(torch.nn.functional.one_hot(decisions[:, 0], 6).bool())
    mean, std = predictor.score_choices(graph, decisions)
    allowed = NB201.template.allowed[1]
    for choice in np.flatnonzero(allowed).tolist():
        one_mean, one_std = predictor.score(graph.decide(decisions, torch.full_like(decisions, choice)))
        torch.testing.assert_close(mean[:, 1 + choice], one_mean)
        torch.testing.assert_close(std[:, 1 + choice], one_std)


def test_in_units_it_is_the_forecast(predictor: ForecastPredictor, forecast: TaskForecast) -> None:
    rng = np.random.default_rng(4)
    archs = [NB201.sample(rng) for _ in range(60)]
    graph = GraphBatch.from_archs(archs, NB201.template)
    mean, std = predictor.predict(graph)
    expected, expected_std = forecast.predict(archs)
    np.testing.assert_allclose(mean[:, 0], expected, atol=0.01)
    np.testing.assert_allclose(std[:, 0], expected_std, atol=0.01)
    score, score_std = predictor.score(graph)
    ends = [predictor.scores.value_of(0, score[:, 0] + side * Z90 * score_std[:, 0]) for side in (-1, 1)]
    interval = forecast.interval(archs)
    for found, column in zip(ends, (1, 2), strict=True):
        np.testing.assert_allclose(found, interval[:, column], atol=0.01)


def test_a_large_space_is_refused(forecast: TaskForecast) -> None:
    from dataclasses import replace

    large = get_space("nasbench101")
    basis = ArchBasis(large, SIZED, forecast.basis.reference, forecast.basis.projection, forecast.basis.centre)
    with pytest.raises(InvalidInputError, match="too many graphs"):
        ForecastPredictor(NoPredictor(), "leaves", replace(forecast, basis=basis))
