"""accuracy_int8: one training for it and the accuracy; chosen by validation images, calibrated on training images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gennas.arch import Arch
from gennas.errors import InvalidInputError, UnknownNameError
from gennas.evaluators import int8 as int8_module
from gennas.evaluators.int8 import Int8Evaluator
from gennas.evaluators.latency_spec import LatencySpec
from gennas.evaluators.selection import evaluators_of
from gennas.evaluators.train import Trained, TrainEvaluator
from gennas.executors.inline import InlineExecutor
from gennas.export.mixed_precision import Attempt, Quantised
from gennas.problem import Problem
from gennas.search.run import search_archs
from gennas.search.settings import Measuring
from gennas.spaces import Space, get_space
from gennas.studies.study import Study
from gennas.tables import load_table
from gennas.tasks import Task, get_task
from gennas.testing import check_evaluator
from gennas.training.recipe import Recipe

RECIPE = Recipe(epochs=1, batch_size=128)


@pytest.fixture(scope="module")
def space() -> Space:
    return get_space("nasbench201", "channels=4,cells=1")


@pytest.fixture(scope="module")
def task() -> Task:
    return get_task("digits", image_size=8)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of the archs that are trained."""
    trained: list[str] = []
    train = TrainEvaluator.train

    def counted(self: TrainEvaluator, arch: Arch, **settings: Any) -> Trained:
        trained.append(arch.key)
        return train(self, arch, **settings)

    monkeypatch.setattr(TrainEvaluator, "train", counted)
    return trained


@pytest.mark.parametrize("objective", ["accuracy_int8", "accuracy, accuracy_int8"])
def test_a_search_trains_each_arch_once(
    objective: str, space: Space, task: Task, trainings: list[str], tmp_path: Path
) -> None:
    problem = Problem(space, task, objective, ["accuracy_int8 >= 0"])
    settings = {"policy": "random", "evaluators": Measuring(recipe=RECIPE), "study": tmp_path / "run"}
    with InlineExecutor() as executor:
        search_archs(problem, 2, workers=executor, **settings)  # type: ignore[arg-type]
        assert len(trainings) == len(set(trainings)) == 2
        search_archs(problem, 2, workers=executor, **settings)  # type: ignore[arg-type]
    assert len(trainings) == 2
    study = Study(tmp_path / "run")
    for metric in ("accuracy", "accuracy_int8"):
        rows = study.find(metric=f"{metric}@digits")
        assert {row.arch for row in rows} == set(trainings)
        assert {row.source for row in rows} == {"trained"}
        assert {row.recipe for row in rows} == {RECIPE.hash}


def test_the_contract_of_evaluators(space: Space, task: Task, tmp_path: Path) -> None:
    check_evaluator(Int8Evaluator(TrainEvaluator(space, RECIPE, tmp_path)), space, task)


def test_only_where_it_is_asked_for(space: Space, task: Task, tmp_path: Path) -> None:
    def chosen(objective: str) -> list[str]:
        problem = Problem(space, task, objective)
        return [type(one).__name__ for one in evaluators_of(problem, None, RECIPE, LatencySpec(), tmp_path)]

    assert chosen("accuracy") == ["CostEvaluator", "TrainEvaluator"]
    assert chosen("accuracy_int8") == ["CostEvaluator", "Int8Evaluator"]
    assert chosen("accuracy, accuracy_int8") == ["CostEvaluator", "Int8Evaluator"]


def test_a_table_has_no_accuracy_in_int8(tmp_path: Path) -> None:
    table = load_table("nasbench201")
    problem = Problem("nasbench201", "cifar10", "accuracy_int8")
    with pytest.raises(UnknownNameError, match="accuracy_int8@cifar10"):
        evaluators_of(problem, table, RECIPE, LatencySpec(), tmp_path)


def test_what_collapses_does_not_count_as_the_float_network(
    space: Space, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = tuple(Attempt("min-max", per_channel, (), 0.1 + 0.1 * per_channel) for per_channel in (True, False))
    collapsed = Quantised(b"", None, 0.9, attempts, 5)
    monkeypatch.setattr(int8_module, "quantise_for", lambda task, document, exclude, normalise: collapsed)
    evaluator = Int8Evaluator(TrainEvaluator(space, RECIPE, tmp_path))
    values = evaluator.evaluate(space.sample(np.random.default_rng(0)), task=task)
    assert values["accuracy_int8@digits"] == 0.2


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU trains in float16")
def test_a_recipe_that_cannot_be_used_here_is_refused_before_any_work(space: Space, task: Task, tmp_path: Path) -> None:
    measuring = Measuring(recipe=replace(RECIPE, precision="float16"))
    problem = Problem(space, task, f"accuracy_int8@{task.name}")
    with pytest.raises(InvalidInputError, match="needs a GPU"):
        search_archs(problem, 1, evaluators=measuring, policy="random", study=tmp_path / "run")
    assert not (tmp_path / "run" / "study.sqlite").exists()
