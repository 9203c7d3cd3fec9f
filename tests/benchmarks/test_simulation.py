"""Runs on a table: the order of draws, failures, costs, and what a policy must not do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from gennas.arch import Arch
from gennas.benchmarks.simulation import simulate
from gennas.errors import InvalidInputError
from gennas.evaluators.costs import CostEvaluator
from gennas.evaluators.table import TableEvaluator
from gennas.metrics import Constraint, Objective
from gennas.problem import Problem
from gennas.search.base import History, Policy, Proposal
from gennas.search.loop import run
from gennas.search.policies.registry import make_policy
from gennas.spaces import get_space
from gennas.studies.study import Study
from gennas.tables import load_table
from gennas.tasks import get_task

SPACE = get_space("nasbench201")
ARCHS = [arch for row, arch in enumerate(SPACE.enumerate()) if row % 400 == 0]
PROBLEM = Problem(SPACE, get_task("cifar10"), Objective.parse("accuracy@cifar10"))
VALUES = pd.DataFrame(
    {"accuracy@cifar10": np.linspace(0, 1, len(ARCHS)), "test_accuracy@cifar10": np.linspace(1, 0, len(ARCHS))},
    index=[arch.key for arch in ARCHS],
)


class InOrder(Policy):
    """Proposes a list from its beginning, and remembers what it was told."""

    name = "in_order"

    def __init__(self, archs: Sequence[Arch]) -> None:
        self.archs, self.told, self.draws, self.asked = archs, [], [], []

    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        self.told.append(history)
        self.draws.append(rng.random())
        self.asked.append(q)
        start = len(history.archs)
        return [Proposal(arch, f"word{start}") for arch in self.archs[start : start + q]]


def test_rows_are_those_of_the_table_in_the_order_proposed() -> None:
    policy = InOrder(ARCHS)
    run = simulate(PROBLEM, policy, VALUES, budget=12, batch=5, seed=3)
    assert run.keys == list(VALUES.index[:12])
    pd.testing.assert_frame_equal(run.values, VALUES.iloc[:12])
    assert policy.asked == [5, 5, 2]
    assert run.batches == (0,) * 5 + (1,) * 5 + (2,) * 2
    assert run.proposed_by == ("word0",) * 5 + ("word5",) * 5 + ("word10",) * 2
    assert not run.failed.any()
    assert len(run.seconds) == 3
    assert min(run.seconds) >= 0


def test_every_batch_has_the_generator_of_a_real_run() -> None:
    policy = InOrder(ARCHS)
    simulate(PROBLEM, policy, VALUES, budget=6, batch=2, seed=9)
    assert policy.draws == [np.random.default_rng([9, batch]).random() for batch in range(3)]


def test_policies_see_the_problem_s_metrics_only() -> None:
    policy = InOrder(ARCHS)
    simulate(PROBLEM, policy, VALUES, budget=4, batch=2, seed=0)
    assert policy.told[0].values.shape == (0, 1)
    assert policy.told[1].values.tolist() == VALUES.iloc[:2, :1].to_numpy().tolist()
    assert not policy.told[1].pending.any()


def test_unknown_values_are_failures_that_count() -> None:
    policy = InOrder(ARCHS)
    holes = VALUES.drop(index=ARCHS[1].key)
    holes.loc[ARCHS[2].key, "accuracy@cifar10"] = np.nan
    holes.loc[ARCHS[3].key, "test_accuracy@cifar10"] = np.nan  # only reported: no failure
    run = simulate(PROBLEM, policy, holes, budget=5, batch=5, seed=0)
    assert run.failed.tolist() == [False, True, True, False, False]
    assert np.isnan(run.values["accuracy@cifar10"]).tolist() == [False, True, True, False, False]


def test_costs_that_the_table_lacks_are_computed() -> None:
    problem = Problem(
        SPACE, PROBLEM.task, Objective.parse("accuracy@cifar10, -macs_m"), (Constraint.parse("params_m <= 1"),)
    )
    policy = InOrder(ARCHS)
    run = simulate(problem, policy, VALUES, budget=4, batch=2, seed=0)
    for row, arch in enumerate(ARCHS[:4]):
        costs = SPACE.costs(arch, problem.task)
        assert run.values.iloc[row][["macs_m", "params_m"]].tolist() == [costs["macs_m"], costs["params_m"]]
    assert policy.told[1].values[:, 1].tolist() == run.values["macs_m"].tolist()[:2]


def test_a_policy_without_further_archs_ends_the_run() -> None:
    run = simulate(PROBLEM, InOrder(ARCHS[:3]), VALUES, budget=10, batch=2, seed=0)
    assert run.keys == [arch.key for arch in ARCHS[:3]]
    nothing = simulate(PROBLEM, InOrder([]), VALUES, budget=10, batch=2, seed=0)
    assert nothing.values.empty
    assert nothing.archs == ()


@pytest.mark.parametrize("archs", [[ARCHS[0], ARCHS[0]], [ARCHS[0], ARCHS[1], ARCHS[0], ARCHS[2]]])
def test_an_arch_proposed_twice_is_refused(archs: list[Arch]) -> None:
    with pytest.raises(InvalidInputError, match=r"'in_order' proposed .*none.* again"):
        simulate(PROBLEM, InOrder(archs), VALUES, budget=4, batch=2, seed=0)


def test_more_archs_than_asked_for_are_refused() -> None:
    class Eager(InOrder):
        def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
            return super().propose(q + 1, history, rng)

    with pytest.raises(InvalidInputError, match="proposed 3 archs; expected at most 2"):
        simulate(PROBLEM, Eager(ARCHS), VALUES, budget=4, batch=2, seed=0)


def test_a_table_without_the_metric_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"has no accuracy@cifar10; it has test_accuracy@cifar10"):
        simulate(PROBLEM, InOrder(ARCHS), VALUES[["test_accuracy@cifar10"]], budget=4, batch=2, seed=0)


@pytest.mark.parametrize(("budget", "batch"), [(0, 1), (1, 0)])
def test_a_budget_or_batch_of_nothing_is_refused(budget: int, batch: int) -> None:
    with pytest.raises(InvalidInputError, match="at least 1"):
        simulate(PROBLEM, InOrder(ARCHS), VALUES, budget=budget, batch=batch, seed=0)


@pytest.mark.parametrize("policy", ["random", "regularised_evolution", "gennas"])
def test_a_simulated_run_is_a_real_one(policy: str) -> None:
    """What a benchmark says of a policy, a search on the table does."""
    problem, table = Problem("nasbench_graph", "cora"), load_table("nasbench_graph")
    options = {"first": "3", "sought": "300"} if policy == "gennas" else {}
    values = table.frame[["accuracy@cora"]]
    simulated = simulate(problem, make_policy(policy, problem, options), values, budget=8, batch=4, seed=1)
    study = Study.in_memory()
    evaluators = (CostEvaluator(problem.space), TableEvaluator(table, ["accuracy@cora"]))
    made = make_policy(policy, problem, options)
    history = run(problem, made, evaluators, study, budget=8, batch=4, seed=1)
    assert simulated.archs == history.archs
    np.testing.assert_array_equal(simulated.values["accuracy@cora"], history.values[:, 0])
