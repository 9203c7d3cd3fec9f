"""search: a whole run, from what a user asks to the archs that nothing else beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import numpy as np
import torch
from botorch.utils.multi_objective.pareto import is_non_dominated

from gennas.cache import Cache
from gennas.checkpoint import expect_space, find_checkpoint, fingerprint, parts_of
from gennas.choose import pareto_order
from gennas.diffusion.costs import CostModel
from gennas.errors import DataMissingError, InfeasibleError, InvalidInputError, UnknownNameError
from gennas.evaluators.base import Evaluator
from gennas.evaluators.costs import CostEvaluator
from gennas.evaluators.executors import Executor
from gennas.evaluators.latency import LatencyEvaluator, LatencySpec
from gennas.evaluators.predicted import PredictedEvaluator, foretellable
from gennas.evaluators.processes import ProcessExecutor
from gennas.evaluators.recipe import Recipe
from gennas.evaluators.table import TableEvaluator
from gennas.evaluators.train import TrainEvaluator
from gennas.predictors.gnn import load_predictor
from gennas.search.base import Policy, Problem, Seen
from gennas.search.loop import Report, run
from gennas.search.methods import METHODS, make_policy, option_types
from gennas.search.mutate import cost_bounds, random_archs
from gennas.search.policy import GennasPolicy
from gennas.search.prior import PredictorPrior, Prior, TablePrior
from gennas.spaces import Space, address_of
from gennas.study import Study
from gennas.tables import Table
from gennas.tasks.folder import ImageFolder


@dataclass(frozen=True)
class Found:
    """An arch of which all metrics of the problem were evaluated.

    Attributes:
        key: its native notation.
        metrics: everything the study knows of it, means where a metric was evaluated several times.
        number: of its proposal, from 0.
        origin: how it came to be proposed.
        folder: of its trained network; None where none was trained.
    """

    key: str
    metrics: dict[str, float]
    number: int
    origin: str
    folder: Path | None


@dataclass(frozen=True)
class SearchResult:
    """What a run found.

    Attributes:
        best: with one objective the best arch, with several the Pareto front of what was evaluated (by the objective,
            never by test accuracy); archs that break a bound are not among them.
        proposed: archs in the study.
        evaluated: of them, those of which all metrics are known.
        infeasible: of these and of those that were not evaluated further, those that break a bound.
        failed: evaluations that failed for good.
        notes: what the user should know.
    """

    best: tuple[Found, ...]
    proposed: int
    evaluated: int
    infeasible: int
    failed: int
    notes: tuple[str, ...]


def search(
    problem: Problem,
    *,
    out: Path,
    method: str = "gennas",
    options: Mapping[str, str] | None = None,
    prior: Literal["known", "none"] = "known",
    checkpoint: Path | None = None,
    table: Table | None = None,
    recipe: Recipe | None = None,
    latency: LatencySpec | None = None,
    budget: int = 50,
    batch: int | None = None,
    workers: int = 1,
    ray: str | None = None,
    timeout: float | None = None,
    cache: str | None = None,
    database: str | None = None,
    seed: int = 0,
    report: Report = lambda done, note: None,
) -> SearchResult:
    """Searches, or goes on with the search in ``out``.

    Args:
        problem: what is searched.
        out: run folder; see :class:`gennas.study.Study`.
        method: ``gennas`` or a baseline; see :data:`gennas.search.methods.METHODS`.
        options: of the method, as written.
        prior: ``known`` lets the gennas method start from what a checkpoint's predictor foretells, or from what
            ``table`` knows of other tasks; nothing that the table answers in this run is known beforehand.
        checkpoint: folder of a generator and a predictor; None for the one of the space's name. The predictor foretells
            latencies and energies that nothing here measures or looks up.
        table: answers in place of trainings and measurements.
        recipe: how networks are trained.
        latency: how latency on this machine is measured.
        budget: archs to evaluate, those in the study included.
        batch: archs proposed at once; None for as many as there are workers, but 5 where a table answers.
        workers: evaluations at a time, each in a process of its own.
        ray: address of a Ray cluster whose nodes are the workers.
        timeout: seconds after which an evaluation has failed.
        cache: SQLAlchemy URL of a database of evaluations that runs share.
        database: SQLAlchemy URL of the study's rows; None for a file in ``out``.
        seed: of everything.
        report: is told how many archs are done with.

    Raises:
        InvalidInputError: a metric that nothing here can evaluate, or a checkpoint of another space.
        InfeasibleError: no arch keeps the bounds on costs.
        StudyError: ``out`` belongs to other settings or something else, or another process is writing to it.
    """
    if checkpoint is not None:
        expect_space(checkpoint, problem.space)
    _check_bounds(problem)
    evaluators = evaluators_of(problem, table, recipe or Recipe(), latency or LatencySpec(), out, checkpoint)
    predicted = next((one for one in evaluators if isinstance(one, PredictedEvaluator)), None)
    instant = all(evaluator.instant for evaluator in evaluators)
    with ExitStack() as stack:
        executor = None if instant else stack.enter_context(_executor(workers, ray))
        batch = batch or (5 if executor is None else executor.capacity)
        policy, notes = _policy(problem, method, options or {}, prior, checkpoint, table)
        config = _config(problem, method, options or {}, prior, policy, table, recipe, latency, batch, executor, seed)
        config["checkpoint"] = checkpoint and {part: fingerprint(checkpoint, part) for part in parts_of(checkpoint)}
        config["predicted"] = None if predicted is None else predicted.basis
        study = stack.enter_context(Study.open(out, config, database))
        shared = Cache(cache) if cache is not None else None
        if shared is not None:
            stack.callback(shared.close)
        seen = run(
            problem,
            policy,
            evaluators,
            study,
            executor,
            budget=budget,
            batch=batch,
            seed=seed,
            timeout=timeout,
            cache=shared,
            report=report,
        )
        return _result(problem, seen, study, evaluators, (*notes, *(predicted.notes if predicted else ())))


def _check_bounds(problem: Problem) -> None:
    """Refuses bounds on costs that no arch keeps: a search would find that out after it has looked everywhere."""
    bounds = problem.bounds_on_costs
    if not bounds or random_archs(problem.space, 1, np.random.default_rng(0), fits=cost_bounds(problem)):
        return
    for bound in bounds:
        CostModel(problem.space, problem.task, bound.metric).check(bound)
    raise InfeasibleError(
        f"no {problem.space.name} arch that was drawn keeps {' and '.join(map(repr, map(str, bounds)))}. Loosen a bound."
    )


def evaluators_of(
    problem: Problem,
    table: Table | None,
    recipe: Recipe,
    latency: LatencySpec,
    out: Path,
    checkpoint: Path | None = None,
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
    away = [m for m in left if m.kind.scope == "hardware" and m.place != "cpu" and m.name not in known]
    folder = _with_predictor(problem.space, checkpoint) if away else None
    foretold = [name for name in foretellable(folder, problem.space) if name not in known] if folder else []
    asked = [metric for metric in away if metric.name in foretold]
    if folder and asked:
        evaluators.append(PredictedEvaluator(folder, problem.space, task, asked))
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
                add = f"gennas hardware add {metric.place} --space {address_of(problem.space)} --csv FILE"
                advice = f"have it foretold from a few measurements: {add}"
            raise InvalidInputError(
                f"{metric.name} cannot be evaluated here: only accuracy@{task.name}, by training, and "
                f"latency_ms@{here.hardware}, by measuring{told}. Give --table NAME to look values up, or {advice}"
            )
    if any(metric.kind.name == "accuracy" for metric in left):
        # Fails here, where a message is read, rather than in every worker.
        task.splits()
        evaluators.append(TrainEvaluator(problem.space, recipe, out / "networks", _silent))
    return evaluators


def _with_predictor(space: Space, checkpoint: Path | None) -> Path | None:
    """The folder of a predictor, that of the space's name where none is given; None where it has none."""
    try:
        folder = checkpoint or find_checkpoint(space.name)
    except (UnknownNameError, DataMissingError):
        return None
    return folder if "predictor" in parts_of(folder) else None


