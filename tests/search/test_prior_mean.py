"""What is known of metrics before any evaluation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from surrogate_toys import ACCURACY, ARCHS, LATENCY, ONE, SPACE, TWO

from gennas.checkpoint import Checkpoint
from gennas.graph import GraphBatch
from gennas.metrics import Metric
from gennas.search.prior_mean import PredictorPrior, TablePrior
from gennas.tables import Table


def test_a_predictor_tells_where_a_latency_is_by_the_values_that_it_predicts() -> None:
    predictor = Checkpoint("nasbench201").predictor
    prior, metric = PredictorPrior(predictor, SPACE), Metric.parse("latency_ms@raspi4")
    predicted = predictor.predict(GraphBatch.from_archs(ARCHS, SPACE.template))[0]
    predicted = predicted[:, predictor.metrics.index(metric.name)].numpy()
    functions = prior.of(ARCHS, metric).mean(1)
    for bound in np.quantile(predicted, [0.1, 0.5, 0.9]):
        score = prior.score_of(metric, float(bound))
        assert score is not None
        assert ((functions <= score) == (predicted <= bound)).mean() > 0.93


def test_it_does_not_where_others_stand_in_for_a_metric() -> None:
    predictor = Checkpoint("nasbench201").predictor
    for prior in (PredictorPrior(predictor, SPACE), PredictorPrior(predictor, SPACE, ["latency_ms@raspi4"])):
        assert prior.score_of(Metric.parse("latency_ms@mine"), 3.0) is None
        assert prior.score_of(Metric.parse("accuracy@cifar10"), 0.9) is None
    assert prior.score_of(Metric.parse("latency_ms@raspi4"), 3.0) is None


def table_of(columns: dict[str, np.ndarray]) -> Table:
    """A user's table of all archs."""
    return Table("mine", SPACE.name, pd.DataFrame(columns, [arch.key for arch in ARCHS]), {}, ())


def test_a_constant_metric_of_a_table_says_nothing() -> None:
    table = table_of({"accuracy@mine": np.full(200, 0.1), "accuracy@digits": ACCURACY})
    prior = TablePrior.of_others(table, ONE)
    assert prior is not None
    assert prior.metrics == ("accuracy@digits",)
    assert TablePrior.of_others(table_of({"accuracy@mine": np.full(200, 0.1)}), ONE) is None


def test_a_metric_of_a_table_is_known_of_its_own_archs() -> None:
    at = np.arange(200)
    gaps = [at < 110, at >= 90, (at < 90) | (at >= 160)]
    columns = {f"accuracy@{number}": np.where(known, ACCURACY, np.nan) for number, known in enumerate(gaps)}
    prior = TablePrior.of_others(table_of({**columns, "accuracy@digits": ACCURACY}), ONE)
    assert prior is not None
    found = prior.of(ARCHS, ONE.metrics[0])
    for column, known in zip(found.T, [*gaps, at >= 0], strict=True):
        # The mean stands where nothing is known.
        assert (column[~known] == 0).all()
        assert column[known].mean() == pytest.approx(0, abs=1e-9)
        assert column[known].std() == pytest.approx(1)
        assert spearmanr(column[known], ACCURACY[known]).statistic > 0.9


def test_latencies_that_are_missing_take_no_accuracies_away() -> None:
    latency = np.where(np.arange(200) < 120, LATENCY, np.nan)
    table = table_of({"accuracy@digits": ACCURACY, "latency_ms@phone": latency})
    accuracies, both = TablePrior.of_others(table, ONE), TablePrior.of_others(table, TWO)
    assert accuracies is not None
    assert both is not None
    assert both.metrics == ("accuracy@digits", "latency_ms@phone")
    metric = ONE.metrics[0]
    np.testing.assert_array_equal(both.of(ARCHS, metric), accuracies.of(ARCHS, metric))
