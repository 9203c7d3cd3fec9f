"""Orders of Pareto fronts whose beginnings are spread out."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gennas.pareto import front_numbers, mean_ranks, pareto_order, spread_order


def line(count: int) -> torch.Tensor:
    """A front of points at equal distances."""
    x = torch.linspace(0, 1, count, dtype=torch.double)
    return torch.stack([x, 1 - x], 1)


def test_the_ends_come_first_then_the_middle() -> None:
    assert set(spread_order(line(101), 2)) == {0, 100}
    assert spread_order(line(101), 3)[2] == 50
    assert set(spread_order(line(101), 5)) == {0, 25, 50, 75, 100}


def test_units_do_not_matter() -> None:
    assert spread_order(line(33) * torch.tensor([1000.0, 0.001]), 9) == spread_order(line(33), 9)


def test_one_column_is_sorted() -> None:
    values = torch.tensor([[1.0], [3.0], [2.0]])
    assert spread_order(values, 2) == pareto_order(values)[:2] == [1, 2]


@pytest.mark.parametrize("columns", [2, 3])
@given(seed=st.integers(0, 10**6), rows=st.integers(0, 30), count=st.integers(0, 40))
def test_front_after_front_and_every_row_once(columns: int, seed: int, rows: int, count: int) -> None:
    values = torch.from_numpy(np.random.default_rng(seed).integers(0, 5, (rows, columns)).astype(float))
    order = spread_order(values, count)
    assert len(order) == len(set(order)) == min(rows, count)
    numbers = front_numbers(values.numpy())[order]
    assert (np.diff(numbers) >= 0).all()
    if order:
        assert numbers.tolist() == sorted(front_numbers(values.numpy()))[: len(order)]


def test_mean_ranks_are_those_of_counting() -> None:
    gains = np.array([[0.9, 0.1], [0.8, 0.3], [0.9, 0.2], [0.1, 0.0]])
    # The two equal ones share ranks 1 and 2.
    assert mean_ranks(gains).tolist() == [(1.5 + 3) / 2, (3 + 1) / 2, (1.5 + 2) / 2, 4.0]
    assert mean_ranks(np.zeros((0, 2))).tolist() == []
