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

from gennas.checkpoint import folder_with_predictor
from gennas.diffusion.guides.costs import CostModel
from gennas.errors import DataMissingError, InfeasibleError
from gennas.evaluators.base import Evaluator
from gennas.evaluators.latency_spec import LatencySpec
from gennas.evaluators.predicted import PredictedEvaluator
from gennas.evaluators.selection import evaluators_of
from gennas.evaluators.train import TrainEvaluator
from gennas.executors.base import Executor
from gennas.executors.processes import ProcessExecutor
from gennas.pareto import non_dominated, pareto_order
from gennas.part_files import expect_space, fingerprint, parts_of
from gennas.predictors import load_predictor
from gennas.problem import Problem
from gennas.search.base import History, Policy
from gennas.search.loop import Report, run
from gennas.search.mutation import cost_feasibility, random_archs
from gennas.search.policies.guided_bo import GuidedBO
from gennas.search.policies.registry import POLICIES, make_policy, option_types
from gennas.search.prior_mean import Prior, TablePrior, resolve_prior
from gennas.studies.cache import Cache
from gennas.studies.study import Study
from gennas.tables import Table
from gennas.tasks.folder import ImageFolder
from gennas.training.recipe import Recipe


@dataclass(frozen=True)
class SearchEntry:
    """An arch of which all metrics of the problem were evaluated.

    Attributes:
        key: its native notation.
        metrics: everything the study knows of it, means where a metric was evaluated several times.
        number: of its proposal, from 0.
        proposed_by: how it came to be proposed.
        folder: of its trained network; None where none was trained.
    """

    key: str
    metrics: dict[str, float]
    number: int
    proposed_by: str
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

    best: tuple[SearchEntry, ...]
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
        out: run folder; see :class:`gennas.studies.study.Study`.
        method: ``gennas`` or a baseline; see :data:`gennas.search.policies.registry.POLICIES`.
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
    is_instant = all(evaluator.is_instant for evaluator in evaluators)
    with ExitStack() as stack:
        executor = None if is_instant else stack.enter_context(_executor(workers, ray))
        batch = batch or (5 if executor is None else executor.capacity)
        policy, notes = _policy(problem, method, options or {}, prior, checkpoint, table)
        config = _config(problem, method, options or {}, prior, policy, table, recipe, latency, batch, executor, seed)
        config["checkpoint"] = checkpoint and {part: fingerprint(checkpoint, part) for part in parts_of(checkpoint)}
        config["predicted"] = None if predicted is None else predicted.basis
        study = stack.enter_context(Study.open(out, config, database))
        shared = Cache(cache) if cache is not None else None
        if shared is not None:
            stack.callback(shared.close)
        history = run(
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
        return _result(problem, history, study, evaluators, (*notes, *(predicted.notes if predicted else ())))


def _check_bounds(problem: Problem) -> None:
    """Refuses bounds on costs that no arch keeps: a search would find that out after it has looked everywhere."""
    bounds = problem.bounds_on_costs
    if not bounds or random_archs(problem.space, 1, np.random.default_rng(0), is_feasible=cost_feasibility(problem)):
        return
    for bound in bounds:
        CostModel(problem.space, problem.task, bound.metric).check(bound)
    raise InfeasibleError(
        f"no {problem.space.name} arch that was drawn keeps {' and '.join(map(repr, map(str, bounds)))}. Loosen a "
        "bound."
    )


def _executor(workers: int, ray: str | None) -> Executor:
    if ray is None:
        return ProcessExecutor(workers)
    from gennas.executors.ray_cluster import RayExecutor

    return RayExecutor(ray)


def _policy(
    problem: Problem,
    method: str,
    options: Mapping[str, str],
    prior: str,
    checkpoint: Path | None,
    table: Table | None,
) -> tuple[Policy, tuple[str, ...]]:
    if checkpoint is not None and "checkpoint" in option_types(POLICIES.get(method)):
        options = {"checkpoint": str(checkpoint), **options}
    made = make_policy(method, problem, options)
    if not isinstance(made, GuidedBO) or prior == "none":
        return made, ()
    known, notes = _prior(prior, problem, checkpoint, table)
    return replace(made, prior=known), notes


def _prior(
    word: str, problem: Problem, checkpoint: Path | None, table: Table | None
) -> tuple[Prior | None, tuple[str, ...]]:
    """What is known of the problem's metrics, and a sentence on it."""
    if table is not None:
        known = resolve_prior(word, problem, table=table)
        if not isinstance(known, TablePrior):
            return None, (f"nothing is known beforehand: table {table.name!r} has no other task.",)
        return known, (
            f"known beforehand: {', '.join(known.metrics)} of table {table.name!r}; --prior none starts from nothing.",
        )
    try:
        folder = folder_with_predictor(problem.space, checkpoint)
        predictor = load_predictor(folder)[0] if folder else None
    except DataMissingError:
        predictor = None
    if predictor is None:
        return None, (f"nothing is known beforehand: no predictor of space {problem.space.name!r}.",)
    return resolve_prior(word, problem, predictor=predictor), (
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
        "prior": prior if isinstance(policy, GuidedBO) else "none",
        "table": None if table is None else table.name,
        "recipe": None if table is not None else asdict(recipe or Recipe()),
        "latency": None if table is not None else asdict(latency or LatencySpec()),
        "batch": batch,
        # Proposals wait for results in another order where several evaluations run at a time.
        "several": executor is not None and executor.capacity > 1,
        "seed": seed,
    }


def _result(
    problem: Problem, history: History, study: Study, evaluators: Sequence[Evaluator], notes: Sequence[str]
) -> SearchResult:
    complete = np.isfinite(history.values).all(1) & ~history.failed
    feasible = complete & problem.feasible(history.values)
    trainer = next((one for one in evaluators if isinstance(one, TrainEvaluator)), None)
    rows = np.flatnonzero(feasible)
    gains = problem.gains(history.values[rows])
    front: list[int] = []
    if len(rows) and gains.shape[1] == 1:
        front = pareto_order(torch.from_numpy(gains))[:1]
    elif len(rows):
        front = np.flatnonzero(non_dominated(gains)).tolist()
        front.sort(key=lambda row: -float(gains[row, 0]))
    best = []
    for row in (int(rows[at]) for at in front):
        arch = history.archs[row]
        stored = study.find(arch=arch.key)
        metrics = {one.metric: fmean(other.value for other in stored if other.metric == one.metric) for one in stored}
        folder = None if trainer is None else trainer.network_folder(arch)
        best.append(
            SearchEntry(
                arch.key, metrics, row, history.proposed_by[row], folder if folder and folder.is_dir() else None
            )
        )
    return SearchResult(
        best=tuple(best),
        proposed=len(history.archs),
        evaluated=int(complete.sum()),
        infeasible=int((_broken(problem, history) & ~history.failed).sum()),
        failed=int(history.failed.sum()),
        notes=tuple(notes),
    )


def _broken(problem: Problem, history: History) -> np.ndarray:
    """``(N,)`` whether some bound is known to be broken."""
    broken = np.zeros(len(history.archs), dtype=bool)
    for constraint in problem.where:
        column = history.values[:, problem.metrics.index(constraint.metric)]
        broken |= np.isfinite(column) & ~np.array([constraint.holds(value) for value in column], dtype=bool)
    return broken
