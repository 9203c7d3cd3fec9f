"""Which evaluators are chosen for a problem, one of a user's own among them: one class and one registration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from gennas.errors import DataMissingError, InvalidInputError, UnknownNameError
from gennas.evaluators import EVALUATORS
from gennas.evaluators.base import Evaluator
from gennas.evaluators.context import EvaluatorContext
from gennas.evaluators.latency_spec import LatencySpec
from gennas.evaluators.selection import evaluators_of
from gennas.metrics import KINDS, Metric, MetricKind, Objective, register_metric
from gennas.problem import Problem
from gennas.search.run import search_archs
from gennas.search.settings import Measuring
from gennas.spaces import get_space
from gennas.studies.study import Study
from gennas.tables import Table, load_table
from gennas.tasks import Task, get_task
from gennas.testing import check_evaluator
from gennas.training.recipe import Recipe
from gennas.user_files import load_file

SPACE, TASK = get_space("nasbench201"), get_task("cifar10")
OWN = """
from gennas.evaluators import EVALUATORS, Evaluator
from gennas.metrics import MetricKind, register_metric

register_metric(MetricKind("size_kb", "kB", "min", "arch"))

@EVALUATORS.register("size_kb")
class SizeEvaluator(Evaluator):
    source = "sized"
    def __init__(self, space): self.space = space
    def metrics(self, task): return ("size_kb",)
    def evaluate(self, arch, *, task, seed=0, fidelity=None):
        return {"size_kb": 4000 * self.space.costs(arch, task)["params_m"]}
"""


@pytest.fixture(autouse=True)
def _registries_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for registry in (EVALUATORS, KINDS):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))  # type: ignore[attr-defined]


@pytest.fixture
def own(tmp_path: Path) -> type[Evaluator]:
    (tmp_path / "size.py").write_text(OWN)
    load_file(tmp_path / "size.py")
    return EVALUATORS.get("size-kb")


def chosen(objective: str, table: Table | None = None, task: Task = TASK, folder: Path | None = None) -> list[str]:
    problem = Problem(SPACE, task, Objective.parse(objective))
    return [type(one).__name__ for one in evaluators_of(problem, table, Recipe(), LatencySpec(), folder)]


def test_an_evaluator_of_ones_own_is_one_class_and_one_registration(own: type[Evaluator], tmp_path: Path) -> None:
    check_evaluator(own(SPACE), SPACE, TASK)  # type: ignore[call-arg]
    problem = Problem(SPACE, TASK, Objective.parse("-size_kb"))
    result = search_archs(problem, 6, policy="random", study=tmp_path / "run", workers=2)
    rows = Study(tmp_path / "run").find(metric="size_kb")
    assert len(rows) == 6
    assert {row.source for row in rows} == {"sized"}
    params = {row.arch: row.value for row in Study(tmp_path / "run").find(metric="params_m")}
    assert all(row.value == pytest.approx(4000 * params[row.arch]) for row in rows)
    assert result.best[0].metrics["size_kb"] == min(row.value for row in rows)


def test_ones_own_beside_a_table(own: type[Evaluator], tmp_path: Path) -> None:
    table = load_table("nasbench201")
    frame = table.frame[["test_accuracy@cifar10"]].set_axis(["latency_ms@cpu"], axis=1)
    quick = Table("quick", "nasbench201", frame, {}, ())
    assert chosen("-latency_ms@cpu, -size_kb", quick) == ["CostEvaluator", "TableEvaluator", "SizeEvaluator"]
    problem = Problem(SPACE, TASK, Objective.parse("-latency_ms@cpu, -size_kb"))
    measuring = Measuring(table=quick)
    result = search_archs(problem, 5, policy="random", evaluators=measuring, study=tmp_path / "run")
    assert {"latency_ms@cpu", "size_kb"} <= set(result.best[0].metrics)


def test_what_nobody_asks_for_is_not_evaluated(own: type[Evaluator]) -> None:
    assert chosen("-latency_ms@cpu") == ["CostEvaluator", "LatencyEvaluator"]


def test_a_metric_without_an_evaluator_says_how_to_register_one(tmp_path: Path) -> None:
    register_metric(MetricKind("size_kb", "kB", "min", "arch"))
    with pytest.raises(InvalidInputError, match=r"size_kb cannot be evaluated here.*@EVALUATORS.register\('size_kb'\)"):
        chosen("-size_kb")
    with pytest.raises(UnknownNameError, match="size_kb"):
        chosen("-size_kb", load_table("nasbench201"))


class Own(Evaluator):
    """Takes nothing, and trains in a way of its own."""

    source = "trained-elsewhere"

    def metrics(self, task: Task) -> tuple[str, ...]:
        return (f"accuracy@{task.name}",)

    def evaluate(self, arch: object, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        return {f"accuracy@{task.name}": 0.5}


class Later(Own):
    """Is made only for what it is asked for."""

    @classmethod
    def make(cls, context: EvaluatorContext, wanted: Sequence[Metric]) -> Later | None:
        return cls() if any(metric.kind.name == "accuracy" for metric in wanted) else None


def test_ones_own_comes_before_training_and_after_a_table() -> None:
    EVALUATORS.register("own", Own)
    assert chosen("accuracy@cifar10, -latency_ms@cpu") == ["CostEvaluator", "LatencyEvaluator", "Own"]
    frame = load_table("nasbench201").frame[["test_accuracy@cifar10"]].set_axis(["accuracy@cifar10"], axis=1)
    assert chosen("accuracy@cifar10", Table("t", "nasbench201", frame, {}, ())) == ["CostEvaluator", "TableEvaluator"]
    EVALUATORS.register("later", Later)
    assert chosen("accuracy@cifar10") == ["CostEvaluator", "Later"], "what was registered last is asked first"


def test_a_file_of_the_table_that_is_missing_is_told() -> None:
    table = Table("t", "nasbench201", load_table("nasbench201").frame, {"accuracy@cifar10": "download it"}, ())
    with pytest.raises(DataMissingError, match="download it"):
        chosen("accuracy@cifar10", table)


def test_networks_need_a_folder() -> None:
    with pytest.raises(InvalidInputError, match="study is None; give a run folder"):
        chosen("accuracy@digits", task=get_task("digits", image_size=8))
