"""Which evaluators give the metrics of a problem."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

from gennas.checkpoint import Checkpoint
from gennas.commands import command
from gennas.errors import InvalidInputError
from gennas.evaluators import EVALUATORS
from gennas.evaluators.base import Evaluator
from gennas.evaluators.context import EvaluatorContext
from gennas.evaluators.costs import CostEvaluator
from gennas.evaluators.latency_spec import LatencySpec
from gennas.evaluators.predicted import is_elsewhere, predicted_elsewhere
from gennas.evaluators.stage import Stage
from gennas.hardware.target import NAMING, Device
from gennas.metrics import Metric
from gennas.problem import Problem
from gennas.spaces import space_option
from gennas.tables import Table
from gennas.tasks import TARGET_KINDS
from gennas.training.network_files import task_folder
from gennas.training.recipe import Recipe

#: The user's own come between these: a table that was asked for is not passed over, trainings and measurements are.
_FIRST, _LAST = ("computed", "predicted", "table", "memory"), ("measured", "inherited", "int8", "trained")


def evaluators_of(
    problem: Problem,
    table: Table | None,
    recipe: Recipe,
    latency: LatencySpec,
    folder: Path | None,
    checkpoint: Checkpoint | None = None,
    supernet: Path | None = None,
) -> list[Evaluator]:
    """What gives the metrics of a problem, cheap evaluators first: of those registered, each that gives one more.

    Args:
        problem: as of :class:`EvaluatorContext`, as are the others.
        table: answers in place of trainings and measurements.
        recipe: how networks are trained.
        latency: how latency is measured on this machine.
        folder: run folder.
        checkpoint: whose predictor predicts.
        supernet: whose weights give accuracies in place of trainings.

    Raises:
        InvalidInputError: a metric that nothing here can evaluate; says what could.
        UnknownNameError: a metric that the table does not have.
        DataMissingError: accuracy on a task without images, and no table; or the predictor is damaged.
    """
    context = EvaluatorContext(problem, table, recipe, latency, folder, checkpoint, supernet)
    wanted = [metric for metric in problem.metrics if not metric.is_cost]
    evaluators: list[Evaluator] = []
    for name in (*_FIRST, *reversed(EVALUATORS.own), *_LAST):
        evaluator = EVALUATORS.get(name).make(context, wanted)
        if evaluator is not None:
            given = evaluator.metrics(problem.task)
            wanted = [metric for metric in wanted if metric.name not in given]
            evaluators.append(evaluator)
    if wanted:
        raise _refusal(context, wanted[0])
    return sorted(evaluators, key=_cost)


def task_stages(
    problem: Problem,
    table: Table | None,
    recipe: Recipe,
    latency: LatencySpec,
    folder: Path | None,
    checkpoint: Checkpoint | None = None,
    supernet: Path | None = None,
) -> list[Stage]:
    """The same as :func:`evaluators_of` for each task of a problem, cheap ones first: what is of no task is evaluated
    once, with networks for the first task; each further task has evaluators and a folder of networks of its own.

    Args:
        problem: as of :func:`evaluators_of`, as are the others.
        table: see there.
        recipe: see there.
        latency: see there.
        folder: of the run; that of another task's networks is :func:`gennas.training.network_files.task_folder`.
        checkpoint: see there.
        supernet: of one task, and for a problem of one task only.

    Raises:
        InvalidInputError: a supernet for several tasks; and what :func:`evaluators_of` raises, as are the others.
        UnknownNameError: see there.
        DataMissingError: see there.
    """
    if supernet is not None:
        problem.expect_one_task("a supernet")
    stages: list[Stage] = []
    for task in problem.tasks:
        own, is_first = problem.for_task(task), task is problem.task
        place = folder if is_first or folder is None else task_folder(folder, task.name)
        if not is_first:
            # Costs and latencies are known already.
            of_tasks = tuple(one for one in own.where if one.metric.kind.scope == "task")
            own = replace(own, objective=own.objective.of_all_tasks(), where=of_tasks)
        found = evaluators_of(own, table, recipe, latency, place, checkpoint, supernet)
        stages += [Stage(one, task) for one in found if is_first or not isinstance(one, CostEvaluator)]
    return sorted(stages, key=lambda stage: _cost(stage.evaluator))


def _cost(evaluator: Evaluator) -> int:
    """What takes no time comes first, and what takes longest last: a broken bound ends an arch's evaluation."""
    return 0 if evaluator.is_instant else 1 if evaluator.is_exclusive else 2


def _refusal(context: EvaluatorContext, metric: Metric) -> InvalidInputError:
    """Says what could evaluate a metric; raises the table's own error where there is one."""
    problem = context.problem
    if context.table is not None:
        context.table.column(metric.name)
    is_away = is_elsewhere(metric)
    predicted = predicted_elsewhere(context)[1] if is_away else ()
    others = f"; predicted are {', '.join(predicted)}" if predicted else ""
    advice = "see what is predicted of it: gennas predict."
    if is_away and metric.kind.name == "latency_ms":
        add = command("hardware", "add", str(metric.target), csv="FILE", space=space_option(problem.space))
        advice = f"have it predicted from a few measurements: {add}"
        if str(metric.target).casefold().startswith(get_args(Device)):
            advice = f"name this machine as {NAMING}; or {advice}"
    elif metric.target == problem.task.name and any(
        metric.kind.name in TARGET_KINDS.get(name).metrics for name in TARGET_KINDS
    ):
        targets = problem.task.targets
        advice = f"optimise what a {targets.name} is judged by: {', '.join(targets.metrics)}."
    elif metric.kind.name not in ("accuracy", "latency_ms", "energy_mj"):
        advice = f"register an evaluator of your own: @EVALUATORS.register({metric.kind.name!r})."
    return InvalidInputError(
        f"{metric.name} cannot be evaluated here: only {problem.task.targets.score}@{problem.task.name}, by training, "
        f"and latency_ms of this machine, by measuring, e.g. latency_ms@cpu{others}. Name a `table` to look values up, "
        f"or {advice}"
    )
