"""Selection: Pareto fronts against brute force, and diverse selections by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gennas.generation.diversity import select_diverse
from gennas.pareto import pareto_order

points = st.integers(1, 3).flatmap(
    lambda m: st.lists(st.lists(st.integers(0, 4), min_size=m, max_size=m), min_size=1, max_size=12)
)


@given(points)
def test_pareto_order_against_brute_force(rows: list[list[int]]) -> None:
    def dominates(a: int, b: int) -> bool:
        return all(x >= y for x, y in zip(rows[a], rows[b], strict=True)) and rows[a] != rows[b]

    remaining, expected = list(range(len(rows))), []
    while remaining:
        front = [i for i in remaining if not any(dominates(j, i) for j in remaining)]
        expected += front
        remaining = [i for i in remaining if i not in front]
    assert pareto_order(torch.tensor(rows, dtype=torch.double)) == expected


def test_of_one_metric_the_larger_come_first_and_equal_ones_keep_their_order() -> None:
    assert pareto_order(torch.tensor([[1.0], [3.0], [2.0], [3.0]])) == [1, 3, 2, 0]


#: Rows that differ in 0 to 4 of four decisions.
CHOICES = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1], [0, 0, 1, 1], [2, 2, 2, 2]])


@pytest.mark.parametrize(
    ("order", "n", "diversity", "picked"),
    [
        ([3, 1, 4, 0, 2], 3, 0.0, [3, 1, 4]),
        # Fewer rows than requested: all of them, in their order.
        ([3, 1], 2, 0.9, [3, 1]),
        ([3, 1], 5, 0.9, [3, 1]),
        # Relevance 1, 3/4, 1/2, 1/4, 0. After 0: row 1 scores 3/8 + 1/8, 2 scores 1/4 + 1/2, 3 scores 1/8 + 1/4,
        # 4 scores 0 + 1/2. After 2: 1 scores 3/8 + 1/8, 3 scores 1/8 + 1/4, 4 scores 0 + 1/2; 1 and 4 tie.
        ([0, 1, 2, 3, 4], 2, 0.5, [0, 2]),
        ([0, 1, 2, 3, 4], 3, 0.5, [0, 2, 1]),
        ([0, 1, 2, 3, 4], 3, 0.51, [0, 2, 4]),
        # Almost only distance: 2 and 4 are far from 0, and 2 is the better one; then 4, then 3 before 1.
        ([0, 1, 2, 3, 4], 4, 0.99, [0, 2, 4, 3]),
        # Almost only relevance.
        ([4, 3, 2, 1, 0], 4, 0.01, [4, 3, 2, 1]),
        # The best comes first, whatever its index.
        ([4, 2, 3, 1, 0], 1, 0.9, [4]),
    ],
)
def test_diverse_selection_by_hand(order: list[int], n: int, diversity: float, picked: list[int]) -> None:
    assert select_diverse(order, CHOICES, n, diversity) == picked


def test_with_full_diversity_the_best_still_comes_first() -> None:
    assert select_diverse([4, 2, 3, 1, 0], CHOICES, 1, 1.0) == [4]


@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 12), st.floats(0, 0.99))
def test_picks_are_distinct_and_as_many_as_there_can_be(seed: int, rows: int, n: int, diversity: float) -> None:
    rng = torch.Generator().manual_seed(seed)
    order = torch.randperm(rows, generator=rng).tolist()
    choices = torch.randint(3, (rows, 4), generator=rng)
    picked = select_diverse(order, choices, n, diversity)
    assert len(picked) == len(set(picked)) == min(n, rows)
    assert set(picked) <= set(order)
    assert picked[0] == order[0]


@given(st.integers(0, 2**31))
def test_a_copy_of_a_selected_row_is_selected_last(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    choices = torch.randint(1000, (6, 4), generator=rng)
    choices[3] = choices[0]
    picked = select_diverse([0, 3, 1, 2, 4, 5], choices, 5, 0.9)
    assert 3 not in picked
