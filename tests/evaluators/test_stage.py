"""Stages: which evaluator is given which of several tasks."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gennas.errors import InvalidInputError
from gennas.evaluators.costs import CostEvaluator
from gennas.evaluators.reported import ReportedEvaluator
from gennas.evaluators.stage import Stage, stages_of
from gennas.evaluators.table import TableEvaluator
from gennas.evaluators.train import TrainEvaluator
from gennas.spaces import get_space
from gennas.tables import Table
from gennas.tasks import get_task
from gennas.training.recipe import Recipe

SPACE = get_space("nasbench201")
TASKS = [get_task(name) for name in ("cifar10", "cifar100", "digits")]
KEY = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"
FRAME = pd.DataFrame({"accuracy@cifar10": [0.9], "accuracy@cifar100": [0.6]}, index=pd.Index([KEY], name="key"))
TABLE = Table("one", "nasbench201", FRAME, {}, (), {}, Path("one.csv"))


def test_an_evaluator_is_given_the_tasks_for_which_it_promises_more() -> None:
    trainer = TrainEvaluator(SPACE, Recipe(), Path("networks"))
    of_table = TableEvaluator(TABLE, ["accuracy@cifar100"])
    told = ReportedEvaluator(("accuracy@cifar10", "accuracy@cifar100"))
    evaluators = [CostEvaluator(SPACE), of_table, told, trainer]
    stages = [(type(one.evaluator).__name__, one.task.name) for one in stages_of(evaluators, TASKS)]
    assert stages == [
        ("CostEvaluator", "cifar10"),
        ("TableEvaluator", "cifar100"),
        ("ReportedEvaluator", "cifar10"),
        ("TrainEvaluator", "cifar10"),
        ("TrainEvaluator", "cifar100"),
        ("TrainEvaluator", "digits"),
    ]
    assert [one.is_common for one in stages_of(evaluators, TASKS)] == [True, *[False] * 5]


def test_a_stage_stays_what_it_is() -> None:
    stage = Stage(TableEvaluator(TABLE, ["accuracy@cifar100"]), TASKS[1])
    assert stages_of([stage], TASKS) == (stage,)
    assert stage.metrics == ("accuracy@cifar100",)


def test_what_is_of_use_for_no_task_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="accuracy@cifar100 is the accuracy on another task"):
        stages_of([TableEvaluator(TABLE, ["accuracy@cifar100"])], [TASKS[0], TASKS[2]])
