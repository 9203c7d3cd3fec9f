"""The probability of success: learnt from whatever failed, before the first success too, and from nothing else."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from surrogate_toys import ACCURACY, ARCHS, LATENCY, ONE, SPACE, TASK

from gennas.search.base import History
from gennas.search.inputs import Inputs
from gennas.search.success import LATEST, Success

HALF = np.median(LATENCY) / 2
POOLED = np.array(["avg_pool_3x3~0" in arch.key for arch in ARCHS])
UNRELATED = np.random.default_rng(7).random(len(ARCHS)) < 0.3


@cache
def inputs() -> Inputs:
    return Inputs(SPACE, TASK, ONE.metrics)


def history_of(fails: np.ndarray, rows: np.ndarray | slice) -> History:
    """Some archs, of which those that fail have no value."""
    archs = [arch for arch, _ in zip(np.array(ARCHS, dtype=object)[rows], ACCURACY[rows], strict=True)]
    failed = fails[rows]
    values = np.where(failed, np.nan, ACCURACY[rows])[:, None]
    return History(tuple(archs), values, np.zeros(len(archs), bool), failed, ("random",) * len(archs))


def probability(fails: np.ndarray, rows: np.ndarray | slice) -> np.ndarray:
    """Of all archs."""
    success = Success.of(inputs(), history_of(fails, rows))
    assert success is not None
    return success.log_probability(inputs().of(ARCHS)).exp().numpy()


def share_ordered(values: np.ndarray, fails: np.ndarray) -> float:
    """Of pairs of an arch that succeeds and one that fails, how many are in order: 0.5 by chance."""
    return float((values[~fails][:, None] > values[fails]).mean())


@pytest.mark.parametrize(
    ("fails", "count", "least"),
    [(LATENCY > HALF, 12, 0.97), (LATENCY < HALF, 20, 0.97), (POOLED, 40, 0.85)],
    ids=["large", "small", "pooled"],
)
def test_what_fails_is_learnt(fails: np.ndarray, count: int, least: float) -> None:
    values = probability(fails, slice(count))
    assert share_ordered(values[count:], fails[count:]) > least


def test_before_the_first_success_small_and_different_archs_are_likelier_to_succeed() -> None:
    order = np.argsort(LATENCY)
    failed = order[-10:-5]
    values = probability(np.ones(len(ARCHS), bool), failed)
    assert values[order[:20]].min() > 0.5 > values[failed].max()
    # Those as large as what failed, but others, are likelier than what failed.
    assert values[order[-5:]].mean() > 2 * values[failed].mean()


def test_the_more_fails_the_less_is_expected_of_what_is_like_it() -> None:
    everything, order = np.ones(len(ARCHS), bool), np.argsort(LATENCY)
    few, many = (probability(everything, order[-count:])[order[-40:-20]].mean() for count in (2, 10))
    assert many < few


def test_failures_that_have_nothing_to_do_with_the_archs_do_not_count() -> None:
    for count in (60, 120):
        assert Success.of(inputs(), history_of(UNRELATED, slice(count))) is None
    # Of few it cannot be said; then they hardly count.
    values = probability(UNRELATED, slice(8))
    assert values.max() < 5 * values.min()


def test_what_was_stopped_at_a_bound_neither_succeeded_nor_failed() -> None:
    history = history_of(LATENCY > HALF, slice(20))
    history.values[~history.failed] = np.nan
    alone = history_of(np.ones(len(ARCHS), bool), np.flatnonzero(history.failed))
    both = [Success.of(inputs(), one) for one in (history, alone)]
    points = inputs().of(ARCHS[20:60])
    first, second = (one.log_probability(points).numpy() for one in both if one is not None)
    np.testing.assert_array_equal(first, second)


def test_without_failures_there_is_nothing_to_learn() -> None:
    assert Success.of(inputs(), history_of(np.zeros(len(ARCHS), bool), slice(20))) is None


def test_only_the_latest_outcomes_are_learnt_from() -> None:
    count = LATEST + 50
    archs = (ARCHS * 2)[:count]
    failed = np.arange(count) < 40
    values = np.where(failed, np.nan, 0.5)[:, None]
    history = History(tuple(archs), values, np.zeros(count, bool), failed, ("random",) * count)
    assert Success.of(inputs(), history) is None


def test_what_is_likely_to_fail_counts_less_than_its_probability_once_much_has_failed() -> None:
    success = Success.of(inputs(), history_of(LATENCY > HALF, slice(40)))
    assert success is not None
    assert success.is_cautious
    points = inputs().of(ARCHS)
    plain, weight = success.log_probability(points), success.log_weight(points)
    likely = (plain >= np.log(0.5)).numpy()
    np.testing.assert_array_equal(plain[likely], weight[likely])
    assert (weight[~likely] < plain[~likely]).all()
    early = Success.of(inputs(), history_of(np.ones(len(ARCHS), bool), slice(3)))
    assert early is not None
    assert not early.is_cautious
    np.testing.assert_array_equal(early.log_weight(points), early.log_probability(points))
