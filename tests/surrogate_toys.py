"""Real evaluations, and the surrogates and acquisitions that are fitted to them."""

from __future__ import annotations

import numpy as np

from gennas.metrics import Constraint, Objective
from gennas.problem import Problem
from gennas.search.acquisition import Acquisition
from gennas.search.base import History
from gennas.search.inputs import Inputs
from gennas.search.mutation import random_archs
from gennas.search.surrogate import ProblemSurrogate
from gennas.spaces import get_space
from gennas.tables import load_table
from gennas.tasks import get_task

SPACE, TASK = get_space("nasbench201"), get_task("cifar10")
FRAME = load_table("nasbench201").frame
ARCHS = random_archs(SPACE, 200, np.random.default_rng(1))
ACCURACY = np.array([FRAME.loc[arch.key, "test_accuracy@cifar10"] for arch in ARCHS])
#: Real multiply-adds stand for milliseconds.
LATENCY = np.array([SPACE.costs(arch, TASK)["macs_m"] for arch in ARCHS])
ONE = Problem(SPACE, TASK, Objective.parse("accuracy@cifar10"))
BOUND = Problem(SPACE, TASK, ONE.objective, (Constraint.parse("latency_ms@cpu <= 60"),))
TWO = Problem(SPACE, TASK, Objective.parse("accuracy@cifar10, -latency_ms@cpu"))


def history_of(problem: Problem, count: int, pending: int = 0) -> History:
    """The first ``count`` archs, of which the last ``pending`` are being evaluated."""
    values = np.column_stack([ACCURACY, LATENCY])[:count, : len(problem.metrics)].copy()
    running = np.arange(count) >= count - pending
    values[running] = np.nan
    return History(tuple(ARCHS[:count]), values, running, np.zeros(count, bool), ("random",) * count)


def acquisition_of(problem: Problem, count: int = 30, pending: int = 0) -> Acquisition:
    """The acquisition of these."""
    history = history_of(problem, count, pending)
    surrogate = ProblemSurrogate.fit(problem, Inputs(SPACE, TASK, problem.metrics), history)
    return Acquisition.of(problem, surrogate, history)
