"""TPE learns from the history, all of it."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace

import numpy as np
import optuna
import pytest

from gennas.errors import DataMissingError
from gennas.metrics import Constraint, Objective
from gennas.problem import Problem
from gennas.search.base import History
from gennas.search.mutation import random_archs
from gennas.search.policies.tpe import Tpe
from gennas.spaces import get_space
from gennas.tasks import get_task

NB201 = get_space("nasbench201")
ONE = Problem(NB201, get_task("cifar10"), "accuracy")
BOUNDED = Problem(NB201, get_task("cifar10"), Objective.parse("accuracy"), (Constraint.parse("latency_ms@cpu <= 3"),))


def history_of(problem: Problem, count: int = 60) -> History:
    """The accuracy is the share of 3x3 convolutions; each takes a millisecond."""
    archs = random_archs(NB201, count, np.random.default_rng(0))
    convolutions = np.array([[arch.ops.count("nor_conv_3x3") / 6, arch.ops.count("nor_conv_3x3")] for arch in archs])
    none = np.zeros(count, dtype=bool)
    values = convolutions[:, : len(problem.metrics)]
    return History(tuple(archs), values, none, none, ("random",) * count)


def convolutions(problem: Problem, history: History) -> float:
    proposals = Tpe(problem).propose(12, history, np.random.default_rng(1))
    assert len(proposals) == 12
    assert {proposal.proposed_by for proposal in proposals} == {"drawn"}
    return float(np.mean([proposal.arch.ops.count("nor_conv_3x3") for proposal in proposals]))


def test_draws_what_good_archs_have_in_common() -> None:
    known = history_of(ONE)
    assert convolutions(ONE, known) > 2.2
    # The same archs with the opposite values.
    assert convolutions(ONE, replace(known, values=1 - known.values)) < 0.8


def test_bounds_and_failures_count() -> None:
    known = history_of(BOUNDED)
    unbounded = convolutions(ONE, history_of(ONE))
    broken = known.values[:, 1] > 1
    # A bound that was broken was found before anything else was evaluated.
    halved = replace(
        known, values=np.column_stack([np.where(broken, np.nan, known.values[:, 0]), 2 * known.values[:, 1]])
    )
    assert convolutions(BOUNDED, halved) < unbounded - 0.5
    failed = known.values[:, 1] > 1
    assert convolutions(ONE, replace(history_of(ONE), failed=failed)) < unbounded - 0.5


def test_running_archs_are_not_counted_as_good() -> None:
    known = history_of(ONE)
    best = known.values[:, 0] > 0.4
    running = replace(known, pending=best, values=np.where(best[:, None], np.nan, known.values))
    assert convolutions(ONE, running) < convolutions(ONE, known)


def test_optuna_is_as_loud_afterwards_as_before(caplog: pytest.LogCaptureFixture) -> None:
    before = optuna.logging.get_verbosity()
    with caplog.at_level(logging.DEBUG, logger="optuna"):
        optuna.logging.enable_propagation()
        try:
            Tpe(ONE).propose(2, history_of(ONE, 20), np.random.default_rng(0))
        finally:
            optuna.logging.disable_propagation()
    assert not caplog.records
    assert optuna.logging.get_verbosity() == before


def test_without_optuna_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(DataMissingError, match=r"tpe needs optuna.*pip install 'gennas\[bench\]'"):
        Tpe(ONE).propose(2, history_of(ONE, 20), np.random.default_rng(0))
