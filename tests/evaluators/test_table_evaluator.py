"""Values of a table as an evaluator gives them, and what it refuses."""

from __future__ import annotations

import pytest

from gennas.errors import DataMissingError, InvalidInputError, UnknownNameError
from gennas.evaluators.base import EvaluationSettings
from gennas.evaluators.costs import CostEvaluator
from gennas.evaluators.table import TableEvaluator
from gennas.spaces import get_space
from gennas.tables import Table
from gennas.tasks import get_task

SPACE = get_space("nasbench201")


def test_values_are_those_of_the_table(tiny_table: Table) -> None:
    evaluator = TableEvaluator(tiny_table, ("latency_ms@cpu", "accuracy@cifar10"))
    key = tiny_table.frame.index[7]
    values = evaluator.evaluate(SPACE.parse(key), task=get_task("cifar10"), seed=3, fidelity=5)
    assert values == tiny_table.frame.loc[key, ["latency_ms@cpu", "accuracy@cifar10"]].to_dict()
    assert evaluator.metrics(get_task("cifar10")) == tuple(values)
    assert evaluator.conditions(3, 5) == EvaluationSettings()
    assert evaluator.is_instant


def test_values_that_the_table_does_not_have(tiny_table: Table) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'accuracy@cifar10'"):
        TableEvaluator(tiny_table, ("acuracy@cifar10",))
    with pytest.raises(InvalidInputError, match="no metrics to look up"):
        TableEvaluator(tiny_table, ())
    evaluator = TableEvaluator(tiny_table, ("accuracy@cifar10",))
    known = SPACE.parse(tiny_table.frame.index[0])
    with pytest.raises(InvalidInputError, match=r"accuracy@cifar10 is the accuracy on another task; .* 'cifar100'"):
        evaluator.evaluate(known, task=get_task("cifar100"))
    other = next(arch for arch in SPACE.enumerate() if arch.key not in tiny_table.frame.index)
    with pytest.raises(DataMissingError, match=r"has no accuracy@cifar10 for"):
        evaluator.evaluate(other, task=get_task("cifar10"))


def test_costs_are_those_of_the_space() -> None:
    arch = next(iter(SPACE.enumerate()))
    values = CostEvaluator(SPACE).evaluate(arch, task=get_task("cifar10"))
    assert values == {name: SPACE.costs(arch, get_task("cifar10"))[name] for name in ("params_m", "macs_m")}
