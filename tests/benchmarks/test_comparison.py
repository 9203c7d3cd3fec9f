"""Paired tests against values computed by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gennas.benchmarks.comparison import Comparison, compared, corrected, losses

NAN = float("nan")


def pair(p: float, name: str = "a") -> Comparison:
    return Comparison(name, "b", 10, -1.0, p, p)


def test_holm_multiplies_by_the_tests_that_are_left() -> None:
    # 3 x 0.01; 2 x 0.02 = 0.04; then 0.03, which may not be below the one before.
    found = corrected([pair(0.03, "z"), pair(0.01, "x"), pair(0.02, "y")])
    assert [one.first for one in found] == ["x", "y", "z"]
    assert [one.corrected for one in found] == pytest.approx([0.03, 0.04, 0.04])
    assert [one.is_better for one in found] == [True, True, True]
    # 4 x 0.02 is above the level, and so is all that follows; no p-value exceeds 1.
    found = corrected([pair(0.02), pair(0.02), pair(0.03), pair(0.9)])
    assert [one.corrected for one in found] == pytest.approx([0.08, 0.08, 0.08, 0.9])
    assert not any(one.is_better for one in found)
    assert [one.corrected for one in corrected([pair(0.8), pair(0.9)])] == [1.0, 1.0]


def test_signed_ranks_of_a_few_seeds_by_hand() -> None:
    # Six differences of one sign: two of the 2^6 sign patterns are as extreme.
    better = {seed: 0.1 * seed for seed in range(6)}
    worse = {seed: 0.1 * seed + 0.01 * (seed + 1) for seed in range(6)}
    (one,) = compared({"worse": worse, "better": better})
    assert (one.first, one.second, one.pairs) == ("better", "worse", 6)
    assert one.p == pytest.approx(2 / 64)
    assert one.difference == pytest.approx(-0.035)
    assert one.is_better
    # Five are too few, whatever they say.
    (few,) = compared({"worse": {s: worse[s] for s in range(5)}, "better": better})
    assert (few.pairs, few.p) == (5, pytest.approx(2 / 32))
    assert not few.is_better


def test_one_small_difference_the_other_way() -> None:
    # Ranks 2..6 against rank 1: of the 64 sign patterns, a smaller sum of 0 or 1 comes up twice on either side.
    differences = [-0.02, -0.03, 0.01, -0.04, -0.05, -0.06]
    (one,) = compared({"a": dict(enumerate(differences)), "b": dict.fromkeys(range(6), 0.0)})
    assert one.first == "a"
    assert one.p == pytest.approx(4 / 64)
    assert not one.is_better


def test_the_ranks_say_who_is_ahead_and_nobody_is_better_against_the_median() -> None:
    # One is never worse, better on 14 of 30 seeds, and equal on the others: nothing speaks for the other one.
    often = {seed: 1.0 + seed / 100 if seed < 14 else 0.5 for seed in range(30)}
    for found in ({"a": often, "b": dict.fromkeys(range(30), 0.5)}, {"b": dict.fromkeys(range(30), 0.5), "a": often}):
        (tied,) = compared(found)
        assert (tied.first, f"{tied.difference:g}", tied.is_better) == ("b", "0", False)
        assert tied.p < 0.001
    # Slightly better on 17 seeds, far worse on 13: ranks 18 to 30 add up to 312, ranks 1 to 17 to 153.
    signed = {seed: -0.001 * (seed + 1) if seed < 17 else float(seed) for seed in range(30)}
    (opposed,) = compared({"a": signed, "b": dict.fromkeys(range(30), 0.0)})
    assert (opposed.first, opposed.difference) == ("b", pytest.approx(0.0025))
    # As sure as can be, and still not better.
    (sure,) = corrected([replace(opposed, p=1e-9)])
    assert sure.corrected < 0.05
    assert not sure.is_better


def test_only_seeds_of_both_are_paired_and_equal_runs_decide_nothing() -> None:
    (one,) = compared({"a": {0: 0.5, 1: 0.2}, "b": {1: 0.2, 2: 0.1}})
    assert (one.pairs, one.difference, one.p, one.is_better) == (1, 0.0, 1.0, False)
    (none,) = compared({"a": {0: 0.5}, "b": {1: 0.2}})
    assert (none.pairs, none.p) == (0, 1.0)
    assert compared({"alone": {0: 0.5}}) == []


def test_methods_that_only_differ_by_chance_are_hardly_ever_told_apart() -> None:
    """Of 200 comparisons of five equal methods over 20 seeds, at most about one in twenty finds any difference."""
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(200):
        values = rng.random((5, 20))
        found = compared({str(method): dict(enumerate(row.tolist())) for method, row in enumerate(values)})
        assert len(found) == 10
        wrong += any(one.is_better for one in found)
    # Mean 10 at the level, std 3.1; without the correction it would be over 50.
    assert wrong <= 20


def run(seed: int, **curves: list[float | None]) -> dict[str, object]:
    return {"seed": seed, "curves": curves}


def test_losses_are_areas_under_curves() -> None:
    found = losses({"a": [run(3, regret=[0.4, 0.2, 0.0])], "b": [run(3, regret=[0.3, 0.1])]}, budget=4)
    # A run that ended stays where it was.
    assert found == {"a": {3: pytest.approx(0.6 / 4)}, "b": {3: pytest.approx(0.6 / 4)}}
    found = losses({"a": [run(0, regret=[0.4, 0.2, 0.0])]}, budget=2)
    assert found["a"][0] == pytest.approx(0.3)


def test_losses_of_several_objectives_are_what_is_missing_of_the_hypervolume() -> None:
    found = losses({"a": [run(0, hypervolume=[0.2, 0.6])]}, budget=2)
    assert found["a"][0] == pytest.approx(0.6)


def test_what_found_nothing_yet_counts_as_the_worst_of_all_runs() -> None:
    runs = {"a": [run(0, regret=[None, None, 0.1])], "b": [run(0, regret=[0.5, 0.1, 0.1])]}
    assert losses(runs, budget=3)["a"][0] == pytest.approx((0.5 + 0.5 + 0.1) / 3)
    assert losses({"a": [run(0, regret=[None, None])]}, budget=2)["a"][0] == 0.0
