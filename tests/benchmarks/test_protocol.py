"""The protocol in closed form: known curves, fronts and ranks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gennas.benchmarks.exact_front import BEYOND, Front
from gennas.benchmarks.protocol import (
    Queries,
    Statistics,
    against_cost,
    best_so_far,
    curves,
    mean_ranks,
    over_seeds,
    padded,
    queries_until,
    relative_improvement,
)
from gennas.pareto import hypervolume, pareto

NAN = float("nan")
#: The third fails, the fourth is as good on validation as the second but has a better test.
GAINS = np.array([0.5, 0.7, NAN, 0.7, 0.6, 0.9])
TESTS = np.array([0.6, 0.5, 0.99, 0.8, 0.95, 0.7])
COSTS = np.array([1.0, 2.0, 0.5, 4.0, 1.0, 1.0])


def test_curves_of_a_known_run() -> None:
    found = curves(GAINS, TESTS, COSTS, best=0.9)
    assert found.best.tolist() == [0.5, 0.7, 0.7, 0.7, 0.7, 0.9]
    # The test of the first arch with the best validation, however bad it is.
    assert found.selected_test.tolist() == [0.6, 0.5, 0.5, 0.5, 0.5, 0.7]
    # The best test seen is another thing; what failed was not seen.
    assert found.best_test.tolist() == [0.6, 0.6, 0.6, 0.8, 0.95, 0.95]
    np.testing.assert_allclose(found.regret, [0.4, 0.2, 0.2, 0.2, 0.2, 0.0], atol=1e-12)
    assert found.cost.tolist() == [1.0, 3.0, 3.5, 7.5, 8.5, 9.5]


def test_nothing_is_known_before_the_first_success() -> None:
    found = curves(np.array([NAN, NAN, 0.4]), np.array([0.1, 0.2, NAN]), np.ones(3), best=1.0)
    for curve in (found.best, found.regret, found.best_test):
        assert np.isnan(curve[:2]).all()
    assert found.regret[2] == pytest.approx(0.6)
    assert np.isnan(found.selected_test).all()
    empty = curves(np.array([]), np.array([]), np.array([]), best=1.0)
    assert len(empty.best) == len(empty.best_test) == 0


def test_queries_until_the_best() -> None:
    assert queries_until(GAINS, 0.9) == 6
    assert queries_until(GAINS, 0.7) == 2
    assert queries_until(GAINS, 0.91) is None


def test_runs_that_do_not_find_it_count_as_their_budget_and_are_counted() -> None:
    found = Queries.of([10, None, 30, None], budget=50)
    assert found.censored == 2
    assert found.statistics.mean == 35
    assert found.statistics.median == 40


def test_quartiles() -> None:
    statistics = Statistics.of([4, 1, 3, 2, 5])
    assert (statistics.mean, statistics.lower, statistics.median, statistics.upper) == (3, 2, 3, 4)
    assert (statistics.seeds, statistics.missing) == (5, 0)
    with_holes = Statistics.of([1, NAN, 3])
    assert (with_holes.mean, with_holes.lower, with_holes.upper) == (2, 1.5, 2.5)
    assert (with_holes.seeds, with_holes.missing) == (2, 1)
    nothing = Statistics.of([NAN])
    assert np.isnan(nothing.mean)
    assert (nothing.seeds, nothing.missing) == (0, 1)


def test_curves_over_seeds() -> None:
    found = over_seeds([np.array([1.0, 10.0]), np.array([3.0, 20.0]), np.array([8.0, 60.0])])
    assert found.index.tolist() == [1, 2]
    assert found["mean"].tolist() == [4, 30]
    assert found["median"].tolist() == [3, 20]
    assert found["lower"].tolist() == [2, 15]
    assert found["upper"].tolist() == [5.5, 40]


def test_a_run_that_ended_stays_where_it_was() -> None:
    assert padded(np.array([1.0, 2.0]), 4).tolist() == [1, 2, 2, 2]
    assert np.isnan(padded(np.array([]), 2)).all()


def test_curves_against_cost() -> None:
    costs, curve = np.array([1.0, 3.0, 7.0]), np.array([0.9, 0.5, 0.1])
    grid = np.array([0.5, 1.0, 2.9, 3.0, 6.0, 7.0, 100.0])
    found = against_cost(costs, curve, grid)
    assert np.isnan(found[0])
    assert found[1:].tolist() == [0.9, 0.9, 0.5, 0.5, 0.1, 0.1]


def test_relative_improvement() -> None:
    assert relative_improvement(0.94, 0.8) == pytest.approx(17.5)
    assert relative_improvement(0.8, 0.8) == 0
    # A loss that is to be small, as a negative number.
    assert relative_improvement(-0.6, -0.8) == pytest.approx(25)


def test_ranks_are_averaged_over_benchmarks() -> None:
    scores = pd.DataFrame(
        {"one": [0.9, 0.8, 0.7], "two": [0.5, 0.5, 0.6], "three": [NAN, 0.2, 0.1]}, index=["a", "b", "c"]
    )
    ranks = mean_ranks(scores)
    assert ranks["a"] == pytest.approx((1 + 2.5 + 3) / 3)
    assert ranks["b"] == pytest.approx((2 + 2.5 + 1) / 3)
    assert ranks["c"] == pytest.approx((3 + 1 + 2) / 3)
    assert ranks.index[0] == ranks.idxmin()


@given(st.lists(st.one_of(st.floats(0, 1), st.just(NAN)), min_size=1, max_size=20))
def test_the_best_so_far_is_the_maximum_of_what_was_seen(gains: list[float]) -> None:
    values = np.array(gains)
    for query, row in enumerate(best_so_far(values)):
        history = values[: query + 1]
        if np.isnan(history).all():
            assert row == -1
        else:
            assert values[row] == np.nanmax(history)
            assert row == np.flatnonzero(history == np.nanmax(history))[0]


#: Of accuracy and negative latency: two steps, and two archs that are dominated.
STEPS = np.array([[0.9, -10.0], [0.5, -2.0], [0.5, -3.0], [0.4, -9.0]])


def test_the_exact_front_of_known_archs() -> None:
    front = Front.of(np.vstack([STEPS, [NAN, -1.0], STEPS[0]]))
    assert sorted(map(tuple, front.gains)) == [(0.5, -2.0), (0.9, -10.0)]
    np.testing.assert_allclose(front.reference, [0.5 - BEYOND * 0.4, -10 - BEYOND * 8])
    # Two rectangles beyond the reference point (0.46, -10.8), of 0.44 x 0.8 and 0.04 x 8.8, that overlap in 0.04 x 0.8.
    assert front.volume == pytest.approx(0.44 * 0.8 + 0.04 * 8.8 - 0.04 * 0.8)


def test_shares_of_the_exact_front() -> None:
    front = Front.of(STEPS)
    assert front.share(STEPS) == pytest.approx(1)
    assert front.share(STEPS[:1]) == pytest.approx(0.44 * 0.8 / front.volume)
    assert front.share(STEPS[:0]) == 0
    # Worse than the whole front in accuracy: beyond the reference point.
    assert front.share(STEPS[3:]) == 0


def test_shares_query_by_query_are_those_of_what_was_seen() -> None:
    rng = np.random.default_rng(0)
    gains = np.stack([rng.random(60), -rng.random(60), rng.random(60)], axis=1)
    front = Front.of(gains)
    gains[7] = NAN
    shares = front.shares(gains)
    assert shares.tolist() == pytest.approx([front.share(gains[: n + 1]) for n in range(60)])
    assert (np.diff(shares) >= -1e-12).all()
    assert len(np.unique(shares)) > 5


def test_units_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    gains = np.stack([rng.random(40), -rng.random(40)], axis=1)
    in_seconds = gains * [100, 0.001]
    assert Front.of(gains).share(gains[:5]) == pytest.approx(Front.of(in_seconds).share(in_seconds[:5]))


def test_a_front_of_one_arch_has_a_volume() -> None:
    front = Front.of(np.array([[0.9, -2.0], [0.8, -3.0]]))
    assert front.volume == pytest.approx(0.09 * 0.2)
    assert front.share(np.array([[0.9, -2.0]])) == 1


def test_hypervolume_and_pareto_of_hand_made_archs() -> None:
    gains = np.array([[1.0, 3.0], [3.0, 1.0], [2.0, 2.0], [1.0, 1.0]])
    assert hypervolume(gains, np.zeros(2)) == pytest.approx(6)
    assert hypervolume(gains[:0], np.zeros(2)) == 0
    assert len(pareto(gains)) == 3