def _silent(line: str) -> None:
    """Epochs of several trainings at once are nothing to read."""


def _executor(workers: int, ray: str | None) -> Executor:
    if ray is None:
        return ProcessExecutor(workers)
    from gennas.evaluators.ray_executor import RayExecutor

    return RayExecutor(ray)


def _policy(
    problem: Problem,
    method: str,
    options: Mapping[str, str],
    prior: str,
    checkpoint: Path | None,
    table: Table | None,
) -> tuple[Policy, tuple[str, ...]]:
    if checkpoint is not None and "checkpoint" in option_types(METHODS.get(method)):
        options = {"checkpoint": str(checkpoint), **options}
    made = make_policy(method, problem, options)
    if not isinstance(made, GennasPolicy) or prior == "none":
        return made, ()
    known, notes = _prior(problem, checkpoint, table)
    return replace(made, known=known), notes


def _prior(problem: Problem, checkpoint: Path | None, table: Table | None) -> tuple[Prior | None, tuple[str, ...]]:
    """What is known of the problem's metrics, and a sentence on it."""
    if table is not None:
        known = TablePrior.of_others(table, problem)
        if known is None:
            return None, (f"nothing is known beforehand: table {table.name!r} has no other task.",)
        return known, (
            f"known beforehand: {', '.join(known.metrics)} of table {table.name!r}; --prior none starts from nothing.",
        )
    try:
        folder = _with_predictor(problem.space, checkpoint)
        predictor = load_predictor(folder)[0] if folder else None
    except DataMissingError:
        predictor = None
    if predictor is None:
        return None, (f"nothing is known beforehand: no predictor of space {problem.space.name!r}.",)
    return PredictorPrior(predictor, problem.space), (
        "known beforehand: what the checkpoint's predictor foretells; --prior none starts from nothing.",
    )


