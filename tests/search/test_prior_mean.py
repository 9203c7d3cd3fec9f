"""What is known of metrics before any evaluation."""

from __future__ import annotations

import numpy as np
from surrogate_toys import ARCHS, SPACE

from gennas.checkpoint import Checkpoint
from gennas.graph import GraphBatch
from gennas.metrics import Metric
from gennas.search.prior_mean import PredictorPrior


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
