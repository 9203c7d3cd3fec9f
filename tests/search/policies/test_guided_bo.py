"""The gennas method: what it starts from, what it considers, and that it finds more than random search does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from gennas.arch import Arch
from gennas.benchmarks.ablations import FilteredDraws, ImprovementOfMeans, MutantsOnly, WholeSpace
from gennas.metrics import Constraint, Metric, Objective
from gennas.pareto import hypervolume
from gennas.problem import Problem
from gennas.search.base import History
from gennas.search.mutation import neighbours
from gennas.search.policies.guided_bo import GuidedBO
from gennas.search.prior_mean import Prior
from gennas.spaces import get_space
from gennas.tables import load_table
from gennas.tasks import get_task

SPACE, TASK = get_space("nasbench201"), get_task("cifar10")
ONE = Problem(SPACE, TASK, Objective.parse("accuracy@cifar10"))
TWO = Problem(SPACE, TASK, Objective.parse("accuracy@cifar10, -macs_m"))
#: What is shipped: test accuracies, which here stand for any values of a table.
ACCURACY = load_table("nasbench201").column("test_accuracy@cifar10")


class OtherTask(Prior):
    """The accuracy on another task."""

    def of(self, archs: list[Arch], metric: Metric) -> np.ndarray:
        if metric.kind.name != "accuracy":
            return np.empty((len(archs), 0))
        values = load_table("nasbench201").column("test_accuracy@cifar100").rank(pct=True)
        return values[[arch.key for arch in archs]].to_numpy(float)[:, None] * 4 - 2


@cache
def history_of(problem: Problem, count: int) -> History:
    rng = np.random.default_rng(2)
    archs = tuple(SPACE.parse(key) for key in rng.choice(ACCURACY.index.to_numpy(str), count, replace=False))
    columns = {"accuracy": [ACCURACY[arch.key] for arch in archs]}
    columns["macs_m"] = [SPACE.costs(arch, TASK)["macs_m"] for arch in archs]
    values = np.column_stack([columns[metric.kind.name] for metric in problem.metrics])
    nothing = np.zeros(count, dtype=bool)
    return History(archs, values, nothing, nothing, ("random",) * count)


def proposed(policy: GuidedBO, history: History, q: int = 5, seed: int = 0) -> list[Arch]:
    return [proposal.arch for proposal in policy.propose(q, history, np.random.default_rng(seed))]


def guided(problem: Problem, **options: Any) -> GuidedBO:
    """The method with a tenth of what it considers by default, in a tenth of the time."""
    return GuidedBO(problem, sought=300, **options)


def test_without_a_prior_the_first_archs_are_random() -> None:
    policy = guided(ONE)
    proposals = policy.propose(5, history_of(ONE, 5), np.random.default_rng(0))
    assert [proposal.proposed_by for proposal in proposals] == ["random"] * 5
    assert not any(SPACE.is_constant(proposal.arch) for proposal in proposals)


def test_a_prior_says_what_to_evaluate_first() -> None:
    archs = proposed(guided(ONE, prior=OtherTask()), History.nothing(ONE))
    ranks = ACCURACY.rank(ascending=False)
    assert np.mean([ranks[arch.key] for arch in archs]) < 200


class OtherTaskAndCosts(OtherTask):
    """In part what archs cost, too."""

    def of(self, archs: list[Arch], metric: Metric) -> np.ndarray:
        if metric.kind.name == "accuracy":
            return super().of(archs, metric)
        return np.log([[SPACE.costs(arch, TASK)["macs_m"]] for arch in archs]) - 4


def test_several_objectives_start_with_a_front_where_all_have_a_prior() -> None:
    proposals = guided(TWO, prior=OtherTaskAndCosts()).propose(5, History.nothing(TWO), np.random.default_rng(0))
    costs = np.array([SPACE.costs(proposal.arch, TASK)["macs_m"] for proposal in proposals])
    ranks = np.array([ACCURACY.rank(pct=True)[proposal.arch.key] for proposal in proposals])
    # Not five of the best: of fast ones, and of good ones.
    assert costs.max() > 2 * costs.min()
    assert ranks.max() > 0.95
    order = np.argsort(costs)
    assert ranks[order[-1]] > ranks[order[0]]


def test_several_objectives_start_at_random_where_one_has_no_prior() -> None:
    proposals = guided(TWO, prior=OtherTask()).propose(5, History.nothing(TWO), np.random.default_rng(0))
    assert [proposal.proposed_by for proposal in proposals] == ["random"] * 5


@pytest.mark.parametrize("method", [GuidedBO, FilteredDraws, MutantsOnly, WholeSpace, ImprovementOfMeans])
def test_it_and_its_ablations_propose_better_archs_than_random_search(method: type[GuidedBO]) -> None:
    history = history_of(ONE, 40)
    archs = proposed(method(ONE, sought=300), history)
    assert len({arch.key for arch in archs} - history.keys) == 5
    assert np.mean([ACCURACY[arch.key] for arch in archs]) > ACCURACY.quantile(0.8)


def test_the_guide_considers_what_the_whole_space_has_best() -> None:
    history = history_of(ONE, 40)
    found = GuidedBO(ONE).propose(5, history, np.random.default_rng(0))
    every = WholeSpace(ONE).propose(5, history, np.random.default_rng(0))
    assert {proposal.proposed_by for proposal in every} == {"enumerated"}
    assert found[0].acquisition_value == pytest.approx(every[0].acquisition_value, abs=0.5)


def test_two_objectives_are_both_followed() -> None:
    history = history_of(TWO, 40)
    archs = proposed(guided(TWO), history, q=8)
    values = np.array([[ACCURACY[arch.key], -SPACE.costs(arch, TASK)["macs_m"]] for arch in archs])
    observed, reference = history.values * [1, -1], np.array([0.5, -200.0])
    gained = hypervolume(np.vstack([observed, values]), reference) - hypervolume(observed, reference)
    # The most of 300 random batches is 1.8; a search for accuracy alone gains 0.25, one for low costs alone 0.9.
    assert gained > 2


def test_what_is_drawn_keeps_tight_bounds_on_costs() -> None:
    """One in 23 archs has so few parameters, and all of these have as many: nothing can be fitted to that."""
    problem = replace(ONE, where=(Constraint.parse("params_m <= 0.1"),))
    policy = guided(problem)
    fitting = [arch for arch in SPACE.enumerate() if policy.is_feasible(arch)]
    assert len({SPACE.costs(arch, TASK)["params_m"] for arch in fitting}) == 1
    archs = tuple(fitting[::20])
    values = np.array([[ACCURACY[arch.key], 0.07] for arch in archs])
    nothing = np.zeros(len(archs), dtype=bool)
    history = History(archs, values, nothing, nothing, ("random",) * len(archs))
    proposals = policy.propose(5, history, np.random.default_rng(0))
    assert {proposal.proposed_by for proposal in proposals} <= {"generated", "mutated"}
    assert all(policy.is_feasible(proposal.arch) for proposal in proposals)
    acquisition = policy.acquisition(history)
    assert acquisition is not None
    candidates = policy.candidates(acquisition, history, np.random.default_rng(0)).found
    assert len(candidates) > 0.6 * (len(fitting) - len(archs))


def test_a_space_within_bounds_is_searched_to_its_end() -> None:
    policy = guided(replace(ONE, where=(Constraint.parse("params_m >= 1.3"),)))
    archs = tuple(arch for arch in SPACE.enumerate() if policy.is_feasible(arch))
    assert len(archs) == 7
    for count in (5, 7):
        values = np.array([[ACCURACY[arch.key], 1.4] for arch in archs[:count]])
        nothing = np.zeros(count, dtype=bool)
        history = History(archs[:count], values, nothing, nothing, ("random",) * count)
        policy = replace(policy, first=5)
        assert set(proposed(policy, history)) == set(archs[count:])


def test_a_generator_that_draws_nothing_valid_leaves_mutants(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = guided(ONE)
    monkeypatch.setitem(vars(policy), "unguided", [])
    monkeypatch.setattr(GuidedBO, "_seek", lambda *asked: None)
    proposals = policy.propose(5, history_of(ONE, 40), np.random.default_rng(0))
    assert [proposal.proposed_by for proposal in proposals] == ["mutated"] * 5
    assert np.mean([ACCURACY[proposal.arch.key] for proposal in proposals]) > ACCURACY.quantile(0.8)


def test_a_generator_that_draws_nothing_valid_is_not_fatal_without_mutants(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = guided(ONE, mutants=0)
    monkeypatch.setitem(vars(policy), "unguided", [])
    proposals = policy.propose(3, history_of(ONE, 40), np.random.default_rng(0))
    assert [proposal.proposed_by for proposal in proposals] == ["random"] * 3


def test_where_uniform_draws_keep_no_bound_guided_ones_are_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = replace(ONE, where=(Constraint.parse("params_m <= 0.1"),))
    monkeypatch.setattr("gennas.search.policies.guided_bo.random_archs", lambda *asked: [])
    nothing = np.zeros(0, dtype=bool)
    policy, none = guided(problem), History((), np.empty((0, 2)), nothing, nothing, ())
    archs = proposed(policy, none, q=10)
    assert len({arch.key for arch in archs}) == 10
    assert all(map(policy.is_feasible, archs))


def test_the_same_generator_of_numbers_proposes_the_same() -> None:
    first, second = (proposed(guided(ONE), history_of(ONE, 20), seed=3) for _ in range(2))
    assert first == second
    policy = guided(ONE)
    proposed(policy, history_of(ONE, 15), seed=1)
    # What a policy remembers is only faster.
    assert proposed(policy, history_of(ONE, 20), seed=3) == first


def latency_of(archs: Sequence[Arch]) -> np.ndarray:
    """Something that is measured before an arch is trained, and that gennas cannot compute."""
    return np.array([SPACE.costs(arch, TASK)["macs_m"] / 10 for arch in archs])


def history_with_latency(accuracy: float, count: int = 12) -> History:
    archs = history_of(ONE, 60).archs
    slow = np.argsort(-latency_of(archs), kind="stable")[:count]
    archs = tuple(archs[row] for row in slow)
    values = np.column_stack([np.full(count, accuracy), latency_of(archs)])
    nothing = np.zeros(count, dtype=bool)
    return History(archs, values, nothing, nothing, ("random",) * count)


@pytest.mark.parametrize("prior", [None, OtherTask()])
def test_what_breaks_a_bound_teaches_it_before_anything_is_trained(prior: Prior | None) -> None:
    reference = latency_of(history_of(ONE, 300).archs)
    limit = float(np.quantile(reference, 0.2))
    problem = replace(ONE, where=(Constraint.parse(f"latency_ms@cpu <= {limit}"),))
    history = history_with_latency(np.nan)
    assert (history.values[:, 1] > limit).all()
    found = latency_of(proposed(guided(problem, prior=prior), history))
    # Of random archs one keeps it.
    assert (found <= limit).sum() >= 3


def test_an_objective_that_is_the_same_for_all_archs_does_not_stop_the_other() -> None:
    problem = Problem(SPACE, TASK, "accuracy@cifar10, -latency_ms@cpu")
    history = history_with_latency(1.0)
    found = latency_of(proposed(guided(problem), history))
    assert found.max() < history.values[:, 1].min()
    assert np.median(found) < np.quantile(latency_of(history_of(ONE, 300).archs), 0.25)


def test_with_nothing_whole_and_no_bound_the_prior_decides_or_chance() -> None:
    problem = Problem(SPACE, TASK, "accuracy@cifar10, -latency_ms@cpu")
    policy = guided(problem)
    proposals = policy.propose(3, history_with_latency(np.nan), np.random.default_rng(0))
    assert {proposal.proposed_by for proposal in proposals} == {"random"}


def failing_above(limit: float, count: int, problem: Problem = ONE) -> History:
    """Archs with more multiply-adds than so many millions have failed."""
    history = history_of(problem, count)
    failed = np.array([SPACE.costs(arch, TASK)["macs_m"] for arch in history.archs]) > limit
    return replace(history, values=np.where(failed[:, None], np.nan, history.values), failed=failed)


def costs_of(archs: Sequence[Arch]) -> np.ndarray:
    return np.array([SPACE.costs(arch, TASK)["macs_m"] for arch in archs])


@pytest.mark.parametrize("prior", [None, OtherTask()], ids=["no_prior", "prior"])
def test_where_everything_has_failed_smaller_archs_come_next(prior: Prior | None) -> None:
    history = failing_above(0, 6)
    usual = costs_of(proposed(guided(ONE, prior=prior), History.nothing(ONE), q=10))
    archs = proposed(guided(ONE, prior=prior), history, q=10)
    assert len({arch.key for arch in archs} - history.keys) == 10
    assert np.median(costs_of(archs)) < 0.5 * np.median(usual)
    # But not only the smallest, which succeed and are of no use.
    assert len(np.unique(costs_of(archs))) > 3


def test_what_is_expected_to_fail_is_not_proposed() -> None:
    history = failing_above(26, 40)
    assert 8 < (~history.failed).sum() < 20
    archs = proposed(guided(ONE), history, q=10)
    assert (costs_of(archs) <= 26).mean() >= 0.8
    # The best of what succeeds, not anything that does.
    small = [key for key in ACCURACY.index if SPACE.costs(SPACE.parse(key), TASK)["macs_m"] <= 26]
    assert np.median(ACCURACY[[arch.key for arch in archs]]) > ACCURACY[small].quantile(0.8)


def test_parents_of_mutants_have_not_failed() -> None:
    history = failing_above(26, 40)
    parents = {arch.key for arch, failed in zip(history.archs, history.failed, strict=True) if not failed}
    near = {other.key for key in parents for other in neighbours(SPACE, SPACE.parse(key))} | parents
    assert {arch.key for arch in guided(ONE).mutants_of_best(history, np.random.default_rng(0))} <= near


class Latencies(OtherTask):
    """What the latency will be, too: real multiply-adds stand for milliseconds."""

    def __init__(self, knows_accuracy: bool) -> None:
        self.knows_accuracy = knows_accuracy

    def of(self, archs: list[Arch], metric: Metric) -> np.ndarray:
        if metric.kind.name == "accuracy":
            return super().of(archs, metric) if self.knows_accuracy else np.empty((len(archs), 0))
        return np.log(costs_of(archs)[:, None]) - 4

    def score_of(self, metric: Metric, value: float) -> float | None:
        return float(np.log(value)) - 4 if metric.kind.name == "latency_ms" else None


@pytest.mark.parametrize("knows_accuracy", [True, False])
def test_bounds_count_before_anything_is_evaluated_as_far_as_they_are_predicted(knows_accuracy: bool) -> None:
    """One in four archs keeps this one, and none of the best by the prior."""
    problem = replace(ONE, where=(Constraint.parse("latency_ms@pixel3 <= 26"),))
    archs = proposed(guided(problem, prior=Latencies(knows_accuracy)), History.nothing(problem), q=10)
    assert (costs_of(archs) <= 26 * 1.3).mean() >= 0.8
    others = proposed(guided(problem, prior=OtherTask()), History.nothing(problem), q=10)
    assert (costs_of(others) <= 26 * 1.3).mean() <= 0.2
    if knows_accuracy:
        small = [key for key in ACCURACY.index if SPACE.costs(SPACE.parse(key), TASK)["macs_m"] <= 26 * 1.3]
        assert np.median(ACCURACY[[arch.key for arch in archs]]) > ACCURACY[small].quantile(0.9)


def test_a_bound_that_nothing_is_predicted_to_keep_still_leads_somewhere() -> None:
    problem = replace(ONE, where=(Constraint.parse("latency_ms@pixel3 <= 5"),))
    archs = proposed(guided(problem, prior=Latencies(True)), History.nothing(problem), q=10)
    assert costs_of(archs).max() < 20
