"""Scales keep the order of values, and forget their units."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from surrogate_toys import ACCURACY as VALUES

from gennas.metrics import Metric
from gennas.search.scale import Scale

ACCURACY, LATENCY = Metric.parse("accuracy@cifar10"), Metric.parse("latency_ms@cpu")


@given(values=st.lists(st.floats(0.1, 1.0), min_size=2, max_size=20, unique=True), data=st.data())
def test_scales_keep_the_order_and_turn_it_where_less_is_better(values: list[float], data: st.DataObject) -> None:
    observed = np.array(values)
    asked = np.sort(np.array(data.draw(st.lists(st.floats(0.05, 2.0), min_size=2, max_size=9))))
    for make in (Scale.by_rank, Scale.by_size):
        assert (np.diff(make(ACCURACY, observed)(asked)) >= 0).all()
        assert (np.diff(make(LATENCY, observed)(asked)) <= 0).all()


def test_scores_by_rank_forget_units_and_outliers() -> None:
    plain = Scale.by_rank(ACCURACY, VALUES)(VALUES)
    bent = Scale.by_rank(ACCURACY, VALUES**9)(VALUES**9)
    np.testing.assert_allclose(plain, bent, atol=1e-9)
    assert abs(plain.mean()) < 0.05
    assert plain.std() == pytest.approx(1, abs=0.1)


def test_a_bound_outside_what_was_seen_lies_outside_its_scores() -> None:
    scale = Scale.by_rank(LATENCY, np.array([5.0, 7.0, 9.0]))
    faster, slower = scale(np.array([4.0, 10.0]))
    assert faster > scale(np.array([5.0]))[0]
    assert slower < scale(np.array([9.0]))[0]


def test_the_noise_of_values_is_that_of_scores() -> None:
    values = np.linspace(0.5, 0.9, 201)
    for scale in (Scale.by_rank(ACCURACY, values), Scale.by_size(ACCURACY, values)):
        rng, std = np.random.default_rng(0), 0.01
        drawn = np.concatenate([scale(values + rng.normal(0, std, len(values))) - scale(values) for _ in range(200)])
        assert scale.noise_of(values, std) == pytest.approx(float(np.square(drawn).mean()), rel=0.15)


@given(values=st.lists(st.floats(0.1, 1.0), min_size=2, max_size=20, unique=True))
def test_values_of_scores_are_the_values_again(values: list[float]) -> None:
    observed = np.unique(np.round(values, 3))
    asked = np.array([0.05, 0.3, 0.77, 1.4])
    for make in (Scale.by_rank, Scale.by_size):
        for metric in (ACCURACY, LATENCY):
            if len(observed) < 2:
                continue
            scale = make(metric, observed)
            np.testing.assert_allclose(scale.value_of(scale(observed)), observed, atol=1e-9)
            np.testing.assert_allclose(scale.value_of(scale(asked)), asked, atol=1e-6)
