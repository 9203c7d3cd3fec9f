"""Problem: strings mean what they mean on the command line, and bounds hold, are broken, or are not known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gennas.errors import InvalidInputError, UnknownNameError
from gennas.metrics import Constraint, Metric, Objective
from gennas.problem import Problem
from gennas.spaces import get_space
from gennas.tasks import get_task


def test_strings_become_objects_with_their_targets() -> None:
    read = Problem(
        "NAS-Bench-201", "digits", "accuracy, -latency_ms", ["params_m <= 0.8"], "pixel3", skeleton="cells=1"
    )
    made = Problem(
        get_space("nasbench201", "cells=1"),
        get_task("digits"),
        Objective.parse("accuracy@digits, -latency_ms@pixel3"),
        (Constraint.parse("params_m <= 0.8"),),
        "pixel3",
    )
    assert read == made
    assert [metric.name for metric in read.metrics] == ["accuracy@digits", "latency_ms@pixel3", "params_m"]
    assert repr(read) == (
        "Problem('nasbench201', 'digits', 'accuracy@digits, -latency_ms@pixel3', where=['params_m <= 0.8'], "
        "hardware='pixel3')"
    )
    assert Problem("nasbench201", "digits", where="params_m <= 0.8").where == read.where
    assert Problem("nasbench201", "digits", image_size=8).task.input_shape == (3, 8, 8)


def test_a_copy_with_other_bounds() -> None:
    problem = Problem("nasbench201", "cifar10")
    assert replace(problem, where=("params_m <= 1",)).where == (Constraint.parse("params_m <= 1"),)


def test_metrics_as_a_user_writes_them() -> None:
    problem = Problem("nasbench201", "cifar10", hardware="pixel3")
    assert problem.metric("accuracy") == Metric.parse("accuracy@cifar10")
    assert problem.metric("latency_ms@cpu") == Metric.parse("latency_ms@cpu")
    assert problem.metric("latency_ms") == Metric.parse("latency_ms@pixel3")


def test_what_cannot_be_read_is_told() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'nasbench201'"):
        Problem("nasbench20", "digits")
    with pytest.raises(InvalidInputError, match="latency_ms"):
        Problem("nasbench201", "digits", "-latency_ms")
    with pytest.raises(InvalidInputError, match="skeleton is 'cells=1', but space is an object"):
        Problem(get_space("nasbench201"), "digits", skeleton="cells=1")
    with pytest.raises(InvalidInputError, match="image_size is 8, but task is an object"):
        Problem("nasbench201", get_task("digits"), image_size=8)


def test_bounds_that_hold_are_broken_or_not_known() -> None:
    problem = Problem("nasbench201", "cifar10", where=["params_m <= 1", "accuracy >= 0.9"])
    values = np.array([[0.95, 0.5], [0.85, 0.5], [0.95, 2.0], [np.nan, 0.5], [np.nan, 2.0]])
    assert problem.feasible(values).tolist() == [True, False, False, False, False]
    assert problem.broken(values).tolist() == [False, True, True, False, True]


def test_an_objective_named_twice_is_refused_once_its_target_is_known() -> None:
    with pytest.raises(InvalidInputError, match="names accuracy@cifar10 twice"):
        Problem("nasbench201", "cifar10", "accuracy, accuracy@cifar10", ["params_m <= 0.8"])
    with pytest.raises(InvalidInputError, match="names latency_ms@pixel3 twice"):
        Problem("nasbench201", "cifar10", "-latency_ms, -latency_ms@pixel3", hardware="pixel3")


def test_the_most_multiply_adds_within_bounds() -> None:
    problem = Problem("nasbench201", "cifar10", "+macs_m", ["macs_m <= 100", "latency_ms@pixel3 <= 5"])
    assert [metric.name for metric in problem.metrics] == ["macs_m", "latency_ms@pixel3"]
    assert problem.gains(np.array([[30.0, 4.0]])).tolist() == [[30.0]]
    assert problem.feasible(np.array([[30.0, 4.0], [200.0, 4.0]])).tolist() == [True, False]


def test_several_tasks_have_a_metric_each() -> None:
    problem = Problem("nasbench201", ["cifar10", "digits"], "accuracy, -params_m", ["accuracy >= 0.5", "macs_m <= 50"])
    assert [task.name for task in problem.tasks] == ["cifar10", "digits"]
    assert str(problem.objective) == "accuracy@cifar10, accuracy@digits, -params_m"
    assert list(map(str, problem.where)) == ["accuracy@cifar10 >= 0.5", "accuracy@digits >= 0.5", "macs_m <= 50"]
    assert repr(problem).startswith("Problem('nasbench201', ['cifar10', 'digits'], 'accuracy@cifar10, accuracy@digits,")
    assert problem == Problem("nasbench201", "cifar10", "accuracy, -params_m", problem.where, others=["digits"])
    fewer = problem.within([])
    assert (fewer.tasks, fewer.where) == (problem.tasks, ())
    own = problem.for_task(problem.tasks[1])
    assert own == Problem("nasbench201", "digits", "accuracy, -params_m", ["accuracy >= 0.5", "macs_m <= 50"])
    assert Problem("nasbench201", ["cifar10", "digits"]).objective == problem.objective.of_all_tasks()
    assert str(Problem("nasbench201", ["cifar10"]).objective) == "accuracy@cifar10"


def test_one_of_several_tasks_has_to_be_named() -> None:
    problem = Problem("nasbench201", ["cifar10", "digits"], hardware="pixel3")
    assert problem.metric("latency_ms") == Metric.parse("latency_ms@pixel3")
    with pytest.raises(InvalidInputError, match="several tasks; write one of accuracy@cifar10, accuracy@digits"):
        problem.metric("accuracy")
    with pytest.raises(InvalidInputError, match="names cifar10, digits; a generation is for one task"):
        problem.expect_one_task("a generation")


@pytest.mark.parametrize("tasks", [["digits", "digits"], ["digits", get_task("digits", image_size=8)]])
def test_tasks_of_one_name_are_refused(tasks: list[str]) -> None:
    with pytest.raises(InvalidInputError, match="names 'digits' twice"):
        Problem("nasbench201", tasks)
