"""SMAC3 learns from the history; bounds and failures are told as costs."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from smac.acquisition.maximizer.local_search import LocalSearch

from gennas.errors import DataMissingError
from gennas.metrics import Constraint, Objective
from gennas.problem import Problem
from gennas.search.base import History
from gennas.search.mutation import random_archs
from gennas.search.policies.smac import Smac, _costs, _order_starts
from gennas.spaces import get_space
from gennas.tasks import get_task

NB201, TASK = get_space("nasbench201"), get_task("cifar10")
ONE = Problem(NB201, TASK, "accuracy")
NAN = float("nan")


def convolutions(sign: int) -> float:
    """Of proposals after 50 archs whose accuracy is the share of 3x3 convolutions, or of everything else."""
    archs = random_archs(NB201, 50, np.random.default_rng(0))
    values = np.array([[sign * (arch.ops.count("nor_conv_3x3") / 6 - 0.5) + 0.5] for arch in archs])
    none = np.zeros(50, dtype=bool)
    history = History(tuple(archs), values, none, none, ("random",) * 50)
    policy = Smac(ONE, challengers=300, searches=3)
    # Twice as many as SMAC3 proposes of one forest.
    proposals = policy.propose(16, history, np.random.default_rng(1))
    assert {proposal.proposed_by for proposal in proposals} == {"modelled"}
    return float(np.mean([proposal.arch.ops.count("nor_conv_3x3") for proposal in proposals]))


def test_proposes_what_good_archs_have_in_common() -> None:
    # Of random archs it is 1.2.
    assert convolutions(1) > 1.8
    assert convolutions(-1) < 1.0


def test_local_searches_begin_in_an_order_that_no_hash_decides() -> None:
    rows = [np.array([2.0, 0.0]), np.array([0.0, 1.0]), np.array([0.0, 0.0])]
    configs = [Mock(get_array=Mock(return_value=row)) for row in rows]
    search = SimpleNamespace(_get_init_points_from_previous_configs=lambda previous, count, more: previous)
    _order_starts(SimpleNamespace(_local_search=search))
    for order in ([0, 1, 2], [2, 0, 1]):
        given = [configs[row] for row in order]
        assert search._get_init_points_from_previous_configs(given, 3, None) == [configs[2], configs[1], configs[0]]
    # SMAC3's own: were it called otherwise, setting it would change nothing.
    assert callable(LocalSearch._get_init_points_from_previous_configs)


def test_what_breaks_a_bound_costs_more_than_the_worst_that_keeps_it() -> None:
    problem = Problem(NB201, TASK, Objective.parse("accuracy"), (Constraint.parse("latency_ms@cpu <= 2"),))
    # The worst that keeps the bound has accuracy 0.5, and the range of those is 0.4: 4 ms are too much by a bound.
    values = np.array([[0.9, 1.0], [0.5, 2.0], [0.99, 4.0], [NAN, 3.0], [NAN, NAN]])
    expected = [-0.9, -0.5, -0.5 + 0.4 * 1.1, -0.5 + 0.4 * 0.6, -0.5 + 0.4 * 1.1]
    np.testing.assert_allclose(_costs(problem, values)[:, 0], expected)
    # Before any keeps it, those that break it less are better.
    costs = _costs(problem, values[2:])[:, 0]
    assert costs[1] < costs[0] == costs[2]


def test_several_objectives_have_a_cost_each() -> None:
    problem = Problem(NB201, TASK, Objective.parse("accuracy, -latency_ms@cpu"))
    costs = _costs(problem, np.array([[0.9, 5.0], [0.5, 1.0], [NAN, NAN]]))
    np.testing.assert_allclose(costs, [[-0.9, 5.0], [-0.5, 1.0], [-0.5 + 0.04, 5.0 + 0.4]])


def test_smac_is_as_loud_afterwards_as_before() -> None:
    log = logging.getLogger("smac")
    log.setLevel(logging.INFO)
    try:
        archs = random_archs(NB201, 12, np.random.default_rng(0))
        none = np.zeros(12, dtype=bool)
        values = np.random.default_rng(0).random((12, 1))
        history = History(tuple(archs), values, none, none, ("random",) * 12)
        Smac(ONE, challengers=20, searches=1).propose(1, history, np.random.default_rng(0))
        assert log.level == logging.INFO
    finally:
        log.setLevel(logging.NOTSET)


def test_without_smac_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smac", None)
    archs = random_archs(NB201, 10, np.random.default_rng(0))
    none = np.zeros(10, dtype=bool)
    history = History(tuple(archs), np.ones((10, 1)), none, none, ("random",) * 10)
    with pytest.raises(DataMissingError, match=r"smac needs SMAC3.*pip install 'gennas\[smac\]'"):
        Smac(ONE).propose(1, history, np.random.default_rng(0))
