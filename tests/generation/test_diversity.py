"""Choosing: Pareto fronts against brute force, and the spread of a choice by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gennas.generation.diversity import spread
from gennas.pareto import pareto_order

points = st.integers(1, 3).flatmap(
    lambda m: st.lists(st.lists(st.integers(0, 4), min_size=m, max_size=m), min_size=1, max_size=12)
)


@given(points)
def test_pareto_order_against_brute_force(rows: list[list[int]]) -> None:
    def dominates(a: int, b: int) -> bool:
        return all(x >= y for x, y in zip(rows[a], rows[b], strict=True)) and rows[a] != rows[b]

    left, expected = list(range(len(rows))), []
    while left:
        front = [i for i in left if not any(dominates(j, i) for j in left)]
        expected += front
        left = [i for i in left if i not in front]
    assert pareto_order(torch.tensor(rows, dtype=torch.double)) == expected


def test_of_one_metric_the_larger_come_first_and_equal_ones_keep_their_order() -> None:
    assert pareto_order(torch.tensor([[1.0], [3.0], [2.0], [3.0]])) == [1, 3, 2, 0]


#: Rows that differ in 0 to 4 of four decisions.
CHOICES = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1], [0, 0, 1, 1], [2, 2, 2, 2]])


@pytest.mark.parametrize(
    ("order", "n", "diversity", "picked"),
    [
        ([3, 1, 4, 0, 2], 3, 0.0, [3, 1, 4]),
        # Fewer than asked: all of them, in their order.
        ([3, 1], 2, 0.9, [3, 1]),
        ([3, 1], 5, 0.9, [3, 1]),
        # Relevance 1, 3/4, 1/2, 1/4, 0. After 0: 1 is worth 3/8 + 1/8, 2 is worth 1/4 + 1/2, 3 is worth 1/8 + 1/4,
        # 4 is worth 0 + 1/2. After 2 then: 1 has 3/8 + 1/8, 3 has 1/8 + 1/4, 4 has 0 + 1/2; 1 and 4 tie.
        ([0, 1, 2, 3, 4], 2, 0.5, [0, 2]),
        ([0, 1, 2, 3, 4], 3, 0.5, [0, 2, 1]),
        ([0, 1, 2, 3, 4], 3, 0.51, [0, 2, 4]),
        # Nearly nothing but distance: 2 and 4 are far from 0, and 2 is the better; then 4, then 3 before 1.
        ([0, 1, 2, 3, 4], 4, 0.99, [0, 2, 4, 3]),
        # Nearly nothing but relevance.
        ([4, 3, 2, 1, 0], 4, 0.01, [4, 3, 2, 1]),
        # What is best comes first, whatever its row.
        ([4, 2, 3, 1, 0], 1, 0.9, [4]),
    ],
)
def test_spread_by_hand(order: list[int], n: int, diversity: float, picked: list[int]) -> None:
    assert spread(order, CHOICES, n, diversity) == picked


def test_with_nothing_but_distance_the_best_still_comes_first() -> None:
    assert spread([4, 2, 3, 1, 0], CHOICES, 1, 1.0) == [4]


@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 12), st.floats(0, 0.99))
def test_picks_are_distinct_and_as_many_as_there_can_be(seed: int, rows: int, n: int, diversity: float) -> None:
    rng = torch.Generator().manual_seed(seed)
    order = torch.randperm(rows, generator=rng).tolist()
    choices = torch.randint(3, (rows, 4), generator=rng)
    picked = spread(order, choices, n, diversity)
    assert len(picked) == len(set(picked)) == min(n, rows)
    assert set(picked) <= set(order)
    assert picked[0] == order[0]


@given(st.integers(0, 2**31))
def test_a_copy_of_what_was_picked_is_the_last_choice(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    choices = torch.randint(1000, (6, 4), generator=rng)
    choices[3] = choices[0]
    picked = spread([0, 3, 1, 2, 4, 5], choices, 5, 0.9)
    assert 3 not in picked
