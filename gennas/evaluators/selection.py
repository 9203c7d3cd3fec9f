"""Which evaluators give the metrics of a problem."""

from __future__ import annotations

from pathlib import Path

from gennas.checkpoint import Checkpoint
from gennas.errors import InvalidInputError
from gennas.evaluators.base import Evaluator
from gennas.evaluators.costs import CostEvaluator
from gennas.evaluators.latency import LatencyEvaluator
from gennas.evaluators.latency_spec import LatencySpec
from gennas.evaluators.predicted import PredictedEvaluator, predictable
from gennas.evaluators.table import TableEvaluator
from gennas.evaluators.train import TrainEvaluator
from gennas.problem import Problem
from gennas.spaces import address_of
from gennas.tables import Table
from gennas.training.recipe import Recipe


def evaluators_of(
    problem: Problem,
    table: Table | None,
    recipe: Recipe,
    latency: LatencySpec,
    folder: Path | None,
    checkpoint: Checkpoint | None = None,
) -> list[Evaluator]:
    """What gives the metrics of a problem, cheap evaluators first.

    Raises:
        InvalidInputError: a metric that nothing here can evaluate; says what could.
        DataMissingError: accuracy on a task without images, and no table; or the predictor is damaged.
    """
    task, left = problem.task, [metric for metric in problem.metrics if not metric.is_cost]
    evaluators: list[Evaluator] = [CostEvaluator(problem.space)]
    here = LatencyEvaluator(problem.space, latency)
    known = here.metrics(task) if table is None else (*table.metrics(), *table.missing)
    # The cpu is this machine, or the table's: the one that a predictor knows by that name is another.
    away = [m for m in left if m.kind.scope == "hardware" and m.target != "cpu" and m.name not in known]
    source = (checkpoint or Checkpoint.for_space(problem.space, "predictor")) if away else None
    source = source if source and "predictor" in source.parts else None
    foretold = [name for name in predictable(source, problem.space) if name not in known] if source else []
    asked = [metric for metric in away if metric.name in foretold]
    if source and asked:
        evaluators.append(PredictedEvaluator(source, problem.space, task, asked))
        left = [metric for metric in left if metric not in asked]
    if table is not None:
        names = [metric.name for metric in left]
        tests = [f"test_{name}" for name in names if f"test_{name}" in table.metrics()]
        return [*evaluators, TableEvaluator(table, [*names, *tests])] if names else evaluators
    for metric in left:
        if metric.name == f"latency_ms@{here.hardware}":
            evaluators.append(here)
        elif metric.name != f"accuracy@{task.name}":
            told = f"; foretold are {', '.join(foretold)}" if foretold else ""
            advice = "see what is foretold of it: gennas predict."
            if metric in away and metric.kind.name == "latency_ms":
                add = f"gennas hardware add {metric.target} --space {address_of(problem.space)} --csv FILE"
                advice = f"have it foretold from a few measurements: {add}"
            raise InvalidInputError(
                f"{metric.name} cannot be evaluated here: only accuracy@{task.name}, by training, and "
                f"latency_ms@{here.hardware}, by measuring{told}. Name a `table` to look values up, or {advice}"
            )
    if any(metric.kind.name == "accuracy" for metric in left):
        # Fails here, where a message is read, rather than in every worker.
        task.splits()
        if folder is None:
            raise InvalidInputError("study is None; give a run folder, where trained networks are kept.")
        evaluators.append(TrainEvaluator(problem.space, recipe, folder / "networks", _silent))
    return evaluators


def _silent(line: str) -> None:
    """Epochs of several trainings at once are nothing to read."""
