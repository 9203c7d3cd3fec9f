"""What comes next: the folder that a printed command names takes what the command trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gennas.cli.following import evaluated_on, free_folder
from gennas.cli.options import NetworkOptions
from gennas.errors import InvalidInputError
from gennas.evaluators.latency_spec import LatencySpec
from gennas.spaces import get_space
from gennas.spaces.network_part import stored_space
from gennas.studies.study import Study
from gennas.tasks import get_task
from gennas.training.recipe import RECIPES, Recipe

SPACE, TASK = get_space("nasbench201"), get_task("digits")


def run(folder: Path, **other: Any) -> None:
    """The folder of a validation by the defaults, but for some settings."""
    config = {
        "space": stored_space(SPACE),
        "task": {"name": "digits", "input_shape": [3, 32, 32], "images": "some"},
        "objective": "accuracy@digits, -latency_ms@cpu",
        "method": "given",
        "recipe": Recipe().settings,
        "latency": LatencySpec().conditions,
        "seed": 0,
    }
    with Study.open(folder, config | other):
        pass


def test_a_folder_of_the_same_trainings_is_gone_on_with(tmp_path: Path) -> None:
    named = str(tmp_path / "run")
    assert free_folder(named, TASK, SPACE) == named
    run(tmp_path / "run")
    assert free_folder(named, TASK, SPACE) == named


@pytest.mark.parametrize(
    "other",
    [
        {"space": {"name": "nasbench201", "skeleton": {"channels": 4, "cells": 1}}},
        {"task": {"name": "shapes", "input_shape": [3, 32, 32]}},
        {"task": "unknown"},
        {"recipe": Recipe(epochs=1).settings},
        {"method": "generate"},
    ],
)
def test_a_folder_of_something_else_is_left_alone(other: dict[str, Any], tmp_path: Path) -> None:
    run(tmp_path / "run", **other)
    assert free_folder(str(tmp_path / "run"), TASK, SPACE) == str(tmp_path / "run-2")
    (tmp_path / "run-2").write_text("mine")
    (tmp_path / "run-3").mkdir()
    (tmp_path / "run-3" / "config.yaml").write_text("[")
    assert free_folder(str(tmp_path / "run"), TASK, SPACE) == str(tmp_path / "run-4")


def test_evaluated_archs_of_another_task_name_it_and_another_folder(tmp_path: Path) -> None:
    run(tmp_path / "run", task={"name": "shapes", "input_shape": [3, 32, 32]})
    with pytest.raises(InvalidInputError) as caught:
        evaluated_on(str(tmp_path / "run"), TASK, "digits", SPACE, NetworkOptions())
    assert "run is of task 'shapes', and has accuracies of 0 archs on task 'digits'; expected at least 3. " in str(
        caught.value
    )
    assert f"--out {tmp_path / 'run-2'}" in str(caught.value)


def test_a_folder_is_for_one_recipe(tmp_path: Path) -> None:
    run(tmp_path / "run", recipe=RECIPES["tiny"].settings)
    named = str(tmp_path / "run")
    assert free_folder(named, TASK, SPACE, "tiny") == named
    assert free_folder(named, TASK, SPACE) == f"{named}-2"