def _config(
    problem: Problem,
    method: str,
    options: Mapping[str, str],
    prior: str,
    policy: Policy,
    table: Table | None,
    recipe: Recipe | None,
    latency: LatencySpec | None,
    batch: int,
    executor: Executor | None,
    seed: int,
) -> dict[str, Any]:
    """What all rows and proposals of a study depend on. The budget is not among it, so that it can be raised."""
    task: dict[str, Any] = {"name": problem.task.name, "input_shape": list(problem.task.input_shape)}
    if table is None and problem.task.source is not None:
        task["images"] = problem.task.splits().fingerprint
        if isinstance(problem.task.source, ImageFolder):
            task["path"] = str(problem.task.source.path)
    return {
        "space": {"name": problem.space.name, "skeleton": problem.space.skeleton},
        "task": task,
        "objective": str(problem.objective),
        "where": [str(constraint) for constraint in problem.where],
        "method": method,
        "options": dict(options),
        "prior": prior if isinstance(policy, GennasPolicy) else "none",
        "table": None if table is None else table.name,
        "recipe": None if table is not None else asdict(recipe or Recipe()),
        "latency": None if table is not None else asdict(latency or LatencySpec()),
        "batch": batch,
        # Proposals wait for results in another order where several evaluations run at a time.
        "several": executor is not None and executor.capacity > 1,
        "seed": seed,
    }


def _result(
    problem: Problem, seen: Seen, study: Study, evaluators: Sequence[Evaluator], notes: Sequence[str]
) -> SearchResult:
    complete = np.isfinite(seen.values).all(1) & ~seen.failed
    feasible = complete & problem.feasible(seen.values)
    trainer = next((one for one in evaluators if isinstance(one, TrainEvaluator)), None)
    rows = np.flatnonzero(feasible)
    gains = torch.from_numpy(problem.gains(seen.values[rows]))
    front: list[int] = []
    if len(rows) and gains.shape[1] == 1:
        front = pareto_order(gains)[:1]
    elif len(rows):
        front = is_non_dominated(gains, deduplicate=False).nonzero()[:, 0].tolist()
        front.sort(key=lambda row: -float(gains[row, 0]))
    best = []
    for row in (int(rows[at]) for at in front):
        arch = seen.archs[row]
        stored = study.find(arch=arch.key)
        metrics = {one.metric: fmean(other.value for other in stored if other.metric == one.metric) for one in stored}
        folder = None if trainer is None else trainer.network_folder(arch)
        best.append(Found(arch.key, metrics, row, seen.origins[row], folder if folder and folder.is_dir() else None))
    return SearchResult(
        best=tuple(best),
        proposed=len(seen.archs),
        evaluated=int(complete.sum()),
        infeasible=int((_broken(problem, seen) & ~seen.failed).sum()),
        failed=int(seen.failed.sum()),
        notes=tuple(notes),
    )


def _broken(problem: Problem, seen: Seen) -> np.ndarray:
    """``(N,)`` whether some bound is known to be broken."""
    broken = np.zeros(len(seen.archs), dtype=bool)
    for constraint in problem.where:
        column = seen.values[:, problem.metrics.index(constraint.metric)]
        broken |= np.isfinite(column) & ~np.array([constraint.holds(value) for value in column], dtype=bool)
    return broken
