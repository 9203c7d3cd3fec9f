"""A whole run, from what a user asks to what is best."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from loop_toys import Attentive, Toy
from loop_toys import problem as toy_problem

from gennas.checkpoint import Checkpoint
from gennas.errors import DataMissingError, InfeasibleError, InvalidInputError, StudyError
from gennas.evaluators.latency_spec import LatencySpec
from gennas.evaluators.predicted import PredictedEvaluator
from gennas.evaluators.selection import evaluators_of
from gennas.hardware import store
from gennas.metrics import Constraint, Objective
from gennas.problem import Problem
from gennas.search.loop import run
from gennas.search.policies.choice import PolicyChoice
from gennas.search.run import SearchResult, search_archs
from gennas.search.settings import Measuring, Storage
from gennas.spaces import get_space
from gennas.studies.study import Study
from gennas.tables import Table, load_table
from gennas.tasks import get_task
from gennas.training.recipe import Recipe

SPACE, CIFAR, DIGITS = get_space("nasbench201"), get_task("cifar10"), get_task("digits")
ACCURACY = Problem(SPACE, CIFAR, Objective.parse("accuracy@cifar10"))
Searched = Callable[..., SearchResult]
SMALL = Constraint.parse("params_m <= 0.3")


@pytest.fixture(scope="module")
def table() -> Table:
    """All cells, with a name that only tests give to test accuracies."""
    shipped = load_table("nasbench201")
    names = {f"test_accuracy@{task}": f"accuracy@{task}" for task in ("cifar10", "cifar100")}
    return replace(shipped, frame=shipped.frame[list(names)].rename(columns=names), missing={})


@pytest.fixture
def searched(table: Table, tiny_checkpoint: Path, tmp_path: Path) -> Searched:
    def run(
        problem: Problem = ACCURACY,
        budget: int = 20,
        *,
        out: Path = tmp_path / "run",
        policy: str = "gennas",
        prior: Literal["known", "none"] = "none",
        cache: str | None = None,
        checkpoint: Path | Checkpoint = tiny_checkpoint,
        seed: int = 0,
    ) -> SearchResult:
        return search_archs(
            problem,
            budget,
            # A tenth of what it considers by default.
            policy=PolicyChoice(policy, {"sought": "300"} if policy == "gennas" else {}, prior),
            evaluators=Measuring(table),
            study=Storage(out, cache=cache),
            checkpoint=checkpoint,
            seed=seed,
        )

    return run


def rows_of(folder: Path) -> list[tuple[str, str, float]]:
    return [(row.arch, row.metric, row.value) for row in Study(folder).find()]


def test_the_best_of_what_was_evaluated(searched: Searched, tmp_path: Path) -> None:
    result = searched()
    assert (result.proposed, result.evaluated, result.infeasible, result.failed) == (20, 20, 0, 0)
    values = {arch: value for arch, metric, value in rows_of(tmp_path / "run") if metric == "accuracy@cifar10"}
    (best,) = result.best
    assert len(values) == 20
    assert values[best.key] == max(values.values()) == best.metrics["accuracy@cifar10"]
    assert {"params_m", "macs_m"} < set(best.metrics)
    proposed_by = [one.proposed_by for one in Study(tmp_path / "run").proposals()]
    assert proposed_by[:10] == ["random"] * 10
    assert set(proposed_by[10:]) <= {"generated", "mutated"}


def test_stopped_and_repeated_it_is_the_same_run(searched: Searched, tmp_path: Path) -> None:
    searched(out=tmp_path / "whole")
    searched(out=tmp_path / "parts", budget=15)
    searched(out=tmp_path / "parts", budget=20)
    assert rows_of(tmp_path / "whole") == rows_of(tmp_path / "parts")


def test_another_checkpoint_is_refused(searched: Searched, tiny_checkpoint: Path, tmp_path: Path) -> None:
    searched(budget=5)
    moved = shutil.copytree(tiny_checkpoint, tmp_path / "moved")
    assert searched(budget=6, checkpoint=moved).proposed == 6
    with pytest.raises(StudyError, match=r"checkpoint\.generator has other content than before"):
        searched(checkpoint=Checkpoint("nasbench201"))
    with pytest.raises(InvalidInputError, match="trained on space 'nasbench101'; expected 'nasbench201'"):
        searched(checkpoint=Checkpoint("nasbench101"))


def test_a_baseline_uses_the_checkpoint_that_is_given(searched: Searched, tmp_path: Path) -> None:
    searched(policy="generator", budget=5)
    shipped = {"out": tmp_path / "shipped", "checkpoint": Checkpoint("nasbench201")}
    searched(policy="generator", budget=5, **shipped)
    assert rows_of(tmp_path / "run") != rows_of(tmp_path / "shipped")


def test_other_settings_are_refused(searched: Searched) -> None:
    searched(budget=5)
    with pytest.raises(StudyError, match="seed was 0, is now 1"):
        searched(seed=1)


def test_a_prior_from_other_tasks_is_better_from_the_first_batch_on(searched: Searched, tmp_path: Path) -> None:
    known = searched(prior="known", budget=5, out=tmp_path / "known")
    nothing = searched(budget=5, out=tmp_path / "nothing")
    assert known.best[0].metrics["accuracy@cifar10"] > nothing.best[0].metrics["accuracy@cifar10"]
    assert known.best[0].metrics["accuracy@cifar10"] > 0.93
    assert "accuracy@cifar100" in known.notes[0]


def test_bounds_on_costs_are_kept_by_every_proposal(searched: Searched, tmp_path: Path) -> None:
    result = searched(replace(ACCURACY, where=(SMALL,)))
    assert result.infeasible == 0
    params = [value for _, metric, value in rows_of(tmp_path / "run") if metric == "params_m"]
    assert max(params) <= 0.3


def test_two_objectives_give_the_front(searched: Searched, tmp_path: Path) -> None:
    problem = replace(ACCURACY, objective=Objective.parse("accuracy@cifar10, -params_m"))
    result = searched(problem)
    values_of = {}
    for arch, metric, value in rows_of(tmp_path / "run"):
        values_of.setdefault(arch, {})[metric] = value
    values = np.array([[one["accuracy@cifar10"], -one["params_m"]] for one in values_of.values()])
    beaten = [(values >= row).all(1) & (values > row).any(1) for row in values]
    front = {key for key, by in zip(values_of, beaten, strict=True) if not by.any()}
    assert {found.key for found in result.best} == front
    accuracies = [found.metrics["accuracy@cifar10"] for found in result.best]
    assert accuracies == sorted(accuracies, reverse=True)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        (["params_m <= 0.01"], r"satisfies 'params_m <= 0\.01': the smallest params_m .* is 0\.07"),
        (["params_m <= 0.3", "macs_m >= 150"], r"that was drawn keeps 'params_m <= 0\.3' and 'macs_m >= 150'"),
    ],
)
def test_bounds_on_costs_that_nothing_keeps_are_refused(
    searched: Searched, tmp_path: Path, bounds: list[str], message: str
) -> None:
    with pytest.raises(InfeasibleError, match=message):
        searched(replace(ACCURACY, where=tuple(map(Constraint.parse, bounds))))
    assert not (tmp_path / "run").exists()


def test_a_bound_that_nothing_keeps_is_reported(searched: Searched) -> None:
    problem = replace(ACCURACY, where=(Constraint.parse("accuracy@cifar10 >= 0.99"),))
    result = searched(problem)
    assert result.best == ()
    assert result.infeasible == 20


def test_what_nothing_here_can_evaluate_is_refused(tmp_path: Path) -> None:
    for metric, message in (
        (
            "latency_ms@watch",
            r"predicted are .*latency_ms@pixel3.*`table`.*gennas hardware add watch --csv FILE",
        ),
        ("latency_ms@cpu-laptop", r"name this machine as cpu or cuda, followed .*gennas hardware add cpu-laptop"),
        ("latency_ms@CPU-int8", r"name this machine as cpu or cuda, followed .*gennas hardware add CPU-int8"),
        ("energy_mj@watch", r"predicted are .*`table`"),
    ):
        problem = Problem(SPACE, DIGITS, Objective.parse(f"accuracy@digits, -{metric}"))
        with pytest.raises(InvalidInputError, match=f"{metric} cannot be evaluated here.*{message}"):
            evaluators_of(problem, None, Recipe(), LatencySpec(), tmp_path)
    # Neither accuracy nor the latency of this machine is ever predicted, though the predictor knows both.
    problem = Problem(SPACE, DIGITS, Objective.parse("accuracy@cifar10"))
    with pytest.raises(InvalidInputError, match="cannot be evaluated here"):
        evaluators_of(problem, None, Recipe(), LatencySpec(), tmp_path)
    with pytest.raises(DataMissingError, match="cifar100"):
        evaluators_of(
            Problem(SPACE, get_task("cifar100"), Objective.parse("accuracy@cifar100")), None, Recipe(), LatencySpec(),
            tmp_path,
        )  # fmt: skip


def test_cheap_evaluators_come_first(tmp_path: Path) -> None:
    problem = Problem(SPACE, DIGITS, Objective.parse("accuracy@digits, -latency_ms@cpu"))
    names = [type(one).__name__ for one in evaluators_of(problem, None, Recipe(), LatencySpec(), tmp_path)]
    assert names == ["CostEvaluator", "LatencyEvaluator", "TrainEvaluator"]


def test_what_cannot_be_measured_is_predicted_before_anything_is_trained(tmp_path: Path, phone: str) -> None:
    known, own = Constraint.parse("latency_ms@raspi4 <= 20"), Constraint.parse("latency_ms@phone <= 10")
    problem = Problem(SPACE, DIGITS, Objective.parse("accuracy@digits, -latency_ms@cpu"), (known, own))
    found = evaluators_of(problem, None, Recipe(), LatencySpec(), tmp_path)
    names = [type(one).__name__ for one in found]
    assert names == ["CostEvaluator", "PredictedEvaluator", "LatencyEvaluator", "TrainEvaluator"]
    assert found[1].metrics(DIGITS) == ("latency_ms@raspi4", "latency_ms@phone")


def test_what_breaks_a_predicted_bound_is_not_trained(tmp_path: Path, phone: str) -> None:
    bounded = toy_problem("latency_ms@phone <= 10")
    log, study = tmp_path / "trained", Study.in_memory()
    evaluator = PredictedEvaluator(Checkpoint("nasbench201"), SPACE, bounded.task, [bounded.metrics[1]])
    run(bounded, Attentive(), (evaluator, Toy(is_instant=True, log=log)), study, budget=20, batch=5, seed=0)
    predicted = {row.arch: row.value for row in study.find(source="predicted")}
    keeping = {key for key, value in predicted.items() if value <= 10}
    assert len(predicted) == 20
    assert 0 < len(keeping) < 20
    assert set(log.read_text().split()) == keeping


def test_a_predicted_bound_is_kept_said_and_never_shared(searched: Searched, tmp_path: Path, phone: str) -> None:
    cache = f"sqlite:///{tmp_path / 'cache.sqlite'}"
    problem = replace(ACCURACY, where=(Constraint.parse("latency_ms@phone <= 10"),))
    result = searched(problem, budget=15, cache=cache)
    rows = {(row.arch, row.metric): row for row in Study(tmp_path / "run").find()}
    predicted = {arch: row for (arch, metric), row in rows.items() if metric == "latency_ms@phone"}
    assert len(predicted) == 15
    assert {(row.source, row.hardware) for row in predicted.values()} == {("predicted", "phone")}
    for arch, row in predicted.items():
        assert ((arch, "accuracy@cifar10") in rows) == (row.value <= 10)
    assert 0 < result.infeasible < 15
    assert result.best[0].metrics["latency_ms@phone"] <= 10
    assert result.notes[0].startswith("latency_ms@phone: predicted, not measured")
    assert result.notes[1].startswith("latency_ms@phone is predicted from 10 measurements")
    with closing(sqlite3.connect(tmp_path / "cache.sqlite")) as shared:
        assert shared.execute("select count(*) from cached").fetchall() == [(0,)]


def test_a_predicted_study_goes_on_with_the_same_predictor_only(searched: Searched, tmp_path: Path, phone: str) -> None:
    problem = replace(ACCURACY, objective=Objective.parse("accuracy@cifar10, -latency_ms@phone"))
    searched(problem, out=tmp_path / "whole")
    searched(problem, budget=15)
    searched(problem)
    assert rows_of(tmp_path / "run") == rows_of(tmp_path / "whole")
    device = store.load("nasbench201", phone)
    store.add(replace(device, measurements=device.measurements[:9]))
    with pytest.raises(StudyError, match=r"predicted\.measurements\.phone has other content than before"):
        searched(problem)


def test_a_study_without_predicted_values_says_nothing_of_predictors(searched: Searched, tmp_path: Path) -> None:
    result = searched(budget=5)
    assert Study(tmp_path / "run").config["predicted"] is None
    assert result.notes == ()


def test_randomness_of_the_caller_is_left_alone(searched: Searched) -> None:
    torch.manual_seed(3)
    wanted = torch.rand(3)
    torch.manual_seed(3)
    searched(budget=15)
    assert torch.equal(torch.rand(3), wanted)


def test_a_table_may_be_given_by_its_name() -> None:
    problem = Problem("nasbench_graph", "cora")
    result = search_archs(problem, 4, policy="random", evaluators="nasbench_graph")
    assert result.evaluated == 4
    assert list(result.frame()["state"]) == ["done"] * 4
    assert result.study is None


def test_what_went_wrong_is_said_in_sentences() -> None:
    """How many failed and of what, which bound nothing keeps and how near the nearest came; nothing else."""
    failing = search_archs(toy_problem(), 8, policy=Attentive(), evaluators=[Toy(is_instant=True, fails="raises")])
    assert 0 < failing.failed < 8
    assert failing.notes == (f"{failing.failed} of 8 evaluations failed, with: RuntimeError: no memory for 3 bytes",)
    impossible = toy_problem("accuracy@cifar100 >= 1")
    bounded = search_archs(impossible, 8, policy=Attentive(), evaluators=[Toy(is_instant=True)])
    nearest = bounded.frame()["accuracy@cifar100"].max()
    (note,) = bounded.notes
    assert note == (
        f"none of the 8 archs that were looked at keeps 'accuracy@cifar100 >= 1'; the nearest has {nearest:.4g}. "
        "Loosen it, or raise `budget`."
    )
    more = search_archs(impossible, 30, policy=Attentive(), evaluators=[Toy(is_instant=True)])
    assert more.notes[0].endswith(" Loosen it."), "a larger budget is no advice"


def test_a_study_that_holds_more_than_the_budget_says_so(tmp_path: Path) -> None:
    def notes(budget: int) -> tuple[str, ...]:
        evaluators = [Toy(is_instant=True)]
        return search_archs(toy_problem(), budget, policy=Attentive(), evaluators=evaluators, study=tmp_path).notes

    assert notes(6) == ()
    assert notes(6) == ()
    assert notes(4) == ("the study held 6 evaluations before, more than `budget` 4; nothing was added.",)
