"""Selections: each arch the best given those before it."""

from __future__ import annotations

import pytest
import torch
from surrogate_toys import ARCHS, BOUND, ONE, TWO, acquisition_of

from gennas.problem import Problem
from gennas.search.selection import select_outcomes


@pytest.mark.parametrize("problem", [ONE, BOUND, TWO], ids=["one", "bound", "two"])
def test_each_is_the_best_given_those_before_and_what_is_pending(problem: Problem) -> None:
    acquisition = acquisition_of(problem, 40, 3)
    choices = acquisition.surrogate.inputs.of(ARCHS[40:100])
    rows, values = select_outcomes(acquisition, choices, 3)
    taken: list[int] = []
    for row, value in zip(rows, values, strict=True):
        given = acquisition.fantasize(torch.cat([acquisition.pending, choices[taken]])).values(choices)
        given[taken] = -torch.inf
        assert row == int(given.argmax())
        assert value == pytest.approx(float(given.max()))
        taken.append(row)


@pytest.mark.parametrize("problem", [ONE, BOUND, TWO], ids=["one", "bound", "two"])
def test_selections_are_distinct_good_and_repeatable(problem: Problem) -> None:
    acquisition = acquisition_of(problem, 40, 3)
    choices = acquisition.surrogate.inputs.of(ARCHS[40:100])
    rows, values = select_outcomes(acquisition, choices, 4)
    assert len(set(rows)) == len(values) == 4
    assert rows == select_outcomes(acquisition, choices, 4)[0]
    each = acquisition.values(choices)
    assert each[rows].mean() > each.mean()


def test_archs_that_compute_the_same_are_two_selections() -> None:
    acquisition = acquisition_of(ONE)
    one = acquisition.surrogate.inputs.of(ARCHS[50:51])
    other = acquisition.surrogate.inputs.of(ARCHS[60:61])
    rows, _ = select_outcomes(acquisition, torch.cat([one, one, other]), 3)
    assert sorted(rows) == [0, 1, 2]
